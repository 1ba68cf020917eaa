"""How soon a chain goes on after the worker that has it was killed, with another worker alive."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bench.processes import worker
from bench.stop_log import StopLog
from bench.work import Contestant

_DEADLINE = 60.0
_POLL = 0.01

_T = TypeVar("_T")


@dataclass
class Failovers:
    """What was measured of one contestant."""

    label: str
    seconds: list[float] = field(default_factory=list)
    """Of each round: from the kill in the middle of the first step until the second begins."""


async def compete(contestants: list[Contestant], rounds: int) -> list[Failovers]:
    """Kill workers of contestants in turn."""
    found = [Failovers(one.label) for one in contestants]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(rounds):
            for one, failovers in zip(contestants, found, strict=True):
                log = StopLog(Path(folder) / f"{one.side.name}-{number}")
                failovers.seconds.append(await _round(one, log))
    return found


async def _round(one: Contestant, log: StopLog) -> float:
    async with worker(one.side.name, one.target) as first:
        chain = asyncio.create_task(one.side.outlive(str(log.path)))
        await _there(lambda: log.running().get(0), "the first step has begun")
        async with worker(one.side.name, one.target):
            # It matters at which moment between two heartbeats the worker dies.
            await asyncio.sleep(random.uniform(0, 1.5))
            killed = time.time()
            first.kill()
            went_on = await _there(lambda: log.stopped().get(1), "the second step has begun")
            await chain
    return went_on - killed


async def _there(look: Callable[[], _T | None], what: str) -> _T:
    end = time.monotonic() + _DEADLINE
    while (found := look()) is None:
        if time.monotonic() > end:
            msg = f"not within {_DEADLINE:g} s: {what}"
            raise TimeoutError(msg)
        await asyncio.sleep(_POLL)
    return found
