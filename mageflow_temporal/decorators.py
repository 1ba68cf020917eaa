"""What makes a task of a function, and what it may ask for: `@mf.task` comes on top, the rest below it, in any order.

    @mf.task(name="load")
    @mf.stagger_execution(timedelta(seconds=5))
    @mf.with_ctx
    @mf.with_signature
    async def load(msg: Load, ctx: TaskContext, signature: Member) -> int: ...

To type checkers a function that asks for something takes its message only, as the task that is made of it does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol, TypeVar, cast, overload

from mageflow_temporal import errors
from mageflow_temporal.handle import App, LoadedMember, LoadedSignature
from mageflow_temporal.protocol import Memo
from mageflow_temporal.task import MessageT, ResultT, Task, Wants
from mageflow_temporal.worker import TaskContext

OwnSignature = LoadedSignature | LoadedMember
"""A task's handle of itself: a member where it is a part of a chain or swarm."""

_MessageT_contra = TypeVar("_MessageT_contra", contravariant=True)
_ReturnT_co = TypeVar("_ReturnT_co", covariant=True)
_MessageT = TypeVar("_MessageT")
_ReturnT = TypeVar("_ReturnT")
_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])


class TakesSignature(Protocol[_MessageT_contra, _ReturnT_co]):
    """A function of a message that gets its own signature."""

    def __call__(self, message: _MessageT_contra, /, *, signature: OwnSignature) -> _ReturnT_co: ...


class TakesBoth(Protocol[_MessageT_contra, _ReturnT_co]):
    """A function of a message that gets the context and its own signature."""

    def __call__(
        self, message: _MessageT_contra, context: TaskContext, /, *, signature: OwnSignature
    ) -> _ReturnT_co: ...


class Decorators:
    """The decorators, as methods of an app."""

    @overload
    @staticmethod
    def with_ctx(function: TakesBoth[_MessageT, _ReturnT]) -> TakesSignature[_MessageT, _ReturnT]: ...
    @overload
    @staticmethod
    def with_ctx(function: Callable[[_MessageT, TaskContext], _ReturnT]) -> Callable[[_MessageT], _ReturnT]: ...
    @staticmethod
    def with_ctx(function: Any) -> Any:
        """Let a task get its `TaskContext` after its message."""
        return _asking(function, context=True)

    @overload
    @staticmethod
    def with_signature(function: TakesBoth[_MessageT, _ReturnT]) -> Callable[[_MessageT, TaskContext], _ReturnT]: ...
    @overload
    @staticmethod
    def with_signature(function: TakesSignature[_MessageT, _ReturnT]) -> Callable[[_MessageT], _ReturnT]: ...
    @staticmethod
    def with_signature(function: Any) -> Any:
        """Let a task get a handle of itself, in its parameter `signature`: to look at, and to steer as from outside."""
        return _asking(function, signature=_own_signature)

    @staticmethod
    def stagger_execution(wait_delta: timedelta) -> Callable[[_FunctionT], _FunctionT]:
        """Spread the beginnings of a task: each run of its code begins after a random wait.

        The wait is a part of the run: the task counts as running, and an interrupt ends it. The task's execution
        timeout is longer by `wait_delta`.

        Args:
            wait_delta: the longest wait.

        Raises:
            CompositionError: it is not longer than zero.
        """
        if wait_delta <= timedelta(0):
            msg = f"stagger_execution({wait_delta!r}) spreads nothing: the longest wait must be longer than zero"
            raise errors.CompositionError(msg)

        def decorate(function: _FunctionT) -> _FunctionT:
            return _asking(function, stagger=wait_delta)

        return decorate


def _asking(function: _FunctionT, **wants: Any) -> _FunctionT:
    if isinstance(function, Task):
        msg = f"{function!r} is a task already: @mf.task comes on top, above all other decorators"
        raise errors.CompositionError(msg)
    replace(Wants.of(function), **wants).write_on(function)
    return function


def _own_signature(task: Task[Any, Any], key: str) -> OwnSignature:
    app = cast("App", task.owner)
    if "#" in key:
        return LoadedMember(app, key)
    return LoadedSignature(app, key, "task", Memo(name=task.name, returns=task.name))


class TaskDecorator:
    """What `@mf.task(...)` gives: it makes a `Task` of a function."""

    def __init__(self, decorate: Callable[[Callable[..., Any]], Task[Any, Any]]) -> None:
        self._decorate = decorate

    @overload
    def __call__(self, function: Callable[[], Awaitable[ResultT]]) -> Task[None, ResultT]: ...
    @overload
    def __call__(self, function: Callable[[MessageT], Awaitable[ResultT]]) -> Task[MessageT, ResultT]: ...
    @overload  # with `AcceptParams.ALL`
    def __call__(self, function: Callable[[MessageT, TaskContext], Awaitable[ResultT]]) -> Task[MessageT, ResultT]: ...
    @overload
    def __call__(self, function: Callable[[], ResultT]) -> Task[None, ResultT]: ...
    @overload
    def __call__(self, function: Callable[[MessageT], ResultT]) -> Task[MessageT, ResultT]: ...
    @overload  # with `AcceptParams.ALL`
    def __call__(self, function: Callable[[MessageT, TaskContext], ResultT]) -> Task[MessageT, ResultT]: ...
    def __call__(self, function: Callable[..., Any]) -> Task[Any, Any]:
        return self._decorate(function)
