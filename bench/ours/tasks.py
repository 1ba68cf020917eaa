"""The tasks, and the app of the worker that executes them."""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel

from bench import stop_log
from bench.stop_log import note_running, note_stopped
from bench.work import SWARM_ITEMS, Hold, Item, Outlive
from mageflow_temporal import Mageflow, MageflowConfig, ReturnValue

mf = Mageflow(config=MageflowConfig(task_queue="bench-ours"))
"""The worker's app. Its server is named by the environment, as in a deployment."""


class Count(BaseModel):
    """A step's message."""

    before: ReturnValue[int] = 0


@mf.task(name="work")
async def work(item: Item) -> int:
    return item.number


@mf.task(name="step")
async def step(count: Count) -> int:
    return count.before + 1


@mf.task(name="numbers")
async def numbers() -> list[int]:
    return list(range(SWARM_ITEMS))


@mf.task(name="outlive")
async def outlive(msg: Outlive) -> None:
    await stop_log.outlive(msg.index, msg.log)


@mf.task(name="hold-async")
async def hold_async(hold: Hold) -> None:
    note_running(hold.log, hold.index)
    try:
        await asyncio.Event().wait()
    finally:
        note_stopped(hold.log, hold.index)


@mf.task(name="hold-thread")
def hold_thread(hold: Hold) -> None:
    note_running(hold.log, hold.index)
    try:
        while True:
            time.sleep(0.05)
    finally:
        note_stopped(hold.log, hold.index)


@mf.task(name="hold-process", isolation="process")
def hold_process(hold: Hold) -> None:
    note_running(hold.log, hold.index)
    time.sleep(3600)  # it is killed, so its process's end is what tells that it has stopped


@mf.task(name="hold-cpu", isolation="process")
def hold_cpu(hold: Hold) -> None:
    note_running(hold.log, hold.index)
    while True:
        pass
