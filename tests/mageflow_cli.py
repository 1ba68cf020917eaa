"""The real `mageflow` command, as a person or a script runs it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from mageflow_temporal import EmbeddedServer, Mageflow
from tests import processes
from tests.processes import Said

COMMAND = str(Path(sys.executable).with_name("mageflow"))


class MageflowCli:
    """Runs `mageflow` against one server, on the queue of one app, in a folder."""

    def __init__(self, server: EmbeddedServer, mf: Mageflow, folder: Path | None = None) -> None:
        self._folder = folder
        self._environment = {**processes.own_environment(), "TEMPORAL_ADDRESS": server.target}
        self._options = ("--task-queue", mf.config.task_queue)

    async def __call__(self, *words: str) -> Said:
        return await processes.run(*self._command(words), environment=self._environment, folder=self._folder)

    async def ok(self, *words: str) -> Said:
        """Run a command that must succeed."""
        said = await self(*words)
        assert said.code == 0, f"mageflow {' '.join(words)}: {said.out}{said.err}"
        return said

    async def completes(self, *words: str) -> list[str]:
        """Return what the shell offers for the last of these words."""
        asked = {"_MAGEFLOW_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(["mageflow", *words])}
        environment = {**self._environment, **asked, "COMP_CWORD": str(len(words))}
        said = await processes.run(COMMAND, environment=environment, folder=self._folder)
        assert not said.err, "a shell that completes shows no error"
        return said.out.split()

    def running(self, *words: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Run a command for as long as the context is open."""
        return processes.running(*self._command(words), environment=self._environment, folder=self._folder)

    def _command(self, words: tuple[str, ...]) -> list[str]:
        # With an app at hand the queue is that of the app.
        options = () if words[0] == "run" or "--app" in words else self._options
        return [COMMAND, words[0], *options, *words[1:]]
