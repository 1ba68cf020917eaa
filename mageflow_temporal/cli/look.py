"""`mageflow show` and `mageflow ls`: what there is, and how it stands."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Final, Literal

import typer
from rich.table import Table
from rich.text import Text

from mageflow_temporal import ListedSignature, Member, Status
from mageflow_temporal.cli import tree
from mageflow_temporal.cli.completion import Key
from mageflow_temporal.cli.connection import Address, App, AsJson, Namespace, TaskQueue, connect, run
from mageflow_temporal.cli.terminal import STYLES, ago, clean, put, put_json

_AGE: Final = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_age(text: str) -> timedelta:
    """Return the duration that an option names: "90s", "5m", "2h", "7d"."""
    if not (found := _AGE.fullmatch(text)):
        msg = f"{text!r} is no duration: write 90s, 5m, 2h or 7d"
        raise typer.BadParameter(msg)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def show(
    key: Key,
    *,
    as_json: AsJson = False,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """Show a signature as a tree: statuses, attempts, errors, and what holds it."""
    run("show", _show(Member(connect(address, namespace, task_queue, app), key), as_json=as_json))


async def _show(member: Member, *, as_json: bool) -> int:
    report = await member.status()
    if as_json:
        put_json(report)
    else:
        put(tree.draw(report))
    return 0


def ls(
    *,
    status: Annotated[Status | None, typer.Option(help="Only those of this status.")] = None,
    name: Annotated[str | None, typer.Option(help="Only those of this name.")] = None,
    kind: Annotated[Literal["task", "chain", "swarm"] | None, typer.Option(help="Only those of this kind.")] = None,
    older_than: Annotated[
        timedelta | None,
        typer.Option(help="Only those started longer ago: 90s, 5m, 2h, 7d.", parser=parse_age, metavar="AGE"),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 50,
    as_json: AsJson = False,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """List signatures: those that run, then those that ended, the latest first."""
    asked = connect(address, namespace, task_queue, app).signatures(
        status=status, name=name, kind=kind, older_than=older_than
    )
    run("ls", _ls(asked, limit, as_json=as_json))


async def _ls(asked: AsyncIterator[ListedSignature], limit: int, *, as_json: bool) -> int:
    found: list[ListedSignature] = []
    async for signature in asked:
        found.append(signature)
        if len(found) > limit:
            break
    if as_json:
        put_json(found[:limit])
        return 0
    put(_table(found[:limit]) if found else Text("No signatures.", style="dim"))
    if len(found) > limit:
        put(Text(f"These are the first {limit}: --limit shows more.", style="dim"))
    return 0


def _table(signatures: list[ListedSignature]) -> Table:
    table = Table("key", "name", "kind", "status", "started", "ended", box=None, pad_edge=False, header_style="dim")
    for signature in signatures:
        status = signature.status
        table.add_row(
            Text(clean(signature.key), overflow="fold"),
            Text(clean(signature.name), overflow="ellipsis"),
            signature.kind,
            Text(status, style=STYLES[status]) if status else Text("running"),
            Text(f"{ago(signature.started_at)} ago", no_wrap=True),
            Text(f"{ago(signature.ended_at)} ago", no_wrap=True) if signature.ended_at else "",
        )
    return table
