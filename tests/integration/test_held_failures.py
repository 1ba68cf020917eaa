"""Failures that are held, corrected arguments, and members that are skipped."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio import activity, worker
from temporalio.plugin import SimplePlugin

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, SwarmConfig
from mageflow_temporal.protocol import TAKE_BACK
from tests.support import Ledger, eventually, reaches


class Sum(BaseModel):
    number: int = 0
    mageflow_results: int | None = None


def sums(mf: Mageflow, ledger: Ledger, retries: int = 0) -> Any:
    @mf.task(name="add", retries=retries, backoff_max_seconds=0.01)
    async def add(msg: Sum) -> int:
        await ledger.work(f"add {msg.number}")
        if msg.number < 0:
            problem = f"{msg.number} is negative"
            raise ValueError(problem)
        return (msg.mageflow_results or 0) + msg.number

    return add


def noting(mf: Mageflow, ledger: Ledger, name: str) -> Any:
    @mf.task(name=name)
    async def note(msg: dict[str, Any]) -> None:
        await ledger.work(name)

    return note


async def test_a_chain_waits_suspended_instead_of_failing_and_goes_on_with_corrected_kwargs(
    mf: Mageflow, ledger: Ledger
) -> None:
    add, on_error = sums(mf, ledger, retries=1), noting(mf, ledger, "on error")
    steps = [await mf.sign(add, number=number) for number in (1, -2, 3)]
    async with mf.worker():
        chain = await mf.chain(steps, name="held", on_failure="suspend", error_callbacks=[on_error])
        await chain.start()
        report = await reaches(chain, "suspended")
        assert "ValueError: -2 is negative" in (report.reason or "")
        failed = report.children[1]
        assert failed.error is not None
        assert failed.error.attempt == 2, "retries come first"
        assert ledger.begun["add -2"] == 2
        assert failed.status == "suspended"

        await chain.resume()  # nothing is corrected: it fails again, with all its retries
        await eventually(lambda: ledger.begun["add -2"] == 4, "all retries again")
        await reaches(chain, "suspended")

        await mf.resume(f"{chain.key}#1", kwargs={"number": 2})  # the container is still held
        assert (await chain.status()).status == "suspended"
        await chain.resume()
        assert await chain.result(timeout=20) == 6
    assert ledger.begun["add 1"] == 1
    assert ledger.begun["on error"] == 0


async def test_corrected_kwargs_win_over_all_and_reach_every_task_that_begins_below(
    mf: Mageflow, ledger: Ledger
) -> None:
    add = sums(mf, ledger)
    async with mf.worker():
        chain = await mf.chain([await mf.sign(add, number=-1), add], on_failure="suspend", number=-5)
        await chain.start({"number": -3})
        await reaches(chain, "suspended")
        await chain.resume(kwargs={"number": 20})
        assert await chain.result(timeout=20) == 40
    assert ledger.begun == {"add -5": 1, "add 20": 2}


async def test_an_item_that_is_held_keeps_its_failure_from_the_swarm_and_gives_up_its_place(
    mf: Mageflow, ledger: Ledger
) -> None:
    add = sums(mf, ledger)
    async with mf.worker():
        items = [await mf.sign(add, number=-1, on_failure="suspend"), await mf.sign(add, number=2)]
        swarm = await mf.swarm(
            items, is_swarm_closed=True, config=SwarmConfig(max_concurrency=1, stop_after_n_failures=1)
        )
        await swarm.start()
        await reaches(swarm, "suspended", "0")
        await reaches(swarm, "done", "1")
        await mf.resume(f"{swarm.key}#0", kwargs={"number": 1})
        assert await swarm.result(timeout=20) == [1, 2]


async def test_a_swarm_is_held_at_its_threshold_and_not_before(mf: Mageflow, ledger: Ledger) -> None:
    add = sums(mf, ledger)
    async with mf.worker():
        items = [await mf.sign(add, number=number) for number in (-1, -2, 3)]
        config = SwarmConfig(max_concurrency=1, stop_after_n_failures=2)
        swarm = await mf.swarm(items, config=config, is_swarm_closed=True, on_failure="suspend")
        await swarm.start()
        report = await reaches(swarm, "suspended")
        assert [child.status for child in report.children] == ["failed", "suspended", "suspended"]
        again = await swarm.retry_failed()
        assert again.key == swarm.key
        await swarm.resume(kwargs={"number": 7})
        assert await swarm.result(timeout=20) == [7, 7, 7]


async def test_a_map_of_what_is_no_list_is_held_too_and_can_be_skipped(mf: Mageflow, ledger: Ledger) -> None:
    add, last = sums(mf, ledger), noting(mf, ledger, "last")
    async with mf.worker():
        chain = await mf.chain([await mf.sign(add, number=5), await mf.map(add), last], on_failure="suspend")
        await chain.start()
        assert "NotAListError" in ((await reaches(chain, "suspended")).reason or "")
        await mf.skip(f"{chain.key}#1", [1, 2])
        await chain.resume()
        await chain.result(timeout=20)
    assert ledger.ended["last"] == 1


async def test_a_failing_callback_is_no_reason_to_hold_what_it_was_called_for(mf: Mageflow, ledger: Ledger) -> None:
    add = sums(mf, ledger)
    async with mf.worker():
        signature = await mf.sign(
            add, number=1, on_failure="suspend", success_callbacks=[await mf.sign(add, number=-1)]
        )
        assert await signature.run(timeout=20) == 1
        assert (await signature.status()).callbacks[0].status == "failed"


async def test_a_member_is_skipped_before_its_turn_while_held_and_between_attempts(
    mf: Mageflow, ledger: Ledger
) -> None:
    @mf.task(name="flaky", retries=3, backoff_factor=1000, backoff_max_seconds=1000)
    async def flaky(msg: Sum) -> int:
        await ledger.work("flaky")
        raise ValueError

    add, gate = sums(mf, ledger), asyncio.Event()

    @mf.task(name="first")
    async def first() -> int:
        await ledger.work("first", gate)
        return 1

    async with mf.worker():
        chain = await mf.chain([first, flaky, await mf.sign(add, number=2), await mf.sign(add, number=3), add])
        await chain.start({"number": 5})
        await ledger.has_begun("first")
        before = await mf.skip(f"{chain.key}#2", 100)  # its turn has not come
        assert before.status == "pending"
        await mf.suspend(f"{chain.key}#3")
        gate.set()
        await reaches(chain, "pending", "1")
        await ledger.has_begun("flaky")
        await eventually(lambda: _failed_once(chain), "it waits for its second attempt")
        assert (await mf.skip(f"{chain.key}#1", 50)).status == "done"
        await reaches(chain, "suspended", "3")
        assert (await mf.skip(f"{chain.key}#3", 1000)).status == "done"
        assert await chain.result(timeout=20) == 1000
        report = await chain.status()
    assert [child.skipped for child in report.children] == [None, True, True, True, None]
    assert ledger.begun == {"first": 1, "flaky": 1, "add 0": 1}


async def _failed_once(chain: Any) -> bool:
    step = (await chain.status()).children[1]
    return step.error is not None and step.status == "pending"


async def test_what_runs_is_not_skipped_and_what_is_queued_is_taken_back(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="slow")
    async def slow(msg: dict[str, Any]) -> str:
        return await ledger.work("slow", gate)

    async with mf.worker(max_concurrent_tasks=1):
        swarm = await mf.swarm([slow, slow], is_swarm_closed=True)
        await swarm.start()
        await ledger.has_begun("slow")
        [running] = [index for index in (0, 1) if (await swarm.status()).children[index].status == "active"]
        with pytest.raises(mageflow.TaskAlreadyRunningError):
            await mf.skip(f"{swarm.key}#{running}")
        with pytest.raises(mageflow.TaskAlreadyRunningError):
            await swarm.skip([])
        assert (await swarm.status()).status == "active", "a refused skip holds nothing"
        assert (await mf.skip(f"{swarm.key}#{1 - running}", "skipped")).status == "done"
        gate.set()
        results = await swarm.result(timeout=20)
        assert results == (["slow", "skipped"] if running == 0 else ["skipped", "slow"])
        with pytest.raises(mageflow.SignatureEndedError):
            await swarm.skip()
    assert ledger.begun["slow"] == 1


async def test_a_container_is_skipped_with_all_that_is_in_it_and_its_success_callbacks_run(
    mf: Mageflow, ledger: Ledger
) -> None:
    add, after = sums(mf, ledger), noting(mf, ledger, "after")
    async with mf.worker():
        inner = await mf.chain([await mf.sign(add, number=-1), add], on_failure="suspend", success_callbacks=[after])
        swarm = await mf.swarm([inner, await mf.sign(add, number=1)], is_swarm_closed=True)
        await swarm.start()
        await reaches(swarm, "suspended", "0")
        await mf.skip(f"{swarm.key}#0", 100)
        assert await swarm.result(timeout=20) == [100, 1]
        assert (await swarm.status()).children[0].children[0].status == "canceled"
    assert ledger.ended["after"] == 1


async def test_a_draft_is_resumed_with_kwargs_and_cannot_be_skipped(mf: Mageflow, ledger: Ledger) -> None:
    add = sums(mf, ledger)
    signature = await mf.sign(add, number=1)
    with pytest.raises(mageflow.SignatureNotStartedError):
        await signature.skip()
    await signature.resume(kwargs={"number": 2})
    async with mf.worker():
        assert await signature.run(timeout=20) == 2


async def test_on_failure_is_checked_at_composition(mf: Mageflow, ledger: Ledger) -> None:
    with pytest.raises(mageflow.CompositionError, match="on_failure='stop' of 'add' is none of: fail, suspend"):
        await mf.sign(sums(mf, ledger), on_failure="stop")


class Late(worker.Interceptor):
    """Lets a worker ask the server where tasks are only when all but so many of them have ended, and after a while."""

    def __init__(self, may_end: asyncio.Event, *, still: int = 0, seconds: float = 0) -> None:
        self.may_end, self.still, self.seconds = may_end, still, seconds

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:
        return _Late(next, self)


class _Late(worker.ActivityInboundInterceptor):
    def __init__(self, further: worker.ActivityInboundInterceptor, late: Late) -> None:
        super().__init__(further)
        self.late = late

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.activity_type == TAKE_BACK:
            self.late.may_end.set()
            handle = activity.client().get_workflow_handle(info.workflow_id or "")

            async def have_ended() -> bool:
                return len((await handle.describe()).raw_description.pending_activities) <= self.late.still

            await eventually(have_ended, "what is asked for has ended")
            await asyncio.sleep(self.late.seconds)
        return await super().execute_activity(input)


def late(server: EmbeddedServer, late: Late) -> Mageflow:
    config = MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}")
    return Mageflow(server.target, config=config, plugins=[SimplePlugin("late", interceptors=[late])])


async def test_a_skip_that_comes_too_late_holds_none_of_the_callbacks(server: EmbeddedServer, ledger: Ledger) -> None:
    may_end = asyncio.Event()
    mf = late(server, Late(may_end))
    after = noting(mf, ledger, "after")

    @mf.task(name="work")
    async def work() -> str:
        return await ledger.work("work", may_end)

    async with mf.worker():
        swarm = await mf.swarm([work], is_swarm_closed=True, success_callbacks=[after])
        await swarm.start()
        await ledger.has_begun("work")
        with pytest.raises(mageflow.SignatureEndedError, match="is done"):
            await swarm.skip(["nothing"])
        assert await swarm.result(timeout=20) == ["work"]
        assert ledger.begun["after"] == 1
        assert (await swarm.status()).last_status is None


async def test_a_failure_is_held_although_it_comes_while_a_skip_is_being_refused(
    server: EmbeddedServer, ledger: Ledger
) -> None:
    may_end = asyncio.Event()
    # So long that the workflow task ends meanwhile, and the next one brings the failure: Temporal gives it 10 s.
    mf = late(server, Late(may_end, still=1, seconds=9))

    @mf.task(name="fail")
    async def fail() -> None:
        await ledger.work("fail", may_end)
        raise ValueError("on purpose")

    @mf.task(name="wait")
    async def wait() -> None:
        await ledger.work("wait", asyncio.Event())

    async with mf.worker():
        config = SwarmConfig(stop_after_n_failures=1)
        swarm = await mf.swarm([fail, wait], is_swarm_closed=True, config=config, on_failure="suspend")
        await swarm.start()
        await ledger.has_begun("wait")
        with pytest.raises(mageflow.TaskAlreadyRunningError):
            await swarm.skip(["nothing"])
        report = await swarm.status()
        assert (report.status, report.children[0].status) == ("suspended", "suspended")
        assert report.last_status == "active"
        assert report.reason == f"{swarm.key}#0 failed: ValueError: on purpose"
        assert ledger.begun["fail"] == 1, "it is held, not run again"
        await swarm.remove()
