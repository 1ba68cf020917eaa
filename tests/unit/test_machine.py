"""The interpreter by itself: random trees, random outcomes, random verbs, and what must hold at every step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mageflow_temporal.config import SwarmConfig, TaskOptions
from mageflow_temporal.engine.calls import Call, Completed, Failed, Lost, Stopped
from mageflow_temporal.engine.details import details
from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.engine.story import report
from mageflow_temporal.engine.tree import Node
from mageflow_temporal.errors import TaskFailedError
from mageflow_temporal.plan import ChainNode, Plan, PlanNode, SwarmNode, TaskNode, TaskSpec
from mageflow_temporal.status import Status

RETRIES = 2
LOST_LIMIT = 3

SPEC = TaskSpec(options=TaskOptions(retries=RETRIES), task_queue="q", heartbeat_timeout=timedelta(seconds=4))

tasks = st.just(TaskNode(name="t", task="t"))
bare_trees: st.SearchStrategy[PlanNode] = st.recursive(
    tasks,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(lambda m: ChainNode(name="c", members=tuple(m))),
        st.builds(
            lambda m, width, limit: SwarmNode(
                name="s",
                members=tuple(m),
                closed=True,
                config=SwarmConfig(max_concurrency=width, stop_after_n_failures=limit),
            ),
            st.lists(inner, max_size=5),
            st.integers(1, 3),
            st.none() | st.integers(1, 3),
        ),
    ),
    max_leaves=10,
)


@st.composite
def trees(draw: st.DrawFn) -> PlanNode:
    """A tree with callbacks, which may be trees and have callbacks themselves, here and there."""

    def with_callbacks(node: PlanNode, depth: int) -> PlanNode:
        changes: dict[str, Any] = {"on_failure": draw(st.sampled_from(["fail", "fail", "fail", "suspend"]))}
        if not isinstance(node, TaskNode):
            changes["members"] = tuple(with_callbacks(member, depth) for member in node.members)
        if depth < 2 and draw(st.integers(0, 3)) == 0:
            few = st.lists(st.one_of(tasks, bare_trees), max_size=2)
            for field in ("on_success", "on_error"):
                changes[field] = tuple(with_callbacks(callback, depth + 1) for callback in draw(few))
        return node.model_copy(update=changes)

    return with_callbacks(draw(bare_trees), 0)


def nodes(node: Node) -> list[Node]:
    below = [node.child(index) for index in range(node.size())]
    below += [node.callback(segment) for segment in node.callback_plans()]
    return [node, *(found for child in below for found in nodes(child))]


class Life(RuleBasedStateMachine):
    """A machine's life. What is flying is ours to settle, as the server would."""

    @initialize(tree=trees())
    def start(self, tree: PlanNode) -> None:
        self.machine = Machine("k", Plan(root=tree, tasks={"t": SPEC}, lost_worker_limit=LOST_LIMIT))
        self.flying: list[Call] = []
        self.pauses: list[Node] = []
        self.done: dict[tuple[int, ...], int] = {}
        self.machine.start({"x": 1})
        self.send_out()

    @property
    def all(self) -> list[Node]:
        return nodes(self.machine.root)

    def send_out(self) -> None:
        for call in self.machine.take_ready():
            assert not any(node.state.hold for node in call.node.lineage()), "the gate let a held task pass"
            assert call.node.path not in self.done, "a task that has ended was begun again"
            assert call.node not in [other.node for other in self.flying], "a task was begun twice at once"
            self.flying.append(call)
        self.pauses += [node for node, _ in self.machine.timers]
        self.machine.timers.clear()

    def settle(self, call: Call, outcome: Any) -> None:
        self.flying.remove(call)
        self.machine.settle(call.node, outcome)
        if call.node.state.outcome:
            self.done[call.node.path] = self.done.get(call.node.path, 0) + 1
        self.send_out()

    @rule(lot=st.integers(0, 1000), how=st.sampled_from(["value", "value", "error", "fatal", "lost", "stopped"]))
    def outcome(self, lot: int, how: str) -> None:
        if not self.flying:
            return
        call = self.flying[lot % len(self.flying)]
        outcomes = {
            "value": Completed(list(call.node.path)),
            "error": Failed("E", "no", retryable=True),
            "fatal": Failed("E", "no", retryable=False),
            "lost": Lost(),
            "stopped": Stopped(began=True, checkpoint=lot),
        }
        self.settle(call, outcomes[how])

    @rule(lot=st.integers(0, 1000))
    def pause_passes(self, lot: int) -> None:
        if self.pauses:
            node = self.pauses.pop(lot % len(self.pauses))
            self.machine.pause_over(node)
            self.send_out()

    @rule(lot=st.integers(0, 1000))
    def skip(self, lot: int) -> None:
        node = self.all[lot % len(self.all)]
        if node.visible().ended or node.state.outcome or list(node.flying()):
            return
        self.machine.skip(node, f"skipped {node.path}")
        self.send_out()

    @rule(lot=st.integers(0, 1000))
    def retry_failed(self, lot: int) -> None:
        swarms = [node for node in self.all if isinstance(node.plan, SwarmNode) and not node.visible().ended]
        if not swarms or (swarm := swarms[lot % len(swarms)]).state.outcome:
            return
        for item in self.machine.retry_failed(swarm):
            self.done = {path: times for path, times in self.done.items() if path[: len(item.path)] != item.path}
        self.send_out()

    @rule(lot=st.integers(0, 1000), width=st.integers(1, 4))
    def configure(self, lot: int, width: int) -> None:
        swarms = [node for node in self.all if isinstance(node.plan, SwarmNode) and not node.visible().ended]
        if swarms:
            self.machine.configure(swarms[lot % len(swarms)], width)
            self.send_out()

    @rule(lot=st.integers(0, 1000), status=st.sampled_from([Status.SUSPENDED, Status.INTERRUPTED]))
    def hold(self, lot: int, status: Status) -> None:
        node = self.all[lot % len(self.all)]
        if node.visible().ended:
            return
        self.machine.hold(node, status, "why")
        assert node.visible() in (status, Status.ACTIVE), "held at once, or draining"
        self.send_out()

    @rule(lot=st.integers(0, 1000))
    def release(self, lot: int) -> None:
        self.machine.release(self.all[lot % len(self.all)])
        self.send_out()

    @invariant()
    def places_are_kept(self) -> None:
        if not hasattr(self, "machine"):
            return
        for node in self.all:
            if isinstance(node.plan, SwarmNode):
                state = node.state
                assert len(state.running) <= max(node.plan.config.max_concurrency, 4)
                begun = [*state.running, *state.parked, *state.returning]
                assert len(begun) == len(set(begun))

    @invariant()
    def no_place_is_wasted(self) -> None:
        """A held item lets its siblings go on: a place belongs to an item that can use it, and none stays free."""
        if not hasattr(self, "machine"):
            return
        for node in self.all:
            state = node.state
            if not isinstance(node.plan, SwarmNode) or state.status is not Status.ACTIVE or node.holder():
                continue
            if state.outcome:
                continue
            if any(
                inner.parent
                and isinstance(inner.parent.plan, SwarmNode)
                and inner.index not in inner.parent.state.running
                for inner in node.lineage()
            ):
                continue
            for index in state.running:
                item = node.child(index)
                assert item.awake() or list(item.flying()), f"item {item.path} sits on a place that it cannot use"
            limit = node.plan.config.stop_after_n_failures
            stopped = limit is not None and state.failed >= limit
            if (state.next < node.size() or state.returning) and not stopped:
                assert len(state.running) >= (state.max_concurrency or node.plan.config.max_concurrency)

    @invariant()
    def nothing_flies_unseen(self) -> None:
        if hasattr(self, "machine") and not self.machine.ended:
            assert {node.path for node in self.machine.root.flying()} == {call.node.path for call in self.flying}

    @invariant()
    def the_story_can_be_told_and_changes_nothing(self) -> None:
        if hasattr(self, "machine"):
            before = self.machine.progress.model_dump_json()
            told = report(self.machine, self.machine.root)
            assert details(self.machine)
            assert told.status == self.machine.root.visible()
            assert self.machine.progress.model_dump_json() == before

    def callbacks_were_called(self, node: Node) -> None:
        """What succeeded has called its success callbacks, what failed its error callbacks, and nobody any other."""
        state = node.state
        called = {segment for segment, callback in state.callbacks.items() if callback.input}
        due = {Status.DONE: ("s", node.plan.on_success), Status.FAILED: ("e", node.plan.on_error)}
        letter, plans = due.get(state.status, ("", ()))
        assert called == {f"{letter}{index}" for index in range(len(plans))}
        for segment in called:
            callback = state.callbacks[segment]
            assert callback.status.ended, "the end of all waits for callbacks"
            assert callback.input
            assert (callback.input.error is not None) == (letter == "e")

    def teardown(self) -> None:
        """Whatever has happened: when all is released and every task succeeds, the root ends. Nothing hangs."""
        if not hasattr(self, "machine"):
            return
        for node in self.all:
            self.machine.release(node)
        self.send_out()
        for _ in range(10_000):
            if self.machine.ended:
                break
            if self.pauses:
                self.pause_passes(0)
            elif self.flying:
                self.settle(self.flying[0], Completed(list(self.flying[0].node.path)))
            else:
                raise AssertionError(f"nothing to do, and not ended: {details(self.machine)}")
        assert self.machine.ended
        assert not self.flying or self.machine.root.state.status is Status.FAILED
        assert set(self.done.values()) <= {1}
        for node in self.all:
            assert node.state.verdict is None or self.flying, "a verdict without callbacks under way"
            self.callbacks_were_called(node)
        if self.machine.root.state.status is Status.DONE:
            assert self.machine.root.state.result == expected(self.machine.root)
        else:
            assert self.machine.failure is not None


