"""Mageflow: the door that ties the rooms."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from temporalio import workflow
from temporalio.client import Client, Interceptor, Plugin

from mageflow_temporal import checkup, connection, errors, schedule, server
from mageflow_temporal.checkup import Checkup
from mageflow_temporal.composition import Composition
from mageflow_temporal.config import MageflowConfig
from mageflow_temporal.control import Control
from mageflow_temporal.engine import WORKFLOWS
from mageflow_temporal.local import World
from mageflow_temporal.lookup import Lookup
from mageflow_temporal.plugin import MageflowPlugin
from mageflow_temporal.server import EmbeddedServer
from mageflow_temporal.status import Status
from mageflow_temporal.task import Registry
from mageflow_temporal.worker import MageflowWorker, TaskInterceptor, activities
from mageflow_temporal.worker.service import PULLED_THROTTLE, PUSHED_THROTTLE

apps: weakref.WeakSet[Mageflow] = weakref.WeakSet()
"""The apps of this process."""

_served: ContextVar[Mapping[Mageflow, Control]] = ContextVar("mageflow_served", default=MappingProxyType({}))
"""The connections that apps have in what a user's own worker runs: those of the worker."""


class Mageflow(Lookup, Composition):
    """An app: its tasks, its connection, its settings.

    Args:
        target: the server's address (`host:port`), or a connected client. `None`: address, TLS, API key and namespace
            from Temporal's environment variables and profile (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, ...).
        config: the settings.
        plugins: Temporal's plugins, for all connections that the app makes: tracing, a codec, a runtime of one's own.

    Raises:
        ConfigurationError: there are plugins, and the target is a client, which has been connected without them.

    Attributes:
        tasks: the app's tasks.
        config: its settings.
    """

    def __init__(
        self,
        target: str | Client | None = None,
        *,
        config: MageflowConfig | None = None,
        plugins: Sequence[Plugin] = (),
    ) -> None:
        if plugins and isinstance(target, Client):
            msg = "a connected client takes no plugins any more: give them to Client.connect(..., plugins=[...])"
            raise errors.ConfigurationError(msg)
        self.config = config or MageflowConfig()
        self.tasks = Registry()
        self._target = target
        self._plugins = tuple(plugins)
        self._control: Control | None = None
        self._connecting = asyncio.Lock()
        if not workflow.unsafe.in_sandbox():  # there modules are imported anew for each run of a workflow
            apps.add(self)

    async def control(self) -> Control:
        """Return the app's connection, made on its first use.

        Raises:
            ServerUnavailableError: no server answers.
            InWorkflowError: this is the code of a workflow.
        """
        if workflow.in_workflow():
            raise errors.InWorkflowError
        if served := _served.get().get(self):
            return served
        async with self._connecting:
            if self._control is None:
                self._control = await connection.connect(self._target, self.config, self._plugins)
            return self._control

    async def client(self) -> Client:
        """Return the Temporal client of the app.

        Raises:
            ServerUnavailableError: no server answers.
        """
        return (await self.control()).client

    async def checkup(self) -> Checkup:
        """Return what the server, the namespace and the app's queue have of what its work needs.

        Raises:
            ServerUnavailableError: no server answers.
        """
        return await checkup.checkup(await self.control(), self.config.task_queue)

    def worker(
        self,
        *,
        task_queues: Sequence[str] | None = None,
        max_concurrent_tasks: int = 100,
        shutdown_grace: timedelta = timedelta(seconds=10),
        health: int | None = None,
    ) -> MageflowWorker:
        """Return a worker for the app's workflows and tasks: `await mf.worker().run()`.

        Args:
            task_queues: the queues to listen on. `None`: the app's, and those that its tasks name.
            max_concurrent_tasks: how many tasks run at once on each queue.
            shutdown_grace: how long running tasks may go on when the worker is stopped.
            health: a port for `GET /live`, which is answered while the event loop lives, and `GET /ready`, which is
                answered with 503 while the worker starts or stops, or cannot reach the server. `None`: no endpoint.

        When it begins it raises `ServerUnavailableError` where no server answers, `ServerRefusedError` where it lets
        nobody in, `HealthPortError` where the port is taken, and `MissingExtraError` where a task has a process of its
        own and the extra "process" is not installed.
        """
        for name in task_queues or ():
            MageflowConfig(task_queue=name)  # which says what is wrong with it
        named = [task.options.task_queue for task in self.tasks if task.options.task_queue and task.function]

        async def connect() -> tuple[Client, timedelta]:
            control = await self.control()
            checkup.warn(control)
            await self._schedule_crons()
            return control.client, PUSHED_THROTTLE if control.able.cancel_push else PULLED_THROTTLE

        return MageflowWorker(
            connect,
            workflows=WORKFLOWS,
            tasks=list(self.tasks),
            task_queues=task_queues or list(dict.fromkeys([self.config.task_queue, *named])),
            max_concurrent_tasks=max_concurrent_tasks,
            shutdown_grace=shutdown_grace,
            health=health,
            census=self._census,
        )

    def plugin(self) -> MageflowPlugin:
        """Return a Temporal plugin: it adds the app's signatures and tasks to a `temporalio` worker of one's own.

        Give it to a client, whose workers then have it, or to a single worker: `plugins=[mf.plugin()]`. A
        worker with it does what `mf.worker()` does, on its own queue; signatures wait on the app's (`MageflowConfig`).
        The workflows of its own can make, start and run signatures in their code. Give it to a `Replayer`, too.

        A worker with it raises `MissingExtraError` when it is made, where a task has a process of its own and the extra
        "process" is not installed; and `ServerUnavailableError` when it begins, where no server answers.
        """
        return MageflowPlugin(self)

    @asynccontextmanager
    async def serving(self, client: Client) -> AsyncGenerator[Control]:
        """Use a worker's connection in what runs within the context, and see to the cron lines of tasks. See `plugin`.

        Args:
            client: the worker's.

        Raises:
            ServerUnavailableError: no server answers.
        """
        control = await connection.connect(client, self.config, ())
        token = _served.set({**_served.get(), self: control})
        try:
            await self._schedule_crons()
            yield control
        finally:
            _served.reset(token)

    async def _census(self) -> dict[Status, int]:
        if not (await self.control()).able.search_attributes:
            return {}
        return {status: await self.count(status=status) for status in Status if not status.ended}

    async def _schedule_crons(self) -> None:
        """Give each task that names cron lines its schedule. Workers that start at once give it the same."""
        for task in self.tasks:
            if task.on_crons and task.function:
                name = schedule.cron_id(self.config.task_queue, task.name)
                await (await self.sign(task)).schedule(name, cron=task.on_crons, replace=True)

    def run_worker(
        self,
        *,
        task_queues: Sequence[str] | None = None,
        max_concurrent_tasks: int = 100,
        shutdown_grace: timedelta = timedelta(seconds=10),
        health: int | None = None,
    ) -> None:
        """Run a worker in this thread until the process gets SIGINT or SIGTERM. See `worker`."""
        worker = self.worker(
            task_queues=task_queues,
            max_concurrent_tasks=max_concurrent_tasks,
            shutdown_grace=shutdown_grace,
            health=health,
        )
        asyncio.run(worker.run())

    @asynccontextmanager
    async def local(
        self,
        *,
        database: Path | str | None = None,
        ui: bool = True,
        worker: bool = True,
        port: int | None = None,
        ui_port: int | None = None,
    ) -> AsyncGenerator[EmbeddedServer]:
        """Run an embedded server, and a worker in this process, and use them for as long as the context is open.

        Args:
            database: a file that keeps the server's state over restarts. `None`: in memory.
            ui: whether to serve the Web UI.
            worker: whether to run a worker, too.
            port: the server's port. `None`: a free one.
            ui_port: the Web UI's port. `None`: a free one.

        Raises:
            MissingExtraError: the extra "server" is not installed.
            ServerStartError: the server did not start.
        """
        async with (
            server.run(database=database, ui=ui, port=port, ui_port=ui_port) as embedded,
            self.connected_to(await connection.to_embedded(embedded, self._plugins)),
        ):
            if worker:
                async with self.worker(shutdown_grace=timedelta(0)):
                    yield embedded
            else:
                yield embedded

    @asynccontextmanager
    async def local_execution(
        self, *, interceptors: Sequence[Interceptor] = (), max_concurrent_tasks: int = 100
    ) -> AsyncGenerator[None]:
        """Execute everything in this process, without any server, for as long as the context is open.

        Engine and tasks are those of production; what lies between them is played. While somebody waits for a result
        and no task runs, time is put forward to the next pause's end. When the context is left, all is gone.

        Args:
            interceptors: of the client that the app has meanwhile. Those that are a worker's, too, intercept tasks.
            max_concurrent_tasks: how many tasks run at once.
        """
        with ThreadPoolExecutor(max_concurrent_tasks, thread_name_prefix="mageflow-task") as executor:
            functions = activities(self.tasks, executor, max_concurrent_tasks)
            world = World(WORKFLOWS, functions, [*interceptors, TaskInterceptor()], max_concurrent_tasks)
            async with world.running(), self.connected_to(world.client):
                yield

    @asynccontextmanager
    async def connected_to(self, target: str | Client, *, task_queue: str | None = None) -> AsyncGenerator[None]:
        """Use another server than the app's own for as long as the context is open.

        Args:
            target: the server's address (`host:port`), or a connected client, which has plugins of its own.
            task_queue: the app's queue for that time. `None`: the one that it has.

        Raises:
            ServerUnavailableError: no server answers.
            pydantic.ValidationError: that cannot be a queue's name.
        """
        before = self.config, self._control
        if task_queue is not None:
            self.config = MageflowConfig.model_validate({**dict(self.config), "task_queue": task_queue})
        try:
            self._control = await connection.connect(target, self.config, self._plugins)
            yield
        finally:
            self.config, self._control = before
