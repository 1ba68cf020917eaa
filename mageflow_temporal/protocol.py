"""Every name and payload that crosses the wire, each once. Pure.

Payloads are plain JSON types on the wire (`to_wire`, `model_validate`), so any data converter that a user has
configured carries them as they are, through any codec.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mageflow_temporal import errors
from mageflow_temporal.plan import Plan, PlanNode, TaskSpec
from mageflow_temporal.status import Kind, Status, Verb

WORKFLOW_TYPES: Final[dict[Kind, str]] = {"task": "mageflow.task", "chain": "mageflow.chain", "swarm": "mageflow.swarm"}

KINDS: Final[dict[str, Kind]] = {type_: kind for kind, type_ in WORKFLOW_TYPES.items()}

START: Final = "start"
"""Update: the start of a signature that was suspended or interrupted before it was started."""
ADD: Final = "add"
"""Update: more items for a swarm."""
CLOSE: Final = "close"
"""Update and signal: a swarm takes no more items."""
STATUS: Final = "status"
"""Query: the `StatusReport`."""

TAKE_BACK: Final = "mageflow.take_back"
"""Local activity: asks the server which activities run, and holds those that are queued."""
INTERRUPTED: Final = "mageflow.Interrupted"
"""Type of the failure with which a runner reports that it stopped a task's code and has something to hand over."""

REMOTE_TRACEBACK: Final = "RemoteTraceback"
"""Type of a failure's cause whose message is the traceback in the process that ran the task's code."""

STATUS_ATTRIBUTE: Final = "MageflowStatus"
NAME_ATTRIBUTE: Final = "MageflowName"
KIND_ATTRIBUTE: Final = "MageflowKind"
SEARCH_ATTRIBUTES: Final = (STATUS_ATTRIBUTE, NAME_ATTRIBUTE, KIND_ATTRIBUTE)
"""Custom search attributes of type Keyword, used where the server has them."""

PAYLOAD_LIMIT: Final = 2 * 1024 * 1024 - 4096
"""Bytes: the largest message or result that is let through, just below the server's default of 2 MiB."""
SUMMARY_LIMIT: Final = 400
"""Bytes: the longest summary that the server takes, by its default."""

MEMO: Final = "mageflow"
"""Memo field that holds a `Memo`."""


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True)

    def to_wire(self) -> dict[str, Any]:
        """Return the payload as plain JSON types."""
        return self.model_dump(mode="json", exclude_none=True)


class Order(_Payload):
    """A workflow's input."""

    plan: Plan
    started: bool = True
    """False where a verb opened the workflow before its start."""
    message: Any = None
    hold: Status | None = None
    """The hold that a verb before the start put on the root."""
    reason: str | None = None
    payload_limit: int = PAYLOAD_LIMIT
    """Bytes that a message or result may have; 0 where a codec or external storage makes that unknowable here."""
    search_attributes: bool = False
    """Whether the server has our search attributes: an upsert of an unknown one would fail the workflow task."""


class Memo(_Payload):
    """What a process that loads a signature by its key learns of it without a worker."""

    name: str
    returns: str | None = None
    """What its result is (`plan.returns`), so that whoever loads it gets a result of the task's type."""


class LifecycleRequest(_Payload):
    """The optional payload of suspend, interrupt and resume."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = ""
    """The path of the member that is meant, such as "2.1"; empty for the whole signature."""
    reason: str | None = Field(default=None, max_length=1000)
    """Kept in the status while the hold lasts."""


class StartRequest(_Payload):
    """The payload of a late start."""

    message: Any = None


class AddRequest(_Payload):
    """The payload of an add."""

    items: tuple[PlanNode, ...]
    tasks: dict[str, TaskSpec]
    """Each task that the items call."""
    close_on_max_task: bool = True
    """Whether the swarm closes when it has as many items as it takes."""


class Resumption(_Payload):
    """A task's second argument from its second dispatch on: what it needs to go on where it stopped."""

    attempt: int = 1
    checkpoint: Any = None


class TakeBackRequest(_Payload):
    """Asks about activities of the workflow that sends it."""

    activity_ids: list[str]


class Whereabouts(_Payload):
    """What the server says of one activity."""

    state: Literal["held", "running", "unknown"]
    """held: it was queued, and will not start. running: a worker executes it. unknown: the server lists no such
    activity: it has ended, or the command that schedules it has not been sent."""
    started_at: datetime | None = None
    worker: str | None = None


class TakeBackAnswer(_Payload):
    """The whereabouts of each activity asked about."""

    activities: dict[str, Whereabouts]


HANDOVER: Final = "mageflow.handover"
"""The name under which a failure's last detail holds a `Handover`."""


class Handover(_Payload):
    """What a runner hands over with a failure."""

    retryable: bool = True
    """Whether the attempt may be repeated. To the server every failure is final: retries are the engine's, and the
    server would keep a failure to itself that comes while a suspend's pause is on the task."""
    checkpoint: Any = None
    error: str | None = None
    """What the task's code raised while it was being cancelled."""


class Refusal(_Payload):
    """The details of an application error by which the engine refuses a call or ends a run."""

    attributes: dict[str, Any] = Field(default_factory=dict)


_WIRE_ERRORS: Final[dict[str, type[errors.MageflowError]]] = {
    error.__name__: error
    for error in (
        errors.SignatureEndedError,
        errors.SignatureAlreadyStartedError,
        errors.SwarmIsCanceledError,
        errors.SwarmIsClosedError,
        errors.TaskAlreadyRunningError,
        errors.TooManyTasksError,
        errors.UnknownMemberError,
        errors.WhereaboutsUnknownError,
        errors.InvalidRequestError,
        errors.PayloadTooLargeError,
        errors.TaskFailedError,
        errors.SwarmFailedError,
        errors.NotAListError,
    )
}


def rebuild(name: str | None, details: Sequence[Any]) -> errors.MageflowError | None:
    """Return the error of our tree that an application error of type `name` carries, or `None` if it is not ours."""
    error = _WIRE_ERRORS.get(name or "")
    if error is None or not details:
        return None
    return error(**Refusal.model_validate(details[0]).attributes)


def problems(error: ValidationError) -> list[str]:
    """Return one readable line for each thing that pydantic found wrong."""
    lines: list[str] = []
    for problem in error.errors(include_url=False, include_context=False):
        where = ".".join(map(str, problem["loc"]))
        lines.append(f"{where}: {problem['msg']}" if where else problem["msg"])
    return lines


def parse_request(verb: Verb | str, key: str, payload: tuple[Any, ...]) -> LifecycleRequest:
    """Return the request that a signal's or update's arguments make.

    Raises:
        InvalidRequestError: they make none.
    """
    if len(payload) > 1:
        raise errors.InvalidRequestError(
            key=key, verb=str(verb), problems=[f"takes one payload at most, got {len(payload)}"]
        )
    given = payload[0] if payload else None
    if given is None:
        return LifecycleRequest()
    try:
        return LifecycleRequest.model_validate(given)
    except ValidationError as error:
        raise errors.InvalidRequestError(key=key, verb=str(verb), problems=problems(error)) from None
