"""`mageflow watch`: a signature's tree until it ends."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from mageflow_temporal import Member, ServerUnavailableError, Status, StatusReport, WorkerUnavailableError
from mageflow_temporal.cli import tree
from mageflow_temporal.cli.completion import Key
from mageflow_temporal.cli.connection import (
    Address,
    App,
    Namespace,
    TaskQueue,
    complain,
    connect,
    in_words,
    run,
)
from mageflow_temporal.cli.exits import FAILED
from mageflow_temporal.cli.terminal import STYLES

_PAUSE: Final = 0.5
"""Seconds between two looks."""
_OTHERS: Final = 8
"""Lines of the terminal that items of a swarm cannot have: what it is in, the bar, the trouble."""
_FEWEST: Final = 4
"""Items of a swarm that are shown however small the terminal is."""
_BAR: Final = 40
"""Columns of the progress bar."""


def watch(
    key: Key,
    *,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """Watch a signature until it ends. The exit code is 0 if it is done, and 1 if it failed or was cancelled.

    In a pipe: a line for each change.
    """
    run("watch", _watch(Member(connect(address, namespace, task_queue, app), key)))


async def _watch(member: Member) -> int:
    report = await member.status()
    console = Console(highlight=False)
    if sys.stdout.isatty() and not console.is_dumb_terminal:
        # What is longer than the screen is cut while it goes on: a screen that scrolls cannot be drawn anew.
        with Live(
            _picture(report, console.height), console=console, auto_refresh=False, vertical_overflow="ellipsis"
        ) as live:
            while not report.status.ended:
                await asyncio.sleep(_PAUSE)
                report, trouble = await _look(member, report)
                live.update(_picture(report, console.height, trouble), refresh=True)
            live.vertical_overflow = "visible"
    else:
        seen: dict[str, Status] = {}
        _tell(report, seen)
        said = ""
        while not report.status.ended:
            await asyncio.sleep(_PAUSE)
            report, trouble = await _look(member, report)
            if trouble != said:
                complain(trouble or "mageflow watch: it answers again")
                said = trouble
            _tell(report, seen)
    return 0 if report.status is Status.DONE else FAILED


async def _look(member: Member, last: StatusReport) -> tuple[StatusReport, str]:
    """Return the report of now, or where nobody answers for a while the last one, and the trouble."""
    try:
        return await member.status(), ""
    except (ServerUnavailableError, WorkerUnavailableError) as error:
        return last, f"mageflow watch: {in_words(error)}"


def _picture(report: StatusReport, height: int, trouble: str = "") -> RenderableType:
    parts: list[RenderableType] = [tree.draw(report, max(height - _OTHERS, _FEWEST))]
    if report.counts:
        ended = report.counts.done + report.counts.failed + report.counts.canceled
        style = STYLES[report.status]
        # What has no item yet has an empty bar.
        total = report.counts.total or 1
        parts.append(ProgressBar(total=total, completed=ended, width=_BAR, complete_style=style, finished_style=style))
    if trouble:
        parts.append(Text(trouble, style="yellow"))
    return Group(*parts)


def _tell(report: StatusReport, seen: dict[str, Status]) -> None:
    """Print a line for each part that has another status than before. What waits for its turn is no news."""
    for part in tree.members(report):
        before, seen[part.key] = seen.get(part.key, Status.PENDING), part.status
        if part.status is not before:
            sys.stdout.write(f"{tree.say(part, part.key)}\n")
    sys.stdout.flush()
