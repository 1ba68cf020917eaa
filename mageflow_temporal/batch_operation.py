"""A verb for all that a query finds, sent by the server itself: Temporal's batch operations. Outside the workflow."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from temporalio.api.batch.v1 import BatchOperationSignal
from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import BatchOperationState
from temporalio.api.workflowservice.v1 import DescribeBatchOperationRequest, StartBatchOperationRequest
from temporalio.service import RPCError

from mageflow_temporal import listing
from mageflow_temporal.control import Control
from mageflow_temporal.protocol import LifecycleRequest
from mageflow_temporal.status import Verb

_STATES: Final[dict[BatchOperationState.ValueType, Literal["completed", "failed"]]] = {
    BatchOperationState.BATCH_OPERATION_STATE_COMPLETED: "completed",
    BatchOperationState.BATCH_OPERATION_STATE_FAILED: "failed",
}
_TIMEOUT: Final = timedelta(seconds=10)


class BatchProgress(BaseModel):
    """How far a batch operation has come."""

    model_config = ConfigDict(frozen=True)

    state: Literal["running", "completed", "failed"]
    total: int
    """How many signatures the query has found. 0 until the server has counted them."""
    sent: int
    """How many have been sent the signal."""
    failed: int
    """To how many it could not be sent: most have ended meanwhile."""


class BatchOperation:
    """A verb that the server sends to many signatures. It goes on without the process that began it.

    Attributes:
        id: its ID, by which the Web UI and `temporal batch describe` know it.
    """

    def __init__(self, control: Control, id: str) -> None:
        self.id = id
        self._control = control

    async def progress(self) -> BatchProgress:
        """Return how far it has come.

        Raises:
            ServerUnavailableError: the server does not answer.
        """
        client = self._control.client
        request = DescribeBatchOperationRequest(namespace=client.namespace, job_id=self.id)
        found = await self._control.line.call(
            client.workflow_service.describe_batch_operation(request, retry=True, timeout=_TIMEOUT)
        )
        return BatchProgress(
            state=_STATES.get(found.state, "running"),
            total=found.total_operation_count,
            sent=found.complete_operation_count,
            failed=found.failure_operation_count,
        )


async def begin(control: Control, verb: Verb, query: str, *, reason: str | None, rate: float | None) -> BatchOperation:
    """Let the server send a verb to all signatures that run and that a query finds.

    Raises:
        InvalidQueryError: the server refuses the query.
        ServerUnavailableError: the server does not answer.
    """
    client = control.client
    asked = listing.query_of(
        f"ExecutionStatus = 'Running' AND ({query})", status=None, name=None, kind=None, older_than=None
    )
    payloads = await client.data_converter.encode([LifecycleRequest(reason=reason).to_wire()])
    batch = BatchOperation(control, f"mageflow-{verb}-{uuid.uuid4().hex[:12]}")
    request = StartBatchOperationRequest(
        namespace=client.namespace,
        job_id=batch.id,
        reason=reason or f"mageflow {verb}",
        visibility_query=asked,
        max_operations_per_second=rate or 0,
        signal_operation=BatchOperationSignal(signal=verb, input=Payloads(payloads=payloads), identity=client.identity),
    )
    await listing.count(control, asked)  # a query that the server cannot read would end the batch, and not this call
    try:
        await client.workflow_service.start_batch_operation(request, retry=True, timeout=_TIMEOUT)
    except RPCError as error:
        raise control.line.translated(error, None) from error
    return batch
