"""What a task's code can ask of the run that it is in."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, Literal, TypeVar, overload

from pydantic import TypeAdapter
from pydantic_core import to_json

from mageflow_temporal import caller, message
from mageflow_temporal.caller import Caller
from mageflow_temporal.errors import NotInTaskError, PayloadTooLargeError

_T = TypeVar("_T")

_CHECKPOINT_LIMIT: Final = 2_000_000
"""Bytes: a little less than what a server takes in one payload, which holds a few bytes besides."""


Cancellation = Literal["interrupted", "timed out", "worker shutting down", "given up"]
"""Why a task's code is stopped."""


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """Says in each record which task it is about: `key`, `path`, `task` and `attempt`."""

    def __init__(self, logger: logging.Logger, *, key: str, task: str, attempt: int) -> None:
        self._facts = {"key": key, "path": key.partition("#")[2], "task": task, "attempt": attempt}
        super().__init__(logger, self._facts)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **self._facts}}


class TaskContext:
    """The task that is being executed; get it with `current_task()`.

    Attributes:
        key: the key of this task, a member's key within a chain or swarm.
        task: the task's name.
        attempt: the attempt, from 1. A run after a resume, or after a lost worker, is of the same attempt.
        logger: the logger "mageflow_temporal.task"; its records have `key`, `path`, `task` and `attempt`, as in the
            format `%(key)s`.
        cancellation: why the code is being stopped, for its `except asyncio.CancelledError`; `None` while it is not.
            "interrupted": by an interrupt, or by Temporal's cancel or terminate (the server does not tell a worker
            which, and code is not kept running to ask). "timed out": its execution timeout passed. "worker shutting
            down": it will run again, on another worker. "given up": the server knows the task no longer: its worker was
            silent for too long, and it runs elsewhere.
    """

    def __init__(
        self,
        *,
        key: str,
        task: str,
        attempt: int,
        caller: Caller,
        resumed_from: Any = None,
        on_checkpoint: Callable[[Any], None] | None = None,
    ) -> None:
        self.key = key
        self.task = task
        self.attempt = attempt
        self.logger = TaskLogger(logging.getLogger("mageflow_temporal.task"), key=key, task=task, attempt=attempt)
        self.cancellation: Cancellation | None = None
        self._caller = caller
        self._checkpoint = resumed_from
        self._resumed_from = resumed_from
        self._on_checkpoint = on_checkpoint
        self._shield: Callable[[], AbstractContextManager[None]] = nullcontext

    def checkpoint(self, value: Any) -> None:
        """Remember how far the task has come. Only the last value is kept.

        It is handed to the task as `resumed_from` when it runs again: after an interrupt and a resume, in the next
        attempt, or on another worker when this one is lost (then what was remembered up to a heartbeat ago).

        Args:
            value: anything that pydantic can turn into JSON; keep it small (it travels with heartbeats).

        Raises:
            NotSerializableError: JSON has no form for the value.
            PayloadTooLargeError: it is larger than the server takes; the last one is kept.
        """
        plain = message.to_json(value)
        size = len(to_json(plain))
        if size > _CHECKPOINT_LIMIT:
            # The SDK would fail the heartbeat, and with it the task, while the code runs on.
            raise PayloadTooLargeError(what="the checkpoint", cause=f"{size:,} bytes of at most {_CHECKPOINT_LIMIT:,}")
        self._checkpoint = plain
        if self._on_checkpoint:
            self._on_checkpoint(self._checkpoint)

    @overload
    def resumed_from(self) -> Any: ...
    @overload
    def resumed_from(self, type_: type[_T]) -> _T | None: ...
    def resumed_from(self, type_: Any = None) -> Any:
        """Return the last checkpoint of an earlier run of this task, or `None` if it made none.

        Args:
            type_: what to make of it, for instance a pydantic model; without it, plain JSON types.
        """
        if type_ is None or self._resumed_from is None:
            return self._resumed_from
        # As JSON: a strict model takes "2026-01-01" for a date from JSON, but not from Python.
        return TypeAdapter(type_).validate_json(to_json(self._resumed_from))

    def shielded(self) -> AbstractContextManager[None]:
        """Keep a cancellation from a piece of the code: `with current_task().shielded(): books.commit()`.

        It is raised at the end of the block, of the outermost one. Whoever interrupts waits for that, so keep it short;
        an `execution_timeout` does not wait, and the next attempt may begin meanwhile. It is of use in the code's own
        thread: what it begins in others is never cancelled. A process is killed whatever it does.
        """
        return self._shield()

    @property
    def last_checkpoint(self) -> Any:
        """The checkpoint that a next run would get, as plain JSON types."""
        return self._checkpoint


_current: ContextVar[TaskContext] = ContextVar("mageflow_task")


def current_task() -> TaskContext:
    """Return the context of the task whose code calls this.

    Raises:
        NotInTaskError: there is no task here.
    """
    task = running_task()
    if task is None:
        raise NotInTaskError(what="mageflow.current_task()")
    return task


def running_task() -> TaskContext | None:
    """Return the context of the task whose code calls this; `None` where there is none."""
    return _current.get(None)


def enter(context: TaskContext, shield: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
    """Make `context` the current one in this thread, coroutine or process.

    Args:
        context: of the task whose code begins.
        shield: what keeps a cancellation from a piece of that code.
    """
    _current.set(context)
    context._shield = shield  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no business of the task's code
    caller.enter(context._caller)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no business of the task's code
