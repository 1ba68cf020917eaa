"""What was once stuck for ever, or stopped more than it should."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, SwarmConfig, current_task
from tests.support import DEADLINE, Ledger, eventually, reaches

LONG = 120.0
"""Seconds, for what thousands of calls take."""


async def test_sys_exit_in_a_task_fails_the_task_and_not_its_worker(mf: Mageflow) -> None:
    @mf.task(name="quits")
    async def quits() -> None:
        sys.exit(3)

    @mf.task(name="quits in a thread")
    def quits_in_a_thread() -> None:
        sys.exit("no")

    async with mf.worker():
        for task in (quits, quits_in_a_thread):
            with pytest.raises(mageflow.TaskFailedError, match="the task called sys.exit"):
                await (await mf.sign(task)).run(timeout=20)


class Odd(BaseException):
    """An error of the kind that frameworks use to get past `except Exception`."""


async def test_whatever_a_task_raises_fails_the_task_and_not_its_worker(mf: Mageflow) -> None:
    raised: list[BaseException] = [
        KeyboardInterrupt("of its own"),
        Odd("of its own"),
        BaseExceptionGroup("two", [Odd("of its own"), ValueError()]),
    ]

    @mf.task(name="raises", retries=1, backoff_max_seconds=0.01)
    async def raises(msg: dict[str, int]) -> None:
        current_task().checkpoint(msg["index"])
        if current_task().attempt == 2:
            assert current_task().resumed_from(int) == msg["index"]
        raise raised[msg["index"]]

    @mf.task(name="raises in a thread")
    def raises_in_a_thread() -> None:
        raise KeyboardInterrupt("of its own")

    for running in (mf.worker, mf.local_execution):
        async with running():
            for index, error in enumerate(raised):
                with pytest.raises(mageflow.TaskFailedError, match="of its own") as caught:
                    await (await mf.sign(raises)).run({"index": index}, timeout=20)
                assert (caught.value.type, caught.value.attempts) == (type(error).__name__, 2)
            assert caught.value.error.endswith("Odd: of its own; ValueError: (without a message)")
            with pytest.raises(mageflow.TaskFailedError, match="KeyboardInterrupt: of its own"):
                await (await mf.sign(raises_in_a_thread)).run(timeout=20)


async def test_text_that_utf8_has_no_form_for_passes_as_a_result(mf: Mageflow) -> None:
    @mf.task(name="odd name")
    async def odd_name() -> Any:
        return "caf\udce9.txt"

    @mf.task(name="odd text")
    async def odd_text() -> str:
        return "caf\udce9.txt"

    async with mf.worker():
        for task in (odd_name, odd_text):
            assert await (await mf.sign(task)).run(timeout=20) == "caf\udce9.txt"


async def test_sizes_are_counted_as_they_are_on_the_wire(mf: Mageflow) -> None:
    @mf.task(name="cyrillic")
    async def cyrillic() -> str:
        return "ж" * 50_000

    # 400,000 characters, but 2.4 MB as the SDK's converter writes them: more than a payload, and so in pages.
    async with mf.worker():
        assert await (await mf.swarm([cyrillic] * 8)).run(timeout=40) == ["ж" * 50_000] * 8


async def test_many_large_messages_are_sent_in_several_workflow_tasks(mf: Mageflow) -> None:
    @mf.task(name="length")
    async def length(msg: dict[str, str]) -> int:
        return len(msg["text"])

    async with mf.worker():
        swarm = await mf.swarm([length] * 30)
        assert await swarm.run({"text": "x" * 200_000}, timeout=60) == [200_000] * 30


async def test_an_errors_details_can_be_anything(mf: Mageflow) -> None:
    @mf.task(name="odd details")
    async def odd_details() -> None:
        raise ApplicationError("boom", {"mageflow.handover": 5}, {"mageflow": 5}, 7)

    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError, match="boom"):
            await (await mf.sign(odd_details)).run(timeout=20)


async def test_more_items_at_once_than_the_server_lets_be_pending(mf: Mageflow) -> None:
    @mf.task(name="one")
    async def one() -> int:
        return 1

    async with mf.worker():
        swarm = await mf.swarm([one] * 2_200, config=SwarmConfig(max_concurrency=2_200))
        assert sum(await swarm.run(timeout=120)) == 2_200


async def test_as_many_calls_are_on_their_way_as_temporal_lets_be_and_a_few_less(mf: Mageflow) -> None:
    @mf.task(name="queued", task_queue="nobody-serves-this")
    async def queued() -> None: ...

    async with mf.worker(task_queues=[mf.config.task_queue]):
        swarm = await mf.swarm([queued] * 1_700, config=SwarmConfig(max_concurrency=1_700))
        await swarm.start()
        handle = (await mf.client()).get_workflow_handle(swarm.key)

        async def on_their_way() -> int:
            return len((await handle.describe()).raw_description.pending_activities)

        async def are_many() -> bool:
            return await on_their_way() >= 1_500

        await eventually(are_many, "as many as can be are on their way", LONG)
        await swarm.close()  # by now whatever was to follow has
        assert await on_their_way() == 1_500
        await handle.terminate()


async def test_no_time_to_wait_is_no_time_to_wait(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="long")
    async def long() -> str:
        return await ledger.work("long", seconds=60)

    async with mf.worker():
        signature = await mf.sign(long)
        await signature.start()
        with pytest.raises(mageflow.ResultTimeoutError):
            await signature.result(timeout=0)
        await ledger.has_begun("long")
        await signature.interrupt()


async def test_a_resume_after_two_holds_goes_back_to_what_was_before_the_first(mf: Mageflow) -> None:
    @mf.task(name="queued", task_queue="nobody-serves-this")
    async def queued() -> None: ...

    async with mf.worker(task_queues=[mf.config.task_queue]):
        signature = await mf.sign(queued)
        await signature.start()
        await signature.suspend()
        await signature.interrupt()
        report = await signature.resume()
        assert (report.status, report.last_status) == ("pending", "interrupted")
        await signature.interrupt()


async def test_what_a_new_worker_is_told_first_can_be_replayed_by_another(mf: Mageflow) -> None:
    """Outcomes from which nothing followed must have left their mark before a worker that knows nothing of them."""
    gates = {"first": asyncio.Event(), "second": asyncio.Event()}

    @mf.task(name="item", task_queue=f"{mf.config.task_queue}-apart")
    async def item(msg: dict[str, str]) -> str:
        await gates[msg["name"]].wait()
        return msg["name"]

    async with mf.worker(task_queues=[f"{mf.config.task_queue}-apart"]):
        async with mf.worker(task_queues=[mf.config.task_queue]):
            swarm = await mf.swarm([await mf.sign(item, name=name) for name in gates])
            await swarm.start({})
            for number, gate in enumerate(gates.values()):
                await reaches(swarm, "active", f"{number}")
                gate.set()
                await reaches(swarm, "done", f"{number}")
        suspending = asyncio.create_task(swarm.suspend())
        await asyncio.sleep(0)
        async with mf.worker(task_queues=[mf.config.task_queue]):
            assert (await suspending).status == "suspended"
        async with mf.worker(task_queues=[mf.config.task_queue]):
            await asyncio.wait_for(swarm.resume(), DEADLINE)
            await swarm.close()
            assert await swarm.result(timeout=DEADLINE) == ["first", "second"]
