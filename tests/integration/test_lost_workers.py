"""Workers that hang or die, each a real process: their tasks go on elsewhere, or are given up, and nothing is orphaned."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer
from tests.integration.stubborn import Stubborn, gone
from tests.support import eventually, reaches

LONG = 60.0
"""Seconds to wait for what takes a few heartbeat timeouts."""
COUNTERS = ["count-loop", "count-thread", "count-process"]


@pytest.fixture(params=[5])
async def stubborn(server: EmbeddedServer, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stubborn]:
    made = Stubborn(server, tmp_path, f"test-{uuid.uuid4().hex[:8]}", lost_worker_limit=request.param)
    async with made.mf.worker():
        yield made


@pytest.mark.parametrize("stubborn", [100], indirect=True)  # a worker that hangs may get it several times more
async def test_a_task_that_blocks_its_loop_runs_elsewhere_after_the_heartbeat_timeout(stubborn: Stubborn) -> None:
    async with stubborn.worker() as hung:
        signature = await stubborn.start("hang", times=1)
        await stubborn.diary.has("hang")
        async with stubborn.worker() as other:
            assert await signature.result(timeout=LONG) == other.pid
        assert psutil.pid_exists(hung.pid), "it was not killed: it hangs to this moment"
    assert [entry["pid"] for entry in stubborn.diary.read("hang")] == [hung.pid, other.pid]


@pytest.mark.parametrize("stubborn", [2], indirect=True)
async def test_a_task_that_blocks_every_loop_is_given_up(stubborn: Stubborn) -> None:
    async with stubborn.worker(), stubborn.worker():
        signature = await stubborn.start("hang", times=100)
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await signature.result(timeout=LONG)
    error = caught.value
    assert (error.key, error.task, error.type, error.attempts) == (signature.key, "hang", "WorkerLostError", 1)
    assert error.error.startswith("2 workers were lost while they executed this task")
    assert "blocks their event loop for longer than the heartbeat timeout" in error.error


@pytest.mark.parametrize("stubborn", [2], indirect=True)
async def test_a_task_that_kills_its_worker_each_time_is_given_up_though_it_has_retries_left(
    stubborn: Stubborn,
) -> None:
    signature = await stubborn.start("kill-worker")
    pids = list[int]()
    for _ in range(2):
        async with stubborn.worker() as doomed:
            pids.append(doomed.pid)
            assert await doomed.wait() == -signal.SIGKILL
    async with stubborn.worker():
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await signature.result(timeout=LONG)
    error = caught.value
    assert (error.key, error.task, error.type, error.attempts) == (signature.key, "kill-worker", "WorkerLostError", 1)
    assert error.error.startswith("2 workers were lost while they executed this task: it kills them, or")
    assert [entry["pid"] for entry in stubborn.diary.read("kill-worker")] == pids, "it was run no third time"


async def test_an_interrupt_of_a_hanging_task_returns_when_the_server_gives_its_worker_up(stubborn: Stubborn) -> None:
    async with stubborn.worker():
        signature = await stubborn.start("hang", times=1)
        await stubborn.diary.has("hang")
        report = await signature.interrupt()
        assert (report.status, report.cancelled) == ("interrupted", [signature.key])
        assert (await signature.status()).status == "interrupted"
    async with stubborn.worker() as other:
        await signature.resume()
        assert await signature.result(timeout=LONG) == other.pid


async def test_a_hanging_task_can_be_looked_at_and_is_not_suspended(stubborn: Stubborn) -> None:
    async with stubborn.worker() as hung:
        signature = await stubborn.start("hang", times=1)
        await stubborn.diary.has("hang")
        with pytest.raises(mageflow.TaskAlreadyRunningError) as caught:
            await signature.suspend()
        assert (caught.value.attempt, caught.value.worker) == (1, f"{hung.pid}@{os.uname().nodename}")
        await signature.remove()


@pytest.mark.parametrize("task", ["spin", "spin-async"])
async def test_an_interrupt_kills_a_process_that_burns_cpu(stubborn: Stubborn, task: str) -> None:
    async with stubborn.worker() as worker:
        signature = await stubborn.start(task)
        [entry] = await stubborn.diary.has("spin")
        assert entry["parent"] == worker.pid
        assert entry["pid"] != worker.pid
        report = await signature.interrupt()
        assert (report.status, report.cancelled) == ("interrupted", [signature.key])
        await gone(entry["pid"])
        await signature.resume()
        [_, again] = await stubborn.diary.has("spin", 2)
        assert again["pid"] != entry["pid"]
        await signature.interrupt()
        await gone(again["pid"])
        assert psutil.pid_exists(worker.pid), "the worker itself lives"


async def test_a_killed_worker_leaves_no_orphan_and_its_task_goes_on_elsewhere(stubborn: Stubborn) -> None:
    async with stubborn.worker() as first:
        signature = await stubborn.start("spin")
        [entry] = await stubborn.diary.has("spin")
        os.kill(first.pid, signal.SIGKILL)
        await first.wait()
        await gone(entry["pid"])
    async with stubborn.worker() as second:
        [_, again] = await stubborn.diary.has("spin", 2)
        assert again["parent"] == second.pid
        await reaches(signature, "active")
        await signature.interrupt()
        await gone(again["pid"])


async def test_a_stopped_worker_leaves_no_process_of_a_task_behind(stubborn: Stubborn) -> None:
    async with stubborn.worker() as first:
        await stubborn.start("spin")
        [entry] = await stubborn.diary.has("spin")
        first.terminate()
        await gone(entry["pid"])
        await first.wait()


@pytest.mark.parametrize("task", COUNTERS)
async def test_a_stopped_worker_lets_its_tasks_go_on_for_the_grace_and_then_hands_them_back(
    stubborn: Stubborn, task: str
) -> None:
    grace = 1.0
    async with stubborn.worker(grace) as first:
        signature = await stubborn.start(task, total=10, stop_at=6, how="wait")
        await stubborn.diary.has("stopping")
        first.terminate()
        stopped = time.monotonic()
        async with stubborn.worker(grace):
            assert await first.wait() == 0
            assert time.monotonic() - stopped >= grace
            assert await signature.result(timeout=LONG) == 10
    one, other = stubborn.diary.read("count")
    assert (one["resumed_from"], one["attempt"]) == (None, 1)
    assert (other["resumed_from"], other["attempt"]) == (6, 1), "handed back, with all that it had come to"


async def test_a_process_that_ends_under_its_task_is_a_failed_attempt(stubborn: Stubborn) -> None:
    async with stubborn.worker() as worker:
        signature = await stubborn.start("die")
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await signature.result(timeout=LONG)
        assert psutil.pid_exists(worker.pid)
    assert (caught.value.attempts, len(stubborn.diary.read("die"))) == (2, 2)
    assert caught.value.type == "ProcessEndedError"
    assert "the process of the task ended before its code did" in caught.value.error


@pytest.mark.parametrize("task", COUNTERS)
async def test_an_interrupted_task_goes_on_from_its_checkpoint_when_it_is_resumed(
    stubborn: Stubborn, task: str
) -> None:
    async with stubborn.worker():
        signature = await stubborn.start(task, total=10, stop_at=6, how="wait")
        await stubborn.diary.has("stopping")
        assert (await signature.interrupt()).status == "interrupted"
        await signature.resume()
        assert await signature.result(timeout=LONG) == 10
    first, second = stubborn.diary.read("count")
    assert (first["resumed_from"], first["attempt"]) == (None, 1)
    assert (second["resumed_from"], second["attempt"]) == (6, 1), "an interrupt uses up no attempt"


@pytest.mark.parametrize("task", COUNTERS)
async def test_a_retry_goes_on_from_the_checkpoint_of_the_attempt_before(stubborn: Stubborn, task: str) -> None:
    async with stubborn.worker():
        signature = await stubborn.start(task, total=10, stop_at=6, how="fail")
        assert await signature.result(timeout=LONG) == 10
    first, second = stubborn.diary.read("count")
    assert (first["resumed_from"], first["attempt"]) == (None, 1)
    assert (second["resumed_from"], second["attempt"]) == (6, 2)


@pytest.mark.parametrize("task", COUNTERS)
async def test_a_lost_workers_task_goes_on_from_the_checkpoint_of_its_last_heartbeat(
    stubborn: Stubborn, task: str
) -> None:
    async with stubborn.worker() as first:
        signature = await stubborn.start(task, total=10, stop_at=6, how="wait")
        await stubborn.diary.has("stopping")
        await eventually(lambda: _heartbeat(stubborn, signature.key), "a heartbeat has brought the checkpoint")
        os.kill(first.pid, signal.SIGKILL)
        await first.wait()
    async with stubborn.worker():
        assert await signature.result(timeout=LONG) == 10
    first_run, second_run = stubborn.diary.read("count")
    assert (first_run["resumed_from"], first_run["attempt"]) == (None, 1)
    assert (second_run["resumed_from"], second_run["attempt"]) == (6, 1), "a lost worker is no failed attempt"


async def _heartbeat(stubborn: Stubborn, key: str) -> bool:
    description = await (await stubborn.mf.client()).get_workflow_handle(key).describe()
    return any(
        b"6" in payload.data
        for pending in description.raw_description.pending_activities
        for payload in pending.heartbeat_details.payloads
    )


async def test_an_error_in_a_process_is_told_with_its_own_traceback(stubborn: Stubborn) -> None:
    async with stubborn.worker():
        signature = await stubborn.start("count-process", total="many", stop_at=0, how="fail")
        with pytest.raises(mageflow.TaskFailedError) as invalid:
            await signature.result(timeout=LONG)
        assert (invalid.value.type, invalid.value.attempts) == ("InvalidMessageError", 1)
        failing = await stubborn.start("fail-process")
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await failing.result(timeout=LONG)
    assert (caught.value.type, caught.value.attempts) == ("ZeroDivisionError", 2)
    assert "by zero" in caught.value.error
    assert "return 1 // 0" in (caught.value.traceback or "")
