"""Which documents of a folder are nearly alike? `python -m workers.documents` shows it.

A swarm with an item for each document. To compute its fingerprint takes the CPU for a while, so the task has a process
of its own, and a bounded number of them run at once. A document that cannot be read fails alone; repaired, it is tried
again, and only it. When all are there the swarm is closed, and its success callback compares the fingerprints.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from mageflow_temporal import Mageflow, MageflowConfig, ReturnValue, Swarm, SwarmConfig
from workers.stage import stage

mf = Mageflow(config=MageflowConfig(task_queue="documents"))

_HASHES: Final = 64
"""The more, the truer the likeness, and the longer it takes."""
_PHRASE: Final = 4
"""Words. Documents are alike in so far as they have the same phrases."""


class Document(BaseModel):
    """A document to read."""

    path: Path


class Fingerprint(BaseModel):
    """What is kept of a document: of each of many hash functions, the least value that one of its phrases has."""

    name: str
    words: int
    marks: list[int]

    def likeness(self, other: Fingerprint) -> float:
        """Return about how many of all the phrases of two documents are in both, from 0 to 1."""
        same = sum(mine == theirs for mine, theirs in zip(self.marks, other.marks, strict=True))
        return same / len(self.marks)


class Comparison(BaseModel):
    """What to compare, and where to write what comes of it."""

    fingerprints: ReturnValue[list[Fingerprint]]
    report: Path


@mf.task(isolation="process")
def fingerprint(document: Document) -> Fingerprint:
    """Read a document of UTF-8 text and compute its fingerprint."""
    words = re.findall(r"\w+", document.path.read_text(encoding="utf-8").lower())
    phrases = {" ".join(words[at : at + _PHRASE]) for at in range(max(1, len(words) - _PHRASE + 1))}
    marks = [min(_hash(phrase, number) for phrase in phrases) for number in range(_HASHES)]
    return Fingerprint(name=document.path.name, words=len(words), marks=marks)


@mf.task()
def compare(comparison: Comparison) -> int:
    """Write which documents are alike, the most alike first, and return how many pairs were compared."""
    pairs = list(itertools.combinations(comparison.fingerprints, 2))
    alike = sorted(((one.likeness(other), one.name, other.name) for one, other in pairs), reverse=True)
    lines = [f"{likeness:4.0%}  {one} and {other}" for likeness, one, other in alike if likeness]
    comparison.report.write_text("\n".join(lines), encoding="utf-8")
    return len(pairs)


async def batch(folder: Path, report: Path) -> Swarm[Fingerprint]:
    """Return a swarm with an item for each document of a folder. It goes on until it is closed."""
    paths = sorted(folder.iterdir())  # noqa: ASYNC240 - it is short
    items = [await mf.sign(fingerprint, path=path) for path in paths]
    for item, path in zip(items, paths, strict=True):
        item.name = path.name  # which the Web UI and `mageflow watch` show
    return await mf.swarm(
        items,
        name="documents",
        config=SwarmConfig(max_concurrency=os.cpu_count() or 1),
        success_callbacks=[await mf.sign(compare, report=report)],
    )


def _hash(phrase: str, number: int) -> int:
    salt = number.to_bytes(2, "big")
    return int.from_bytes(hashlib.blake2b(phrase.encode(), digest_size=4, salt=salt).digest(), "big")


# What follows shows it: `python -m workers.documents`.

_TEXTS: Final = Path(__file__).parents[1] / "docs"
_NAMES: Final = ("cli", "composition", "examples", "inside-a-task", "lifecycle", "reliability", "testing")


def collect(folder: Path) -> Path:
    """Fill a folder with documents: real ones, a draft of one of them, and one that is no UTF-8. Return the last."""
    for name in _NAMES:
        shutil.copy(_TEXTS / f"{name}.md", folder)
    lifecycle = (folder / "lifecycle.md").read_text(encoding="utf-8")
    (folder / "lifecycle (old draft).md").write_text(lifecycle[: len(lifecycle) * 2 // 3], encoding="utf-8")
    broken = folder / "menu.md"
    broken.write_text("Café crème, crème brûlée, pâté en croûte.", encoding="cp1252")
    return broken


async def progress(swarm: Swarm[Fingerprint]) -> None:
    """Show how many items have ended, until all have."""
    shown = -1
    while True:
        counts = (await swarm.status()).counts
        assert counts
        ended = counts.done + counts.failed
        if ended != shown:
            bar = "█" * ended + "░" * (counts.total - ended)
            print(f"  {bar} {counts.done} of {counts.total} done, {counts.active} run, {counts.failed} failed")
            shown = ended
        if ended == counts.total:
            return
        await asyncio.sleep(0.1)


async def show(folder: Path) -> None:
    """Compare a folder of documents; repair the one that cannot be read; read what is alike."""
    documents, report = folder / "documents", folder / "report.txt"
    documents.mkdir()
    broken = collect(documents)
    async with stage(mf):
        swarm = await batch(documents, report)
        await swarm.start()
        print(f"1 Started: {swarm.key}, over {documents}")
        await progress(swarm)
        for outcome in await swarm.outcomes():
            if outcome.error:
                print(f"2 {outcome.name} failed: {outcome.error.type}: {outcome.error.message}")

        broken.write_text(broken.read_text(encoding="cp1252"), encoding="utf-8")
        print("3 It is saved as UTF-8, and what failed is tried again:")
        await swarm.retry_failed()
        await progress(swarm)

        await swarm.close()
        found = await swarm.result()
        print(f"4 Closed, and compared: {len(found)} documents of {sum(one.words for one in found):,} words.")
    print(report.read_text(encoding="utf-8").splitlines()[0])
    print(f"All that is alike: {report}")


if __name__ == "__main__":
    asyncio.run(show(Path(tempfile.mkdtemp(prefix="documents-"))))
