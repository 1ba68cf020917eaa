"""Seven things that the mageflow on Hatchet and Redis gets wrong, each by its number: here they are right."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, SwarmConfig
from tests import counting_worker
from tests.support import Diary, Ledger, eventually, reaches, worker_process


def step_task(mf: Mageflow, ledger: Ledger, gate: asyncio.Event) -> Any:
    @mf.task(name="step")
    async def step(msg: dict[str, Any]) -> str:
        return await ledger.work(msg.get("name", "step"), gate)

    return step


async def canary(mf: Mageflow) -> None:
    """Let a task come and go: whatever was to begin before it has begun by then."""
    await (await mf.sign("step", name="canary")).run(timeout=20)


# 1. There, `interrupt` only suspends; on a chain it stops nothing.


@pytest.mark.parametrize("kind", ["task", "chain", "swarm"])
async def test_1_an_interrupt_stops_the_code_that_runs(mf: Mageflow, ledger: Ledger, kind: str) -> None:
    gate = asyncio.Event()
    step = step_task(mf, ledger, gate)
    async with mf.worker():
        signature: Any = {
            "task": mf.sign,
            "chain": lambda one: mf.chain([one, one]),
            "swarm": lambda one: mf.swarm([one]),
        }
        signature = await signature[kind](step)
        await signature.start({})
        await ledger.has_begun("step")
        report = await signature.interrupt()
        assert (report.status, len(report.cancelled)) == ("interrupted", 1)
        assert (ledger.running, ledger.cancelled["step"]) == (0, 1), "it has stopped when the call returns"
        gate.set()
        await canary(mf)
        assert (ledger.begun["step"], ledger.ended["step"]) == (1, 0)


# 2. There, `TaskAlreadyRunningError` is documented and never raised.


async def test_2_a_suspend_of_a_running_task_is_refused_with_the_documented_error(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    step = step_task(mf, ledger, gate)
    async with mf.worker():
        signature = await mf.sign(step)
        await signature.start({})
        await ledger.has_begun("step")
        with pytest.raises(mageflow.TaskAlreadyRunningError):
            await signature.suspend()
        gate.set()
        assert await signature.result(timeout=20) == "step"


# 3. There, a resume of a running task dispatches a second copy, of a finished one runs it again, and twice suspends it.


async def test_3_a_resume_of_a_running_task_runs_no_second_copy(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    step = step_task(mf, ledger, gate)
    async with mf.worker():
        signature = await mf.sign(step)
        await signature.start({})
        await ledger.has_begun("step")
        assert (await signature.resume()).status == "active"
        gate.set()
        await canary(mf)
        await signature.result(timeout=20)
    assert ledger.begun["step"] == 1


async def test_3_a_resume_of_a_finished_task_is_refused_and_runs_nothing(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    gate.set()
    step = step_task(mf, ledger, gate)
    async with mf.worker():
        signature = await mf.sign(step)
        await signature.run({})
        with pytest.raises(mageflow.SignatureEndedError, match="is done"):
            await signature.resume()
        await canary(mf)
        assert (await signature.status()).status == "done"
    assert ledger.begun["step"] == 1


async def test_3_a_second_resume_changes_nothing(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    step = step_task(mf, ledger, gate)
    async with mf.worker():
        chain = await mf.chain([step, step])
        await chain.start({})
        await ledger.has_begun("step")
        await chain.suspend()
        await chain.resume()
        assert (await chain.resume()).status == "active"
        gate.set()
        assert await chain.result(timeout=20) == "step"
    assert ledger.begun["step"] == 2


# 4. There, a suspended swarm keeps dispatching, and items that are added during a suspension run anyway.


async def test_4_a_suspended_swarm_begins_nothing_neither_old_items_nor_new(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    step = step_task(mf, ledger, gate)
    async with mf.worker():
        items = [await mf.sign(step, name=f"item {number}") for number in range(3)]
        swarm = await mf.swarm(items, config=SwarmConfig(max_concurrency=1))
        await swarm.start({})
        await ledger.has_begun("item 0")
        await swarm.suspend()
        await swarm.add(step, {"name": "new item"})
        gate.set()
        await reaches(swarm, "done", "0")  # frees a place
        await canary(mf)
        assert not any(ledger.begun[name] for name in ("item 1", "item 2", "new item"))
        await swarm.resume()
        await swarm.close()
        assert await swarm.result(timeout=20) == ["item 0", "item 1", "item 2", "new item"]


# 5. There, a cancelled item never tells its container, which then hangs; and a crash at the wrong moment dispatches a
# batch twice.


async def test_5_a_container_learns_of_an_item_that_was_cancelled(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    gate.set()
    step = step_task(mf, ledger, gate)

    @mf.task(name="cancels itself")
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    async with mf.worker():
        swarm = await mf.swarm([cancels_itself, step], config=SwarmConfig(max_concurrency=1))
        assert await swarm.run({}, timeout=20) == ["step"]
        with pytest.raises(mageflow.OutcomeError):
            await (await mf.chain([cancels_itself, step])).run({}, timeout=20)


async def test_5_a_container_that_is_cancelled_ends_with_all_its_items(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    step = step_task(mf, ledger, gate)
    async with mf.worker():
        swarm = await mf.swarm([step] * 3, config=SwarmConfig(max_concurrency=2))
        await swarm.start({})
        await ledger.has_begun("step", 2)
        await (await mf.client()).get_workflow_handle(swarm.key).cancel()
        with pytest.raises(mageflow.SignatureCanceledError):
            await swarm.result(timeout=20)
        assert (await swarm.status()).counts.canceled == 3
    assert ledger.cancelled["step"] == 2


async def test_5_a_crash_runs_again_what_was_running_and_nothing_else(server: EmbeddedServer, tmp_path: Path) -> None:
    items, width = 60, 4
    queue = f"test-{os.urandom(4).hex()}"
    diary = Diary(tmp_path / "diary")
    mf = Mageflow(server.target, config=MageflowConfig(task_queue=queue))
    task = mf.declare("item", message=counting_worker.Item, result=int, options=counting_worker.item.options)
    environment = {
        counting_worker.ADDRESS: server.target,
        counting_worker.QUEUE: queue,
        counting_worker.DIARY: str(diary.path),
    }
    async with worker_process("tests.counting_worker", **environment) as first:
        swarm = await mf.swarm([await mf.sign(task, number=0)], config=SwarmConfig(max_concurrency=width))
        await swarm.start()
        await diary.has("ended")
        await swarm.add_many([task] * (items - 1), [{"number": number} for number in range(1, items)])
        await diary.has("ended", 10)
        os.kill(first.pid, signal.SIGKILL)
        await first.wait()
    before = {what: {entry["number"] for entry in diary.read(what)} for what in ("begun", "ended")}
    async with worker_process("tests.counting_worker", **environment):
        await diary.has("ended", len(before["ended"]) + 1)
        await swarm.close()
        assert await swarm.result(timeout=60) == list(range(items))
    begun = Counter(entry["number"] for entry in diary.read("begun"))
    twice = {number for number, times in begun.items() if times > 1}
    assert max(begun.values()) <= 2
    assert len(twice) <= width, "only what held a place when the worker died, with its end perhaps not yet told"
    assert before["begun"] - before["ended"] <= twice


# 6. There, work older than 24 h vanishes, and a lock can block control for ever.


async def test_6_work_has_no_age_at_which_it_vanishes(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    step = step_task(mf, ledger, gate)
    async with mf.worker():
        chain = await mf.chain([step, step])
        await chain.suspend()
        await chain.start({})
        description = await (await mf.client()).get_workflow_handle(chain.key).describe()
        limits = description.raw_description.execution_config
        assert limits.workflow_execution_timeout.ToTimedelta().total_seconds() == 0, "none"
        assert limits.workflow_run_timeout.ToTimedelta().total_seconds() == 0, "none"
        assert not description.raw_description.workflow_execution_info.HasField("close_time")
        gate.set()
        await chain.resume()
        assert await chain.result(timeout=20) == "step"


async def test_6_whoever_dies_while_steering_blocks_nobody(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="stubborn")
    async def stubborn() -> str:
        try:
            return await ledger.work("stubborn", gate if not ledger.begun["stubborn"] else None)
        except asyncio.CancelledError:
            await gate.wait()  # and all the while, whoever has asked for the interrupt waits, too
            raise

    script = "import asyncio, sys; from mageflow_temporal import Mageflow; asyncio.run(Mageflow(sys.argv[1]).interrupt(sys.argv[2]))"
    target = (await mf.client()).service_client.config.target_host
    async with mf.worker():
        signature = await mf.sign(stubborn)
        await signature.start()
        await ledger.has_begun("stubborn")
        steering = await asyncio.create_subprocess_exec(sys.executable, "-c", script, target, signature.key)
        await eventually(lambda: ledger.cancelled["stubborn"], "the interrupt has reached the task's code")
        os.kill(steering.pid, signal.SIGKILL)
        assert await steering.wait() == -signal.SIGKILL, "it was in the middle of its call"
        report = await asyncio.wait_for(signature.resume(), 10)
        assert report.last_status == "interrupted"
        gate.set()
        assert await signature.result(timeout=20) == "stubborn"
    assert ledger.begun["stubborn"] == 2


# 7. There, duplicated signatures share callbacks, so only one fires.


async def test_7_each_use_of_a_signature_calls_its_own_callbacks(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    gate.set()
    step = step_task(mf, ledger, gate)
    callback = await mf.sign(step, name="callback")
    item = await mf.sign(step, success_callbacks=[callback])
    async with mf.worker():
        swarm = await mf.swarm([item, item, item], success_callbacks=[callback])
        assert await swarm.run({}) == ["step"] * 3
        assert ledger.begun["callback"] == 4
        for _ in range(2):
            await (await mf.sign(step, success_callbacks=[callback])).run({})
    assert ledger.begun["callback"] == 6