def expected(node: Node) -> Any:
    """What a node's result must be, from the statuses of the tasks and what was skipped."""
    if node.state.skip:
        return node.state.skip.result
    if isinstance(node.plan, TaskNode):
        return list(node.path)
    if isinstance(node.plan, ChainNode):
        return expected(node.child(node.size() - 1))
    done = [node.child(index) for index in range(node.size())]
    assert all(item.state.status.ended for item in done), "a swarm is done when every item has ended"
    return [expected(item) for item in done if item.state.status is Status.DONE]


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def test_an_item_that_was_held_before_an_empty_swarm_in_it_could_end_goes_on_when_resumed() -> None:
    task = TaskNode(name="t", task="t")
    empty = SwarmNode(name="e", members=(), closed=True)
    item = ChainNode(name="c", members=(empty, task))
    root = SwarmNode(name="s", members=(item,), closed=True)
    machine = Machine("key", Plan(root=root, tasks={"t": SPEC}, lost_worker_limit=LOST_LIMIT))
    held = machine.root.child(0)
    machine.hold(held, Status.SUSPENDED, None)
    machine.start(None)
    assert list(machine.take_ready()) == []
    machine.release(held)
    assert [call.task for call in machine.take_ready()] == ["t"]


def test_a_skip_of_what_held_its_item_lets_the_item_have_a_place_again() -> None:
    task = TaskNode(name="t", task="t")
    item = ChainNode(name="c", members=(task, task))
    one_at_a_time = SwarmConfig(max_concurrency=1)
    root = SwarmNode(name="s", members=(item, task), closed=True, config=one_at_a_time)
    machine = Machine("key", Plan(root=root, tasks={"t": SPEC}, lost_worker_limit=LOST_LIMIT))
    machine.hold(machine.root.child(0).child(0), Status.SUSPENDED, None)
    machine.start(None)
    (other,) = machine.take_ready()
    assert other.node.path == (1,), "the held item has given its place up"
    machine.skip(machine.root.child(0).child(0), "skipped")
    machine.settle(other.node, Completed(None))
    (after_it,) = machine.take_ready()
    assert after_it.node.path == (0, 1)
    assert after_it.message == {"mageflow_results": "skipped"}


