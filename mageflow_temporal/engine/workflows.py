"""The three workflow types: their input, their handlers, and the loop that lets the machine run.

`sandboxed=False`: this is library code that runs no user's code, and the sandbox costs a third of a worker's CPU. What
the sandbox would catch, lint rules and recorded histories do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

from mageflow_temporal import errors, protocol
from mageflow_temporal.config import Priority
from mageflow_temporal.engine import story
from mageflow_temporal.engine.calls import Failed, Outcome
from mageflow_temporal.engine.details import details
from mageflow_temporal.engine.dispatch import Dispatch
from mageflow_temporal.engine.lifecycle import Lifecycle
from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.engine.page import PageWorkflow
from mageflow_temporal.engine.shelf import Page
from mageflow_temporal.engine.succession import PATIENCE, Succession
from mageflow_temporal.engine.tree import Node, Progress
from mageflow_temporal.message import wire_size
from mageflow_temporal.plan import SwarmNode, fit, parse_path
from mageflow_temporal.protocol import (
    Added,
    AddedRequest,
    AddRequest,
    AddsAnswer,
    AddsRequest,
    LifecycleRequest,
    NotAdded,
    Order,
    StartRequest,
    TieRequest,
)
from mageflow_temporal.status import Verb, VerbRecord, to_json

_STATUS = SearchAttributeKey.for_keyword(protocol.STATUS_ATTRIBUTE)
_CALLS_AT_FIRST: Final = 500
"""Calls that one workflow task sends out while none is on its way."""
_CALLS_AT_ONCE: Final = 50
"""Calls that one workflow task sends out while others are on their way. Each takes time, and if more than 100 events
come meanwhile, of some 50 calls that end, the server gives the workflow task up (measured: not once with 50)."""
_BYTES_AT_ONCE: Final = 1_000_000
"""What one workflow task sends out at the most: gRPC carries 4 MiB, and after 2 s without a rest the SDK calls it a
deadlock."""
_CALLS_A_TELLING: Final = 100
"""So many calls with one workflow task more between two tellings of the details, each of which looks at all calls."""
_NEXT_TASK: Final = timedelta(milliseconds=1)
_SIGNALS_AT_ONCE: Final = 300
"""What one workflow task takes of them: thousands may have come, and the SDK would call that a deadlock each time."""
_HELP: Final = {
    name: f"{what} Payload: {protocol.REQUESTS[name].EXAMPLE}."
    for name, what in {
        Verb.SUSPEND: "Pause: what runs may end, nothing new begins until a resume. Refused for one task that runs.",
        Verb.INTERRUPT: "Pause, and stop the code that runs; the update returns when it has stopped.",
        Verb.RESUME: "Go on where a suspend, an interrupt or a held failure stopped it.",
        protocol.SKIP: "A member is done with a given result, without being run.",
        protocol.CONFIGURE: "Change how many items of a swarm run at once.",
        protocol.RETRY_FAILED: "Begin the failed items of a swarm anew.",
        protocol.STATUS: "How it stands, with all its members, as a tree.",
        protocol.OUTCOMES: "What became of a swarm's items so far.",
    }.items()
}
"""What the Web UI and the command line show beside each signal, update and query."""


_RequestT = TypeVar("_RequestT", bound=protocol.Request)


class _Engine:
    """What the three types share. Handlers take any arguments: a wrong number must not fail the workflow task."""

    def __init__(self, order: Any) -> None:
        try:
            self._order = Order.model_validate(order)
        except ValidationError as error:
            # Not what our client makes: it is to fail, and not to be tried again for ever.
            raise _refusal(
                errors.InvalidRequestError(
                    key=workflow.info().workflow_id,
                    verb=protocol.START,
                    problems=protocol.problems(error),
                    expected="what the client makes for `signature.start`: there is no short form",
                )
            ) from None
        earlier = None if self._order.progress is None else Progress.unpacked(self._order.progress)
        plan = (earlier.plan if earlier else None) or self._order.plan
        assert plan, "a run begins with a plan, or goes on with its progress, which has one"
        self._machine = Machine(workflow.info().workflow_id, plan, earlier)
        self._inbox: deque[tuple[Node, Outcome | None]] = deque()
        self._dispatch = Dispatch(lambda node, outcome: self._inbox.append((node, outcome)))
        self._lifecycle = Lifecycle(self._machine, self._dispatch)
        self._succession = Succession(self._order.events_per_run)
        self._patience: asyncio.Task[None] | None = None
        self._turnstile = asyncio.Lock()
        self._signals = 0
        self._marked_at = 0
        """The length of history in the last workflow task that left a mark."""
        self._untold = 0
        """How many times something has happened since the details were last told."""
        if earlier:
            return
        self._machine.progress.published = self._order.status  # what the start has written
        if self._order.hold:
            self._machine.hold(self._machine.root, self._order.hold, self._order.reason)
        if self._order.started:
            self._machine.start(self._order.message, self._order.delay)

    async def _run(self) -> Any:
        """Let the machine run until it has ended, or until the run is so long that a new one goes on with the work."""
        machine = self._machine
        if self._order.hold or self._order.progress is not None:
            self._publish()
        for node in machine.root.backing_off() if self._order.progress is not None else ():
            self._wait_for_pause(node)
        try:
            # The one wait of a run. A closed gate leaves nothing ready, and a resume makes it true again.
            while not machine.ended:
                await workflow.wait_condition(self._something_to_do)
                await self._do_it()
        except asyncio.CancelledError:
            if workflow.cancellation_reason() is not None:  # otherwise it only leaves this worker's cache
                await self._cancelled()
                self._publish()
                await self._release_pages()
            raise
        if self._too_large(wire_size(machine.root.state.result)):
            machine.refuse_result(
                errors.PayloadTooLargeError(what=f"the result of {machine.key!r}", cause=self._limit_text)
            )
        self._publish()
        await self._release_pages()
        await workflow.wait_condition(workflow.all_handlers_finished)
        if machine.failure:
            raise _refusal(machine.failure)
        return machine.root.state.result

    def _something_to_do(self) -> bool:
        if self._inbox or self._machine.ended or self._machine.has_page:
            return True
        if not self._is_to_end:
            return self._machine.has_ready and self._dispatch.has_room
        return self._can_be_handed_over or self._loses_patience

    async def _do_it(self) -> None:
        outcomes, calls = bool(self._inbox), self._machine.progress.calls
        self._take_in()
        self._set_timers()
        while self._machine.has_page and (page := self._machine.full_page()):
            await self._keep(page)
        if not self._is_to_end:
            await self._send_out()
        elif self._can_be_handed_over and not self._machine.ended:
            await self._hand_over()
        elif self._loses_patience:
            self._patience = asyncio.create_task(self._lose_patience())
        if outcomes and self._machine.progress.calls == calls and not self._machine.ended:
            self._leave_a_mark()
        self._publish(at_once=False)

    def _leave_a_mark(self) -> None:
        """Give a command in a workflow task that may have no other.

        The SDK's core takes a workflow task that gave no command for none, if the next one follows at once. To a worker
        that replays it gives both as one, and an update that came with the second is handled before what came with the
        first: no other worker could replay that (temporalio/sdk-rust#1146).
        """
        length = workflow.info().get_current_history_length()
        if length != self._marked_at:
            workflow.upsert_memo({protocol.CALLS: self._machine.progress.calls})
            self._marked_at = length

    @property
    def _is_to_end(self) -> bool:
        return self._succession.is_due(idle=self._can_be_handed_over)

    @property
    def _can_be_handed_over(self) -> bool:
        """Whether nothing is under way that a new run could not take over."""
        busy = self._inbox or not self._dispatch.is_empty or not self._lifecycle.is_idle
        return not busy and workflow.all_handlers_finished()

    @property
    def _loses_patience(self) -> bool:
        """Whether a timer has yet to be set. At the end of what a run can be there is none: each costs events."""
        return self._patience is None and self._succession.can_be_postponed

    async def _lose_patience(self) -> None:
        await workflow.sleep(PATIENCE, summary="tasks may end, so that a new run can go on")
        self._patience = None
        self._succession.postpone()
        self._leave_a_mark()

    async def _hand_over(self) -> None:
        order = self._order_for_the_next()
        while self._too_large(wire_size(order)) and (page := self._machine.full_page(of_all=True)):
            await self._keep(page)
            order = self._order_for_the_next()
        if not self._can_be_handed_over:
            return  # while a page was on its way something has come
        if self._too_large(wire_size(order)):
            self._succession.give_up()
            workflow.logger.warning(
                "%s has come to more than a new run can be given (%s): it goes on in this one, which the server "
                "ends at 51,200 events or 50 MiB",
                self._machine.key,
                self._limit_text,
                extra={"key": self._machine.key},
            )
        else:
            workflow.continue_as_new(order)

    def _order_for_the_next(self) -> dict[str, Any]:
        progress = self._machine.progress.model_copy(update={"plan": self._machine.plan})
        return self._order.model_copy(update={"plan": None, "progress": progress.packed(), "message": None}).to_wire()

    async def _keep(self, page: Page) -> None:
        """Put results into a page. It outlives this run, and so must not end when its parent does."""
        first, last = page.leaves[0].index, page.leaves[-1].index
        page_id = f"{protocol.PAGE_TYPE}/{workflow.uuid4()}"
        await workflow.start_child_workflow(
            protocol.PAGE_TYPE,
            args=[
                self._machine.key,
                [leaf.to_wire() for leaf in page.leaves],
                page.results if len(page.results) > 1 else page.results[0],
            ],
            id=page_id,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=fit(
                f"results {first} to {last} of {self._machine.key_of(page.swarm)}", protocol.SUMMARY_LIMIT
            ),
        )
        self._machine.page_turned(page, page_id)

    async def _release_pages(self) -> None:
        """Let pages end with this workflow. Those that cannot be told find out by themselves."""
        await self._lifecycle.tell_all(self._machine.progress.pages, protocol.RELEASE)

    def _take_in(self) -> None:
        while self._inbox:
            self._succession.worked()
            node, outcome = self._inbox.popleft()
            if outcome is None:
                self._machine.pause_over(node)
            else:
                self._machine.settle(node, outcome)

    async def _send_out(self) -> None:
        calls = sent = 0
        most = _CALLS_AT_FIRST if self._dispatch.is_empty else _CALLS_AT_ONCE
        for call in self._machine.take_ready():
            size = wire_size(call.message) + wire_size(call.checkpoint)
            if self._too_large(size):
                refused = errors.PayloadTooLargeError(
                    what=f"the message for {self._machine.key_of(call.node)!r}, with its checkpoint,",
                    cause=self._limit_text,
                )
                self._inbox.append((call.node, Failed(type(refused).__name__, str(refused), retryable=False)))
            else:
                self._dispatch.begin(call, story.summary(call), self._machine.progress.priority)
            calls, sent = calls + 1, sent + size
            if not self._dispatch.has_room:
                break
            if calls >= most or sent >= _BYTES_AT_ONCE:
                # What is sent is sent at the end of a workflow task: the rest waits for the next one.
                await workflow.sleep(_NEXT_TASK)
                break

    def _set_timers(self) -> None:
        timers, self._machine.timers = self._machine.timers, []
        for node, pause in timers:
            node.state.pause_ends = workflow.now() + pause
            self._wait_for_pause(node)

    def _wait_for_pause(self, node: Node) -> None:
        assert node.state.pause_ends
        why = "pause before a retry" if node.state.failures else "delayed start"
        task = asyncio.create_task(_pause(node.state.pause_ends - workflow.now(), why))
        task.add_done_callback(lambda _: self._inbox.append((node, None)))

    def _too_large(self, size: int) -> bool:
        """Whether so many bytes would not leave: the SDK would fail the workflow task for them, again and again."""
        return 0 < self._order.payload_limit < size

    @property
    def _limit_text(self) -> str:
        return f"the limit is {self._order.payload_limit} bytes of JSON"

    async def _cancelled(self) -> None:
        """Temporal's own cancel: stop what runs, let it say its last word, and end as canceled."""
        flying = list(self._machine.root.flying())
        for node in flying:
            self._dispatch.cancel(node)
        tied = [key for _, key in self._machine.root.tied()]
        missed = await self._lifecycle.cancel_tied(tied)
        while any(node.state.flying for node in flying):
            await workflow.wait_condition(lambda: bool(self._inbox))
            self._take_in()
        # Code that was just starting one has stopped by now.
        begun = [key for _, key in self._machine.root.tied() if key not in tied]
        await self._lifecycle.cancel_tied([*missed, *begun])
        self._machine.cancel()

    def _publish(self, *, at_once: bool = True) -> None:
        """Tell people how it stands. Of a large tree not each time: it would take longer than all else together."""
        self._untold += 1
        if at_once or self._dispatch.is_empty or self._untold > self._machine.progress.calls // _CALLS_A_TELLING:
            workflow.set_current_details(details(self._machine))
            self._untold = 0
        status = self._machine.root.visible()
        if self._order.search_attributes and status is not self._machine.progress.published:
            workflow.upsert_search_attributes([_STATUS.value_set(status)])  # pyright: ignore[reportUnknownMemberType] - the SDK's own annotation
            self._machine.progress.published = status

    # Handlers. Each verb is a signal and an update of one name; both come to _apply.

    @workflow.signal(name=Verb.SUSPEND, description=_HELP[Verb.SUSPEND])
    async def _suspend_signal(self, *payload: Any) -> None:
        await self._signalled(Verb.SUSPEND, payload)

    @workflow.signal(name=Verb.INTERRUPT, description=_HELP[Verb.INTERRUPT])
    async def _interrupt_signal(self, *payload: Any) -> None:
        await self._signalled(Verb.INTERRUPT, payload)

    @workflow.signal(name=Verb.RESUME, description=_HELP[Verb.RESUME])
    async def _resume_signal(self, *payload: Any) -> None:
        await self._signalled(Verb.RESUME, payload)

    @workflow.signal(name=protocol.SKIP, description=_HELP[protocol.SKIP])
    async def _skip_signal(self, *payload: Any) -> None:
        await self._signalled(protocol.SKIP, payload)

    @workflow.update(name=Verb.SUSPEND, description=_HELP[Verb.SUSPEND])
    async def _suspend_update(self, *payload: Any) -> Any:
        return await self._answered(Verb.SUSPEND, payload)

    @workflow.update(name=Verb.INTERRUPT, description=_HELP[Verb.INTERRUPT])
    async def _interrupt_update(self, *payload: Any) -> Any:
        return await self._answered(Verb.INTERRUPT, payload)

    @workflow.update(name=Verb.RESUME, description=_HELP[Verb.RESUME])
    async def _resume_update(self, *payload: Any) -> Any:
        return await self._answered(Verb.RESUME, payload)

    @workflow.update(name=protocol.SKIP, description=_HELP[protocol.SKIP])
    async def _skip_update(self, *payload: Any) -> Any:
        return await self._answered(protocol.SKIP, payload)

    @_suspend_update.validator
    def _validate_suspend(self, *payload: Any) -> None:
        self._check(Verb.SUSPEND, payload)

    @_interrupt_update.validator
    def _validate_interrupt(self, *payload: Any) -> None:
        self._check(Verb.INTERRUPT, payload)

    @_resume_update.validator
    def _validate_resume(self, *payload: Any) -> None:
        self._check(Verb.RESUME, payload)

    @_skip_update.validator
    def _validate_skip(self, *payload: Any) -> None:
        self._check(protocol.SKIP, payload)

    @workflow.update(name=protocol.START, description='Start what was suspended before its start: {"message": {...}}')
    async def _start(self, *payload: Any) -> bool:
        request = self._request(protocol.START, payload, StartRequest)
        if self._machine.progress.started:
            return False
        self._machine.progress.priority = request.priority
        self._machine.start(request.message, request.delay)
        return True

    # Validators, not only the handlers, refuse what a newer worker might take: a refused update leaves no trace in the
    # history, which that worker may have to replay.

    @_start.validator
    def _validate_start(self, *payload: Any) -> None:
        self._request(protocol.START, payload, StartRequest)

    @workflow.update(name=protocol.TIE, description="Tie signatures to tasks; used by mageflow's own client.")
    async def _tie(self, *payload: Any) -> dict[str, Any]:
        request = self._request(protocol.TIE, payload, TieRequest)
        try:
            return (await self._lifecycle.tie(request)).to_wire()
        except errors.UnknownMemberError as error:
            raise _refusal(error) from None

    @_tie.validator
    def _validate_tie(self, *payload: Any) -> None:
        self._request(protocol.TIE, payload, TieRequest)

    @workflow.query(
        name=protocol.STATUS,
        description=_HELP[protocol.STATUS],
    )
    def _status(self, *payload: Any) -> dict[str, Any] | None:
        request = protocol.parse_request(protocol.STATUS, self._machine.key, payload, LifecycleRequest)
        node = self._look(request)
        report = (
            story.report(self._machine, node, None if request.target else self._machine.progress.last_verb)
            if node
            else None
        )
        return to_json(report) if report else None

    def _look(self, request: LifecycleRequest) -> Node | None:
        path = parse_path(request.target)
        return self._machine.root.look(path) if path is not None else None

    def _check(self, name: str, payload: tuple[Any, ...]) -> None:
        self._request(name, payload, protocol.REQUESTS[name])

    def _request(self, name: str, payload: tuple[Any, ...], form: type[_RequestT]) -> _RequestT:
        try:
            return protocol.parse_request(name, self._machine.key, payload, form)
        except errors.MageflowError as error:
            raise _refusal(error) from None

    async def _answered(self, name: str, payload: tuple[Any, ...]) -> Any:
        request = LifecycleRequest()
        try:
            request = protocol.parse_request(name, self._machine.key, payload, protocol.REQUESTS[name])
            applied = await self._lifecycle.apply(name, request)
        except errors.MageflowError as error:
            self._record(name, request, str(error), accepted=False)
            raise _refusal(error) from None
        self._record(name, request, applied.verdict, accepted=True)
        return applied.answer

    async def _signalled(self, name: str, payload: tuple[Any, ...]) -> None:
        async with self._turnstile:
            self._signals += 1
            if self._signals % _SIGNALS_AT_ONCE == 0:
                await workflow.sleep(_NEXT_TASK)
        self._succession.signalled()
        try:
            await self._answered(name, payload)
        except ApplicationError as error:
            # A signal has nobody to answer to: the log and the status are where its sender can look.
            workflow.logger.warning("signal %s refused: %s", name, error.message, extra={"key": self._machine.key})
        self._leave_a_mark()

    def _record(self, name: str, request: LifecycleRequest, verdict: str, *, accepted: bool) -> None:
        self._succession.worked()
        self._machine.progress.last_verb = VerbRecord(
            verb=name,
            target=request.target,
            reason=request.reason,
            at=workflow.now(),
            accepted=accepted,
            verdict=verdict,
        )
        self._publish()


class _Container(_Engine):
    """What chains and swarms have besides: each may have a swarm in it, at any depth."""

    @workflow.signal(name=protocol.CONFIGURE, description=_HELP[protocol.CONFIGURE])
    async def _configure_signal(self, *payload: Any) -> None:
        await self._signalled(protocol.CONFIGURE, payload)

    @workflow.signal(name=protocol.RETRY_FAILED, description=_HELP[protocol.RETRY_FAILED])
    async def _retry_failed_signal(self, *payload: Any) -> None:
        await self._signalled(protocol.RETRY_FAILED, payload)

    @workflow.update(name=protocol.CONFIGURE, description=_HELP[protocol.CONFIGURE])
    async def _configure_update(self, *payload: Any) -> Any:
        return await self._answered(protocol.CONFIGURE, payload)

    @workflow.update(name=protocol.RETRY_FAILED, description=_HELP[protocol.RETRY_FAILED])
    async def _retry_failed_update(self, *payload: Any) -> Any:
        return await self._answered(protocol.RETRY_FAILED, payload)

    @_configure_update.validator
    def _validate_configure(self, *payload: Any) -> None:
        self._check(protocol.CONFIGURE, payload)

    @_retry_failed_update.validator
    def _validate_retry_failed(self, *payload: Any) -> None:
        self._check(protocol.RETRY_FAILED, payload)

    @workflow.query(
        name=protocol.OUTCOMES,
        description=_HELP[protocol.OUTCOMES],
    )
    def _outcomes(self, *payload: Any) -> dict[str, Any] | None:
        request = protocol.parse_request(protocol.OUTCOMES, self._machine.key, payload, protocol.OutcomesRequest)
        swarm = self._look(request)
        if swarm is None or not isinstance(swarm.plan, SwarmNode):
            return None
        page = protocol.OutcomesPage(outcomes=[], returns=[], total=swarm.size(), pages=tuple(swarm.state.pages))
        size = 0
        for item in map(swarm.peek, range(request.first, swarm.size())):
            outcome = story.outcome(self._machine, item)
            size += wire_size(to_json(outcome))
            if page.outcomes and size > _BYTES_AT_ONCE:
                break
            page.outcomes.append(outcome)
            page.returns.append(story.returned(item))
        return page.to_wire()

    @workflow.query(name=protocol.RERUN, description="A plan of a swarm's failed items; used by mageflow's own client.")
    def _rerun(self, *_payload: Any) -> dict[str, Any]:
        own, late = workflow.info().priority, self._machine.progress.priority
        priority = Priority(
            priority=late.priority or own.priority_key,
            fairness_key=late.fairness_key or own.fairness_key,
            fairness_weight=late.fairness_weight or own.fairness_weight,
        )
        return self._machine.rerun(self._machine.root).model_copy(update={"priority": priority}).to_wire()


def _refusal(error: errors.MageflowError) -> ApplicationError:
    """Return the error in the form that crosses the wire. It fails the update or the run, never the workflow task."""
    details = protocol.Refusal(attributes=errors.attributes(error)).to_wire()
    return ApplicationError(str(error), details, type=type(error).__name__, non_retryable=True)


def _indexes(indexes: range) -> Added:
    return Added(first=indexes.start, count=len(indexes))


async def _pause(pause: timedelta, why: str) -> None:
    if pause > timedelta(0):  # else it passed while a new run took over
        await workflow.sleep(pause, summary=why)


@workflow.defn(name=protocol.WORKFLOW_TYPES["task"], sandboxed=False)
class TaskWorkflow(_Engine):
    """Runs one task."""

    @workflow.init
    def __init__(self, order: Any = None, *_more: Any) -> None:
        super().__init__(order)

    @workflow.run
    async def run(self, _order: Any = None, *_more: Any) -> Any:
        """Return the task's result."""
        return await self._run()


@workflow.defn(name=protocol.WORKFLOW_TYPES["chain"], sandboxed=False)
class ChainWorkflow(_Container):
    """Runs a chain and all that is nested in it."""

    @workflow.init
    def __init__(self, order: Any = None, *_more: Any) -> None:
        super().__init__(order)

    @workflow.run
    async def run(self, _order: Any = None, *_more: Any) -> Any:
        """Return the last step's result."""
        return await self._run()


@workflow.defn(name=protocol.WORKFLOW_TYPES["swarm"], sandboxed=False)
class SwarmWorkflow(_Container):
    """Runs a swarm and all that is nested in it."""

    @workflow.update(name=protocol.ADD, description="Add items; used by mageflow's own client.")
    async def _add(self, *payload: Any) -> dict[str, Any]:
        request = self._request(protocol.ADD, payload, AddsRequest)
        self._succession.worked()
        return AddsAnswer(added=tuple(map(self._added, request.adds))).to_wire()

    def _added(self, request: AddRequest) -> Added:
        try:
            indexes = self._machine.add(self._machine.root, request)
        except errors.MageflowError as error:
            attributes = errors.attributes(error)
            return Added(refused=NotAdded(type=type(error).__name__, message=str(error), attributes=attributes))
        return _indexes(indexes)

    @_add.validator
    def _validate_add(self, *payload: Any) -> None:
        self._request(protocol.ADD, payload, AddsRequest)

    @workflow.query(name=protocol.ADDED, description="What a named add has added; used by mageflow's own client.")
    def _added_before(self, *payload: Any) -> dict[str, Any]:
        request = protocol.parse_request(protocol.ADDED, self._machine.key, payload, AddedRequest)
        return _indexes(self._machine.added(request.id) or range(0)).to_wire()

    @workflow.update(name=protocol.CLOSE, description="Take no more items: the swarm ends when all it has have ended.")
    async def _close_update(self, *_payload: Any) -> None:
        self._machine.close(self._machine.root)

    @workflow.signal(name=protocol.CLOSE, description="Take no more items: the swarm ends when all it has have ended.")
    async def _close_signal(self, *_payload: Any) -> None:
        self._machine.close(self._machine.root)
        self._leave_a_mark()

    @workflow.init
    def __init__(self, order: Any = None, *_more: Any) -> None:
        super().__init__(order)

    @workflow.run
    async def run(self, _order: Any = None, *_more: Any) -> Any:
        """Return the successful results, in the order of submission."""
        return await self._run()


WORKFLOWS = [TaskWorkflow, ChainWorkflow, SwarmWorkflow, PageWorkflow]
