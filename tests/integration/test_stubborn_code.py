"""Code that does not stop when it is told to, on the event loop and in threads: each case ends in a defined state."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.support import DEADLINE, Ledger, eventually, reaches

SOLO = ["task", "step"]


async def compose(mf: Mageflow, kind: str) -> tuple[Any, str]:
    """Return a signature in which `stubborn` is alone or a step, and the path of `stubborn`."""
    if kind == "task":
        return await mf.sign("stubborn"), ""
    return await mf.chain(["stubborn", "after"]), "0"


def add_after(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="after")
    async def after(msg: dict[str, Any]) -> Any:
        await ledger.work("after")
        return msg["mageflow_results"]


@pytest.mark.parametrize("kind", SOLO)
async def test_a_value_returned_in_spite_of_an_interrupt_counts(mf: Mageflow, ledger: Ledger, kind: str) -> None:
    @mf.task(name="stubborn")
    async def stubborn() -> str:
        ledger.begun["stubborn"] += 1
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "all the same"
        return "never"

    add_after(mf, ledger)
    async with mf.worker():
        signature, path = await compose(mf, kind)
        await signature.start()
        await ledger.has_begun("stubborn")
        report = await signature.interrupt()
        assert report.cancelled == []
        if kind == "task":
            assert report.status == "done"
        else:
            assert report.status == "interrupted"
            assert (await signature.status()).find(path).status == "done"
            assert ledger.begun["after"] == 0, "the chain is interrupted all the same"
            await signature.resume()
        assert await signature.result() == "all the same"
    assert ledger.begun["stubborn"] == 1


@pytest.mark.parametrize("outcome", ["returns", "stops"])
async def test_an_interrupt_waits_for_code_that_goes_on_and_its_caller_may_stop_waiting(
    mf: Mageflow, ledger: Ledger, outcome: str
) -> None:
    gate = asyncio.Event()

    @mf.task(name="stubborn")
    async def stubborn() -> str:
        ledger.begun["stubborn"] += 1
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ledger.cancelled["stubborn"] += 1
            await gate.wait()
            if outcome == "stops":
                raise
        return "in its own time"

    async with mf.worker():
        signature = await (await mf.sign(stubborn)).start()
        await ledger.has_begun("stubborn")
        waiting = asyncio.create_task(signature.interrupt())
        await eventually(lambda: ledger.cancelled["stubborn"], "the code was told")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await signature.interrupt()
        assert not waiting.done()
        assert (await signature.status()).status == "active", "its code runs"
        gate.set()
        report = await waiting
        if outcome == "returns":
            assert report.status == "done"
            assert await signature.result() == "in its own time"
        else:
            assert (report.status, report.cancelled) == ("interrupted", [signature.key])
            assert (await signature.status()).status == "interrupted"
            await signature.remove()
    assert ledger.begun["stubborn"] == ledger.cancelled["stubborn"] == 1


async def test_a_resume_while_code_still_stops_lets_it_run_again_afterwards(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="stubborn")
    async def stubborn() -> str:
        ledger.begun["stubborn"] += 1
        if ledger.begun["stubborn"] > 1:
            return "again"
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ledger.cancelled["stubborn"] += 1
            await gate.wait()
            raise
        return "never"

    async with mf.worker():
        signature = await (await mf.sign(stubborn)).start()
        await ledger.has_begun("stubborn")
        interrupting = asyncio.create_task(signature.interrupt())
        await eventually(lambda: ledger.cancelled["stubborn"], "the code was told")
        await signature.resume()
        assert ledger.begun["stubborn"] == 1, "one run at a time"
        gate.set()
        await interrupting
        assert await signature.result() == "again"
    assert ledger.begun["stubborn"] == 2


@pytest.mark.parametrize("kind", SOLO)
async def test_an_error_during_a_cancellation_is_kept_and_the_task_is_interrupted(
    mf: Mageflow, ledger: Ledger, kind: str
) -> None:
    @mf.task(name="stubborn")
    async def stubborn() -> str:
        ledger.begun["stubborn"] += 1
        if ledger.begun["stubborn"] > 1:
            return "the second time"
        try:
            await asyncio.sleep(3600)
        finally:
            raise ConnectionError("the door is jammed")

    add_after(mf, ledger)
    async with mf.worker():
        signature, path = await compose(mf, kind)
        await signature.start()
        await ledger.has_begun("stubborn")
        report = await signature.interrupt()
        assert report.status == "interrupted"
        member = (await signature.status()).find(path)
        assert member.status == "interrupted"
        assert member.error.message == "ConnectionError: the door is jammed"
        await signature.resume()
        assert await signature.result() == "the second time"
    assert ledger.begun["stubborn"] == 2, "it had not failed: no attempt was used up"


async def test_code_that_cancels_itself_has_failed(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="stubborn", retries=1, backoff_max_seconds=0.01)
    async def stubborn() -> None:
        ledger.begun["stubborn"] += 1
        raise asyncio.CancelledError

    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError, match="the task's code cancelled itself"):
            await (await mf.sign(stubborn)).run()
    assert ledger.begun["stubborn"] == 2


async def test_a_thread_that_catches_its_cancellation_and_returns_is_done(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="stubborn")
    def stubborn() -> str:
        ledger.begun["stubborn"] += 1
        try:
            while True:
                time.sleep(0.01)
        except asyncio.CancelledError:
            return "all the same"

    async with mf.worker():
        signature = await (await mf.sign(stubborn)).start()
        await ledger.has_begun("stubborn")
        report = await signature.interrupt()
        assert (report.status, report.cancelled) == ("done", [])
        assert await signature.result() == "all the same"


async def test_a_thread_that_swallows_everything_is_waited_for(mf: Mageflow, ledger: Ledger) -> None:
    gate = threading.Event()

    @mf.task(name="stubborn")
    def stubborn() -> str:
        ledger.begun["stubborn"] += 1
        while not gate.is_set():
            try:
                while not gate.is_set():
                    time.sleep(0.01)
            except BaseException:
                ledger.cancelled["stubborn"] += 1
        return "in its own time"

    async with mf.worker():
        signature = await (await mf.sign(stubborn)).start()
        await ledger.has_begun("stubborn")
        waiting = asyncio.create_task(signature.interrupt())
        await eventually(lambda: ledger.cancelled["stubborn"], "the code was told")
        assert not waiting.done()
        gate.set()
        assert (await waiting).status == "done"
        assert await signature.result() == "in its own time"
    assert ledger.cancelled["stubborn"] == 1


async def test_a_thread_in_a_c_call_stops_when_the_call_returns(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="stubborn")
    def stubborn() -> str:
        ledger.begun["stubborn"] += 1
        time.sleep(2)
        ledger.ended["stubborn"] += 1
        return "never"

    async with mf.worker():
        signature = await (await mf.sign(stubborn)).start()
        await ledger.has_begun("stubborn")
        report = await signature.interrupt()
        assert (report.status, report.cancelled) == ("interrupted", [signature.key])
        assert ledger.ended["stubborn"] == 0, "nothing of it ran after the call"
        assert await signature.resume()
        await ledger.has_begun("stubborn", 2)
        await signature.result(timeout=DEADLINE)
    assert ledger.ended["stubborn"] == 1


async def test_a_cancelled_threads_exception_never_hits_the_next_task_of_the_thread(
    mf: Mageflow, ledger: Ledger
) -> None:
    @mf.task(name="quick")
    def quick(msg: dict[str, int]) -> int:
        time.sleep(0.002)
        return msg["number"]

    async with mf.worker(max_concurrent_tasks=4):
        swarm = await (
            await mf.swarm([await mf.sign(quick, number=n) for n in range(60)], is_swarm_closed=True)
        ).start()
        for _ in range(15):
            try:
                await swarm.interrupt()
                await swarm.resume()
            except mageflow.SignatureEndedError:
                break
        assert await swarm.result(timeout=DEADLINE) == list(range(60)), "each ran to its end, once it was let"
        assert (await swarm.status()).counts.failed == 0


async def test_a_stubborn_task_does_not_keep_other_verbs_waiting(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="stubborn")
    async def stubborn() -> str:
        ledger.begun["stubborn"] += 1
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                ledger.cancelled["stubborn"] += 1
        return "in its own time"

    @mf.task(name="other")
    async def other() -> str:
        return await ledger.work("other", gate)

    async with mf.worker():
        swarm = await (await mf.swarm([stubborn, other], is_swarm_closed=True)).start()
        await ledger.has_begun("stubborn")
        await ledger.has_begun("other")
        first = mageflow.Member(mf, f"{swarm.key}#0")
        waiting = asyncio.create_task(first.interrupt())
        await eventually(lambda: ledger.cancelled["stubborn"], "the code was told")
        second = mageflow.Member(mf, f"{swarm.key}#1")
        assert (await second.interrupt()).status == "interrupted"
        assert (await second.resume()).status in ("pending", "active")
        assert (await swarm.suspend()).status == "suspended"
        await swarm.resume()
        assert not waiting.done()
        gate.set()
        await waiting
        assert await swarm.result(timeout=DEADLINE) == ["in its own time", "other"]


async def test_a_worker_that_stops_hands_its_running_task_back_with_its_checkpoint(
    mf: Mageflow, ledger: Ledger
) -> None:
    @mf.task(name="stubborn")
    async def stubborn() -> str:
        ledger.begun["stubborn"] += 1
        found = mageflow.current_task().resumed_from()
        if found:
            return f"resumed from {found}"
        mageflow.current_task().checkpoint("half")
        await asyncio.sleep(3600)
        return "never"

    async with mf.worker(shutdown_grace=timedelta(0)):
        signature = await (await mf.sign(stubborn)).start()
        await ledger.has_begun("stubborn")
    async with mf.worker():
        await reaches(signature, "done")
        assert await signature.result() == "resumed from half"
    assert ledger.begun["stubborn"] == 2
