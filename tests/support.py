"""What tests share: waiting for a state with a deadline, and tasks that tell what happened to them."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import processes

DEADLINE = 20.0
"""Seconds: far more than anything takes, so that a slow machine fails no test that is right."""


async def eventually(probe: Callable[[], Any | Awaitable[Any]], what: str, deadline: float = DEADLINE) -> Any:
    """Return the probe's first true answer; fail the test if there is none in time."""
    end = time.monotonic() + deadline
    while True:
        answer = probe()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {deadline:g} s: {what}"
        await asyncio.sleep(0.01)


async def reaches(signature: Any, status: str, member: str = "", deadline: float = DEADLINE) -> Any:
    """Wait until a signature (or its member) has a status, and return the report of it."""

    async def probe() -> Any:
        report = (await signature.status()).find(member)
        return report if report and report.status == status else None

    return await eventually(probe, f"{signature.key} {member} is {status}", deadline)


@dataclass
class Ledger:
    """What happened to the tasks of a test, by name."""

    begun: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0

    async def work(self, name: str, gate: asyncio.Event | None = None, seconds: float = 0.0) -> str:
        """Be a task's code: note its beginning and how it ends; wait at the gate or for a while in between."""
        self.begun[name] += 1
        self.order.append(name)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if gate:
                await gate.wait()
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled[name] += 1
            raise
        finally:
            self.running -= 1
        self.ended[name] += 1
        return name

    async def has_begun(self, name: str, times: int = 1) -> None:
        await eventually(lambda: self.begun[name] >= times, f"{name} has begun {times} times")


@dataclass
class Diary:
    """What tasks in other processes note: a file, so that it outlives a killed worker."""

    path: Path

    def note(self, what: str, **facts: Any) -> None:
        line = json.dumps({"what": what, "pid": os.getpid(), **facts}) + "\n"
        with self.path.open("a") as file:
            file.write(line)

    def read(self, what: str) -> list[dict[str, Any]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["what"] == what]

    async def has(self, what: str, times: int = 1) -> list[dict[str, Any]]:
        return await eventually(lambda: found if len(found := self.read(what)) >= times else None, f"{times} x {what}")


@asynccontextmanager
async def worker_process(
    module: str, *, log: Path | None = None, **environment: str
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run `python -m module` as a worker for as long as the context is open; then kill it, as a machine may die.

    What it says goes into the file `log`, or where our own words go.
    """
    command = (sys.executable, "-m", module)
    with nullcontext() if log is None else log.open("ab") as words:
        async with processes.running(*command, environment={**os.environ, **environment}, words=words) as process:
            yield process


class Wire:
    """A network between a client and a server, which can be cut or go silent.

    Attributes:
        address: what the client is to connect to.
    """

    def __init__(self, target: str) -> None:
        self._host, _, self._port = target.partition(":")
        self._ends: set[asyncio.StreamWriter] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self.address = ""

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._passes.set()
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Drop every connection that there is."""
        for end in self._ends:
            end.transport.abort()

    def fall_silent(self) -> None:
        """Let nothing pass, and leave connections open."""
        self._passes.clear()

    def speak_again(self) -> None:
        """Let all pass, with what has been held back."""
        self._passes.set()

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, on = await asyncio.open_connection(self._host, self._port)
        self._ends |= {back, on}
        await asyncio.gather(self._pass(near, on), self._pass(far, back))
        self._ends -= {back, on}

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self._passes.wait()
                to.write(data)
                await to.drain()
        except ConnectionError:
            pass
        finally:
            to.close()
