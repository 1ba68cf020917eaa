"""Signatures: drafts of work that can be edited until they are started, and the handles to what has been.

A draft is compiled by its start (or by a verb before its start); from then on its progress is the workflow's, and
every call here goes to it by key, as it would from any other process.
"""

from __future__ import annotations

import re
import uuid
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, Generic, Protocol, Self, TypedDict, TypeVar, cast, final

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError
from pydantic_core import to_json as dump_json

from mageflow_temporal import errors, message, plan
from mageflow_temporal.config import MageflowConfig, SwarmConfig
from mageflow_temporal.control import Control, Key
from mageflow_temporal.plan import ChainNode, Plan, PlanNode, SwarmNode, TaskNode, TaskSpec
from mageflow_temporal.protocol import AddRequest, Memo
from mageflow_temporal.status import Counts, Kind, LifecycleReport, Status, StatusReport, Verb
from mageflow_temporal.task import UNKNOWN, MessageT, Registry, ResultT, Task

ItemT = TypeVar("ItemT")

_LONGEST_ID: Final = 1000
"""Bytes: Temporal's limit for a workflow ID."""
_FEWEST_STEPS: Final = 2
_DEEPEST: Final = 100
"""Levels of nesting that are surely within what JSON and Python can carry."""
_LONGEST_NAME: Final = 255
"""Bytes: a name goes into keys, search attributes and summaries, each of which has a limit."""


class App(Protocol):
    """What a signature needs of its app."""

    tasks: Registry
    config: MageflowConfig

    async def control(self) -> Control:
        """Return the app's connection, made on its first use."""
        ...


class Member:
    """A signature, or a part of one, that can be looked at and steered.

    Attributes:
        key: its key: a workflow ID, with "#" and a path for a member.
        owner: the app that it belongs to.
    """

    def __init__(self, app: App, key: str) -> None:
        self.owner = app
        self.key = key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r}>"

    async def status(self) -> StatusReport:
        """Return its status, with those of its members below it.

        Raises:
            MissingSignatureError: there is no such signature.
            UnknownMemberError: it has no such member.
            WorkerUnavailableError: no worker is there to answer.
        """
        return await (await self.owner.control()).status(Key.parse(self.key))

    async def suspend(self, reason: str | None = None) -> LifecycleReport:
        """Begin nothing new until a resume; what runs goes on to its end.

        A chain or swarm is suspended at once. A task is, if no worker has taken it up.

        Args:
            reason: kept in the status while it lasts.

        Raises:
            TaskAlreadyRunningError: this is a task, and its code runs; it was left untouched.
            SignatureEndedError: it has ended.
        """
        return await self._verb(Verb.SUSPEND, reason)

    async def interrupt(self, reason: str | None = None) -> LifecycleReport:
        """Suspend, and cancel the code that runs. Returns when that code has stopped.

        Args:
            reason: kept in the status while it lasts.

        Raises:
            SignatureEndedError: it has ended.
        """
        return await self._verb(Verb.INTERRUPT, reason)

    async def resume(self) -> LifecycleReport:
        """Go on where a suspend or interrupt stopped it. What has finished is not run again.

        Raises:
            SignatureEndedError: it has ended.
        """
        return await self._verb(Verb.RESUME, None)

    async def _verb(self, verb: Verb, reason: str | None) -> LifecycleReport:
        return await (await self.owner.control()).verb(Key.parse(self.key), verb, reason)


