"""What the demo draws or prints: the story, and the state of the pipeline meanwhile."""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from rich.columns import Columns
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mageflow_temporal import Status, StatusReport
from mageflow_temporal.cli.demo import board
from mageflow_temporal.cli.demo.summary import Summary, totals

_LISTED: Final = 5
"""Rows of each table of the summary."""


class Screen(AbstractContextManager["Screen"]):
    """Tells the story.

    Args:
        console: where to.

    Attributes:
        footer: what is to stay in view.
    """

    def __init__(self, console: Console) -> None:
        self.footer = ""
        self._console = console
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the demo has been going on."""
        return time.monotonic() - self._since

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave what was printed as it is."""

    @abstractmethod
    def show(self, report: StatusReport) -> None:
        """Show the state of the pipeline."""

    def say(self, what: str | Text = "") -> None:
        """Print a line. It is never broken, so that a command can be copied whole."""
        self._console.print(what, soft_wrap=True, markup=False)

    def act(self, title: str, text: str) -> None:
        """Open an act: its title, and what it is about."""
        self.say()
        self.say(Text.assemble((title, "bold cyan"), f"  {text}"))

    def note(self, text: str) -> None:
        """Say what happened in an act."""
        self.say(f"   {text}")

    def way(self, label: str, command: str) -> None:
        """Show how one does it oneself."""
        self.say(Text.assemble((f"   {label:<7} ", "dim"), (command, "green")))

    def summary(self, summary: Summary) -> None:
        """Show the result of the pipeline."""
        files = Table("longest texts", title_justify="left")
        files.add_column("lines", justify="right")
        files.add_column("words", justify="right")
        for count in summary.files[:_LISTED]:
            files.add_row(Text(count.path.name), str(count.lines), str(count.words))
        words = Table("frequent words", title_justify="left")
        words.add_column("times", justify="right")
        for word, times in summary.frequent[:_LISTED]:
            words.add_row(Text(word), str(times))
        self.say()
        self._console.print(Columns([files, words], padding=(0, 2)))
        for count in summary.files:
            if (after := count.resumed_after) is not None:
                self.say(f"{count.path.name} was counted in two sittings: to line {after}, and from line {after + 1}.")
        self.say(totals(summary))


class LiveScreen(Screen):
    """On a terminal: the state of the pipeline stands at the bottom, and the story scrolls above it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, auto_refresh=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let the board stay where it is, and the cursor go below it."""
        self._live.stop()

    def show(self, report: StatusReport) -> None:
        """Draw the board anew."""
        self._live.start()
        self._live.update(board.draw(report, self.seconds, self.footer, self._console.height), refresh=True)


class PlainScreen(Screen):
    """In a pipe or a log: a line for each step or file that begins or ends."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._last: dict[str, Status] = {}

    def show(self, report: StatusReport) -> None:
        """Print what has changed. What waits, or waits for a resume, is no news."""
        for member in board.members(report):
            before, self._last[member.key] = self._last.get(member.key), member.status
            if member.status is not before and member.status not in (Status.PENDING, Status.SUSPENDED):
                self.say(f"   {self.seconds:5.1f} s  {board.label(member)}: {member.status}")
