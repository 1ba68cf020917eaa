"""Every sentence and snippet of the user's task-lifecycle document, in its order, against a real server.

The snippets stand as they are in the document, with `import mageflow_temporal as mageflow`; only the long pauses of
the last one are shorter here.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, SwarmConfig, TaskAlreadyRunningError
from tests.support import Ledger, eventually, reaches


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def long_task(mf: Mageflow, ledger: Ledger, gate: asyncio.Event) -> Any:
    @mf.task(name="long_task")
    async def long_task() -> str:
        return await ledger.work("long_task", gate)

    return long_task


@pytest.fixture
def queued_task(mf: Mageflow, ledger: Ledger) -> Any:
    @mf.task(name="queued_task", task_queue=f"{mf.config.task_queue}-later")
    async def queued_task() -> str:
        return await ledger.work("queued_task")

    return queued_task


def main_worker(mf: Mageflow) -> Any:
    return mf.worker(task_queues=[mf.config.task_queue])


def later_worker(mf: Mageflow) -> Any:
    return mf.worker(task_queues=[f"{mf.config.task_queue}-later"])


class TestSuspend:
    async def test_will_stop_tasks_that_are_queued_but_have_not_started(
        self, mf: Mageflow, queued_task: Any, ledger: Ledger
    ) -> None:
        async with main_worker(mf):
            task_signature = await mageflow.sign(queued_task)
            await task_signature.start()
            await reaches(task_signature, "pending")
            # Suspend a task signature
            await task_signature.suspend()
            async with later_worker(mf):
                await (await mf.sign(queued_task)).run()
                assert ledger.begun["queued_task"] == 1, "the other one ran, the suspended one did not"
                await task_signature.resume()
                assert await task_signature.result(timeout=20) == "queued_task"

    async def test_will_not_stop_a_single_task_that_is_already_running(
        self, mf: Mageflow, long_task: Any, ledger: Ledger, gate: asyncio.Event
    ) -> None:
        async with main_worker(mf):
            task_signature = await mageflow.sign(long_task)
            await task_signature.start()
            await ledger.has_begun("long_task")
            with pytest.raises(TaskAlreadyRunningError):
                await task_signature.suspend()
            gate.set()
            assert await task_signature.result(timeout=20) == "long_task"
            assert (ledger.begun["long_task"], ledger.cancelled["long_task"]) == (1, 0)

    async def test_chain_and_swarm_will_stop_after_they_have_started(
        self, mf: Mageflow, long_task: Any, ledger: Ledger, gate: asyncio.Event
    ) -> None:
        async with main_worker(mf):
            chain_workflow = await mageflow.chain([long_task, long_task])
            swarm_workflow = await mageflow.swarm([long_task] * 3, config=SwarmConfig(max_concurrency=1))
            await chain_workflow.start()
            await swarm_workflow.start()
            await ledger.has_begun("long_task", 2)
            # Suspend a chain
            await chain_workflow.suspend()
            # Suspend a swarm
            await swarm_workflow.suspend()
            gate.set()
            await reaches(chain_workflow, "done", "0")
            await reaches(swarm_workflow, "done", "0")
            assert ledger.begun["long_task"] == 2, "what ran has finished, and nothing new has begun"
            assert (await chain_workflow.status()).status == "suspended"
            assert (await swarm_workflow.status()).status == "suspended"
            # Resume a chain
            await chain_workflow.resume()
            # Resume a swarm
            await swarm_workflow.resume()
            await swarm_workflow.close()
            assert await chain_workflow.result(timeout=20) == "long_task"
            assert await swarm_workflow.result(timeout=20) == ["long_task"] * 3
            assert ledger.begun["long_task"] == 5, "finished ones were not run again"


class TestInterrupt:
    @pytest.mark.parametrize("kind", ["task", "chain", "swarm"])
    async def test_will_stop_tasks_even_after_they_started_running(
        self, mf: Mageflow, long_task: Any, ledger: Ledger, gate: asyncio.Event, kind: str
    ) -> None:
        async with main_worker(mf):
            signature: Any = {
                "task": lambda: mageflow.sign(long_task),
                "chain": lambda: mageflow.chain([long_task, long_task]),
                "swarm": lambda: mageflow.swarm([long_task, long_task], is_swarm_closed=True),
            }[kind]
            signature = await signature()
            await signature.start()
            running = 2 if kind == "swarm" else 1
            await ledger.has_begun("long_task", running)
            await signature.interrupt()
            assert (ledger.running, ledger.cancelled["long_task"]) == (0, running), "the code has stopped"
            gate.set()
            await signature.resume()
            await signature.result(timeout=20)
            assert ledger.ended["long_task"] == (1 if kind == "task" else 2)

    async def test_will_stop_tasks_at_any_point_also_queued_ones(
        self, mf: Mageflow, queued_task: Any, ledger: Ledger
    ) -> None:
        async with main_worker(mf):
            task_signature = await mageflow.sign(queued_task)
            await task_signature.start()
            await reaches(task_signature, "pending")
            report = await task_signature.interrupt()
            assert (report.status, report.last_status) == ("interrupted", "pending")
            async with later_worker(mf):
                await task_signature.resume()
                assert await task_signature.result(timeout=20) == "queued_task"


class TestBestPractices:
    async def test_suspend_first_interrupt_only_if_it_fails(
        self, mf: Mageflow, long_task: Any, ledger: Ledger, gate: asyncio.Event
    ) -> None:
        async with main_worker(mf):
            workflow = await mageflow.sign(long_task)
            await workflow.start()
            await ledger.has_begun("long_task")
            # Good: Try suspend first
            try:
                await workflow.suspend()
            except TaskAlreadyRunningError:
                # Only use interrupt if suspend fails
                await workflow.interrupt()
            assert (await workflow.status()).status == "interrupted"
            assert ledger.cancelled["long_task"] == 1


class TestStatusTransitions:
    @pytest.mark.parametrize(("verb", "held"), [("suspend", "suspended"), ("interrupt", "interrupted")])
    async def test_pending_to_held_to_pending(self, mf: Mageflow, queued_task: Any, verb: str, held: str) -> None:
        async with main_worker(mf):
            signature = await mageflow.sign(queued_task)
            await signature.start()
            await reaches(signature, "pending")
            report = await getattr(signature, verb)()
            assert (report.status, report.last_status) == (held, "pending")
            report = await signature.resume()
            assert (report.status, report.last_status) == ("pending", held)
            assert (await reaches(signature, "pending")).last_status == held

    @pytest.mark.parametrize("kind", ["task", "chain"])
    async def test_active_to_interrupted_to_active(
        self, mf: Mageflow, long_task: Any, ledger: Ledger, kind: str
    ) -> None:
        async with main_worker(mf):
            signature: Any = await (mf.sign(long_task) if kind == "task" else mf.chain([long_task, long_task]))
            await signature.start()
            await ledger.has_begun("long_task")
            report = await signature.interrupt()
            assert (report.status, report.last_status) == ("interrupted", "active")
            report = await signature.resume()
            assert (report.status, report.last_status) == ("active", "interrupted")
            await ledger.has_begun("long_task", 2)
            assert (await reaches(signature, "active")).last_status == "interrupted"
            await signature.interrupt()

    async def test_active_to_suspended_to_active(self, mf: Mageflow, long_task: Any, ledger: Ledger) -> None:
        async with main_worker(mf):
            chain = await mageflow.chain([long_task, long_task])
            await chain.start()
            await ledger.has_begun("long_task")
            report = await chain.suspend()
            assert (report.status, report.last_status) == ("suspended", "active")
            report = await chain.resume()
            assert (report.status, report.last_status) == ("active", "suspended")
            assert (await reaches(chain, "active")).last_status == "suspended"
            await chain.interrupt()


async def test_graceful_workflow_pause_and_resume(mf: Mageflow, ledger: Ledger) -> None:
    def named(name: str) -> Any:
        @mf.task(name=name)
        async def long_task() -> str:
            return await ledger.work(name, seconds=0.5)

        return long_task

    long_task_1, long_task_2, long_task_3 = named("long_task_1"), named("long_task_2"), named("long_task_3")
    workflow: Any = None

    async def pausable_workflow() -> None:
        nonlocal workflow
        # Create a long-running workflow
        tasks = [long_task_1, long_task_2, long_task_3]
        workflow = await mageflow.chain(tasks, name="pausable-pipeline")

        # Start the workflow
        await workflow.start()

        # Pause after some time
        await ledger.has_begun("long_task_1")
        await workflow.suspend()
        print("Workflow paused")

        # Resume later
        await eventually(lambda: ledger.ended["long_task_1"], "the running step has drained")
        await reaches(workflow, "suspended")
        assert ledger.begun["long_task_2"] == 0
        await workflow.resume()
        print("Workflow resumed")

    async with main_worker(mf):
        await pausable_workflow()
        assert workflow.key.startswith("pausable-pipeline-")
        assert await workflow.result(timeout=20) == "long_task_3"
    assert ledger.order == ["long_task_1", "long_task_2", "long_task_3"]
