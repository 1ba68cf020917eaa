"""How soon all code has stopped after an interrupt, as the code itself tells it."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from bench.processes import WorkerProcess, worker
from bench.stop_log import StopLog
from bench.work import Contestant, HoldKind, Side

_POLL = 0.02
_DEADLINE = 120.0

_T = TypeVar("_T")


@dataclass(frozen=True)
class Scenario:
    """Tasks that run when the interrupt comes."""

    name: str
    title: str
    kinds: tuple[HoldKind, ...]

    @property
    def processes(self) -> int:
        """How many of them run in processes of their own."""
        count = Counter(self.kinds)
        return count["process"] + count["cpu"]


_PROCESSES = Scenario("process", "interrupt 10 in processes", ("process",) * 10)

SCENARIOS = [
    Scenario(
        "mixed", "interrupt 100 (50 async, 40 thread, 10 process)", ("async", "thread") * 40 + ("async", "process") * 10
    ),
    Scenario("async", "interrupt 100 async", ("async",) * 100),
    Scenario("thread", "interrupt 100 in threads", ("thread",) * 100),
    _PROCESSES,
    Scenario("cpu", "interrupt 2 CPU-bound loops in processes", ("cpu",) * 2),
]


@dataclass
class Stops:
    """What was measured of one contestant in one scenario. Times are seconds from the call of the interrupt."""

    label: str
    tasks: list[float] = field(default_factory=list)
    """Of each task of all rounds, until its code had stopped."""
    all_stopped: list[float] = field(default_factory=list)
    """Of each round, until the last code had stopped."""
    returned: list[float] = field(default_factory=list)
    """Of each round, until the call returned."""
    peak_mib: float = 0.0
    """Of the worker process, in this scenario and those before it."""


@dataclass(frozen=True)
class Lane:
    """A contestant with its worker process."""

    contestant: Contestant
    process: WorkerProcess


class VoidRoundError(Exception):
    """The round measures nothing: the machine is too busy with other things."""


@asynccontextmanager
async def lanes(contestants: list[Contestant]) -> AsyncIterator[list[Lane]]:
    """Run a worker for each contestant for as long as the context is open, and interrupt some tasks to warm it up."""
    async with AsyncExitStack() as stack:
        most = max(scenario.processes for scenario in SCENARIOS)
        opened = [
            Lane(one, await stack.enter_async_context(worker(one.side.name, one.target, processes=most)))
            for one in contestants
        ]
        # Processes first: a pool that grows for the first time holds up its worker's event loop.
        await compete(_PROCESSES, opened, rounds=1)
        yield opened


async def compete(scenario: Scenario, lanes: list[Lane], rounds: int) -> list[Stops]:
    """Interrupt contestants in turn."""
    stops = [Stops(lane.contestant.label) for lane in lanes]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(rounds):
            for lane, one in zip(lanes, stops, strict=True):
                log = StopLog(Path(folder) / f"{lane.contestant.side.name}-{number}")
                try:
                    await _round(lane.contestant.side, scenario, log, one)
                except VoidRoundError as error:
                    print(f"  void: {scenario.title}, {lane.contestant.label}: {error}", flush=True)
    for lane, one in zip(lanes, stops, strict=True):
        one.peak_mib = lane.process.peak_mib()
    return stops


async def _round(side: Side, scenario: Scenario, log: StopLog, stops: Stops) -> None:
    total = len(scenario.kinds)
    held = await side.hold(list(scenario.kinds), str(log.path))
    pids = await _all(log.running, total, "begun")
    # Where heartbeats carry the cancellation, it matters at which moment between two of them it comes.
    await asyncio.sleep(random.uniform(0.5, 2.5))
    if early := log.stopped():
        await side.interrupt(held)
        await side.discard(held)
        msg = f"{len(early)} tasks had stopped before the interrupt: their worker had no time to heartbeat"
        raise VoidRoundError(msg)
    async with _exits(set(pids.values())) as exited:
        called = time.time()
        await side.interrupt(held)
        stops.returned.append(time.time() - called)

        def stopped() -> dict[int, float]:
            return {index: exited[pid] for index, pid in pids.items() if pid in exited} | log.stopped()

        ends = await _all(stopped, total, "stopped")
    stops.tasks += [at - called for at in ends.values()]
    stops.all_stopped.append(max(ends.values()) - called)
    await side.discard(held)


async def _all(seen: Callable[[], dict[int, _T]], total: int, what: str) -> dict[int, _T]:
    end = time.monotonic() + _DEADLINE
    while len(found := seen()) < total:
        if time.monotonic() > end:
            msg = f"only {len(found)} of {total} tasks had {what} after {_DEADLINE:g} s: see the workers' output above"
            raise TimeoutError(msg)
        await asyncio.sleep(_POLL)
    return found


@asynccontextmanager
async def _exits(pids: Iterable[int]) -> AsyncIterator[dict[int, float]]:
    """Watch processes; the dict gets the time at which each has ended. A killed process cannot tell it itself."""
    exited: dict[int, float] = {}

    async def watch(pid: int) -> None:
        await (_readable(os.pidfd_open(pid)) if hasattr(os, "pidfd_open") else _gone(pid))
        exited[pid] = time.time()

    watches = [asyncio.create_task(watch(pid)) for pid in pids]
    try:
        yield exited
    finally:
        for task in watches:
            task.cancel()
        await asyncio.gather(*watches, return_exceptions=True)


async def _readable(descriptor: int) -> None:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _gone(pid: int) -> None:
    process = psutil.Process(pid)
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.005)
