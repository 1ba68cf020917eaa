"""Which files are counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).with_name("texts")
"""The texts that ship with the package."""

_SUFFIXES: Final = frozenset({".txt", ".md", ".rst", ".text"})
_MOST: Final = 100
"""Files: the counts of all of them travel to the last step in one message, which must stay below Temporal's 2 MiB."""
_LARGEST: Final = 256 * 1024
"""Bytes: a checkpoint holds the words counted so far, and must stay small."""


class NoTextsError(Exception):
    """The folder has nothing to count."""


@dataclass(frozen=True)
class Selection:
    """The files of a folder that are counted, and those that are not."""

    paths: list[Path]
    left_out: list[Path]
    """Text files that are too large, or too many."""


def select(folder: Path) -> Selection:
    """Return the text files of a folder, without those of its subfolders.

    Raises:
        NoTextsError: there is no such folder, or no text file in it.
    """
    kinds = ", ".join(sorted(_SUFFIXES))
    try:
        found = sorted(path for path in folder.resolve().iterdir() if path.suffix.lower() in _SUFFIXES)
        texts = [path for path in found if path.is_file()]
        paths = [path for path in texts if path.stat().st_size <= _LARGEST][:_MOST]
    except FileNotFoundError:
        msg = f"there is no folder {folder}"
        raise NoTextsError(msg) from None
    except OSError as error:
        msg = f"{folder} cannot be read: {error.strerror}"
        raise NoTextsError(msg) from None
    if not paths:
        reason = f"is larger than {_LARGEST // 1024} KiB" if texts else f"is a text file ({kinds})"
        msg = f"nothing to count in {folder}: " + (f"each text file {reason}" if texts else f"no file {reason}")
        raise NoTextsError(msg)
    chosen = set(paths)
    return Selection(paths, [path for path in texts if path not in chosen])
