"""A worker process that notes what it runs: `python -m tests.counting_worker`, steered by its environment."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from mageflow_temporal import Mageflow, MageflowConfig
from tests.support import Diary

ADDRESS, QUEUE, DIARY = "COUNTING_ADDRESS", "COUNTING_QUEUE", "COUNTING_DIARY"

mf = Mageflow(os.environ.get(ADDRESS), config=MageflowConfig(task_queue=os.environ.get(QUEUE, "nowhere")))
diary = Diary(Path(os.environ.get(DIARY, os.devnull)))


class Item(BaseModel):
    number: int


@mf.task(name="item", heartbeat_timeout=timedelta(seconds=2))
async def item(msg: Item) -> int:
    diary.note("begun", number=msg.number)
    await asyncio.sleep(0.05)
    diary.note("ended", number=msg.number)
    return msg.number


if __name__ == "__main__":
    mf.run_worker(shutdown_grace=timedelta(0))
