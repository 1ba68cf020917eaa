"""The workers."""

from __future__ import annotations

import multiprocessing
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager

from temporalio.client import Client
from temporalio.worker import SharedStateManager, UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from bench.hand_written import activities as act
from bench.hand_written.workflows import (
    PROCESS_QUEUE,
    TASK_QUEUE,
    Chain,
    Holds,
    LivingSwarm,
    Map,
    Outlives,
    Single,
    Swarm,
)

_THREADS = 100
"""As many as the default number of activities that a worker executes at once."""


@asynccontextmanager
async def running(target: str, *, processes: int, sandboxed: bool) -> AsyncIterator[None]:
    """Run a worker, and another for activities in processes where there are any, for as long as the context is open."""
    client = await Client.connect(target)
    with ThreadPoolExecutor(_THREADS) as threads:
        worker = Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[Single, Chain, Swarm, LivingSwarm, Map, Outlives, Holds],
            activities=[act.work, act.step, act.numbers, act.outlive, act.hold_async, act.hold_thread],
            activity_executor=threads,
            workflow_runner=SandboxedWorkflowRunner() if sandboxed else UnsandboxedWorkflowRunner(),
        )
        async with worker:
            if processes:
                async with _process_worker(client, processes):
                    yield
            else:
                yield


@asynccontextmanager
async def _process_worker(client: Client, processes: int) -> AsyncIterator[None]:
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that the SDK's threads hold
    with context.Manager() as manager, ProcessPoolExecutor(processes, mp_context=context) as pool:
        worker = Worker(
            client,
            task_queue=PROCESS_QUEUE,
            activities=[act.hold_process, act.hold_cpu],
            activity_executor=pool,
            max_concurrent_activities=processes,
            shared_state_manager=SharedStateManager.create_from_multiprocessing(manager),
        )
        async with worker:
            yield
