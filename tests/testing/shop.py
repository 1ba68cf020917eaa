"""A user's app, as the tests of the kit find it: a module with tasks."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from mageflow_temporal import Mageflow, ReturnValue, current_task

app = Mageflow("nobody.listens.here:1")


class Order(BaseModel):
    title: str
    copies: int = 1


class Parcel(BaseModel):
    books: ReturnValue[list[str]]
    express: bool = False


@app.task(name="print")
async def print_books(msg: Order) -> list[str]:
    return [msg.title] * msg.copies


@app.task(name="ship")
def ship(msg: Parcel) -> int:
    return len(msg.books)


@app.task(name="wait")
async def wait() -> None:
    await asyncio.Event().wait()


class Counter(BaseModel):
    folder: Path


@app.task(name="count", heartbeat_timeout=timedelta(seconds=1))
async def count(msg: Counter) -> list[int]:
    """Note the process that this runs in, and wait for a file; return the processes that have been noted."""
    notes = msg.folder / "pids"
    with notes.open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not (msg.folder / "open").exists():
        await asyncio.sleep(0.01)
    return [int(line) for line in notes.read_text().splitlines()]


@app.task(name="stumble", retries=1, backoff_max_seconds=0.01)
async def stumble() -> None:
    if current_task().attempt == 1:
        raise ValueError


@app.task(name="fail", task_queue="kit-elsewhere")
async def fail() -> None:
    raise ValueError


async def order(title: str, copies: int = 1, *, express: bool = False) -> int:
    """Be the code under test: start a chain, and wait for it."""
    chain = await app.chain([print_books, await app.sign(ship, express=express)], name="order")
    return await chain.run(Order(title=title, copies=copies))
