"""What commands print, and how: rich on a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel
from rich.console import Console, RenderableType
from temporalio.runtime import Runtime, TelemetryConfig

from mageflow_temporal import Status

_ENDLESS: Final = 10_000
"""Columns of a pipe: nothing is broken or cut off there."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

STYLES: Final = {
    Status.PENDING: "dim",
    Status.ACTIVE: "cyan",
    Status.SUSPENDED: "yellow",
    Status.INTERRUPTED: "bold magenta",
    Status.DONE: "green",
    Status.FAILED: "bold red",
    Status.CANCELED: "red",
}


def be_quiet() -> None:
    """Keep logs and warnings off the screen; errors still end the command with a message."""
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    # The SDK's core, which is not Python, writes to the terminal by itself: that the server has gone, at the end.
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)))
    for stream in (sys.stdout, sys.stderr):
        # A name may have characters that the terminal's encoding lacks.
        if callable(reconfigure := getattr(stream, "reconfigure", None)):
            reconfigure(errors="replace")


def console() -> Console:
    """Return the console of standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _ENDLESS)


def put(what: RenderableType) -> None:
    """Print what a person reads."""
    screen = console()
    with screen.capture() as captured:
        screen.print(what)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def put_json(what: Any) -> None:
    """Print what a program reads: one JSON document."""
    sys.stdout.write(json.dumps(as_json(what), ensure_ascii=False, indent=2) + "\n")


def as_json(what: Any) -> Any:
    """Return models, and lists of them, as plain JSON types."""
    if isinstance(what, BaseModel):
        return what.model_dump(mode="json", exclude_none=True)
    return [as_json(item) for item in what] if isinstance(what, list) else what  # pyright: ignore[reportUnknownVariableType]


def clean(text: str) -> str:
    """Return a text of somebody else's as one line without control characters, which a terminal would obey."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def ago(moment: datetime) -> str:
    """Return how long ago a moment was, in one unit: "5 s", "3 min", "2 h", "9 d"."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
