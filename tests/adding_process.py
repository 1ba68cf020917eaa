"""A process that adds items to a running swarm: `python -m tests.adding_process ADDRESS QUEUE SWARM FIRST END`.

It says so after each batch. Run again, it repeats its calls, each under the name that it had before.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from mageflow_temporal import Mageflow, MageflowConfig
from mageflow_temporal.swarm import LoadedSwarm

BATCH = 20
"""Items in a call: a run takes 2,000 calls in all."""
AT_ONCE = 3
"""Calls under way at once: a run takes 10 of all processes together."""


async def main(address: str, queue: str, key: str, first: int, end: int) -> None:
    mf = Mageflow(address, config=MageflowConfig(task_queue=queue))
    mf.declare("item")
    swarm = await mf.load_signature(key)
    assert isinstance(swarm, LoadedSwarm)
    batches = iter(range(first, end, BATCH))

    async def lane() -> None:
        for begin in batches:
            numbers = range(begin, min(begin + BATCH, end))
            messages: list[dict[str, Any]] = [{"number": number} for number in numbers]
            await swarm.add_many(["item"] * len(numbers), messages, id=f"items from {begin}")
            print(begin, flush=True)

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:])))
