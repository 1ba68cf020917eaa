"""`mageflow show` and `mageflow ls`: what there is, and how it stands."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Annotated, Final, Literal, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from mageflow_temporal import ListedSignature, MageflowError, Member, Status, StatusReport
from mageflow_temporal.cli import tree
from mageflow_temporal.cli.completion import Key
from mageflow_temporal.cli.connection import Address, App, AsJson, Namespace, TaskQueue, connect, run
from mageflow_temporal.cli.terminal import STYLES, ago, clean, put, put_json

_AGE: Final = re.compile(r"(\d{1,6})(s|m|h|d)")
_Row = TypeVar("_Row", ListedSignature, StatusReport)
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
    held: Annotated[
        bool, typer.Option("--held", help="What waits for a resume or a skip, members too: asks each that runs.")
    ] = False,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 50,
    as_json: AsJson = False,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """List signatures: those that run, then those that ended, the latest first."""
    there = connect(address, namespace, task_queue, app)
    if not held:
        listed = there.signatures(status=status, name=name, kind=kind, older_than=older_than)
        run("ls", _ls(listed, _table, "No signatures.", limit, as_json=as_json))
    elif status is None:
        parts = there.held(name=name, kind=kind, older_than=older_than)
        run("ls", _ls(_alone(parts), _holds, "Nothing is held.", limit, as_json=as_json))
    else:
        msg = "what is held is suspended or interrupted: it goes without --status"
        raise typer.BadParameter(msg, param_hint="--held")


async def _ls(
    asked: AsyncIterator[_Row], table: Callable[[list[_Row]], Table], none: str, limit: int, *, as_json: bool
) -> int:
    found: list[_Row] = []
    problem: MageflowError | None = None
    try:
        async for row in asked:
            found.append(row)
            if len(found) > limit:
                break
    except MageflowError as error:
        if not found:
            raise
        problem = error
    if as_json:
        put_json(found[:limit])
    else:
        put(table(found[:limit]) if found else Text(none, style="dim"))
    if problem:
        raise problem  # behind what there is
    if len(found) > limit and not as_json:
        put(Text(f"These are the first {limit}: --limit shows more.", style="dim"))
    return 0


async def _alone(parts: AsyncIterator[StatusReport]) -> AsyncIterator[StatusReport]:
    """Yield each without those below it: a script that wants them asks `show`."""
    async for part in parts:
        yield part.model_copy(update={"children": [], "callbacks": []})


def _holds(parts: list[StatusReport]) -> Table:
    table = Table("key", "name", "kind", "status", "reason", box=None, pad_edge=False, header_style="dim")
    for part in parts:
        table.add_row(
            Text(clean(part.key), overflow="fold"),
            Text(clean(part.name), overflow="ellipsis"),
            part.kind,
            Text(part.status, style=STYLES[part.status]),
            Text(clean(part.reason or ""), overflow="fold"),
        )
    return table


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
