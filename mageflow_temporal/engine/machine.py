"""The interpreter: what may begin next, and what follows from an outcome.

It is a plain object: no coroutine, no Temporal. The workflow feeds it outcomes and verbs and asks it for calls; all
that it remembers is in the tree of `NodeState`. The gate is `_clear`: no task passes it while it or anything above it
is held, or while its swarm has no place for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

from mageflow_temporal import errors
from mageflow_temporal.engine import shelf
from mageflow_temporal.engine.calls import Call, Completed, Failed, Lost, Outcome, Stopped
from mageflow_temporal.engine.shelf import Page
from mageflow_temporal.engine.tree import Input, Node, Progress, Skip
from mageflow_temporal.engine.wiring import corrected, message_for, source
from mageflow_temporal.message import deep_merge
from mageflow_temporal.plan import PLAN_VERSION, ChainNode, Plan, SwarmNode, TaskNode, TaskSpec, fit, format_path
from mageflow_temporal.protocol import AddRequest, Paged, Refusal, Rerun, rebuild
from mageflow_temporal.status import ErrorInfo, Status, Verb, after

_REQUESTS_KEPT: Final = 5_000
"""Named requests that a swarm remembers: they travel from run to run, in a payload of at most 2 MiB."""
_BACKLOG: Final = 768 * 1024
"""Bytes that the packed items of a swarm may have: 80,000 items and more."""
_MOST_FAILURES: Final = 10_000
"""A swarm fails at so many failed items at the latest: each keeps all that it takes to run it again."""
_IN_PAGES: Final = "it is in pages of some MiB each; a map takes a list of one payload"
_LONGEST_REASON: Final = 500
"""Bytes: reasons are told of each member that they hold."""


class Machine:
    """Runs one plan."""

    def __init__(self, key: str, plan: Plan, progress: Progress | None = None) -> None:
        self.key = key
        self.plan = plan
        self.progress = progress or Progress()
        self.root = Node(plan.root, self.progress.root)
        self.timers: list[tuple[Node, timedelta]] = []
        """Pauses, before retries or before the root begins, that have yet to be set: the workflow takes them."""
        self.has_page = self.progress.weight > shelf.CARRIED
        """Whether `full_page` may have one."""
        self.undecided: Node | None = None
        """What a verb holds that may yet be refused. A failure that needs the hold makes it its own."""
        self._ready: deque[Node] = deque()
        if progress:
            self._go_on(self.root)

    # What the workflow asks.

    @property
    def ended(self) -> bool:
        """Whether the root has ended."""
        return self.root.state.status.ended

    @property
    def failure(self) -> errors.MageflowError | None:
        """Why the root failed, if it did."""
        if self.progress.failure is None:
            return None
        name, attributes = self.progress.failure
        return rebuild(name, [Refusal(attributes=attributes).to_wire()])

    def _fail_with(self, error: errors.MageflowError | None) -> None:
        self.progress.failure = (type(error).__name__, errors.attributes(error)) if error else None

    @property
    def has_ready(self) -> bool:
        """Whether `take_ready` may have calls."""
        return bool(self._ready or self.timers)

    def key_of(self, node: Node) -> str:
        """Return the key of a node."""
        return f"{self.key}#{format_path(node.path)}" if node.path else self.key

    def take_ready(self) -> Iterator[Call]:
        """Yield the calls whose turn it is. Each is on its way from here on: it must get an outcome."""
        while self._ready:
            node = self._ready.popleft()
            state = node.state
            # What was ready may have been held since, or have been made ready twice by two verbs.
            if not state.waiting or not self._clear(node):
                continue
            if state.skip or not isinstance(node.plan, TaskNode):
                self._open(node)
                self._give_up_places(node)  # what comes next in its item may be held
                continue
            spec = self._spec(node.plan)
            state.waiting, state.flying, state.status = False, True, Status.ACTIVE
            state.dispatches += 1
            self.progress.calls += 1
            yield Call(
                node=node,
                task=node.plan.task,
                spec=spec,
                message=self.message_for(node),
                attempt=state.failures + 1,
                dispatch=state.dispatches,
                checkpoint=state.checkpoint,
                paged=bool(self.progress.pages),
            )

    # What happens to the tree.

    def start(self, message: Any, delay: timedelta | None = None) -> None:
        """Begin with the root, perhaps after a pause."""
        self.progress.started = True
        self.progress.message = message
        if delay:
            self.root.state.backing_off = True
            self.timers.append((self.root, delay))
        elif isinstance(self.root.plan, TaskNode) or not self._clear(self.root):
            self._turn_again(self.root)
        else:
            self._open(self.root)

    def settle(self, node: Node, outcome: Outcome) -> None:
        """Take in the outcome of a call."""
        state = node.state
        state.flying = False
        match outcome:
            case Completed(result):
                self._end(node, Status.DONE, result)
            case Failed():
                self._attempt_failed(node, outcome)
            case Stopped() if outcome.began and not outcome.asked and self._runs_once(node):
                # Nobody has interrupted it: its worker was stopped.
                self._worker_lost(node, outcome.checkpoint)
            case Stopped():
                self._turn_again(node, outcome.checkpoint)
                if state.hold and not outcome.began:
                    state.last_status = state.held_in = Status.PENDING
                if outcome.error:
                    state.error = ErrorInfo(type="Interrupted", message=outcome.error, attempt=state.failures + 1)
            case Lost():
                self._worker_lost(node, outcome.checkpoint)
        self._give_up_places(node)

    def refuse_result(self, failure: errors.PayloadTooLargeError) -> None:
        """Let the root fail after all: its result cannot leave."""
        self.root.state.status, self.root.state.result = Status.FAILED, None
        self._fail_with(failure)

    def full_page(self, *, of_all: bool = False) -> Page | None:
        """Return results that have to leave the tree, if they are more than it should carry, or any with `of_all`."""
        page = shelf.full_page(self.root, self.progress, 0 if of_all else shelf.CARRIED)
        if page is None:
            self.has_page = False
            for swarm in list(self.root.swarms()):
                self._end_swarm_if_complete(swarm)  # it may have waited for a page that cannot be
        return page

    def page_turned(self, page: Page, page_id: str) -> None:
        """A workflow keeps the page from now on."""
        shelf.turned(self.progress, page, page_id)
        if page.swarm.state.outcome is None:
            self._end_swarm_if_complete(page.swarm)

    def pause_over(self, node: Node) -> None:
        """A pause has passed, before a retry or before the root begins."""
        # Else it was skipped, or is no longer there: an item that failed around it has begun anew.
        if node.state.backing_off and self.root.look(node.path) is node:
            node.state.backing_off, node.state.pause_ends = False, None
            self._turn_again(node)

    def hold(self, node: Node, status: Status, reason: str | None) -> None:
        """Close the gate for a node and all below it."""
        state = node.state
        if state.hold is None:
            state.held_in = state.status
        state.last_status = node.visible()
        state.hold, state.reason = status, reason
        self._give_up_places(node)

    def release(self, node: Node, kwargs: dict[str, Any] | None = None) -> None:
        """Open the gate for a node, so far as nothing above it is held.

        `kwargs` are laid over the messages of whatever begins at and below it from now on.
        """
        state = node.state
        if kwargs:
            state.kwargs = deep_merge(state.kwargs or {}, kwargs)
        if state.hold is None:
            return
        if state.waiting:
            state.status = after(state.hold, Verb.RESUME, state.held_in)
        state.last_status, state.hold, state.reason = state.hold, None, None
        self._wake(node)
        self._go_on(node)

    def add(self, swarm: Node, request: AddRequest) -> range:
        """Append items to a swarm and return their indexes.

        Raises:
            SwarmIsCanceledError: it was cancelled.
            SwarmIsClosedError: it is closed, or has ended.
            SwarmIsFullError: more items wait for their turn than it can carry.
            TooManyTasksError: it would have more items than it takes; none was added.
        """
        plan, state, key = swarm.plan, swarm.state, self.key_of(swarm)
        if (known := self.added(request.id)) is not None:
            return known
        assert isinstance(plan, SwarmNode)
        if state.outcome is Status.CANCELED:
            raise errors.SwarmIsCanceledError(key=key, how=state.outcome)
        if state.closed or plan.closed or state.outcome:
            raise errors.SwarmIsClosedError(key=key, how=state.outcome or "closed")
        limit, first = plan.config.max_task_allowed, swarm.size()
        size = first + len(request.items)
        if limit is not None and size > limit:
            raise errors.TooManyTasksError(swarm=key, limit=limit, asked=size)
        if sum(len(parcel.text) for parcel in state.parcels) > _BACKLOG:
            raise errors.SwarmIsFullError(key=key, waiting=first - state.next)
        self.progress.tasks.update(request.tasks)
        swarm.append(request.items)
        if size == limit and request.close_on_max_task:
            state.closed = True
        if request.id:
            self.progress.requests[request.id] = (first, size)
            if len(self.progress.requests) > _REQUESTS_KEPT:
                del self.progress.requests[next(iter(self.progress.requests))]
        self._fill(swarm)
        return range(first, size)

    def added(self, request_id: str | None) -> range | None:
        """Return the indexes of the items that the request of that name has added; `None` if none is known."""
        known = self.progress.requests.get(request_id or "")
        return None if known is None else range(*known)

    def close(self, swarm: Node) -> None:
        """Take no more items into a swarm, which may end it."""
        swarm.state.closed = True
        if swarm.state.outcome is None and swarm.state.status is not Status.PENDING:
            self._end_swarm_if_complete(swarm)

    def skip(self, node: Node, result: Any) -> None:
        """Let a node be done with that result, now or when its turn comes. Nothing at or below it may be flying."""
        state = node.state
        state.skip = Skip(result=result)
        state.hold = state.reason = None
        if state.status is Status.PENDING and not state.waiting and not state.backing_off:
            return  # its turn has not come
        for child in list(node.open_children()):
            self._cancel(child)
        for places in (state.running, state.parked, state.returning, state.lingering):
            places.clear()
        cancelled = state.open_callbacks
        for owner in node.lineage():
            owner.state.open_callbacks -= cancelled
        self._end(node, Status.DONE, result)
        self._wake(node)

    def configure(self, swarm: Node, max_concurrency: int) -> None:
        """Change how many items of a swarm run at once. What runs goes on to its end."""
        swarm.state.max_concurrency = max_concurrency
        self._fill(swarm)

    def retry_failed(self, swarm: Node) -> list[Node]:
        """Begin the failed items of a swarm anew, before any that have not begun, and return them."""
        state = swarm.state
        failed = [index for index in sorted(state.children) if state.children[index].status is Status.FAILED]
        for index in failed:
            shelf.forget(self.progress, swarm.child(index))
            swarm.forget(index).state.waiting = True
        state.failed -= len(failed)
        if not state.failed:
            state.error = state.failed_message = None
        state.returning.extend(failed)
        self._fill(swarm)
        return [swarm.child(index) for index in failed]

    def rerun(self, swarm: Node) -> Rerun:
        """Return a plan that runs the failed items of a swarm, for when it has ended."""
        assert isinstance(swarm.plan, SwarmNode)
        states = swarm.state.children
        failed = [swarm.peek(index) for index in sorted(states) if states[index].status is Status.FAILED]
        elements, width = swarm.state.elements, swarm.state.max_concurrency
        kwargs, members = corrected(swarm, failed)
        root = swarm.plan.model_copy(
            update={
                "kwargs": kwargs,
                "members": () if swarm.plan.template else members,
                "config": swarm.plan.config.model_copy(update={"max_concurrency": width} if width else {}),
                "over": None if elements is None else tuple(elements[int(node.index)] for node in failed),
                "closed": True,
            }
        )
        tasks = {**self.plan.tasks, **self.progress.tasks}
        return Rerun(
            # Its items may have been added by a newer client than the one that made the plan.
            plan=self.plan.model_copy(update={"version": PLAN_VERSION, "root": root, "tasks": tasks}),
            message=self.progress.message,
            failed=len(failed),
        )

    def cancel(self) -> None:
        """End all that has not ended as canceled. Nothing may be flying any more."""
        self._ready.clear()
        self.timers.clear()
        self._cancel(self.root)

    # Beginning.

    def _open(self, node: Node) -> None:
        """Begin what needs no call: a chain or swarm, or what was skipped before its turn."""
        plan, state = node.plan, node.state
        if state.skip:
            self._end(node, Status.DONE, state.skip.result)
            return
        state.waiting, state.status = False, Status.ACTIVE
        if isinstance(plan, ChainNode):
            self._turn_again(node.child(0))
        elif isinstance(plan, SwarmNode):
            state.closed = state.closed or plan.closed
            if plan.template and not self._spread(node, plan):
                return
            self._fill(node)

    def _spread(self, node: Node, plan: SwarmNode) -> bool:
        """Give a map an item for each element; a map of what is no list has failed."""
        given = plan.over
        if given is None:
            given = source(node, self.progress.message).value
        if isinstance(given, list | tuple):
            node.state.elements = [*cast("list[Any]", given)]
            return True
        error: errors.MageflowError = errors.NotAListError(key=self.key_of(node), got=type(given).__name__)
        if Paged.of(given):
            error = errors.PayloadTooLargeError(what=f"the list for the map {self.key_of(node)!r}", cause=_IN_PAGES)
        info = ErrorInfo(type=type(error).__name__, message=str(error))
        self._fail(node, _Failure(error, info, self.message_for(node)))
        return False

    def _turn_again(self, node: Node, checkpoint: Any = None) -> None:
        """It is the node's turn: it begins, or begins again, as soon as it passes the gate."""
        state = node.state
        state.waiting = True
        state.status = Status.PENDING
        state.reach(checkpoint)
        if self._clear(node):
            self._ready.append(node)

    def _clear(self, node: Node) -> bool:
        """The gate: whether nothing holds the node and every swarm above it has given its item a place."""
        placed = False
        for inner in node.lineage():
            if inner.state.hold:
                return False
            swarm = inner.parent
            # A callback needs no place: what it hangs on has given its own back.
            placed = placed or inner.is_callback
            if swarm and not placed and isinstance(swarm.plan, SwarmNode) and inner.index not in swarm.state.running:
                return False
        return True

    def _wake(self, node: Node) -> None:
        """Let the items that this node is in, and that gave up their places because of its hold, have places again."""
        for item in reversed(list(node.lineage())):
            swarm = item.parent
            if swarm and isinstance(item.index, int) and item.index in swarm.state.parked and item.awake():
                swarm.state.parked.remove(item.index)
                swarm.state.returning.append(item.index)
                self._fill(swarm)

    def _go_on(self, node: Node) -> None:
        """Make ready whatever in this subtree waits and passes the gate."""
        if node.state.waiting and self._clear(node):
            self._ready.append(node)
        for child in list(node.open_children()):
            self._go_on(child)
        if isinstance(node.plan, SwarmNode):
            self._fill(node)

    def _fill(self, swarm: Node) -> None:
        """Give the free places of a swarm away: first to items that come back, then to new ones, in their order."""
        plan, state = swarm.plan, swarm.state
        assert isinstance(plan, SwarmNode)
        if state.status is not Status.ACTIVE or state.outcome or swarm.holder():
            return
        places = state.max_concurrency or plan.config.max_concurrency
        while len(state.running) < places and not self._stopped(swarm):
            if state.returning:
                index, let_go_on = state.returning.pop(0), self._go_on
            elif state.next < swarm.size():
                index, let_go_on = state.next, self._turn_again
            else:
                break
            item = swarm.child(index)
            state.next = max(state.next, index + 1)
            state.running.append(index)
            let_go_on(item)
            self._park_if_stuck(item)  # it may have been held while it waited for its place
        self._end_swarm_if_complete(swarm)

    def _give_up_places(self, node: Node) -> None:
        """Where an item can do nothing until it is resumed, let others of its swarm have its place."""
        for item in node.lineage():
            if item.parent and self._park_if_stuck(item):
                self._fill(item.parent)

    def _park_if_stuck(self, item: Node) -> bool:
        swarm = item.parent
        if swarm is None or not isinstance(item.index, int) or item.index not in swarm.state.running:
            return False
        if item.awake() or next(item.flying(), None):
            return False
        swarm.state.running.remove(item.index)
        swarm.state.parked.append(item.index)
        return True

    def _spec(self, task: TaskNode) -> TaskSpec:
        return self.plan.tasks.get(task.task) or self.progress.tasks[task.task]

    def message_for(self, node: Node) -> Any:
        """Return what a task is given when it begins."""
        spec = self._spec(node.plan) if isinstance(node.plan, TaskNode) else None
        return message_for(node, spec, self.progress.message)

    def _runs_once(self, node: Node) -> bool:
        return isinstance(node.plan, TaskNode) and self._spec(node.plan).options.at_most_once

    # Ending.

    def _attempt_failed(self, node: Node, failed: Failed) -> None:
        state = node.state
        assert isinstance(node.plan, TaskNode)
        options = self._spec(node.plan).options
        state.failures += 1
        state.error = ErrorInfo(
            type=failed.type, message=failed.message, attempt=state.failures, traceback=failed.traceback
        )
        state.reach(failed.checkpoint)
        if failed.retryable and state.failures - state.forgiven <= options.retries:
            state.status, state.backing_off = Status.PENDING, True
            pause = options.backoff(state.failures - 1) if failed.retry_in is None else failed.retry_in
            self.timers.append((node, pause))
        else:
            self._fail_task(node, failed)

    def _worker_lost(self, node: Node, checkpoint: Any) -> None:
        state = node.state
        state.reach(checkpoint)
        state.losses += 1
        if self._runs_once(node):
            message = (
                "the worker was lost or stopped while it executed this task, which may run at most once: whether it "
                "has done its work is not known"
            )
        elif state.losses >= self.plan.lost_worker_limit:
            message = (
                f"{state.losses} workers were lost while they executed this task: it kills them, or blocks their event "
                "loop for longer than the heartbeat timeout"
            )
        else:
            self._turn_again(node)
            return
        failed = Failed(type="WorkerLostError", message=message, retryable=False)
        state.error = ErrorInfo(type=failed.type, message=message, attempt=state.failures + 1)
        self._fail_task(node, failed)

    def _fail_task(self, node: Node, failed: Failed) -> None:
        assert isinstance(node.plan, TaskNode)
        assert node.state.error
        error = errors.TaskFailedError(
            key=self.key_of(node),
            task=node.plan.task,
            attempts=max(node.state.failures, 1),
            type=failed.type,
            error=failed.message,
            traceback=failed.traceback,
        )
        self._fail(node, _Failure(error, node.state.error, self.message_for(node)))

    def _fail(self, node: Node, failure: _Failure) -> None:
        """Let a node fail; or, where something that would fail with it is to be suspended instead, do that."""
        keeper = self._keeper(node)
        if keeper is None:
            self._end(node, Status.FAILED, None, failure)
            return
        state = node.state
        state.error, state.forgiven, state.losses = failure.info, state.failures, 0
        reason = fit(f"{self.key_of(node)} failed: {failure.info.type}: {failure.info.message}", _LONGEST_REASON)
        if keeper.state.hold is None:
            self.hold(keeper, Status.SUSPENDED, reason)
        elif keeper is self.undecided:
            keeper.state.reason, self.undecided = reason, None
        self._turn_again(node)

    def _keeper(self, node: Node) -> Node | None:
        """Return what is to be suspended instead of failing: the innermost of all that would fail with the node."""
        for inner in node.lineage():
            if inner.plan.on_failure == "suspend":
                return inner
            swarm = inner.parent
            if inner.is_callback or (swarm and isinstance(swarm.plan, SwarmNode) and not self._stopped(swarm, more=1)):
                return None
        return None

    def _end(self, node: Node, status: Status, result: Any, failure: _Failure | None = None) -> None:
        state = node.state
        state.verdict, state.result = status, result
        state.waiting = state.backing_off = False
        if failure and state.error is None:
            state.error = failure.info
        self._call_back(node, failure)
        parent = node.parent
        if parent is None:
            self._fail_with(failure.error if failure else None)
        elif isinstance(node.index, int):
            if state.open_callbacks:
                parent.state.lingering.append(node.index)
            if isinstance(parent.plan, ChainNode):
                self._step_ended(parent, node, failure)
            else:
                self._item_ended(parent, node, failure)
        self._finish(node)

    def _call_back(self, node: Node, failure: _Failure | None) -> None:
        """Begin the callbacks of what has ended, side by side. A suspended signature holds them."""
        callbacks = [node.callback(segment) for segment in node.callback_plans()]
        # All are counted before the first begins: one that ends at once must not seem to have been the last.
        for owner in node.lineage():
            owner.state.open_callbacks += len(callbacks)
        for callback in callbacks:
            callback.state.input = (
                Input(message=failure.message, error=failure.info) if failure else Input(result=node.state.result)
            )
            self._turn_again(callback)

    def _finish(self, node: Node) -> None:
        """Let a verdict become the status, once no callback is open any more."""
        state = node.state
        if state.verdict is None or state.open_callbacks:
            return
        state.status, state.verdict, state.hold, state.reason = state.verdict, None, None, None
        if node.parent and isinstance(node.index, int) and node.index in node.parent.state.lingering:
            node.parent.state.lingering.remove(node.index)
        if node.parent and isinstance(node.index, int) and isinstance(node.parent.plan, SwarmNode):
            self._keep(node.parent, node.index)
        if node.parent and node.is_callback:
            for owner in node.parent.lineage():
                owner.state.open_callbacks -= 1
                self._finish(owner)

    def _step_ended(self, chain: Node, step: Node, failure: _Failure | None) -> None:
        if failure:
            self._end(chain, Status.FAILED, None, failure)
            return
        # The chain carries the one result that the next step needs; steps keep none, so a long chain stays small.
        result, step.state.result = step.state.result, None
        if chain.state.next + 1 == chain.size():
            self._end(chain, Status.DONE, result)
            return
        chain.state.result = result
        chain.state.next += 1
        self._turn_again(chain.child(chain.state.next))

    def _item_ended(self, swarm: Node, item: Node, failure: _Failure | None) -> None:
        state = swarm.state
        for places in (state.running, state.parked, state.returning):
            if item.index in places:
                places.remove(item.index)
        if failure:
            state.failed += 1
            if state.failed == 1:
                state.error = ErrorInfo(type=type(failure.error).__name__, message=str(failure.error))
                state.failed_message = failure.message
        else:
            shelf.weigh(self.progress, swarm, item.state.result)
        self._fill(swarm)
        self._end_swarm_if_complete(swarm)

    def _keep(self, swarm: Node, index: int) -> None:
        """Take note of an item that has ended."""
        if swarm.child(index).state.status is Status.DONE:
            shelf.put(self.progress, swarm, index)
            self.has_page = self.progress.weight > shelf.CARRIED

    def _stopped(self, swarm: Node, more: int = 0) -> bool:
        """Return whether so many items have failed, or would have with `more`, that the swarm fails."""
        assert isinstance(swarm.plan, SwarmNode)
        limit = swarm.plan.config.stop_after_n_failures
        return swarm.state.failed + more >= (_MOST_FAILURES if limit is None else min(limit, _MOST_FAILURES))

    def _end_swarm_if_complete(self, swarm: Node) -> None:
        state = swarm.state
        if state.running or state.outcome:
            return
        if self._stopped(swarm):
            first = state.error.message if state.error else ""
            error = errors.SwarmFailedError(key=self.key_of(swarm), failures=state.failed, first=first)
            info = ErrorInfo(type=type(error).__name__, message=str(error))
            self._end(swarm, Status.FAILED, None, _Failure(error, info, state.failed_message))
        elif (
            state.closed
            and state.next == swarm.size()
            and not (state.parked or state.returning)
            and not shelf.is_overfull(swarm)  # it ends when its results are in pages
        ):
            self._end(swarm, Status.DONE, shelf.results(swarm))

    def _cancel(self, node: Node) -> None:
        for child in list(node.open_children()):
            self._cancel(child)
        state = node.state
        if not state.status.ended:
            state.last_status = node.visible()
            state.status, state.verdict = state.verdict or Status.CANCELED, None
            state.hold, state.waiting, state.backing_off = None, False, False


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why something failed, and what its error callbacks get."""

    error: errors.MageflowError
    info: ErrorInfo
    message: Any
    """The message of the task that failed."""
