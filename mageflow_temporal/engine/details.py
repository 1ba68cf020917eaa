"""The Web UI's current details: how it stands, as a table for people, in Markdown.

It is told again at nearly every change, so it looks at what runs, failed or is held, and only counts the rest.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.engine.story import counts
from mageflow_temporal.engine.tree import Node
from mageflow_temporal.plan import Path, SwarmNode, TaskNode, fit, format_path
from mageflow_temporal.status import ENDED, HELD, Status, VerbRecord

_ROWS: Final = 30
"""Rows of the table, each a task, chain or swarm: the Web UI puts all of it into an address, which has its limits."""
_MEMBERS: Final = 15
"""Members of one chain or swarm that have a row; the others are counted in one."""
_LATEST: Final = 5
"""Failed members of a swarm, and held ones, that have a row before all others."""
_BEFORE: Final = 3
"""Steps of a long chain that have a row although they are done."""
_BRIEF: Final = 120
"""Bytes of an error's message."""
_BAR: Final = 10
_WORTH_A_WORD: Final = [status for status in Status if status not in (Status.DONE, Status.PENDING)]

# Of the characters that every font has.
_MARKS: Final = {
    Status.PENDING: "·",
    Status.ACTIVE: "▶",
    Status.SUSPENDED: "‖",
    Status.INTERRUPTED: "■",
    Status.DONE: "✓",
    Status.FAILED: "✗",
    Status.CANCELED: "⊘",
}
_INDENT: Final = "\N{EM SPACE}"
"""Also between the columns: the page puts none there."""
_TIED: Final = "\N{NO-BREAK SPACE}"
_MARKDOWN: Final = re.compile(r"[\\|*`<\[~]|(?<![^\W_])_|_(?![^\W_])")
"""What would be markup in the words of users: not an underscore within a word."""


def details(machine: Machine) -> str:
    """Return how it stands, in Markdown; a target in it is what a signal can be given."""
    root, tally = machine.root, _tally(machine.root)
    lines = [_headline(root, tally)]
    if verb := machine.progress.last_verb:
        lines += ["", _last(verb)]
    if _has_parts(root):
        lines += ["", "| target | status | task | |", "| --- | --- | --- | --- |", *_rows(root, tally, _chosen(root))]
    return "\n".join(lines)


def _headline(root: Node, tally: Counter[Status]) -> str:
    status = root.visible()
    line = f"{_MARKS[status]} **{root.plan.kind} {_plain(root.plan.name)}** is **{status}**"
    if isinstance(root.plan, TaskNode):
        note = _note(root, tally)
        return f"{line}: {note}" if note else line
    if root.state.hold and root.state.reason:
        line += f": {_plain(root.state.reason)}"
    elif status is Status.FAILED and root.state.error:
        line += f": {_error(root)}"
    size = max(tally.total(), 1)
    filled = _BAR * sum(tally[status] for status in ENDED) // size
    line += f"\n\n{'▰' * filled}{'▱' * (_BAR - filled)} {_progress(tally)}"
    if status in HELD and (flying := sum(1 for _ in root.flying())):
        line += f"; {'1 task still runs' if flying == 1 else f'{flying} tasks still run'}"
    return line


def _last(verb: VerbRecord) -> str:
    target = f" of {verb.target}" if verb.target else ""
    verdict = "" if verb.accepted else "refused: "
    return f"Last asked: **{verb.verb}**{target} at {verb.at:%H:%M:%S} UTC: {verdict}{_plain(verb.verdict)}"


def _chosen(root: Node) -> dict[Path, list[Node]]:
    """Return the members that have a row, by the path of what they belong to: outer ones first, while there is room."""
    chosen: dict[Path, list[Node]] = {}
    room, queue = _ROWS, deque([root])
    while queue and room > 0:
        node = queue.popleft()
        chosen[node.path] = members = _foremost(node, min(room, _MEMBERS))
        room -= len(members)
        queue.extend(sorted(filter(_has_parts, members), key=_urgency))
    return chosen


def _foremost(node: Node, room: int) -> list[Node]:
    members: set[int] = set()
    for index in _by_interest(node):
        if len(members) == room:
            break
        members.add(index)
    callbacks = islice(node.callback_plans(), room - len(members))
    return [node.peek(index) for index in (*sorted(members), *callbacks)]


