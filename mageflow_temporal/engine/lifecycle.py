"""What one can tell a running signature: the machine's holds, and the server's answer to "was it running?".

A verb closes or opens the gate at once; then it sees to the calls that are on their way, and passes the word on to the
signatures that are tied to the tasks it concerns. Verbs take turns until their effect on the tree is complete; an
interrupt that waits for stubborn code to stop keeps no other verb waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeVar

from temporalio import workflow
from temporalio.common import MetricHistogramTimedelta
from temporalio.exceptions import FailureError

from mageflow_temporal import errors
from mageflow_temporal.engine.dispatch import Dispatch
from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.engine.tree import Node
from mageflow_temporal.plan import Path, SwarmNode, parse_path
from mageflow_temporal.protocol import (
    INTERRUPT_LATENCY_METRIC,
    REQUESTS,
    RETRY_FAILED,
    SKIP,
    ConfigureRequest,
    LifecycleRequest,
    ResumeRequest,
    SkipRequest,
    Tie,
    TieAnswer,
    Tied,
    TieRequest,
    Whereabouts,
)
from mageflow_temporal.status import LifecycleReport, Status, Verb, to_json

_T = TypeVar("_T")

_AT_ONCE: Final = 500
"""Signals to others under way at once: at 2,000 the server refuses every workflow task."""
_LATE: Final = (timedelta(seconds=1), timedelta(seconds=4), timedelta(seconds=16))
"""Pauses before a signature that could not be found is told again: its start may have been on its way."""


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
        self._late: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nobody has to be told anything later."""
        return not self._late

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
                    await self.cancel_tied(self._release(node, request.kwargs))
                    await self._pass_on(Verb.RESUME, node, request.reason)
                    return _reported(self._report(Verb.RESUME, node, received))
                case ConfigureRequest():
                    self._machine.configure(self._swarm(name, node), request.max_concurrency)
                    return Applied(None, f"{self._machine.key_of(node)} runs {request.max_concurrency} items at once")
                case _ if name == RETRY_FAILED:
                    keys = [self._machine.key_of(item) for item in self._machine.retry_failed(self._swarm(name, node))]
                    return Applied(keys, f"{len(keys)} failed items of {self._machine.key_of(node)} begin anew")
                case _:
                    return _reported(await self._suspend(node, request, received))

    def _release(self, node: Node, kwargs: dict[str, Any]) -> list[str]:
        """Open the gate for a node; return the keys of what is tied to tasks that start others when they run again.

        These are tasks that were given another message by it, or that begin another life.
        """
        tasks = {task.path: task for task, _ in node.tied() if not task.state.flying and not task.visible().ended}
        message_for = self._machine.message_for
        before = {path: message_for(task) for path, task in tasks.items()} if kwargs else {}
        self._machine.release(node, kwargs)
        abandoned: list[str] = []
        for path, task in tasks.items():
            if task.life() != task.state.tied_in or (kwargs and message_for(task) != before[path]):
                abandoned += task.state.tied
                task.state.tied = []
        return abandoned

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

    async def tie(self, request: TieRequest) -> TieAnswer:
        """Let signatures that are about to be started share the lifecycle of tasks.

        It takes its turn like a verb: what it answers must not be taken back.

        Raises:
            UnknownMemberError: a target names no member.
        """
        async with self._turn:
            nodes = [self._find(tie.target) for tie in request.ties]
            return TieAnswer(tied=tuple(map(_tied, nodes, request.ties)))

    async def cancel_tied(self, keys: Sequence[str]) -> list[str]:
        """Have the server cancel signatures, and return those that it does not know, or that have ended."""

        async def cancel(key: str) -> bool:
            return await _found(workflow.get_external_workflow_handle(key).cancel())

        found = await _in_turn([lambda key=key: cancel(key) for key in keys])
        return [key for key, known in zip(keys, found, strict=True) if not known]

    @staticmethod
    async def tell_all(keys: Sequence[str], name: str) -> None:
        """Send a signal to all workflows of these IDs that still run."""
        words = [lambda key=key: _found(workflow.get_external_workflow_handle(key).signal(name)) for key in keys]
        await _in_turn(words)

    async def _pass_on(self, verb: Verb, node: Node, reason: str | None) -> None:
        """Tell the verb to what is tied to tasks at and below a node; a resume, where nothing else holds the task."""
        payload = LifecycleRequest(reason=reason).to_wire()

        async def tell(task: Node, key: str) -> None:
            if not await self._told(key, verb, payload):
                late = asyncio.create_task(self._tell_later(task, key, verb, payload))
                self._late.add(late)
                late.add_done_callback(self._late.discard)

        concerned = [(task, key) for task, key in node.tied() if _still(verb, task)]
        await _in_turn([lambda task=task, key=key: tell(task, key) for task, key in concerned])

    async def _tell_later(self, task: Node, key: str, verb: Verb, payload: dict[str, Any]) -> None:
        for pause in _LATE:
            await workflow.sleep(pause, summary=f"pause before {key} is told again")
            if not _still(verb, task) or await self._told(key, verb, payload):
                return

    @staticmethod
    async def _told(key: str, verb: Verb, payload: dict[str, Any]) -> bool:
        return await _found(workflow.get_external_workflow_handle(key).signal(verb, payload))

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
        await self._pass_on(Verb.SUSPEND, node, request.reason)
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
        self._machine.skip(node, request.result)
        await self.cancel_tied([key for _, key in node.tied()])
        return self._report(SKIP, node, received)

    async def _take_back(
        self, node: Node, reason: str | None, *, all_of_it: bool = False
    ) -> tuple[list[Node], list[Node]]:
        """Hold a node, and take back what no worker has taken up. Return that, and what runs.

        If the node itself runs, or with `all_of_it` anything below it, nothing is held and that is an error. So it is
        if the node has ended meanwhile, or with `all_of_it` if there is nothing left of it but its callbacks.
        """
        machine, was = self._machine, node.state.last_status
        if node.state.hold is None:
            machine.hold(node, Status.SUSPENDED, reason)
            machine.undecided = node
        try:
            return await self._taken_back(node, all_of_it=all_of_it)
        except errors.SignatureError:
            if machine.undecided is node:
                machine.release(node)
                node.state.last_status = was
            raise
        finally:
            machine.undecided = None

    async def _taken_back(self, node: Node, *, all_of_it: bool) -> tuple[list[Node], list[Node]]:
        flying = list(node.flying())
        try:
            found = await self._dispatch.whereabouts(flying)
        except FailureError as error:
            cause = str(error.cause or error)
            raise errors.WhereaboutsUnknownError(key=self._machine.key_of(node), cause=cause) from None
        running = [call for call in flying if self._in(found, call) == "running" and call.state.flying]
        if untouchable := running if all_of_it else [call for call in running if call is node]:
            raise self._already_running(untouchable[0], found[untouchable[0].path])
        queued = [call for call in flying if call not in running]
        for call in queued:
            self._dispatch.cancel(call)
        await self._landed(queued)
        # A call that nobody could take back had ended before: its outcome is in by now.
        (self._require_no_outcome if all_of_it else self._require_open)(node)
        return queued, running

    async def _interrupt(self, node: Node, request: LifecycleRequest, received: datetime) -> LifecycleReport:
        async with self._turn:
            self._require_open(node)
            if node.state.hold is not Status.INTERRUPTED:
                self._machine.hold(node, Status.INTERRUPTED, request.reason)
            flying = list(node.flying())
            for call in flying:
                self._dispatch.cancel(call)
            await self._pass_on(Verb.INTERRUPT, node, request.reason)
        await self._landed(flying)
        # Code that swallowed its cancellation has ended the node after all: then the report says done or failed.
        report = self._report(
            Verb.INTERRUPT, node, received, cancelled=[call for call in flying if not call.state.status.ended]
        )
        if flying:
            _latency().record(report.took)
        return report

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


