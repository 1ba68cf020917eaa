"""The worker: one Temporal worker for each task queue, with the engine's workflows and the tasks as activities."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from mageflow_temporal.task import Task
from mageflow_temporal.worker import health
from mageflow_temporal.worker.interceptor import TaskInterceptor
from mageflow_temporal.worker.is_open import is_open
from mageflow_temporal.worker.meter import Census, count_signatures
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

_SERVER_PATIENCE: Final = timedelta(seconds=2)
"""How long the server may take to show that it is there; a supervisor that asks for our health waits that long."""


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
        health: the port of the health endpoint. `None`: there is none.
        census: counts the signatures under way, for the metrics.
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
        health: int | None,
        census: Census,
    ) -> None:
        self._connect = connect
        self._workflows = tuple(workflows)
        self._tasks = tuple(task for task in tasks if task.function)
        self._queues = tuple(task_queues)
        self._limit = max_concurrent_tasks
        self._grace = shutdown_grace
        self._health_port = health
        self._census = census
        self._client: Client | None = None
        self._listening: list[Worker] = []
        self._stopping = False
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
        self._stopping = False
        async with AsyncExitStack() as stack:
            if self._health_port is not None:
                await stack.enter_async_context(health.serve(self._health_port, self._obstacle))
            client, heartbeat_throttle = await self._connect()
            places = self._limit * len(self._queues)
            executor = ThreadPoolExecutor(places, thread_name_prefix="mageflow-task")
            stack.callback(executor.shutdown, wait=False, cancel_futures=True)
            functions = activities(self._tasks, executor, places)
            self._client, self._listening = client, []
            for task_queue in self._queues:
                worker = Worker(
                    client,
                    task_queue=task_queue,
                    workflows=self._workflows,
                    activities=functions,
                    interceptors=[TaskInterceptor()],
                    max_concurrent_activities=self._limit,
                    graceful_shutdown_timeout=self._grace,
                    sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
                    max_heartbeat_throttle_interval=heartbeat_throttle,
                    default_heartbeat_throttle_interval=heartbeat_throttle,
                )
                self._listening.append(await stack.enter_async_context(worker))
            await stack.enter_async_context(_beside(count_signatures(client, self._census)))
            stack.push_async_callback(self._stop)
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

    async def _stop(self) -> None:
        """Stop listening on all queues at once: one after the other each would have a grace of its own."""
        self._stopping = True
        await asyncio.gather(*(worker.shutdown() for worker in self._listening))

    async def _obstacle(self) -> str | None:
        """Return what keeps the worker from taking up work now."""
        if self._stopping:
            return "stopping"
        if self._client is None or len(self._listening) < len(self._queues):
            return "starting"
        if not all(worker.is_running for worker in self._listening):
            return "not listening"
        try:
            await self._client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=_SERVER_PATIENCE)
        except RPCError as error:
            return f"the Temporal server does not answer: {error}"
        return None


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Have something done beside, for as long as the context is open."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
