"""A swarm that gets thousands of items while it runs, from several processes at once, of which one is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process

from pydantic import BaseModel

from mageflow_temporal import Mageflow, SwarmConfig
from tests.support import Ledger, eventually

ITEMS = int(os.environ.get("ITEMS", "5000"))
PROCESSES = 3


class Item(BaseModel):
    number: int


async def test_each_item_is_once_in_the_result_though_one_of_three_adders_is_killed_and_its_successor_repeats_its_calls(
    mf: Mageflow, ledger: Ledger
) -> None:
    @mf.task(name="item")
    async def item(msg: Item) -> int:
        ledger.begun[str(msg.number)] += 1
        return msg.number

    queue = mf.config.task_queue
    address = (await mf.client()).service_client.config.target_host
    borders = [ITEMS * number // PROCESSES for number in range(PROCESSES + 1)]
    shares = list(zip(borders, borders[1:], strict=False))
    adders: list[Process] = []

    async def adder(share: tuple[int, int]) -> Process:
        arguments = [sys.executable, "-m", "tests.adding_process", address, queue, swarm.key, *map(str, share)]
        adders.append(await asyncio.create_subprocess_exec(*arguments, stdout=PIPE))
        return adders[-1]

    async with mf.worker():
        swarm = await mf.swarm(config=SwarmConfig(max_concurrency=100))
        await swarm.start()
        try:
            killed, *others = [await adder(share) for share in shares]
            assert killed.stdout
            for _ in range(5):
                assert await killed.stdout.readline(), "it adds"
            await eventually(lambda: ledger.begun, "the swarm runs what it has")
            killed.kill()
            assert await killed.wait() < 0, "it was in the middle of its calls"
            successor = await adder(shares[0])
            ends = [await process.communicate() and process.returncode for process in (*others, successor)]
            assert ends == [0, 0, 0]
        finally:
            for process in adders:
                if process.returncode is None:
                    process.kill()
                await process.wait()
        await swarm.close()
        assert sorted(await swarm.result(timeout=300)) == list(range(ITEMS))
    assert set(ledger.begun.values()) == {1}
