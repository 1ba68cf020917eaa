"""A user's module, which knows Temporal: tasks of ours and workflows of his own in one file, in Temporal's sandbox.

Run as a program it is a worker.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, MageflowConfig, ReturnValue
from tests.support import Diary, Ledger

QUEUE = "own-shop"

mf = Mageflow(config=MageflowConfig(task_queue=QUEUE))
ledger = Ledger()


class Order(BaseModel):
    titles: list[str]


class Parcel(BaseModel):
    books: int
    by: str


class Packed(BaseModel):
    number: ReturnValue[int]
    by: str = "train"


@mf.task(name="shop-print")
async def print_books(msg: Order) -> int:
    await ledger.work("print")
    return len(msg.titles)


@mf.task(name="shop-ship")
def ship(msg: Packed) -> Parcel:
    return Parcel(books=msg.number, by=msg.by)


@mf.task(name="shop-refuse", retries=1, backoff_max_seconds=0.01)
async def refuse(msg: dict[str, Any]) -> None:
    raise LookupError(f"no {msg['title']}")


@mf.task(name="shop-wait")
async def wait(msg: dict[str, Any]) -> str:
    return await ledger.work(msg["name"], seconds=0 if msg["name"] in ledger.cancelled else msg["seconds"])


@mf.task(name="shop-note")
async def note(msg: dict[str, Any]) -> str:
    diary = Diary(Path(msg["diary"]))
    diary.note("begun")
    while not diary.read("go"):
        await asyncio.sleep(0.05)
    return "noted"


@mf.task(name="shop-parent")
async def parent(msg: Order) -> int:
    return await (await mf.sign(print_books)).run(msg)


@workflow.defn(name="shop-order")
class OrderWorkflow:
    """Runs every kind of signature."""

    @workflow.run
    async def run(self, titles: list[str]) -> list[str]:
        order = Order(titles=titles)
        number = await (await mf.sign(print_books)).run(order)
        parcel = await (await mageflow.chain([print_books, await mf.sign(ship, by="plane")], name="send")).run(order)
        assert isinstance(parcel, Parcel)
        numbers = await (await mf.swarm([print_books, print_books], name="twice")).run(order)
        mapped = await (await mf.map(ship, [1, 2])).run()
        nested = await (await mf.sign(parent)).run(order)
        return [
            str(number),
            f"{parcel.books} by {parcel.by}",
            str(numbers),
            str([one.books for one in mapped]),
            str(nested),
        ]


@workflow.defn(name="shop-waiting")
class WaitingWorkflow:
    """Runs a chain of two steps, the first of which takes as long as it is told."""

    @workflow.run
    async def run(self, key: str, message: dict[str, Any]) -> str:
        return await (await mf.chain([wait, await mf.sign(wait, name="second", seconds=0)], name="slow")).run(
            message, id=key
        )


@workflow.defn(name="shop-killed")
class KilledWorkflow:
    """Runs a chain in which each step waits for a word."""

    @workflow.run
    async def run(self, key: str, diary: str) -> str:
        return await (await mf.chain([note, await mf.sign(note, diary=diary)], name="noted")).run(
            {"diary": diary}, id=key
        )


@workflow.defn(name="shop-starting")
class StartingWorkflow:
    """Starts a task, tied or free, and ends before it."""

    @workflow.run
    async def run(self, key: str, message: dict[str, Any], tied: bool) -> str:
        return (await (await mf.sign(wait)).start(message, id=key, tied=tied)).key


@workflow.defn(name="shop-impatient")
class ImpatientWorkflow:
    """Gives up waiting, and says by what error; then it waits for the end."""

    @workflow.run
    async def run(self, message: dict[str, Any]) -> list[str]:
        signature = await (await mf.sign(wait)).start(message)
        try:
            await signature.result(timeout=0.2)
        except mageflow.ResultTimeoutError as error:
            return [type(error).__name__, await signature.result()]
        return []


@workflow.defn(name="shop-failing")
class FailingWorkflow:
    """Runs what fails, and lets it fail itself, or says what it was told."""

    @workflow.run
    async def run(self, case: str) -> list[str]:
        try:
            await self._fail(case.removeprefix("caught "))
        except mageflow.MageflowError as error:
            if case.startswith("caught "):
                return [type(error).__name__, str(error)]
            raise
        return []

    async def _fail(self, case: str) -> None:
        match case:
            case "task":
                await (await mf.sign(refuse, title="Emma")).run()
            case "message":
                await (await mf.sign(print_books)).run({"titles": 3})
            case "same key":
                key = workflow.info().workflow_id
                await (await mf.sign(print_books)).run(Order(titles=[]), id=f"{key}-one")
                await (await mf.sign(print_books)).run(Order(titles=[]), id=f"{key}-one")
            case "size":
                await (await mf.sign(refuse)).run({"title": "Emma" * 1_000_000})
            case "connection":
                await mf.load_signature("whatever")
            case _:
                await (await (await mf.sign(wait)).start({"name": case, "seconds": 0})).suspend()


@workflow.defn(name="shop-activity")
class ActivityWorkflow:
    """Calls a task as the activity that it is."""

    @workflow.run
    async def run(self, titles: list[str]) -> int:
        return await workflow.execute_activity(
            print_books.name,
            {"titles": titles},
            result_type=int,
            start_to_close_timeout=timedelta(seconds=10),
        )


WORKFLOWS = [
    OrderWorkflow,
    WaitingWorkflow,
    KilledWorkflow,
    StartingWorkflow,
    ImpatientWorkflow,
    FailingWorkflow,
    ActivityWorkflow,
]


async def main() -> None:
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], plugins=[mf.plugin()])
    await Worker(client, task_queue=QUEUE, workflows=WORKFLOWS).run()


if __name__ == "__main__":
    asyncio.run(main())
