"""Calls become activities, and what becomes of activities becomes outcomes.

Nothing outside this file knows that a call is one activity. Each is dispatched with a single attempt on the server:
retries are the machine's, because a retry must pass the gate as everything else that begins, and because a lost worker
is not a failed attempt, which the server's retry policy cannot tell apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError
from temporalio import common, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from mageflow_temporal import errors
from mageflow_temporal.config import Priority
from mageflow_temporal.engine.calls import Call, Completed, Failed, Lost, Outcome, Stopped
from mageflow_temporal.engine.tree import Node
from mageflow_temporal.plan import Path, format_path
from mageflow_temporal.protocol import (
    HANDOVER,
    INTERRUPTED,
    REMOTE_TRACEBACK,
    TAKE_BACK,
    Handover,
    Resumption,
    TakeBackAnswer,
    TakeBackRequest,
    Whereabouts,
)

_ONCE: Final = RetryPolicy(maximum_attempts=1)
_NO_LIMIT: Final = timedelta(days=3650)
"""Temporal wants a limit for an activity; heartbeats are what finds a dead worker."""
_ASK_TIMEOUT: Final = timedelta(seconds=10)
_MOST_AT_ONCE: Final = 1_500
"""Calls on their way at once: at 2,000 pending activities the server refuses every workflow task."""
_HEARTBEAT_SPACING: Final = timedelta(milliseconds=60)
"""The heartbeat timeout is at least this for each call that is on its way: 30 s at 500. Each heartbeat takes the
workflow's lock on the server; at 300 a second there was no time left to start tasks, and well ones were given up
(measured)."""
_TRACEBACK_LIMIT: Final = 4000
"""Characters: the end of a traceback says most, and errors live in the workflow's state."""


class Dispatch:
    """The calls that are on their way."""

    def __init__(self, on_outcome: Callable[[Node, Outcome], None]) -> None:
        self._on_outcome = on_outcome
        self._handles: dict[Path, workflow.ActivityHandle[Any]] = {}
        self._ids: dict[Path, str] = {}
        self._asked: set[Path] = set()
        """The calls that have been asked to stop. It is never iterated."""

    def begin(self, call: Call, summary: str, late: Priority) -> None:
        """Send a call on its way; its outcome is reported once. What nobody says of its priority is the workflow's."""
        node, options = call.node, call.spec.options
        args = [call.message]
        origin = _origin(node)
        if call.dispatch > 1 or origin != workflow.info().run_id or call.paged:
            resumption = Resumption(attempt=call.attempt, checkpoint=call.checkpoint, origin=origin, paged=call.paged)
            args.append(resumption.to_wire())
        activity_id = format_path(node.path) or "task"
        if call.dispatch > 1:
            activity_id += f"~{call.dispatch}"
        handle = workflow.start_activity(
            call.task,
            args=args,
            activity_id=activity_id,
            task_queue=call.spec.task_queue,
            start_to_close_timeout=options.execution_timeout or _NO_LIMIT,
            schedule_to_start_timeout=options.schedule_timeout,
            heartbeat_timeout=max(call.spec.heartbeat_timeout, len(self._handles) * _HEARTBEAT_SPACING),
            retry_policy=_ONCE,
            # The caller of interrupt must know that the code has stopped, not that it has been asked to.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=summary,
            priority=common.Priority(
                priority_key=options.priority or late.priority,
                fairness_key=options.fairness_key or late.fairness_key,
                fairness_weight=options.fairness_weight or late.fairness_weight,
            ),
        )
        self._handles[node.path], self._ids[node.path] = handle, activity_id

        def done(handle: asyncio.Task[Any]) -> None:
            del self._handles[node.path], self._ids[node.path]
            asked = node.path in self._asked
            self._asked.discard(node.path)
            outcome = outcome_of(handle)
            self._on_outcome(node, replace(outcome, asked=asked) if isinstance(outcome, Stopped) else outcome)

        handle.add_done_callback(done)

    @property
    def is_empty(self) -> bool:
        """Whether no call is on its way."""
        return not self._handles

    @property
    def has_room(self) -> bool:
        """Whether another call may be sent on its way."""
        return len(self._handles) < _MOST_AT_ONCE

    def cancel(self, node: Node) -> None:
        """Ask for a call to be stopped; its outcome follows when it has."""
        if handle := self._handles.get(node.path):
            self._asked.add(node.path)
            handle.cancel()

    async def whereabouts(self, nodes: list[Node]) -> dict[Path, Whereabouts]:
        """Ask the server where calls are. Those that no worker has taken up are held there, and will not start."""
        ids = {node.path: self._ids[node.path] for node in nodes if node.path in self._ids}
        if not ids:
            return {}
        # Local: an activity on a queue would wait behind the very tasks that it asks about.
        answer = await workflow.execute_local_activity(
            TAKE_BACK,
            TakeBackRequest(activity_ids=list(ids.values())).to_wire(),
            start_to_close_timeout=_ASK_TIMEOUT,
            retry_policy=RetryPolicy(maximum_attempts=3),
        )
        activities = TakeBackAnswer.model_validate(answer).activities
        return {path: activities[activity_id] for path, activity_id in ids.items()}