def _latency() -> MetricHistogramTimedelta:
    return workflow.metric_meter().create_histogram_timedelta(
        INTERRUPT_LATENCY_METRIC, "From an interrupt's arrival at the workflow until the code has stopped"
    )


def _reported(report: LifecycleReport) -> Applied:
    return Applied(to_json(report), f"{report.key} is {report.status}")


def _tied(task: Node, tie: Tie) -> Tied:
    status, holder = task.visible(), task.holder()
    if status.ended:
        return Tied(ended=status)
    known = [key for key in task.state.tied if key not in tie.ended]
    task.state.tied = known if tie.key in known else [*known, tie.key]
    task.state.tied_in = task.life()
    return Tied(hold=holder.state.hold, reason=holder.state.reason) if holder else Tied()


def _still(verb: Verb, task: Node) -> bool:
    """Return whether a verb says to what is tied to a task what holds for the task itself."""
    holder = task.holder()
    return (holder is None) if verb is Verb.RESUME else (holder is not None)


async def _found(told: Awaitable[None]) -> bool:
    """Await a word to another workflow; return whether the server knows that workflow as one that runs."""
    try:
        await told
    except FailureError:
        return False
    return True


async def _in_turn(words: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
    """Await all, so many at a time, and return what they return."""
    said: list[_T] = []
    for first in range(0, len(words), _AT_ONCE):
        said += await asyncio.gather(*(word() for word in words[first : first + _AT_ONCE]))
    return said
