"""Options that users set, checked where they are set. Pure."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

_LONGEST: Final = timedelta(days=3650)
"""What Temporal takes for a timeout has an end, and there the workflow would be stuck."""


def _in_range(value: timedelta) -> timedelta:
    if not timedelta(0) < value <= _LONGEST:
        msg = f"must be longer than zero and at most {_LONGEST.days} days"
        raise ValueError(msg)
    return value


Duration = Annotated[timedelta, AfterValidator(_in_range)]


def size_of(text: str) -> int:
    """Return how many bytes of UTF-8 a text has; 0 where it has no such form (a lone surrogate)."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0


def _of_bytes(limit: int) -> AfterValidator:
    """The server counts bytes, and refuses what is longer: by an answer, or by refusing every task of a workflow."""

    def check(text: str) -> str:
        if not 0 < size_of(text) <= limit:
            msg = f"must have 1 to {limit} bytes of UTF-8"
            raise ValueError(msg)
        return text

    return AfterValidator(check)


Delay = Annotated[timedelta, Field(ge=timedelta(0), le=_LONGEST)]
QueueName = Annotated[str, _of_bytes(1000)]
WorkflowId = Annotated[str, _of_bytes(1000)]
Name = Annotated[str, _of_bytes(255)]
"""Of a task or a container: it goes into keys, search attributes and summaries, each of which has a limit."""


class AcceptParams(Enum):
    """What the functions of an app's tasks are given."""

    JUST_MESSAGE = 1
    """The message."""
    NO_CTX = 2
    """The message, and the task's own signature, where the function asks for it by `with_signature`."""
    ALL = 3
    """As NO_CTX, with the `TaskContext` after the message."""


class Priority(BaseModel):
    """Who goes first where work waits in one queue. What is `None` is as the whole signature has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    priority: Annotated[int, Field(ge=1, le=5)] | None = None
    """From 1, which goes first, to 5. 3 where nobody says anything."""
    fairness_key: Annotated[str, _of_bytes(64)] | None = None
    """Whose work it is, such as a tenant's name: the keys of one priority take turns, however much each has waiting."""
    fairness_weight: Annotated[float, Field(ge=0.001, le=1000, allow_inf_nan=False)] | None = None
    """How many turns the key gets, compared with others. 1 where nobody says anything."""


NO_PRIORITY: Final = Priority()


class TaskOptions(Priority):
    """How a task may run. Durations are `timedelta`s."""

    retries: NonNegativeInt = 0
    """How often a failed attempt is repeated: `retries=3` is four attempts. A lost worker is not a failed attempt."""
    execution_timeout: Duration | None = None
    """The longest that one attempt may take, from its pick-up. `None`: as long as its worker shows signs of life."""
    schedule_timeout: Duration | None = None
    """The longest that a task may wait in its queue for a worker; then it fails, without retries. `None`: no limit."""
    backoff_factor: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] = 2.0
    """The pause before retry n (from 0) is `backoff_factor ** n` seconds: 1, 2, 4, 8, ... by default."""
    backoff_max_seconds: Annotated[float, Field(gt=0, le=_LONGEST.total_seconds(), allow_inf_nan=False)] = 60.0
    """The longest pause before a retry, in seconds."""
    heartbeat_timeout: Duration | None = None
    """How long a worker may give no sign of life before the task is handed to another. `None`: the app's setting."""
    task_queue: QueueName | None = None
    """The queue whose workers run the task. `None`: the app's queue."""
    at_most_once: bool = False
    """For what must never run twice by itself: a lost worker fails the task, instead of another running it again."""

    @model_validator(mode="after")
    def _once_or_again(self) -> TaskOptions:
        if self.at_most_once and self.retries:
            msg = f"at_most_once=True and retries={self.retries} contradict each other: a retry runs the task again"
            raise ValueError(msg)
        return self

    def backoff(self, retry: int) -> timedelta:
        """Return the pause before the given retry, counted from 0."""
        try:
            pause = self.backoff_factor**retry
        except OverflowError:
            pause = self.backoff_max_seconds
        return timedelta(seconds=min(pause, self.backoff_max_seconds))


class SwarmConfig(BaseModel):
    """How a swarm works through its items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_concurrency: PositiveInt = 30
    """How many items run at once."""
    stop_after_n_failures: PositiveInt | None = None
    """At this many failed items no new one begins, and the swarm fails. `None`: failed items never fail the swarm."""
    max_task_allowed: PositiveInt | None = None
    """How many items the swarm takes in all. `None`: no limit."""


class MageflowConfig(BaseModel):
    """An app's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task_queue: QueueName = "mageflow"
    """The queue of the app's workflows, and of every task that names no other."""
    heartbeat_timeout: Duration = timedelta(seconds=3)
    """How long a worker may give no sign of life before its tasks are handed to others. A killed worker's tasks go on
    elsewhere after this; an `async def` task that blocks its event loop for longer counts as lost. Where more than 50
    calls of one signature are on their way it grows by 60 ms for each, for the server's sake."""
    lost_worker_limit: PositiveInt = 5
    """After so many lost workers in one task it is given up: it probably kills them. They count anew whenever its
    checkpoint has changed."""
    param_config: AcceptParams = AcceptParams.NO_CTX
    """What the functions of tasks are given; `with_ctx` gives a single task the `TaskContext`, too."""
    events_per_run: Annotated[int, Field(ge=10, le=40_000)] | None = None
    """The length of history from which on a signature begins nothing until its tasks have ended, and then goes on in a
    new run of its workflow, which nobody notices. `None`: where the server suggests it (by default at 4,096 events or
    4 MiB; at 51,200 events or 50 MiB it would terminate the run)."""
