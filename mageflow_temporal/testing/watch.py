"""What the client and the worker of a test report: interceptors of Temporal's, which change nothing."""

from __future__ import annotations

from typing import Any

from temporalio.client import Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle


class Watch(Interceptor):
    """Notes what a client starts.

    The server lists a workflow some time after its start. Whoever asserts that nothing was started cannot wait for it.

    Attributes:
        started: the IDs of what was started, in order.
    """

    def __init__(self) -> None:
        self.started: list[str] = []

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Starts(next, self.started)


class _Starts(OutboundInterceptor):
    def __init__(self, further: OutboundInterceptor, started: list[str]) -> None:
        super().__init__(further)
        self._started = started

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        handle = await super().start_workflow(input)
        self._started.append(input.id)
        return handle
