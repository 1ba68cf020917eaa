"""A task as a Temporal activity: an activity of the task's name that takes its message and returns its result.

The code runs in an asyncio task of its own, never in the activity's: the SDK cancels an activity's task for a pause
as it does for a cancel, and only one of the two is meant for the code.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from datetime import timedelta
from typing import Any, Final

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from mageflow_temporal import message, pages
from mageflow_temporal.caller import Caller
from mageflow_temporal.errors import InvalidMessageError, NotSerializableError
from mageflow_temporal.key import Key
from mageflow_temporal.protocol import HANDOVER, INTERRUPTED, KINDS, Handover, Resumption
from mageflow_temporal.silence import is_silence
from mageflow_temporal.task import Task
from mageflow_temporal.worker import isolation
from mageflow_temporal.worker.context import Cancellation, TaskContext, TaskLogger
from mageflow_temporal.worker.failure import Raised, can_cross, readable, told
from mageflow_temporal.worker.meter import TaskMeter

_logger = logging.getLogger(__name__)

_HEARTBEATS_PER_TIMEOUT: Final = 2
_WATCH_INTERVAL: Final = 0.5
"""Seconds between questions to the server where it can no longer tell us of a cancel by itself."""
_READ_AGAIN: Final = 1.0
"""Seconds until results are read again that the server did not give, after all that the SDK tries by itself."""


class Runner:
    """Makes activities of tasks.

    Args:
        executor: for the threads of `def` tasks.
        process_limit: how many processes tasks of `isolation="process"` may have at once.
    """

    def __init__(self, executor: Executor, process_limit: int) -> None:
        self._executor = executor
        self._process_limit = process_limit
        self._processes: isolation.Processes | None = None
        self._meter = TaskMeter()

    def activity(self, task: Task[Any, Any]) -> Callable[..., Awaitable[Any]]:
        """Return the activity of a task.

        Raises:
            MissingExtraError: the task has a process of its own, and the extra "process" is not installed.
        """
        if task.isolation == "process" and self._processes is None:
            self._processes = isolation.Processes(self._process_limit)

        @activity.defn(name=task.name)
        async def run(message: Any = None, resumption: Any = None) -> Any:
            one = _Run(task, message, Resumption.model_validate(resumption or {}))
            with self._meter.run(one.is_stopped):
                return await one.outcome(self._code)

        return run

    async def _code(self, task: Task[Any, Any], raw_message: Any, context: TaskContext) -> Any:
        try:
            return await self._result(task, raw_message, context)
        except (asyncio.CancelledError, GeneratorExit, Exception):
            raise
        except BaseException as error:
            # asyncio lets SystemExit and KeyboardInterrupt end the event loop, and with it the worker; and the SDK does
            # not see to any of its kind.
            raise Raised.of(error).as_error() from error

    async def _result(self, task: Task[Any, Any], raw_message: Any, context: TaskContext) -> Any:
        call = isolation.call_of(task, raw_message, context)
        if task.wants.stagger:
            await asyncio.sleep(random.uniform(0, task.wants.stagger.total_seconds()))  # noqa: S311 - nothing to guess
        if task.isolation == "loop":
            return await isolation.on_loop(call, context)
        if task.isolation == "thread":
            return await isolation.in_thread(call, context, self._executor)
        assert self._processes
        return await self._processes.run(task, raw_message, context)


_Code = Callable[[Task[Any, Any], Any, TaskContext], Awaitable[Any]]


class _Run:
    """One execution of a task."""

    def __init__(self, task: Task[Any, Any], raw_message: Any, resumption: Resumption) -> None:
        self._info = info = activity.info()
        self._task = task
        self._message = raw_message
        self._paged = resumption.paged
        self._is_ours = info.workflow_type in KINDS
        if self._is_ours:
            key = str(Key.of_activity(info.workflow_id or "", info.activity_id))
        else:
            key = "#".join(filter(None, (info.workflow_id, info.activity_id)))
        caller = Caller(
            key=key,
            origin=resumption.origin or info.workflow_run_id or info.activity_run_id or "",
            message=raw_message,
            ties=self._is_ours,
            refuses=isolation.IN_A_THREAD if task.isolation == "thread" else None,
        )
        self._context = TaskContext(
            key=key,
            task=task.name,
            caller=caller,
            attempt=resumption.attempt if self._is_ours else info.attempt,
            resumed_from=resumption.checkpoint if self._is_ours else next(iter(info.heartbeat_details), None),
        )
        self._logger = TaskLogger(_logger, key=key, task=task.name, attempt=self._context.attempt)
        self._began = asyncio.get_running_loop().time()
        self._deaf = False
        """Core delivers one cancellation per attempt. It was spent on a pause, so a cancel has to be asked for."""

    def is_stopped(self) -> bool:
        """Whether the code has been told to stop."""
        return self._context.cancellation is not None

    async def outcome(self, code: _Code) -> Any:
        """Run the code to its end and return its result, or raise what tells Temporal how it ended."""
        running = asyncio.ensure_future(self._run(code))
        await self._attend(running)
        if not self._is_ours and self._context.last_checkpoint is not None:
            self._heartbeat()  # in others' workflows the server hands it to the next attempt
        try:
            return self._serialised(running.result())
        except asyncio.CancelledError:
            if not self._context.cancellation:
                msg = "the task's code cancelled itself"
                raise self._failure(RuntimeError(msg)) from None
            self._raise_stopped(None)
        except InvalidMessageError as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from None
        except Exception as error:  # noqa: BLE001 - whatever a task's code may raise
            if self._context.cancellation:
                self._raise_stopped(readable(f"{type(error).__name__}: {told(error)}"))
            raise self._failure(error) from (error.__cause__ if can_cross(error.__cause__) else None)

    async def _run(self, code: _Code) -> Any:
        return await code(self._task, await self._unfolded() if self._paged else self._message, self._context)

    async def _unfolded(self) -> Any:
        """Return the message with the results that are in pages. The code has yet to begin, so no attempt may fail."""
        while True:
            try:
                return await pages.unfold_message(activity.client(), self._message)
            except RPCError as error:
                if not is_silence(error) and error.status is not RPCStatusCode.RESOURCE_EXHAUSTED:
                    raise
                _logger.warning("%s could not read its message, and will try again: %s", self._context.key, error)
            await asyncio.sleep(_READ_AGAIN)

    async def _attend(self, running: asyncio.Future[Any]) -> None:
        """Stay by the code until it has ended: send heartbeats, pass on a cancellation."""
        timeout = self._info.heartbeat_timeout
        interval = (timeout or timedelta(seconds=30)).total_seconds() / _HEARTBEATS_PER_TIMEOUT
        while not running.done():
            try:
                # No heartbeat at the very start: most tasks are over before the first is due.
                await asyncio.wait({running}, timeout=min(_WATCH_INTERVAL if self._deaf else interval, self._time_left))
                if not running.done():
                    if timeout:
                        self._heartbeat()
                    if not self._time_left:
                        self._stop(running, "timed out")
                    elif self._deaf and not self._context.cancellation and (reason := await self._asked_to_stop()):
                        self._stop(running, reason)
            except asyncio.CancelledError:
                self._heed(running, activity.cancellation_details() or activity.ActivityCancellationDetails())

    def _heed(self, running: asyncio.Future[Any], details: activity.ActivityCancellationDetails) -> None:
        """Do what the SDK's cancellation of the activity means for the code."""
        if details.paused:
            # A suspend that came a moment too late: the pause is taken off again, and the code goes on.
            self._deaf = True
        elif details.cancel_requested:
            self._stop(running, "interrupted")
        elif details.worker_shutdown:
            self._stop(running, "worker shutting down")
        elif not self._context.cancellation:
            # Otherwise the server says what the code knows already: that its time is over.
            self._stop(running, "interrupted" if details.reset else "given up")

    @property
    def _time_left(self) -> float:
        """Seconds until the execution timeout, when the server gives the attempt up; infinite once it is stopped."""
        limit = self._info.start_to_close_timeout
        if limit is None or self._context.cancellation:
            return math.inf
        return max(0.0, self._began + limit.total_seconds() - asyncio.get_running_loop().time())

    def _stop(self, running: asyncio.Future[Any], reason: Cancellation) -> None:
        self._context.cancellation = reason
        running.cancel()

    def _heartbeat(self) -> None:
        checkpoint = self._context.last_checkpoint
        activity.heartbeat(*([] if checkpoint is None else [checkpoint]))

    async def _asked_to_stop(self) -> Cancellation | None:
        client = activity.client()
        execution = WorkflowExecution(workflow_id=self._info.workflow_id or "", run_id=self._info.workflow_run_id or "")
        request = DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=execution)
        try:
            description = await client.workflow_service.describe_workflow_execution(request)
        except RPCError as error:
            self._logger.warning("%s could not ask whether it is to stop, and asks again: %s", self._context.key, error)
            return None
        for pending in description.pending_activities:
            if pending.activity_id == self._info.activity_id:
                asked = pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
                return "interrupted" if asked else None
        return "given up"

    def _serialised(self, result: Any) -> Any:
        try:
            return message.to_json(result)
        except NotSerializableError as error:
            msg = f"the result of task {self._task.name!r} is lost: {error}"
            raise ApplicationError(msg, type=type(error).__name__, non_retryable=True) from error

    def _handover(self, *, error: str | None = None, retryable: bool = True) -> dict[str, Any]:
        handover = Handover(retryable=retryable, checkpoint=self._context.last_checkpoint, error=error)
        return {HANDOVER: handover.to_wire()}

    def _raise_stopped(self, error: str | None) -> None:
        if self._context.cancellation == "timed out":
            msg = "the attempt took longer than its execution_timeout"
            raise ApplicationError(msg, self._handover(), type="ExecutionTimeoutError", non_retryable=self._is_ours)
        details = activity.cancellation_details()
        plain = details is not None and details.cancel_requested and not self._deaf
        if plain and not (self._is_ours and (error or self._context.last_checkpoint is not None)):
            raise asyncio.CancelledError
        # The SDK sends no details with a cancellation, and knows none of a worker's shutdown: a failure carries both.
        msg = "the task's code was stopped"
        raise ApplicationError(
            msg,
            self._handover(error=error),
            type=INTERRUPTED,
            non_retryable=self._is_ours,
            category=ApplicationErrorCategory.BENIGN,
        )

    def _failure(self, error: Exception) -> Exception:
        """Return the error in the form in which it leaves: as it is for others' workflows, with a handover for ours."""
        if not self._is_ours and readable(str(error)) == str(error):
            return error
        raised = Raised.of(error)
        handover = [self._handover(retryable=not raised.non_retryable)] if self._is_ours else ()
        return raised.as_error(*handover, final=self._is_ours).with_traceback(error.__traceback__)
