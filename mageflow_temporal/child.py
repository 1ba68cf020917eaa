"""A signature as a child of a user's own workflow. Inside that workflow: deterministic, no I/O, no client.

What a start has to know of the server and the connection, the worker tells (`plugin.py`), by the one way that the SDK
has for this from a worker to the code in its sandbox. It may differ from worker to worker: a replay compares a child's
type and ID, and not its input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Self, cast

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError

from mageflow_temporal import errors, protocol
from mageflow_temporal.config import MageflowConfig, Priority
from mageflow_temporal.execution import Terms, outcome
from mageflow_temporal.message import wire_size
from mageflow_temporal.plan import Plan
from mageflow_temporal.protocol import Memo, Paged
from mageflow_temporal.status import Status

_TERMS: Final = "mageflow_terms"


def tell(functions: MutableMapping[str, Callable[..., Any]], terms: Callable[[], Terms]) -> None:
    """Let the code of workflows learn on what terms it can start signatures."""
    functions[_TERMS] = terms


def terms_for(config: MageflowConfig) -> Terms:
    """Return on what terms an app's signatures are started here.

    Raises:
        MissingPluginError: the worker does not say.
    """
    functions = cast("Mapping[str, Callable[[], Terms]]", workflow.extern_functions())  # pyright: ignore[reportUnknownMemberType] - the SDK's own annotation
    if _TERMS not in functions:
        raise errors.MissingPluginError(workflow=workflow.info().workflow_type)
    return replace(functions[_TERMS](), task_queue=config.task_queue, events_per_run=config.events_per_run)


class Child:
    """A signature that this workflow has started."""

    def __init__(self, key: str, handle: workflow.ChildWorkflowHandle[Any, Any]) -> None:
        self._key = key
        self._handle = handle

    @classmethod
    async def start(
        cls,
        key: str,
        compiled: Plan,
        memo: Memo,
        terms: Terms,
        *,
        message: Any,
        delay: timedelta | None,
        priority: Priority,
        tied: bool,
    ) -> Self:
        """Start a signature. One that is tied is cancelled when this workflow ends before it.

        Raises:
            SignatureAlreadyStartedError: the key has a workflow. Only a client could find out what became of it.
            PayloadTooLargeError: it is larger than the server takes; the workflow task would fail again and again.
        """
        order, root = terms.order(compiled, message=message, delay=delay), compiled.root
        size = wire_size(order.to_wire())
        if 0 < terms.payload_limit < size:
            cause = f"{size} bytes of JSON; the limit is {terms.payload_limit}"
            raise errors.PayloadTooLargeError(what=f"{key!r} with its message", cause=cause)
        try:
            handle = await workflow.start_child_workflow(
                protocol.WORKFLOW_TYPES[root.kind],
                id=key,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=(
                    workflow.ParentClosePolicy.REQUEST_CANCEL if tied else workflow.ParentClosePolicy.ABANDON
                ),
                search_attributes=terms.attributes(order, root),
                **terms.facts(order, root, memo, priority),
            )
        except WorkflowAlreadyStartedError as error:
            raise errors.SignatureAlreadyStartedError(key=key) from error
        return cls(key, handle)

    async def result(self, timeout: timedelta | None) -> Any:
        """Wait for the end and return the result, as plain JSON types. Whoever gives up waiting stops nothing.

        Raises:
            OutcomeError: it ended without a result.
            PayloadTooLargeError: its result is more than this workflow's history can carry.
            ResultTimeoutError: `timeout` passed.
        """
        # Not `await self._handle`: to the SDK, whoever gives up waiting on a child has cancelled it.
        await workflow.wait([self._handle], timeout=None if timeout is None else timeout.total_seconds())
        if timeout is not None and not self._handle.done():
            raise errors.ResultTimeoutError(key=self._key, timeout=timeout, status=Status.ACTIVE)
        try:
            result = self._handle.result()
        except ChildWorkflowError as error:
            raise outcome(self._key, error.cause) from error
        if Paged.is_in(result):
            raise errors.PayloadTooLargeError(
                what=f"the result of {self._key!r}", cause="it is in pages, for clients and tasks to read"
            )
        return result

    async def cancel(self) -> None:
        """Cancel it, and wait until its code has stopped."""
        self._handle.cancel()
        await workflow.wait([self._handle])
