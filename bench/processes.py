"""Worker processes, started and ended by their handles, and what they use."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

_START_LIMIT = 60.0
_STOP_LIMIT = 10.0


class WorkerProcess:
    """A worker process that runs."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used."""
        times = self._process.cpu_times()
        return times.user + times.system

    def kill(self) -> None:
        """End it at once, as a machine may die."""
        self._process.kill()

    def peak_mib(self) -> float:
        """Return the most memory that it has had at once, in MiB: the peak where the system keeps it, else the now."""
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists():
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            return int(fields["VmHWM"].split()[0]) / 1024
        return self._process.memory_info().rss / 2**20


@asynccontextmanager
async def worker(side: str, target: str, *, processes: int = 0) -> AsyncIterator[WorkerProcess]:
    """Run a worker process of a side for as long as the context is open.

    Args:
        side: the side's name.
        target: the server's address.
        processes: how many activities at once it is to run in processes of their own.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.worker",
        side,
        target,
        str(processes),
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,  # Ctrl-C is for us: we end the worker in our own order
    )
    assert process.stdin
    assert process.stdout
    try:
        answer = await asyncio.wait_for(process.stdout.readline(), _START_LIMIT)
        if answer != b"ready\n":
            msg = f"the worker of {side} did not start, see its output above"
            raise RuntimeError(msg)
        yield WorkerProcess(process.pid)
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_LIMIT)
        except TimeoutError:
            process.kill()
            await process.wait()
