"""What an item of a swarm costs, however many there are: time, and the memory of the worker and of the server."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from bench.ours.side import Ours
from bench.processes import WorkerProcess, worker
from mageflow_temporal import server

SIZES = (1_000, 10_000, 100_000)


@dataclass
class Scale:
    """What was measured at one size, with a server and a worker of its own."""

    items: int
    seconds: list[float]
    """Per item, of each round."""
    worker_cpu_seconds: float
    """Per item."""
    server_cpu_seconds: float
    """Per item."""
    worker_mib: float
    """The most memory that the worker had at once."""
    server_mib: float
    """The same of the server."""

    @property
    def cost(self) -> float:
        """CPU seconds per item, of both: time alone would measure what else the machine does in these minutes, too."""
        return self.worker_cpu_seconds + self.server_cpu_seconds


async def measure(items: int, rounds: int) -> Scale:
    """Run swarms of one size."""
    async with server.run(ui=False) as running, worker(Ours.name, running.target) as process:
        side = Ours(running.target)
        await side.large(SIZES[0])  # to warm up
        used = [process, _server()]
        before = [one.cpu_seconds() for one in used]
        seconds: list[float] = []
        for _ in range(rounds):
            began = time.perf_counter()
            await side.large(items)
            seconds.append((time.perf_counter() - began) / items)
        cpu = [(one.cpu_seconds() - then) / (rounds * items) for one, then in zip(used, before, strict=True)]
        return Scale(items, seconds, *cpu, *(one.peak_mib() for one in used))


def _server() -> WorkerProcess:
    children = psutil.Process().children(recursive=True)
    return next(WorkerProcess(child.pid) for child in children if child.name() == "temporal")
