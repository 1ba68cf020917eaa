"""Signatures: drafts of work that can be edited until they are started.

A draft is compiled by its start (or by a verb before its start); from then on its progress is the workflow's, and
every call here goes to it by key, as it would from any other process.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from copy import copy, deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypedDict, Unpack, cast

from temporalio import workflow

from mageflow_temporal import caller, errors, plan, schedule
from mageflow_temporal.child import Child, terms_for
from mageflow_temporal.config import Priority, TaskOptions, size_of
from mageflow_temporal.control import Control
from mageflow_temporal.familiar import FamiliarDraft, Kwargs
from mageflow_temporal.handle import App, Member, Signature, checked_key, new_key, within
from mageflow_temporal.key import Key
from mageflow_temporal.message import bind, deep_merge, given, has_fields, to_json
from mageflow_temporal.plan import ChainNode, OnFailure, Plan, PlanNode, SwarmNode, TaskNode, TaskSpec
from mageflow_temporal.protocol import START, LifecycleRequest, Memo, ResumeRequest, SkipRequest, Tied
from mageflow_temporal.schedule import Overlap, Schedule
from mageflow_temporal.status import Counts, LifecycleReport, Status, StatusReport, Verb
from mageflow_temporal.task import MessageT, ResultT, Task

_FEWEST_STEPS: Final = 2
_LONGEST_NAME: Final = 255
"""Bytes: a name goes into keys, search attributes and summaries, each of which has a limit."""


class _Common(TypedDict):
    name: str
    on_success: tuple[PlanNode, ...]
    on_error: tuple[PlanNode, ...]
    on_failure: OnFailure


class PriorityOptions(TypedDict, total=False):
    """Who goes first: see `Draft.start`."""

    priority: int | None
    fairness_key: str | None
    fairness_weight: float | None


class StartOptions(PriorityOptions, total=False):
    """The options of a start: see `Draft.start`."""

    id: str | None
    delay: timedelta | None


class Draft(Signature[ResultT], FamiliarDraft[ResultT]):
    """A signature that this process made. Until it is started, its parts and kwargs can be edited.

    Attributes:
        kwargs: values laid over the message of every task that the signature has.
        success_callbacks: signatures that begin when it is done; each gets the result.
        error_callbacks: signatures that begin when it has failed; each gets the message of the task that failed.
        on_failure: "fail"; or "suspend": where it would fail it is suspended, and a resume runs what failed again.
    """

    def __init__(self, app: App, name: str, kwargs: dict[str, Any]) -> None:
        if not 0 < size_of(name) <= _LONGEST_NAME:
            msg = f"{name!r} cannot be a name: it must have 1 to {_LONGEST_NAME} bytes of UTF-8"
            raise errors.CompositionError(msg)
        super().__init__(app, new_key(name), name)
        self.kwargs = Kwargs(kwargs)
        self.success_callbacks: list[Draft[Any]] = []
        self.error_callbacks: list[Draft[Any]] = []
        self.on_failure: OnFailure = "fail"
        self._opened: Plan | None = None
        self._started = False
        self._child: Child | None = None

    @abstractmethod
    def node(self) -> PlanNode:
        """Return the node that this signature compiles to."""

    def duplicate(self) -> Self:
        """Return an independent draft like this one: its key, its kwargs, its parts and its callbacks are its own."""
        made = copy(self)
        made.key = new_key(self.name)
        made._opened, made._started, made._child = None, False, None  # noqa: SLF001 - it is of this very class
        made.kwargs = Kwargs(deepcopy(dict(self.kwargs)))
        made.success_callbacks = duplicates(self.success_callbacks)
        made.error_callbacks = duplicates(self.error_callbacks)
        return made

    def duplicate_many(self, number: int) -> list[Self]:
        """Return that many independent drafts like this one. See `duplicate`."""
        return [self.duplicate() for _ in range(number)]

    async def start(
        self,
        message: Any = None,
        *,
        id: str | None = None,
        delay: timedelta | None = None,
        tied: bool = False,
        timeout: timedelta | float | None = None,
        **options: Unpack[PriorityOptions],
    ) -> Self:
        """Start it and return at once.

        Inside a task, a start is repeated by each run of the task's code, and starts nothing a second time. Inside a
        user's own workflow, whose worker has `Mageflow.plugin()`, it starts a child workflow.

        Args:
            message: what its first task gets, or each item of a swarm. `None`: nothing but the bound kwargs.
            id: the key it is to have. A start with an ID that has been started does nothing: it is that signature.
            delay: how long it waits before it begins, on the server. It is pending until then; a verb finds it there.
            tied: inside a task: whether it is suspended, interrupted, resumed and cancelled with that task, also after
                the task has ended, for as long as the task's own signature lasts. Otherwise it is free of it. Inside a
                user's own workflow: whether it is cancelled when that ends before it.
            timeout: how long to wait for the server, and for a worker where a verb has opened it or it is tied; in
                seconds or as a `timedelta`. `None`: until there is an answer.
            options: for all its tasks that do not say otherwise:
                priority: from 1, which goes first, to 5. 3 where nobody says anything.
                fairness_key: whose work it is. The keys of one priority take turns, on a server with fairness enabled.
                fairness_weight: how many turns the key gets, from 0.001 to 1000. 1 where nobody says anything.

        Raises:
            InvalidMessageError: the message does not fit a task that it would reach; nothing was started.
            NotSerializableError: JSON has no form for the message, or for a bound kwarg.
            SignatureAlreadyStartedError: this signature has been started; or, inside a user's own workflow, the ID has.
            NotInTaskError: it is to be tied, and this is not the code of a signature's task.
            SignatureEndedError: it is to be tied, and the task has ended; nothing was started.
            PayloadTooLargeError: the message is larger than the server takes.
            ServerUnavailableError: no server answers.
            CallTimeoutError: the timeout passed. Started again it starts nothing a second time.
            pydantic.ValidationError: a delay, priority, fairness key or weight is out of its range.
        """
        if self._started:
            raise errors.SignatureAlreadyStartedError(key=self.key)
        if id is not None and id != self.key:
            if self._opened:
                problem = f"comes too late: the server knows it as {self.key!r} already, so start it without id="
                raise errors.InvalidKeyError(key=id, problem=problem)
            self.key = checked_key(id)
        priority = Priority(**options)
        compiled = self._compile()
        raw = to_json(message)
        self._check(compiled, raw)
        if self._opened and self._opened != compiled:
            msg = (
                f"{self.key!r} was edited after a verb opened it on the server: edit a signature before its first verb"
            )
            raise errors.CompositionError(msg)
        async with within(timeout, START, self.key):
            if workflow.in_workflow():
                self._child = await Child.start(
                    self.key,
                    compiled,
                    self._memo(compiled),
                    terms_for(self.owner.config),
                    message=raw,
                    delay=delay,
                    priority=priority,
                    tied=tied,
                )
            else:
                await self._start_from_outside(compiled, raw, delay, priority, tied=tied)
        self._started = True
        return self

    async def _start_from_outside(
        self, compiled: Plan, raw: Any, delay: timedelta | None, priority: Priority, *, tied: bool
    ) -> None:
        control = await self.owner.control()
        tie = await self._tie(control) if tied else Tied()
        if self._opened or not await control.start(
            self.key,
            compiled,
            self._memo(compiled),
            message=raw,
            hold=tie.hold,
            reason=tie.reason,
            delay=delay,
            priority=priority,
        ):
            await control.deliver(self.key, raw, delay, priority)

    async def run(
        self,
        message: Any = None,
        *,
        timeout: timedelta | float | None = None,
        **options: Unpack[StartOptions],
    ) -> ResultT:
        """Start it, wait for its end, and return its result: `start` and `result` in one call.

        The timeout is that of each of the two.

        Inside the code of a signature's task it is tied to that task, which waits for it: see `start`. So it is inside
        a user's own workflow, and there it is cancelled with the code that waits for it.

        Raises:
            MageflowError: whatever `start` and `result` raise.
        """
        who = caller.current()
        ties = who is not None and who.ties
        await self.start(message, tied=ties or workflow.in_workflow(), timeout=timeout, **options)
        try:
            result = await self.result(timeout)
        except asyncio.CancelledError:
            if self._child:
                await self._child.cancel()
            raise
        if who and ties:
            who.has_seen_end_of(self.key)
        return result

    async def schedule(
        self,
        id: str,
        *,
        cron: str | Sequence[str] | None = None,
        every: timedelta | None = None,
        message: Any = None,
        timezone: str | None = None,
        overlap: Overlap = "skip",
        replace: bool = False,
        **options: Unpack[PriorityOptions],
    ) -> Schedule:
        """Have the server start it again and again: each run is a signature of its own, made as this one is now.

        Args:
            id: the schedule's ID. The key of a run is that and the time at which it was due.
            cron: when it is due, as "0 9 * * MON-FRI" or "@hourly"; several such lines add up.
            every: or how often, in whole seconds, counted from the epoch: every=timedelta(hours=1) is on the hour.
            message: what each run is started with.
            timezone: that of the cron lines, as "Europe/Berlin". `None`: UTC.
            overlap: what becomes of a run that is due while the one before it still runs. It is left out by default.
            replace: give a schedule of that ID this form; one that is paused stays so. Without it that is an error, as
                it is inside a task whose code runs again.
            options: `priority`, `fairness_key` and `fairness_weight` of each run, as in `start`.

        Raises:
            InvalidScheduleError: not one of `cron` and `every`, or one that the server cannot read.
            ScheduleExistsError: there is one of that ID.
            InvalidMessageError: the message does not fit a task that it would reach; nothing was scheduled.
            ServerUnavailableError: no server answers.
        """
        checked_key(id)
        when = schedule.spec(id, cron=cron, every=every, timezone=timezone)
        priority = Priority(**options)
        compiled = self._compile()
        raw = to_json(message)
        self._check(compiled, raw)
        memo, control = self._memo(compiled), await self.owner.control()
        action = control.action(id, compiled, memo, raw, priority)
        await schedule.create(control, id, when, action, memo, overlap=overlap, replace=replace)
        return Schedule(self.owner, id)

    async def result(self, timeout: timedelta | float | None = None) -> ResultT:
        self._require_opened()
        return await super().result(timeout)

    async def _raw_result(self, timeout: timedelta | None) -> Any:
        return await (self._child.result(timeout) if self._child else super()._raw_result(timeout))

    async def remove(self, *, timeout: timedelta | float | None = None) -> None:
        self._require_opened()
        await super().remove(timeout=timeout)

    async def status(self) -> StatusReport:
        if not self._known_to_server:
            return _draft_report(self.node(), self.key)
        return await super().status()

    async def _verb(self, name: str, request: LifecycleRequest, timeout: timedelta | float | None) -> LifecycleReport:
        if self._known_to_server:
            return await super()._verb(name, request, timeout)
        if isinstance(request, ResumeRequest):
            self.kwargs = Kwargs(deep_merge(self.kwargs, request.kwargs))
            return LifecycleReport(verb=Verb.RESUME, key=self.key, status=Status.PENDING)
        if isinstance(request, SkipRequest):
            raise errors.SignatureNotStartedError(key=self.key)
        verb = Verb(name)
        hold = Status.SUSPENDED if verb is Verb.SUSPEND else Status.INTERRUPTED
        compiled = self._compile()
        async with within(timeout, name, self.key):
            control = await self.owner.control()
            opened = await control.start(
                self.key, compiled, self._memo(compiled), started=False, hold=hold, reason=request.reason
            )
        self._opened = compiled
        if not opened:  # it has been started in the meantime
            return await super()._verb(name, request, timeout)
        return LifecycleReport(verb=verb, key=self.key, status=hold, last_status=Status.PENDING)

    async def _tie(self, control: Control) -> Tied:
        who = caller.current()
        if who is None or not who.ties:
            raise errors.NotInTaskError(what="start(tied=True)")
        return await control.tie(self.key, Key.parse(who.key), who.take_ended())

    @property
    def _known_to_server(self) -> bool:
        return self._started or self._opened is not None

    def _require_opened(self) -> None:
        if not self._known_to_server:
            raise errors.SignatureNotStartedError(key=self.key)

    def _compile(self) -> Plan:
        deep = f"{self.name!r} is nested more than {plan.DEEPEST} levels deep, or contains itself"
        try:
            root = self.node()
        except RecursionError:
            raise errors.CompositionError(deep) from None
        if plan.depth(root) > plan.DEEPEST:
            raise errors.CompositionError(deep)
        return Plan(root=root, tasks=specs(self.owner, [root]), lost_worker_limit=self.owner.config.lost_worker_limit)

    def _check(self, compiled: Plan, raw: Any) -> None:
        for leaf, kwargs in plan.entrances(compiled.root):
            task = self.owner.tasks.get(leaf.task)
            if raw is not None and not isinstance(raw, dict) and any(kwargs):
                problem = f"it is a {type(raw).__name__}, and kwargs can only be laid over a message with fields"
                raise errors.InvalidMessageError(task=task.name, problems=[problem])
            if task.takes_message:
                task.validate_message(bind(raw, *kwargs))

    def _memo(self, compiled: Plan) -> Memo:
        return Memo(name=self.name, returns=plan.returns(compiled.root))

    def _returns(self) -> str | None:
        return plan.returns(self.node())

    def _common(self) -> _Common:
        """Return what the nodes of all kinds have, but for the kwargs."""
        return {
            "name": self.name,
            "on_success": nested(self.success_callbacks),
            "on_error": nested(self.error_callbacks),
            "on_failure": self.on_failure,
        }

    def _bound(self) -> dict[str, Any]:
        return to_json(dict(self.kwargs))


class TaskSignature(Draft[ResultT], Generic[MessageT, ResultT]):
    """A task with the kwargs that are bound to it; make it with `sign`.

    Attributes:
        message: a message of its own, under the kwargs and over the start message. An item of a swarm may have one.
    """

    kind = "task"

    def __init__(self, app: App, task: Task[MessageT, ResultT], kwargs: dict[str, Any]) -> None:
        super().__init__(app, task.name, kwargs)
        self.task = task
        self.message: MessageT | dict[str, Any] | None = None

    if TYPE_CHECKING:  # the same, for the message of this very task

        async def start(
            self,
            message: MessageT | dict[str, Any] | None = None,
            *,
            id: str | None = None,
            delay: timedelta | None = None,
            tied: bool = False,
            timeout: timedelta | float | None = None,
            **options: Unpack[PriorityOptions],
        ) -> Self: ...

        async def run(
            self,
            message: MessageT | dict[str, Any] | None = None,
            *,
            timeout: timedelta | float | None = None,
            **options: Unpack[StartOptions],
        ) -> ResultT: ...

    def node(self) -> TaskNode:
        kwargs = self._bound()
        if self.message is not None:
            kwargs = deep_merge(given(self.message), kwargs)
        return TaskNode(task=self.task.name, kwargs=kwargs, **self._common())

    def duplicate(self) -> Self:
        made = super().duplicate()
        made.message = deepcopy(self.message)
        return made


class Chain(Draft[ResultT]):
    """Signatures in order, each given the result of the one before; make it with `chain`.

    Attributes:
        tasks: its steps.
    """

    kind = "chain"

    def __init__(self, app: App, name: str, tasks: list[Draft[Any]], kwargs: dict[str, Any]) -> None:
        super().__init__(app, name, kwargs)
        self.tasks = tasks

    def node(self) -> ChainNode:
        if len(self.tasks) < _FEWEST_STEPS:
            has = f"{self.name!r} has {len(self.tasks)} steps"
            msg = f"a chain needs at least two steps, and {has}: for a single task use sign()"
            raise errors.InvalidContainerError(msg)
        members = nested(self.tasks)
        for step in members[1:]:
            for leaf, _ in plan.entrances(step):
                task = self.owner.tasks.get(leaf.task)
                if task.takes_message and not has_fields(task.message_type):
                    msg = (
                        f"task {task.name!r} of chain {self.name!r} is given the result of the step before it as a "
                        f"field of its message, and its message is {task.message_type!r}: let it take a model with a "
                        "field such as result: ReturnValue[...]"
                    )
                    raise errors.CompositionError(msg)
        return ChainNode(kwargs=self._bound(), members=members, **self._common())

    def duplicate(self) -> Self:
        made = super().duplicate()
        made.tasks = duplicates(self.tasks)
        return made


TaskLike = Task[Any, Any] | Draft[Any] | str
"""What can be a part of a chain or swarm: a task, a signature, or a task's name."""


