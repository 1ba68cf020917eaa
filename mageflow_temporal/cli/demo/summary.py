"""The report that the last task writes. Pure."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from mageflow_temporal.cli.demo.counting import most_frequent

_WORDS_LISTED = 20


class Count(BaseModel):
    """The count of one file."""

    path: Path
    lines: int
    words: int
    frequent: dict[str, int]
    resumed_after: int | None = None
    """The line after which the task went on when it was resumed; `None` if it was never interrupted."""


class Summary(BaseModel):
    """What the pipeline found out."""

    report: Path
    files: list[Count]
    """The longest first; their own frequent words are left out."""
    lines: int
    words: int
    frequent: list[tuple[str, int]]
    """The most frequent words of all files, the most frequent first. A list: JSON objects have no order."""


def some(number: int, noun: str) -> str:
    """Return "1 file", "2 files"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summarise(counts: list[Count], report: Path) -> Summary:
    """Merge the counts of all files."""
    ranked = sorted(counts, key=lambda count: (-count.words, count.path.name))
    return Summary(
        report=report,
        files=[count.model_copy(update={"frequent": {}}) for count in ranked],
        lines=sum(count.lines for count in counts),
        words=sum(count.words for count in counts),
        frequent=most_frequent((count.frequent for count in counts), _WORDS_LISTED),
    )


def totals(summary: Summary) -> str:
    """Return all of it in one sentence."""
    lines, files = some(summary.lines, "line"), some(len(summary.files), "file")
    return f"{some(summary.words, 'word')} in {lines} of {files}."


def markdown(summary: Summary) -> str:
    """Return the report's text."""
    rows = [
        "# Words in texts",
        "",
        totals(summary),
        "",
        "| file | lines | words | |",
        "| --- | ---: | ---: | --- |",
    ]
    for count in summary.files:
        note = "" if count.resumed_after is None else f"interrupted and resumed after line {count.resumed_after}"
        rows.append(f"| {count.path.name} | {count.lines} | {count.words} | {note} |")
    rows += ["", "| frequent word | times |", "| --- | ---: |"]
    rows += [f"| {word} | {times} |" for word, times in summary.frequent]
    return "\n".join(rows) + "\n"