def _by_interest(node: Node) -> Iterator[int]:
    """Yield the indexes of members, those first that people look for; some come twice."""
    if isinstance(node.plan, TaskNode):
        return
    state, size = node.state, node.size()
    yield from islice((index for index in reversed(state.children) if state.children[index].hold), _LATEST)
    if not isinstance(node.plan, SwarmNode):
        yield from range(max(min(state.next - _BEFORE, size - _MEMBERS), 0), size)
        return
    if state.failed:
        failed = (index for index in reversed(state.children) if state.children[index].status is Status.FAILED)
        yield from islice(failed, _LATEST)
    yield from chain(state.running, state.parked, state.returning, state.lingering)
    yield from range(state.next, size)
    yield from range(state.next - 1, -1, -1)


def _rows(node: Node, tally: Counter[Status], chosen: dict[Path, list[Node]]) -> Iterator[str]:
    shown = chosen.get(node.path, [])
    members = [member for member in shown if not member.is_callback]
    for member in members:
        yield from _row(member, chosen)
    if shown and len(members) < tally.total():
        rest = tally - Counter(member.visible() for member in members)
        path = format_path((*node.path, "…"))
        yield f"| {path} | … | {_INDENT * (len(node.path) + 1)}{rest.total()} more | {_INDENT}{_listed(rest)} |"
    for callback in shown[len(members) :]:
        yield from _row(callback, chosen)


def _row(node: Node, chosen: dict[Path, list[Node]]) -> Iterator[str]:
    """Yield a node's row, and those of what belongs to it."""
    status, tally = node.visible(), _tally(node)
    name = _INDENT * len(node.path) + _plain(node.plan.name)
    yield f"| {format_path(node.path)} | {_MARKS[status]}{_TIED}{status} | {name} | {_INDENT}{_note(node, tally)} |"
    yield from _rows(node, tally, chosen)


def _note(node: Node, tally: Counter[Status]) -> str:
    """Return what there is to say of a node besides its status."""
    state, status = node.state, node.visible()
    parts: list[str] = []
    if isinstance(node.index, str):
        parts.append("called on success" if node.index.startswith("s") else "called on failure")
    if not isinstance(node.plan, TaskNode) and not node.is_let_go:
        parts.append(_progress(tally))
    elif state.error and status is Status.FAILED:
        parts.append(f"{_error(node)} (attempt {state.error.attempt})")
    elif state.error and not status.ended:
        when = f" at {state.pause_ends:%H:%M:%S} UTC" if state.backing_off and state.pause_ends else ""
        parts.append(f"attempt {state.failures + 1}{when}, after {_error(node)}")
    elif state.failures and status is Status.DONE:
        parts.append(f"attempt {state.failures + 1}")
    if state.hold and state.reason:
        parts.append(_plain(state.reason))
    if state.skip:
        parts.append("skipped")
    return ", ".join(parts)


def _progress(tally: Counter[Status]) -> str:
    others = [f"{tally[status]} {status}" for status in _WORTH_A_WORD if tally[status]]
    return ", ".join([f"{tally[Status.DONE]} of {tally.total()} done", *others])


def _listed(tally: Counter[Status]) -> str:
    return ", ".join(f"{tally[status]} {status}" for status in Status if tally[status])


def _tally(node: Node) -> Counter[Status]:
    """Return how many members of a chain or swarm are in which status; of a task, none."""
    if isinstance(node.plan, TaskNode) or node.is_let_go:
        return Counter()
    found = counts(node)
    return Counter({status: getattr(found, status) for status in Status})


def _error(node: Node) -> str:
    error = node.state.error
    assert error, "whoever asks has looked"
    return _plain(fit(f"{error.type}: {error.message}", _BRIEF))


def _has_parts(node: Node) -> bool:
    return not node.is_let_go and (not isinstance(node.plan, TaskNode) or bool(node.callback_plans()))


def _urgency(node: Node) -> int:
    """Return in which order nodes are opened: those that move or wait for somebody first."""
    status = node.visible()
    if status is Status.ACTIVE or status in HELD:
        return 0
    return 1 if status is Status.FAILED else 2


def _plain(text: str) -> str:
    """Return the text as it reads, for a cell of a table."""
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))
