"""The far hand: start, ask and steer signatures through a Temporal client. Outside the workflow.

Every call names a signature by its key, so it does not matter which process started it.
"""

from __future__ import annotations

import asyncio
import uuid
import warnings
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypedDict, TypeVar
from weakref import WeakValueDictionary

from temporalio import common
from temporalio.api.enums.v1 import PendingActivityState, TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
)
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from mageflow_temporal import errors, pages, plan, protocol
from mageflow_temporal.batch import Batch
from mageflow_temporal.config import NO_PRIORITY, Priority
from mageflow_temporal.plan import Plan, PlanNode
from mageflow_temporal.protocol import (
    AddRequest,
    LifecycleRequest,
    Memo,
    Order,
    OutcomesPage,
    OutcomesRequest,
    Rerun,
    StartRequest,
    Tie,
    TieAnswer,
    Tied,
    TieRequest,
)
from mageflow_temporal.status import ItemOutcome, Status, StatusReport, count

_T = TypeVar("_T")

_PATIENCE: Final = 2.0
"""Seconds that a caller waits before we look whether any worker listens."""
_QUERY_TIMEOUT: Final = timedelta(seconds=10)
_LONGER: Final = 1.5
"""How much longer than so far it takes until a second look confirms the first. A server that has just started knows of
no worker: those there are try to reach it at intervals that double with each try."""
_NO_ANSWER: Final = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
"""What the SDK says of a server that did not answer, or not in time."""
_TRIES: Final = 5
"""How often an update is sent that the server loses, as it may when it restarts or a new run takes over."""
_PAUSE: Final = 0.5
"""Seconds before the next of them."""

_SAMPLE: Final = "x" * 65_536
_COMPRESSED: Final = 0.5
"""A codec that makes this little of the sample compresses."""

_ENDED_AS: Final = {
    WorkflowExecutionStatus.COMPLETED: Status.DONE,
    WorkflowExecutionStatus.FAILED: Status.FAILED,
    WorkflowExecutionStatus.TIMED_OUT: Status.FAILED,
    WorkflowExecutionStatus.CANCELED: Status.CANCELED,
    WorkflowExecutionStatus.TERMINATED: Status.CANCELED,
}

_CUT_OFF: Final = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.TIMED_OUT)
"""Ends of which the workflow's own code learns nothing: its last word is that it goes on."""


@dataclass(frozen=True)
class Capabilities:
    """What a server and namespace can do; nothing fails because one is missing."""

    search_attributes: bool
    """It has `MageflowStatus`, `MageflowName` and `MageflowKind`."""
    cancel_push: bool
    """It tells workers of a cancellation at once; otherwise they learn of it with a heartbeat."""


def is_silence(error: RPCError) -> bool:
    """Return whether an error means that the server did not answer: it may be down, or about to go."""
    # A connection that breaks while it is made has no status of its own.
    broke = error.status is RPCStatusCode.UNKNOWN and "transport error" in str(error)
    return broke or error.status in _NO_ANSWER


async def capabilities(client: Client) -> Capabilities:
    """Ask the server what it can do."""
    namespace = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace), retry=True
    )
    try:
        attributes = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), retry=True
        )
        known = set(attributes.custom_attributes)
    except RPCError as error:
        # A cloud account may not be allowed to ask, and the time-skipping test server cannot answer.
        if error.status not in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise
        known = set[str]()
    able = namespace.namespace_info.capabilities
    return Capabilities(
        search_attributes=known.issuperset(protocol.SEARCH_ATTRIBUTES),
        cancel_push=able.worker_heartbeats and able.worker_commands,
    )


