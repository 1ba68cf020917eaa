"""The state of the pipeline as a table of its steps and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mageflow_temporal import Status, StatusReport
from mageflow_temporal.cli.demo import progress
from mageflow_temporal.cli.demo.pipeline import CHECK, COUNT, REPORT
from mageflow_temporal.cli.demo.summary import some
from mageflow_temporal.cli.terminal import STYLES

_STEPS: Final = {CHECK: "check the files", COUNT: "count the words", REPORT: "write the report"}

_BAR: Final = 24
"""Columns of a progress bar."""
_OTHERS: Final = 12
"""Lines of the terminal that files cannot have: the steps, the frame, and the last lines of the story."""
_FEWEST: Final = 4
"""Files that are shown however small the terminal is."""

_Row = tuple[Text, Text, RenderableType, Text]


def members(report: StatusReport) -> Iterator[StatusReport]:
    """Yield the steps of the pipeline, and the files after the step that counts them."""
    for step in report.children:
        yield step
        yield from step.children


def path(member: StatusReport) -> str:
    """Return the path of a member, as a signal's target names it: "1.7"."""
    return member.key.partition("#")[2]


def label(member: StatusReport) -> str:
    """Return what people call a step or a file."""
    index = path(member)
    return _STEPS[int(index)] if index.isdecimal() else member.name


def draw(report: StatusReport, seconds: float, footer: str, height: int) -> RenderableType:
    """Return the board for a terminal of so many lines; files that it has no line for are summed up."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for step in report.children:
        table.add_row(*_row(step))
        for row in _files(step.children, max(height - _OTHERS, _FEWEST)):
            table.add_row(*row)
    head = Text.assemble(" pipeline ", _status(report), (f"   {seconds:.0f} s", "dim"))
    return Group(Text(), head, table, Text(f" {footer}", style="dim", no_wrap=True, overflow="ignore"))


def _files(files: list[StatusReport], room: int) -> Iterator[_Row]:
    if len(files) <= room:
        yield from map(_row, files)
        return
    ended = [file for file in files if file.status.ended]
    under_way = [file for file in files if file.status in (Status.ACTIVE, Status.INTERRUPTED)]
    shown = under_way[: room - 2]
    hidden = [file for file in files if file not in ended and file not in shown]
    if ended:
        yield _summed_up(ended)
    yield from map(_row, shown)
    if hidden:
        yield _summed_up(hidden)


def _summed_up(files: list[StatusReport]) -> _Row:
    tally = ", ".join(f"{number} {status}" for status, number in Counter(file.status for file in files).items())
    return Text(), Text(f"  {some(len(files), 'file')}"), Text(), Text(tally, style="dim")


def _row(member: StatusReport) -> _Row:
    indent = "  " * path(member).count(".")
    name = Text(indent + label(member), no_wrap=True, overflow="ellipsis")
    return Text(path(member), style="dim"), name, _bar(member), _status(member)


def _status(member: StatusReport) -> Text:
    tally = f"  {member.counts.done} of {member.counts.total}" if member.kind == "swarm" and member.counts else ""
    return Text.assemble((member.status, STYLES[member.status]), (tally, "dim"))


def _bar(member: StatusReport) -> RenderableType:
    if member.counts:
        done, total = member.counts.done + member.counts.failed, member.counts.total
    elif found := progress.lines(member.key):
        done, total = found
    else:
        return Text()
    style = STYLES[member.status]
    # A file without lines is complete from the beginning.
    whole, part = (total, done) if total else (1, 1)
    return ProgressBar(total=whole, completed=part, width=_BAR, complete_style=style, finished_style=style)
