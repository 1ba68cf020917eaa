"""A status report as a tree for people."""

from __future__ import annotations

from collections import Counter as TallyOf
from collections.abc import Iterator
from typing import Final

from rich.text import Text
from rich.tree import Tree

from mageflow_temporal import Counts, Status, StatusReport
from mageflow_temporal.cli.terminal import STYLES, clean

_LONGEST_ERROR: Final = 200
"""Characters of an error; `--json` has all of it."""


_URGENT: Final = (
    Status.FAILED,
    Status.INTERRUPTED,
    Status.SUSPENDED,
    Status.ACTIVE,
    Status.CANCELED,
    Status.PENDING,
    Status.DONE,
)
"""Where there is no room for all items of a swarm, those are shown that somebody looks for."""


def draw(report: StatusReport, most: int | None = None) -> Tree:
    """Return the tree of a report: a line for each part.

    With `most`, for a screen: for no more than so many items of each swarm, and lines that are cut and not broken.
    """
    tree = Tree(_fitting(_line(report, report.key, outermost=True), most), guide_style="dim")
    _grow(tree, report, most)
    return tree


def urgent(report: StatusReport, most: int) -> list[StatusReport]:
    """Return the members of a report, in their order: of a swarm the most urgent ones, and no more than so many."""
    if report.kind != "swarm" or len(report.children) <= most:
        return report.children
    keys = {part.key for part in sorted(report.children, key=lambda part: _URGENT.index(part.status))[:most]}
    return [part for part in report.children if part.key in keys]


def others(counts: Counts, shown: list[StatusReport]) -> dict[Status, int]:
    """Return how many members are not shown, by status."""
    drawn = TallyOf(part.status for part in shown)
    left = {status: getattr(counts, status) - drawn[status] for status in Status}
    return {status: number for status, number in left.items() if number}


def members(report: StatusReport) -> Iterator[StatusReport]:
    """Yield a report and all that are below it, from the top to the bottom."""
    yield report
    for part in (*report.children, *report.callbacks):
        yield from members(part)


def say(report: StatusReport, label: str) -> str:
    """Return the line of one part, without its members."""
    return _line(report, label).plain


def _grow(tree: Tree, report: StatusReport, most: int | None) -> None:
    shown = report.children if most is None else urgent(report, most)
    for part in (*shown, *report.callbacks):
        _grow(tree.add(_fitting(_line(part, f"#{part.key.partition('#')[2]}"), most)), part, most)
    if report.counts and (left := others(report.counts, shown)):
        tree.add(Text(f"... and {sum(left.values())} more: {in_words(left)}", style="dim"))


def _fitting(line: Text, most: int | None) -> Text:
    if most is not None:
        line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _line(report: StatusReport, label: str, *, outermost: bool = False) -> Text:
    line = Text.assemble((f"{label} ", "dim"), clean(report.name), " ", (report.status, STYLES[report.status]))
    for fact in _facts(report, outermost=outermost):
        line.append(f"  {fact}", style="dim")
    if report.error:
        error = clean(f"{report.error.type}: {report.error.message}")
        shown = error if len(error) <= _LONGEST_ERROR else f"{error[:_LONGEST_ERROR]}…"
        line.append(f"  {shown}", style="red" if report.status is Status.FAILED else "yellow")
    return line


def _facts(report: StatusReport, *, outermost: bool) -> Iterator[str]:
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
    elif outermost and report.held_by and report.held_by != report.key:
        yield f"held by {report.held_by}" + (f' "{clean(report.reason)}"' if report.reason else "")
    if report.worker:
        yield f"on {clean(report.worker)}"


def in_words(left: dict[Status, int]) -> str:
    """Return numbers by status in words: "12 pending, 3 done"."""
    return ", ".join(f"{number} {status}" for status, number in left.items())


def tally(counts: Counts) -> str:
    """Return counts in words: "3 of 10 done, 2 active, 1 failed"."""
    others = [
        f"{number} {status}" for status in Status if status is not Status.DONE and (number := getattr(counts, status))
    ]
    return ", ".join([f"{counts.done} of {counts.total} done", *others])
