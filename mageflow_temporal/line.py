"""A line to the server: calls, updates and queries, with the server's errors as ours."""

from __future__ import annotations

import asyncio
import uuid
import warnings
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from mageflow_temporal import errors, protocol
from mageflow_temporal.execution import refusal_of
from mageflow_temporal.key import Key
from mageflow_temporal.protocol import LifecycleRequest
from mageflow_temporal.silence import is_silence
from mageflow_temporal.status import Status

_T = TypeVar("_T")

PATIENCE: Final = 2.0
"""Seconds that a caller waits before we look whether any worker listens."""
_QUERY_TIMEOUT: Final = timedelta(seconds=10)
_LONGER: Final = 1.5
"""How much longer than so far it takes until a second look confirms the first. A server that has just started knows of
no worker: those there are try to reach it at intervals that double with each try."""
_TRIES: Final = 5
"""How often an update is sent that the server loses, as it may when it restarts or a new run takes over."""
_PAUSE: Final = 0.5
"""Seconds before the next of them."""

_STATUS: Final = SearchAttributeKey.for_keyword(protocol.STATUS_ATTRIBUTE)

_ENDED_AS: Final = {
    WorkflowExecutionStatus.COMPLETED: Status.DONE,
    WorkflowExecutionStatus.FAILED: Status.FAILED,
    WorkflowExecutionStatus.TIMED_OUT: Status.FAILED,
    WorkflowExecutionStatus.CANCELED: Status.CANCELED,
    WorkflowExecutionStatus.TERMINATED: Status.CANCELED,
}


