"""What a signature is, was and may become: statuses, verbs, the table of transitions, reports. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["task", "chain", "swarm"]
_SEGMENT: Final = re.compile("[se]?[0-9]{1,9}")


class Status(StrEnum):
    """The status of a signature or of one of its members."""

    PENDING = "pending"
    """Not taken up yet: a draft, a member whose turn has not come, or a task that waits in its queue."""
    ACTIVE = "active"
    """Its code runs; of a chain or swarm: something in it has begun."""
    SUSPENDED = "suspended"
    """Nothing of it begins until a resume; of a chain or swarm: what ran when it was suspended may go on to its end."""
    INTERRUPTED = "interrupted"
    """Nothing of it begins until a resume, and what ran was cancelled."""
    DONE = "done"
    """It has a result."""
    FAILED = "failed"
    """A task: its last attempt has failed. A chain or swarm: it has failed by a part of it."""
    CANCELED = "canceled"
    """It was cancelled or terminated on the server, or will never run, since what it is a part of has ended."""

    @property
    def ended(self) -> bool:
        """Whether nothing can change any more."""
        return self in ENDED


class Verb(StrEnum):
    """What one can do to a signature that has not ended; also the names of the signals and updates."""

    SUSPEND = "suspend"
    """Begin nothing new; what runs goes on to its end."""
    INTERRUPT = "interrupt"
    """Begin nothing new, and cancel the code that runs."""
    RESUME = "resume"
    """Go on where it stood."""


ENDED: Final = frozenset({Status.DONE, Status.FAILED, Status.CANCELED})
HELD: Final = frozenset({Status.SUSPENDED, Status.INTERRUPTED})

TRANSITIONS: Final[dict[Verb, dict[Status, Status | None]]] = {
    Verb.SUSPEND: {
        Status.PENDING: Status.SUSPENDED,
        Status.ACTIVE: Status.SUSPENDED,
        Status.SUSPENDED: Status.SUSPENDED,
        Status.INTERRUPTED: Status.INTERRUPTED,
    },
    Verb.INTERRUPT: {
        Status.PENDING: Status.INTERRUPTED,
        Status.ACTIVE: Status.INTERRUPTED,
        Status.SUSPENDED: Status.INTERRUPTED,
        Status.INTERRUPTED: Status.INTERRUPTED,
    },
    Verb.RESUME: {
        Status.PENDING: Status.PENDING,
        Status.ACTIVE: Status.ACTIVE,
        Status.SUSPENDED: None,
        Status.INTERRUPTED: None,
    },
}
"""What a verb makes of a status. `None`: back to what it was before it was held (`last_status`). A status that is not
listed has ended, and every verb on it is an error. A suspend of a task whose code runs is refused before this applies.

Source: the user's task-lifecycle document, "Status Transitions"; that a verb repeated changes nothing is ours.
"""


class Counts(BaseModel):
    """How many direct members of a chain or swarm are in which status."""

    model_config = ConfigDict(frozen=True)

    total: int = 0
    pending: int = 0
    active: int = 0
    suspended: int = 0
    interrupted: int = 0
    done: int = 0
    failed: int = 0
    canceled: int = 0


class ErrorInfo(BaseModel):
    """What a task raised in an attempt that failed."""

    model_config = ConfigDict(frozen=True)

    type: str
    """The class name of the exception."""
    message: str
    """Its text."""
    attempt: int = 1
    """In which attempt, from 1."""
    traceback: str | None = None
    """The worker's, as text. `None` where there is none, or it was cut off."""


class ItemOutcome(BaseModel):
    """What became of an item of a swarm, so far."""

    model_config = ConfigDict(frozen=True)

    key: str
    """The item's key."""
    name: str
    status: Status
    result: Any = None
    """Of an item that is done."""
    error: ErrorInfo | None = None
    """Of a task: the error of the last attempt that failed. Of a chain or swarm: the one that it failed with."""
    attempts: int | None = None
    """Of a task: how many attempts it has made."""


