"""How running code tells, from whatever process, that it runs and when it has stopped.

Each note is one append of one short line, so notes of many processes never mix.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path


def note_running(log: str, index: int) -> None:
    """Note that the task of this index runs in this process."""
    _append(log, f"running {index} {os.getpid()}\n")


def note_stopped(log: str, index: int) -> None:
    """Note that the task of this index has stopped now."""
    _append(log, f"stopped {index} {time.time()}\n")


async def outlive(index: int, log: str) -> None:
    """Be the code of an `Outlive` task: the first of its chain waits to be killed, each other run notes its time."""
    again = index in StopLog(Path(log)).running()
    note_running(log, index)
    if index == 0 and not again:
        await asyncio.Event().wait()
    note_stopped(log, index)


def _append(log: str, line: str) -> None:
    with open(log, "ab", buffering=0) as file:
        file.write(line.encode())


@dataclass(frozen=True)
class StopLog:
    """The notes of the tasks of one round."""

    path: Path

    def running(self) -> dict[int, int]:
        """Return the process of each task that has begun, by the task's index."""
        return {int(index): int(pid) for index, pid in self._notes("running")}

    def stopped(self) -> dict[int, float]:
        """Return when each task that has stopped did so, by its index."""
        return {int(index): float(at) for index, at in self._notes("stopped")}

    def _notes(self, word: str) -> list[tuple[str, str]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        notes = [line.split() for line in lines]
        return [(index, value) for kind, index, value in notes if kind == word]
