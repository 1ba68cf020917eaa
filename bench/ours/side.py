"""What a client does."""

from __future__ import annotations

from bench.ours.tasks import mf
from bench.work import ADDED_AT_ONCE, CHAIN_STEPS, SWARM_CONCURRENCY, SWARM_ITEMS, HoldKind, Item
from mageflow_temporal import Mageflow, Swarm, SwarmConfig


_ADDED_AT_ONCE = 1_000
"""Items in each call that adds to a large swarm."""


class Ours:
    """A client of the tasks: it knows them by name and type, as any other service would.

    Args:
        target: the server's address.
    """

    name = "ours"

    def __init__(self, target: str) -> None:
        self._app = Mageflow(target, config=mf.config)
        for task in mf.tasks:
            self._app.declare(task.name, message=task.message_type, result=task.result_type, options=task.options)

    async def single(self) -> None:
        signature = await self._app.sign("work")
        assert await signature.run(Item(number=1)) == 1

    async def chain(self) -> None:
        chain = await self._app.chain(["step"] * CHAIN_STEPS)
        assert await chain.run() == CHAIN_STEPS

    async def swarm(self) -> None:
        items = [await self._app.sign("work", number=number) for number in range(SWARM_ITEMS)]
        swarm = await self._app.swarm(items, config=SwarmConfig(max_concurrency=SWARM_CONCURRENCY))
        assert await swarm.run() == list(range(SWARM_ITEMS))

    async def living(self) -> None:
        swarm = await self._app.swarm(config=SwarmConfig(max_concurrency=SWARM_CONCURRENCY))
        await swarm.start()
        for first in range(0, SWARM_ITEMS, ADDED_AT_ONCE):
            items = [Item(number=first + index) for index in range(ADDED_AT_ONCE)]
            await swarm.add_many(["work"] * ADDED_AT_ONCE, items)
        await swarm.close()
        assert await swarm.result() == list(range(SWARM_ITEMS))

    async def map(self) -> None:
        mapped = await self._app.map("step", config=SwarmConfig(max_concurrency=SWARM_CONCURRENCY))
        chain = await self._app.chain(["numbers", mapped])
        assert await chain.run() == list(range(1, SWARM_ITEMS + 1))

    async def hold(self, kinds: list[HoldKind], log: str) -> Swarm[None]:
        items = [await self._app.sign(f"hold-{kind}", index=index, log=log) for index, kind in enumerate(kinds)]
        swarm = await self._app.swarm(items, config=SwarmConfig(max_concurrency=len(items)), is_swarm_closed=True)
        await swarm.start()
        return swarm

    async def outlive(self, log: str) -> None:
        chain = await self._app.chain([await self._app.sign("outlive", index=index, log=log) for index in (0, 1)])
        await chain.run()

    async def large(self, size: int) -> None:
        """Run as many tasks as `size` says, at most `SWARM_CONCURRENCY` at once, in one swarm."""
        swarm = await self._app.swarm(config=SwarmConfig(max_concurrency=SWARM_CONCURRENCY))
        await swarm.start()
        for first in range(0, size, _ADDED_AT_ONCE):
            items = [Item(number=number) for number in range(first, min(first + _ADDED_AT_ONCE, size))]
            await swarm.add_many(["work"] * len(items), items)
        await swarm.close()
        assert await swarm.result() == list(range(size))

    async def interrupt(self, held: Swarm[None]) -> None:
        await held.interrupt()

    async def discard(self, held: Swarm[None]) -> None:
        await held.remove()
