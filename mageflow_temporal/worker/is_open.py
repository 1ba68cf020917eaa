"""Whether a workflow is still running, for the pages that keep its results."""

from __future__ import annotations

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from mageflow_temporal.protocol import IS_OPEN


@activity.defn(name=IS_OPEN)
async def is_open(workflow_id: str) -> bool:
    """Return whether the workflow runs: one that the server does not know has been deleted."""
    try:
        description = await activity.client().get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return description.status is WorkflowExecutionStatus.RUNNING
