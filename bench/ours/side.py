"""What a client does."""

from __future__ import annotations

from bench.ours.tasks import mf
from bench.work import CHAIN_STEPS, SWARM_CONCURRENCY, SWARM_ITEMS, HoldKind, Item
from mageflow_temporal import Mageflow, Swarm, SwarmConfig


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

    async def hold(self, kinds: list[HoldKind], log: str) -> Swarm[None]:
        items = [await self._app.sign(f"hold-{kind}", index=index, log=log) for index, kind in enumerate(kinds)]
        swarm = await self._app.swarm(items, config=SwarmConfig(max_concurrency=len(items)), is_swarm_closed=True)
        await swarm.start()
        return swarm

    async def interrupt(self, held: Swarm[None]) -> None:
        await held.interrupt()

    async def discard(self, held: Swarm[None]) -> None:
        await held.remove()
