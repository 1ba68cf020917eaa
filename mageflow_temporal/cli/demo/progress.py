"""How far the tasks of this process have come, for the screen in the same process.

A signature's status says that a task runs, not how far it is. A worker elsewhere notes its progress, too, and nobody
there looks: the screen then shows the status only.
"""

from __future__ import annotations

_lines: dict[str, tuple[int, int]] = {}


def note(key: str, read: int, total: int) -> None:
    """Note how many lines the task of that key has read, and how many there are."""
    _lines[key] = read, total


def lines(key: str) -> tuple[int, int] | None:
    """Return the lines read and the lines there are, or `None` if no task of this process has that key."""
    return _lines.get(key)
