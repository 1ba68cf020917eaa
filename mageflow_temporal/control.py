"""The far hand: start, ask and steer signatures through a Temporal client. Outside the workflow.

Every call names a signature by its key, so it does not matter which process started it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final
from weakref import WeakValueDictionary

from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import ScheduleActionStartWorkflow, WorkflowExecution, WorkflowFailureError, WorkflowHandle
from temporalio.common import (
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from mageflow_temporal import errors, pages, protocol
from mageflow_temporal.batch import Batch
from mageflow_temporal.capabilities import Capabilities
from mageflow_temporal.config import NO_PRIORITY, Priority
from mageflow_temporal.execution import Terms, outcome, rebuilt
from mageflow_temporal.key import Key
from mageflow_temporal.line import PATIENCE, Line, decoding_error, ended_as, seen_as
from mageflow_temporal.plan import Plan
from mageflow_temporal.protocol import (
    Added,
    AddedRequest,
    AddRequest,
    AddsAnswer,
    AddsRequest,
    LifecycleRequest,
    Memo,
    OutcomesPage,
    OutcomesRequest,
    Refusal,
    Rerun,
    StartRequest,
    Tie,
    TieAnswer,
    Tied,
    TieRequest,
)
from mageflow_temporal.sight import corrected
from mageflow_temporal.status import ItemOutcome, Status, StatusReport

_BUSY: Final = 1.0
"""Seconds until a result is asked for again for which too many wait."""


class Control:
    """Steers signatures over one connection.

    Args:
        line: the connection, and the queue on which signatures' workflows are started.
        able: what the server can do.
        payload_limit: how large a payload may be: see `payload_limit`.
        events_per_run: see `MageflowConfig`.
    """

    def __init__(
        self,
        line: Line,
        able: Capabilities,
        *,
        payload_limit: int = protocol.PAYLOAD_LIMIT,
        events_per_run: int | None = None,
    ) -> None:
        self.line = line
        self.client = line.client
        self.able = able
        self.terms = Terms(line.task_queue, able.search_attributes, payload_limit, events_per_run)
        self._adds = WeakValueDictionary[str, Batch[AddRequest, Added]]()
        self._ties = WeakValueDictionary[str, Batch[Tie, Tied]]()

    async def start(
        self,
        key: str,
        compiled: Plan,
        memo: Memo,
        *,
        message: Any = None,
        delay: timedelta | None = None,
        priority: Priority = NO_PRIORITY,
        started: bool = True,
        hold: Status | None = None,
        reason: str | None = None,
    ) -> bool:
        """Start a workflow; return False, and change nothing, if the key has one already.

        Raises:
            PayloadTooLargeError: the plan or the message is larger than the server takes.
            ServerUnavailableError: the server does not answer.
            pydantic.ValidationError: the delay is out of its range.
        """
        order = self.terms.order(compiled, started=started, message=message, delay=delay, hold=hold, reason=reason)
        root = compiled.root
        try:
            await self.line.call(
                self.client.start_workflow(
                    protocol.WORKFLOW_TYPES[root.kind],
                    id=key,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    search_attributes=self.terms.attributes(order, root),
                    **self.terms.facts(order, root, memo, priority),
                )
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    def action(
        self, id: str, compiled: Plan, memo: Memo, message: Any, priority: Priority
    ) -> ScheduleActionStartWorkflow:
        """Return what a schedule does: the start that `start` would make, with a key that the server makes of `id`."""
        order = self.terms.order(compiled, message=message)
        return ScheduleActionStartWorkflow(
            protocol.WORKFLOW_TYPES[compiled.root.kind],
            id=id,
            typed_search_attributes=self.terms.attributes(order, compiled.root),
            **self.terms.facts(order, compiled.root, memo, priority),
        )

    async def deliver(self, key: str, message: Any, delay: timedelta | None, priority: Priority) -> bool:
        """Start a workflow that a verb has opened; return False, and change nothing, if it has been started.

        Raises:
            MissingSignatureError: there is no such signature.
        """
        try:
            request = StartRequest(message=message, delay=delay, priority=priority)
            return await self.line.update(Key(key), protocol.START, request.to_wire())
        except errors.SignatureEndedError:
            return False

    async def add(self, key: str, request: AddRequest) -> range:
        """Add items to a swarm and return their indexes. A request ID that it knows adds nothing again.

        What is added to one swarm at the same time shares an update: the server takes ten at a time.

        Raises:
            MissingSignatureError: there is no such signature.
            SwarmIsClosedError: it is closed, or has ended.
            TooManyTasksError: it would have more items than it takes; none was added.
            WorkerUnavailableError: it has ended, and no worker is there to say what the request ID has added before.
        """
        # A call that is repeated here by itself, after a lost answer, may come to a new run of the workflow, which
        # knows nothing of the server's own ID for it.
        named = request if request.id else request.model_copy(update={"id": uuid.uuid4().hex[:12]})

        async def send(adds: Sequence[AddRequest]) -> Sequence[Added]:
            payload = AddsRequest(adds=tuple(adds)).to_wire()
            return AddsAnswer.model_validate(await self.line.update(Key(key), protocol.ADD, payload)).added

        batch = self._adds.setdefault(key, Batch(send, _size))
        try:
            added = await batch.ask(named)
        except errors.SignatureEndedError as error:
            if request.id and (known := await self._added(key, request.id)):
                return known
            refused = errors.SwarmIsCanceledError if error.status == Status.CANCELED else errors.SwarmIsClosedError
            raise refused(key=key, how=error.status) from error
        if refusal := added.refused:
            raise rebuilt(refusal.type, refusal.message, [Refusal(attributes=refusal.attributes).to_wire()])
        return range(added.first, added.first + added.count)

    async def _added(self, key: str, request_id: str) -> range:
        added = Added.model_validate(await self.line.query(Key(key), protocol.ADDED, AddedRequest(id=request_id)))
        return range(added.first, added.first + added.count)

    async def tie(self, key: str, to: Key, ended: tuple[str, ...]) -> Tied:
        """Let the signature of a key, about to be started, share the lifecycle of the task `to`.

        Args:
            key: of the signature.
            to: the task.
            ended: what has been tied to the task and has ended.

        Raises:
            MissingSignatureError: there is no such task.
            SignatureEndedError: the task has ended.
        """

        async def send(ties: Sequence[Tie]) -> Sequence[Tied]:
            request = TieRequest(ties=tuple(ties))
            return TieAnswer.model_validate(await self.line.update(to, protocol.TIE, request.to_wire())).tied

        batch = self._ties.setdefault(to.workflow_id, Batch(send, _size))
        tied = await batch.ask(Tie(key=key, target=to.path, ended=ended))
        if tied.ended:
            raise errors.SignatureEndedError(key=str(to), status=tied.ended)
        return tied

    async def close(self, key: str, request_id: str | None) -> None:
        """Take no more items into a swarm. A request ID that it knows is answered again.

        Raises:
            MissingSignatureError: there is no such signature.
            SignatureEndedError: it has ended.
        """
        await self.line.update(Key(key), protocol.CLOSE, {}, request_id)

    async def tell(self, key: Key, name: str, request: LifecycleRequest) -> Any:
        """Send one of `protocol.REQUESTS` and return the answer, as plain JSON types.

        Raises:
            MissingSignatureError: there is no such signature.
            UnknownMemberError: it has no such member.
            SignatureEndedError: it has ended.
            TaskAlreadyRunningError: code runs that a suspend or skip would have to stop.
            InvalidRequestError: the target cannot do that.
        """
        return await self.line.update(key, name, request.to_wire())

    async def outcomes(self, key: Key) -> list[tuple[ItemOutcome, str | None]]:
        """Return the outcome of each item of a swarm, and what its result is (`plan.returns`).

        Raises:
            MissingSignatureError: there is no such signature.
            UnknownMemberError: it has no such member, or that is no swarm.
            WorkerUnavailableError: no worker is there to answer.
        """
        found: list[tuple[ItemOutcome, str | None]] = []
        while True:
            question = OutcomesRequest(target=key.path, first=len(found))
            page = OutcomesPage.model_validate(await self.line.query(key, protocol.OUTCOMES, question))
            found += zip(page.outcomes, page.returns, strict=True)
            if len(found) >= page.total:
                break
        for index, kept in (await self.line.call(pages.read(self.client, page.pages), key)).items():
            known = {"name": kept.leaf.name, "attempts": kept.leaf.attempts}
            result = await self.line.call(pages.unfold(self.client, kept.result), key)
            found[index] = (found[index][0].model_copy(update={**known, "result": result}), kept.leaf.returns)
        return found

    async def rerun(self, key: Key) -> Rerun:
        """Return what runs the failed items of a swarm that has ended.

        Raises:
            MissingSignatureError: there is no such signature.
            WorkerUnavailableError: no worker is there to answer.
        """
        return Rerun.model_validate(await self.line.query(key, protocol.RERUN, LifecycleRequest()))

    async def status(self, key: Key) -> StatusReport:
        """Return the status tree of a signature or member.

        Raises:
            MissingSignatureError: there is no such signature.
            UnknownMemberError: it has no such member.
            WorkerUnavailableError: no worker is there to answer.
        """
        answer, description = await asyncio.gather(
            self.line.query(key, protocol.STATUS, LifecycleRequest(target=key.path)),
            self.line.describe(key.workflow_id),
        )
        return corrected(StatusReport.model_validate(answer), description)

    async def result(self, key: str, timeout: timedelta | None) -> Any:
        """Wait for the end of a signature and return its result, as plain JSON types.

        Raises:
            TaskFailedError: a task failed, and the signature with it.
            SwarmFailedError: too many items failed.
            SignatureCanceledError: it was cancelled, terminated or timed out on the server.
            ResultTimeoutError: `timeout` passed.
            MissingSignatureError: there is no such signature.
        """
        handle = self.line.handle(Key(key))
        try:
            async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                result = await self._awaited(handle, key)
                return await self.line.call(pages.unfold(self.client, result), Key(key))
        except WorkflowFailureError as error:
            raise outcome(key, error.cause) from error
        except TimeoutError:
            if timeout is None:
                raise
            raise errors.ResultTimeoutError(key=key, timeout=timeout, status=await self._last_seen(key)) from None

    async def _awaited(self, handle: WorkflowHandle[Any, Any], key: str) -> Any:
        while True:
            try:
                return await self.line.call(self.line.patiently(handle.result(), key), Key(key))
            except errors.ServerBusyError:
                # So many may wait at once, in all processes together (1,200 by default). Who waits can wait for that.
                await asyncio.sleep(_BUSY)

    async def _last_seen(self, key: str) -> str:
        """Return the status of a workflow for a caller who is not going to wait any longer."""
        try:
            async with asyncio.timeout(PATIENCE):
                return seen_as(await self.line.describe(key)) or Status.ACTIVE
        except (TimeoutError, errors.ServerUnavailableError):
            return "out of sight"

    async def remove(self, key: str) -> None:
        """Cancel a signature if it runs, wait for its end, and have the server delete it (some time later).

        Raises:
            MissingSignatureError: there is no such signature.
        """
        if Key.parse(key).path:
            raise errors.InvalidKeyError(key=key, problem="is a member's: only a whole signature can be removed")
        handle = self.line.handle(Key(key))
        description = await self.line.describe(key)
        if not ended_as(description):
            await self.line.call(handle.cancel(), Key(key))
            with suppress(errors.OutcomeError):  # that it ends is all that is wanted of it
                await self.result(key, None)
        await self.line.call(
            self.client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=self.client.namespace,
                    workflow_execution=description.raw_description.workflow_execution_info.execution,
                ),
                retry=True,
            ),
            Key(key),
        )

    async def memo(self, description: WorkflowExecution) -> Memo:
        """Return what a signature was started with for those who load it. One that was started by hand has nothing."""
        try:
            given = await description.memo_value(protocol.MEMO, None)
        except KeyError as error:
            raise decoding_error(error, description.id) from error
        return Memo(name=description.id) if given is None else Memo.model_validate(given)


def _size(request: AddRequest | Tie) -> int:
    return len(request.model_dump_json(exclude_none=True))
