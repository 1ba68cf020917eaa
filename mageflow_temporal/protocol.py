"""Every name and payload that crosses the wire, each once. Pure.

Payloads are plain JSON types on the wire (`to_wire`, `model_validate`), so any data converter that a user has
configured carries them as they are, through any codec.

Both ends may be of different versions of this package. What an older end does with a field that it does not know:

- An order and what is added to a swarm say the version of their form (`PLAN_VERSION`): a newer one is refused, and
  within a version a field may be added only if it is right to ignore it.
- A request is refused, whoever sent it: a signal that was half understood would be worse than none.
- In answers, and between the engine and the runner of a task, it is ignored: it says more, and changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from mageflow_temporal import errors
from mageflow_temporal.config import NO_PRIORITY, Delay, Priority, WorkflowId
from mageflow_temporal.plan import (
    DEEPEST,
    Plan,
    PlanNode,
    SwarmNode,
    TaskSpec,
    Versioned,
    containers,
    depth,
    require_described,
)
from mageflow_temporal.status import ItemOutcome, Kind, Status, Verb

WORKFLOW_TYPES: Final[dict[Kind, str]] = {"task": "mageflow.task", "chain": "mageflow.chain", "swarm": "mageflow.swarm"}

KINDS: Final[dict[str, Kind]] = {type_: kind for kind, type_ in WORKFLOW_TYPES.items()}

START: Final = "start"
"""Update: the start of a signature that was suspended or interrupted before it was started."""
ADD: Final = "add"
"""Update: more items for a swarm."""
CLOSE: Final = "close"
"""Update and signal: a swarm takes no more items."""
SKIP: Final = "skip"
"""Update and signal: a member is done with a given result, without being run."""
CONFIGURE: Final = "configure"
"""Update and signal: changes a swarm while it runs."""
RETRY_FAILED: Final = "retry_failed"
"""Update and signal: a swarm's failed items begin anew."""
OUTCOMES: Final = "outcomes"
"""Query: a page of the outcomes of a swarm's items."""
ADDED: Final = "added"
"""Query: what an earlier add of a name has added to a swarm, which may have ended."""
RERUN: Final = "rerun"
"""Query: the `Rerun` of a swarm."""
TIE: Final = "tie"
"""Update: a signature is about to be started that shares the lifecycle of a task."""
RELEASE: Final = "release"
"""Signal to a page: nobody needs it any more, except as history."""
STATUS: Final = "status"
"""Query: the `StatusReport`."""

PAGE_TYPE: Final = "mageflow.page"
"""Type of the workflows that keep results for others. Their input: whose it is, a list of `Leaf`s, and a list of the
results, or where that is one, the result itself: it may be as large as a payload."""
IS_OPEN: Final = "mageflow.is_open"
"""Local activity: asks the server whether a workflow is still running."""
PAGED: Final = "mageflow.pages"
"""The one name in the JSON object that stands for a swarm's results where they are in pages: it holds a `Paged`."""

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

TASKS_RUNNING_METRIC: Final = "mageflow_tasks_running"
TASK_RUNS_METRIC: Final = "mageflow_task_runs"
INTERRUPT_LATENCY_METRIC: Final = "mageflow_interrupt_latency"
SIGNATURES_METRIC: Final = "mageflow_signatures"

PAYLOAD_LIMIT: Final = 2 * 1024 * 1024 - 4096
"""Bytes: the largest message or result that is let through, just below the server's default of 2 MiB."""
SUMMARY_LIMIT: Final = 400
"""Bytes: the longest summary that the server takes, by its default."""

GUIDE: Final = """\
A task, chain or swarm of mageflow. Its tasks are the activities in the timeline; \
**Current Details** shows how each of them is doing.

To steer it: *More Actions*, *Send a Signal* (or *Update*, which answers).

- `suspend`: what runs may end, nothing new begins
- `interrupt`: what runs is stopped, too
- `resume`: it goes on where it stood

All of it is meant; or, with the data `{"target": "1.2"}`, the part that has this target in the table.
"""
"""What the Web UI shows of every signature, for somebody who has never heard of us. Markdown."""

MEMO: Final = "mageflow"
"""Memo field that holds a `Memo`."""
CALLS: Final = "mageflow.calls"
"""Memo field, written where a workflow task would give no command: how many calls there have been."""


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True)

    def to_wire(self) -> dict[str, Any]:
        """Return the payload as plain JSON types."""
        return self.model_dump(mode="json", exclude_none=True)


class Order(_Payload):
    """A workflow's input."""

    plan: Plan | None = None
    """`None` in a run that goes on: there it is in `progress`."""
    started: bool = True
    """False where a verb opened the workflow before its start."""
    message: Any = None
    delay: Delay | None = None
    """How long the root waits after the start before it begins."""
    hold: Status | None = None
    """The hold that a verb before the start put on the root."""
    reason: str | None = None
    payload_limit: int = PAYLOAD_LIMIT
    """Bytes that a message or result may have; 0 where a codec that compresses, or external storage, makes that
    unknowable here."""
    search_attributes: bool = False
    """Whether the server has our search attributes: an upsert of an unknown one would fail the workflow task."""
    events_per_run: int | None = None
    """The length of history at which the work goes on in a new run. `None`: where the server suggests it."""
    progress: str | None = None
    """What earlier runs have come to; the engine knows its form."""

    @model_validator(mode="after")
    def _is_work(self) -> Order:
        if self.plan is None and self.progress is None:
            msg = "it has neither a plan nor progress"
            raise ValueError(msg)
        return self

    @property
    def status(self) -> Status:
        """The status in which the workflow begins."""
        return self.hold or (Status.PENDING if self.delay else Status.ACTIVE)


