"""Every feature of the engine, performed: each function has one history or a few as its result.

A new feature of the engine gets a function here, and the test fails until its history is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, MageflowConfig, ReturnValue, SwarmConfig
from tests.support import Ledger, eventually, reaches

_T = TypeVar("_T")

LIMIT = 60.0
"""Seconds that anything may take."""


class Number(BaseModel):
    number: int = 0
    fails: int = 0
    """How many of its attempts fail."""
    before: ReturnValue[int] = 0


class Numbers(BaseModel):
    all: ReturnValue[list[int]] = []


class Texts(BaseModel):
    all: ReturnValue[list[str]] = []


class Stage:
    """An app with tasks, on which a feature is performed.

    Args:
        client: a connection to the server.
        name: of the feature; its task queue is named after it.
        events_per_run: as in `MageflowConfig`.
    """

    def __init__(self, client: Client, name: str, events_per_run: int | None = None) -> None:
        config = MageflowConfig(task_queue=f"golden-{name}", events_per_run=events_per_run)
        self.mf = mf = Mageflow(client, config=config)
        self.client = client
        self.name = name
        self.keys: list[str] = []
        """Of all signatures that were started."""
        self.ledger = ledger = Ledger()
        self.gate = gate = asyncio.Event()

        @mf.task(name="add", retries=1, backoff_max_seconds=0.1)
        async def add(msg: Number) -> int:
            await ledger.work("add")
            if mageflow.current_task().attempt <= msg.fails:
                text = f"{msg.number} fails"
                raise ValueError(text)
            return msg.before + msg.number

        @mf.task(name="wait")
        async def wait(msg: Number) -> int:
            task = mageflow.current_task()
            before = task.resumed_from(int) or 0
            task.checkpoint(before + 1)
            await ledger.work("wait", gate)
            return before + 1

        @mf.task(name="stubborn")
        async def stubborn(msg: Number) -> str:
            try:
                await ledger.work("stubborn", asyncio.Event())
            except asyncio.CancelledError:
                return "finished all the same"
            return ""

        @mf.task(name="numbers")
        async def numbers(msg: Number) -> list[int]:
            return list(range(msg.number))

        @mf.task(name="total")
        async def total(msg: Numbers) -> int:
            return sum(msg.all)

        @mf.task(name="text")
        async def text(msg: Number) -> str:
            return "." * msg.number

        @mf.task(name="letters")
        async def letters(msg: Texts) -> int:
            return sum(map(len, msg.all))

        @mf.task(name="note")
        async def note(msg: dict[str, Any]) -> None:
            await ledger.work("note")

        @mf.task(name="parent")
        async def parent(msg: Number) -> int:
            child = await mf.sign(add, number=msg.number)
            self.keys.append(child.key)
            first = await child.run()
            tied = await mf.sign(wait)
            self.keys.append(tied.key)
            await tied.start(tied=True)
            await ledger.work("parent", gate)
            return first + await tied.result()

        options = {"task_queue": self.elsewhere, "heartbeat_timeout": timedelta(seconds=1)}

        @mf.task(name="far", **options)
        async def far(msg: Number) -> int:
            return msg.number

        @mf.task(name="far-once", at_most_once=True, **options)
        async def far_once(msg: Number) -> int:
            return msg.number

        @mf.task(name="slow", execution_timeout=timedelta(seconds=0.5))
        async def slow(msg: Number) -> None:
            await asyncio.Event().wait()

        @mf.task(name="unwanted", schedule_timeout=timedelta(seconds=0.5), task_queue=self.elsewhere)
        async def unwanted(msg: Number) -> None: ...

        self.add, self.wait, self.stubborn, self.numbers, self.total, self.note, self.parent = (
            add, wait, stubborn, numbers, total, note, parent,
        )  # fmt: skip
        self.text, self.letters = text, letters
        self.far, self.far_once, self.slow, self.unwanted = far, far_once, slow, unwanted

    @property
    def elsewhere(self) -> str:
        """The queue to which the app's own worker does not listen."""
        return f"golden-{self.name}-elsewhere"

    def worker(self) -> Any:
        return self.mf.worker(task_queues=[self.mf.config.task_queue], shutdown_grace=timedelta(0))

    async def start(self, signature: _T, message: Any = None, **options: Any) -> _T:
        """Start a signature, and keep its history. The first has the feature's name for a key."""
        options |= {} if self.keys else {"id": self.name}
        await signature.start(message, **options)  # type: ignore[attr-defined]
        self.keys.append(signature.key)  # type: ignore[attr-defined]
        return signature

    async def signal(self, signature: Any, name: str, *payload: Any) -> None:
        await self.client.get_workflow_handle(signature.key).signal(name, *payload)

    async def told(self, signature: Any, verb: str, verdict: str = "") -> None:
        """Wait until a verb, which may have come as a signal, has been carried out or refused."""

        async def probe() -> bool:
            last = (await signature.status()).last_verb
            return last is not None and last.verb == verb and verdict in last.verdict

        await eventually(probe, f"{verb} has come")

    @asynccontextmanager
    async def silent_worker(self, task: str) -> AsyncGenerator[asyncio.Event]:
        """Run a worker elsewhere that takes a task up, and is not heard of again. The event says that it has."""
        has_it, over = asyncio.Event(), asyncio.Event()

        @activity.defn(name=task)
        async def silence(_message: Any = None, _resumption: Any = None) -> None:
            has_it.set()
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    continue

        # A connection has one worker for each queue. One place, which is taken: it asks for no other task.
        client = await Client.connect(self.client.service_client.config.target_host, identity="silent")
        async with Worker(client, task_queue=self.elsewhere, activities=[silence], max_concurrent_activities=1):
            try:
                yield has_it
            finally:
                over.set()