class Signature(Member, Generic[ResultT]):
    """A whole signature: it has a result, and it can be removed.

    Attributes:
        name: what it is called in the Web UI and in its key.
        kind: "task", "chain" or "swarm".
    """

    kind: Kind

    def __init__(self, app: App, key: str, name: str) -> None:
        super().__init__(app, key)
        self.name = name

    async def start(self, message: Any = None) -> Self:
        """Start it, if a verb opened it before it was started.

        Raises:
            SignatureAlreadyStartedError: it has been started.
        """
        if not await (await self.owner.control()).deliver(self.key, as_json(message, self.name)):
            raise errors.SignatureAlreadyStartedError(key=self.key)
        return self

    async def result(self, timeout: timedelta | float | None = None) -> ResultT:
        """Wait for the end and return the result.

        Args:
            timeout: how long to wait, in seconds or as a `timedelta`. `None`: for ever.

        Raises:
            TaskFailedError: a task failed for good, and this with it.
            SwarmFailedError: too many items of a swarm failed.
            SignatureCanceledError: it was cancelled or terminated on the server.
            ResultTimeoutError: the timeout passed. The work goes on.
            MissingSignatureError: there is no such signature.
        """
        limit = timedelta(seconds=timeout) if isinstance(timeout, int | float) else timeout
        raw = await (await self.owner.control()).result(self.key, limit)
        return typed(raw, self._returns(), self.owner.tasks)

    async def remove(self) -> None:
        """Cancel it if it runs, wait for its end, and delete it from the server.

        Raises:
            MissingSignatureError: there is no such signature.
        """
        await (await self.owner.control()).remove(self.key)

    @abstractmethod
    def _returns(self) -> str | None: ...


@final
class LoadedMember(Member):
    """A member that was found by its key."""


class LoadedSignature(Signature[Any]):
    """A signature that was found by its key."""

    def __init__(self, app: App, key: str, kind: Kind, memo: Memo) -> None:
        super().__init__(app, key, memo.name)
        self.kind = kind
        self._memo = memo

    def _returns(self) -> str | None:
        return self._memo.returns


class _SwarmControl(Member):
    async def add(
        self, task: Any, message: Any = None, *, id: str | None = None, close_on_max_task: bool = True
    ) -> Member:
        """Add an item, also while the swarm runs, and return it. An unstarted swarm is started by it.

        Args:
            task: a task, a signature, or a task's name.
            message: the item's message; it wins over the swarm's start message, and the item's kwargs win over it.
            id: a name for this request. Repeated with the same name, after a lost answer, it adds nothing again.
            close_on_max_task: whether the swarm closes when it has as many items as it takes.

        Raises:
            SwarmIsClosedError: it is closed, or has ended (`SwarmIsCanceledError` if it was cancelled).
            TooManyTasksError: it has as many items as it takes.
            InvalidMessageError: JSON has no form for the message.
        """
        [item] = await self.add_many([task], [message], id=id, close_on_max_task=close_on_max_task)
        return item

    async def add_many(
        self, tasks: Sequence[Any], messages: Any = None, *, id: str | None = None, close_on_max_task: bool = True
    ) -> list[Member]:
        """Add items, all or none of them. See `add`.

        Args:
            tasks: tasks, signatures, or names of tasks.
            messages: a list with a message for each, or one message for all.
            id: a name for this request.
            close_on_max_task: whether the swarm closes when it has as many items as it takes.

        Raises:
            TaskAndMsgsDontMatchForSwarmError: the lists are of different lengths.
            MageflowError: whatever `add` raises.
        """
        drafts = resolve(self.owner, tasks, "add")
        each = cast("list[Any]", messages if isinstance(messages, list) else [messages] * len(drafts))
        if len(each) != len(drafts):
            raise errors.TaskAndMsgsDontMatchForSwarmError(tasks=len(drafts), messages=len(each))
        items = tuple(
            node
            if own is None
            else node.model_copy(update={"kwargs": message.bind(as_json(own, node.name), node.kwargs)})
            for node, own in zip(_nested(drafts), each, strict=True)
        )
        request = AddRequest(items=items, tasks=specs(self.owner, items), close_on_max_task=close_on_max_task)
        indexes = await (await self.owner.control()).add(self.key, request, id)
        return [Member(self.owner, f"{self.key}#{index}") for index in indexes]

    async def close(self) -> None:
        """Take no more items: the swarm is done when all that it has have ended.

        Raises:
            SignatureEndedError: it has ended.
        """
        await (await self.owner.control()).close(self.key)


