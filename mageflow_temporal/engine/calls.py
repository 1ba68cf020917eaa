"""A call of a task, and what may become of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mageflow_temporal.engine.tree import Node
from mageflow_temporal.plan import TaskSpec


@dataclass(frozen=True, slots=True)
class Call:
    """One execution of a task, ready to be dispatched."""

    node: Node
    task: str
    spec: TaskSpec
    message: Any
    attempt: int
    dispatch: int
    """Which dispatch of this node it is, from 1: resumed and lost ones count, too."""
    checkpoint: Any
    paged: bool = False
    """Whether the message may have results in it that are in pages."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The task's code returned."""

    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed."""

    type: str
    message: str
    retryable: bool
    traceback: str | None = None
    checkpoint: Any = None
    retry_in: timedelta | None = None
    """The pause before the next attempt that the error asks for."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The task was taken back from its queue, or its code was cancelled and has stopped."""

    began: bool
    """Whether a worker had taken it up."""
    checkpoint: Any = None
    error: str | None = None
    """What the code raised while it was being cancelled."""
    asked: bool = False
    """Whether we have asked for that; a worker that is stopped cancels code, too."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker that executed the task has gone silent."""

    checkpoint: Any = None


Outcome = Completed | Failed | Stopped | Lost