Feature = Callable[[Stage], Awaitable[None]]
FEATURES: dict[str, Feature] = {}
EVENTS_PER_RUN: dict[str, int] = {}
"""Of the features that need new runs."""


def feature(*, events_per_run: int | None = None) -> Callable[[Feature], Feature]:
    """Name a feature by its function."""

    def take(function: Feature) -> Feature:
        FEATURES[function.__name__] = function
        if events_per_run:
            EVENTS_PER_RUN[function.__name__] = events_per_run
        return function

    return take


async def fails(signature: Any, type: str) -> None:
    """Wait for a signature to fail with an error of that type."""
    with pytest.raises(mageflow.OutcomeError) as caught:
        await signature.result(timeout=LIMIT)
    found = getattr(caught.value, "type", "") or caught.value.__class__.__name__
    assert found == type, caught.value


# Tasks.


@feature()
async def task(stage: Stage) -> None:
    signature = await stage.start(await stage.mf.sign(stage.add), Number(number=3))
    assert await signature.result(timeout=LIMIT) == 3


@feature()
async def retry(stage: Stage) -> None:
    signature = await stage.start(await stage.mf.sign(stage.add), Number(number=3, fails=1))
    assert await signature.result(timeout=LIMIT) == 3


@feature()
async def failure(stage: Stage) -> None:
    await fails(await stage.start(await stage.mf.sign(stage.add), Number(number=3, fails=9)), "ValueError")


@feature()
async def timeouts(stage: Stage) -> None:
    await fails(await stage.start(await stage.mf.sign(stage.slow), Number()), "ExecutionTimeoutError")
    await fails(await stage.start(await stage.mf.sign(stage.unwanted), Number()), "ScheduleTimeoutError")


@feature()
async def checkpoint_interrupt_resume(stage: Stage) -> None:
    signature = await stage.start(await stage.mf.sign(stage.wait), Number())
    for times in (1, 2):
        await stage.ledger.has_begun("wait", times)
        assert (await signature.interrupt("a look")).cancelled
        await signature.resume()
    await stage.ledger.has_begun("wait", 3)
    stage.gate.set()
    assert await signature.result(timeout=LIMIT) == 3


@feature()
async def interrupt_that_comes_too_late(stage: Stage) -> None:
    signature = await stage.start(await stage.mf.sign(stage.stubborn), Number())
    await stage.ledger.has_begun("stubborn")
    assert (await signature.interrupt()).status == "done"
    assert await signature.result(timeout=LIMIT) == "finished all the same"


