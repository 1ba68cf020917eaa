"""What both sides do, so that they differ in nothing but how it is orchestrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

CHAIN_STEPS = 10
SWARM_ITEMS = 1_000
SWARM_CONCURRENCY = 30
ADDED_AT_ONCE = 50
"""Items in each call that adds to a running swarm."""

HoldKind = Literal["async", "thread", "process", "cpu"]
"""How a task that is to be interrupted runs: waiting on the event loop, in a thread, in a process; or computing without
a pause, in a process."""


@dataclass
class Item:
    """The message of a short task."""

    number: int


@dataclass
class Outlive:
    """The message of a task that waits where it runs for the first time, and then does nothing but tell so."""

    index: int
    log: str
    """The path of a `StopLog`."""


@dataclass
class Hold:
    """The message of a task that runs until it is interrupted."""

    index: int
    log: str
    """The path of a `StopLog`."""


class Side(Protocol):
    """One way of orchestrating, as a client uses it. Calls return when the work is done."""

    name: str

    async def single(self) -> None:
        """Run one task."""
        ...

    async def chain(self) -> None:
        """Run `CHAIN_STEPS` tasks in order, each with the result of the one before."""
        ...

    async def swarm(self) -> None:
        """Run `SWARM_ITEMS` tasks, at most `SWARM_CONCURRENCY` at once."""
        ...

    async def living(self) -> None:
        """Do what `swarm` does, with tasks that are added `ADDED_AT_ONCE` at a time while others run."""
        ...

    async def map(self) -> None:
        """Run a task that gives `SWARM_ITEMS` numbers, and then one for each, at most `SWARM_CONCURRENCY` at once."""
        ...

    async def hold(self, kinds: list[HoldKind], log: str) -> Any:
        """Start a task of each kind, all at once, and return a handle to them."""
        ...

    async def outlive(self, log: str) -> None:
        """Run a chain of two `outlive` tasks: the first waits for its worker to be killed."""
        ...

    async def interrupt(self, held: Any) -> None:
        """Stop what `hold` started, and return when this side says that all code has stopped."""
        ...

    async def discard(self, held: Any) -> None:
        """Clean up after an interrupt."""
        ...


@dataclass(frozen=True)
class Contestant:
    """A side on a server."""

    label: str
    side: Side
    target: str
    """The server's address."""
