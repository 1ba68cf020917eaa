"""Calls from where they cannot be made."""

from __future__ import annotations

from mageflow_temporal.errors.base import MageflowError


class NotInTaskError(MageflowError):
    """Something that belongs to a running task was used outside one.

    Attributes:
        what: what was used.
    """

    def __init__(self, *, what: str) -> None:
        self.what = what
        super().__init__(f"there is no task here: {what} works inside a task's own code")


class HeartbeatDetailsError(MageflowError):
    """A task's code called `temporalio.activity.heartbeat` with several details.

    Attributes:
        key: the key of the task.
        given: how many details.
    """

    def __init__(self, *, key: str, given: int) -> None:
        self.key = key
        self.given = given
        super().__init__(
            f"activity.heartbeat() was given {given} details by {key!r}: the detail is the task's checkpoint, which is "
            "one value; give it a list, a dict or a model that holds them all"
        )


class AsyncCompletionError(MageflowError):
    """A task's code called `temporalio.activity.raise_complete_async`."""

    def __init__(self) -> None:
        super().__init__(
            "activity.raise_complete_async() is not for tasks: the result of one is what its function returns; to wait "
            "for somebody, suspend what comes next, and resume it"
        )


class NotAnAsyncTaskError(MageflowError):
    """A task whose code does not run on the worker's event loop made a signature.

    Attributes:
        key: the key of the task.
        where: where its code runs: "a thread" or "a process of its own".
    """

    def __init__(self, *, key: str, where: str) -> None:
        self.key = key
        self.where = where
        super().__init__(
            f"the code of {key!r} runs in {where}, where no signatures are made: make the task an async def on the "
            "worker's event loop, and call what blocks with asyncio.to_thread"
        )


class InWorkflowError(MageflowError):
    """Something that needs a connection was used in the code of a workflow."""

    def __init__(self) -> None:
        super().__init__(
            "the code of a workflow has no connection: there you can make signatures (sign, chain, swarm, map), start "
            "them and wait for them (start, run, result); do all else in an activity, or in a task"
        )
