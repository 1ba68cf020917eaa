"""Tasks, chains and swarms run to their results on a real server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, ReturnValue, SwarmConfig
from tests.support import Ledger, eventually


class Number(BaseModel):
    value: int = 0


class Sum(BaseModel):
    before: ReturnValue[Number]
    add: int = 1


async def test_a_task_gets_its_message_and_gives_its_result_as_models(mf: Mageflow) -> None:
    @mf.task(name="double")
    async def double(msg: Number) -> Number:
        return Number(value=msg.value * 2)

    async with mf.worker():
        signature = await mf.sign(double)
        assert await signature.run(Number(value=21)) == Number(value=42)
        assert signature.key.startswith("double-")


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_task_runs_on_the_loop_or_in_a_thread_as_it_is_written(mf: Mageflow, kind: str) -> None:
    import threading

    if kind == "loop":

        @mf.task(name="where")
        async def where() -> bool:
            return threading.current_thread() is threading.main_thread()

    else:

        @mf.task(name="where")
        def where() -> bool:
            return threading.current_thread() is threading.main_thread()

    async with mf.worker():
        assert await (await mf.sign(where)).run() is (kind == "loop")


async def test_each_step_of_a_chain_gets_the_result_of_the_one_before(mf: Mageflow) -> None:
    @mf.task(name="begin")
    async def begin(msg: Number) -> Number:
        return Number(value=msg.value + 1)

    @mf.task(name="plus")
    async def plus(msg: Sum) -> Number:
        return Number(value=msg.before.value + msg.add)

    async with mf.worker():
        chain = await mf.chain([begin, plus, await mf.sign(plus, add=10), "plus"], name="sums")
        assert await chain.run(Number(value=1)) == Number(value=14)


async def test_a_result_without_a_marked_field_comes_as_mageflow_results(mf: Mageflow) -> None:
    class Plain(BaseModel):
        mageflow_results: list[int]

    @mf.task(name="make")
    async def make() -> list[int]:
        return [1, 2, 3]

    @mf.task(name="take")
    async def take(msg: Plain) -> int:
        return sum(msg.mageflow_results)

    async with mf.worker():
        assert await (await mf.chain([make, take])).run() == 6


async def test_a_swarm_runs_at_most_max_concurrency_items_at_once(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="item")
    async def item(msg: Number) -> int:
        await ledger.work("item", seconds=0.05)
        return msg.value

    async with mf.worker():
        signatures = [await mf.sign(item, value=number) for number in range(20)]
        swarm = await mf.swarm(signatures, config=SwarmConfig(max_concurrency=4))
        assert await swarm.run() == list(range(20)), "results are in the order of submission"
    assert ledger.most_at_once == 4


async def test_an_open_swarm_is_done_only_when_it_is_closed(mf: Mageflow) -> None:
    @mf.task(name="item")
    async def item() -> str:
        return "x"

    async with mf.worker():
        swarm = await mf.swarm([item, item])
        await swarm.start()
        with pytest.raises(mageflow.ResultTimeoutError, match="had not ended after 0.3 s"):
            await swarm.result(timeout=0.3)
        await swarm.close()
        assert await swarm.result(timeout=10) == ["x", "x"]


async def test_containers_nest_to_any_depth(mf: Mageflow) -> None:
    @mf.task(name="one")
    async def one() -> int:
        return 1

    @mf.task(name="total")
    async def total(msg: dict[str, Any]) -> int:
        found = msg["mageflow_results"]
        return sum(found) if isinstance(found, list) else found + 100

    async with mf.worker():
        inner = await mf.chain([one, total], name="inner")
        fan = await mf.swarm([inner, one, await mf.chain([await mf.swarm([one, one]), total])], name="fan")
        outer = await mf.chain([one, fan, total], name="outer")
        assert await outer.run() == 101 + 1 + 2


async def test_kwargs_of_a_container_win_over_an_items_which_win_over_the_message(mf: Mageflow) -> None:
    @mf.task(name="echo")
    async def echo(msg: dict[str, Any]) -> dict[str, Any]:
        return msg

    async with mf.worker():
        item = await mf.sign(echo, b="item", c="item", deep={"x": "item"})
        swarm = await mf.swarm([item], c="swarm")
        [got] = await swarm.run({"a": "message", "b": "message", "c": "message", "deep": {"x": 1, "y": 2}})
        assert got == {"a": "message", "b": "item", "c": "swarm", "deep": {"x": "item", "y": 2}}


async def test_retries_3_is_four_attempts(mf: Mageflow) -> None:
    attempts: list[int] = []

    @mf.task(name="flaky", retries=3, backoff_max_seconds=0.01)
    async def flaky() -> None:
        attempts.append(mageflow.current_task().attempt)
        raise ValueError(f"no {len(attempts)}")

    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await (await mf.sign(flaky)).run()
    assert attempts == [1, 2, 3, 4]
    error = caught.value
    assert (error.attempts, error.type, error.error, error.task) == (4, "ValueError", "no 4", "flaky")
    assert "raise ValueError" in (error.traceback or "")


async def test_an_attempt_that_takes_too_long_is_retried(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="slow", retries=1, execution_timeout=timedelta(seconds=1), backoff_max_seconds=0.01)
    async def slow() -> str:
        return await ledger.work("slow", seconds=0 if ledger.begun["slow"] else 60)

    async with mf.worker():
        assert await (await mf.sign(slow)).run() == "slow"
    assert ledger.begun["slow"] == 2


async def test_a_task_that_nobody_takes_up_fails_after_its_schedule_timeout(mf: Mageflow) -> None:
    @mf.task(name="elsewhere", task_queue="nobody-listens-here", schedule_timeout=timedelta(seconds=1), retries=5)
    async def elsewhere() -> None: ...

    async with mf.worker(task_queues=[mf.config.task_queue]):
        with pytest.raises(mageflow.TaskFailedError, match="no worker took the task up within its schedule_timeout"):
            await (await mf.sign(elsewhere)).run()


async def test_a_failing_step_ends_its_chain_and_names_itself(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="ok")
    async def ok() -> str:
        return await ledger.work("ok")

    @mf.task(name="bad")
    async def bad() -> None:
        raise RuntimeError("broken")

    async with mf.worker():
        chain = await mf.chain([ok, bad, ok])
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await chain.run()
        assert caught.value.key == f"{chain.key}#1"
        report = await chain.status()
    assert [child.status for child in report.children] == ["done", "failed", "canceled"]
    assert ledger.begun["ok"] == 1


async def test_failures_below_the_threshold_leave_a_swarm_successful(mf: Mageflow) -> None:
    @mf.task(name="odd_fails")
    async def odd_fails(msg: Number) -> int:
        if msg.value % 2:
            raise ValueError(msg.value)
        return msg.value

    async with mf.worker():
        swarm = await mf.swarm([await mf.sign(odd_fails, value=n) for n in range(6)])
        assert await swarm.run() == [0, 2, 4]


async def test_a_swarm_fails_at_its_threshold_and_begins_nothing_more(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="bad")
    async def bad() -> None:
        ledger.begun["bad"] += 1
        raise ValueError("no")

    async with mf.worker():
        swarm = await mf.swarm([bad] * 10, config=SwarmConfig(max_concurrency=1, stop_after_n_failures=3))
        with pytest.raises(mageflow.SwarmFailedError) as caught:
            await swarm.run()
    assert caught.value.failures == 3
    assert ledger.begun["bad"] == 3


async def test_starting_twice_with_one_id_starts_once(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="once")
    async def once() -> str:
        return await ledger.work("once")

    async with mf.worker():
        key = f"{mf.config.task_queue}-order-1"
        first, second = await mf.sign(once), await mf.sign(once)
        await asyncio.gather(first.start(id=key), second.start(id=key))
        assert await first.result() == await second.result() == "once"
        third = await mf.sign(once)
        assert await third.run(id=key) == "once", "also after its end"
    assert ledger.begun["once"] == 1


async def test_a_signature_is_found_by_its_key_with_its_name_and_typed_result(mf: Mageflow) -> None:
    @mf.task(name="num")
    async def num() -> Number:
        return Number(value=3)

    async with mf.worker():
        swarm = await mf.swarm([num, num], name="nums")
        await swarm.run()
        loaded = await mf.load_signature(swarm.key)
        assert isinstance(loaded, mageflow.Signature)
        assert (loaded.kind, loaded.name) == ("swarm", "nums")
        assert await loaded.result() == [Number(value=3), Number(value=3)]
        member = await mf.load_signature(f"{swarm.key}#1")
        assert member is not None
        assert (await member.status()).status == "done"
        assert await mf.load_signature(f"{swarm.key}#7") is None
        assert await mf.load_signature("never-started") is None


async def test_a_removed_signature_is_stopped_and_gone(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="long")
    async def long() -> str:
        return await ledger.work("long", seconds=60)

    async with mf.worker():
        signature = await mf.sign(long)
        await signature.start()
        await ledger.has_begun("long")
        await signature.remove()
        assert ledger.cancelled["long"] == 1
        # The server deletes when its queue next notes how far it is.
        await eventually(lambda: _gone(mf, signature.key), "the signature is gone", deadline=60)


async def _gone(mf: Mageflow, key: str) -> bool:
    return await mf.load_signature(key) is None


async def test_temporals_own_cancel_ends_a_signature_as_canceled(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="long")
    async def long() -> str:
        return await ledger.work("long", seconds=60)

    async with mf.worker():
        chain = await mf.chain([long, long])
        await chain.start()
        await ledger.has_begun("long")
        await (await mf.client()).get_workflow_handle(chain.key).cancel()
        with pytest.raises(mageflow.SignatureCanceledError, match="was canceled"):
            await chain.result(timeout=10)
        report = await chain.status()
    assert report.status == "canceled"
    assert ledger.begun["long"] == ledger.cancelled["long"] == 1


async def test_a_task_is_an_ordinary_activity_that_any_workflow_can_call(mf: Mageflow) -> None:
    from temporalio import workflow
    from temporalio.worker import Worker

    @mf.task(name="shout")
    async def shout(msg: Number) -> str:
        return "!" * msg.value

    client = await mf.client()
    async with mf.worker(), Worker(client, task_queue=f"{mf.config.task_queue}-own", workflows=[OwnWorkflow]):
        got = await client.execute_workflow(
            OwnWorkflow.run,
            mf.config.task_queue,
            id=f"own-{mf.config.task_queue}",
            task_queue=f"{mf.config.task_queue}-own",
        )
    assert got == "!!!"


from temporalio import workflow  # noqa: E402


@workflow.defn(sandboxed=False)
class OwnWorkflow:
    """A user's own workflow, which knows nothing of this package."""

    @workflow.run
    async def run(self, task_queue: str) -> str:
        return await workflow.execute_activity(
            "shout", {"value": 3}, task_queue=task_queue, start_to_close_timeout=timedelta(seconds=10), result_type=str
        )
