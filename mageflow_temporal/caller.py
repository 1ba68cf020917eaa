"""Who is calling: the task whose code runs here, if any. Pure.

What a task's code makes is named after the task and not after the run of it: a retry, a resume, or another worker after
a lost one, goes through the same code and so makes the same keys, and whatever has a key already is not made again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from mageflow_temporal.errors import NotAnAsyncTaskError


class Caller:
    """A task that is being executed, seen from what its code makes.

    Args:
        key: the key of the task.
        origin: the first run of the task's workflow, which no retry or continuation changes. A later workflow of the
            same ID has another, and so has a task that begins anew after it failed for good.
        message: what the task was given, as plain JSON types: with a corrected message it is another's caller.
        ties: whether the task belongs to a signature, to which others can be tied.
        refuses: where the code runs, if signatures cannot be made there.
    """

    def __init__(
        self, *, key: str, origin: str, message: Any = None, ties: bool = True, refuses: str | None = None
    ) -> None:
        self.key = key
        self.ties = ties
        self._facts = [key, origin, message]
        self._refuses = refuses
        self._made: Counter[str] = Counter()
        self._ended: list[str] = []

    def token(self, what: str) -> str:
        """Return what tells this use of the name `what` from all others, and is the same in each run of the task.

        Uses of one name are told apart by their order.

        Raises:
            NotAnAsyncTaskError: the task's code runs where signatures cannot be made.
        """
        if self._refuses:
            raise NotAnAsyncTaskError(key=self.key, where=self._refuses)
        number = self._made[what]
        self._made[what] += 1
        return _digest([self._identity, what, number])[:16]

    @cached_property
    def _identity(self) -> str:
        return _digest(self._facts)

    def has_seen_end_of(self, key: str) -> None:
        """Note that a signature that was tied to this task has ended."""
        self._ended.append(key)

    def take_ended(self) -> tuple[str, ...]:
        """Return the tied signatures that have ended since this was last asked."""
        ended, self._ended = tuple(self._ended), []
        return ended


def _digest(facts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


_current: ContextVar[Caller | None] = ContextVar("mageflow_caller", default=None)


def current() -> Caller | None:
    """Return the task whose code calls this, or `None` outside a task."""
    return _current.get()


def enter(caller: Caller) -> None:
    """Make `caller` the current one in this thread, coroutine or process."""
    _current.set(caller)
