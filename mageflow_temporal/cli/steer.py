"""`mageflow suspend`, `interrupt`, `resume` and `skip`: signatures by their keys, or all that a query finds."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from temporalio.service import RPCError

from mageflow_temporal import LifecycleReport, Mageflow, MageflowError, Member, Status, Verb
from mageflow_temporal.cli import completion
from mageflow_temporal.cli.bulk import send
from mageflow_temporal.cli.connection import (
    Address,
    App,
    AsJson,
    Namespace,
    TaskQueue,
    complain,
    connect,
    in_words,
    parsed,
    run,
)
from mageflow_temporal.cli.exits import FAILED
from mageflow_temporal.cli.terminal import clean, put_json

_AT_ONCE: Final = 50
"""Calls that are on their way at once, however fast they may be sent."""
_LONGEST_REASON: Final = 1000
"""Characters that a reason may have."""
_SKIP: Final = "skip"
_Command = Literal[Verb.SUSPEND, Verb.INTERRUPT, Verb.RESUME, "skip"]
_PAST: Final[dict[_Command, str]] = {
    Verb.SUSPEND: "suspended",
    Verb.INTERRUPT: "interrupted",
    Verb.RESUME: "resumed",
    _SKIP: "skipped",
}


def _fitting(reason: str | None) -> str | None:
    if reason is not None and not 0 < len(reason) <= _LONGEST_REASON:
        msg = f"it must have 1 to {_LONGEST_REASON} characters"
        raise typer.BadParameter(msg)
    return reason


Keys = Annotated[
    list[str] | None,
    typer.Argument(
        help="Keys of signatures (etl-4f2c) or members (etl-4f2c#2.1).",
        metavar="KEY",
        autocompletion=completion.keys,
    ),
]
Query = Annotated[
    str | None,
    typer.Option(help="Instead of keys: all that run and fit this visibility query, such as MageflowName='etl'."),
]
Reason = Annotated[str | None, typer.Option(help="Why: kept in the status while it lasts.", callback=_fitting)]
HeldFor = Annotated[str | None, typer.Option(help="Only what is held, and was given this reason.", callback=_fitting)]
Rate = Annotated[float, typer.Option(help="How many in a second at most, of those that a query finds.", min=0.1)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which ones it would be.")]
Batch = Annotated[
    bool, typer.Option("--batch", help="Let the server send it, as signals: for very many. None gives an answer.")
]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the answer of each.", min=0.1)]

_RATE: Final = 100.0
_TIMEOUT: Final = 60.0


class Outcome(BaseModel):
    """What became of one key."""

    key: str
    outcome: Literal["done", "would be done", "left", "refused"]
    """left: it is not held for that reason. refused: the error says why."""
    report: LifecycleReport | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Order:
    """What the command line asks for."""

    verb: _Command
    keys: Sequence[str]
    query: str | None
    rate: float
    timeout: float
    dry_run: bool
    as_json: bool
    batch: bool = False
    reason: str | None = None
    given: Any = None
    """Of a resume: the kwargs. Of a skip: the result."""


def suspend(
    *,
    keys: Keys = None,
    query: Query = None,
    reason: Reason = None,
    rate: Rate = _RATE,
    dry_run: DryRun = False,
    batch: Batch = False,
    timeout: Timeout = _TIMEOUT,
    as_json: AsJson = False,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """Begin nothing new until a resume; what runs goes on to its end.

    What is held already stays so for the reason that it has.
    """
    order = _Order(Verb.SUSPEND, keys or (), query, rate, timeout, dry_run, as_json, batch, reason)
    _start(connect(address, namespace, task_queue, app), order)


def interrupt(
    *,
    keys: Keys = None,
    query: Query = None,
    reason: Reason = None,
    rate: Rate = _RATE,
    dry_run: DryRun = False,
    batch: Batch = False,
    timeout: Timeout = _TIMEOUT,
    as_json: AsJson = False,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """Suspend, and cancel the code that runs. Returns when that code has stopped.

    What is suspended already is interrupted, too, and has this reason from then on.
    """
    order = _Order(Verb.INTERRUPT, keys or (), query, rate, timeout, dry_run, as_json, batch, reason)
    _start(connect(address, namespace, task_queue, app), order)


def resume(
    *,
    keys: Keys = None,
    query: Query = None,
    reason: HeldFor = None,
    kwargs: Annotated[
        str | None, typer.Option(help="Laid over the messages of all that begins from now on, as JSON.", metavar="JSON")
    ] = None,
    rate: Rate = _RATE,
    dry_run: DryRun = False,
    batch: Batch = False,
    timeout: Timeout = _TIMEOUT,
    as_json: AsJson = False,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """Go on where a suspend or interrupt stopped it. What has finished is not run again."""
    given = parsed(kwargs, "--kwargs")
    if given is not None and not isinstance(given, dict):
        msg = 'it must be a JSON object, such as \'{"path": "other.csv"}\''
        raise typer.BadParameter(msg, param_hint="--kwargs")
    order = _Order(Verb.RESUME, keys or (), query, rate, timeout, dry_run, as_json, batch, reason, given)
    _start(connect(address, namespace, task_queue, app), order)


def skip(
    *,
    keys: Keys = None,
    query: Query = None,
    result: Annotated[
        str | None, typer.Option(help="What each returns instead, as JSON.", metavar="JSON", show_default="null")
    ] = None,
    rate: Rate = _RATE,
    dry_run: DryRun = False,
    timeout: Timeout = _TIMEOUT,
    as_json: AsJson = False,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """Do without what has not ended: it is done, with a given result. What runs has to be interrupted first."""
    given = parsed(result, "--result")
    order = _Order(_SKIP, keys or (), query, rate, timeout, dry_run, as_json, given=given)
    _start(connect(address, namespace, task_queue, app), order)


def _start(app: Mageflow, order: _Order) -> None:
    if bool(order.keys) == bool(order.query and order.query.strip()):
        msg = "give keys, or a --query; all that run are found by --query \"ExecutionStatus='Running'\""
        raise typer.BadParameter(msg)
    run(order.verb, _batched(app, order) if order.batch else _carry_out(app, order))


def _batched(app: Mageflow, order: _Order) -> Coroutine[Any, Any, int]:
    """Return what leaves it to the server."""
    told_apart = order.verb is Verb.RESUME and (order.reason or order.given)
    if not order.query or order.dry_run or told_apart:
        msg = "it needs --query, and cannot go with --dry-run; a resume with it takes no --reason or --kwargs, either"
        raise typer.BadParameter(msg, param_hint="--batch")
    verb = Verb(order.verb)
    return send(app, verb, order.query, reason=order.reason, rate=order.rate, as_json=order.as_json)


async def _carry_out(app: Mageflow, order: _Order) -> int:
    found = list(order.keys)
    if order.query:
        running = app.signatures(f"ExecutionStatus='Running' AND ({order.query})")
        found = [signature.key async for signature in running]
    outcomes: list[Outcome] = []
    with _told(order, len(found)) as tell:
        async for outcome in _each(app, order, found):
            outcomes.append(outcome)
            tell(outcome)
    if order.as_json:
        put_json(outcomes)
    elif order.query:
        sys.stdout.write(f"{_summary(order, outcomes)}\n")
    return FAILED if any(outcome.outcome == "refused" for outcome in outcomes) else 0


async def _each(app: Mageflow, order: _Order, keys: list[str]) -> AsyncIterator[Outcome]:
    """Yield the outcome of each key as it comes, with so many begun in a second and so many at once."""
    await app.client()  # once, before all, so that a server that is not there is one error
    loop = asyncio.get_running_loop()
    began = loop.time()
    under_way: set[asyncio.Task[Outcome]] = set()
    try:
        for number, key in enumerate(keys):
            if order.query and (early := began + number / order.rate - loop.time()) > 0:
                await asyncio.sleep(early)
            under_way.add(asyncio.create_task(_one(app, order, key)))
            full = len(under_way) >= _AT_ONCE
            done, under_way = await asyncio.wait(
                under_way, timeout=None if full else 0, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                yield task.result()
        for task in asyncio.as_completed(under_way):
            yield await task
    finally:
        for task in under_way:
            task.cancel()


async def _one(app: Mageflow, order: _Order, key: str) -> Outcome:
    member = Member(app, key)
    try:
        if order.verb is Verb.RESUME and order.reason is not None:
            async with asyncio.timeout(order.timeout):
                now = await member.status()
            if now.reason != order.reason or now.held_by != now.key:
                return Outcome(key=key, outcome="left")
        if order.dry_run:
            return Outcome(key=key, outcome="would be done")
        return Outcome(key=key, outcome="done", report=await _told_to(member, order))
    except (MageflowError, RPCError, TimeoutError) as error:
        return Outcome(key=key, outcome="refused", error=clean(in_words(error)) or "no answer in time")


def _told_to(member: Member, order: _Order) -> Awaitable[LifecycleReport]:
    match order.verb:
        case Verb.SUSPEND:
            return member.suspend(order.reason, timeout=order.timeout)
        case Verb.INTERRUPT:
            return member.interrupt(order.reason, timeout=order.timeout)
        case Verb.RESUME:
            return member.resume(order.given, timeout=order.timeout)
        case "skip":
            return member.skip(order.given, timeout=order.timeout)


@contextlib.contextmanager
def _told(order: _Order, total: int) -> Generator[Callable[[Outcome], None]]:
    """Give what tells of each outcome: a line for each of some keys; a bar for what a query finds; errors always."""
    columns = (TextColumn(order.verb), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    task = bar.add_task("", total=total)

    def tell(outcome: Outcome) -> None:
        bar.advance(task)
        if outcome.error is not None:
            complain(f"mageflow {order.verb}: {outcome.error}")
        elif not order.as_json and (order.dry_run or not order.query):
            sys.stdout.write(f"{_line(order, outcome)}\n")

    with bar if order.query else contextlib.nullcontext():
        yield tell


def _line(order: _Order, outcome: Outcome) -> str:
    if outcome.report is None:
        why = f'left: it is not held for "{clean(order.reason or "")}"'
        return f"{outcome.key}: {why if outcome.outcome == 'left' else f'would be told to {order.verb}'}"
    report = outcome.report
    parts = {"taken back": report.stopped, "still running": report.draining, "stopped": report.cancelled}
    facts = "".join(f", {len(keys)} {what}" for what, keys in parts.items() if keys)
    if order.verb is Verb.RESUME and report.status in (Status.SUSPENDED, Status.INTERRUPTED):
        facts += ", for what is around it is held still: resume that, too"
    if order.verb == _SKIP and not report.status.ended:
        facts += ", and done when its turn comes"
    return f"{report.key}: {report.status}{facts}"


def _summary(order: _Order, outcomes: list[Outcome]) -> str:
    """Return what a query came to, in one line."""
    tally = {kind: sum(outcome.outcome == kind for outcome in outcomes) for kind in ("done", "would be done", "left")}
    refused = len(outcomes) - sum(tally.values())
    done = f"would {order.verb} {tally['would be done']}" if order.dry_run else f"{_PAST[order.verb]} {tally['done']}"
    left = f", left {tally['left']} that are not held for this reason" if tally["left"] else ""
    return f"{done} of {len(outcomes)}{left}" + (f", {refused} refused" if refused else "")
