"""The workflows."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from bench.hand_written import activities
    from bench.work import Hold, HoldKind, Item, Outlive

TASK_QUEUE = "bench-hand-written"
PROCESS_QUEUE = "bench-hand-written-processes"
"""Activities of a worker share one executor, so those that run in processes need a worker and a queue of their own."""

_TIMEOUT = timedelta(minutes=5)
_SHORT_STEP = timedelta(seconds=5)
_HEARTBEAT_TIMEOUT = timedelta(seconds=4)
_HOLDS = {
    "async": (activities.hold_async, TASK_QUEUE),
    "thread": (activities.hold_thread, TASK_QUEUE),
    "process": (activities.hold_process, PROCESS_QUEUE),
    "cpu": (activities.hold_cpu, PROCESS_QUEUE),
}


@workflow.defn
class Single:
    @workflow.run
    async def run(self, item: Item) -> int:
        return await workflow.execute_activity(activities.work, item, start_to_close_timeout=_TIMEOUT)


@workflow.defn
class Chain:
    @workflow.run
    async def run(self, steps: int) -> int:
        count = 0
        for _ in range(steps):
            count = await workflow.execute_activity(activities.step, count, start_to_close_timeout=_TIMEOUT)
        return count


@workflow.defn
class Swarm:
    @workflow.run
    async def run(self, items: list[Item], concurrency: int) -> list[int]:
        places = asyncio.Semaphore(concurrency)

        async def one(item: Item) -> int:
            async with places:
                return await workflow.execute_activity(activities.work, item, start_to_close_timeout=_TIMEOUT)

        return await asyncio.gather(*map(one, items))


@workflow.defn
class LivingSwarm:
    """A swarm that gets its items while it runs, and ends when it is closed and all have ended."""

    @workflow.init
    def __init__(self, concurrency: int) -> None:
        self._places = asyncio.Semaphore(concurrency)
        self._items: list[asyncio.Task[int]] = []
        self._closed = False

    @workflow.run
    async def run(self, _concurrency: int) -> list[int]:
        await workflow.wait_condition(lambda: self._closed)
        return await asyncio.gather(*self._items)

    @workflow.update
    def add(self, items: list[Item]) -> None:
        self._items += [asyncio.create_task(self._one(item)) for item in items]

    @workflow.signal
    def close(self) -> None:
        self._closed = True

    async def _one(self, item: Item) -> int:
        async with self._places:
            return await workflow.execute_activity(activities.work, item, start_to_close_timeout=_TIMEOUT)


@workflow.defn
class Map:
    @workflow.run
    async def run(self, concurrency: int) -> list[int]:
        places = asyncio.Semaphore(concurrency)

        async def one(number: int) -> int:
            async with places:
                return await workflow.execute_activity(activities.step, number, start_to_close_timeout=_TIMEOUT)

        numbers = await workflow.execute_activity(activities.numbers, start_to_close_timeout=_TIMEOUT)
        return await asyncio.gather(*map(one, numbers))


@workflow.defn
class Outlives:
    """A chain whose steps are known to be short: what is not done by then is done again."""

    @workflow.run
    async def run(self, log: str) -> None:
        for index in (0, 1):
            await workflow.execute_activity(activities.outlive, Outlive(index, log), start_to_close_timeout=_SHORT_STEP)


@workflow.defn
class Holds:
    @workflow.run
    async def run(self, kinds: list[HoldKind], log: str) -> None:
        # return_exceptions: a cancelled workflow is to end when the last of its activities has, not the first.
        await asyncio.gather(
            *(self._hold(kind, Hold(index, log)) for index, kind in enumerate(kinds)), return_exceptions=True
        )

    async def _hold(self, kind: HoldKind, hold: Hold) -> None:
        run, task_queue = _HOLDS[kind]
        await workflow.execute_activity(
            run,
            hold,
            task_queue=task_queue,
            start_to_close_timeout=_TIMEOUT,
            heartbeat_timeout=_HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(maximum_attempts=1),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
