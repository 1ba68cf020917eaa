"""Nobody answers, or not in time."""

from __future__ import annotations

import re
from datetime import timedelta

from mageflow_temporal.errors.base import MageflowError


class ServerUnavailableError(MageflowError):
    """The Temporal server did not answer.

    Attributes:
        target: its address.
        cause: what the connection says.
    """

    def __init__(self, *, target: str, cause: str) -> None:
        self.target = target
        self.cause = cause
        super().__init__(
            f"no Temporal server answers at {target} ({self.problem}); start one with `temporal server start-dev`, or "
            "use `async with mf.local()`, or set TEMPORAL_ADDRESS"
        )

    @property
    def problem(self) -> str:
        """What is wrong, in a few words: "connection refused"."""
        # The SDK's core prints an error of its transport as nested Rust; the innermost string is what happened.
        words = re.findall(r'"([^"]+)"', self.cause) if "transport::Error" in self.cause else []
        return words[-1].lower() if words else self.cause


class ServerBusyError(MageflowError):
    """The Temporal server turned a call away, and went on to do so for as long as it was repeated.

    Attributes:
        target: its address.
        cause: what it says.
    """

    def __init__(self, *, target: str, cause: str) -> None:
        self.target = target
        self.cause = cause
        super().__init__(f"the Temporal server at {target} has too much to do for this call ({cause}): repeat it later")


class WorkerUnavailableError(MageflowError):
    """A question that only a worker can answer was asked, and none listens, or none that can.

    Attributes:
        key: the key of the signature that was asked.
        task_queue: where workers would have to listen.
        cause: what kept workers that do listen from answering; `None` if none does.
    """

    def __init__(self, *, key: str, task_queue: str, cause: str | None = None) -> None:
        self.key = key
        self.task_queue = task_queue
        self.cause = cause
        nobody = f"no worker listens on task queue {task_queue!r}; start one with mf.run_worker()"
        super().__init__(f"nobody can answer for {key!r}: {cause or nobody}")


class ResultTimeoutError(MageflowError, TimeoutError):
    """The caller's own timeout passed; what was awaited goes on undisturbed.

    Attributes:
        key: the key of what was awaited.
        timeout: how long the caller waited.
        status: its status then.
    """

    def __init__(self, *, key: str, timeout: timedelta, status: str) -> None:
        self.key = key
        self.timeout = timeout
        self.status = status
        goes_on = "it waits for a resume" if status in ("suspended", "interrupted") else "it goes on"
        super().__init__(f"{key!r} had not ended after {timeout.total_seconds():g} s (it is {status}); {goes_on}")


class CallTimeoutError(MageflowError, TimeoutError):
    """The caller's own timeout passed before a call was answered. The server may have it, and may yet carry it out.

    Attributes:
        call: what was called, such as "suspend".
        key: the key of the signature or member.
        timeout: how long the caller waited.
    """

    def __init__(self, *, call: str, key: str, timeout: timedelta) -> None:
        self.call = call
        self.key = key
        self.timeout = timeout
        super().__init__(
            f"{call} of {key!r} was not answered within {timeout.total_seconds():g} s; it may yet take effect: look at "
            "the status, or call it again"
        )


class NoWorkerWarning(UserWarning):
    """Somebody waits for work that no worker listens for."""