def specs(app: App, nodes: Iterable[PlanNode]) -> dict[str, TaskSpec]:
    """Return how each task that the nodes call is dispatched."""
    config = app.config
    names = dict.fromkeys(leaf.task for node in nodes for leaf in plan.leaves(node))
    return {
        name: TaskSpec(
            options=_options(task),
            task_queue=task.options.task_queue or config.task_queue,
            heartbeat_timeout=task.options.heartbeat_timeout or config.heartbeat_timeout,
            result_field=task.result_field,
            error_field=task.error_field,
        )
        for name in names
        for task in [app.tasks.get(name)]
    }


def _options(task: Task[Any, Any]) -> TaskOptions:
    """Return a task's options, with time for the wait before its code begins."""
    stagger, limit = task.wants.stagger, task.options.execution_timeout
    if stagger is None or limit is None:
        return task.options
    return task.options.model_copy(update={"execution_timeout": limit + stagger})


def resolve(app: App, things: Iterable[object], where: str) -> list[Draft[Any]]:
    """Return a signature for each task, signature or task's name.

    Raises:
        UnknownTaskError: a name is not that of a task of the app.
        NotATaskError: something is none of the three.
        InvalidContainerError: a signature was loaded or started, and cannot be a part of another; or there is no list.
    """
    if isinstance(things, str | Task | Draft):
        msg = f"{where} got {things!r}: give a list of tasks and signatures"  # pyright: ignore[reportUnknownVariableType] - of any type
        raise errors.InvalidContainerError(msg)
    return [_resolve(app, thing, f"{where}[{index}]") for index, thing in enumerate(things)]


