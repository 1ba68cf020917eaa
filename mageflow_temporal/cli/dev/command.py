"""`mageflow dev`: all that one needs to write tasks and see them run."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer
from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType] - it also takes an Event of trio

from mageflow_temporal import EmbeddedServer, Mageflow
from mageflow_temporal.cli.connection import choose_server, run
from mageflow_temporal.cli.dev.process import WorkerProcess
from mageflow_temporal.cli.exits import WRONG_USAGE

_PORT: Final = 7233
"""Where Temporal's clients look, and so do our commands in another terminal."""
_UI_PORT: Final = 8233


def dev(
    app: Annotated[str, typer.Argument(help="The app: module, or module:attribute where it has several.")],
    *,
    port: Annotated[int, typer.Option(help="The server's port.", min=1, max=65_535)] = _PORT,
    ui_port: Annotated[int, typer.Option(help="The Web UI's port.", min=1, max=65_535)] = _UI_PORT,
    database: Annotated[
        Path | None,
        typer.Option(help="A file that keeps the server's state.", show_default="in memory", dir_okay=False),
    ] = None,
) -> None:
    """Run a Temporal server with its Web UI, and a worker that starts anew when a Python file here changes.

    Ctrl-C ends all of it.
    """
    run("dev", _dev(app, port, ui_port, database))


async def _dev(app: str, port: int, ui_port: int, database: Path | None) -> int:
    try:
        async with Mageflow().local(worker=False, port=port, ui_port=ui_port, database=database) as server:
            choose_server(server.target, server.namespace)  # for what the tasks themselves connect
            _greet(app, port, server)
            async with WorkerProcess(app, server) as worker:
                async for changes in awatch(".", watch_filter=PythonFilter(), stop_event=worker.misnamed):
                    _say(f"{_files(path for _, path in changes)} changed: the worker starts anew")
                    await worker.replace()
    except asyncio.CancelledError:
        _say("\nThe worker and the server have ended.")  # Ctrl-C: that is how one ends it
        return 0
    return WRONG_USAGE


def _greet(app: str, port: int, server: EmbeddedServer) -> None:
    _say(f"Temporal server  {server.target}")
    _say(f"Web UI           {server.ui_url}/namespaces/{server.namespace}/workflows")
    _say(f"watched          {Path.cwd()}")
    _say("In another terminal:")
    if port != _PORT:
        _say(f"                 export TEMPORAL_ADDRESS={server.target}")
    _say(f"                 mageflow run {app}:TASK --message JSON")
    _say("Ctrl-C ends all of it.\n")


def _files(paths: Iterable[str]) -> str:
    return ", ".join(sorted({os.path.relpath(path) for path in paths}))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
