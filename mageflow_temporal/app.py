"""Mageflow: the door that ties the rooms."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args, overload

from temporalio import workflow
from temporalio.client import Client, Interceptor, Plugin

from mageflow_temporal import batch_operation, checkup, connection, errors, listing, schedule, server
from mageflow_temporal.batch_operation import BatchOperation
from mageflow_temporal.checkup import Checkup
from mageflow_temporal.config import Duration, MageflowConfig, SwarmConfig, TaskOptions
from mageflow_temporal.control import Control
from mageflow_temporal.decorators import Decorators, TaskDecorator
from mageflow_temporal.engine import WORKFLOWS
from mageflow_temporal.familiar import FamiliarApp, from_default_priority
from mageflow_temporal.handle import LoadedMember, LoadedSignature, Member, within
from mageflow_temporal.key import Key
from mageflow_temporal.listing import ListedSignature
from mageflow_temporal.local import World
from mageflow_temporal.plan import OnFailure
from mageflow_temporal.plugin import MageflowPlugin
from mageflow_temporal.protocol import KINDS
from mageflow_temporal.schedule import Schedule
from mageflow_temporal.server import EmbeddedServer
from mageflow_temporal.signature import Chain, Draft, TaskSignature, find_task, resolve
from mageflow_temporal.status import Kind, LifecycleReport, Status, Verb
from mageflow_temporal.swarm import LoadedSwarm, Map, Swarm
from mageflow_temporal.task import MessageT, Registry, ResultT, Task, define
from mageflow_temporal.worker import MageflowWorker, activities
from mageflow_temporal.worker.service import PULLED_THROTTLE, PUSHED_THROTTLE

TaskLike = Task[Any, Any] | Draft[Any] | str
"""What can be a part of a chain or swarm: a task, a signature, or a task's name."""

_DraftT = TypeVar("_DraftT", bound=Draft[Any])

apps: weakref.WeakSet[Mageflow] = weakref.WeakSet()
"""The apps of this process."""

_served: ContextVar[Mapping[Mageflow, Control]] = ContextVar("mageflow_served", default=MappingProxyType({}))
"""The connections that apps have in what a user's own worker runs: those of the worker."""


