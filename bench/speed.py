"""How fast: contestants do the same thing in turn, each with a worker process of its own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from bench.processes import WorkerProcess, worker
from bench.work import ADDED_AT_ONCE, CHAIN_STEPS, SWARM_CONCURRENCY, SWARM_ITEMS, Contestant, Side


@dataclass(frozen=True)
class Discipline:
    """One thing to be fast at."""

    name: str
    title: str
    run: Callable[[Side], Awaitable[None]]
    tasks: int
    """How many tasks one run has."""
    runs: int
    """Runs of each contestant in a round; the round's time is their median."""
    warm_up: int
    shown: Callable[[float], float] = lambda seconds: seconds * 1000
    """Makes the figure that is shown of the seconds per task."""
    in_a_row: bool = False
    """All runs of a round in a row, then the other's; else run by run, so that noise hits both alike."""


SINGLE = Discipline("single", "single task, start to result [ms]", lambda side: side.single(), 1, 20, 20)
CHAIN = Discipline("chain", f"chain of {CHAIN_STEPS}, a step [ms]", lambda side: side.chain(), CHAIN_STEPS, 6, 5)
SWARM = Discipline(
    "swarm",
    f"swarm of {SWARM_ITEMS:,}, {SWARM_CONCURRENCY} at once [items/s]",
    lambda side: side.swarm(),
    SWARM_ITEMS,
    runs=1,
    warm_up=1,
    shown=lambda seconds: 1 / seconds,
)
LIVING = replace(
    SWARM,
    name="living",
    title=f"swarm of {SWARM_ITEMS:,}, {ADDED_AT_ONCE} added at a time while it runs [items/s]",
    run=lambda side: side.living(),
)
MAP = replace(
    SWARM,
    name="map",
    title=f"map over {SWARM_ITEMS:,} of the step before, {SWARM_CONCURRENCY} at once [items/s]",
    run=lambda side: side.map(),
)
# The stock server may poll its queues faster for a short while after a rest: what it does under lasting work counts.
LASTING_CHAIN = replace(CHAIN, title=f"chain of {CHAIN_STEPS} after chain, a step [ms]", runs=10, in_a_row=True)


@dataclass
class Record:
    """What was measured of one contestant."""

    label: str
    seconds: list[float] = field(default_factory=list)
    """Per task, of each round."""
    cpu_seconds: float = 0.0
    """Of the worker process, per task."""
    peak_mib: float = 0.0
    """Of the worker process."""


_Lane = tuple[Contestant, WorkerProcess, Record]


async def compete(discipline: Discipline, contestants: list[Contestant], rounds: int) -> list[Record]:
    """Let contestants run in alternation."""
    async with AsyncExitStack() as stack:
        lanes: list[_Lane] = []
        for contestant in contestants:
            process = await stack.enter_async_context(worker(contestant.side.name, contestant.target))
            lanes.append((contestant, process, Record(contestant.label)))
        for _ in range(discipline.warm_up):
            for contestant, _, _ in lanes:
                await discipline.run(contestant.side)
        cpu_before = [process.cpu_seconds() for _, process, _ in lanes]
        for _ in range(rounds):
            await _round(discipline, lanes)
        for (_, process, record), before in zip(lanes, cpu_before, strict=True):
            record.cpu_seconds = (process.cpu_seconds() - before) / (rounds * discipline.runs * discipline.tasks)
            record.peak_mib = process.peak_mib()
        return [record for _, _, record in lanes]


async def _round(discipline: Discipline, lanes: list[_Lane]) -> None:
    times: list[list[float]] = [[] for _ in lanes]
    turns = list(zip(lanes, times, strict=True))
    if discipline.in_a_row:
        order = [turn for turn in turns for _ in range(discipline.runs)]
    else:
        order = turns * discipline.runs
    for (contestant, _, _), taken in order:
        began = time.perf_counter()
        await discipline.run(contestant.side)
        taken.append((time.perf_counter() - began) / discipline.tasks)
    for (_, _, record), taken in turns:
        record.seconds.append(statistics.median(taken))
