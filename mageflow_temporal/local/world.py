"""All executions, and the time that they share."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from temporalio import activity, client, worker, workflow
from temporalio.client import Client

from mageflow_temporal.local.activities import Activities, Function
from mageflow_temporal.local.clock import Clock
from mageflow_temporal.local.execution import Execution, Start
from mageflow_temporal.local.service import LocalService

_QUIET: Final = 0.001
"""Seconds in which nothing goes on before the clock is put forward: code that was just woken has its say first."""


class World:
    """What lies between a client and the workflows and activities, in one event loop.

    Args:
        workflows: the types that can be started.
        functions: the activities.
        interceptors: of the client, of the worker, or of both.
        max_concurrent: how many activities run at once.

    Attributes:
        definitions: of the workflows, by the name of the type.
        client: what talks to this world.
        clock: its time.
        activities: those of all executions.
        error: what broke it, if anything did.
    """

    def __init__(
        self,
        workflows: Iterable[type],
        functions: Iterable[Function],
        interceptors: Sequence[client.Interceptor | worker.Interceptor],
        max_concurrent: int,
    ) -> None:
        definitions = map(workflow._Definition.must_from_class, workflows)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - `WorkflowInstanceDetails` asks for them
        self.definitions = {found.name or "": found for found in definitions}
        named = {activity._Definition.must_from_callable(function).name or "": function for function in functions}  # noqa: SLF001 # pyright: ignore[reportPrivateUsage, reportUnknownMemberType] - the SDK has no other way to a name
        of_client = [found for found in interceptors if isinstance(found, client.Interceptor)]
        self.client = Client(LocalService(self), interceptors=of_client)
        self.clock = Clock()
        of_worker = [found for found in interceptors if isinstance(found, worker.Interceptor)]
        self.activities = Activities(named, self.client, of_worker, max_concurrent, self._changed)
        self.error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._runs: dict[str, Execution] = {}
        self._latest: dict[str, Execution] = {}
        self._woken = 0
        self._waits: list[bytes | None] = []
        """Who waits for the end of an execution: the token of the activity whose code it is, or `None`."""
        self._nudge: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Let it run for as long as the context is open; then all that still goes on is ended."""
        try:
            yield
        finally:
            for execution in self.executions():
                execution.terminate("local execution has ended")
            await self.activities.stop()
            self.clock.stop()
            if self._nudge:
                self._nudge.cancel()
            for execution in self._runs.values():
                self.soon(execution.forget)
            await asyncio.sleep(0)

    def _break(self, error: Exception) -> None:
        self.error = error
        for execution in self.executions():
            execution.terminate("local execution is broken")

    def start(self, start: Start) -> Execution:
        """Start a workflow."""
        execution = Execution(self, start)
        self._runs[execution.run_id] = self._latest[start.workflow_id] = execution
        return execution

    def executions(self) -> list[Execution]:
        """Return the last run of each workflow."""
        return list(self._latest.values())

    def find(self, workflow_id: str, run_id: str = "") -> Execution | None:
        """Return a run of a workflow, by default its last one."""
        found = self._runs.get(run_id) if run_id else self._latest.get(workflow_id)
        return found if found and found.start.workflow_id == workflow_id else None

    def running_one(self, workflow_id: str) -> Execution | None:
        """Return the run of a workflow that has not ended."""
        found = self.find(workflow_id)
        return found if found and found.is_running else None

    def delete(self, execution: Execution) -> None:
        """Let there be no such workflow."""
        execution.terminate("deleted")
        self.soon(execution.forget)
        del self._runs[execution.run_id], self._latest[execution.start.workflow_id]

    def soon(self, call: Callable[[], None]) -> None:
        """Call something when what runs now has come to a rest: workflows are not woken in the midst of a task."""

        def called() -> None:
            self._woken -= 1
            try:
                call()
            except Exception as error:  # noqa: BLE001 - it is a defect of ours: whoever asks next learns of it
                self._break(error)
            self._changed()

        self._woken += 1
        self._loop.call_soon(called, context=self._context)

    @contextmanager
    def awaited(self) -> Generator[None]:
        """Let the clock be put forward whenever nothing else goes on: somebody waits."""
        waits = activity.info().task_token if activity.in_activity() else None
        self._waits.append(waits)
        self._changed()
        try:
            yield
        finally:
            self._waits.remove(waits)

    def _changed(self) -> None:
        if self._nudge is None and self._is_idle:
            self._nudge = self._loop.call_later(_QUIET, self._put_forward)

    @property
    def _is_idle(self) -> bool:
        waits = set(self._waits)
        return bool(waits) and not self._woken and all(token in waits for token in self.activities.running())

    def _put_forward(self) -> None:
        self._nudge = None
        if self._is_idle:
            self.clock.put_forward()