@feature()
async def suspend_of_a_running_task_is_refused(stage: Stage) -> None:
    signature = await stage.start(await stage.mf.sign(stage.wait), Number())
    await stage.ledger.has_begun("wait")
    with pytest.raises(mageflow.TaskAlreadyRunningError):
        await signature.suspend()
    await stage.signal(signature, "suspend")
    await stage.told(signature, "suspend", "already running")
    stage.gate.set()
    assert await signature.result(timeout=LIMIT) == 1


@feature()
async def suspend_of_a_queued_task(stage: Stage) -> None:
    signature = await stage.start(await stage.mf.sign(stage.far), Number(number=3))
    await reaches(signature, "pending")
    assert (await signature.suspend("not now")).stopped
    await signature.resume()
    async with stage.mf.worker(task_queues=[stage.elsewhere]):
        assert await signature.result(timeout=LIMIT) == 3


@feature()
async def lost_worker(stage: Stage) -> None:
    async with stage.silent_worker("far") as has_it:
        signature = await stage.start(await stage.mf.sign(stage.far), Number(number=3))
        await has_it.wait()
        async with stage.mf.worker(task_queues=[stage.elsewhere]):
            assert await signature.result(timeout=LIMIT) == 3


@feature()
async def lost_worker_at_most_once(stage: Stage) -> None:
    async with stage.silent_worker("far-once"):
        await fails(await stage.start(await stage.mf.sign(stage.far_once), Number()), "WorkerLostError")


@feature()
async def priority(stage: Stage) -> None:
    signature = await stage.mf.sign(stage.add)
    await stage.start(signature, Number(number=3), priority=1, fairness_key="tenant", fairness_weight=2.0)
    assert await signature.result(timeout=LIMIT) == 3


@feature()
async def delay(stage: Stage) -> None:
    signature = await stage.start(await stage.mf.sign(stage.add), Number(number=3), delay=timedelta(seconds=0.3))
    assert await signature.result(timeout=LIMIT) == 3


@feature()
async def delay_that_is_held(stage: Stage) -> None:
    signature = await stage.start(await stage.mf.sign(stage.add), Number(number=3), delay=timedelta(seconds=0.3))
    await signature.suspend()
    await asyncio.sleep(0.5)  # the timer fires while it is held: that is the feature
    await signature.resume()
    assert await signature.result(timeout=LIMIT) == 3


@feature()
async def run_and_tie_inside_a_task(stage: Stage) -> None:
    signature = await stage.start(await stage.mf.sign(stage.parent), Number(number=3))
    await stage.ledger.has_begun("parent")
    await stage.ledger.has_begun("wait")
    await signature.interrupt()
    await signature.resume()
    await stage.ledger.has_begun("parent", 2)
    await stage.ledger.has_begun("wait", 2)
    stage.gate.set()
    assert await signature.result(timeout=LIMIT) == 5


# Before the start.


@feature()
async def late_start(stage: Stage) -> None:
    chain = await stage.mf.chain([stage.add, stage.add])
    await chain.suspend("not yet")
    await chain.start(Number(number=3), priority=2)
    stage.keys.append(chain.key)
    await chain.resume()
    assert await chain.result(timeout=LIMIT) == 3


@feature()
async def late_start_after_a_resume(stage: Stage) -> None:
    signature = await stage.mf.sign(stage.add)
    await signature.interrupt()
    await signature.resume({"number": 4})
    await signature.start(Number(number=3), delay=timedelta(seconds=0.2))
    stage.keys.append(signature.key)
    assert await signature.result(timeout=LIMIT) == 4


# Chains.


@feature()
async def chain(stage: Stage) -> None:
    steps = [await stage.mf.sign(stage.add, number=number) for number in (1, 2, 3)]
    started = await stage.start(await stage.mf.chain(steps))
    assert await started.result(timeout=LIMIT) == 6


