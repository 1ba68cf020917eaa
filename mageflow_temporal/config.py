"""Options that users set, checked where they are set. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        msg = "must be longer than zero"
        raise ValueError(msg)
    return value


Duration = Annotated[timedelta, AfterValidator(_positive)]


class TaskOptions(BaseModel):
    """How a task may run. Durations are `timedelta`s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retries: NonNegativeInt = 0
    """How often a failed attempt is repeated: `retries=3` is four attempts. A lost worker is not a failed attempt."""
    execution_timeout: Duration | None = None
    """The longest that one attempt may take, from its pick-up. `None`: as long as its worker shows signs of life."""
    schedule_timeout: Duration | None = None
    """The longest that a task may wait in its queue for a worker; then it fails, without retries. `None`: no limit."""
    backoff_factor: Annotated[float, Field(ge=1.0)] = 2.0
    """The pause before retry n (from 0) is `backoff_factor ** n` seconds: 1, 2, 4, 8, ... by default."""
    backoff_max_seconds: PositiveFloat = 60.0
    """The longest pause before a retry, in seconds."""
    heartbeat_timeout: Duration | None = None
    """How long a worker may give no sign of life before the task is handed to another. `None`: the app's setting."""
    task_queue: str | None = None
    """The queue whose workers run the task. `None`: the app's queue."""

    def backoff(self, retry: int) -> timedelta:
        """Return the pause before the given retry, counted from 0."""
        # The exponent is bounded so that a task with thousands of retries does not overflow a float.
        return timedelta(seconds=min(self.backoff_factor ** min(retry, 64), self.backoff_max_seconds))


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

    task_queue: str = "mageflow"
    """The queue of the app's workflows, and of every task that names no other."""
    heartbeat_timeout: Duration = timedelta(seconds=4)
    """How long a worker may give no sign of life before its tasks are handed to others. A killed worker's tasks go on
    elsewhere after this; an `async def` task that blocks its event loop for longer counts as lost."""
    lost_worker_limit: PositiveInt = 5
    """After so many lost workers in one task it is given up: it probably kills them."""
