"""What the tasks do to a text. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel, Field

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")  # noqa: RUF001 - texts have typographic apostrophes
_TELLING: Final = 5
"""Letters that a word needs to be listed as frequent: the most frequent of all are "the" and "and" in any text."""
_KEPT: Final = 500
"""Frequent words that the count of one file hands on. Results travel through the server, so they must stay small."""

SECONDS: Final = 15.0
"""How long all files together are to take, and thus also how long a single one may."""
_SLOWEST: Final = 0.25
"""Seconds for a line, so that a file of three lines does not seem to hang."""
_STEP: Final = 0.05
"""Seconds for one batch of lines at least: shorter pauses are not exact, and nobody sees them."""


class Pace(BaseModel):
    """How slowly texts are counted: a demo that is over in the blink of an eye shows nothing."""

    batch: int = 1
    """Lines read at once."""
    pause: float = 0.0
    """Seconds of rest after each batch."""


def pace(lines: list[int], at_once: int) -> Pace:
    """Return a pace at which files of so many lines take a visible time, and all of them less than half a minute."""
    total, longest = max(sum(lines), 1), max([*lines, 1])
    per_line = min(_SLOWEST, SECONDS * at_once / total, SECONDS / longest)
    batch = max(1, round(_STEP / per_line))
    return Pace(batch=batch, pause=per_line * batch)


class Tally(BaseModel):
    """What has been counted in one file so far; as a checkpoint it says where to go on."""

    lines: int = 0
    words: int = 0
    frequent: dict[str, int] = Field(default_factory=dict)

    def add(self, line: str) -> None:
        """Count one more line."""
        self.lines += 1
        for match in _WORD.finditer(line):
            word = match.group().lower()
            self.words += 1
            if len(word) >= _TELLING:
                self.frequent[word] = self.frequent.get(word, 0) + 1


def most_frequent(counts: Iterable[Mapping[str, int]], number: int = _KEPT) -> list[tuple[str, int]]:
    """Return the most frequent words of all counts, the most frequent first; of equally frequent ones by alphabet."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return ranked[:number]