@feature()
async def chain_that_fails(stage: Stage) -> None:
    steps = [stage.add, await stage.mf.sign(stage.add, fails=9), stage.add]
    await fails(await stage.start(await stage.mf.chain(steps), Number(number=1)), "ValueError")


@feature()
async def nested(stage: Stage) -> None:
    inner = await stage.mf.chain([stage.add, await stage.mf.sign(stage.add, fails=1)], number=2)
    items = await stage.mf.swarm([inner, stage.add, inner.duplicate()], config=SwarmConfig(max_concurrency=2))
    started = await stage.start(await stage.mf.chain([stage.add, items, stage.total]), Number(number=1))
    assert await started.result(timeout=LIMIT) == 11


@feature()
async def verbs_as_updates(stage: Stage) -> None:
    chain = await stage.start(await stage.mf.chain([stage.wait, stage.add, stage.add]), Number(number=1))
    await stage.ledger.has_begun("wait")
    assert (await chain.suspend("a look")).draining
    await chain.suspend()
    stage.gate.set()
    await eventually(lambda: stage.ledger.ended["wait"], "the step has ended")
    await stage.mf.suspend(f"{chain.key}#2")
    await chain.interrupt()
    await chain.resume()
    await reaches(chain, "suspended", "2")
    await stage.mf.resume(f"{chain.key}#2")
    await chain.result(timeout=LIMIT)


@feature()
async def verbs_as_signals(stage: Stage) -> None:
    chain = await stage.start(await stage.mf.chain([stage.wait, stage.add, stage.add]), Number(number=1))
    await stage.ledger.has_begun("wait")
    await stage.signal(chain, "suspend", {"reason": "a look"})
    await stage.told(chain, "suspend")
    await stage.signal(chain, "resume", {"traget": "2"})
    await stage.told(chain, "resume", "refused")
    await stage.signal(chain, "interrupt")
    await stage.told(chain, "interrupt")
    await stage.signal(chain, "suspend", {"target": "9"})
    await stage.told(chain, "suspend", "no member")
    await stage.signal(chain, "skip", {"target": "2", "result": 7})
    await stage.told(chain, "skip")
    await stage.signal(chain, "resume", {"kwargs": {"number": 5}})
    await stage.ledger.has_begun("wait", 2)
    stage.gate.set()
    assert await chain.result(timeout=LIMIT) == 7


@feature()
async def skip(stage: Stage) -> None:
    chain = await stage.start(await stage.mf.chain([stage.wait, stage.add, stage.add, stage.add]), Number(number=1))
    await stage.ledger.has_begun("wait")
    members = {path: await stage.mf.load_signature(f"{chain.key}#{path}") for path in ("0", "2", "3")}
    await members["2"].skip(10)
    with pytest.raises(mageflow.TaskAlreadyRunningError):
        await members["0"].skip(1)
    await members["0"].interrupt()
    await members["0"].skip(1)
    assert await chain.result(timeout=LIMIT) == 10


@feature()
async def held_failure(stage: Stage) -> None:
    steps = [stage.add, await stage.mf.sign(stage.add, on_failure="suspend", fails=9)]
    chain = await stage.start(await stage.mf.chain(steps), Number(number=1))
    await reaches(chain, "suspended", "1")
    member = await stage.mf.load_signature(f"{chain.key}#1")
    await member.resume({"fails": 0})
    assert await chain.result(timeout=LIMIT) == 1


# Callbacks.


@feature()
async def success_callbacks(stage: Stage) -> None:
    mf = stage.mf
    steps = [await mf.sign(stage.add, success_callbacks=[stage.note]), stage.add]
    made = await mf.chain(steps, success_callbacks=[stage.note, await mf.chain([stage.note, stage.note])])
    chain = await stage.start(made, Number(number=1))
    assert await chain.result(timeout=LIMIT) == 1
    assert stage.ledger.ended["note"] == 4


@feature()
async def error_callbacks(stage: Stage) -> None:
    step = await stage.mf.sign(stage.add, error_callbacks=[stage.note], fails=9)
    made = await stage.mf.chain([stage.add, step], error_callbacks=[stage.note])
    await fails(await stage.start(made, Number(number=1)), "ValueError")
    assert stage.ledger.ended["note"] == 2