async def payload_limit(converter: DataConverter) -> int:
    """Return how many bytes of JSON surely leave in one payload; 0 where only the sending can tell.

    A codec that encrypts is tried, for what it adds. What one that compresses makes of a payload, nobody knows before.
    """
    if converter.external_storage:
        return 0
    if converter.payload_codec is None:
        return protocol.PAYLOAD_LIMIT
    [coded] = await converter.encode([_SAMPLE])
    growth = coded.ByteSize() / len(_SAMPLE)
    return 0 if growth < _COMPRESSED else int(protocol.PAYLOAD_LIMIT / max(growth, 1))


@dataclass(frozen=True)
class Key:
    """A key, taken apart: the workflow's ID, and the path of a member in it."""

    workflow_id: str
    path: str = ""

    @classmethod
    def parse(cls, key: str) -> Key:
        """Take a key apart; IDs have no "#", so the first one ends the workflow's.

        Raises:
            InvalidKeyError: it is none.
        """
        workflow_id, mark, path = key.partition("#")
        if not workflow_id or (mark and not plan.parse_path(path)):
            problem = "is no key: a key is that of a signature, as in 'etl-4f2c', or of a member, as in 'etl-4f2c#2.1'"
            raise errors.InvalidKeyError(key=key, problem=problem)
        return cls(workflow_id, plan.format_path(plan.parse_path(path) or ()))

    def __str__(self) -> str:
        return f"{self.workflow_id}#{self.path}" if self.path else self.workflow_id


class _Facts(TypedDict):
    """What a workflow is started with, whoever starts it."""

    args: list[Any]
    task_queue: str
    memo: dict[str, Any]
    priority: common.Priority
    static_summary: str