class Mageflow(Decorators, FamiliarApp[Chain[Any], Swarm[Any]]):
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

    # Tasks.

    def task(
        self,
        *,
        name: str | None = None,
        retries: int = 0,
        execution_timeout: Duration | None = None,
        schedule_timeout: Duration | None = None,
        backoff_factor: float = 2.0,
        backoff_max_seconds: float = 60.0,
        heartbeat_timeout: Duration | None = None,
        task_queue: str | None = None,
        isolation: Literal["process"] | None = None,
        input_validator: type[Any] | None = None,
        at_most_once: bool = False,
        priority: int | None = None,
        fairness_key: str | None = None,
        fairness_weight: float | None = None,
        on_crons: Sequence[str] = (),
        default_priority: int | None = None,
    ) -> TaskDecorator:
        """Make a task of a function that takes one message, or nothing.

        An `async def` runs on the worker's event loop, a `def` in a thread.

        Args:
            name: the task's name. `None`: the function's.
            retries: how often a failed attempt is repeated (3: four attempts in all).
            execution_timeout: the longest that one attempt may take. `None`: no limit.
            schedule_timeout: the longest that it may wait in its queue; then it fails. `None`: no limit.
            backoff_factor: the pause before retry n (from 0) is `backoff_factor ** n` seconds.
            backoff_max_seconds: the longest pause before a retry, in seconds.
            heartbeat_timeout: how long its worker may be silent before it is handed to another. `None`: the app's.
            task_queue: the queue whose workers run it. `None`: the app's.
            isolation: "process" runs it in a process of its own, which an interrupt kills.
            input_validator: the type of its message, where the function's annotation does not say it.
            at_most_once: a lost worker fails the task, instead of another running it again.
            priority: from 1, which goes first, to 5. `None`: that of the start, else 3.
            fairness_key: whose work it is: the keys of one priority take turns. `None`: that of the start.
            fairness_weight: how many turns the key gets, from 0.001 to 1000. `None`: that of the start, else 1.
            on_crons: cron lines, in UTC: a worker that has the task schedules it so when it starts, without a message.
                The schedule's ID is "cron/{task queue}/{name}", and it goes on until it is deleted. See `schedule`.
            default_priority: the priority in Hatchet's numbers, where 3 goes first; instead of `priority`.

        Raises:
            DuplicateTaskError: the app has a task of that name.
            CompositionError: the function cannot be a task.
            pydantic.ValidationError: an option is out of its range.
        """
        if default_priority is not None:
            if priority is not None:
                msg = f"priority={priority} and default_priority={default_priority} are two words for one thing"
                raise errors.CompositionError(msg)
            priority = from_default_priority(default_priority)
        options = TaskOptions(
            retries=retries,
            execution_timeout=execution_timeout,
            schedule_timeout=schedule_timeout,
            backoff_factor=backoff_factor,
            backoff_max_seconds=backoff_max_seconds,
            heartbeat_timeout=heartbeat_timeout,
            task_queue=task_queue,
            at_most_once=at_most_once,
            priority=priority,
            fairness_key=fairness_key,
            fairness_weight=fairness_weight,
        )

        def decorate(function: Callable[..., Any]) -> Task[Any, Any]:
            task = define(
                function,
                name=name,
                owner=self,
                options=options,
                isolation=isolation,
                input_validator=input_validator,
                accepts=self.config.param_config,
                on_crons=on_crons,
                namespace=sys._getframe(2).f_locals,  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - annotations may mean local names
            )
            self.tasks.add(task)
            return task

        return TaskDecorator(decorate)

    durable_task = task

    def declare(
        self, name: str, *, message: Any = Any, result: Any = Any, options: TaskOptions | None = None
    ) -> Task[Any, Any]:
        """Declare a task that is implemented elsewhere: in another service, or in another language.

        Args:
            name: its name, which is its Temporal activity type.
            message: the type of its message.
            result: the type of its result.
            options: how it may run; `task_queue` says whose workers have it.

        Raises:
            DuplicateTaskError: the app has a task of that name.
        """
        task = Task[Any, Any](
            name=name,
            function=None,
            options=options or TaskOptions(),
            owner=self,
            message_type=message,
            result_type=result,
        )
        self.tasks.add(task)
        return task

    # Composition.

    @overload
    async def sign(self, task: Task[MessageT, ResultT], **kwargs: Any) -> TaskSignature[MessageT, ResultT]: ...
    @overload
    async def sign(self, task: str, **kwargs: Any) -> TaskSignature[Any, Any]: ...
    async def sign(
        self,
        task: Task[Any, Any] | str,
        *,
        success_callbacks: Sequence[TaskLike] = (),
        error_callbacks: Sequence[TaskLike] = (),
        on_failure: OnFailure = "fail",
        **kwargs: Any,
    ) -> TaskSignature[Any, Any]:
        """Return a signature of a task, with kwargs that are laid over its message.

        Args:
            task: the task, or its name.
            success_callbacks: what begins when it is done; each gets its result.
            error_callbacks: what begins when it has failed for good; each gets its message.
            on_failure: "suspend" suspends it where it would fail; a resume, perhaps with corrected kwargs, runs
                what failed again.
            kwargs: laid over its message.

        Raises:
            UnknownTaskError: it is not a task of this app.
            NotATaskError: it is no task at all.
        """
        signature = TaskSignature(self, find_task(self, task, "sign"), kwargs)
        return self._finished(signature, success_callbacks, error_callbacks, on_failure)

    asign = sign

    async def chain(
        self,
        tasks: Sequence[TaskLike],
        name: str | None = None,
        *,
        success: TaskLike | None = None,
        error: TaskLike | None = None,
        success_callbacks: Sequence[TaskLike] = (),
        error_callbacks: Sequence[TaskLike] = (),
        on_failure: OnFailure = "fail",
        **kwargs: Any,
    ) -> Chain[Any]:
        """Return a chain: its steps run in order, each with the result of the one before.

        Args:
            tasks: at least two tasks, signatures or task names.
            name: what it is called. `None`: its first step's name.
            success: one success callback.
            error: one error callback.
            success_callbacks: what begins when it is done; each gets the last result.
            error_callbacks: what begins when it has failed; each gets the message of the step that failed.
            on_failure: "suspend" suspends it where it would fail; a resume, perhaps with corrected kwargs, runs
                what failed again.
            kwargs: laid over the message of every step.

        Raises:
            InvalidContainerError: there are fewer than two steps.
            UnknownTaskError: a step is not a task of this app.
            NotATaskError: a step is no task at all.
        """
        steps = resolve(self, tasks, "chain")
        made = Chain[Any](self, name or (steps[0].name if steps else "chain"), steps, kwargs)
        made.node()
        successes = [*success_callbacks, *([] if success is None else [success])]
        failures = [*error_callbacks, *([] if error is None else [error])]
        return self._finished(made, successes, failures, on_failure)

    @overload
    async def swarm(
        self,
        tasks: Sequence[Task[Any, ResultT] | Draft[ResultT]],
        name: str | None = None,
        *,
        config: SwarmConfig | None = None,
        is_swarm_closed: bool = False,
        **kwargs: Any,
    ) -> Swarm[ResultT]: ...
    @overload
    async def swarm(
        self,
        tasks: Sequence[TaskLike] = (),
        name: str | None = None,
        *,
        config: SwarmConfig | None = None,
        is_swarm_closed: bool = False,
        **kwargs: Any,
    ) -> Swarm[Any]: ...
    async def swarm(
        self,
        tasks: Sequence[TaskLike] = (),
        name: str | None = None,
        *,
        config: SwarmConfig | None = None,
        is_swarm_closed: bool = False,
        success_callbacks: Sequence[TaskLike] = (),
        error_callbacks: Sequence[TaskLike] = (),
        on_failure: OnFailure = "fail",
        **kwargs: Any,
    ) -> Swarm[Any]:
        """Return a swarm: its items run side by side.

        Args:
            tasks: tasks, signatures or task names.
            name: what it is called. `None`: "swarm".
            config: how it works through its items.
            is_swarm_closed: whether it takes no items after its start. An open swarm is done only after `close()`.
            success_callbacks: what begins when it is done; each gets the list of successful results.
            error_callbacks: what begins when it has failed; each gets the message of the item that failed first.
            on_failure: "suspend" suspends it where it would fail; a resume, perhaps with corrected kwargs, runs
                what failed again.
            kwargs: laid over the message of every item.

        Raises:
            UnknownTaskError: an item is not a task of this app.
            NotATaskError: an item is no task at all.
            TooManyTasksError: there are more than `config.max_task_allowed`.
        """
        items = resolve(self, tasks, "swarm")
        made = Swarm[Any](
            self, name or "swarm", items, kwargs, config=config or SwarmConfig(), is_swarm_closed=is_swarm_closed
        )
        made.node()
        return self._finished(made, success_callbacks, error_callbacks, on_failure)

    async def map(
        self,
        task: Task[Any, ResultT] | Draft[ResultT] | str,
        items: Iterable[Any] | None = None,
        name: str | None = None,
        *,
        config: SwarmConfig | None = None,
        success_callbacks: Sequence[TaskLike] = (),
        error_callbacks: Sequence[TaskLike] = (),
        on_failure: OnFailure = "fail",
        **kwargs: Any,
    ) -> Map[ResultT]:
        """Return a map: a swarm with an item for each element of a list. Its results are in the order of the elements.

        Each item gets its element as a step of a chain gets the previous result: in the field that is annotated
        `ReturnValue`, or as `mageflow_results`.

        Args:
            task: what runs for each element: a task, a signature, or a task's name.
            items: the elements. `None`: those of the previous step's result, or of a list given to `start`.
            name: what it is called. `None`: the task's name.
            config: how it works through the elements.
            success_callbacks: what begins when it is done; each gets the list of successful results.
            error_callbacks: what begins when it has failed.
            on_failure: "suspend" suspends it where it would fail; a resume, perhaps with corrected kwargs, runs
                what failed again.
            kwargs: laid over the message of every item.

        Raises:
            UnknownTaskError: it is not a task of this app.
            NotATaskError: it is no task at all.
        """
        [each] = resolve(self, [task], "map")
        elements = None if items is None else list(items)
        made = Map[ResultT](self, name or each.name, each, elements, kwargs, config=config or SwarmConfig())
        return self._finished(made, success_callbacks, error_callbacks, on_failure)

    def _finished(
        self, made: _DraftT, success: Sequence[TaskLike], error: Sequence[TaskLike], on_failure: OnFailure
    ) -> _DraftT:
        if on_failure not in get_args(OnFailure):
            msg = f"on_failure={on_failure!r} of {made.name!r} is none of: {', '.join(get_args(OnFailure))}"
            raise errors.CompositionError(msg)
        made.on_failure = on_failure
        made.success_callbacks = resolve(self, success, "success_callbacks")
        made.error_callbacks = resolve(self, error, "error_callbacks")
        return made

    # By key, from any process.

    async def load_signature(self, key: str) -> LoadedSignature | LoadedMember | None:
        """Return the signature or member of that key, or `None` if there is none."""
        control, parsed = await self.control(), Key.parse(key)
        try:
            description = await control.line.describe(parsed.workflow_id)
            if parsed.path:
                await control.status(parsed)
                return LoadedMember(self, key)
        except (errors.MissingSignatureError, errors.UnknownMemberError):
            return None
        kind = KINDS[description.workflow_type]
        memo = await control.memo(description)
        return (LoadedSwarm if kind == "swarm" else LoadedSignature)(self, key, kind, memo)

    async def signatures(
        self,
        query: str = "",
        *,
        status: Status | None = None,
        name: str | None = None,
        kind: Kind | None = None,
        older_than: timedelta | None = None,
    ) -> AsyncIterator[ListedSignature]:
        """Yield the signatures of all apps in the namespace. The server may list a change a moment late.

        Args:
            query: a visibility query that they must fit, such as `MageflowName STARTS_WITH 'etl'`. Empty: all fit.
            status: only those of this status.
            name: only those of this name. The server finds none that has a backslash or a double quote in it.
            kind: only those of this kind.
            older_than: only those that were started longer ago than this.

        Raises:
            InvalidQueryError: the server refuses the query, or has no search attributes for the status or the name.
            ServerUnavailableError: the server does not answer.
        """
        asked = listing.query_of(query, status=status, name=name, kind=kind, older_than=older_than)
        async for found in listing.find(await self.control(), asked):
            yield found

    async def count(
        self,
        query: str = "",
        *,
        status: Status | None = None,
        name: str | None = None,
        kind: Kind | None = None,
        older_than: timedelta | None = None,
    ) -> int:
        """Return how many signatures `signatures` would yield; the server counts them."""
        asked = listing.query_of(query, status=status, name=name, kind=kind, older_than=older_than)
        return await listing.count(await self.control(), asked)

    async def batch(
        self, verb: Verb, query: str, *, reason: str | None = None, rate: float | None = None
    ) -> BatchOperation:
        """Let the server send a verb to all signatures that run and that a query finds: very many, and without us.

        They are signals: nobody gets an answer, and what came of one is in its status (`last_verb`).

        Args:
            verb: the verb.
            query: a visibility query, as for `signatures`.
            reason: why; it is kept in the status of each while it is held.
            rate: how many in a second at most. `None`: as many as the server does.

        Raises:
            InvalidQueryError: the server refuses the query.
            ServerUnavailableError: the server does not answer.
        """
        return await batch_operation.begin(await self.control(), verb, query, reason=reason, rate=rate)

    async def load_schedule(self, id: str) -> Schedule | None:
        """Return the schedule of that ID, or `None` if there is none, or none of ours."""
        found = Schedule(self, id)
        try:
            await found.describe()
        except errors.MissingScheduleError:
            return None
        return found

    async def schedules(self) -> list[Schedule]:
        """Return our schedules, those of all apps in the namespace. The server may list a change a moment late."""
        return [Schedule(self, found) for found in await schedule.ours(await self.control())]

    async def suspend(
        self, key: str, reason: str | None = None, *, timeout: timedelta | float | None = None
    ) -> LifecycleReport:
        """Suspend the signature or member of that key. See `Member.suspend`."""
        return await Member(self, key).suspend(reason, timeout=timeout)

    async def interrupt(
        self, key: str, reason: str | None = None, *, timeout: timedelta | float | None = None
    ) -> LifecycleReport:
        """Interrupt the signature or member of that key. See `Member.interrupt`."""
        return await Member(self, key).interrupt(reason, timeout=timeout)

    async def resume(
        self, key: str, kwargs: dict[str, Any] | None = None, *, timeout: timedelta | float | None = None
    ) -> LifecycleReport:
        """Resume the signature or member of that key. See `Member.resume`."""
        return await Member(self, key).resume(kwargs, timeout=timeout)

    async def skip(self, key: str, result: Any = None, *, timeout: timedelta | float | None = None) -> LifecycleReport:
        """Skip the signature or member of that key. See `Member.skip`."""
        return await Member(self, key).skip(result, timeout=timeout)

    async def remove(self, key: str, *, timeout: timedelta | float | None = None) -> None:
        """Cancel the signature of that key if it runs, and delete it from the server. See `Signature.remove`."""
        async with within(timeout, "remove", key):
            await (await self.control()).remove(key)

    # Connection, worker, embedded server.

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
            world = World(WORKFLOWS, functions, interceptors, max_concurrent_tasks)
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