class LoadedSwarm(LoadedSignature, _SwarmControl):
    """A swarm that was found by its key."""


class _Callbacks(TypedDict):
    on_success: tuple[PlanNode, ...]
    on_error: tuple[PlanNode, ...]


class Draft(Signature[ResultT]):
    """A signature that this process made. Until it is started, its parts and kwargs can be edited.

    Attributes:
        kwargs: values laid over the message of every task that the signature has.
        success_callbacks: signatures that begin when it is done; each gets the result.
        error_callbacks: signatures that begin when it has failed; each gets the message of the task that failed.
    """

    def __init__(self, app: App, name: str, kwargs: dict[str, Any]) -> None:
        if not 0 < _bytes(name) <= _LONGEST_NAME:
            msg = f"{name!r} cannot be a name: it must have 1 to {_LONGEST_NAME} bytes of UTF-8"
            raise errors.CompositionError(msg)
        super().__init__(app, new_key(name), name)
        self.kwargs = kwargs
        self.success_callbacks: list[Draft[Any]] = []
        self.error_callbacks: list[Draft[Any]] = []
        self._opened: Plan | None = None
        self._started = False

    @abstractmethod
    def node(self) -> PlanNode:
        """Return the node that this signature compiles to."""

    async def start(self, message: Any = None, *, id: str | None = None) -> Self:
        """Start it and return at once.

        Args:
            message: what its first task gets, or each item of a swarm. `None`: nothing but the bound kwargs.
            id: the key it is to have. A start with an ID that has been started does nothing: it is that signature.

        Raises:
            InvalidMessageError: the message does not fit a task that it would reach; nothing was started.
            SignatureAlreadyStartedError: this signature has been started.
            PayloadTooLargeError: the message is larger than the server takes.
            ServerUnavailableError: no server answers.
        """
        if self._started:
            raise errors.SignatureAlreadyStartedError(key=self.key)
        if id is not None and id != self.key:
            if self._opened:
                problem = f"comes too late: the server knows it as {self.key!r} already, so start it without id="
                raise errors.InvalidKeyError(key=id, problem=problem)
            self.key = checked_key(id)
        compiled = self._compile()
        raw = as_json(message, self.name)
        self._check(compiled, raw)
        control = await self.owner.control()
        if self._opened and self._opened != compiled:
            msg = (
                f"{self.key!r} was edited after a verb opened it on the server: edit a signature before its first verb"
            )
            raise errors.CompositionError(msg)
        if self._opened or not await control.start(self.key, compiled, self._memo(compiled), message=raw):
            await control.deliver(self.key, raw)
        self._started = True
        return self

    async def run(
        self,
        message: Any = None,
        *,
        id: str | None = None,
        timeout: timedelta | float | None = None,
    ) -> ResultT:
        """Start it, wait for its end, and return its result: `start` and `result` in one call.

        Raises:
            MageflowError: whatever `start` and `result` raise.
        """
        await self.start(message, id=id)
        return await self.result(timeout)

    async def result(self, timeout: timedelta | float | None = None) -> ResultT:
        self._require_opened()
        return await super().result(timeout)

    async def remove(self) -> None:
        self._require_opened()
        await super().remove()

    async def status(self) -> StatusReport:
        if not self._known_to_server:
            return _draft_report(self.node(), self.key)
        return await super().status()

    async def _verb(self, verb: Verb, reason: str | None) -> LifecycleReport:
        if self._known_to_server:
            return await super()._verb(verb, reason)
        if verb is Verb.RESUME:
            return LifecycleReport(verb=verb, key=self.key, status=Status.PENDING)
        hold = Status.SUSPENDED if verb is Verb.SUSPEND else Status.INTERRUPTED
        compiled = self._compile()
        control = await self.owner.control()
        opened = await control.start(self.key, compiled, self._memo(compiled), started=False, hold=hold, reason=reason)
        self._opened = compiled
        if not opened:  # it has been started in the meantime
            return await super()._verb(verb, reason)
        return LifecycleReport(verb=verb, key=self.key, status=hold, last_status=Status.PENDING)

    @property
    def _known_to_server(self) -> bool:
        return self._started or self._opened is not None

    def _require_opened(self) -> None:
        if not self._known_to_server:
            raise errors.SignatureNotStartedError(key=self.key)

    def _compile(self) -> Plan:
        deep = f"{self.name!r} is nested more than {_DEEPEST} levels deep, or contains itself"
        try:
            root = self.node()
        except RecursionError:
            raise errors.CompositionError(deep) from None
        if plan.depth(root) > _DEEPEST:
            raise errors.CompositionError(deep)
        return Plan(root=root, tasks=specs(self.owner, [root]), lost_worker_limit=self.owner.config.lost_worker_limit)

    def _check(self, compiled: Plan, raw: Any) -> None:
        for leaf, kwargs in plan.entrances(compiled.root):
            task = self.owner.tasks.get(leaf.task)
            if raw is not None and not isinstance(raw, dict) and any(kwargs):
                problem = f"it is a {type(raw).__name__}, and kwargs can only be laid over a message with fields"
                raise errors.InvalidMessageError(task=task.name, problems=[problem])
            if task.takes_message:
                task.validate_message(message.bind(raw, *kwargs))

    def _memo(self, compiled: Plan) -> Memo:
        return Memo(name=self.name, returns=plan.returns(compiled.root))

    def _returns(self) -> str | None:
        return plan.returns(self.node())

    def _callbacks(self) -> _Callbacks:
        return {"on_success": _nested(self.success_callbacks), "on_error": _nested(self.error_callbacks)}

    def _bound(self) -> dict[str, Any]:
        return as_json(self.kwargs, self.name)


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

    def node(self) -> TaskNode:
        kwargs = self._bound()
        if self.message is not None:
            kwargs = message.deep_merge(as_json(self.message, self.name), kwargs)
        return TaskNode(name=self.name, task=self.task.name, kwargs=kwargs, **self._callbacks())


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
        return ChainNode(name=self.name, kwargs=self._bound(), members=_nested(self.tasks), **self._callbacks())


