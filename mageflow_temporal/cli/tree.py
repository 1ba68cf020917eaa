"""A status report as a tree for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.text import Text
from rich.tree import Tree

from mageflow_temporal import Counts, Status, StatusReport
from mageflow_temporal.cli.terminal import STYLES, clean

_LONGEST_ERROR: Final = 200
"""Characters of an error; `--json` has all of it."""


def draw(report: StatusReport) -> Tree:
    """Return the tree of a report: a line for each part."""
    tree = Tree(_line(report, report.key), guide_style="dim")
    _grow(tree, report)
    return tree


def members(report: StatusReport) -> Iterator[StatusReport]:
    """Yield a report and all that are below it, from the top to the bottom."""
    yield report
    for part in (*report.children, *report.callbacks):
        yield from members(part)


def say(report: StatusReport, label: str) -> str:
    """Return the line of one part, without its members."""
    return _line(report, label).plain


def _grow(tree: Tree, report: StatusReport) -> None:
    for part in (*report.children, *report.callbacks):
        _grow(tree.add(_line(part, f"#{part.key.partition('#')[2]}")), part)
    untold = report.counts.total - len(report.children) if report.counts else 0
    if untold > 0:
        tree.add(Text(f"... and {untold} more", style="dim"))


def _line(report: StatusReport, label: str) -> Text:
    line = Text.assemble((f"{label} ", "dim"), clean(report.name), " ", (report.status, STYLES[report.status]))
    for fact in _facts(report):
        line.append(f"  {fact}", style="dim")
    if report.error:
        error = clean(f"{report.error.type}: {report.error.message}")
        shown = error if len(error) <= _LONGEST_ERROR else f"{error[:_LONGEST_ERROR]}…"
        line.append(f"  {shown}", style="red" if report.status is Status.FAILED else "yellow")
    return line


def _facts(report: StatusReport) -> Iterator[str]:
    if report.kind != "task":
        yield report.kind
    if report.counts:
        yield tally(report.counts)
    if report.attempt and (report.attempt > 1 or not report.status.ended):
        yield f"attempt {report.attempt}"
    if report.skipped:
        yield "skipped"
    if report.reason and report.held_by == report.key:
        yield f'"{clean(report.reason)}"'
    if report.worker:
        yield f"on {clean(report.worker)}"


def tally(counts: Counts) -> str:
    """Return counts in words: "3 of 10 done, 2 active, 1 failed"."""
    others = [
        f"{number} {status}" for status in Status if status is not Status.DONE and (number := getattr(counts, status))
    ]
    return ", ".join([f"{counts.done} of {counts.total} done", *others])
