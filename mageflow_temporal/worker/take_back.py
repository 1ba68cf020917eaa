"""The one question of a suspend, "was it running?", answered by the server under the workflow's own lock.

A describe alone is out of date when it arrives. `PauseActivity` is atomic: afterwards an activity is either paused in
its queue, and then no worker gets it, or running, and then the pause is taken off again at once.
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    PauseActivityRequest,
    UnpauseActivityRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from mageflow_temporal.protocol import TAKE_BACK, TakeBackAnswer, TakeBackRequest, Whereabouts

_AT_ONCE = 20
"""Requests under way at once: a swarm of thousands must not flood the server."""

_QUEUED = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
_PAUSED = PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED
_PAUSE_REQUESTED = PendingActivityState.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED


@activity.defn(name=TAKE_BACK)
async def take_back(request: dict[str, Any]) -> dict[str, Any]:
    """Return the whereabouts of activities of the calling workflow, and hold those that no worker has taken up."""
    asked = TakeBackRequest.model_validate(request).activity_ids
    info = activity.info()
    assert info.workflow_id
    server = _Server(
        activity.client(), WorkflowExecution(workflow_id=info.workflow_id, run_id=info.workflow_run_id or "")
    )
    before = await server.pending()
    queued = [name for name in asked if name in before and before[name].state == _QUEUED]
    after = before
    if queued:
        try:
            await server.each(server.pause, queued)
            after = await server.pending()
        except RPCError:
            # Nobody will know what is held: better that all of it may run.
            await server.each(server.unpause, queued)
            raise
    # It was picked up between the look and the pause, now or in an earlier try: it runs, and goes on running.
    await server.each(server.unpause, [name for name in asked if _state(after, name) == _PAUSE_REQUESTED])
    answer = TakeBackAnswer(activities={name: _whereabouts(after.get(name)) for name in asked})
    return answer.to_wire()


class _Server:
    """The Temporal server, seen from one workflow execution."""

    def __init__(self, client: Client, execution: WorkflowExecution) -> None:
        self._service = client.workflow_service
        self._namespace = client.namespace
        self._identity = client.identity
        self._execution = execution
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def pending(self) -> dict[str, PendingActivityInfo]:
        description = await self._service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(namespace=self._namespace, execution=self._execution)
        )
        return {pending.activity_id: pending for pending in description.pending_activities}

    async def pause(self, name: str) -> None:
        await self._service.pause_activity(
            PauseActivityRequest(
                namespace=self._namespace,
                execution=self._execution,
                identity=self._identity,
                id=name,
                reason="mageflow suspend",
            )
        )

    async def unpause(self, name: str) -> None:
        await self._service.unpause_activity(
            UnpauseActivityRequest(
                namespace=self._namespace, execution=self._execution, identity=self._identity, id=name
            )
        )

    async def each(self, request: Any, names: list[str]) -> None:
        async def one(name: str) -> None:
            async with self._slots:
                try:
                    await request(name)
                except RPCError as error:
                    # NOT_FOUND: it ended meanwhile, as the next look shows. UNIMPLEMENTED: a server before 1.28, where
                    # the look is all there is, and a worker may still pick the task up until it is cancelled.
                    if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.UNIMPLEMENTED):
                        raise

        await asyncio.gather(*map(one, names))


def _state(pending: dict[str, PendingActivityInfo], name: str) -> int | None:
    return pending[name].state if name in pending else None


def _whereabouts(pending: PendingActivityInfo | None) -> Whereabouts:
    if pending is None:
        return Whereabouts(state="unknown")
    if pending.state in (_QUEUED, _PAUSED):
        return Whereabouts(state="held")
    started = pending.last_started_time
    return Whereabouts(
        state="running",
        started_at=started.ToDatetime(tzinfo=UTC) if pending.HasField("last_started_time") else None,
        worker=pending.last_worker_identity or None,
    )
