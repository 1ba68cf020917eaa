"""Calls that the state of a signature does not allow."""

from __future__ import annotations

from datetime import datetime

from mageflow_temporal.errors.base import MageflowError


class SignatureError(MageflowError):
    """A call on a signature that its present state does not allow.

    Attributes:
        key: the signature's key, or its member's.
    """

    key: str


class MissingSignatureError(SignatureError):
    """There is no signature of that key."""

    def __init__(self, *, key: str) -> None:
        self.key = key
        super().__init__(f"no signature has the key {key!r} (it was never started, or its retention has passed)")


class SignatureNotStartedError(SignatureError):
    """The call needs a signature that has been started."""

    def __init__(self, *, key: str) -> None:
        self.key = key
        super().__init__(f"{key!r} has not been started: await signature.start(...) first")


class SignatureAlreadyStartedError(SignatureError):
    """A signature is single-use, and this one has been started."""

    def __init__(self, *, key: str) -> None:
        self.key = key
        super().__init__(f"{key!r} has been started already: a signature runs once, so sign the task again")


class SignatureEndedError(SignatureError):
    """The signature has ended, so there is nothing left to suspend, interrupt, resume or add to.

    Attributes:
        status: how it ended: `done`, `failed` or `canceled`.
    """

    def __init__(self, *, key: str, status: str) -> None:
        self.key = key
        self.status = status
        super().__init__(f"{key!r} is {status}: what has ended cannot be suspended, interrupted, resumed or changed")


class TaskAlreadyRunningError(SignatureError):
    """A task is being executed, so a suspend cannot stop it; it was left as it is.

    Attributes:
        attempt: the attempt that runs, from 1.
        started_at: when a worker took it up (server time, UTC), where the server knows.
        worker: the identity of that worker, where the server knows.
    """

    def __init__(self, *, key: str, attempt: int, started_at: datetime | str | None, worker: str | None) -> None:
        self.key = key
        self.attempt = attempt
        self.started_at = datetime.fromisoformat(started_at) if isinstance(started_at, str) else started_at
        self.worker = worker
        since = f" since {self.started_at.isoformat()}" if self.started_at else ""
        super().__init__(
            f"task {key!r} is already running (attempt {attempt}{since} on worker {worker or 'unknown'}) and was left "
            "untouched; interrupt() stops code that runs"
        )


class WhereaboutsUnknownError(SignatureError):
    """The server did not answer whether tasks run, so a suspend could not be carried out; it was taken off again.

    Attributes:
        key: the key of what was to be suspended.
        cause: what the server says.
    """

    def __init__(self, *, key: str, cause: str) -> None:
        self.key = key
        self.cause = cause
        super().__init__(f"{key!r} was not suspended: the server did not say what runs ({cause}); try again")


class UnknownMemberError(SignatureError):
    """A key or target names a member that the signature does not have.

    Attributes:
        key: the signature's key.
        target: the path that it has no member at.
    """

    def __init__(self, *, key: str, target: str) -> None:
        self.key = key
        self.target = target
        super().__init__(f"{key!r} has no member {target!r}: members are numbered from 0, as in '2' or '2.1'")


class InvalidRequestError(SignatureError):
    """A signal's, update's or query's payload is not one that its handler takes.

    Attributes:
        key: the signature's key.
        verb: the name of the signal, update or query.
        problems: one line for each thing that is wrong with it.
        expected: a payload as it should be.
    """

    def __init__(self, *, key: str, verb: str, problems: list[str], expected: str) -> None:
        self.key = key
        self.verb = verb
        self.problems = problems
        self.expected = expected
        super().__init__(
            f"{verb} of {key!r} was refused and changed nothing: {'; '.join(problems)}. A right payload: {expected}"
        )


class SwarmIsClosedError(SignatureError):
    """A swarm that is closed, or has ended, takes no more tasks.

    Attributes:
        key: the swarm's key.
        how: "closed", or how it has ended.
    """

    def __init__(self, *, key: str, how: str) -> None:
        self.key = key
        self.how = how
        super().__init__(f"swarm {key!r} is {how} and takes no more tasks")


class SwarmIsCanceledError(SwarmIsClosedError):
    """A swarm that was cancelled takes no more tasks."""


class SwarmIsFullError(SignatureError):
    """A swarm holds as many items that have yet to begin as it can carry; none was added.

    Attributes:
        waiting: how many items it holds that have yet to begin.
    """

    def __init__(self, *, key: str, waiting: int) -> None:
        self.key = key
        self.waiting = waiting
        super().__init__(
            f"swarm {key!r} holds {waiting} items that have yet to begin, as many as it can carry: add more when some "
            "of them have begun"
        )
