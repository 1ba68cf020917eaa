"""A publisher's night: most of composition in one typed module. `python docs/example.py` runs it."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from mageflow_temporal import Chain, ErrorValue, Mageflow, ReturnValue, Status, SwarmConfig

mf = Mageflow()


class Book(BaseModel):
    title: str
    pages: int = 3


class Page(BaseModel):
    page: ReturnValue[str]  # as a step it takes the result before it, as an item of a map an element of that
    font: str = "serif"


class Binding(BaseModel):
    pages: ReturnValue[list[str]]
    cover: str


class Bound(BaseModel):
    pages: list[str]
    cover: str


class News(BaseModel):
    book: ReturnValue[Bound]


class Complaint(BaseModel):
    title: str  # an error callback gets the message of the task that failed,
    why: ErrorValue  # and, if it asks for it, the error


@mf.task(retries=2)
async def write(msg: Book) -> list[str]:
    if not msg.title:
        message = "a book needs a title"
        raise ValueError(message)
    return [f"{msg.title}, page {number}" for number in range(1, msg.pages + 1)]


@mf.task()
def lay_out(msg: Page) -> str:  # a plain def runs in a thread
    return f"{msg.page} ({msg.font})"


@mf.task()
async def bind(msg: Binding) -> Bound:
    if msg.cover == "gold":
        message = "there is no gold left"
        raise ValueError(message)
    return Bound(pages=msg.pages, cover=msg.cover)


@mf.task(priority=5)
async def announce(msg: News) -> None:
    print(f"out now: {len(msg.book.pages)} pages in {msg.book.cover}")


@mf.task(priority=1)
async def complain(msg: Complaint) -> None:
    print(f"not printed: {msg.title!r}, because {msg.why.message} (attempt {msg.why.attempt})")


async def book(title: str, cover: str = "cloth") -> Chain[Bound]:
    """Return a chain: the second step is a map, with an item for each page that the first one gives."""
    written = await mf.sign(write, title=title, error_callbacks=[complain])
    pages = await mf.map(lay_out, font="Bodoni", config=SwarmConfig(max_concurrency=2))
    bound = await mf.sign(bind, cover=cover, on_failure="suspend")  # held where it would fail
    return await mf.chain([written, pages, bound], name=title or "untitled", success=announce)


async def main() -> None:
    """Print books side by side, some of them known only later."""
    async with mf.local(ui=False):
        night = await mf.swarm([await book("Emma"), await book("Moby-Dick", cover="gold"), await book("")], "night")
        await night.start()
        ulysses = await night.add(await book("Ulysses"))  # while it runs, from any process
        await night.close()

        golden = f"{night.key}#1.2"  # the third step of the second book
        while (found := (await night.status()).find("1.2")) is None or found.status is not Status.SUSPENDED:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await mf.resume(golden, {"cover": "silver"})  # with a corrected argument

        printed: list[Bound] = await night.result()  # of the books that succeeded, in their order
        print([done.cover for done in printed])
        for outcome in await night.outcomes():
            print(outcome.name, outcome.status, "last of all" if outcome.key == ulysses.key else "")


if __name__ == "__main__":
    asyncio.run(main())
