"""A server that serves the tests of a session, on whatever event loops they run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager

from mageflow_temporal import EmbeddedServer, server


@contextmanager
def serving() -> Generator[EmbeddedServer]:
    """Run an embedded server for as long as the context is open.

    On an event loop and a thread of its own: the loops of tests come and go, and which of them lasts for the session is
    a setting of the user's.

    Raises:
        MissingExtraError: the extra "server" is not installed.
        ServerStartError: the server did not start.
    """
    started, stop = Future[EmbeddedServer](), Future[None]()

    async def serve() -> None:
        try:
            async with server.run(ui=False) as running:
                started.set_result(running)
                await asyncio.wrap_future(stop)
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="mageflow-server", daemon=True)
    thread.start()
    try:
        yield started.result()
    finally:
        stop.set_result(None)
        thread.join()
