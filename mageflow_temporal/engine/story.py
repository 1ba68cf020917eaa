"""The tree for those who ask: the status report, the outcomes of items, an activity's summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Final

from mageflow_temporal.engine.calls import Call
from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.engine.tree import Node, NodeState
from mageflow_temporal.plan import ChainNode, SwarmNode, TaskNode, fit, format_path, returns
from mageflow_temporal.protocol import SUMMARY_LIMIT
from mageflow_temporal.status import Counts, ErrorInfo, ItemOutcome, Status, StatusReport, VerbRecord, count

_LISTED: Final = 2_000
"""Members of one node in a report, which has a limit of 2 MiB altogether; `counts` has them all."""
_BRIEF: Final = 200
"""Bytes of an error's message in a tree; who asks for the member itself gets all of it."""


def report(machine: Machine, node: Node, last_verb: VerbRecord | None = None, *, brief: bool = False) -> StatusReport:
    """Return the status of a node and all below it.

    Errors below the node that is asked for are brief: a swarm may have thousands, and an answer has a limit of 2 MiB.
    """
    state, plan, status = node.state, node.plan, node.visible()
    holder = None if status.ended else node.holder()
    is_task = isinstance(plan, TaskNode)
    attempt = state.failures + (0 if state.status.ended and state.status is not Status.DONE else 1)
    return StatusReport(
        kind=plan.kind,
        name=plan.name,
        key=machine.key_of(node),
        status=status,
        last_status=state.last_status,
        attempt=max(attempt, 1) if is_task and state.dispatches else None,
        reason=holder.state.reason if holder else None,
        held_by=machine.key_of(holder) if holder else None,
        skipped=True if state.skip else None,
        error=_brief(state.error) if brief and state.error else state.error,
        counts=None if is_task or node.is_let_go else counts(node),
        children=[report(machine, node.peek(index), brief=True) for index in _listed(node)],
        callbacks=[
            report(machine, node.peek(segment), brief=True)
            for segment in (() if node.is_let_go else node.callback_plans())
        ],
        last_verb=last_verb,
    )


def outcome(machine: Machine, item: Node) -> ItemOutcome:
    """Return what became of an item of a swarm."""
    state = item.state
    done = state.outcome is Status.DONE
    is_task = isinstance(item.plan, TaskNode)
    if item.is_let_go and item.parent and (kept := item.parent.state.finished.get(int(item.index))):
        return ItemOutcome(
            key=machine.key_of(item), name=kept.name, status=Status.DONE, result=kept.result, attempts=kept.attempts
        )
    return ItemOutcome(
        key=machine.key_of(item),
        name=item.plan.name,
        status=item.visible(),
        result=state.result if done else None,
        error=_brief(state.error) if state.error and not done else None,
        attempts=state.failures + (1 if state.flying or (done and not state.skip) else 0) if is_task else None,
    )


def returned(item: Node) -> str | None:
    """Return what the result of an item of a swarm is (`plan.returns`)."""
    kept = item.parent.state.finished.get(int(item.index)) if item.is_let_go and item.parent else None
    return kept.returns if kept else returns(item.plan)


def _listed(node: Node) -> Iterable[int]:
    """Return which members are told of: of very many those in which something is held, then the nearest.

    Of a chain these are around the step under way; of a swarm those under way, those that have ended lately, failures.
    """
    if node.is_let_go:
        return ()
    state, size = node.state, node.size()
    if size <= _LISTED:
        return range(size)
    if isinstance(node.plan, ChainNode):
        first = min(max(state.next - _LISTED // 2, 0), size - _LISTED)
        nearest: Iterable[int] = range(first, first + _LISTED)
    else:
        begun = (*state.running, *state.parked, *state.returning, *state.lingering, *state.children)
        nearest = (*begun, *range(state.next, min(state.next + _LISTED, size)))
    held = (index for index, child in state.children.items() if _holds(child))
    return sorted(islice(dict.fromkeys((*held, *nearest)), _LISTED))


def _holds(state: NodeState) -> bool:
    """Return whether a node or anything below it is held."""
    return bool(state.hold) or any(map(_holds, (*state.children.values(), *state.callbacks.values())))


def _brief(error: ErrorInfo) -> ErrorInfo:
    return error.model_copy(update={"message": fit(error.message, _BRIEF), "traceback": None})


def counts(node: Node) -> Counts:
    """Return how many direct members are in which status."""
    state = node.state
    touched = Counter(
        # What has ended is not looked at any closer: of a large swarm that is most, and this is done at each change.
        child.status if child.status.ended else node.peek(index).visible()
        for index, child in state.children.items()
    )
    if isinstance(node.plan, SwarmNode):
        touched[Status.DONE] += state.next - sum(index < state.next for index in state.children)
    if untouched := node.size() - touched.total():
        touched[node.untouched().visible()] += untouched
    return count(touched)


def summary(call: Call) -> str:
    """Return the line that the Web UI's timeline shows beside an activity."""
    node, parent = call.node, call.node.parent
    parts: list[str] = []
    if parent and isinstance(node.index, str):
        what = "success" if node.index.startswith("s") else "error"
        parts.append(f"{what} callback of {parent.plan.name}")
    elif parent:
        what = "step" if isinstance(parent.plan, ChainNode) else "item"
        where = f" in {parent.plan.name}" if parent.parent else ""
        parts.append(f"{what} {int(node.index) + 1} of {parent.size()}{where}")
    if node.path:
        parts.append(f"target {format_path(node.path)}")
    if call.attempt > 1:
        parts.append(f"attempt {call.attempt}")
    if call.dispatch > call.attempt:
        parts.append("resumed" if call.checkpoint is None else "resumed from its checkpoint")
    return fit(", ".join(parts) or "single task", SUMMARY_LIMIT)
