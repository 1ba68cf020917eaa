"""What a diagram of a signature consists of, whatever draws it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mageflow_temporal import Counts, Status, StatusReport
from mageflow_temporal.cli.terminal import clean
from mageflow_temporal.cli.tree import in_words, others, tally, urgent

MOST: Final = 24
"""Items of a swarm that are drawn; the others are one box."""


@dataclass(frozen=True)
class Box:
    """A part of a signature."""

    name: str
    kind: str
    """task, chain or swarm."""
    status: Status | None
    """`None` in the diagram of a draft."""
    note: str
    """What there is to say of it, in a few words."""
    parts: tuple[Box, ...] = ()
    on_success: tuple[Box, ...] = ()
    on_error: tuple[Box, ...] = ()


def box(report: StatusReport, *, draft: bool) -> Box:
    """Return the box of a report, with those of its parts in it."""

    def boxes(reports: Iterable[StatusReport]) -> tuple[Box, ...]:
        return tuple(box(part, draft=draft) for part in reports)

    shown, counts = urgent(report, MOST), report.counts
    hidden = (_others(counts, shown, draft=draft),) if counts and counts.total > len(shown) else ()
    return Box(
        name=clean(report.name),
        kind=report.kind,
        status=None if draft else report.status,
        note=" · ".join(_notes(report, draft=draft)),
        parts=(*boxes(shown), *hidden),
        on_success=boxes(part for part in report.callbacks if _segment(part).startswith("s")),
        on_error=boxes(part for part in report.callbacks if _segment(part).startswith("e")),
    )


def _others(counts: Counts, shown: list[StatusReport], *, draft: bool) -> Box:
    left = others(counts, shown)
    return Box(name=f"{sum(left.values())} more", kind="task", status=None, note="" if draft else in_words(left))


def _notes(report: StatusReport, *, draft: bool) -> Iterable[str]:
    if report.kind != "task":
        yield report.kind
    if draft:
        if report.kind == "swarm" and report.counts:
            yield f"{report.counts.total} items" if report.counts.total else "items come later"
        return
    yield report.status
    if report.counts:
        yield tally(report.counts).partition(",")[0]
    if report.attempt and report.attempt > 1:
        yield f"attempt {report.attempt}"


def _segment(report: StatusReport) -> str:
    return report.key.rpartition("#")[2].rpartition(".")[2]