class Line:
    """A connection, and the task queue on which it works.

    Args:
        client: the connection.
        task_queue: the queue whose workers answer.
    """

    def __init__(self, client: Client, task_queue: str) -> None:
        self.client = client
        self.task_queue = task_queue

    async def describe(self, key: str) -> WorkflowExecutionDescription:
        """Return Temporal's own description of a signature's workflow.

        Raises:
            MissingSignatureError: there is no such signature.
        """
        description = await self.call(self.handle(Key(key)).describe(), Key(key))
        if description.workflow_type not in protocol.KINDS:
            raise errors.MissingSignatureError(key=key)
        return description

    def handle(self, key: Key) -> WorkflowHandle[Any, Any]:
        """Return Temporal's handle of a signature's workflow."""
        return self.client.get_workflow_handle(key.workflow_id)

    async def update(self, key: Key, name: str, payload: dict[str, Any], update_id: str | None = None) -> Any:
        """Send an update and return its answer, however often the server loses it.

        Raises:
            MissingSignatureError: there is no such signature.
            SignatureEndedError: it has ended.
            InvalidRequestError: it cannot read the payload.
            ServerUnavailableError: the server does not answer.
        """
        handle = self.handle(key)
        update_id = update_id or uuid.uuid4().hex  # of one ID the server carries out one, however often it is sent
        lost = ""
        for _ in range(_TRIES):
            try:
                return await self.patiently(
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
        if refused := refusal_of(cause):
            return refused
        await self._require_open(key, error)
        # The SDK refused it before any code of ours saw it.
        example = protocol.REQUESTS.get(name, LifecycleRequest).EXAMPLE
        return errors.InvalidRequestError(key=str(key), verb=name, problems=[str(cause)], expected=example)

    async def _require_open(self, key: Key, cause: Exception) -> None:
        if ended := ended_as(await self.describe(key.workflow_id)):
            raise errors.SignatureEndedError(key=key.workflow_id, status=ended) from cause

    async def query(self, key: Key, name: str, question: protocol.Request) -> Any:
        """Ask a workflow and return its answer.

        Raises:
            MissingSignatureError: there is no such signature.
            UnknownMemberError: it has no such member.
            WorkerUnavailableError: no worker is there to answer.
            PayloadTooLargeError: the answer is larger than the server takes.
        """
        try:
            query = self.handle(key).query(name, question.to_wire(), rpc_timeout=_QUERY_TIMEOUT)
            answer = await self._unless_deserted(query, key)
        except WorkflowQueryFailedError as error:
            if "size" in str(error):
                raise errors.PayloadTooLargeError(what=f"the {name} of {str(key)!r}", cause=str(error)) from error
            await self.describe(key.workflow_id)  # what is not ours is missing
            cause = f"a worker tried, and could not: {error}"
            raise errors.WorkerUnavailableError(key=str(key), task_queue=self.task_queue, cause=cause) from error
        except RPCError as error:
            if error.status in (
                RPCStatusCode.FAILED_PRECONDITION,
                RPCStatusCode.DEADLINE_EXCEEDED,
                RPCStatusCode.CANCELLED,
            ):
                cause = (
                    # There are workers, or have been in the last minutes: the server cannot tell.
                    f"no worker of task queue {self.task_queue!r} answered within {_QUERY_TIMEOUT.seconds} s; see to "
                    "them, start one with mf.run_worker(), or, if it is on another queue, ask there"
                    if await self.listened_to()
                    else None
                )
                raise errors.WorkerUnavailableError(key=str(key), task_queue=self.task_queue, cause=cause) from error
            raise self.translated(error, key) from error
        if answer is None:
            raise errors.UnknownMemberError(key=key.workflow_id, target=key.path)
        return answer

    async def _unless_deserted(self, awaitable: Awaitable[_T], key: Key) -> _T:
        """Await the answer to a query; after a while without one, give up if no worker listens."""
        waiting = asyncio.ensure_future(awaitable)
        try:
            if await self._is_deserted(waiting):
                raise errors.WorkerUnavailableError(key=str(key), task_queue=self.task_queue)
            await asyncio.wait({waiting})
            return _result(waiting, str(key))
        finally:
            _abandon(waiting)

    async def _is_deserted(self, waiting: asyncio.Future[Any]) -> bool:
        """Wait for an answer for a while; return whether there is none because no worker listens."""
        began = asyncio.get_running_loop().time()
        return await self._is_alone(waiting, PATIENCE) and await self._is_alone(
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

    async def patiently(self, awaitable: Awaitable[_T], key: str) -> _T:
        """Await an answer; after a while without one, warn if it is because no worker listens."""
        waiting = asyncio.ensure_future(awaitable)
        try:
            if await self._is_deserted(waiting):
                warnings.warn(
                    f"{key} waits: no worker listens on task queue {self.task_queue!r}; start one with mf.run_worker()",
                    errors.NoWorkerWarning,
                    stacklevel=2,
                )
            # Not `await waiting`: the SDK makes an error of its own of a cancellation, and the caller's would be lost.
            await asyncio.wait({waiting})
            return _result(waiting, key)
        finally:
            _abandon(waiting)

    async def listened_to(self) -> bool:
        """Return whether a worker has lately asked the queue for workflow tasks; `True` where the server cannot say."""
        request = DescribeTaskQueueRequest(
            namespace=self.client.namespace,
            task_queue=TaskQueue(name=self.task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        try:
            queue = await self.call(self.client.workflow_service.describe_task_queue(request, retry=True))
        except RPCError as error:
            if error.status != RPCStatusCode.UNIMPLEMENTED:  # by the time-skipping test server
                raise
            return True
        return bool(queue.pollers)

    async def call(self, awaitable: Awaitable[_T], key: Key | None = None) -> _T:
        """Await a call of the client's, with its errors as ours."""
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


def ended_as(description: WorkflowExecution) -> Status | None:
    """Return how a workflow has ended, or `None` while it runs."""
    return _ENDED_AS.get(description.status) if description.status else None


def seen_as(execution: WorkflowExecution) -> Status | None:
    """Return a signature's status as the server knows it; `None` while it runs, without our search attributes."""
    published = execution.typed_search_attributes.get(_STATUS)
    return ended_as(execution) or (Status(published) if published else None)


def _result(answer: asyncio.Future[_T], key: str) -> _T:
    try:
        return answer.result()
    except KeyError as error:
        raise decoding_error(error, key) from error


def decoding_error(error: KeyError, key: str) -> Exception:
    """Return our error where the SDK does not know a payload's encoding, else the one that was given."""
    cause = str(error.args[0]) if error.args else ""
    return errors.UnreadablePayloadError(key=key, cause=cause) if "payload encoding" in cause else error


def _abandon(waiting: asyncio.Future[Any]) -> None:
    waiting.cancel()
    # Looked at, so that asyncio does not complain of an error that nobody is left to hear.
    waiting.add_done_callback(lambda future: future.cancelled() or future.exception())
