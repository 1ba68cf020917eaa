"""What a shell completes: keys from the server, and names of tasks from the app.

A shell that completes has no place for an error: where there is no answer, there is nothing to complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import Annotated, Final

import typer
from temporalio.service import RPCError

from mageflow_temporal import MageflowError
from mageflow_temporal.cli.apps import load
from mageflow_temporal.cli.connection import connect
from mageflow_temporal.cli.terminal import be_quiet

_MOST: Final = 40
"""Keys that are offered."""
_PATIENCE: Final = 2.0
"""Seconds that somebody who has pressed Tab waits."""


def keys(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the keys that begin so, each with what it is."""
    be_quiet()
    try:
        return asyncio.run(_keys(context.params.get("address"), context.params.get("namespace"), incomplete))
    except (MageflowError, RPCError, TimeoutError):
        return []


def tasks(incomplete: str) -> list[str]:
    """Return the app's tasks that begin so, with the app: "shop:print"."""
    app, colon, _ = incomplete.rpartition(":")
    if not colon:
        return []
    # What a module prints when it is imported would be taken for completions.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            known = load(app).tasks
        except (typer.BadParameter, typer.Exit):
            return []
    return [name for name in (f"{app}:{task.name}" for task in known) if name.startswith(incomplete)]


async def _keys(address: str | None, namespace: str | None, incomplete: str) -> list[tuple[str, str]]:
    text = incomplete.replace("\\", "\\\\").replace("'", "\\'")
    found: list[tuple[str, str]] = []
    async with asyncio.timeout(_PATIENCE):
        async for signature in connect(address, namespace, None, None).signatures(f"WorkflowId STARTS_WITH '{text}'"):
            found.append((signature.key, f"{signature.kind} {signature.status or 'running'}"))
            if len(found) == _MOST:
                break
    return found


Key = Annotated[
    str,
    typer.Argument(help="A signature's key (etl-4f2c), or a member's (etl-4f2c#2.1).", autocompletion=keys),
]