class Memo(_Payload):
    """What a process that loads a signature by its key learns of it without a worker."""

    name: str
    returns: str | None = None
    """What its result is (`plan.returns`), so that whoever loads it gets a result of the task's type."""


class Request(_Payload):
    """What a signal, an update or a query is given."""

    model_config = ConfigDict(extra="forbid")

    EXAMPLE: ClassVar[str]
    """For people, who may send it by hand."""


class LifecycleRequest(Request):
    """The optional payload of suspend and interrupt, and of whatever else is asked of a target."""

    EXAMPLE = '{"target": "2.1", "reason": "..."}, or none: without a target the whole signature is meant'

    target: str = ""
    """The path of the member that is meant, such as "2.1"; empty for the whole signature."""
    reason: str | None = Field(default=None, max_length=1000)
    """Kept in the status while the hold lasts."""


class ResumeRequest(LifecycleRequest):
    """The optional payload of resume."""

    EXAMPLE = '{"target": "2.1", "kwargs": {...}}, or none; kwargs are laid over the messages of what begins there'

    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Laid over the messages of whatever begins from now on."""


class SkipRequest(LifecycleRequest):
    """The payload of skip."""

    EXAMPLE = '{"target": "2.1", "result": ...}'

    result: Any = None
    """What it is to have for a result."""


class ConfigureRequest(LifecycleRequest):
    """The payload of configure."""

    EXAMPLE = '{"target": "2.1", "max_concurrency": 5}, without a target if the whole signature is the swarm'

    max_concurrency: PositiveInt
    """How many items run at once from now on."""


class OutcomesRequest(LifecycleRequest):
    """The payload of outcomes."""

    EXAMPLE = '{"target": "2.1", "first": 0}, or none'

    first: NonNegativeInt = 0
    """The index of the first item that is asked for."""


class OutcomesPage(_Payload):
    """The outcomes of as many items as one answer carries."""

    outcomes: list[ItemOutcome]
    returns: list[str | None]
    """What the result of each is (`plan.returns`)."""
    total: int
    """How many items the swarm has."""
    pages: tuple[str, ...] = ()
    """The workflows that know of the items that are done and have no result here."""


class Leaf(_Payload):
    """What a page says of an item that is done, besides its result."""

    index: int
    attempts: int | None = None
    name: str
    returns: str | None = None
    """What its result is (`plan.returns`)."""


class Paged(_Payload):
    """Where the results of a swarm are that are more than a payload."""

    pages: list[str]
    """IDs of the workflows that keep them."""
    rest: list[tuple[int, Any]]
    """Those that are in no page, each with the index of its item."""

    def to_wire(self) -> dict[str, Any]:
        """Return the object that stands for the results."""
        # As it is: of what a task returned, no null may be lost.
        return {PAGED: {"pages": self.pages, "rest": [list(pair) for pair in self.rest]}}

    @classmethod
    def of(cls, value: Any) -> Paged | None:
        """Return what a value stands for, if it stands for results in pages."""
        if isinstance(value, dict) and len(cast("dict[str, Any]", value)) == 1 and PAGED in value:
            return cls.model_validate(value[PAGED])
        return None

    @classmethod
    def is_in(cls, value: Any) -> bool:
        """Return whether a value, or an item of it where it is a list, stands for results in pages."""
        return any(map(cls.is_in, cast("list[Any]", value))) if isinstance(value, list) else bool(cls.of(value))


class Rerun(_Payload):
    """What runs the failed items of a swarm that has ended."""

    plan: Plan
    message: Any = None
    priority: Priority = NO_PRIORITY
    failed: int
    """How many they are."""


class StartRequest(Request):
    """The payload of a late start."""

    EXAMPLE = '{"message": {...}}, or none'

    message: Any = None
    delay: Delay | None = None
    priority: Priority = NO_PRIORITY
    """For the tasks to come: the workflow keeps the one that it was opened with."""


class AddRequest(Request, Versioned):
    """Items for a swarm, all or none of them."""

    EXAMPLE = "what the client makes for `swarm.add`: there is no short form"

    items: tuple[PlanNode, ...]
    tasks: dict[str, TaskSpec]
    """Each task that the items call."""
    close_on_max_task: bool = True
    """Whether the swarm closes when it has as many items as it takes."""
    id: str | None = None
    """A name for the request: a second one of that name adds nothing."""

    @model_validator(mode="after")
    def _can_run(self) -> AddRequest:
        """What our client makes can; what it does not make must not be found out when it is too late to refuse it."""
        for item in self.items:
            if depth(item) > DEEPEST:
                msg = f"an item is nested more than {DEEPEST} levels deep"
                raise ValueError(msg)
            if any(isinstance(part, SwarmNode) and not part.closed for part in containers(item)):
                msg = "a swarm within an item must be closed: nobody can close it"
                raise ValueError(msg)
        require_described(self.items, self.tasks)
        return self


class AddsRequest(Request):
    """The payload of an add: what callers ask for at the same time goes together, and each gets an answer."""

    EXAMPLE = AddRequest.EXAMPLE

    adds: tuple[AddRequest, ...]


class AddedRequest(Request):
    """The payload of added."""

    EXAMPLE = '{"id": "the name that was given to swarm.add"}'

    id: str


class NotAdded(_Payload):
    """The error by which an `AddRequest` was refused."""

    type: str
    message: str
    attributes: dict[str, Any]


class Added(_Payload):
    """What came of an `AddRequest`: its items have indexes that follow each other, or none was added."""

    first: int = 0
    count: int = 0
    refused: NotAdded | None = None


class AddsAnswer(_Payload):
    """What came of each of the requests, in their order."""

    added: tuple[Added, ...]


class Tie(_Payload):
    """A signature that is about to be started, and the task to which it is tied."""

    key: WorkflowId
    target: str = ""
    """The path of the task."""
    ended: tuple[str, ...] = ()
    """Signatures that were tied to the task and have ended, as the task knows: they can be forgotten."""


class Tied(_Payload):
    """What a tied signature finds: how the task has ended, or the hold that lies on it and so on what is tied to it."""

    ended: Status | None = None
    hold: Status | None = None
    reason: str | None = None


class TieRequest(Request):
    """The payload of a tie."""

    EXAMPLE = "what the client makes for `start(tied=True)`: there is no short form"

    ties: tuple[Tie, ...]


class TieAnswer(_Payload):
    """What each of the ties finds, in their order."""

    tied: tuple[Tied, ...]


class Resumption(_Payload):
    """A task's second argument, where its message is not all that it needs: to go on where it stopped, above all."""

    attempt: int = 1
    checkpoint: Any = None
    origin: str = ""
    """What runs of the task share that are to come to the same signatures. Empty: the ID of the workflow's run."""
    paged: bool = False
    """Whether the message may have a `Paged` in it."""


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
        errors.SwarmIsFullError,
        errors.TaskAlreadyRunningError,
        errors.TooManyTasksError,
        errors.UnknownMemberError,
        errors.WhereaboutsUnknownError,
        errors.InvalidRequestError,
        errors.PayloadTooLargeError,
        errors.NewerVersionError,
        errors.TaskFailedError,
        errors.SwarmFailedError,
        errors.NotAListError,
    )
}


