"""The requests of Temporal's client, answered by the world. What it cannot answer is an error that says so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from temporalio import common
from temporalio.api.common.v1 import ActivityType, GrpcStatus, Memo, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import (
    HistoryEventFilterType,
    PendingActivityState,
    UpdateWorkflowExecutionLifecycleStage,
)
from temporalio.api.errordetails.v1 import WorkflowExecutionAlreadyStartedFailure
from temporalio.api.history.v1 import History
from temporalio.api.operatorservice.v1 import ListSearchAttributesResponse
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DeleteWorkflowExecutionResponse,
    DescribeNamespaceResponse,
    DescribeTaskQueueResponse,
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    ListWorkflowExecutionsRequest,
    ListWorkflowExecutionsResponse,
    PauseActivityRequest,
    PauseActivityResponse,
    QueryWorkflowRequest,
    QueryWorkflowResponse,
    RequestCancelWorkflowExecutionRequest,
    RequestCancelWorkflowExecutionResponse,
    SignalWorkflowExecutionRequest,
    SignalWorkflowExecutionResponse,
    StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse,
    TerminateWorkflowExecutionRequest,
    TerminateWorkflowExecutionResponse,
    UnpauseActivityRequest,
    UnpauseActivityResponse,
    UpdateWorkflowExecutionRequest,
    UpdateWorkflowExecutionResponse,
)
from temporalio.service import ConnectConfig, RPCError, RPCStatusCode, ServiceClient

from mageflow_temporal.errors import NotInLocalExecutionError
from mageflow_temporal.local.activities import Activity
from mageflow_temporal.local.execution import Execution, Start

if TYPE_CHECKING:
    from mageflow_temporal.local.world import World

_T = TypeVar("_T", bound=Message)

_CLOSE_EVENT: Final = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
_COMPLETED: Final = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
_OF_ALL: Final = re.compile(r"\s*(TaskQueue = '[^']*')?\s*")
"""The visibility queries that have an answer: there is one queue, and all is on it."""


class LocalService(ServiceClient):
    """What a Temporal client takes for its connection."""

    def __init__(self, world: World) -> None:
        super().__init__(ConnectConfig(target_host="local execution"))
        self._world = world
        self._answers: Mapping[str, Callable[[Any], Awaitable[Message]]] = {
            "start_workflow_execution": self._start,
            "describe_workflow_execution": self._describe,
            "get_workflow_execution_history": self._history,
            "list_workflow_executions": self._list,
            "signal_workflow_execution": self._signal,
            "query_workflow": self._query,
            "update_workflow_execution": self._update,
            "request_cancel_workflow_execution": self._cancel,
            "terminate_workflow_execution": self._terminate,
            "delete_workflow_execution": self._delete,
            "pause_activity": self._pause,
            "unpause_activity": self._unpause,
            "describe_namespace": self._namespace,
            "list_search_attributes": self._search_attributes,
            "describe_task_queue": self._task_queue,
        }

    @property
    def worker_service_client(self) -> NoReturn:
        """There is none: no worker of Temporal's can be connected."""
        raise NotInLocalExecutionError(what="worker of Temporal's")

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        """Do nothing: nobody reads them."""

    def update_api_key(self, api_key: str | None) -> None:
        """Do nothing: nobody asks for it."""

    async def _rpc_call(
        self,
        rpc: str,
        req: Message,
        resp_type: type[_T],
        *,
        service: str,
        retry: bool,  # noqa: ARG002 - nothing is lost on the way
        metadata: Mapping[str, str | bytes],  # noqa: ARG002 - nobody reads them
        timeout: timedelta | None,
    ) -> _T:
        answer = self._answers.get(rpc)
        if answer is None:
            raise NotInLocalExecutionError(what=f"answer to Temporal's request {rpc} ({service})")
        try:
            async with asyncio.timeout(timeout.total_seconds() if timeout else None):
                found = await answer(req)
        except TimeoutError:
            raise _error(RPCStatusCode.DEADLINE_EXCEEDED, "there was no answer in time") from None
        if self._world.error:
            raise self._world.error
        assert isinstance(found, resp_type)
        return found

    # Workflows.

    async def _start(self, request: StartWorkflowExecutionRequest) -> StartWorkflowExecutionResponse:
        if found := self._world.find(request.workflow_id):
            # Ours are single-use, so it does not matter whether it still runs.
            detail = AnyMessage()
            detail.Pack(WorkflowExecutionAlreadyStartedFailure(run_id=found.run_id))
            raise _error(RPCStatusCode.ALREADY_EXISTS, "the workflow was started before", detail)
        given = request.priority
        priority = common.Priority(
            given.priority_key or None, given.fairness_key or None, given.fairness_weight or None
        )
        started = self._world.start(
            Start(
                workflow_id=request.workflow_id,
                workflow_type=request.workflow_type.name,
                arguments=request.input.payloads,
                memo=request.memo.fields,
                priority=priority,
                headers=request.header.fields,
            )
        )
        return StartWorkflowExecutionResponse(run_id=started.run_id, started=True)

    async def _describe(self, request: DescribeWorkflowExecutionRequest) -> DescribeWorkflowExecutionResponse:
        found = self._find(request.execution)
        pending = [_pending(activity, self.config.identity) for activity in found.activities.values()]
        return DescribeWorkflowExecutionResponse(workflow_execution_info=_info(found), pending_activities=pending)

    async def _history(self, request: GetWorkflowExecutionHistoryRequest) -> GetWorkflowExecutionHistoryResponse:
        found = self._find(request.execution)
        if request.wait_new_event:
            with self._world.awaited():
                await found.ended.wait()
        only_close = request.history_event_filter_type == _CLOSE_EVENT
        events = found.history[-1:] if only_close else found.history
        return GetWorkflowExecutionHistoryResponse(history=History(events=events))

    async def _list(self, request: ListWorkflowExecutionsRequest) -> ListWorkflowExecutionsResponse:
        if not _OF_ALL.fullmatch(request.query):
            raise NotInLocalExecutionError(what=f"answer to the visibility query {request.query!r}")
        return ListWorkflowExecutionsResponse(executions=map(_info, self._world.executions()))

    async def _signal(self, request: SignalWorkflowExecutionRequest) -> SignalWorkflowExecutionResponse:
        found = self._running(request.workflow_execution)
        found.signal(request.signal_name, request.input.payloads, request.header.fields)
        return SignalWorkflowExecutionResponse()

    async def _query(self, request: QueryWorkflowRequest) -> QueryWorkflowResponse:
        query, found = request.query, self._find(request.execution)
        answer = await found.query(query.query_type, query.query_args.payloads, query.header.fields)
        if answer.HasField("failed"):
            raise _error(RPCStatusCode.INVALID_ARGUMENT, answer.failed.message)
        return QueryWorkflowResponse(query_result=Payloads(payloads=[answer.succeeded.response]))

    async def _update(self, request: UpdateWorkflowExecutionRequest) -> UpdateWorkflowExecutionResponse:
        found, asked = self._find(request.workflow_execution), request.request.input
        update_id = request.request.meta.update_id
        while True:
            if not found.is_running and update_id not in found.updates:
                raise _has_ended(found)
            update = found.update(update_id, asked.name, asked.args.payloads, asked.header.fields)
            outcome = await asyncio.shield(update.outcome)
            if outcome:
                reference = UpdateRef(workflow_execution=found.execution, update_id=update_id)
                return UpdateWorkflowExecutionResponse(update_ref=reference, outcome=outcome, stage=_COMPLETED)
            if found.next is None:
                raise _has_ended(found)
            found = found.next

    async def _cancel(self, request: RequestCancelWorkflowExecutionRequest) -> RequestCancelWorkflowExecutionResponse:
        self._running(request.workflow_execution).cancel(request.reason)
        return RequestCancelWorkflowExecutionResponse()

    async def _terminate(self, request: TerminateWorkflowExecutionRequest) -> TerminateWorkflowExecutionResponse:
        self._running(request.workflow_execution).terminate(request.reason)
        return TerminateWorkflowExecutionResponse()

    async def _delete(self, request: DeleteWorkflowExecutionRequest) -> DeleteWorkflowExecutionResponse:
        self._world.delete(self._find(request.workflow_execution))
        return DeleteWorkflowExecutionResponse()

    # Activities.

    async def _pause(self, request: PauseActivityRequest) -> PauseActivityResponse:
        self._world.activities.pause(self._activity(request.execution, request.id))
        return PauseActivityResponse()

    async def _unpause(self, request: UnpauseActivityRequest) -> UnpauseActivityResponse:
        self._world.activities.unpause(self._activity(request.execution, request.id))
        return UnpauseActivityResponse()

    # What there is.

    async def _namespace(self, _request: Message) -> DescribeNamespaceResponse:
        return DescribeNamespaceResponse()

    async def _search_attributes(self, _request: Message) -> ListSearchAttributesResponse:
        return ListSearchAttributesResponse()

    async def _task_queue(self, _request: Message) -> DescribeTaskQueueResponse:
        return DescribeTaskQueueResponse(pollers=[PollerInfo(identity=self.config.identity)])

    def _find(self, execution: WorkflowExecution) -> Execution:
        found = self._world.find(execution.workflow_id, execution.run_id)
        if found is None:
            raise _error(RPCStatusCode.NOT_FOUND, f"there is no workflow {execution.workflow_id!r}")
        return found

    def _running(self, execution: WorkflowExecution) -> Execution:
        found = self._find(execution)
        if not found.is_running:
            raise _has_ended(found)
        return found

    def _activity(self, execution: WorkflowExecution, activity_id: str) -> Activity:
        for activity in self._find(execution).activities.values():
            if activity.ask.id == activity_id:
                return activity
        raise _error(RPCStatusCode.NOT_FOUND, f"there is no activity {activity_id!r}")


