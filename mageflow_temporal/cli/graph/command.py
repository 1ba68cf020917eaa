"""`mageflow graph`: a signature that runs, or one that a module makes, as a diagram."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from mageflow_temporal import Member, Signature
from mageflow_temporal.cli import completion
from mageflow_temporal.cli.apps import find_here, load_module, shown_if_raised
from mageflow_temporal.cli.connection import Address, App, Namespace, TaskQueue, complain, connect, run
from mageflow_temporal.cli.exits import FAILED
from mageflow_temporal.cli.graph.boxes import Box, box
from mageflow_temporal.cli.graph.mermaid import mermaid
from mageflow_temporal.cli.graph.svg import svg as picture

_WHAT = "KEY|APP:SIGNATURE"


def graph(
    what: Annotated[
        str,
        typer.Argument(
            help="A signature's or member's key; or module:name of a signature, or of a function that returns one.",
            metavar=_WHAT,
            autocompletion=completion.keys,
        ),
    ],
    *,
    svg: Annotated[
        Path | None, typer.Option(help="Write a picture to this file instead.", metavar="FILE", dir_okay=False)
    ] = None,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """Print a signature as a Mermaid diagram. Of a key it shows the statuses, too."""
    module, colon, name = what.partition(":")
    # A key may have a colon in it. No server is needed for what a module makes.
    if colon and name.isidentifier() and _is_module(module):
        made = _drafted(module, name)
    else:
        made = _running(Member(connect(address, namespace, task_queue, app), what))
    run("graph", _graph(made, svg))


async def _graph(made: Coroutine[Any, Any, Box], svg: Path | None) -> int:
    root = await made
    return _put(mermaid(root)) if svg is None else _write(picture(root), svg)


def _put(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _write(text: str, file: Path) -> int:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        complain(f"mageflow graph: {file} cannot be written: {error.strerror}")
        return FAILED
    return 0


async def _running(member: Member) -> Box:
    return box(await member.status(), draft=False)


async def _drafted(module: str, name: str) -> Box:
    thing: Any = getattr(load_module(module), name, None)
    if callable(thing):
        with shown_if_raised(f"{module}:{name}"):
            thing = thing()
            if inspect.isawaitable(thing):
                thing = await thing
    if not isinstance(thing, Signature):
        msg = f"{name!r} of module {module!r} is no signature, and no function that returns one"
        raise typer.BadParameter(msg, param_hint=_WHAT)
    return box(await thing.status(), draft=True)


def _is_module(name: str) -> bool:
    find_here()
    first = name.partition(".")[0]
    return first.isidentifier() and (find_spec(first) is not None)