def is_refusal(details: Sequence[Any]) -> bool:
    """Return whether an application error's details are a `Refusal`."""
    return bool(details) and isinstance(details[0], dict) and Refusal.model_fields.keys() == details[0].keys()


def rebuild(name: str | None, details: Sequence[Any]) -> errors.MageflowError | None:
    """Return the error of our tree that an application error of type `name` carries, or `None` if it is not ours."""
    error = _WIRE_ERRORS.get(name or "")
    if error is None or not details:
        return None
    # A newer worker may know more of it than the class has room for here.
    known = inspect.signature(error).parameters
    attributes = Refusal.model_validate(details[0]).attributes
    return error(**{name: value for name, value in attributes.items() if name in known})


def problems(error: ValidationError) -> list[str]:
    """Return one readable line for each thing that pydantic found wrong."""
    lines: list[str] = []
    for problem in error.errors(include_url=False, include_context=False):
        where = ".".join(map(str, problem["loc"]))
        lines.append(f"{where}: {problem['msg']}" if where else problem["msg"])
    return lines


_RequestT = TypeVar("_RequestT", bound=Request)

REQUESTS: Final[dict[str, type[LifecycleRequest]]] = {
    Verb.SUSPEND: LifecycleRequest,
    Verb.INTERRUPT: LifecycleRequest,
    Verb.RESUME: ResumeRequest,
    SKIP: SkipRequest,
    CONFIGURE: ConfigureRequest,
    RETRY_FAILED: LifecycleRequest,
    STATUS: LifecycleRequest,
    OUTCOMES: OutcomesRequest,
}
"""The payload of each signal, update and query that has a target."""


def parse_request(verb: str, key: str, payload: tuple[Any, ...], form: type[_RequestT]) -> _RequestT:
    """Return the request that the arguments of a signal, update or query make.

    Raises:
        InvalidRequestError: they make none.
        NewerVersionError: a newer client made it, and it could be misread.
    """
    wrong = [f"takes one payload at most, got {len(payload)}"] if len(payload) > 1 else []
    if not wrong:
        try:
            return form.model_validate(payload[0] if payload and payload[0] is not None else {})
        except ValidationError as error:
            wrong = problems(error)
    raise errors.InvalidRequestError(key=key, verb=verb, problems=wrong, expected=form.EXAMPLE)
