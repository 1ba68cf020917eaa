"""The real `mageflow` command, as a person or a script runs it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mageflow_temporal import EmbeddedServer, Mageflow

COMMAND = str(Path(sys.executable).with_name("mageflow"))


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class MageflowCli:
    """Runs `mageflow` against one server, on the queue of one app, in a folder."""

    def __init__(self, server: EmbeddedServer, mf: Mageflow, folder: Path | None = None) -> None:
        self._folder = folder
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        self._environment |= {"TEMPORAL_ADDRESS": server.target}
        self._options = ("--task-queue", mf.config.task_queue)

    async def __call__(self, *words: str) -> Said:
        async with self.running(*words) as process:
            out, err = await process.communicate()
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), err.decode())

    async def ok(self, *words: str) -> Said:
        """Run a command that must succeed."""
        said = await self(*words)
        assert said.code == 0, f"mageflow {' '.join(words)}: {said.out}{said.err}"
        return said

    @asynccontextmanager
    async def running(self, *words: str) -> AsyncGenerator[asyncio.subprocess.Process]:
        """Run a command for as long as the context is open."""
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            words[0],
            *(() if words[0] == "run" else self._options),  # there the queue is that of the app
            *words[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            cwd=self._folder,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
