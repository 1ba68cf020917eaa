"""One run of a workflow: what it is told, and what it asks for.

Its code runs in the SDK's own `WorkflowInstance`, which takes activations and gives commands. What Temporal's core and
server make of the commands is in this file.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from asyncio import events
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Message
from temporalio import common, workflow
from temporalio.api.common.v1 import ActivityType, Memo, Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.update.v1 import Outcome
from temporalio.bridge.proto.activity_result import ActivityResolution
from temporalio.bridge.proto.workflow_activation import (
    CancelWorkflow,
    DoUpdate,
    FireTimer,
    InitializeWorkflow,
    QueryWorkflow,
    RemoveFromCache,
    ResolveActivity,
    ResolveChildWorkflowExecutionStart,
    ResolveChildWorkflowExecutionStartSuccess,
    ResolveRequestCancelExternalWorkflow,
    ResolveSignalExternalWorkflow,
    SignalWorkflow,
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import (
    ContinueAsNewWorkflowExecution,
    QueryResult,
    RequestCancelExternalWorkflowExecution,
    ScheduleActivity,
    ScheduleLocalActivity,
    SignalExternalWorkflowExecution,
    StartChildWorkflowExecution,
    StartTimer,
    UpdateResponse,
    WorkflowCommand,
)
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import MetricMeter
from temporalio.converter import DataConverter
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

from mageflow_temporal.local.activities import Activity, Ask
from mageflow_temporal.local.clock import Timer

if TYPE_CHECKING:
    from mageflow_temporal.local.world import World

_EVENTS_PER_RUN: Final = 4_096
"""The length of history at which a server suggests a new run."""
_CUT_OFF: Final = "the workflow ended before the update did"


@dataclass(frozen=True)
class Start:
    """What a run begins with."""

    workflow_id: str
    workflow_type: str
    arguments: Sequence[Payload]
    memo: Mapping[str, Payload]
    priority: common.Priority
    headers: Mapping[str, Payload] = field(default_factory=dict[str, Payload])
    first_run_id: str | None = None
    continued_from: str = ""


class Update:
    """An update on its way."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        """`None` where the workflow ended before it looked at the update."""
        self.accepted = False

    def end(self, outcome: Outcome | None) -> None:
        """Say what became of it: the first word counts."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Execution:
    """One run of a workflow.

    Attributes:
        start: what it began with.
        run_id: its ID among all runs.
        memo: what it has noted for those who look on.
        began: when.
        closed: when it ended.
        status: whether it runs, or how it ended.
        history: what happened, as far as somebody may ask.
        ended: is set when it has.
        next: the run that goes on with its work.
        activities: those on their way.
        updates: by their IDs.
    """

    def __init__(self, world: World, start: Start) -> None:
        self._world = world
        self.start = start
        self.run_id = uuid.uuid4().hex
        self.memo = dict(start.memo)
        self.began = world.clock.now()
        self.closed: datetime | None = None
        self.status = WorkflowExecutionStatus.RUNNING
        self.history: list[HistoryEvent] = []
        self.ended = asyncio.Event()
        self.next: Execution | None = None
        self.activities: dict[int, Activity] = {}
        self.updates: dict[str, Update] = {}
        self._timers: dict[int, Timer] = {}
        self._jobs: list[WorkflowActivationJob] = []
        self._questions: list[tuple[QueryWorkflow, asyncio.Future[QueryResult]]] = []
        self._woken = False
        self._instance: WorkflowInstance | None = None
        self._record(
            "workflow_execution_started",
            workflow_type=WorkflowType(name=start.workflow_type),
            input=Payloads(payloads=start.arguments),
            memo=Memo(fields=start.memo),
            continued_execution_run_id=start.continued_from,
            first_execution_run_id=self._first_run_id,
        )
        self._tell(
            initialize_workflow=InitializeWorkflow(
                workflow_type=start.workflow_type,
                workflow_id=start.workflow_id,
                arguments=start.arguments,
                headers=start.headers,
                attempt=1,
            )
        )

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status is WorkflowExecutionStatus.RUNNING

    @property
    def _first_run_id(self) -> str:
        return self.start.first_run_id or self.run_id

    # What it is told.

    def signal(self, name: str, arguments: Sequence[Payload], headers: Mapping[str, Payload]) -> None:
        """Send it a signal."""
        self._record("workflow_execution_signaled", signal_name=name, input=Payloads(payloads=arguments))
        self._tell(signal_workflow=SignalWorkflow(signal_name=name, input=arguments, headers=headers))

    def update(self, id: str, name: str, arguments: Sequence[Payload], headers: Mapping[str, Payload]) -> Update:
        """Send it an update, or return the one of that ID."""
        if id not in self.updates:
            self.updates[id] = Update()
            self._tell(
                do_update=DoUpdate(
                    id=id,
                    protocol_instance_id=id,
                    name=name,
                    input=arguments,
                    headers=headers,
                    run_validator=True,
                )
            )
        return self.updates[id]

    async def query(self, name: str, arguments: Sequence[Payload], headers: Mapping[str, Payload]) -> QueryResult:
        """Return its answer to a question. It gives one when it has ended, too."""
        question = QueryWorkflow(query_id="local", query_type=name, arguments=arguments, headers=headers)
        answer: asyncio.Future[QueryResult] = asyncio.get_running_loop().create_future()
        self._questions.append((question, answer))
        self._wake()
        return await answer

    def cancel(self, reason: str) -> None:
        """Ask it to end as canceled."""
        self._tell(cancel_workflow=CancelWorkflow(reason=reason))

    def terminate(self, reason: str) -> None:
        """End it, without asking."""
        self._close(WorkflowExecutionStatus.TERMINATED, "workflow_execution_terminated", reason=reason)

    def forget(self) -> None:
        """Let go of the workflow's code, wherever it waits."""
        if self._instance:
            self._activated([WorkflowActivationJob(remove_from_cache=RemoveFromCache(message="it is over"))])
            self._instance = None

    def _tell(self, **job: Any) -> None:
        if self.is_running:
            self._jobs.append(WorkflowActivationJob(**job))
            self._wake()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._world.soon(self._activate)

    # What it does.

    def _activate(self) -> None:
        self._woken = False
        while self._jobs and self.is_running:
            jobs, self._jobs = self._jobs, []
            completion = self._activated(jobs)
            if completion.HasField("failed"):
                # A server would have it tried again for ever; here somebody waits who has to learn of it.
                failure = completion.failed.failure
                msg = f"the workflow task failed: {failure.message}\n{failure.stack_trace}"
                raise RuntimeError(msg)
            for command in completion.successful.commands:
                self._obey(command)
        questions, self._questions = self._questions, []
        for question, answer in questions:
            completion = self._activated([WorkflowActivationJob(query_workflow=question)])
            if not answer.done():
                answer.set_result(completion.successful.commands[0].respond_to_query)

    def _activated(self, jobs: list[WorkflowActivationJob]) -> WorkflowActivationCompletion:
        loop = asyncio.get_running_loop()
        if self._instance is None:
            self._instance = self._made()
        activation = WorkflowActivation(
            run_id=self.run_id,
            history_length=len(self.history),
            continue_as_new_suggested=len(self.history) >= _EVENTS_PER_RUN,
            jobs=jobs,
        )
        activation.timestamp.FromDatetime(self._world.clock.now())
        try:
            return self._instance.activate(activation)
        finally:
            events._set_running_loop(loop)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - it is for those who write event loops; the SDK's leaves none behind

    def _made(self) -> WorkflowInstance:
        start, converter = self.start, DataConverter.default
        info = workflow.Info(
            attempt=1,
            continued_run_id=start.continued_from or None,
            cron_schedule=None,
            execution_timeout=None,
            first_execution_run_id=self._first_run_id,
            headers=start.headers,
            namespace=self._world.client.namespace,
            original_execution_run_id=self.run_id,
            parent=None,
            root=None,
            raw_memo=self.memo,
            retry_policy=None,
            run_id=self.run_id,
            run_timeout=None,
            search_attributes={},
            start_time=self.began,
            workflow_start_time=self.began,
            task_queue="local",
            task_timeout=timedelta(seconds=10),
            typed_search_attributes=common.TypedSearchAttributes.empty,
            workflow_id=start.workflow_id,
            workflow_type=start.workflow_type,
            priority=start.priority,
        )
        details = WorkflowInstanceDetails(
            payload_converter_factory=converter.payload_converter_class,
            failure_converter_class=converter.failure_converter_class,
            interceptor_classes=[],
            defn=self._world.definitions[start.workflow_type],
            info=info,
            randomness_seed=random.getrandbits(63),
            # The SDK's worker looks here whether it has the activity. Ours has: it is one of the engine's own.
            extern_functions={
                "__temporal_assert_local_activity_valid": _nothing,
                "__temporal_get_metric_meter": lambda: MetricMeter.noop,
            },
            disable_eager_activity_execution=True,
            worker_level_failure_exception_types=[],
            patch_activation_callback=None,
            last_completion_result=Payloads(),
            last_failure=None,
        )
        return UnsandboxedWorkflowRunner().create_instance(details)

    # What it asks for.

    def _obey(self, command: WorkflowCommand) -> None:
        match command.WhichOneof("variant"):
            case "start_timer":
                self._start_timer(command.start_timer)
            case "cancel_timer":
                self._timers.pop(command.cancel_timer.seq).cancelled = True
            case "schedule_activity":
                self._schedule(command.schedule_activity, is_local=False)
            case "schedule_local_activity":
                self._schedule(command.schedule_local_activity, is_local=True)
            case "request_cancel_activity":
                self._world.activities.cancel(self.activities[command.request_cancel_activity.seq])
            case "request_cancel_local_activity":
                self._world.activities.cancel(self.activities[command.request_cancel_local_activity.seq])
            case "modify_workflow_properties":
                self.memo.update(command.modify_workflow_properties.upserted_memo.fields)
            case "update_response":
                self._answer(command.update_response)
            case _:
                self._obey_what_concerns_others(command)

    def _obey_what_concerns_others(self, command: WorkflowCommand) -> None:
        match command.WhichOneof("variant"):
            case "start_child_workflow_execution":
                self._start_child(command.start_child_workflow_execution)
            case "signal_external_workflow_execution":
                self._signal(command.signal_external_workflow_execution)
            case "request_cancel_external_workflow_execution":
                self._cancel(command.request_cancel_external_workflow_execution)
            case _:
                self._end(command)

    def _end(self, command: WorkflowCommand) -> None:
        match command.WhichOneof("variant"):
            case "complete_workflow_execution":
                result = Payloads(payloads=[command.complete_workflow_execution.result])
                self._close(WorkflowExecutionStatus.COMPLETED, "workflow_execution_completed", result=result)
            case "fail_workflow_execution":
                failure = command.fail_workflow_execution.failure
                self._close(WorkflowExecutionStatus.FAILED, "workflow_execution_failed", failure=failure)
            case "cancel_workflow_execution":
                self._close(WorkflowExecutionStatus.CANCELED, "workflow_execution_canceled")
            case "continue_as_new_workflow_execution":
                self._continue(command.continue_as_new_workflow_execution)
            case other:
                msg = f"local execution has no answer to the command {other}"
                raise NotImplementedError(msg)

    def _start_timer(self, asked: StartTimer) -> None:
        pause = asked.start_to_fire_timeout.ToTimedelta()
        self._timers[asked.seq] = self._world.clock.set(pause, lambda: self._fire(asked.seq))

    def _signal(self, asked: SignalExternalWorkflowExecution) -> None:
        if other := self._world.running_one(asked.workflow_execution.workflow_id):
            other.signal(asked.signal_name, asked.args, asked.headers)
        failure = None if other else _not_found()
        resolved = ResolveSignalExternalWorkflow(seq=asked.seq, failure=failure)
        self._tell(resolve_signal_external_workflow=resolved)

    def _cancel(self, asked: RequestCancelExternalWorkflowExecution) -> None:
        if other := self._world.running_one(asked.workflow_execution.workflow_id):
            other.cancel(asked.reason)
        failure = None if other else _not_found()
        resolved = ResolveRequestCancelExternalWorkflow(seq=asked.seq, failure=failure)
        self._tell(resolve_request_cancel_external_workflow=resolved)

    def _fire(self, seq: int) -> None:
        del self._timers[seq]
        self._tell(fire_timer=FireTimer(seq=seq))

    def _schedule(self, asked: ScheduleActivity | ScheduleLocalActivity, *, is_local: bool) -> None:
        scheduled = None
        if not is_local:
            scheduled = self._record(
                "activity_task_scheduled",
                activity_id=asked.activity_id,
                activity_type=ActivityType(name=asked.activity_type),
                input=Payloads(payloads=asked.arguments),
            )

        def resolve(resolution: ActivityResolution) -> None:
            self.activities.pop(asked.seq, None)
            if scheduled and resolution.HasField("completed"):
                self._record("activity_task_completed", scheduled_event_id=scheduled)
            self._tell(resolve_activity=ResolveActivity(seq=asked.seq, result=resolution, is_local=is_local))

        ask = Ask(
            id=asked.activity_id,
            type=asked.activity_type,
            arguments=asked.arguments,
            workflow_id=self.start.workflow_id,
            workflow_type=self.start.workflow_type,
            run_id=self.run_id,
            schedule_to_start=asked.schedule_to_start_timeout.ToTimedelta() or None,
            start_to_close=asked.start_to_close_timeout.ToTimedelta() or None,
            heartbeat_timeout=asked.heartbeat_timeout.ToTimedelta() if isinstance(asked, ScheduleActivity) else None,
            is_local=is_local,
        )
        self.activities[asked.seq] = self._world.activities.schedule(ask, resolve)

    def _start_child(self, asked: StartChildWorkflowExecution) -> None:
        """Start a workflow that outlives this one. Nobody asks for its result, so none is passed on."""
        child = self._world.start(
            Start(
                workflow_id=asked.workflow_id,
                workflow_type=asked.workflow_type,
                arguments=asked.input,
                memo=asked.memo,
                priority=common.Priority.default,
            )
        )
        started = ResolveChildWorkflowExecutionStartSuccess(run_id=child.run_id)
        self._tell(
            resolve_child_workflow_execution_start=ResolveChildWorkflowExecutionStart(seq=asked.seq, succeeded=started)
        )

    def _answer(self, response: UpdateResponse) -> None:
        update = self.updates[response.protocol_instance_id]
        match response.WhichOneof("response"):
            case "rejected":
                del self.updates[response.protocol_instance_id]  # it left no trace: it may be sent again
                update.end(Outcome(failure=response.rejected))
            case "completed":
                update.end(Outcome(success=Payloads(payloads=[response.completed])))
            case _:
                update.accepted = True

    def _continue(self, asked: ContinueAsNewWorkflowExecution) -> None:
        self.next = self._world.start(
            Start(
                workflow_id=self.start.workflow_id,
                workflow_type=self.start.workflow_type,
                arguments=asked.arguments,
                memo=asked.memo or self.memo,
                priority=self.start.priority,
                headers=asked.headers,
                first_run_id=self._first_run_id,
                continued_from=self.run_id,
            )
        )
        self._close(
            WorkflowExecutionStatus.CONTINUED_AS_NEW,
            "workflow_execution_continued_as_new",
            new_execution_run_id=self.next.run_id,
        )

    def _close(self, status: WorkflowExecutionStatus, event: str, **attributes: Any) -> None:
        if not self.is_running:
            return
        self.status, self.closed = status, self._world.clock.now()
        self._record(event, **attributes)
        for timer in self._timers.values():
            timer.cancelled = True
        for activity in list(self.activities.values()):
            self._world.activities.give_up(activity)
        for update in self.updates.values():
            update.end(Outcome(failure=Failure(message=_CUT_OFF)) if update.accepted else None)
        self.ended.set()

    def _record(self, name: str, **attributes: Any) -> int:
        event = HistoryEvent(event_id=len(self.history) + 1, event_type=EventType.Value(f"EVENT_TYPE_{name.upper()}"))
        event.event_time.FromDatetime(self._world.clock.now())
        recorded: Message = getattr(event, f"{name}_event_attributes")
        recorded.MergeFrom(type(recorded)(**attributes))
        recorded.SetInParent()
        self.history.append(event)
        return event.event_id

    @property
    def execution(self) -> WorkflowExecution:
        """Return what it is called on the wire."""
        return WorkflowExecution(workflow_id=self.start.workflow_id, run_id=self.run_id)


def _not_found() -> Failure:
    return Failure(
        message="there is no such workflow that runs",
        application_failure_info=ApplicationFailureInfo(type="NotFound", non_retryable=True),
    )


def _nothing(_activity: str) -> None:
    pass
