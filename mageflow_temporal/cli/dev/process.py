"""The process of a worker that is replaced when its code has changed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from types import TracebackType
from typing import Final, Self

from mageflow_temporal import EmbeddedServer
from mageflow_temporal.cli.connection import complain
from mageflow_temporal.cli.exits import WRONG_USAGE

_MODULE: Final = "mageflow_temporal.cli.dev.serve"
_PATIENCE: Final = 5.0
"""Seconds that a worker has to hand its tasks back; code that will not stop is killed, and begins again elsewhere."""


class WorkerProcess:
    """A worker in a process of its own, as long as the context is open.

    Args:
        app: the app, as "module" or "module:attribute".
        server: where it connects.

    Attributes:
        misnamed: set when there is no such app to begin with: no change of a file is to be waited for.
    """

    def __init__(self, app: str, server: EmbeddedServer) -> None:
        self.misnamed = asyncio.Event()
        self._arguments = (app, server.target, server.namespace)
        self._replaced = False

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def replace(self) -> None:
        """Have it hand its tasks back, and start another one."""
        await self._stop()
        self._replaced = True
        await self._start()

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _MODULE, *self._arguments),
            stdin=asyncio.subprocess.PIPE,  # it ends with us, however we end
            # A group of its own: the terminal's Ctrl-C is for us, who then end it.
            process_group=0 if os.name == "posix" else None,
        )
        self._end = asyncio.create_task(self._tell_of_its_end(self._process))

    async def _stop(self) -> None:
        self._end.cancel()
        assert self._process.stdin
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):  # it has ended in this moment
                self._process.kill()
            await self._process.wait()

    async def _tell_of_its_end(self, process: asyncio.subprocess.Process) -> None:
        if await process.wait() == WRONG_USAGE and not self._replaced:
            self.misnamed.set()
        else:
            complain("mageflow dev: the worker has ended; it starts anew with the next change")
