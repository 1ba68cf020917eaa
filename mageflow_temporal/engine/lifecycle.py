"""What one can tell a running signature: the machine's holds, and the server's answer to "was it running?".

A verb closes or opens the gate at once; then it sees to the calls that are on their way. Verbs take turns until their
effect on the tree is complete; an interrupt that waits for stubborn code to stop keeps no other verb waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import FailureError

from mageflow_temporal import errors
from mageflow_temporal.engine.dispatch import Dispatch
from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.engine.tree import Node
from mageflow_temporal.plan import Path, SwarmNode, parse_path
from mageflow_temporal.protocol import (
    REQUESTS,
    RETRY_FAILED,
    SKIP,
    ConfigureRequest,
    LifecycleRequest,
    ResumeRequest,
    SkipRequest,
    Whereabouts,
)
from mageflow_temporal.status import LifecycleReport, Status, Verb, to_json


@dataclass(frozen=True, slots=True)
class Applied:
    """What a request did."""

    answer: Any
    """For whoever asked by an update: plain JSON types."""
    verdict: str
    """For the record, in a sentence."""


class Lifecycle:
    """Applies requests to a machine."""

    def __init__(self, machine: Machine, dispatch: Dispatch) -> None:
        self._machine = machine
        self._dispatch = dispatch
        self._turn = asyncio.Lock()

    async def apply(self, name: str, request: LifecycleRequest) -> Applied:
        """Carry out a request and return what it did.

        Raises:
            UnknownMemberError: the target names no member.
            SignatureEndedError: the target has ended.
            TaskAlreadyRunningError: code runs that a suspend or skip would have to stop; it is left untouched.
            InvalidRequestError: the target is no swarm, and only a swarm can do that.
        """
        received = workflow.now()
        node = self._find(request.target)
        if name == Verb.INTERRUPT:
            return _reported(await self._interrupt(node, request, received))
        async with self._turn:
            self._require_open(node)
            match request:
                case SkipRequest():
                    return _reported(await self._skip(node, request, received))
                case ResumeRequest():
                    self._machine.release(node, request.kwargs)
                    return _reported(self._report(Verb.RESUME, node, received))
                case ConfigureRequest():
                    self._machine.configure(self._swarm(name, node), request.max_concurrency)
                    return Applied(None, f"{self._machine.key_of(node)} runs {request.max_concurrency} items at once")
                case _ if name == RETRY_FAILED:
                    keys = [self._machine.key_of(item) for item in self._machine.retry_failed(self._swarm(name, node))]
                    return Applied(keys, f"{len(keys)} failed items of {self._machine.key_of(node)} begin anew")
                case _:
                    return _reported(await self._suspend(node, request, received))

    def _require_no_outcome(self, node: Node) -> None:
        """Refuse what comes too late, too, where only callbacks are still under way."""
        if outcome := node.state.outcome:
            raise errors.SignatureEndedError(key=self._machine.key_of(node), status=outcome)

    def _swarm(self, name: str, node: Node) -> Node:
        self._require_no_outcome(node)
        if not isinstance(node.plan, SwarmNode):
            problem = f"its target is a {node.plan.kind}, and only a swarm can do that"
            raise errors.InvalidRequestError(
                key=self._machine.key_of(node), verb=name, problems=[problem], expected=REQUESTS[name].EXAMPLE
            )
        return node

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
        if node.state.hold:
            return self._report(Verb.SUSPEND, node, received)
        queued, running = await self._take_back(node, request.reason)
        return self._report(
            Verb.SUSPEND,
            node,
            received,
            stopped=[call for call in queued if call.state.waiting],
            draining=[call for call in running if call.state.flying],
        )

    async def _skip(self, node: Node, request: SkipRequest, received: datetime) -> LifecycleReport:
        self._require_no_outcome(node)
        await self._take_back(node, request.reason, all_of_it=True)
        self._require_no_outcome(node)
        self._machine.skip(node, request.result)
        return self._report(SKIP, node, received)

    async def _take_back(
        self, node: Node, reason: str | None, *, all_of_it: bool = False
    ) -> tuple[list[Node], list[Node]]:
        """Hold a node, and take back what no worker has taken up. Return that, and what runs.

        If the node itself runs, or with `all_of_it` anything below it, nothing is held and that is an error.
        """
        state = node.state
        was, held = state.last_status, state.hold is not None
        if not held:
            self._machine.hold(node, Status.SUSPENDED, reason)

        def undo() -> None:
            if not held:
                self._machine.release(node)
                state.last_status = was

        flying = list(node.flying())
        try:
            found = await self._dispatch.whereabouts(flying)
        except FailureError as error:
            undo()
            cause = str(error.cause or error)
            raise errors.WhereaboutsUnknownError(key=self._machine.key_of(node), cause=cause) from None
        running = [call for call in flying if self._in(found, call) == "running" and call.state.flying]
        if untouchable := running if all_of_it else [call for call in running if call is node]:
            undo()
            raise self._already_running(untouchable[0], found[untouchable[0].path])
        queued = [call for call in flying if call not in running]
        for call in queued:
            self._dispatch.cancel(call)
        await self._landed(queued)
        # A call that nobody could take back had ended before: its outcome is in by now.
        self._require_open(node)
        return queued, running

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
        verb: Verb | Literal["skip"],
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


def _reported(report: LifecycleReport) -> Applied:
    return Applied(to_json(report), f"{report.key} is {report.status}")