class StatusReport(BaseModel):
    """The status of a signature or a member, with those of its members below it."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    """"task", "chain" or "swarm"; a map is a swarm."""
    name: str
    key: str
    """By which it is found and steered. A member's has its path after a "#"."""
    status: Status
    last_status: Status | None = None
    """The status before the last change that a verb made."""
    attempt: int | None = None
    """Of a task: the attempt that runs or ran last, from 1. `None` before the first."""
    worker: str | None = None
    """Of a task that a worker executes: that worker's identity, where the server was asked."""
    reason: str | None = None
    """The reason given with the verb that holds it."""
    held_by: str | None = None
    """The key of the signature or member whose suspension or interruption holds this one."""
    skipped: bool | None = None
    """True of what was skipped: it is done, or will be when its turn comes, without being run."""
    error: ErrorInfo | None = None
    """Of a task: the error of the last attempt that failed. Of a chain: that of the step that failed. Of a swarm: that
    of the first item that failed. Below the
    signature or member that was asked for it is cut short, and has no traceback."""
    counts: Counts | None = None
    """Of a chain or swarm."""
    children: list[StatusReport] = Field(default_factory=list["StatusReport"])
    """Of a chain: its steps. Of a swarm: its items. Of more than 2,000 there are 2,000: first those in which something
    is held; then of a chain those around the one that runs, of a swarm those under way, the latest that have ended, the
    failures, and the next."""
    callbacks: list[StatusReport] = Field(default_factory=list["StatusReport"])
    """Its callbacks: all while it goes on, then those that its end calls."""
    last_verb: VerbRecord | None = None
    """Of a root: the last signal or update, and what became of it."""

    def find(self, path: str) -> StatusReport | None:
        """Return what stands at `path` ("" is this, "2.1" its third child's second, "s0" a callback), or `None`."""
        if not path:
            return self
        segment, dot, rest = path.partition(".")
        if not _SEGMENT.fullmatch(segment) or (dot and not rest):
            return None
        ending = f"{'.' if '#' in self.key else '#'}{segment}"
        parts = self.children if segment.isdecimal() else self.callbacks
        found = next((part for part in parts if part.key == self.key + ending), None)
        return found.find(rest) if found else None

    def holds(self) -> Iterator[StatusReport]:
        """Yield what a verb or a failure holds, this or parts of it; not what is held only along with those."""
        if self.held_by == self.key and not self.status.ended:
            yield self
        for part in (*self.children, *self.callbacks):
            yield from part.holds()


class LifecycleReport(BaseModel):
    """What a suspend, interrupt or resume did."""

    model_config = ConfigDict(frozen=True)

    verb: Verb | Literal["skip"]
    key: str
    """Of what it was done to."""
    status: Status
    """Since then."""
    last_status: Status | None = None
    """Before it."""
    stopped: list[str] = Field(default_factory=list[str])
    """Keys of tasks that were taken back from their queue: they had not begun."""
    draining: list[str] = Field(default_factory=list[str])
    """Keys of tasks whose code runs on to its end; nothing follows them until a resume."""
    cancelled: list[str] = Field(default_factory=list[str])
    """Keys of tasks whose running code was cancelled and has stopped."""
    took: timedelta = timedelta(0)
    """From the workflow's receipt of the verb until the report."""


class VerbRecord(BaseModel):
    """The last verb that a signature was given. A signal cannot answer, so its verdict is kept here."""

    model_config = ConfigDict(frozen=True)

    verb: str
    target: str = ""
    """The path of the member that it was meant for. Empty: the signature itself."""
    reason: str | None = None
    at: datetime
    """When it was received, in UTC."""
    accepted: bool
    verdict: str
    """What it did, or why it was refused."""


def after(status: Status, verb: Verb, last_status: Status | None) -> Status:
    """Return the status that `verb` makes of `status`.

    Raises:
        KeyError: the status has ended.
    """
    made = TRANSITIONS[verb][status]
    return made or last_status or Status.PENDING


def count(statuses: dict[Status, int]) -> Counts:
    """Return the counts of a container from the number of members in each status."""
    return Counts(total=sum(statuses.values()), **{str(status): number for status, number in statuses.items()})


def to_json(model: BaseModel) -> dict[str, Any]:
    """Return the model as plain JSON types, so that any data converter carries it unchanged."""
    return model.model_dump(mode="json", exclude_none=True)
