# pyright: reportUnnecessaryTypeIgnoreComment=true
"""A user's calls, as type checkers see them: `make types` checks this file, and nothing runs it.

A wrong call carries the rule by which it is refused. Were it accepted, the comment would be unnecessary, and that is
an error here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, assert_type

from pydantic import BaseModel
from temporalio.client import Client
from temporalio.worker import Worker

import mageflow_temporal as mageflow
from mageflow_temporal import (
    ListedSignature,
    ListeningWorker,
    AcceptParams,
    Chain,
    Counts,
    ErrorInfo,
    ErrorValue,
    LifecycleReport,
    LoadedMember,
    LoadedSignature,
    Mageflow,
    MageflowConfig,
    Member,
    PauseActionTypes,
    ReturnValue,
    Schedule,
    Signature,
    Status,
    StatusReport,
    Swarm,
    SwarmConfig,
    Task,
    TaskContext,
    TaskOptions,
    TaskSignature,
)
from mageflow_temporal.testing import Call, KillableRun, Run, Stage


class Order(BaseModel):
    number: int


class Receipt(BaseModel):
    total: float


class Bill(BaseModel):
    rows: ReturnValue[list[Order]]


class Alarm(BaseModel):
    why: ErrorValue


mf = Mageflow()


# Tasks.


@mf.task(name="bill", retries=3, execution_timeout=timedelta(minutes=5))
async def bill(msg: Order) -> Receipt:
    return Receipt(total=msg.number)


@mf.task()
def count(msg: Order) -> int:
    return msg.number


@mf.task()
async def fetch() -> list[Order]:
    return []


@mf.task()
def clean() -> None: ...


@mf.task(isolation="process")
async def crunch(msg: Bill) -> bytes:
    return bytes(len(assert_type(msg.rows, list[Order])))


@mf.task(isolation="process")
def crush(msg: Bill) -> bytes:
    return bytes(len(msg.rows))


@mf.task()
async def alarm(msg: Alarm) -> None:
    assert_type(msg.why, ErrorInfo)


@mf.task()
@mf.with_ctx
async def with_context(msg: Order, ctx: TaskContext) -> int:
    return ctx.attempt


@mf.task()
@mf.with_signature
def with_signature(msg: Order, signature: LoadedSignature | LoadedMember) -> str:
    return signature.key


@mf.durable_task(name="both")
@mf.stagger_execution(timedelta(seconds=5))
@mf.with_ctx
@mf.with_signature
async def with_both(msg: Order, ctx: TaskContext, signature: Member) -> Receipt:
    return Receipt(total=msg.number)


@mf.task()
@mf.with_signature
@mf.with_ctx
@mf.stagger_execution(timedelta(seconds=5))
def with_both_in_a_thread(msg: Order, ctx: TaskContext, signature: Member) -> Receipt:
    return Receipt(total=msg.number)


talkative = Mageflow(config=MageflowConfig(param_config=AcceptParams.ALL))


@talkative.task()
async def always_with_context(msg: Order, ctx: TaskContext) -> Receipt:
    ctx.logger.info("order %s", msg.number)
    return Receipt(total=msg.number)


assert_type(with_context, Task[Order, int])
assert_type(with_signature, Task[Order, str])
assert_type(with_both, Task[Order, Receipt])
assert_type(with_both_in_a_thread, Task[Order, Receipt])
assert_type(always_with_context, Task[Order, Receipt])

assert_type(bill, Task[Order, Receipt])
assert_type(count, Task[Order, int])
assert_type(fetch, Task[None, list[Order]])
assert_type(clean, Task[None, None])
assert_type(crunch, Task[Bill, bytes])
assert_type(crush, Task[Bill, bytes])
assert_type(mf.declare("far", message=Order, result=Receipt, options=TaskOptions(task_queue="rust")), Task[Any, Any])


# A signed task has the task's result.


async def signatures() -> None:
    signature = await mageflow.sign(bill, number=3)
    assert_type(signature, TaskSignature[Order, Receipt])
    await signature.start(Order(number=1), id="order-1")
    assert_type(await signature.result(), Receipt)
    assert_type(await signature.result(timeout=1.5), Receipt)
    assert_type(await signature.result(timeout=timedelta(seconds=1)), Receipt)
    assert_type(await signature.run(Order(number=1), id="order-1", timeout=10), Receipt)
    assert_type(
        await signature.run(Order(number=1), delay=timedelta(hours=1), priority=1, fairness_key="acme"), Receipt
    )
    assert_type(await (await signature.start()).result(), Receipt)

    assert_type(await (await mf.sign(bill)).run(), Receipt)
    assert_type(await (await mf.sign(count)).run({"number": 1}), int)
    assert_type(await (await mf.sign(fetch)).run(), list[Order])
    assert_type(await (await mf.sign(clean)).run(), None)
    assert_type(await (await mf.sign(crunch)).run(), bytes)
    assert_type(await (await mf.sign(crush)).run(), bytes)
    assert_type(await (await mf.sign("bill")).run(), Any)


# A swarm of one type of task has a list of its results; a chain's last step can be anything.


async def containers() -> None:
    swarm = await mageflow.swarm([count, count], "counts", config=SwarmConfig(max_concurrency=2), is_swarm_closed=True)
    assert_type(swarm, Swarm[int])
    assert_type(await swarm.run(), list[int])
    swarm.success_callbacks.append(await mf.sign(clean))
    swarm.error_callbacks.append(await mf.chain([alarm, clean]))
    await swarm.start()
    assert_type(await swarm.add(count, Order(number=1)), Member)
    assert_type(await swarm.add_many([count, "count"], [Order(number=1), {"number": 2}]), list[Member])
    await swarm.close()
    assert_type(await swarm.result(), list[int])

    assert_type(await (await mf.swarm([bill, await mf.sign(bill, number=1)])).run(), list[Receipt])
    assert_type(await (await mf.swarm([await mf.sign(bill, number=n) for n in range(3)])).run(), list[Receipt])
    assert_type(await (await mf.swarm([bill] * 3, number=1)).run(), list[Receipt])
    assert_type(await (await mf.swarm([swarm, swarm])).run(), list[list[int]])
    assert_type(await (await mf.swarm(["count"])).run(), list[Any])
    assert_type(await (await mf.swarm()).run(), list[Any])

    chain = await mageflow.chain([fetch, crunch, swarm, await mf.sign(bill), "far"], name="pipeline", number=1)
    assert_type(chain, Chain[Any])
    assert_type(await chain.run(Order(number=1)), Any)
    receipt: Receipt = await chain.result()
    assert_type(receipt, Receipt)

    tasks = [fetch, crunch]
    await mf.chain(tasks)
    await mf.chain((fetch, crunch))
    await mf.swarm(tasks)


# Control, here and from any other process.


async def control() -> None:
    signature = await mf.sign(bill)
    assert_type(await signature.suspend(), LifecycleReport)
    assert_type(await signature.interrupt(reason="wrong file"), LifecycleReport)
    assert_type((await signature.resume()).cancelled, list[str])
    assert_type(await mageflow.suspend(signature.key, "maintenance"), LifecycleReport)
    assert_type(await mf.interrupt(f"{signature.key}#1"), LifecycleReport)
    await signature.remove()
    await mageflow.remove(signature.key)

    report = await signature.status()
    assert_type(report, StatusReport)
    assert_type(report.status, Status)
    assert_type(report.status == "done", bool)
    assert_type(report.children, list[StatusReport])
    assert_type(report.counts, Counts | None)
    assert_type(report.find("2.1"), StatusReport | None)

    loaded = await mageflow.load_signature("etl-4f2c")
    assert_type(loaded, LoadedSignature | LoadedMember | None)
    if isinstance(loaded, Signature):
        assert_type(await loaded.result(), Any)
    if loaded is not None:
        assert_type(await loaded.suspend(), LifecycleReport)
        assert_type(await loaded.status(), StatusReport)

    try:
        await signature.suspend()
    except mageflow.TaskAlreadyRunningError as error:
        assert_type(error.attempt, int)
        assert_type(error.worker, str | None)


async def familiar_names() -> None:
    signature = await mageflow.asign(bill, number=3)
    assert_type(signature, TaskSignature[Order, Receipt])
    assert_type(await signature.aio_run(Order(number=1)), Receipt)
    assert_type(await (await signature.aio_run_no_wait()).result(), Receipt)
    assert_type(await (await mf.asign(count)).aduplicate_many(2), list[TaskSignature[Order, int]])
    assert_type(signature.duplicate(), TaskSignature[Order, Receipt])
    assert_type(await signature.pause_task(PauseActionTypes.INTERRUPT), LifecycleReport)
    assert_type(await mf.achain([bill, count], "name", alarm, clean), Chain[Any])
    swarm = await mf.aswarm([count], task_name="counts")
    assert_type(swarm, Swarm[Any])
    assert_type(await swarm.aio_run_in_swarm(count, Order(number=1)), list[Member])
    assert_type(await swarm.close_swarm(), Swarm[Any])


async def schedules() -> None:
    schedule = await (await mf.sign(bill)).schedule("bills", cron="@daily", message=Order(number=1), timezone="UTC")
    assert_type(schedule, Schedule)
    await (await mf.chain([fetch, bill])).schedule("b", every=timedelta(hours=1), overlap="buffer_one", priority=5)
    await schedule.pause("no paper")
    assert_type((await schedule.describe()).next_runs, list[datetime])
    assert_type(await mageflow.schedules(), list[Schedule])


async def what_there_is() -> None:
    async for found in mf.signatures("MageflowName STARTS_WITH 'etl'", status=Status.SUSPENDED, kind="chain"):
        assert_type(found, ListedSignature)
        assert_type(found.status, Status | None)
    async for part in mf.held(name="expense", older_than=timedelta(days=1)):
        assert_type(part, StatusReport)
        assert_type(list(part.holds()), list[StatusReport])
    assert_type((await mf.checkup()).workers, list[ListeningWorker])
    assert_type(await mf.load_schedule("bills"), Schedule | None)


async def local() -> None:
    async with mf.local(ui=False) as server:
        assert_type(server.target, str)
        assert_type(server.ui_url, str | None)
    async with mf.worker(max_concurrent_tasks=3):
        pass
    await mf.worker().run()


async def own_worker() -> None:
    client = await Client.connect("host:7233", plugins=[mf.plugin()])
    Worker(client, task_queue="mine", plugins=[mf.plugin()])


async def testing(mageflow_test: Stage) -> None:
    async with mf.connected_to("host:7233", task_queue="other"):
        pass
    async with mageflow_test.running(mf) as run:
        assert_type(run, Run)
        await run.dispatched.assert_task_dispatched(bill, message=Order(number=1), times=2)
        await run.dispatched.assert_chain_dispatched("bills", tasks=[fetch, "bill"], timeout=timedelta(seconds=1))
        assert_type(await run.dispatched.calls(), list[Call])
        async with run.suspend_at(await mf.sign(bill), "bill", timeout=1.5):
            pass
    async with mageflow_test.killable(mf, "shop:mf") as other, other.kill_worker_after(await mf.sign(bill), "bill"):
        assert_type(other, KillableRun)


def in_a_task() -> None:
    task = mageflow.current_task()
    task.checkpoint(Order(number=1))
    assert_type(task.resumed_from(Order), Order | None)
    assert_type(task.resumed_from(), Any)
    assert_type(task.attempt, int)
    assert_type(
        task.cancellation,
        Literal["interrupted", "timed out", "worker shutting down", "given up"] | None,
    )


async def children() -> None:
    child = await mf.sign(bill)
    assert_type(await child.run(Order(number=1)), Receipt)
    await child.start(Order(number=1), tied=True)


# Wrong calls.


async def wrong() -> None:
    signature = await mf.sign(bill)
    swarm = await mf.swarm([count])

    text: str = await signature.result()  # pyright: ignore[reportAssignmentType]
    one: int = await swarm.run()  # pyright: ignore[reportAssignmentType]
    texts: list[str] = await swarm.result()  # pyright: ignore[reportAssignmentType]
    nothing: int = await (await mf.sign(clean)).run()  # pyright: ignore[reportAssignmentType]
    found: Signature[Any] = await mf.load_signature("key")  # pyright: ignore[reportAssignmentType]
    print(text, one, texts, nothing, found)

    await mf.sign(3)  # pyright: ignore[reportCallIssue, reportArgumentType]
    await mf.sign(len)  # pyright: ignore[reportCallIssue, reportArgumentType]
    await mf.chain(bill)  # pyright: ignore[reportArgumentType]
    await mf.chain([bill, len])  # pyright: ignore[reportArgumentType]
    await mf.swarm([bill, 3])  # pyright: ignore[reportCallIssue, reportArgumentType]
    await mf.swarm([bill], config={"max_concurrency": 3})  # pyright: ignore[reportCallIssue, reportArgumentType]
    await mf.sign(bill, on_failure="never")  # pyright: ignore[reportCallIssue, reportArgumentType]
    await mageflow.chain([bill, bill], error_callbacks=bill)  # pyright: ignore[reportArgumentType]
    await signature.start("no order")  # pyright: ignore[reportArgumentType]
    await signature.run(7)  # pyright: ignore[reportArgumentType]
    await swarm.add(12345)  # pyright: ignore[reportArgumentType]
    await signature.start(id=7)  # pyright: ignore[reportArgumentType]
    await signature.start(delay=5)  # pyright: ignore[reportArgumentType]
    await signature.schedule("bills", overlap="never")  # pyright: ignore[reportArgumentType]
    await signature.run(prio=1)  # pyright: ignore[reportCallIssue]
    await signature.result(timeout="10 s")  # pyright: ignore[reportArgumentType]
    await signature.suspend(reason=7)  # pyright: ignore[reportArgumentType]
    await signature.close()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    await mf.suspend(signature)  # pyright: ignore[reportArgumentType]
    SwarmConfig(max_concurrency="many")  # pyright: ignore[reportArgumentType]
    SwarmConfig(concurrency=3)  # pyright: ignore[reportCallIssue]

    signature.result().total  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    swarm.tasks.append(count)  # pyright: ignore[reportArgumentType]


mf.task("positional")  # pyright: ignore[reportArgumentType]
mf.task(retries="three")  # pyright: ignore[reportArgumentType]
mf.task(priority="high")  # pyright: ignore[reportArgumentType]
mf.task(isolation="thread")  # pyright: ignore[reportArgumentType]
mf.task(execution_timeout=5)  # pyright: ignore[reportArgumentType]
mf.task(timeout=timedelta(seconds=1))  # pyright: ignore[reportCallIssue]


@mf.task()  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def takes_two(first: Order, second: Order) -> None: ...


@mf.with_ctx  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def asks_and_does_not_take(msg: Order) -> None: ...


@mf.with_signature  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def names_it_otherwise(msg: Order, me: Member) -> None: ...


mf.stagger_execution(5)  # pyright: ignore[reportArgumentType]


@mf.task  # pyright: ignore[reportArgumentType]
async def without_parentheses(msg: Order) -> None: ...
