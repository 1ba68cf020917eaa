"""What a diagram of a signature consists of, whatever draws it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mageflow_temporal import Status, StatusReport
from mageflow_temporal.cli.terminal import clean
from mageflow_temporal.cli.tree import tally

MOST: Final = 24
"""Items of a swarm that are drawn; the others are one box."""

_URGENT: Final = (
    Status.FAILED,
    Status.INTERRUPTED,
    Status.SUSPENDED,
    Status.ACTIVE,
    Status.CANCELED,
    Status.PENDING,
    Status.DONE,
)
"""Of a large swarm, those are drawn that somebody looks for."""


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

    shown = _shown(report)
    hidden = (_others(report, shown, draft=draft),) if report.counts and report.counts.total > len(shown) else ()
    return Box(
        name=clean(report.name),
        kind=report.kind,
        status=None if draft else report.status,
        note=" · ".join(_notes(report, draft=draft)),
        parts=(*boxes(shown), *hidden),
        on_success=boxes(part for part in report.callbacks if _segment(part).startswith("s")),
        on_error=boxes(part for part in report.callbacks if _segment(part).startswith("e")),
    )


def _shown(report: StatusReport) -> list[StatusReport]:
    if report.kind != "swarm" or len(report.children) <= MOST:
        return report.children
    urgent = sorted(report.children, key=lambda part: _URGENT.index(part.status))[:MOST]
    keys = {part.key for part in urgent}
    return [part for part in report.children if part.key in keys]


def _others(report: StatusReport, shown: list[StatusReport], *, draft: bool) -> Box:
    assert report.counts
    drawn = Counter(part.status for part in shown)
    left = {status: getattr(report.counts, status) - drawn[status] for status in Status}
    words = "" if draft else ", ".join(f"{number} {status}" for status, number in left.items() if number)
    return Box(name=f"{sum(left.values())} more", kind="task", status=None, note=words)


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