def _error(status: RPCStatusCode, text: str, *details: AnyMessage) -> RPCError:
    return RPCError(text, status, GrpcStatus(code=status, message=text, details=details).SerializeToString())


def _has_ended(execution: Execution) -> RPCError:
    return _error(RPCStatusCode.NOT_FOUND, f"workflow {execution.start.workflow_id!r} has ended")


def _info(of: Execution) -> WorkflowExecutionInfo:
    info = WorkflowExecutionInfo(
        execution=of.execution,
        type=WorkflowType(name=of.start.workflow_type),
        status=of.status.value,  # pyright: ignore[reportArgumentType] - the same numbers
        memo=Memo(fields=of.memo),
        history_length=len(of.history),
        task_queue="local",
    )
    info.start_time.FromDatetime(of.began)
    info.execution_time.FromDatetime(of.began)
    if of.closed:
        info.close_time.FromDatetime(of.closed)
    return info


def _pending(activity: Activity, worker: str) -> PendingActivityInfo:
    state = (
        PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
        if activity.cancel_requested
        else PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        if activity.started
        else PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED
        if activity.paused
        else PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    )
    info = PendingActivityInfo(
        activity_id=activity.ask.id,
        activity_type=ActivityType(name=activity.ask.type),
        state=state,
        paused=activity.paused,
        attempt=1,
    )
    if activity.started:
        info.last_started_time.FromDatetime(activity.started)
        info.last_worker_identity = worker
    return info
