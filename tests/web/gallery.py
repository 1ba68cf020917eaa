"""Signatures in every state that a person may find one in, on a server with its Web UI.

The browser test looks at them, and the pictures in the docs are of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pydantic import BaseModel

from mageflow_temporal import Chain, EmbeddedServer, Mageflow, MageflowConfig, ReturnValue, Swarm, SwarmConfig
from tests.support import reaches

mf = Mageflow(config=MageflowConfig(task_queue="library"))


class Book(BaseModel):
    title: str
    pages: int = 12
    torn: int | None = None
    """A page that cannot be read."""
    open_at: int | None = None
    """From this page on reading takes as long as somebody looks."""
    blank: bool = False


class Page(Book):
    number: int


class Texts(BaseModel):
    texts: ReturnValue[list[str]]
    blank: bool = False


class Index(BaseModel):
    words: ReturnValue[int]


@mf.task(name="fetch-scan", retries=2)
async def fetch_scan(msg: Book) -> str:
    return f"{msg.title}.pdf"


@mf.task(name="read-page", retries=1, backoff_max_seconds=0.01)
async def read_page(msg: Page) -> str:
    if msg.number == msg.torn:
        error = f"page {msg.number} is torn"
        raise ValueError(error)
    if msg.open_at is not None and msg.number >= msg.open_at:
        await asyncio.Event().wait()
    return f"text of page {msg.number}"


@mf.task(name="make-index")
async def make_index(msg: Texts) -> int:
    if msg.blank:
        error = "no word occurs twice: is the book blank?"
        raise LookupError(error)
    return len(msg.texts)


@mf.task(name="publish")
async def publish(msg: Index) -> str:
    return "in the catalogue"


@mf.task(name="tell-the-librarian")
async def tell_the_librarian(msg: Book) -> None:
    return None


async def digitise(title: str, *, error: bool = False, **book: object) -> Chain[str]:
    """Return a chain of four steps; the second is a swarm of the book's pages."""
    pages = await reading(12)
    return await mf.chain(
        [fetch_scan, pages, make_index, publish],
        name="digitise",
        error=tell_the_librarian if error else None,
        title=title,
        **book,
    )


async def reading(pages: int, at_once: int = 3) -> Swarm[str]:
    items = [await mf.sign(read_page, number=number) for number in range(1, pages + 1)]
    return await mf.swarm(items, "read-pages", config=SwarmConfig(max_concurrency=at_once), is_swarm_closed=True)


@asynccontextmanager
async def gallery() -> AsyncGenerator[EmbeddedServer]:
    """Run a server, with signatures in every state."""
    async with mf.local() as server:
        done = await digitise("Emma")
        await done.start(id="digitise-emma")
        failed = await digitise("Notes", blank=True, error=True)
        await failed.start(id="digitise-notes")
        await done.result()
        await reaches(failed, "failed")

        running = await digitise("Moby-Dick", torn=2, open_at=6)
        await running.start(id="digitise-moby-dick")
        await reading_stands(running, "1.5", "1.6", "1.7")

        suspended = await digitise("Ulysses", open_at=4)
        await suspended.start(id="digitise-ulysses")
        await reading_stands(suspended, "1.3", "1.4", "1.5")
        await suspended.suspend("the disk is nearly full")

        interrupted = await digitise("Walden", open_at=4)
        await interrupted.start(id="digitise-walden")
        await reading_stands(interrupted, "1.3", "1.4", "1.5")
        await interrupted.interrupt("wrong edition")

        wide = await reading(200, at_once=5)
        await wide.start({"title": "Atlas", "torn": 7, "open_at": 81}, id="read-atlas")
        await reading_stands(wide, "80", "81", "82", "83", "84")
        await mf.suspend(f"{wide.key}#150", "page 151 is being bound")

        await (await digitise("Almanac")).schedule("digitise-almanac", cron="0 3 * * *")
        yield server


async def reading_stands(signature: Chain[str] | Swarm[str], *members: str) -> None:
    for member in members:
        await reaches(signature, "active", member)