class Control:
    """Steers signatures over one connection.

    Args:
        client: the connection.
        task_queue: where signatures' workflows are started.
        able: what the server can do.
        payload_limit: how large a payload may be: see `payload_limit`.
        events_per_run: see `MageflowConfig`.
    """

    def __init__(
        self,
        client: Client,
        task_queue: str,
        able: Capabilities,
        *,
        payload_limit: int = protocol.PAYLOAD_LIMIT,
        events_per_run: int | None = None,
    ) -> None:
        self.client = client
        self.able = able
        self._task_queue = task_queue
        self._ties = WeakValueDictionary[str, Batch[Tie, Tied]]()
        self._payload_limit = payload_limit
        self._events_per_run = events_per_run

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
        order = self._order(compiled, started=started, message=message, delay=delay, hold=hold, reason=reason)
        root = compiled.root
        try:
            await self._call(
                self.client.start_workflow(
                    protocol.WORKFLOW_TYPES[root.kind],
                    id=key,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    search_attributes=self._attributes(order, root),
                    **self._facts(order, root, memo, priority),
                )
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    def action(
        self, id: str, compiled: Plan, memo: Memo, message: Any, priority: Priority
    ) -> ScheduleActionStartWorkflow:
        """Return what a schedule does: the start that `start` would make, with a key that the server makes of `id`."""
        order = self._order(compiled, message=message)
        return ScheduleActionStartWorkflow(
            protocol.WORKFLOW_TYPES[compiled.root.kind],
            id=id,
            typed_search_attributes=self._attributes(order, compiled.root),
            **self._facts(order, compiled.root, memo, priority),
        )

    def _order(self, compiled: Plan, **start: Any) -> Order:
        return Order(
            plan=compiled,
            payload_limit=self._payload_limit,
            search_attributes=self.able.search_attributes,
            events_per_run=self._events_per_run,
            **start,
        )

    def _facts(self, order: Order, root: PlanNode, memo: Memo, priority: Priority) -> _Facts:
        return {
            "args": [order.to_wire()],
            "task_queue": self._task_queue,
            "memo": {protocol.MEMO: memo.to_wire()},
            "priority": common.Priority(priority.priority, priority.fairness_key, priority.fairness_weight),
            "static_summary": plan.fit(f"{root.kind} {root.name}: {plan.describe(root)}", protocol.SUMMARY_LIMIT),
        }

    def _attributes(self, order: Order, root: PlanNode) -> TypedSearchAttributes:
        if not self.able.search_attributes:
            return TypedSearchAttributes.empty
        facts = {
            protocol.STATUS_ATTRIBUTE: str(order.status),
            protocol.NAME_ATTRIBUTE: root.name,
            protocol.KIND_ATTRIBUTE: root.kind,
        }
        return TypedSearchAttributes(
            [SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in facts.items()]
        )

    async def deliver(self, key: str, message: Any, delay: timedelta | None, priority: Priority) -> bool:
        """Start a workflow that a verb has opened; return False, and change nothing, if it has been started.

        Raises:
            MissingSignatureError: there is no such signature.
        """
        try:
            request = StartRequest(message=message, delay=delay, priority=priority)
            return await self._update(Key(key), protocol.START, request.to_wire())
        except errors.SignatureEndedError:
            return False

    async def add(self, key: str, request: AddRequest) -> list[int]:
        """Add items to a swarm and return their indexes. A request ID that it knows adds nothing again.

        Raises:
            MissingSignatureError: there is no such signature.
            SwarmIsClosedError: it is closed, or has ended.
            TooManyTasksError: it would have more items than it takes; none was added.
        """
        try:
            return await self._update(Key(key), protocol.ADD, request.to_wire(), request.id)
        except errors.SignatureEndedError as error:
            refused = errors.SwarmIsCanceledError if error.status == Status.CANCELED else errors.SwarmIsClosedError
            raise refused(key=key, how=error.status) from error

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
            return TieAnswer.model_validate(await self._update(to, protocol.TIE, request.to_wire())).tied

        batch = self._ties.setdefault(to.workflow_id, Batch(send))
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
        await self._update(Key(key), protocol.CLOSE, {}, request_id)

    async def tell(self, key: Key, name: str, request: LifecycleRequest) -> Any:
        """Send one of `protocol.REQUESTS` and return the answer, as plain JSON types.

        Raises:
            MissingSignatureError: there is no such signature.
            UnknownMemberError: it has no such member.
            SignatureEndedError: it has ended.
            TaskAlreadyRunningError: code runs that a suspend or skip would have to stop.
            InvalidRequestError: the target cannot do that.
        """
        return await self._update(key, name, request.to_wire())

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
            page = OutcomesPage.model_validate(await self._query(key, protocol.OUTCOMES, question))
            found += zip(page.outcomes, page.returns, strict=True)
            if len(found) >= page.total:
                break
        for index, kept in (await self._call(pages.read(self.client, page.pages), key)).items():
            known = {"name": kept.leaf.name, "attempts": kept.leaf.attempts}
            result = await self._call(pages.unfold(self.client, kept.result), key)
            found[index] = (found[index][0].model_copy(update={**known, "result": result}), kept.leaf.returns)
        return found

    async def rerun(self, key: Key) -> Rerun:
        """Return what runs the failed items of a swarm that has ended.

        Raises:
            MissingSignatureError: there is no such signature.
            WorkerUnavailableError: no worker is there to answer.
        """
        return Rerun.model_validate(await self._query(key, protocol.RERUN, LifecycleRequest()))

    async def status(self, key: Key) -> StatusReport:
        """Return the status tree of a signature or member.

        Raises:
            MissingSignatureError: there is no such signature.
            UnknownMemberError: it has no such member.
            WorkerUnavailableError: no worker is there to answer.
        """
        answer, description = await asyncio.gather(
            self._query(key, protocol.STATUS, LifecycleRequest(target=key.path)), self.describe(key.workflow_id)
        )
        found = StatusReport.model_validate(answer)
        if description.status in _CUT_OFF and (ended := ended_as(description)):
            return _cut_off(found, ended)
        pending = {item.activity_id.partition("~")[0]: item for item in description.raw_description.pending_activities}
        return _as_the_server_sees(found, pending) if pending else found

    async def result(self, key: str, timeout: timedelta | None) -> Any:
        """Wait for the end of a signature and return its result, as plain JSON types.

        Raises:
            TaskFailedError: a task failed, and the signature with it.
            SwarmFailedError: too many items failed.
            SignatureCanceledError: it was cancelled, terminated or timed out on the server.
            ResultTimeoutError: `timeout` passed.
            MissingSignatureError: there is no such signature.
        """
        handle = self._handle(Key(key))
        try:
            async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                result = await self._call(self._patiently(handle.result(), key), Key(key))
                return await self._call(pages.unfold(self.client, result), Key(key))
        except WorkflowFailureError as error:
            raise _outcome(key, error.cause) from error
        except TimeoutError:
            if timeout is None:
                raise
            raise errors.ResultTimeoutError(key=key, timeout=timeout, status=await self._last_seen(key)) from None

    async def _last_seen(self, key: str) -> str:
        """Return the status of a workflow for a caller who is not going to wait any longer."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return ended_as(await self.describe(key)) or Status.ACTIVE
        except (TimeoutError, errors.ServerUnavailableError):
            return "out of sight"

    async def remove(self, key: str) -> None:
        """Cancel a signature if it runs, wait for its end, and have the server delete it (some time later).

        Raises:
            MissingSignatureError: there is no such signature.
        """
        if Key.parse(key).path:
            raise errors.InvalidKeyError(key=key, problem="is a member's: only a whole signature can be removed")
        handle = self._handle(Key(key))
        description = await self.describe(key)
        if not ended_as(description):
            await self._call(handle.cancel(), Key(key))
            with suppress(errors.OutcomeError):  # that it ends is all that is wanted of it
                await self.result(key, None)
        await self._call(
            self.client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=self.client.namespace,
                    workflow_execution=description.raw_description.workflow_execution_info.execution,
                ),
                retry=True,
            ),
            Key(key),
        )

    async def describe(self, key: str) -> WorkflowExecutionDescription:
        """Return Temporal's own description of a signature's workflow.

        Raises:
            MissingSignatureError: there is no such signature.
        """
        description = await self._call(self._handle(Key(key)).describe(), Key(key))
        if description.workflow_type not in protocol.KINDS:
            raise errors.MissingSignatureError(key=key)
        return description

    async def memo(self, description: WorkflowExecution) -> Memo:
        """Return what a signature was started with for those who load it. One that was started by hand has nothing."""
        given = await description.memo_value(protocol.MEMO, None)
        return Memo(name=description.id) if given is None else Memo.model_validate(given)

    def _handle(self, key: Key) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(key.workflow_id)

    async def _update(self, key: Key, name: str, payload: dict[str, Any], update_id: str | None = None) -> Any:
        handle = self._handle(key)
        update_id = update_id or uuid.uuid4().hex  # of one ID the server carries out one, however often it is sent
        lost = ""
        for _ in range(_TRIES):
            try:
                return await self._patiently(
                    handle.execute_update(name, payload, id=update_id),  # pyright: ignore[reportUnknownMemberType] - the SDK's own annotation
                    key.workflow_id,
                )
            except WorkflowUpdateFailedError as error:
                raise await self._refused(error, key, name) from error
            except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                lost = str(error.__cause__ or error)
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise self.translated(error, key) from error
                await self._require_open(key, error)
                lost = str(error)
            await asyncio.sleep(_PAUSE)
        raise self._unavailable(lost)

    async def _refused(self, error: WorkflowUpdateFailedError, key: Key, name: str) -> errors.MageflowError:
        cause = error.cause
        if refused := _refusal(cause):
            return refused
        await self._require_open(key, error)
        # The SDK refused it before any code of ours saw it.
        example = protocol.REQUESTS.get(name, LifecycleRequest).EXAMPLE
        return errors.InvalidRequestError(key=str(key), verb=name, problems=[str(cause)], expected=example)

    async def _require_open(self, key: Key, cause: Exception) -> None:
        if ended := ended_as(await self.describe(key.workflow_id)):
            raise errors.SignatureEndedError(key=key.workflow_id, status=ended) from cause

    async def _query(self, key: Key, name: str, question: LifecycleRequest) -> Any:
        try:
            query = self._handle(key).query(name, question.to_wire(), rpc_timeout=_QUERY_TIMEOUT)
            answer = await self._unless_deserted(query, key)
        except WorkflowQueryFailedError as error:
            if "size" in str(error):
                raise errors.PayloadTooLargeError(what=f"the {name} of {str(key)!r}", cause=str(error)) from error
            await self.describe(key.workflow_id)  # what is not ours is missing
            raise errors.WorkerUnavailableError(key=str(key), task_queue=self._task_queue, cause=str(error)) from error
        except RPCError as error:
            if error.status in (
                RPCStatusCode.FAILED_PRECONDITION,
                RPCStatusCode.DEADLINE_EXCEEDED,
                RPCStatusCode.CANCELLED,
            ):
                raise errors.WorkerUnavailableError(key=str(key), task_queue=self._task_queue) from error
            raise self.translated(error, key) from error
        if answer is None:
            raise errors.UnknownMemberError(key=key.workflow_id, target=key.path)
        return answer

    async def _unless_deserted(self, awaitable: Awaitable[_T], key: Key) -> _T:
        """Await the answer to a query; after a while without one, give up if no worker listens."""
        waiting = asyncio.ensure_future(awaitable)
        try:
            if await self._is_deserted(waiting):
                raise errors.WorkerUnavailableError(key=str(key), task_queue=self._task_queue)
            await asyncio.wait({waiting})
            return waiting.result()
        finally:
            _abandon(waiting)

    async def _is_deserted(self, waiting: asyncio.Future[Any]) -> bool:
        """Wait for an answer for a while; return whether there is none because no worker listens."""
        began = asyncio.get_running_loop().time()
        return await self._is_alone(waiting, _PATIENCE) and await self._is_alone(
            waiting, _LONGER * (asyncio.get_running_loop().time() - began)
        )

    async def _is_alone(self, waiting: asyncio.Future[Any], patience: float) -> bool:
        """Wait for an answer for so many seconds, then look; return whether there is neither answer nor worker."""
        await asyncio.wait({waiting}, timeout=patience)
        if waiting.done():
            return False
        try:
            return not await self.listened_to() and not waiting.done()
        except errors.ServerUnavailableError:
            return False  # what is waited for will say so itself, or outlast it

    async def _patiently(self, awaitable: Awaitable[_T], key: str) -> _T:
        """Await an answer; after a while without one, warn if it is because no worker listens."""
        waiting = asyncio.ensure_future(awaitable)
        try:
            if await self._is_deserted(waiting):
                warnings.warn(
                    f"{key} waits: no worker listens on task queue {self._task_queue!r}; start one with "
                    "mf.run_worker()",
                    errors.NoWorkerWarning,
                    stacklevel=2,
                )
            # Not `await waiting`: the SDK makes an error of its own of a cancellation, and the caller's would be lost.
            await asyncio.wait({waiting})
            return waiting.result()
        finally:
            _abandon(waiting)

    async def listened_to(self) -> bool:
        """Return whether a worker has lately asked the queue for workflow tasks."""
        queue = await self._call(
            self.client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=self.client.namespace,
                    task_queue=TaskQueue(name=self._task_queue),
                    task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                ),
                retry=True,
            )
        )
        return bool(queue.pollers)

    async def _call(self, awaitable: Awaitable[_T], key: Key | None = None) -> _T:
        try:
            return await awaitable
        except RPCError as error:
            raise self.translated(error, key) from error

    def translated(self, error: RPCError, key: Key | None) -> Exception:
        """Return the error of our tree that the server's means, or the server's own where ours has none."""
        text = str(error)
        if error.status == RPCStatusCode.NOT_FOUND and key:
            return errors.MissingSignatureError(key=str(key))
        # Above gRPC's own limit it is not Temporal that refuses, and the words are others.
        if error.status in (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.RESOURCE_EXHAUSTED) and (
            "size exceeds" in text or "larger than max" in text
        ):
            return errors.PayloadTooLargeError(what="the signature with its message", cause=text)
        if is_silence(error):
            return self._unavailable(text)
        target = self.client.service_client.config.target_host
        # A run takes 2,000 updates. A new one follows, as soon as tasks that are on their way have ended.
        if error.status == RPCStatusCode.RESOURCE_EXHAUSTED or "total number of distinct updates" in text:
            return errors.ServerBusyError(target=target, cause=text)
        if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
            return errors.ServerRefusedError(target=target, namespace=self.client.namespace, cause=text)
        return error

    def _unavailable(self, cause: str) -> errors.ServerUnavailableError:
        return errors.ServerUnavailableError(target=self.client.service_client.config.target_host, cause=cause)


def _abandon(waiting: asyncio.Future[Any]) -> None:
    waiting.cancel()
    # Looked at, so that asyncio does not complain of an error that nobody is left to hear.
    waiting.add_done_callback(lambda future: future.cancelled() or future.exception())


def ended_as(description: WorkflowExecution) -> Status | None:
    """Return how a workflow has ended, or `None` while it runs."""
    return _ENDED_AS.get(description.status) if description.status else None


def _cut_off(report: StatusReport, ended: Status) -> StatusReport:
    """Return the report of a signature that the server has ended: whatever went on in it has ended so, too."""
    parts = {
        "children": [_cut_off(child, ended) for child in report.children],
        "callbacks": [_cut_off(callback, ended) for callback in report.callbacks],
    }
    if report.status.ended:
        return report.model_copy(update=parts)
    counts = None
    if report.counts:
        tally = Counter[Status]()
        for status in Status:
            tally[status if status.ended else ended] += getattr(report.counts, status)
        counts = count(tally)
    return report.model_copy(update={**parts, "status": ended, "counts": counts})


def _as_the_server_sees(report: StatusReport, pending: dict[str, PendingActivityInfo]) -> StatusReport:
    """Return the report with what only the server knows: which dispatched tasks still wait, and who runs the others."""
    if report.kind != "task":
        children = [_as_the_server_sees(child, pending) for child in report.children]
        if children == report.children:
            return report
        # Not all members of a large one are told of, so what is known of all is corrected by what has changed.
        assert report.counts
        counts = Counter({Status(name): number for name, number in report.counts if name in list(Status)})
        counts.subtract(child.status for child in report.children)
        counts.update(child.status for child in children)
        return report.model_copy(update={"children": children, "counts": count(counts)})
    found = pending.get(Key.parse(report.key).path or "task")
    if found is None or report.status is not Status.ACTIVE:
        return report
    if found.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
        return report.model_copy(update={"status": Status.PENDING})
    return report.model_copy(update={"worker": found.last_worker_identity or None})


def _refusal(cause: BaseException | None) -> errors.MageflowError | None:
    """Return the error by which the engine refused a call or ended a run; `None` for what is not the engine's."""
    if not isinstance(cause, ApplicationError) or not protocol.is_refusal(cause.details):
        return None
    # A newer worker may have errors that are not known here.
    return protocol.rebuild(cause.type, cause.details) or errors.MageflowError(f"{cause.type}: {cause.message}")


def _outcome(key: str, cause: BaseException | None) -> errors.MageflowError:
    if refusal := _refusal(cause):
        return refusal
    if isinstance(cause, CancelledError):
        return errors.SignatureCanceledError(key=key, how="canceled")
    how = "terminated" if isinstance(cause, TerminatedError) else "timed out"
    return errors.SignatureCanceledError(key=key, how=how)
