"""What tests share: waiting for a state with a deadline, and tasks that tell what happened to them."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

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