def find_task(app: App, thing: object, where: str) -> Task[Any, Any]:
    """Return the task that a task or a task's name means.

    Raises:
        UnknownTaskError: it is not a task of the app.
        NotATaskError: it is neither.
    """
    if isinstance(thing, str):
        return app.tasks.get(thing)
    if not isinstance(thing, Task):
        raise errors.NotATaskError(value=repr(thing), where=where)
    task = cast("Task[Any, Any]", thing)
    if app.tasks.find(task.name) is not task:
        raise errors.UnknownTaskError(name=task.name, known=sorted(known.name for known in app.tasks))
    return task


def _resolve(app: App, thing: object, where: str) -> Draft[Any]:
    if isinstance(thing, Draft):
        draft = cast("Draft[Any]", thing)
        if draft.owner is not app:
            # Its tasks would be looked up here by their names, and those may be other tasks.
            msg = f"{where} is {draft!r}, of another app: a signature's parts are of one app"
            raise errors.InvalidContainerError(msg)
        return draft
    if isinstance(thing, Member):
        msg = f"{where} is {thing!r}, which runs by itself: only a signature made here can be a part of another"
        raise errors.InvalidContainerError(msg)
    return TaskSignature(app, find_task(app, thing, where), {})


def duplicates(signatures: Iterable[Draft[Any]]) -> list[Draft[Any]]:
    """Return an independent draft like each."""
    return [signature.duplicate() for signature in signatures]


def nested(signatures: Iterable[Draft[Any]]) -> tuple[PlanNode, ...]:
    nodes = [signature.node() for signature in signatures]
    # Nobody can close a nested swarm, so it takes no more than it has.
    return tuple(node.model_copy(update={"closed": True}) if isinstance(node, SwarmNode) else node for node in nodes)


def _draft_report(node: PlanNode, key: str) -> StatusReport:
    members = () if isinstance(node, TaskNode) else node.members

    def below(segment: str, part: PlanNode) -> StatusReport:
        return _draft_report(part, f"{key}{'.' if '#' in key else '#'}{segment}")

    return StatusReport(
        kind=node.kind,
        name=node.name,
        key=key,
        status=Status.PENDING,
        counts=None if isinstance(node, TaskNode) else Counts(total=len(members), pending=len(members)),
        children=[below(str(index), member) for index, member in enumerate(members)],
        callbacks=[
            *(below(f"s{index}", callback) for index, callback in enumerate(node.on_success)),
            *(below(f"e{index}", callback) for index, callback in enumerate(node.on_error)),
        ],
    )
