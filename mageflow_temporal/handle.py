"""Handles: what can be looked at, steered and awaited by its key, whoever started it."""

from __future__ import annotations

import asyncio
import re
import uuid
from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Generic, Protocol, Self, cast, final

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from pydantic_core import to_json as dump_json
from temporalio import workflow

from mageflow_temporal import caller, errors, protocol
from mageflow_temporal.config import NO_PRIORITY, MageflowConfig, size_of
from mageflow_temporal.control import Control
from mageflow_temporal.familiar import FamiliarMember
from mageflow_temporal.key import Key
from mageflow_temporal.message import to_json
from mageflow_temporal.protocol import LifecycleRequest, Memo, ResumeRequest, SkipRequest
from mageflow_temporal.status import Kind, LifecycleReport, StatusReport, Verb
from mageflow_temporal.task import UNKNOWN, Registry, ResultT, Task

_LONGEST_ID: Final = 1000
"""Bytes: Temporal's limit for a workflow ID."""


class App(Protocol):
    """What a signature needs of its app."""

    tasks: Registry
    config: MageflowConfig

    async def control(self) -> Control:
        """Return the app's connection, made on its first use."""
        ...


class Member(FamiliarMember):
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

    async def suspend(self, reason: str | None = None, *, timeout: timedelta | float | None = None) -> LifecycleReport:
        """Begin nothing new until a resume; what runs goes on to its end.

        A chain or swarm is suspended at once. A task is, if no worker has taken it up.

        Args:
            reason: kept in the status while it lasts.
            timeout: how long to wait for the answer, in seconds or as a `timedelta`. `None`: until there is one.

        Raises:
            TaskAlreadyRunningError: this is a task, and its code runs; it was left untouched.
            SignatureEndedError: it has ended.
            CallTimeoutError: the timeout passed.
        """
        return await self._verb(Verb.SUSPEND, LifecycleRequest(reason=reason), timeout)

    async def interrupt(
        self, reason: str | None = None, *, timeout: timedelta | float | None = None
    ) -> LifecycleReport:
        """Suspend, and cancel the code that runs. Returns when that code has stopped.

        Args:
            reason: kept in the status while it lasts.
            timeout: how long to wait for that, in seconds or as a `timedelta`. `None`: until the code has stopped.

        Raises:
            SignatureEndedError: it has ended.
            CallTimeoutError: the timeout passed. The code is still asked to stop.
        """
        return await self._verb(Verb.INTERRUPT, LifecycleRequest(reason=reason), timeout)

    async def resume(
        self, kwargs: dict[str, Any] | None = None, *, timeout: timedelta | float | None = None
    ) -> LifecycleReport:
        """Go on where a suspend or interrupt stopped it. What has finished is not run again.

        Args:
            kwargs: corrections: laid over the message of every task of it that begins from now on, above all else.
            timeout: how long to wait for the answer, in seconds or as a `timedelta`. `None`: until there is one.

        Raises:
            SignatureEndedError: it has ended.
            NotSerializableError: JSON has no form for the kwargs.
            CallTimeoutError: the timeout passed.
        """
        return await self._verb(Verb.RESUME, ResumeRequest(kwargs=to_json(kwargs or {})), timeout)

    async def skip(self, result: Any = None, *, timeout: timedelta | float | None = None) -> LifecycleReport:
        """Let it be done without being run, now or when its turn comes: what follows it gets `result`.

        Args:
            result: what it is to have for a result.
            timeout: how long to wait for the answer, in seconds or as a `timedelta`. `None`: until there is one.

        Raises:
            TaskAlreadyRunningError: its code runs, or that of a part of it: interrupt it first.
            SignatureEndedError: it has ended.
            NotSerializableError: JSON has no form for the result.
            CallTimeoutError: the timeout passed.
        """
        return await self._verb(protocol.SKIP, SkipRequest(result=to_json(result)), timeout)

    async def _verb(self, name: str, request: LifecycleRequest, timeout: timedelta | float | None) -> LifecycleReport:
        key = Key.parse(self.key)
        async with within(timeout, name, self.key):
            answer = await (await self.owner.control()).tell(key, name, request.model_copy(update={"target": key.path}))
        return LifecycleReport.model_validate(answer)


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

    async def start(
        self, message: Any = None, *, delay: timedelta | None = None, timeout: timedelta | float | None = None
    ) -> Self:
        """Start it, if a verb opened it before it was started.

        Args:
            message: what its first task gets, or each item of a swarm.
            delay: how long it waits before it begins. It is pending until then.
            timeout: how long to wait for the answer, in seconds or as a `timedelta`. `None`: until there is one.

        Raises:
            SignatureAlreadyStartedError: it has been started.
            NotSerializableError: JSON has no form for the message.
            CallTimeoutError: the timeout passed.
        """
        raw = to_json(message)
        async with within(timeout, protocol.START, self.key):
            if not await (await self.owner.control()).deliver(self.key, raw, delay, NO_PRIORITY):
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
        return typed(await self._raw_result(_duration(timeout)), self._returns(), self.owner.tasks)

    async def _raw_result(self, timeout: timedelta | None) -> Any:
        return await (await self.owner.control()).result(self.key, timeout)

    async def remove(self, *, timeout: timedelta | float | None = None) -> None:
        """Cancel it if it runs, wait for its end, and delete it from the server.

        The server takes some seconds to delete it: a start with its `id` in that time finds it, and starts nothing.

        Args:
            timeout: how long to wait for its end, in seconds or as a `timedelta`. `None`: until it has come.

        Raises:
            MissingSignatureError: there is no such signature.
            CallTimeoutError: the timeout passed. It has been cancelled by then, and is not deleted.
        """
        async with within(timeout, "remove", self.key):
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


