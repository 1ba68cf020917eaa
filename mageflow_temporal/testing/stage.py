"""Where the apps of a test run: on the session's server, each on a queue of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode

from mageflow_temporal import EmbeddedServer, Mageflow, MissingScheduleError
from mageflow_temporal.testing.dispatched import Dispatched
from mageflow_temporal.testing.watch import Watch

_REASON: Final = "the test has ended"


class Run:
    """An app that runs in a test.

    Attributes:
        app: the app.
        dispatched: what was dispatched since it runs.
    """

    def __init__(self, app: Mageflow, dispatched: Dispatched) -> None:
        self.app = app
        self.dispatched = dispatched


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
            yield Run(app, dispatched)

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


def new_queue() -> str:
    """Return the name of a queue that nobody has."""
    return f"test-{uuid.uuid4().hex[:12]}"


async def _end_all(app: Mageflow, client: Client, dispatched: Dispatched) -> None:
    """End what a test has left behind: a task that names a queue of its own would be taken up by the next test."""
    for schedule in await app.schedules():
        with suppress(MissingScheduleError):  # listed a moment longer than it is there
            await schedule.delete()
    for key in await dispatched.keys():
        try:
            await client.get_workflow_handle(key).terminate(_REASON)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:  # it has ended, or was removed
                raise
