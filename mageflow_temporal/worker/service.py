"""The worker: one Temporal worker for each task queue, with the engine's workflows and the tasks as activities."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

from temporalio.client import Client
from temporalio.worker import Worker

from mageflow_temporal.task import Task
from mageflow_temporal.worker.is_open import is_open
from mageflow_temporal.worker.runner import Runner
from mageflow_temporal.worker.take_back import take_back

_logger = logging.getLogger(__name__)

STICKY_TIMEOUT: Final = timedelta(seconds=1.5)
"""How long a workflow waits for the worker that has it in its cache, before any may have it. By Temporal's default a
chain would stand still for 10 s after its worker was killed, and that on top of the heartbeat timeout. Not shorter: a
worker that is only busy has to read histories again that it knew (measured with 200 chains on two busy cores: 3 % of
workflow tasks came too late at 2 s, 11 % at 1 s)."""
PUSHED_THROTTLE: Final = timedelta(seconds=1.5)
"""The longest between two heartbeats where the server pushes cancellations: they only show that the worker lives."""
PULLED_THROTTLE: Final = timedelta(seconds=1)
"""The longest where a heartbeat's answer is the only way in which a cancellation arrives."""

ACTIVITIES: Final = (take_back, is_open)
"""What the engine's workflows ask of the worker that runs them."""


def activities(
    tasks: Iterable[Task[Any, Any]], executor: Executor, process_limit: int
) -> list[Callable[..., Awaitable[Any]]]:
    """Return all that a worker executes: the tasks that have a function, and what the engine asks for.

    Args:
        tasks: the tasks.
        executor: for the threads of `def` tasks.
        process_limit: how many processes tasks of `isolation="process"` may have at once.
    """
    runner = Runner(executor, process_limit)
    return [*ACTIVITIES, *(runner.activity(task) for task in tasks if task.function)]


class MageflowWorker:
    """Executes workflows and tasks. Make it with `Mageflow.worker()`; `run()` it, or use it as a context manager.

    Args:
        connect: gives the connection, and the longest between two heartbeats of a task to the server.
        workflows: the engine's workflow types.
        tasks: the tasks to execute.
        task_queues: the queues to listen on, the app's first.
        max_concurrent_tasks: how many tasks run at once.
        shutdown_grace: how long running tasks may go on when the worker is stopped; then they are handed back.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[tuple[Client, timedelta]]],
        *,
        workflows: Sequence[type],
        tasks: Sequence[Task[Any, Any]],
        task_queues: Sequence[str],
        max_concurrent_tasks: int,
        shutdown_grace: timedelta,
    ) -> None:
        self._connect = connect
        self._workflows = tuple(workflows)
        self._tasks = tuple(task for task in tasks if task.function)
        self._queues = tuple(task_queues)
        self._limit = max_concurrent_tasks
        self._grace = shutdown_grace
        self._stack: AsyncExitStack | None = None

    async def run(self) -> None:
        """Execute tasks until the process gets SIGINT or SIGTERM, or this call is cancelled.

        Running tasks may go on for the shutdown grace; then they are cancelled and handed back, to run elsewhere.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        caught: list[signal.Signals] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, stop.set)
                caught.append(number)
            except (NotImplementedError, RuntimeError, ValueError):
                _logger.debug("%s is not handled here: this is not the main thread, or the platform cannot", number)
        try:
            async with self:
                await stop.wait()
                _logger.info("worker is stopping: running tasks may go on for the shutdown grace")
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    async def __aenter__(self) -> Self:
        client, heartbeat_throttle = await self._connect()
        places = self._limit * len(self._queues)
        executor = ThreadPoolExecutor(places, thread_name_prefix="mageflow-task")
        functions = activities(self._tasks, executor, places)
        async with AsyncExitStack() as stack:
            stack.callback(executor.shutdown, wait=False, cancel_futures=True)
            for task_queue in self._queues:
                worker = Worker(
                    client,
                    task_queue=task_queue,
                    workflows=self._workflows,
                    activities=functions,
                    max_concurrent_activities=self._limit,
                    graceful_shutdown_timeout=self._grace,
                    sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
                    max_heartbeat_throttle_interval=heartbeat_throttle,
                    default_heartbeat_throttle_interval=heartbeat_throttle,
                )
                await stack.enter_async_context(worker)
            self._stack = stack.pop_all()
        _logger.info(
            "worker %s listens on %s for tasks %s",
            client.identity,
            ", ".join(self._queues),
            ", ".join(sorted(task.name for task in self._tasks)) or "(none)",
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._stack
        await self._stack.__aexit__(kind, error, traceback)
