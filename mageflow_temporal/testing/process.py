"""A worker in a process of its own, which a test can kill."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from mageflow_temporal import EmbeddedServer

_MODULE: Final = "mageflow_temporal.testing.serve"


class WorkerProcess:
    """A process with a worker.

    Args:
        place: where it finds the app, as "package.module:name".
        server: the server.
        task_queue: the app's queue.
    """

    def __init__(self, place: str, server: EmbeddedServer, task_queue: str) -> None:
        self._place = place
        self._arguments = (place, server.target, server.namespace, task_queue)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run it for as long as the context is open, and then kill it.

        Raises:
            RuntimeError: it ended before it listened.
        """
        await self._start()
        try:
            yield
        finally:
            await self._kill()

    async def replace(self) -> None:
        """Kill it as a machine may die, without a word to anyone, and start another one.

        Raises:
            RuntimeError: the other one ended before it listened.
        """
        await self._kill()
        await self._start()

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _MODULE,
            *self._arguments,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout
        try:
            listens = await self._process.stdout.readline()
        except asyncio.CancelledError:
            await self._kill()
            raise
        if not listens:
            code = await self._process.wait()
            msg = (
                f"the worker's process ended with exit code {code} before it listened, and said why on standard error. "
                f"{self._place!r} must be an app, as 'package.module:name'"
            )
            raise RuntimeError(msg)

    async def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
