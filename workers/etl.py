"""An ETL pipeline: CSV files of three branches into one SQLite table. `python -m workers.etl` shows it.

A chain of extract, validate, transform and load. Each step writes a file and hands on its path: a repeated step writes
it again, and no row travels in a message. The load works in batches with a checkpoint after each, so it can be stopped
at any moment, by an interrupt or by the death of its worker; and it may write a row twice, because it is an upsert.
"""

from __future__ import annotations

import asyncio
import csv
import multiprocessing
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date
from decimal import Decimal
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import Chain, Mageflow, MageflowConfig, Member, ReturnValue
from workers import sales
from workers.branches import FORMATS, Raw, Sale, euro_cents, lines, understood
from workers.stage import stage

mf = Mageflow(config=MageflowConfig(task_queue="etl"))

BATCH: Final = 25
"""Rows of one transaction."""


class Record(BaseModel):
    """A row of the table."""

    order: str
    branch: str
    day: date
    product: str
    quantity: int
    euro_cents: int


class Table(BaseModel):
    """What a step gives the next one: a file with one JSON object per line."""

    path: Path
    rows: int


class Job(BaseModel):
    """What every step is given: it is bound to the chain."""

    inbox: Path
    """The folder of the CSV files."""
    work: Path
    """The folder for what the steps write."""
    database: Path
    pause: float = 0.0
    """Seconds between two batches, for a database that others use, too."""


class Step(Job):
    """What every step but the first is given."""

    table: ReturnValue[Table]


class Loaded(BaseModel):
    """What the pipeline has done."""

    rows: int
    resumed_after: int
    """How many rows were known to be in the database when the last run of the load began."""


@mf.task(retries=2)
def extract(job: Job) -> Table:
    """Read the lines of all files, whatever they look like."""
    return _write(job.work / "extracted.jsonl", (raw for branch in FORMATS for raw in lines(job.inbox, branch)))


@mf.task(retries=2)
def validate(step: Step) -> Table:
    """Keep the lines that make sense; say of the others, in `rejected.csv`, why they do not."""
    good: list[Sale] = []
    with (step.work / "rejected.csv").open("w", encoding="utf-8", newline="") as file:
        rejected = csv.writer(file)
        rejected.writerow(["branch", "line", "why", "cells"])
        for raw in _read(step.table, Raw):
            try:
                good.append(understood(raw))
            except ValueError as why:
                rejected.writerow([raw.branch, raw.line, why, " | ".join(raw.cells)])
    return _write(step.work / "validated.jsonl", good)


@mf.task(retries=2)
def transform(step: Step) -> Table:
    """Turn money into euros, and keep one row for each order: the last line that was sent for it counts."""
    last = {sale.order: sale for sale in _read(step.table, Sale)}
    return _write(step.work / "transformed.jsonl", map(_record, last.values()))


@mf.task(retries=2, backoff_max_seconds=1)
def load(step: Step) -> Loaded:
    """Write the rows, a batch in each transaction. After a stop it goes on behind its last checkpoint."""
    task = mageflow.current_task()
    begin = task.resumed_from(int) or 0
    records = list(_read(step.table, Record))
    with closing(connect(step.database)) as database:
        for start in range(begin, len(records), BATCH):
            batch = records[start : start + BATCH]
            with database:  # a stop within the batch leaves nothing of it behind
                database.executemany(_UPSERT, [record.model_dump(mode="json") for record in batch])
            # Stopped just here it writes this batch again the next time, which changes nothing.
            task.checkpoint(start + len(batch))
            time.sleep(step.pause)
    return Loaded(rows=len(records), resumed_after=begin)


async def pipeline(inbox: Path, work: Path, database: Path, pause: float = 0.0) -> Chain[Loaded]:
    """Return the chain."""
    job = Job(inbox=inbox, work=work, database=database, pause=pause)
    return await mf.chain([extract, validate, transform, load], name="etl", **job.model_dump())


_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS sale (
        "order" TEXT PRIMARY KEY, branch TEXT, day TEXT, product TEXT, quantity INTEGER, euro_cents INTEGER
    )
"""
_UPSERT: Final = """
    INSERT INTO sale VALUES (:order, :branch, :day, :product, :quantity, :euro_cents)
    ON CONFLICT ("order") DO UPDATE SET branch = excluded.branch, day = excluded.day, product = excluded.product,
        quantity = excluded.quantity, euro_cents = excluded.euro_cents
