"""`mageflow suspend|interrupt|resume --query ... --batch`: the server sends the verb, to however many there are."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mageflow_temporal import Mageflow, Verb
from mageflow_temporal.cli.connection import complain
from mageflow_temporal.cli.exits import FAILED
from mageflow_temporal.cli.terminal import put_json

_PAUSE: Final = 0.5
"""Seconds between two looks."""


async def send(app: Mageflow, verb: Verb, query: str, *, reason: str | None, rate: float, as_json: bool) -> int:
    """Begin a batch operation, and tell of it until it has ended."""
    batch = await app.batch(verb, query, reason=reason, rate=rate)
    complain(f"batch operation {batch.id} goes on by itself if this command is ended")
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        while (now := await batch.progress()).state == "running":
            bar.update(task, total=now.total or None, completed=now.sent + now.failed)
            await asyncio.sleep(_PAUSE)
    if as_json:
        put_json(now)
    else:
        unsent = f", {now.failed} could not be told: most have ended meanwhile" if now.failed else ""
        sys.stdout.write(f"told {now.sent} of {now.total} to {verb}{unsent}\n")
    return FAILED if now.failed or now.state == "failed" else 0