# Swarms.


@feature()
async def swarm(stage: Stage) -> None:
    items = [await stage.mf.sign(stage.add, number=number) for number in range(8)]
    made = await stage.mf.swarm(items, config=SwarmConfig(max_concurrency=3), is_swarm_closed=True)
    assert await (await stage.start(made)).result(timeout=LIMIT) == list(range(8))


@feature()
async def swarm_with_failures(stage: Stage) -> None:
    items = [await stage.mf.sign(stage.add, number=number, fails=9 * (number % 2)) for number in range(4)]
    made = await stage.mf.swarm(items, success_callbacks=[stage.note], is_swarm_closed=True)
    assert await (await stage.start(made)).result(timeout=LIMIT) == [0, 2]


@feature()
async def swarm_that_stops(stage: Stage) -> None:
    items = [await stage.mf.sign(stage.add, number=number, fails=9) for number in range(4)]
    config = SwarmConfig(max_concurrency=1, stop_after_n_failures=2)
    made = await stage.mf.swarm(items, config=config, error_callbacks=[stage.note], is_swarm_closed=True)
    await fails(await stage.start(made), "SwarmFailedError")


@feature()
async def add_configure_close(stage: Stage) -> None:
    config = SwarmConfig(max_concurrency=1, max_task_allowed=9)
    swarm = await stage.start(await stage.mf.swarm([stage.add], config=config), Number(number=1))
    first = await swarm.add(stage.add, {"number": 2}, id="first")
    assert (await swarm.add(stage.add, {"number": 2}, id="first")).key == first.key
    await swarm.configure(max_concurrency=3)
    await stage.signal(swarm, "configure", {"max_concurrency": 2})
    await swarm.add_many([stage.add, await stage.mf.chain([stage.add, stage.add])], [{"number": 3}, {"number": 4}])
    with pytest.raises(mageflow.TooManyTasksError):
        await swarm.add_many([stage.add] * 9)
    await swarm.suspend()
    await swarm.add(stage.add, {"number": 5})
    await swarm.resume()
    await swarm.close()
    with pytest.raises(mageflow.SwarmIsClosedError):
        await swarm.add(stage.add)
    assert await swarm.result(timeout=LIMIT) == [1, 2, 3, 8, 5]
    assert len(await swarm.outcomes()) == 5


@feature()
async def close_as_a_signal(stage: Stage) -> None:
    swarm = await stage.start(await stage.mf.swarm([stage.add]), Number(number=1))
    await stage.signal(swarm, "close")
    assert await swarm.result(timeout=LIMIT) == [1]


@feature()
async def retry_failed(stage: Stage) -> None:
    items = [stage.add, await stage.mf.sign(stage.add, fails=2)]
    swarm = await stage.start(await stage.mf.swarm(items), Number(number=1))
    await reaches(swarm, "failed", "1")
    await swarm.retry_failed()
    await eventually(lambda: stage.ledger.begun["add"] == 5, "the failed item has run again")
    await reaches(swarm, "failed", "1")
    await stage.signal(swarm, "retry_failed")
    await eventually(lambda: stage.ledger.begun["add"] == 7, "the failed item has run again")
    await swarm.close()
    assert await swarm.result(timeout=LIMIT) == [1]
    again = await swarm.retry_failed()
    stage.keys.append(again.key)
    assert await again.result(timeout=LIMIT) == []


@feature()
async def item_that_is_held_gives_up_its_place(stage: Stage) -> None:
    made = await stage.mf.swarm([stage.wait, stage.add], config=SwarmConfig(max_concurrency=1), is_swarm_closed=True)
    swarm = await stage.start(made, Number(number=1))
    await stage.ledger.has_begun("wait")
    await stage.mf.interrupt(f"{swarm.key}#0")
    await reaches(swarm, "done", "1")
    stage.gate.set()
    await stage.mf.resume(f"{swarm.key}#0")
    assert await swarm.result(timeout=LIMIT) == [2, 1]


