"""The demo's tasks, and the chain that they make. A worker that imports this module can run them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import Chain, Mageflow, ReturnValue, SwarmConfig
from mageflow_temporal.cli.demo import progress
from mageflow_temporal.cli.demo.counting import Pace, Tally, most_frequent, pace
from mageflow_temporal.cli.demo.summary import Count, Summary, markdown, summarise

mf: Final = Mageflow()

CHECK, COUNT, REPORT = range(3)
"""The chain's steps by their index, which is their path, too."""

_NAP: Final = 0.02


class Texts(BaseModel):
    """The start message: the files to count, and how many of them at once."""

    paths: list[Path]
    at_once: int


class Listing(BaseModel):
    """The files that are there, with their numbers of lines, and how fast to read them."""

    lines: dict[Path, int]
    pace: Pace


class CountOrder(BaseModel):
    """One file to count: its path is bound when the chain is composed, the listing comes from the step before."""

    path: Path
    listing: ReturnValue[Listing]


class ReportOrder(BaseModel):
    """Where to write the report, and the counts to put in it."""

    report: Path
    counts: ReturnValue[list[Count]]


@mf.task(name="check_files", retries=2)
def check_files(texts: Texts) -> Listing:
    """Look at each file: is it there, and how long is it?"""
    lines: dict[Path, int] = {}
    for path in texts.paths:
        lines[path] = len(_lines(path))
        _rest(1 / len(texts.paths))
    return Listing(lines=lines, pace=pace(list(lines.values()), texts.at_once))


@mf.task(name="count_words")
def count_words(order: CountOrder) -> Count:
    """Count the words of one file, line by line; after an interrupt, from the line where it stopped."""
    task = mageflow.current_task()
    resumed = task.resumed_from(Tally)
    after = resumed.lines if resumed else None
    tally, rhythm = resumed or Tally(), order.listing.pace
    lines = _lines(order.path)
    while tally.lines < len(lines):
        progress.note(task.key, tally.lines, len(lines))
        for line in lines[tally.lines : tally.lines + rhythm.batch]:
            tally.add(line)
        _rest(rhythm.pause)
        task.checkpoint(tally)
    progress.note(task.key, tally.lines, len(lines))
    frequent = dict(most_frequent([tally.frequent]))
    return Count(path=order.path, lines=tally.lines, words=tally.words, frequent=frequent, resumed_after=after)


@mf.task(name="write_report", retries=2)
def write_report(order: ReportOrder) -> Summary:
    """Merge the counts and write the report."""
    _rest(0.5)
    summary = summarise(order.counts, order.report)
    order.report.write_text(markdown(summary), encoding="utf-8")
    return summary


def start_message(paths: list[Path]) -> Texts:
    """Return the message that the chain is to be started with."""
    # A third of the files at most: on the way, some must run and some must wait.
    return Texts(paths=paths, at_once=max(1, min(3, len(paths) // 3)))


async def compose(texts: Texts, report: Path) -> Chain[Summary]:
    """Return the chain: check the files, count the words of each side by side, merge the counts into a report."""
    counts = [await mf.sign(count_words, path=path) for path in texts.paths]
    for count, path in zip(counts, texts.paths, strict=True):
        count.name = path.name
    swarm = await mf.swarm(counts, name="count", config=SwarmConfig(max_concurrency=texts.at_once))
    return await mf.chain([check_files, swarm, await mf.sign(write_report, report=report)], name="pipeline")


def _rest(seconds: float) -> None:
    """Sleep in naps: an interrupt reaches a thread between two of its instructions, and a nap is one of them."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _NAP))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