"""


def connect(database: Path) -> sqlite3.Connection:
    """Open the database, with its table."""
    connection = sqlite3.connect(database)
    connection.execute(_TABLE)
    return connection


def _record(sale: Sale) -> Record:
    cents = euro_cents(sale.price * sale.quantity, FORMATS[sale.branch].currency)
    return Record(**sale.model_dump(exclude={"price"}), euro_cents=cents)


_RowT = TypeVar("_RowT", bound=BaseModel)


def _write(path: Path, rows: Iterable[BaseModel]) -> Table:
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(f"{row.model_dump_json()}\n")
            written += 1
    return Table(path=path, rows=written)


def _read(table: Table, row: type[_RowT]) -> Iterator[_RowT]:
    with table.path.open(encoding="utf-8") as file:
        yield from map(row.model_validate_json, file)


# What follows shows it: `python -m workers.etl`.

_PROCESSES: Final = multiprocessing.get_context("spawn")
_TRANSFORM, _LOAD = 2, 3
"""The paths of two of the chain's steps."""


class Worker:
    """A worker in a process of its own, which can be killed."""

    def __init__(self, address: str) -> None:
        listens = _PROCESSES.Event()
        self._process = _PROCESSES.Process(target=_work, args=(address, listens), daemon=True)
        self._process.start()
        while not listens.wait(0.1):
            if not self._process.is_alive():
                message = "the worker's process ended before it listened"
                raise RuntimeError(message)

    def kill(self) -> None:
        """Kill it as `kill -9` does: it can say good-bye to nobody."""
        self._process.kill()
        self._process.join()


def _work(address: str, listens: Event) -> None:
    async def work() -> None:
        async with mf.connected_to(address), mf.worker():
            listens.set()
            await asyncio.Event().wait()

    asyncio.run(work())


def rows_of(database: Path) -> int:
    """Return how many rows the table has."""
    with closing(connect(database)) as connection:
        return connection.execute("SELECT count(*) FROM sale").fetchone()[0]


async def reaches(database: Path, rows: int) -> int:
    """Wait until the table has that many rows, and return how many it has."""
    while (found := rows_of(database)) < rows:  # noqa: ASYNC110 - a database tells nobody
        await asyncio.sleep(0.02)
    return found


async def ends(member: Member) -> None:
    """Wait until a part of a signature has ended."""
    while not (await member.status()).status.ended:  # noqa: ASYNC110 - the same of a chain's step
        await asyncio.sleep(0.02)


async def show(folder: Path) -> None:
    """Run the pipeline, stop it in three ways, and look at what is in the database in the end."""
    database = folder / "sales.db"
    truth = sales.write(folder)
    async with stage(mf, worker=False) as address:
        worker = Worker(address)
        try:
            etl = await pipeline(folder, folder, database, pause=0.2)
            await etl.suspend()  # so that nothing runs before its last step is suspended, too
            load_step = Member(mf, f"{etl.key}#{_LOAD}")
            await load_step.suspend("somebody looks at what was rejected")
            await etl.start()
            await etl.resume()
            print(f"1 Started: {etl.key}, from {', '.join(f'{branch}.csv' for branch in FORMATS)} in {folder}")

            await ends(Member(mf, f"{etl.key}#{_TRANSFORM}"))
            rejected = len((folder / "rejected.csv").read_text(encoding="utf-8").splitlines()) - 1
            print(f"2 Suspended before its last step: {rejected} lines were rejected, and nothing is loaded yet.")
            await load_step.resume()

            await reaches(database, 4 * BATCH)
            await etl.interrupt("the database is needed for something else")
            print(f"3 Interrupted while it loads: its code has stopped, {rows_of(database)} rows are in the database.")
            await etl.resume()

            rows = await reaches(database, rows_of(database) + 3 * BATCH)
            worker.kill()
            print(f"4 Resumed; and its worker killed, at {rows} rows. Another one goes on in some seconds.")
            worker = Worker(address)

            loaded = await etl.result()
            print(f"5 Done: the last run of the load began after row {loaded.resumed_after} of {loaded.rows}.")
        finally:
            worker.kill()
    _compare(database, truth)
    print(f"What made no sense, and why: {folder / 'rejected.csv'}")


def _compare(database: Path, truth: Sequence[sales.Sold]) -> None:
    with closing(connect(database)) as connection:
        for branch, rows, cents in connection.execute(
            "SELECT branch, count(*), sum(euro_cents) FROM sale GROUP BY branch"
        ):
            print(f"  {branch:<8}{rows:>5} orders {cents / 100:>14,.2f} EUR")
        found = dict(connection.execute('SELECT "order", euro_cents FROM sale'))
    expected = {sold.order: euro_cents(Decimal(sold.cents) / 100, sold.currency) for sold in truth}
    if found != expected:
        sys.exit("which is not what the branches have sold")
    print(f"  which are all {len(found)} that the branches have sold, each once")


if __name__ == "__main__":
    asyncio.run(show(Path(tempfile.mkdtemp(prefix="etl-"))))
