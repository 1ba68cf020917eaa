"""The process of a worker that a test may kill: `python -m mageflow_temporal.testing.serve`, for `process.py` alone."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from importlib import import_module
from typing import TextIO

from temporalio.client import Client

from mageflow_temporal import Mageflow


async def serve(place: str, target: str, namespace: str, task_queue: str, listens: TextIO) -> None:
    """Run a worker for the app at "package.module:name" until standard input ends; say so when it listens."""
    module, _, name = place.partition(":")
    app: Mageflow = getattr(import_module(module), name)
    client = await Client.connect(target, namespace=namespace)
    async with app.connected_to(client, task_queue=task_queue), app.worker(shutdown_grace=timedelta(0)):
        print("listens", file=listens, flush=True)
        # It ends with the test that has started it, also where that is killed.
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as words:
        os.dup2(2, 1)  # what the tasks print is nothing that the test waits for
        asyncio.run(serve(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], words))
