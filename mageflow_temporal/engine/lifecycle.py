"""Suspend, interrupt and resume: the machine's holds, and the server's answer to "was it running?".

A verb closes or opens the gate at once; then it sees to the calls that are on their way. Verbs take turns until their
effect on the tree is complete; an interrupt that waits for stubborn code to stop keeps no other verb waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import FailureError

from mageflow_temporal import errors
from mageflow_temporal.engine.dispatch import Dispatch
from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.engine.tree import Node
from mageflow_temporal.plan import Path, parse_path
from mageflow_temporal.protocol import LifecycleRequest, Whereabouts
from mageflow_temporal.status import LifecycleReport, Status, Verb


class Lifecycle:
    """Applies verbs to a machine."""

    def __init__(self, machine: Machine, dispatch: Dispatch) -> None:
        self._machine = machine
        self._dispatch = dispatch
        self._turn = asyncio.Lock()

    async def apply(self, verb: Verb, request: LifecycleRequest) -> LifecycleReport:
        """Carry out a verb and return what it did.

        Raises:
            UnknownMemberError: the target names no member.
            SignatureEndedError: the target has ended.
            TaskAlreadyRunningError: a suspend's target is a task whose code runs; it is left untouched.
        """
        received = workflow.now()
        node = self._find(request.target)
        if verb is Verb.SUSPEND:
            async with self._turn:
                self._require_open(node)
                return await self._suspend(node, request, received)
        if verb is Verb.INTERRUPT:
            return await self._interrupt(node, request, received)
        async with self._turn:
            self._require_open(node)
            self._machine.release(node)
            return self._report(verb, node, received)

    def _find(self, target: str) -> Node:
        path = parse_path(target)
        node = None if path is None else self._machine.root.find(path)
        if node is None:
            raise errors.UnknownMemberError(key=self._machine.key, target=target)
        return node

    def _require_open(self, node: Node) -> None:
        status = node.visible()
        if status.ended:
            raise errors.SignatureEndedError(key=self._machine.key_of(node), status=status)

    async def _suspend(self, node: Node, request: LifecycleRequest, received: datetime) -> LifecycleReport:
        state = node.state
        if state.hold:
            return self._report(Verb.SUSPEND, node, received)
        was = state.last_status
        self._machine.hold(node, Status.SUSPENDED, request.reason)
        flying = list(node.flying())
        try:
            found = await self._dispatch.whereabouts(flying)
        except FailureError as error:
            self._machine.release(node)
            state.last_status = was
            cause = str(error.cause or error)
            raise errors.WhereaboutsUnknownError(key=self._machine.key_of(node), cause=cause) from None
        running = [call for call in flying if self._in(found, call) == "running" and call.state.flying]
        if node in running:
            self._machine.release(node)
            state.last_status = was
            raise self._already_running(node, found[node.path])
        queued = [call for call in flying if call not in running]
        for call in queued:
            self._dispatch.cancel(call)
        await self._landed(queued)
        # A call that nobody could take back had ended before: its outcome is in by now.
        self._require_open(node)
        return self._report(
            Verb.SUSPEND,
            node,
            received,
            stopped=[call for call in queued if call.state.waiting],
            draining=[call for call in running if call.state.flying],
        )

    async def _interrupt(self, node: Node, request: LifecycleRequest, received: datetime) -> LifecycleReport:
        async with self._turn:
            self._require_open(node)
            if node.state.hold is not Status.INTERRUPTED:
                self._machine.hold(node, Status.INTERRUPTED, request.reason)
            flying = list(node.flying())
            for call in flying:
                self._dispatch.cancel(call)
        await self._landed(flying)
        # Code that swallowed its cancellation has ended the node after all: then the report says done or failed.
        return self._report(
            Verb.INTERRUPT, node, received, cancelled=[call for call in flying if not call.state.status.ended]
        )

    async def _landed(self, calls: list[Node]) -> None:
        """Wait until the calls that are on their way now have an outcome. A later dispatch of a node is another's."""
        dispatched = [(call, call.state.dispatches) for call in calls]
        predicate: Callable[[], bool] = lambda: all(  # noqa: E731 - wait_condition takes a callable
            not call.state.flying or call.state.dispatches > number for call, number in dispatched
        )
        if not predicate():
            await workflow.wait_condition(predicate)

    @staticmethod
    def _in(found: dict[Path, Whereabouts], call: Node) -> str:
        whereabouts = found.get(call.path)
        return whereabouts.state if whereabouts else "unknown"

    def _already_running(self, node: Node, where: Whereabouts) -> errors.TaskAlreadyRunningError:
        return errors.TaskAlreadyRunningError(
            key=self._machine.key_of(node),
            attempt=node.state.failures + 1,
            started_at=where.started_at,
            worker=where.worker,
        )

    def _report(
        self,
        verb: Verb,
        node: Node,
        received: datetime,
        *,
        stopped: list[Node] | None = None,
        draining: list[Node] | None = None,
        cancelled: list[Node] | None = None,
    ) -> LifecycleReport:
        keys = self._machine.key_of
        return LifecycleReport(
            verb=verb,
            key=keys(node),
            status=node.visible(),
            last_status=node.state.last_status,
            stopped=[keys(call) for call in stopped or ()],
            draining=[keys(call) for call in draining or ()],
            cancelled=[keys(call) for call in cancelled or ()],
            took=workflow.now() - received,
        )
