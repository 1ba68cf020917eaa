"""Temporal's time-skipping test server, for tests with pauses of hours: while a result is awaited, time is skipped."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from temporalio import client
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, UnlockTimeSkippingRequest
from temporalio.client import Client, FetchWorkflowHistoryEventsInput, WorkflowHistoryEventAsyncIterator
from temporalio.service import GrpcCompression
from temporalio.testing import WorkflowEnvironment

from mageflow_temporal import Mageflow, MissingExtraError
from mageflow_temporal.testing.dispatched import Dispatched
from mageflow_temporal.testing.stage import Run, new_queue
from mageflow_temporal.testing.watch import Watch

_BINARY: Final = "temporal-test-server"


class SkippingStage:
    """Where the apps of a test run on a time-skipping server, each on one of its own: its time is for all on it."""

    @asynccontextmanager
    async def running(self, app: Mageflow) -> AsyncGenerator[Run]:
        """Run an app on a new time-skipping server, with a worker in this process.

        Args:
            app: an app that is not running.

        Raises:
            MissingExtraError: the extra "time-skipping" is not installed.
        """
        watch = Watch()
        async with await WorkflowEnvironment.start_time_skipping(test_server_existing_path=_binary()) as environment:
            connected = await Client.connect(
                environment.client.service_client.config.target_host,
                interceptors=[watch, _Skips(environment.client)],
                grpc_compression=GrpcCompression.NONE,
            )
            async with (
                app.connected_to(connected, task_queue=new_queue()),
                app.worker(shutdown_grace=timedelta(0)),
            ):
                yield Run(app, Dispatched(app, connected, watch), watch)


class _Skips(client.Interceptor):
    """Lets the server skip time while the end of a workflow is awaited."""

    def __init__(self, plain: Client) -> None:
        self._plain = plain

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return _Skipping(next, self._plain)


class _Skipping(client.OutboundInterceptor):
    def __init__(self, further: client.OutboundInterceptor, plain: Client) -> None:
        super().__init__(further)
        self._plain = plain

    def fetch_workflow_history_events(
        self, input: FetchWorkflowHistoryEventsInput
    ) -> WorkflowHistoryEventAsyncIterator:
        if input.wait_new_event:
            return _UntilTheEnd(self._plain, input)
        return super().fetch_workflow_history_events(input)


class _UntilTheEnd(WorkflowHistoryEventAsyncIterator):
    """The events of a workflow, for which time is skipped."""

    def __init__(self, plain: Client, input: FetchWorkflowHistoryEventsInput) -> None:
        super().__init__(plain, input)
        self._service = plain.test_service

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        await self._service.unlock_time_skipping(UnlockTimeSkippingRequest())
        try:
            await super().fetch_next_page(page_size=page_size)
        finally:
            await self._service.lock_time_skipping(LockTimeSkippingRequest())


def _binary() -> str:
    # A virtual environment that is not activated has its programs beside its interpreter.
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    path = shutil.which(_BINARY, path=os.pathsep.join(places))
    if path is None:
        raise MissingExtraError(extra="time-skipping", needed_for="the time-skipping server")
    return path