class Swarm(Draft[list[ItemT]], _SwarmControl, Generic[ItemT]):
    """Signatures side by side, a bounded number at once; make it with `swarm`.

    Attributes:
        tasks: its items.
        config: how it works through them.
        is_swarm_closed: whether it takes no items after its start. It is done when it is closed and all have ended.
    """

    kind = "swarm"

    def __init__(
        self,
        app: App,
        name: str,
        tasks: list[Draft[Any]],
        kwargs: dict[str, Any],
        *,
        config: SwarmConfig,
        is_swarm_closed: bool,
    ) -> None:
        super().__init__(app, name, kwargs)
        self.tasks = tasks
        self.config = config
        self.is_swarm_closed = is_swarm_closed

    async def run(
        self,
        message: Any = None,
        *,
        id: str | None = None,
        timeout: timedelta | float | None = None,
    ) -> list[ItemT]:
        """Close it, start it, wait for its end, and return the results of the items that succeeded, in their order.

        Raises:
            MageflowError: whatever `start` and `result` raise.
        """
        self.is_swarm_closed = True
        return await super().run(message, id=id, timeout=timeout)

    async def add_many(
        self, tasks: Sequence[Any], messages: Any = None, *, id: str | None = None, close_on_max_task: bool = True
    ) -> list[Member]:
        if not self._started:
            await self.start()
        return await super().add_many(tasks, messages, id=id, close_on_max_task=close_on_max_task)

    async def close(self) -> None:
        self.is_swarm_closed = True
        if self._known_to_server:
            await super().close()

    def node(self) -> SwarmNode:
        limit = self.config.max_task_allowed
        if limit is not None and len(self.tasks) > limit:
            raise errors.TooManyTasksError(swarm=self.name, limit=limit, asked=len(self.tasks))
        return SwarmNode(
            name=self.name,
            kwargs=self._bound(),
            members=_nested(self.tasks),
            config=self.config,
            closed=self.is_swarm_closed,
            **self._callbacks(),
        )