@feature()
async def pages(stage: Stage) -> None:
    items = [await stage.mf.sign(stage.text, number=100 * 1024) for _ in range(12)]
    made = await stage.mf.chain([await stage.mf.swarm(items, success_callbacks=[stage.letters]), stage.letters])
    chain = await stage.start(made)
    assert await chain.result(timeout=LIMIT) == 12 * 100 * 1024


@feature()
async def large_swarm(stage: Stage) -> None:
    mapped = await stage.mf.map(stage.add, range(1_100), config=SwarmConfig(max_concurrency=100))
    assert await (await stage.start(mapped)).result(timeout=LIMIT) == list(range(1_100))


@feature(events_per_run=1_000)
async def new_runs_of_a_large_swarm(stage: Stage) -> None:
    swarm = await stage.start(await stage.mf.swarm(config=SwarmConfig(max_concurrency=100)))
    await swarm.add_many([stage.add] * 700, [Number(number=number) for number in range(700)])
    await swarm.close()
    assert await swarm.result(timeout=LIMIT) == list(range(700))


@feature()
async def map_of_the_result_before(stage: Stage) -> None:
    mapped = await stage.mf.map(stage.add, config=SwarmConfig(max_concurrency=2), number=1)
    chain = await stage.start(await stage.mf.chain([stage.numbers, mapped, stage.total]), Number(number=4))
    assert await chain.result(timeout=LIMIT) == 10


@feature()
async def map_of_no_list(stage: Stage) -> None:
    made = await stage.mf.chain([stage.add, await stage.mf.map(stage.add)])
    await fails(await stage.start(made, Number(number=4)), "NotAListError")


# Ends that come from outside.


@feature()
async def cancel(stage: Stage) -> None:
    made = await stage.mf.swarm([stage.wait, await stage.mf.chain([stage.wait, stage.add])], is_swarm_closed=True)
    swarm = await stage.start(made, Number())
    await stage.ledger.has_begun("wait", 2)
    await stage.client.get_workflow_handle(swarm.key).cancel()
    with pytest.raises(mageflow.SignatureCanceledError):
        await swarm.result(timeout=LIMIT)


# New runs.


@feature(events_per_run=10)
async def new_runs_of_a_chain(stage: Stage) -> None:
    steps = [await stage.mf.sign(stage.add, number=number, fails=number % 2) for number in range(6)]
    made = await stage.mf.chain(steps, success_callbacks=[stage.note])
    assert await (await stage.start(made)).result(timeout=LIMIT) == 15


@feature(events_per_run=10)
async def new_runs_of_what_is_nested(stage: Stage) -> None:
    items = await stage.mf.swarm([await stage.mf.chain([stage.add, stage.add], number=2), stage.add])
    mapped = await stage.mf.map(stage.add, number=1)
    made = await stage.mf.chain([stage.add, items, mapped, stage.total])
    assert await (await stage.start(made, Number(number=1))).result(timeout=LIMIT) == 8


@feature(events_per_run=10)
async def new_runs_of_a_swarm(stage: Stage) -> None:
    inner = await stage.mf.chain([stage.add, stage.add], error_callbacks=[stage.note])
    swarm = await stage.start(await stage.mf.swarm([inner], config=SwarmConfig(max_concurrency=2)), Number(number=1))
    for number in (2, 3, 4):
        await swarm.add(stage.add, {"number": number, "fails": 9 * (number == 4)}, id=f"request {number}")
    await swarm.add(inner.duplicate())
    await swarm.close()
    assert await swarm.result(timeout=LIMIT) == [1, 2, 3, 1]


@feature(events_per_run=10)
async def new_runs_while_it_is_held(stage: Stage) -> None:
    chain = await stage.start(await stage.mf.chain([stage.wait, stage.add]), Number(number=1))
    await stage.ledger.has_begun("wait")
    await chain.interrupt("a look")
    for _ in range(4):
        await stage.mf.suspend(f"{chain.key}#1")
        await stage.mf.resume(f"{chain.key}#1")
    await reaches(chain, "interrupted")
    stage.gate.set()
    await chain.resume()
    await chain.result(timeout=LIMIT)
