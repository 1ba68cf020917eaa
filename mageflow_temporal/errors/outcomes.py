"""Ends without a result."""

from __future__ import annotations

from mageflow_temporal.errors.base import MageflowError


class OutcomeError(MageflowError):
    """What was awaited ended without a result.

    Attributes:
        key: the key of what was awaited.
    """

    key: str


class TaskFailedError(OutcomeError):
    """A task failed for good, and what was awaited failed with it.

    Attributes:
        key: the key of the task that failed, a member's key within a chain or swarm.
        task: the task's name.
        attempts: how many attempts were made.
        type: the class name of the task's own error.
        error: the message of the task's own error.
        traceback: the worker's traceback, where there is one.
    """

    def __init__(
        self, *, key: str, task: str, attempts: int, type: str, error: str, traceback: str | None = None
    ) -> None:
        self.key = key
        self.task = task
        self.attempts = attempts
        self.type = type
        self.error = error
        self.traceback = traceback
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"task {task!r} ({key}) failed after {tries}: {type}: {error}")


class SwarmFailedError(OutcomeError):
    """As many items of a swarm failed as `SwarmConfig.stop_after_n_failures` allows.

    Attributes:
        key: the swarm's key.
        failures: how many items failed.
        first: the message of the first failure.
    """

    def __init__(self, *, key: str, failures: int, first: str) -> None:
        self.key = key
        self.failures = failures
        self.first = first
        super().__init__(f"swarm {key!r} stopped after {failures} failed items; the first: {first}")


class NotAListError(OutcomeError):
    """A map was given something that has no elements.

    Attributes:
        key: the map's key.
        got: the type of what it was given, as JSON.
    """

    def __init__(self, *, key: str, got: str) -> None:
        self.key = key
        self.got = got
        super().__init__(f"map {key!r} was given a {got}: the step before it, or its start message, must be a list")


class SignatureCanceledError(OutcomeError):
    """The signature was cancelled, terminated or timed out on the Temporal server.

    Attributes:
        key: the signature's key.
        how: "canceled", "terminated" or "timed out".
    """

    def __init__(self, *, key: str, how: str) -> None:
        self.key = key
        self.how = how
        super().__init__(f"{key!r} has no result: it was {how}")
