"""What the Web UI's table says, and that it stays small and is told quickly."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from mageflow_temporal.config import SwarmConfig, TaskOptions
from mageflow_temporal.engine.calls import Call, Completed, Failed
from mageflow_temporal.engine.details import details
from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.plan import ChainNode, Plan, PlanNode, SwarmNode, TaskNode, TaskSpec
from mageflow_temporal.status import Status, VerbRecord

SPEC = TaskSpec(options=TaskOptions(retries=1), task_queue="q", heartbeat_timeout=timedelta(seconds=4))
TORN = Failed("ValueError", "page is torn", retryable=False)


def task(name: str = "read-page") -> TaskNode:
    return TaskNode(name=name, task="t")


def swarm(size: int, at_once: int, member: PlanNode | None = None, name: str = "pages") -> SwarmNode:
    config = SwarmConfig(max_concurrency=at_once)
    return SwarmNode(name=name, members=(member or task(),) * size, closed=True, config=config)


def chain(*members: PlanNode) -> ChainNode:
    return ChainNode(name="digitise", members=members)


class Told:
    """A machine that has been started, and what is told of it."""

    def __init__(self, root: PlanNode) -> None:
        self.machine = Machine("k", Plan(root=root, tasks={"t": SPEC}, lost_worker_limit=3))
        self.machine.start({})
        self.flying: list[Call] = []
        self.settle(0)

    def settle(self, number: int, outcome: Completed | Failed = Completed(None)) -> None:
        self.flying += self.machine.take_ready()
        for _ in range(number):
            self.machine.settle(self.flying.pop(0).node, outcome)
            self.flying += self.machine.take_ready()

    @property
    def lines(self) -> list[str]:
        return details(self.machine).replace("\N{NO-BREAK SPACE}", " ").splitlines()

    @property
    def rows(self) -> list[list[str]]:
        lines = [line for line in self.lines if line.startswith("|")][2:]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_chain_is_told_step_by_step() -> None:
    told = Told(chain(task("fetch"), swarm(3, 2), task("publish")))
    told.settle(2)
    assert told.lines[:3] == ["▶ **chain digitise** is **active**", "", "▰▰▰▱▱▱▱▱▱▱ 1 of 3 done, 1 active"]
    assert told.rows == [
        ["0", "✓ done", "fetch", ""],
        ["1", "▶ active", "pages", "1 of 3 done, 2 active"],
        ["1.0", "✓ done", "read-page", ""],
        ["1.1", "▶ active", "read-page", ""],
        ["1.2", "▶ active", "read-page", ""],
        ["2", "· pending", "publish", ""],
    ]


def test_what_runs_failed_or_is_held_has_a_row_wherever_it_stands_and_the_rest_is_counted() -> None:
    told = Told(swarm(10_000, 5))
    told.settle(99)
    told.settle(1, TORN)
    told.settle(4_900)
    told.machine.hold(told.machine.root.child(9_000), Status.SUSPENDED, "at the binder's")
    shown = {row[0]: row[1:] for row in told.rows}
    assert shown["99"] == ["✗ failed", "read-page", "ValueError: page is torn (attempt 1)"]
    assert [path for path, cells in shown.items() if cells[0] == "▶ active"] == [str(5_000 + i) for i in range(5)]
    assert shown["9000"] == ["‖ suspended", "read-page", "at the binder's"]
    assert shown["5005"][0] == "· pending"
    assert shown["…"] == ["…", "9985 more", "4986 pending, 4999 done"]
    assert told.lines[2].endswith("4999 of 10000 done, 5 active, 1 suspended, 1 failed")


def test_each_of_many_chains_has_a_row_before_any_has_its_steps() -> None:
    told = Told(swarm(12, 12, chain(task("a"), task("b"), task("c"))))
    for call in list(told.flying[:11]):
        told.machine.settle(call.node, TORN)
    rows = told.rows
    assert [row[0] for row in rows if "." not in row[0]] == [str(index) for index in range(12)]
    assert [row[0] for row in rows if row[0].startswith("11.")] == ["11.0", "11.1", "11.2"], "what runs is opened"


def test_a_long_chain_is_shown_around_the_step_that_runs() -> None:
    told = Told(chain(*[task(f"step-{number}") for number in range(100)]))
    told.settle(50)
    assert [row[0] for row in told.rows] == [*map(str, range(47, 62)), "…"]
    assert told.rows[-1][2:] == ["85 more", "38 pending, 47 done"]


def test_a_hold_says_why_what_still_runs_and_what_the_signal_came_to() -> None:
    told = Told(swarm(3, 2))
    told.machine.hold(told.machine.root, Status.SUSPENDED, "the disk is *nearly* full")
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    told.machine.progress.last_verb = VerbRecord(verb="suspend", at=at, accepted=False, verdict="no such member")
    assert told.lines[0] == r"‖ **swarm pages** is **suspended**: the disk is \*nearly\* full"
    assert told.lines[2] == "▱▱▱▱▱▱▱▱▱▱ 0 of 3 done, 2 active, 1 suspended; 2 tasks still run"
    assert told.lines[4] == "Last asked: **suspend** at 03:04:05 UTC: refused: no such member"


def test_a_task_alone_says_which_attempt_and_why_the_last_one_failed() -> None:
    told = Told(task())
    assert told.lines == ["▶ **task read-page** is **active**"]
    told.machine.settle(told.flying.pop().node, Failed("ValueError", "a | b\n<c> __d__ e_f", retryable=True))
    assert told.lines == [
        r"· **task read-page** is **pending**: attempt 2, after ValueError: a \| b \<c> \_\_d\_\_ e_f",
    ]


def test_callbacks_say_when_they_are_called() -> None:
    told = Told(chain(task("a"), task("b")).model_copy(update={"on_success": (task("s"),), "on_error": (task("e"),)}))
    assert told.rows[2:] == [
        ["s0", "· pending", "s", "called on success"],
        ["e0", "· pending", "e", "called on failure"],
    ]


def test_the_largest_swarm_is_told_in_little_and_quickly() -> None:
    """The Web UI puts it into an address; and it is told at each change."""
    told = Told(swarm(10_000, 500, name="p" * 50))
    told.settle(5_000)
    told.settle(1_000, Failed("ValueError", "x" * 1000, retryable=False))
    begun = time.process_time()
    for _ in range(20):
        text = details(told.machine)
    assert len(quote(text)) < 8_000
    assert (time.process_time() - begun) / 20 < 0.05
