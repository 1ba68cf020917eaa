# ruff: noqa: FBT001, FBT002 - parameters are as they were
"""The names that users of mageflow on Hatchet know, with the parameters that they know. Each forwards to our own name.

Our classes take them in here, so that they stay clean of them. Names that need no other parameters than ours (`asign`,
`load_signature`, `resume`, `remove`) are ours. What is not here, and why, is in docs/coming-from-hatchet.md.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Coroutine, Sequence
from enum import StrEnum
from typing import Any, Final, Generic, Self, TypeVar, cast

from mageflow_temporal.errors import CompositionError
from mageflow_temporal.status import LifecycleReport

_ResultT = TypeVar("_ResultT")
_MemberT = TypeVar("_MemberT")
_ChainT = TypeVar("_ChainT")
_SwarmT = TypeVar("_SwarmT")

_PRIORITIES: Final = {3: 1, 2: 2, 1: 3}


class PauseActionTypes(StrEnum):
    """What `pause` and `pause_task` do."""

    SUSPEND = "soft"
    INTERRUPT = "hard"


def from_default_priority(default_priority: int) -> int:
    """Return our priority for Hatchet's, which counts the other way: 3 goes first there, and 1 is what nobody set.

    Raises:
        CompositionError: Hatchet has no such priority.
    """
    if default_priority not in _PRIORITIES:
        msg = f"default_priority={default_priority!r} must be 1, 2 or 3 (3 goes first); priority= takes 1 to 5"
        raise CompositionError(msg)
    return _PRIORITIES[default_priority]


class Kwargs(dict[str, Any]):
    """Bound kwargs: a dict."""

    async def aupdate(self, **kwargs: Any) -> None:
        """Bind more. See `dict.update`."""
        self.update(kwargs)


class FamiliarMember:
    @abstractmethod
    async def suspend(self) -> LifecycleReport: ...
    @abstractmethod
    async def interrupt(self) -> LifecycleReport: ...

    async def pause_task(self, pause_type: PauseActionTypes = PauseActionTypes.SUSPEND) -> LifecycleReport:
        """Suspend or interrupt it. See `suspend` and `interrupt`."""
        hard = PauseActionTypes(pause_type) is PauseActionTypes.INTERRUPT
        return await (self.interrupt() if hard else self.suspend())


class FamiliarDraft(Generic[_ResultT]):
    @abstractmethod
    async def start(self, message: Any = None) -> Self: ...
    @abstractmethod
    async def run(self, message: Any = None) -> _ResultT: ...
    @abstractmethod
    def duplicate(self) -> Self: ...

    async def aio_run(self, msg: Any = None) -> _ResultT:
        """Start it, wait for its end, and return its result. See `run`."""
        return await self.run(msg)

    async def aio_run_no_wait(self, msg: Any = None) -> Self:
        """Start it. See `start`."""
        return await self.start(msg)

    async def aduplicate(self) -> Self:
        """Return an independent copy. See `duplicate`."""
        return self.duplicate()

    async def aduplicate_many(self, num: int) -> list[Self]:
        """Return independent copies. See `duplicate_many`."""
        return [self.duplicate() for _ in range(num)]


class FamiliarSwarm(Generic[_MemberT]):
    @abstractmethod
    async def add_many(
        self, tasks: Sequence[Any], messages: Any = None, *, close_on_max_task: bool = True
    ) -> list[_MemberT]: ...
    @abstractmethod
    async def close(self) -> None: ...

    async def add_tasks(self, tasks: Sequence[Any], close_on_max_task: bool = True) -> list[_MemberT]:
        """Add items; a swarm that has not been started is not started by it. See `add_many`."""
        return await self.add_many(tasks, close_on_max_task=close_on_max_task)

    async def add_task(self, task: Any, close_on_max_task: bool = True) -> _MemberT:
        """Add an item. See `add_tasks`."""
        [added] = await self.add_tasks([task], close_on_max_task)
        return added

    async def aio_run_in_swarm(self, task: Any, msg: Any, close_on_max_task: bool = True) -> list[_MemberT]:
        """Add one task or a list of them, with one message for all. See `add_many`."""
        tasks = cast("list[Any]", task if isinstance(task, list) else [task])
        return await self.add_many(tasks, msg, close_on_max_task=close_on_max_task)

    async def aio_run_tasks_in_swarm(
        self, tasks: Sequence[Any], msgs: list[Any], close_on_max_task: bool = True
    ) -> list[_MemberT]:
        """Add tasks, with a message for each. See `add_many`."""
        return await self.add_many(tasks, msgs, close_on_max_task=close_on_max_task)

    async def close_swarm(self) -> Self:
        """Take no more items. See `close`."""
        await self.close()
        return self


class FamiliarApp(Generic[_ChainT, _SwarmT]):
    @abstractmethod
    def chain(
        self, tasks: Sequence[Any], name: str | None = None, *, success: Any = None, error: Any = None, **kwargs: Any
    ) -> Coroutine[Any, Any, _ChainT]: ...
    @abstractmethod
    def swarm(
        self, tasks: Sequence[Any] = (), name: str | None = None, **kwargs: Any
    ) -> Coroutine[Any, Any, _SwarmT]: ...
    @abstractmethod
    async def suspend(self, key: str) -> LifecycleReport: ...
    @abstractmethod
    async def interrupt(self, key: str) -> LifecycleReport: ...

    async def achain(
        self, tasks: Sequence[Any], name: str | None = None, error: Any = None, success: Any = None, **kwargs: Any
    ) -> _ChainT:
        """Return a chain. See `chain`."""
        return await self.chain(tasks, name, success=success, error=error, **kwargs)

    async def aswarm(
        self,
        tasks: Sequence[Any] | None = None,
        task_name: str | None = None,
        *,
        kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> _SwarmT:
        """Return a swarm. See `swarm`."""
        return await self.swarm(tasks or (), task_name, **{**(kwargs or {}), **options})

    async def pause(self, key: str, pause_type: PauseActionTypes = PauseActionTypes.SUSPEND) -> LifecycleReport:
        """Suspend or interrupt the signature or member of that key. See `suspend` and `interrupt`."""
        hard = PauseActionTypes(pause_type) is PauseActionTypes.INTERRUPT
        return await (self.interrupt(key) if hard else self.suspend(key))
