"""What a client does."""

from __future__ import annotations

import uuid
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from bench.hand_written import UNSANDBOXED
from bench.hand_written.workflows import TASK_QUEUE, Chain, Holds, LivingSwarm, Map, Outlives, Single, Swarm
from bench.work import ADDED_AT_ONCE, CHAIN_STEPS, SWARM_CONCURRENCY, SWARM_ITEMS, HoldKind, Item


class HandWritten:
    """A client of the workflows.

    Args:
        client: a connection to the server.
        sandboxed: whether its worker has the SDK's sandbox for workflows, which is the default.
    """

    def __init__(self, client: Client, *, sandboxed: bool = True) -> None:
        self.name = "hand-written" if sandboxed else UNSANDBOXED
        self._client = client

    async def single(self) -> None:
        assert await (await self._start(Single.run, Item(number=1))).result() == 1

    async def chain(self) -> None:
        assert await (await self._start(Chain.run, CHAIN_STEPS)).result() == CHAIN_STEPS

    async def swarm(self) -> None:
        items = [Item(number=number) for number in range(SWARM_ITEMS)]
        handle = await self._start(Swarm.run, items, SWARM_CONCURRENCY)
        assert await handle.result() == list(range(SWARM_ITEMS))

    async def living(self) -> None:
        handle = await self._start(LivingSwarm.run, SWARM_CONCURRENCY)
        for first in range(0, SWARM_ITEMS, ADDED_AT_ONCE):
            items = [Item(number=first + index) for index in range(ADDED_AT_ONCE)]
            await handle.execute_update(LivingSwarm.add, items)
        await handle.signal(LivingSwarm.close)
        assert await handle.result() == list(range(SWARM_ITEMS))

    async def map(self) -> None:
        handle = await self._start(Map.run, SWARM_CONCURRENCY)
        assert await handle.result() == list(range(1, SWARM_ITEMS + 1))

    async def hold(self, kinds: list[HoldKind], log: str) -> WorkflowHandle[Any, Any]:
        return await self._start(Holds.run, kinds, log)

    async def outlive(self, log: str) -> None:
        await (await self._start(Outlives.run, log)).result()

    async def interrupt(self, held: WorkflowHandle[Any, Any]) -> None:
        await held.cancel()
        try:
            await held.result()
        except WorkflowFailureError:
            pass  # that it ends is what was wanted

    async def discard(self, held: WorkflowHandle[Any, Any]) -> None:
        """It has ended with its interrupt."""

    async def _start(self, run: Any, *args: Any) -> WorkflowHandle[Any, Any]:
        return await self._client.start_workflow(run, args=args, id=str(uuid.uuid4()), task_queue=TASK_QUEUE)
