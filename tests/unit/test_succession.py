"""When a run is to end, and how patiently calls on their way are waited for: what the engine asks Temporal about itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from mageflow_temporal.config import NO_PRIORITY, TaskOptions
from mageflow_temporal.engine import dispatch, succession
from mageflow_temporal.engine.calls import Call
from mageflow_temporal.engine.dispatch import Dispatch
from mageflow_temporal.engine.succession import Succession
from mageflow_temporal.engine.tree import Node, NodeState
from mageflow_temporal.plan import SwarmNode, TaskNode, TaskSpec


@dataclass
class Run:
    """What a workflow knows of its run."""

    length: int = 0
    size: int = 0
    suggested: bool = False
    run_id: str = "run"
    first_execution_run_id: str = "run"

    def get_current_history_length(self) -> int:
        return self.length

    def get_current_history_size(self) -> int:
        return self.size

    def is_continue_as_new_suggested(self) -> bool:
        return self.suggested


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    run = Run()
    for module in (succession, dispatch):
        monkeypatch.setattr(module.workflow, "info", lambda: run)
    return run


def at_work(events_per_run: int | None = None) -> Succession:
    made = Succession(events_per_run)
    made.worked()
    return made


def test_a_run_that_has_done_nothing_is_not_followed_by_another(run: Run) -> None:
    run.suggested = True
    assert not Succession(None).is_due(idle=True)
    assert at_work().is_due(idle=True)


def test_a_run_ends_before_the_server_refuses_its_signals(run: Run) -> None:
    made = at_work()
    for _ in range(7_999):
        made.signalled()
    assert not made.is_due(idle=False)
    made.signalled()
    assert made.is_due(idle=False)


def test_what_was_postponed_is_done_as_soon_as_nothing_is_under_way(run: Run) -> None:
    made, run.length = at_work(100), 100
    assert made.is_due(idle=False)
    made.postpone()
    assert not made.is_due(idle=False)
    assert made.is_due(idle=True)
    run.length = 199
    assert not made.is_due(idle=False)
    run.length = 200
    assert made.is_due(idle=False)


@pytest.mark.parametrize(("length", "size"), [(40_000, 0), (4_096, 40 * 1024 * 1024)])
def test_near_the_limits_of_the_server_nothing_is_postponed(run: Run, length: int, size: int) -> None:
    made, run.length, run.size, run.suggested = at_work(), length, size, True
    made.postpone()
    assert made.is_due(idle=False)
    assert not made.can_be_postponed, "so no timer is set, each of which would cost events"


def test_what_cannot_be_handed_over_works_on_to_the_end(run: Run) -> None:
    made, run.suggested = at_work(), True
    made.give_up()
    assert not made.is_due(idle=True)


class Handle:
    def add_done_callback(self, done: Any) -> None: ...


def test_the_more_calls_are_on_their_way_the_longer_a_heartbeat_may_be_late(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[timedelta] = []

    def start_activity(*_: Any, heartbeat_timeout: timedelta, **__: Any) -> Handle:
        given.append(heartbeat_timeout)
        return Handle()

    monkeypatch.setattr(dispatch.workflow, "start_activity", start_activity)
    swarm = Node(SwarmNode(name="s", members=(TaskNode(name="t", task="t"),) * 501), NodeState())
    spec = TaskSpec(options=TaskOptions(), task_queue="q", heartbeat_timeout=timedelta(seconds=3))
    made = Dispatch(lambda *_: None)
    for index in range(501):
        made.begin(Call(swarm.child(index), "t", spec, None, 1, 1, None), "t", NO_PRIORITY)
    assert given[0] == given[50] == timedelta(seconds=3)
    assert given[51] > timedelta(seconds=3)
    assert given[500] == timedelta(seconds=30)
