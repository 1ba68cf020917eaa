"""How soon all code has stopped after an interrupt, as the code itself tells it."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.processes import worker
from bench.stop_log import StopLog
from bench.work import Contestant, HoldKind

_POLL = 0.02
_DEADLINE = 120.0


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


SCENARIOS = [
    Scenario(
        "mixed", "100 mixed (50 async, 40 thread, 10 process)", ("async", "thread") * 40 + ("async", "process") * 10
    ),
    Scenario("async", "100 async", ("async",) * 100),
    Scenario("thread", "100 in threads", ("thread",) * 100),
    Scenario("process", "10 in processes", ("process",) * 10),
    Scenario("cpu", "2 CPU-bound loops in processes", ("cpu",) * 2),
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
    """Of the worker process."""


async def compete(scenario: Scenario, contestants: list[Contestant], rounds: int) -> list[Stops]:
    """Let contestants be interrupted in turn; a first round warms up and is not counted."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with AsyncExitStack() as stack:
            lanes = [
                (
                    contestant,
                    await stack.enter_async_context(
                        worker(contestant.side.name, contestant.target, processes=scenario.processes)
                    ),
                    Stops(contestant.label),
                )
                for contestant in contestants
            ]
            for number in range(rounds + 1):
                for contestant, _, stops in lanes:
                    log = StopLog(Path(folder) / f"{contestant.side.name}-{number}")
                    await _round(contestant, scenario, log, stops if number else Stops(contestant.label))
            for _, process, stops in lanes:
                stops.peak_mib = process.peak_mib()
        return [stops for _, _, stops in lanes]


async def _round(contestant: Contestant, scenario: Scenario, log: StopLog, stops: Stops) -> None:
    side, total = contestant.side, len(scenario.kinds)
    held = await side.hold(list(scenario.kinds), str(log.path))
    async with asyncio.timeout(_DEADLINE):
        while len(log.running()) < total:
            await asyncio.sleep(_POLL)
    # Where heartbeats carry the cancellation, it matters at which moment between two of them it comes.
    await asyncio.sleep(random.uniform(1.0, 4.0))
    pids = log.running()
    async with _exits(set(pids.values())) as exited:
        called = time.time()
        await side.interrupt(held)
        stops.returned.append(time.time() - called)
        async with asyncio.timeout(_DEADLINE):
            while True:
                stopped = {index: exited[pid] for index, pid in pids.items() if pid in exited} | log.stopped()
                if len(stopped) == total:
                    break
                await asyncio.sleep(_POLL)
    stops.tasks += [at - called for at in stopped.values()]
    stops.all_stopped.append(max(stopped.values()) - called)
    await side.discard(held)


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
