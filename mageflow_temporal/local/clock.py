"""Time that can be put forward, so that nobody waits for a pause of hours."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass(order=True)
class Timer:
    """Something that is to happen at a time."""

    due: datetime
    number: int
    ring: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)


class Clock:
    """Real time, and what it was put forward by."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ahead = timedelta(0)
        self._timers: list[Timer] = []
        self._number = 0
        self._alarm: asyncio.TimerHandle | None = None

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self._ahead

    def set(self, pause: timedelta, ring: Callable[[], None]) -> Timer:
        """Let something happen after a pause, unless the timer is cancelled by then."""
        self._number += 1
        timer = Timer(self.now() + pause, self._number, ring)
        heapq.heappush(self._timers, timer)
        self._wait()
        return timer

    def put_forward(self) -> None:
        """Put the time forward to what is due next, if anything is."""
        if timer := self._next():
            self._ahead += max(timer.due - self.now(), timedelta(0))
            self._ring()

    def stop(self) -> None:
        """Let nothing happen any more."""
        self._timers.clear()
        self._wait()

    def _next(self) -> Timer | None:
        while self._timers and self._timers[0].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0] if self._timers else None

    def _wait(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        timer = self._next()
        self._alarm = (
            self._loop.call_later(max((timer.due - self.now()).total_seconds(), 0), self._ring) if timer else None
        )

    def _ring(self) -> None:
        now = self.now()
        while (timer := self._next()) and timer.due <= now:
            heapq.heappop(self._timers)
            timer.ring()
        self._wait()
