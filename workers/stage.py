"""What the examples share: a server to run on, and silence about failures that are a part of the story."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mageflow_temporal import Mageflow


@asynccontextmanager
async def stage(mf: Mageflow, *, worker: bool = True) -> AsyncGenerator[str]:
    """Yield a server's address, and use that server for as long as the context is open.

    It is the one that TEMPORAL_ADDRESS names; where that is not set, an embedded one, which ends with the context.

    Args:
        mf: the app.
        worker: whether to run a worker for it in this process, too.
    """
    logging.getLogger("temporalio").setLevel(logging.ERROR)  # or a task that fails prints its traceback into the story
    address = os.environ.get("TEMPORAL_ADDRESS")
    if not address:
        async with mf.local(worker=worker) as server:
            print(f"Web UI: {server.ui_url}")
            yield server.target
    elif worker:
        async with mf.worker():
            yield address
    else:
        yield address
