"""What the client and the worker of a test report, and where a test may hold a task: interceptors of Temporal's."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from temporalio import activity, client, worker

from mageflow_temporal import Member


class Stop:
    """A place where the worker stops: before the code of a task.

    Attributes:
        key: the key of the task that was stopped there. Empty before.
    """

    def __init__(self, signature: Member, step: str) -> None:
        self._signature = signature
        self._step = step
        self._passes = asyncio.Event()
        self._reached = asyncio.Event()
        self.key = ""

    async def reached(self, timeout: float) -> bool:
        """Wait until a task has been stopped here; return whether one was, in so many seconds."""
        try:
            async with asyncio.timeout(timeout):
                return await self._reached.wait()
        except TimeoutError:
            return False

    def open(self) -> None:
        """Let it go on, and whatever comes later pass."""
        self._passes.set()

    async def pass_by(self, info: activity.Info) -> None:
        """Stop a task, if it is the one that is meant."""
        path = info.activity_id.partition("~")[0]
        # The key is looked at only now: a start may give it to a signature.
        whose = self._signature.key.partition("#")[0]
        if self._passes.is_set() or info.workflow_id != whose or self._step not in (info.activity_type, path):
            return
        self.key = whose if path == "task" else f"{whose}#{path}"
        self._reached.set()
        await self._passes.wait()


class Watch(client.Interceptor, worker.Interceptor):
    """Notes what a client starts, and stops tasks of the workers that use it.

    The server lists a workflow some time after its start. Whoever asserts that nothing was started cannot wait for it.

    Attributes:
        started: the IDs of what was started, in order.
        stops: where tasks are stopped.
    """

    def __init__(self) -> None:
        self.started: list[str] = []
        self.stops: list[Stop] = []

    @contextmanager
    def stop(self, signature: Member, step: str) -> Generator[Stop]:
        """Stop the first task that comes to a step of a signature, for as long as the context is open."""
        made = Stop(signature, step)
        self.stops.append(made)
        try:
            yield made
        finally:
            self.stops.remove(made)
            made.open()

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return _Starts(next, self.started)

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:
        return _Stops(next, self.stops)


class _Starts(client.OutboundInterceptor):
    def __init__(self, further: client.OutboundInterceptor, started: list[str]) -> None:
        super().__init__(further)
        self._started = started

    async def start_workflow(self, input: client.StartWorkflowInput) -> client.WorkflowHandle[Any, Any]:
        handle = await super().start_workflow(input)
        self._started.append(input.id)
        return handle


class _Stops(worker.ActivityInboundInterceptor):
    def __init__(self, further: worker.ActivityInboundInterceptor, stops: list[Stop]) -> None:
        super().__init__(further)
        self._stops = stops

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        for stop in list(self._stops):
            await stop.pass_by(activity.info())
        return await super().execute_activity(input)