@asynccontextmanager
async def within(timeout: timedelta | float | None, call: str, key: str) -> AsyncGenerator[None]:
    """Give up what takes longer than its caller will wait for it.

    Raises:
        CallTimeoutError: it does.
    """
    limit = _duration(timeout)
    deadline = asyncio.timeout(None if limit is None else limit.total_seconds())
    try:
        async with deadline:
            yield
    except TimeoutError:
        if limit is None or not deadline.expired():
            raise
        raise errors.CallTimeoutError(call=call, key=key, timeout=limit) from None


def _duration(timeout: timedelta | float | None) -> timedelta | None:
    return timedelta(seconds=timeout) if isinstance(timeout, int | float) else timeout


def typed(raw: Any, form: str | None, tasks: Registry) -> Any:
    """Return a result as the type that its task gives, or a list of such.

    Plain JSON types where nobody knows it, and what does not fit it: the result that a skip gave, or in a list that of
    an item of another task that was added later.
    """
    depth, name = 0, form or ""
    while name.startswith("["):
        depth, name = depth + 1, name[1:-1]
    task = tasks.find(name)
    if task is None or task.result_type is UNKNOWN:
        return raw
    return _fitted(raw, task, depth)


def _fitted(raw: Any, task: Task[Any, Any], depth: int) -> Any:
    try:
        return task.result_adapter(depth).validate_json(dump_json(raw))
    except (ValidationError, PydanticSerializationError):
        if depth and isinstance(raw, list):
            return [_fitted(item, task, depth - 1) for item in cast("list[Any]", raw)]
        return raw


def new_key(name: str) -> str:
    """Return a key that nothing has: the name, in characters that need no quoting in a shell, and a part of its own.

    Inside a task it is the key that each run of the task makes in this place, and so it is inside a user's workflow.

    Raises:
        NotAnAsyncTaskError: this is a task's code that does not run on the worker's event loop.
    """
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-")[:200] or "signature"
    return f"{readable}-{token(name) or _unique().hex[:12]}"


def _unique() -> uuid.UUID:
    return workflow.uuid4() if workflow.in_workflow() else uuid.uuid4()


def token(what: str) -> str | None:
    """Return what names a request, or a part of a key, the same in each run of the task that makes it.

    `None` outside a task: there a repetition is another request.

    Raises:
        NotAnAsyncTaskError: this is a task's code that does not run on the worker's event loop.
    """
    who = caller.current()
    return who.token(what) if who else None


def checked_key(key: str) -> str:
    """Return a key that a user chose.

    Raises:
        InvalidKeyError: it cannot be one.
    """
    if not 0 < size_of(key) <= _LONGEST_ID or "#" in key:
        problem = f"cannot be a key: it must have 1 to {_LONGEST_ID} bytes of UTF-8 and no '#' (a member's path)"
        raise errors.InvalidKeyError(key=key, problem=problem)
    return key
