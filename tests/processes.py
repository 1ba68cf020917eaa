"""Programs that tests run: what they say, how they end, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return the output of a command that was asked for JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@asynccontextmanager
async def running(
    *command: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    words: IO[bytes] | int | None = asyncio.subprocess.PIPE,
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a program for as long as the context is open; then kill it, as a machine may die.

    What it says goes where `words` says, or where our own words go (`None`).
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=words,
        stderr=words,
        env=environment,
        cwd=folder,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run(*command: str, environment: Mapping[str, str], folder: Path | None = None) -> Said:
    """Run a command to its end."""
    async with running(*command, environment=environment, folder=folder) as process:
        out, err = await process.communicate()
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


def own_environment() -> dict[str, str]:
    """Return the environment without the machine's own Temporal profile."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
