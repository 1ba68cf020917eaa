"""A worker process of one side: `python -m bench.worker SIDE TARGET PROCESSES`.

It works until its standard input ends, so it never outlives whoever started it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any


def _running(side: str, target: str, processes: int) -> AbstractAsyncContextManager[Any]:
    # Each side imports only what is its own: their memory is compared.
    if side == "ours":
        os.environ["TEMPORAL_ADDRESS"] = target
        from bench.ours.tasks import mf

        return mf.worker(shutdown_grace=timedelta(0))
    from bench.hand_written import UNSANDBOXED
    from bench.hand_written.workers import running

    return running(target, processes=processes, sandboxed=side != UNSANDBOXED)


async def main(side: str, target: str, processes: int) -> None:
    async with _running(side, target, processes):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
