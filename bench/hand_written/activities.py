"""The activities."""

from __future__ import annotations

import asyncio
import time

from temporalio import activity

from bench import stop_log
from bench.stop_log import note_running, note_stopped
from bench.work import SWARM_ITEMS, Hold, Item, Outlive

_HEARTBEAT_SECONDS = 1.0


@activity.defn
async def work(item: Item) -> int:
    return item.number


@activity.defn
async def step(before: int) -> int:
    return before + 1


@activity.defn
async def numbers() -> list[int]:
    return list(range(SWARM_ITEMS))


@activity.defn
async def outlive(message: Outlive) -> None:
    await stop_log.outlive(message.index, message.log)


@activity.defn
async def hold_async(hold: Hold) -> None:
    note_running(hold.log, hold.index)
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(_HEARTBEAT_SECONDS)
    finally:
        note_stopped(hold.log, hold.index)


@activity.defn
def hold_thread(hold: Hold) -> None:
    note_running(hold.log, hold.index)
    try:
        while True:
            activity.heartbeat()
            until = time.monotonic() + _HEARTBEAT_SECONDS
            while time.monotonic() < until:
                time.sleep(0.05)  # the SDK raises a cancellation in the thread, between two instructions
    finally:
        note_stopped(hold.log, hold.index)


@activity.defn
def hold_process(hold: Hold) -> None:
    note_running(hold.log, hold.index)
    while not activity.is_cancelled():
        activity.heartbeat()
        activity.wait_for_cancelled_sync(_HEARTBEAT_SECONDS)
    note_stopped(hold.log, hold.index)


@activity.defn
def hold_cpu(hold: Hold) -> None:
    note_running(hold.log, hold.index)
    while not activity.is_cancelled():
        activity.heartbeat()
        until = time.monotonic() + 0.1  # to ask is a call to another process: not at each turn of the loop
        while time.monotonic() < until:
            pass
    note_stopped(hold.log, hold.index)