class Map(Draft[list[ItemT]], Generic[ItemT]):
    """A signature for each element of a list; make it with `map`.

    Attributes:
        task: what runs for each element.
        items: the elements; `None` for those of the previous result.
        config: how it works through them.
    """

    kind = "swarm"

    def __init__(
        self,
        app: App,
        name: str,
        task: Draft[ItemT],
        items: list[Any] | None,
        kwargs: dict[str, Any],
        *,
        config: SwarmConfig,
    ) -> None:
        super().__init__(app, name, kwargs)
        self.task = task
        self.items = items
        self.config = config

    def node(self) -> SwarmNode:
        [template] = _nested([self.task])
        return SwarmNode(
            name=self.name,
            kwargs=self._bound(),
            members=(),
            config=self.config,
            closed=True,
            template=template,
            over=None if self.items is None else tuple(as_json(self.items, self.name)),
            **self._callbacks(),
        )


def specs(app: App, nodes: Iterable[PlanNode]) -> dict[str, TaskSpec]:
    """Return how each task that the nodes call is dispatched."""
    config = app.config
    names = dict.fromkeys(leaf.task for node in nodes for leaf in plan.leaves(node))
    return {
        name: TaskSpec(
            options=task.options,
            task_queue=task.options.task_queue or config.task_queue,
            heartbeat_timeout=task.options.heartbeat_timeout or config.heartbeat_timeout,
            result_field=task.result_field,
            error_field=task.error_field,
        )
        for name in names
        for task in [app.tasks.get(name)]
    }


def resolve(app: App, things: Iterable[object], where: str) -> list[Draft[Any]]:
    """Return a signature for each task, signature or task's name.

    Raises:
        UnknownTaskError: a name is not that of a task of the app.
        NotATaskError: something is none of the three.
        InvalidContainerError: a signature was loaded or started, and cannot be a part of another.
    """
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


def as_json(given: Any, name: str) -> Any:
    """Return a message or kwargs for the signature `name` as plain JSON types.

    Raises:
        InvalidMessageError: JSON has no form for something in it.
    """
    try:
        return message.to_json(given)
    except (PydanticSerializationError, ValueError) as error:
        raise errors.InvalidMessageError(task=name, problems=[str(error)]) from error


def typed(raw: Any, form: str | None, tasks: Registry) -> Any:
    """Return a result as the type that its task gives, or a list of such; plain JSON types where nobody knows."""
    depth, name = 0, form or ""
    while name.startswith("["):
        depth, name = depth + 1, name[1:-1]
    task = tasks.find(name)
    if task is None or task.result_type is UNKNOWN:
        return raw
    type_: Any = task.result_type
    for _ in range(depth):
        type_ = list[type_]
    return TypeAdapter(type_).validate_json(dump_json(raw))


def new_key(name: str) -> str:
    """Return a key that nothing has: the name, in characters that need no quoting in a shell, and a random part."""
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-")[:200] or "signature"
    return f"{readable}-{uuid.uuid4().hex[:12]}"


def checked_key(key: str) -> str:
    """Return a key that a user chose.

    Raises:
        InvalidKeyError: it cannot be one.
    """
    if not 0 < _bytes(key) <= _LONGEST_ID or "#" in key:
        problem = f"cannot be a key: it must have 1 to {_LONGEST_ID} bytes of UTF-8 and no '#' (a member's path)"
        raise errors.InvalidKeyError(key=key, problem=problem)
    return key


def _bytes(text: str) -> int:
    """Return how many bytes of UTF-8 a text has; 0 where it has no such form (a lone surrogate)."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0


def _nested(signatures: Iterable[Draft[Any]]) -> tuple[PlanNode, ...]:
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