def _origin(node: Node) -> str:
    """Return what the runs of a task's code share in which it comes to the same signatures, until it begins anew."""
    first, life = workflow.info().first_execution_run_id, node.life()
    return f"{first}/{life}" if life else first


def outcome_of(handle: asyncio.Task[Any]) -> Outcome:
    """Return what became of an activity."""
    try:
        return Completed(handle.result())
    except ActivityError as error:
        return _outcome_of_error(error)
    except (asyncio.CancelledError, CancelledError):
        # The command that schedules the activity had not been sent yet: nobody ever saw it.
        return Stopped(began=False)


def _outcome_of_error(error: ActivityError) -> Outcome:
    cause = error.cause
    if isinstance(cause, CancelledError):
        return Stopped(began=error.started_event_id > 0)
    if isinstance(cause, ActivityTimeoutError):
        return _outcome_of_timeout(cause)
    if isinstance(cause, ApplicationError):
        handover = _handover(cause.details[-1] if cause.details else None)
        if handover is None:
            return _failed(cause, retryable=not cause.non_retryable)
        if cause.type == INTERRUPTED:
            return Stopped(began=True, checkpoint=handover.checkpoint, error=handover.error)
        return _failed(cause, retryable=handover.retryable, checkpoint=handover.checkpoint)
    return _failed(cause or error, retryable=True)


def _handover(detail: Any) -> Handover | None:
    """Return the handover that an error's detail holds: `None` for anything else that somebody may have put there."""
    try:
        return Handover.model_validate(detail[HANDOVER])
    except (TypeError, KeyError, IndexError, ValidationError):
        return None


def _outcome_of_timeout(cause: ActivityTimeoutError) -> Outcome:
    checkpoint = cause.last_heartbeat_details[0] if cause.last_heartbeat_details else None
    match cause.type:
        case TimeoutType.HEARTBEAT:
            return Lost(checkpoint)
        case TimeoutType.SCHEDULE_TO_START:
            return Failed("ScheduleTimeoutError", "no worker took the task up within its schedule_timeout", False)
        case _:
            return Failed(
                "ExecutionTimeoutError", "the attempt took longer than its execution_timeout", True, None, checkpoint
            )


def _failed(cause: BaseException, *, retryable: bool, checkpoint: Any = None) -> Failed:
    kind = (cause.type if isinstance(cause, ApplicationError) else None) or type(cause).__name__
    message = cause.message if isinstance(cause, ApplicationError) else str(cause)
    if kind == "NotFoundError" and "is not registered on this worker" in message:
        # The SDK's own answer for an activity type that the worker does not have. Another worker of the queue may have
        # it (a deployment under way), so it is an attempt like any other.
        return Failed("UnknownTaskError", f"{message}. Does the worker import the module that defines it?", retryable)
    if kind == "PayloadsTooLarge":
        # The SDK's word for a result that it did not send. Another attempt would make the like.
        error = errors.PayloadTooLargeError(what="the task's result", cause=message)
        return Failed(type(error).__name__, str(error), False)
    failure = getattr(cause, "failure", None)
    traceback = failure.stack_trace if failure else ""
    if failure and failure.cause.application_failure_info.type == REMOTE_TRACEBACK:
        traceback = failure.cause.message
    asked = cause.next_retry_delay if isinstance(cause, ApplicationError) else None
    retry_in = None if asked is None else max(timedelta(0), min(asked, _NO_LIMIT))
    return Failed(kind, message, retryable, traceback[-_TRACEBACK_LIMIT:] or None, checkpoint, retry_in)
