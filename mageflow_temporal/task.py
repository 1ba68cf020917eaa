"""A task: a function that was decorated, what it takes and gives, and how it may run; and the registry of an app's."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Generic, Literal, TypeVar, cast

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from pydantic_core import to_json as dump_json

from mageflow_temporal import errors
from mageflow_temporal.config import AcceptParams, TaskOptions
from mageflow_temporal.message import RESULT_FIELD, Json, by_one_name, error_field, result_field
from mageflow_temporal.protocol import problems

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")
Isolation = Literal["loop", "thread", "process"]
"""Where a task's code runs: on the worker's event loop, in a thread of it, or in a process of its own."""

_NAME_LIMIT: Final = 255
"""Bytes: a name is a part of keys, summaries and search attributes, which have limits of their own."""
_WANTS: Final = "__mageflow_wants__"
_MESSAGE_AND_CONTEXT: Final = 2
_RESERVED: Final = ("__temporal", "mageflow.")
"""Beginnings of the names of Temporal's own activities, and of ours."""

UNKNOWN: Final = Any
"""The type of a message or result that nobody has annotated: it is passed as plain JSON types."""


@dataclass(frozen=True)
class Wants:
    """What a function asks for by decorators, before it is made a task.

    Attributes:
        context: whether it gets the `TaskContext` after its message.
        signature: makes the handle that it gets as `signature`, of the task and of the key of its execution.
        stagger: the longest random wait before its code begins.
    """

    context: bool = False
    signature: Callable[[Task[Any, Any], str], object] | None = None
    stagger: timedelta | None = None

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Wants:
        """Return what a function asks for."""
        return getattr(function, _WANTS, cls())

    def write_on(self, function: Callable[..., Any]) -> None:
        """Let a function ask for this."""
        setattr(function, _WANTS, self)


class Task(Generic[MessageT, ResultT]):
    """A task, as `@mf.task(...)` makes it. Calling it calls the function, without Temporal.

    Attributes:
        name: the task's name, which is its Temporal activity type, too.
        function: the decorated function, or `None` for a task that is declared here and implemented elsewhere.
        options: how it may run.
        isolation: where its code runs.
        wants: what the function gets besides its message.
        takes_message: whether the function takes a parameter.
        message_type: the type of the message that it takes.
        result_type: the type of the result that it gives.
        on_crons: when a worker that has it lets it be started by the server, as cron lines.
        owner: the app that the task belongs to.
    """

    def __init__(
        self,
        *,
        name: str,
        function: Callable[..., Awaitable[ResultT] | ResultT] | None,
        options: TaskOptions,
        owner: object,
        isolation: Isolation = "loop",
        wants: Wants = Wants(),
        takes_message: bool = True,
        message_type: Any = UNKNOWN,
        result_type: Any = UNKNOWN,
        on_crons: Sequence[str] = (),
    ) -> None:
        self.name = _checked_name(name)
        self.function = function
        self.options = options
        self.owner = owner
        self.isolation: Isolation = isolation
        self.wants = wants
        self.takes_message = takes_message
        self.message_type = message_type
        self.result_type = result_type
        self.on_crons = tuple(on_crons)
        self._result_adapters: dict[int, TypeAdapter[Any]] = {}
        self.__doc__ = function.__doc__ if function else None
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.function is None:
            msg = f"task {self.name!r} is declared here and implemented elsewhere: it can be signed, not called"
            raise TypeError(msg)
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name!r}>"

    @cached_property
    def result_field(self) -> str:
        """The field of the message that takes the previous result."""
        return result_field(self.message_type)

    @cached_property
    def error_field(self) -> str | None:
        """The field of the message that takes an error, if there is one."""
        return error_field(self.message_type)

    @cached_property
    def _message_adapter(self) -> TypeAdapter[MessageT]:
        return self._adapter(self.message_type, "message")

    def result_adapter(self, depth: int) -> TypeAdapter[Any]:
        """Return what reads a result of the task, or a list of them, or a list of such lists.

        Raises:
            CompositionError: pydantic cannot read the type.
        """
        if depth not in self._result_adapters:
            form = self.result_type
            for _ in range(depth):
                form = list[form]
            self._result_adapters[depth] = self._adapter(form, "result")
        return self._result_adapters[depth]

    def _adapter(self, type_: Any, what: str) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(type_)
        except PydanticUserError as error:
            msg = f"the {what} type of task {self.name!r}, {type_!r}, is none that pydantic can read: {error.message}"
            raise errors.CompositionError(msg) from error

    def validate_message(self, message: Json) -> MessageT:
        """Return the message as the type that the function takes.

        Raises:
            InvalidMessageError: it does not fit.
        """
        if self.message_type is UNKNOWN:
            return message
        if isinstance(message, dict) and RESULT_FIELD in message and self.result_field != RESULT_FIELD:
            # The sender did not know this task's model, and could not know the field that it marks.
            sent = cast("dict[str, Json]", message)
            message = {name: value for name, value in sent.items() if name != RESULT_FIELD}
            message[self.result_field] = sent[RESULT_FIELD]
        try:
            # As JSON: a strict model takes "2026-01-01" for a date from JSON, but not from Python.
            message = by_one_name(self.message_type, {} if message is None else message)
            return self._message_adapter.validate_json(dump_json(message))
        except ValidationError as error:
            raise errors.InvalidMessageError(task=self.name, problems=problems(error)) from None
        except PydanticSerializationError as error:  # half of a surrogate pair, as a file's name may have it
            raise errors.InvalidMessageError(task=self.name, problems=[str(error)]) from None


