"""The Python snippets of the README and the docs. Behind "python", a fence says what a snippet is.

nothing     a program; it runs
shop.py     a file of a program that the page tells in several
from=PATH   an excerpt of that file of the project
hatchet     a program of another package
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_FENCE: Final = re.compile(r"^```python(?: (?P<form>\S+))?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A snippet, and where it is."""

    page: str
    line: int
    form: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def snippets() -> Iterator[Snippet]:
    """Yield all snippets."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text()
        for found in _FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Snippet(str(page.relative_to(ROOT)), line, found["form"] or "", found["code"])


def write_files(page: str, folder: Path) -> list[Path]:
    """Write the files that a page tells, and return them."""
    files: list[Path] = []
    for snippet in snippets():
        if snippet.page == page and snippet.form.endswith(".py") and not snippet.form.startswith("from="):
            files.append(folder / snippet.form)
            files[-1].write_text(snippet.code)
    return files
