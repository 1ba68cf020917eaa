"""The loop of a run: what has happened goes into the machine, and what the machine wants done is done.

It ends when the machine has, or when the run has grown so long that a new one has to go on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

from mageflow_temporal import errors, protocol
from mageflow_temporal.engine import story
from mageflow_temporal.engine.calls import Failed, Outcome
from mageflow_temporal.engine.details import details
from mageflow_temporal.engine.dispatch import Dispatch
from mageflow_temporal.engine.lifecycle import Lifecycle
from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.engine.shelf import Page
from mageflow_temporal.engine.succession import PATIENCE, Succession
from mageflow_temporal.engine.tree import Node, Progress
from mageflow_temporal.message import wire_size
from mageflow_temporal.plan import fit
from mageflow_temporal.protocol import Order

_STATUS = SearchAttributeKey.for_keyword(protocol.STATUS_ATTRIBUTE)
_CALLS_AT_FIRST: Final = 500
"""Calls that one workflow task sends out while none is on its way."""
_CALLS_AT_ONCE: Final = 50
"""Calls that one workflow task sends out while others are on their way. Each takes time, and if more than 100 events
come meanwhile, of some 50 calls that end, the server gives the workflow task up (measured: not once with 50)."""
BYTES_AT_ONCE: Final = 1_000_000
"""What one workflow task sends out at the most: gRPC carries 4 MiB, and after 2 s without a rest the SDK calls it a
deadlock."""
_CALLS_A_TELLING: Final = 100
"""So many calls with one workflow task more between two tellings of the details, each of which looks at all calls."""
NEXT_TASK: Final = timedelta(milliseconds=1)


class Loop:
    """Lets a machine run in a workflow."""

    def __init__(self, order: Any) -> None:
        try:
            self._order = Order.model_validate(order)
        except ValidationError as error:
            # Not what our client makes: it is to fail, and not to be tried again for ever.
            raise refusal(
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
            raise refusal(machine.failure)
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
            if calls >= most or sent >= BYTES_AT_ONCE:
                # What is sent is sent at the end of a workflow task: the rest waits for the next one.
                await workflow.sleep(NEXT_TASK)
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


def refusal(error: errors.MageflowError) -> ApplicationError:
    """Return the error in the form that crosses the wire. It fails the update or the run, never the workflow task."""
    details = protocol.Refusal(attributes=errors.attributes(error)).to_wire()
    return ApplicationError(str(error), details, type=type(error).__name__, non_retryable=True)


async def _pause(pause: timedelta, why: str) -> None:
    if pause > timedelta(0):  # else it passed while a new run took over
        await workflow.sleep(pause, summary=why)