def define(
    function: Callable[..., Any],
    *,
    name: str | None,
    owner: object,
    options: TaskOptions,
    isolation: Literal["process"] | None,
    input_validator: type[Any] | None,
    accepts: AcceptParams,
    on_crons: Sequence[str],
    namespace: Mapping[str, Any],
) -> Task[Any, Any]:
    """Return the task that a function makes.

    `namespace` holds the local names where the function was defined, for annotations that mean them.

    Raises:
        CompositionError: the function cannot be a task.
    """
    if not inspect.isroutine(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        msg = f"{function!r} cannot be a task: a task is made of a def or an async def that returns its result"
        raise errors.CompositionError(msg)
    where = f"{function.__module__}.{function.__qualname__}"
    wants = _wants(function, accepts)
    parameters = _positional(function, wants, where)
    if isolation not in (None, "process"):
        msg = f"{where} has isolation={isolation!r}: leave it out for the loop or a thread, or give 'process'"
        raise errors.CompositionError(msg)
    if isinstance(on_crons, str):
        msg = f"{where} has on_crons={on_crons!r}: give a list of cron lines"
        raise errors.CompositionError(msg)
    if isolation == "process" and "<" in function.__qualname__:  # <locals>, <lambda>
        msg = f"{where} is defined where another process cannot find it: make it a function of a module"
        raise errors.CompositionError(msg)
    try:
        hints = typing.get_type_hints(function, localns=dict(namespace), include_extras=True)
    except NameError as error:
        msg = f"an annotation of {where} names something that does not exist there: {error}"
        raise errors.CompositionError(msg) from None
    default: Isolation = "loop" if inspect.iscoroutinefunction(function) else "thread"
    return Task(
        name=function.__name__ if name is None else name,
        function=function,
        options=options,
        owner=owner,
        isolation=isolation or default,
        wants=wants,
        takes_message=bool(parameters),
        message_type=input_validator or (hints.get(parameters[0].name, UNKNOWN) if parameters else UNKNOWN),
        result_type=hints.get("return", UNKNOWN),
        on_crons=on_crons,
    )


def _wants(function: Callable[..., Any], accepts: AcceptParams) -> Wants:
    """Return what a function gets besides its message: what it asks for, and what its app gives to all."""
    asked = Wants.of(function)
    if asked.context or accepts is AcceptParams.ALL:
        return replace(asked, context=True)
    return replace(asked, signature=None) if accepts is AcceptParams.JUST_MESSAGE else asked


def _positional(function: Callable[..., Any], wants: Wants, where: str) -> list[inspect.Parameter]:
    """Return the parameters for a message and a context.

    Raises:
        CompositionError: the function does not take what it is to get, or needs more.
    """
    every = list(inspect.signature(function).parameters.values())
    own = [one for one in every if one.name != "signature"] if wants.signature else every
    positional = [one for one in own if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if wants.signature and own == every:
        msg = f"{where} is to get its own signature: it needs a parameter named 'signature'"
        raise errors.CompositionError(msg)
    if wants.context and len(positional) < _MESSAGE_AND_CONTEXT:
        msg = f"{where} is to get its message and a TaskContext: it needs a parameter for each, in this order"
        raise errors.CompositionError(msg)
    given = _MESSAGE_AND_CONTEXT if wants.context else 1
    needed = [*positional[given:], *(one for one in own if one.kind is one.KEYWORD_ONLY)]
    if any(parameter.default is parameter.empty for parameter in needed):
        msg = (
            f"{where} takes {len(every)} parameters: a task takes one message, or nothing; mf.with_ctx and "
            "mf.with_signature give it a TaskContext and its own signature"
        )
        raise errors.CompositionError(msg)
    return positional


class Registry:
    """An app's tasks by name."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[Any, Any]] = {}

    def __iter__(self) -> Iterator[Task[Any, Any]]:
        return iter(self._tasks.values())

    def add(self, task: Task[Any, Any]) -> None:
        """Add a task.

        Raises:
            DuplicateTaskError: the name is taken.
        """
        if taken := self._tasks.get(task.name):
            raise errors.DuplicateTaskError(name=task.name, first=_origin(taken), second=_origin(task))
        self._tasks[task.name] = task

    def find(self, name: str) -> Task[Any, Any] | None:
        """Return the task of that name, or `None`."""
        return self._tasks.get(name)

    def get(self, name: str) -> Task[Any, Any]:
        """Return the task of that name.

        Raises:
            UnknownTaskError: there is none.
        """
        if task := self._tasks.get(name):
            return task
        raise errors.UnknownTaskError(name=name, known=sorted(self._tasks))


def _origin(task: Task[Any, Any]) -> str:
    function = task.function
    return f"{function.__module__}.{function.__qualname__}" if function else "a declaration"


def _checked_name(name: str) -> str:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0  # half of a surrogate pair: no text, and nothing that can be sent
    if not 0 < size <= _NAME_LIMIT:
        msg = f"{name!r} cannot be a task's name: it must have 1 to {_NAME_LIMIT} bytes of text"
        raise errors.CompositionError(msg)
    if name.startswith("["):
        msg = f"{name!r} cannot be a task's name: a list of a task's results is written so"
        raise errors.CompositionError(msg)
    if name.startswith(_RESERVED):
        msg = f"{name!r} cannot be a task's name: names that begin with {' or '.join(_RESERVED)} are taken"
        raise errors.CompositionError(msg)
    return name
