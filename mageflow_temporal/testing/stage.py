"""Where the apps of a test run: on the session's server, each on a queue of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Final

from temporalio.client import Client, ScheduleActionStartWorkflow
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode

from mageflow_temporal import EmbeddedServer, Mageflow, Member
from mageflow_temporal.testing.dispatched import DEADLINE, Dispatched, seconds, too_late, until
from mageflow_temporal.testing.process import WorkerProcess
from mageflow_temporal.testing.watch import Stop, Watch

_REASON: Final = "the test has ended"


class Run:
    """An app that runs in a test, with a worker in this process.

    Attributes:
        app: the app.
        dispatched: what was dispatched since it runs.
    """

    def __init__(self, app: Mageflow, dispatched: Dispatched, watch: Watch) -> None:
        self.app = app
        self.dispatched = dispatched
        self._watch = watch

    @asynccontextmanager
    async def suspend_at(
        self, signature: Member, step: str, *, reason: str | None = None, timeout: timedelta | float = DEADLINE
    ) -> AsyncGenerator[None]:
        """Suspend a signature at the moment at which a task of it has been taken up by the worker.

        The task is held before its code, however fast it is, until the signature is suspended; then it goes on to its
        end, and nothing follows it. Start the signature inside the context. When the context is left, it is suspended,
        and ends by itself if that task was the last that it had to do.

        Args:
            signature: what is suspended. A single task that runs cannot be: see `Member.suspend`.
            step: the task's name, or its path in the signature, such as "1" or "2.0".
            reason: of the suspension.
            timeout: how long to wait for the task, in seconds or as a `timedelta`.

        Raises:
            AssertionError: the task was not taken up in time.
            MageflowError: whatever `suspend` raises.
        """
        with self._watch.stop(signature, step) as stop:
            yield
            await self._reach(stop, signature, step, timeout)
            await signature.suspend(reason)

    @asynccontextmanager
    async def interrupt_during(
        self, signature: Member, step: str, *, reason: str | None = None, timeout: timedelta | float = DEADLINE
    ) -> AsyncGenerator[None]:
        """Interrupt a signature while the code of a task of it runs.

        Start the signature inside the context. When the context is left, the code has been cancelled and has stopped.
        The code must wait for something, or it has ended before an interrupt can reach it.

        Args:
            signature: what is interrupted.
            step: the task's name, or its path in the signature, such as "1" or "2.0".
            reason: of the interruption.
            timeout: how long to wait for the task, in seconds or as a `timedelta`.

        Raises:
            AssertionError: the task was not taken up in time, or its code was not stopped.
            MageflowError: whatever `interrupt` raises.
        """
        with self._watch.stop(signature, step) as stop:
            yield
            await self._reach(stop, signature, step, timeout)
            stop.open()
            report = await signature.interrupt(reason)
        if stop.key not in report.cancelled:
            msg = (
                f"the interrupt did not stop {step!r} ({stop.key}): its code had ended, or did not heed it. "
                "Let it wait for something that the test decides"
            )
            raise AssertionError(msg)

    async def _reach(self, stop: Stop, signature: Member, step: str, timeout: timedelta | float) -> None:
        if not await stop.reached(seconds(timeout)):
            raise AssertionError(await too_late(f"{step!r} was not taken up", signature, timeout))


class KillableRun:
    """An app that runs in a test, with a worker in a process of its own.

    Attributes:
        app: the app.
        dispatched: what was dispatched since it runs.
    """

    def __init__(self, app: Mageflow, dispatched: Dispatched, worker: WorkerProcess) -> None:
        self.app = app
        self.dispatched = dispatched
        self._worker = worker

    @asynccontextmanager
    async def kill_worker_after(
        self, signature: Member, step: str, *, timeout: timedelta | float = DEADLINE
    ) -> AsyncGenerator[None]:
        """Kill the worker as soon as the server knows that a task of a signature has succeeded.

        What else the worker has begun by then is lost with it. Start the signature inside the context. When the context
        is left, the worker is dead, and another one listens. It gets what was lost when its heartbeat timeout is over.

        Args:
            signature: the signature.
            step: the task's name, or its path in the signature, such as "1" or "2.0".
            timeout: how long to wait for the task, in seconds or as a `timedelta`.

        Raises:
            AssertionError: the task did not succeed in time.
            RuntimeError: the other worker did not start.
        """
        yield

        async def succeeded() -> bool:
            return await self.dispatched.succeeded(signature, step)

        if not await until(succeeded, bool, timeout):
            raise AssertionError(await too_late(f"{step!r} did not succeed", signature, timeout))
        await self._worker.replace()


class Stage:
    """Where the apps of a test run.

    Attributes:
        server: the server.
    """

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server

    @asynccontextmanager
    async def running(self, app: Mageflow) -> AsyncGenerator[Run]:
        """Run an app on this server and on a queue of its own, with a worker in this process.

        The app is the one that the code under test uses; its settings are what they were when the context is left.
        By then whatever it started and still goes on has been terminated, and its schedules are deleted.

        Args:
            app: an app that is not running.
        """
        watch = Watch()
        async with self._connected(app, watch) as dispatched, app.worker(shutdown_grace=timedelta(0)):
            yield Run(app, dispatched, watch)

    @asynccontextmanager
    async def killable(self, app: Mageflow, place: str) -> AsyncGenerator[KillableRun]:
        """Run an app as `running` does, with its worker in a process of its own, which a test can kill.

        Args:
            app: an app that is not running.
            place: where that process finds the app, as "package.module:name".

        Raises:
            RuntimeError: the worker did not start.
        """
        async with self._connected(app, Watch()) as dispatched:
            worker = WorkerProcess(place, self.server, app.config.task_queue)
            async with worker.running():
                yield KillableRun(app, dispatched, worker)

    @asynccontextmanager
    async def _connected(self, app: Mageflow, watch: Watch) -> AsyncGenerator[Dispatched]:
        client = await Client.connect(
            self.server.target,
            namespace=self.server.namespace,
            interceptors=[watch],
            grpc_compression=GrpcCompression.NONE,
        )
        async with app.connected_to(client, task_queue=new_queue()):
            dispatched = Dispatched(app, client, watch)
            try:
                yield dispatched
            finally:
                await _end_all(app, client, dispatched)


class LocalStage:
    """Where the apps of a test run without a server."""

    @asynccontextmanager
    async def running(self, app: Mageflow) -> AsyncGenerator[Run]:
        """Run an app in this process alone: see `Mageflow.local_execution`.

        Args:
            app: an app that is not running.
        """
        watch = Watch()
        async with app.local_execution(interceptors=[watch]):
            yield Run(app, Dispatched(app, await app.client(), watch), watch)


def new_queue() -> str:
    """Return the name of a queue that nobody has."""
    return f"test-{uuid.uuid4().hex[:12]}"


async def _end_all(app: Mageflow, client: Client, dispatched: Dispatched) -> None:
    """End what a test has left behind: a task that names a queue of its own would be taken up by the next test."""
    for schedule in await app.schedules():
        with _if_there():
            handle = client.get_schedule_handle(schedule.id)
            action = (await handle.describe()).schedule.action
            if isinstance(action, ScheduleActionStartWorkflow) and action.task_queue == app.config.task_queue:
                await handle.delete()
    for key in await dispatched.keys():
        with _if_there():
            await client.get_workflow_handle(key).terminate(_REASON)


@contextmanager
def _if_there() -> Generator[None]:
    """Let a call do nothing where what it is meant for has ended, or was removed."""
    try:
        yield
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