def test_what_is_held_when_its_container_ends_without_it_is_canceled() -> None:
    task = TaskNode(name="t", task="t")
    root = ChainNode(name="c", members=(task, task))
    machine = Machine("key", Plan(root=root, tasks={"t": SPEC}, lost_worker_limit=LOST_LIMIT))
    machine.start(None)
    [call] = machine.take_ready()
    held = machine.root.child(1)
    machine.hold(held, Status.INTERRUPTED, None)
    assert held.visible() is Status.INTERRUPTED
    machine.settle(call.node, Failed("E", "no", retryable=False))
    assert machine.root.visible() is Status.FAILED
    assert held.visible() is Status.CANCELED


def one_task() -> Machine:
    machine = Machine("key", Plan(root=TaskNode(name="t", task="t"), tasks={"t": SPEC}, lost_worker_limit=LOST_LIMIT))
    machine.start(None)
    return machine


def test_a_task_that_comes_further_each_time_may_lose_any_number_of_workers() -> None:
    machine = one_task()
    for reached in range(1, 5 * LOST_LIMIT):
        [call] = machine.take_ready()
        assert call.checkpoint == (reached - 1 or None)
        machine.settle(call.node, Lost(checkpoint=reached))
    assert not machine.ended


def test_a_task_that_loses_its_workers_where_it_stands_is_given_up() -> None:
    machine = one_task()
    for _ in range(LOST_LIMIT):  # the first of them has brought it there
        [call] = machine.take_ready()
        machine.settle(call.node, Lost(checkpoint="here"))
    assert isinstance(machine.failure, TaskFailedError)
    assert machine.failure.error.startswith(f"{LOST_LIMIT} workers were lost")


def test_what_a_task_came_to_before_it_was_stopped_counts_too() -> None:
    machine = one_task()
    for checkpoint in (1, 2):
        for _ in range(LOST_LIMIT - 1):
            [call] = machine.take_ready()
            machine.settle(call.node, Lost())
        [call] = machine.take_ready()
        machine.settle(call.node, Stopped(began=True, checkpoint=checkpoint))
    [call] = machine.take_ready()
    machine.settle(call.node, Lost(checkpoint=2))
    assert not machine.ended
