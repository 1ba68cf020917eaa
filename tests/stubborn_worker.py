"""A worker process for tests of what goes wrong in one: `python -m tests.stubborn_worker`, steered by its environment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, MageflowConfig, Member, TaskContext, TaskOptions
from tests.support import Diary

ADDRESS, QUEUE, DIARY, GRACE = "STUBBORN_ADDRESS", "STUBBORN_QUEUE", "STUBBORN_DIARY", "STUBBORN_GRACE"

mf = Mageflow(os.environ.get(ADDRESS), config=MageflowConfig(task_queue=os.environ.get(QUEUE, "nowhere")))
diary = Diary(Path(os.environ.get(DIARY, os.devnull)))


class Hang(BaseModel):
    """How often the task is to block its event loop before it does its work."""

    times: int


@mf.task(name="hang")
async def hang(msg: Hang) -> int:
    diary.note("hang")
    if len(diary.read("hang")) <= msg.times:
        time.sleep(3600)  # the wrong sleep: nothing else runs on this loop any more
    return os.getpid()


class Count(BaseModel):
    """Count to `total`, in steps that are remembered, and end the run at `stop_at` in some way."""

    total: int
    stop_at: int
    how: Literal["wait", "fail"]


def count(msg: Count) -> Any:
    """Yield before each step; what is counted is in the diary."""
    task = mageflow.current_task()
    done = task.resumed_from(int) or 0
    diary.note("count", resumed_from=task.resumed_from(), attempt=task.attempt)
    while done < msg.total:
        if done == msg.stop_at and len(diary.read("count")) == 1:
            diary.note("stopping")
            if msg.how == "fail":
                raise ValueError(f"failed at {done}")
            while True:
                yield
        done += 1
        task.checkpoint(done)
    yield done


@mf.task(name="count-loop")
async def count_loop(msg: Count) -> int:
    for result in count(msg):
        if result is not None:
            return result
        await asyncio.sleep(0.01)
    raise AssertionError


@mf.task(name="count-thread")
def count_thread(msg: Count) -> int:
    for result in count(msg):
        if result is not None:
            return result
        time.sleep(0.01)
    raise AssertionError


@mf.task(name="count-process", isolation="process")
def count_process(msg: Count) -> int:
    for result in count(msg):
        if result is not None:
            return result
        time.sleep(0.01)
    raise AssertionError


@mf.task(name="spin", isolation="process")
def spin() -> None:
    """Burn CPU in a process, and listen to nobody."""
    diary.note("spin", parent=os.getppid())
    while True:
        sum(range(1000))


@mf.task(name="spin-async", isolation="process")
async def spin_async() -> None:
    diary.note("spin", parent=os.getppid())
    while True:
        sum(range(1000))


@mf.task(name="die", isolation="process")
def die() -> None:
    """End the process that the task runs in, and not as Python ends it."""
    diary.note("die")
    os._exit(7)


@mf.task(name="kill-worker")
async def kill_worker() -> None:
    diary.note("kill-worker")
    os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(3600)


@mf.task(name="fail-process", isolation="process")
def fail_process() -> int:
    return 1 // 0


class Number(BaseModel):
    n: int


@mf.task(name="told-process", isolation="process")
@mf.with_ctx
@mf.with_signature
def told_process(msg: Number, ctx: TaskContext, signature: Member) -> list[Any]:
    return [msg.n, ctx.key, ctx.attempt, signature.key]


class Spawn(BaseModel):
    """The queue whose workers run the child's workflow."""

    queue: str


@mf.task(name="child")
async def child() -> str:
    diary.note("child")
    return "child has ended"


@mf.task(name="spawn")
async def spawn(msg: Spawn) -> str:
    elsewhere = Mageflow(os.environ[ADDRESS], config=MageflowConfig(task_queue=msg.queue))
    declared = elsewhere.declare("child", options=TaskOptions(task_queue=os.environ[QUEUE]))
    started = await (await elsewhere.sign(declared)).start()
    diary.note("spawned", key=started.key)
    result = await started.result()
    if len(diary.read("spawned")) == 1:
        await asyncio.sleep(3600)
    return result


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    mf.run_worker(shutdown_grace=timedelta(seconds=float(os.environ[GRACE])))
