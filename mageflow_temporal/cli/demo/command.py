"""`mageflow demo`: what it accepts, and how it ends."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console
from temporalio.service import RPCError

import mageflow_temporal as mageflow
from mageflow_temporal.cli import signals
from mageflow_temporal.cli.demo.folder import SHIPPED, NoTextsError, Selection, select
from mageflow_temporal.cli.demo.pipeline import compose, mf, start_message
from mageflow_temporal.cli.demo.screen import LiveScreen, PlainScreen, Screen
from mageflow_temporal.cli.demo.shell import Shell
from mageflow_temporal.cli.demo.story import Story
from mageflow_temporal.cli.demo.summary import some
from mageflow_temporal.cli.terminal import be_quiet

_FAILED: Final = 1
_REFUSED: Final = 2


class _NoPlaceError(Exception):
    """The report cannot be written where it is wanted; better to know before half a minute has passed."""


@dataclass(frozen=True)
class _Order:
    """What the command line asks for."""

    selection: Selection
    report: Path
    keep: bool
    deployed: bool


@dataclass(frozen=True)
class _Stage:
    """Where the pipeline runs."""

    target: str
    namespace: str
    ui_url: str | None
    """`None` where nobody has told us."""

    def page(self, workflow_id: str) -> str:
        """Return where one can look at a workflow."""
        if self.ui_url is None:
            return f"workflow {workflow_id} in namespace {self.namespace}"
        return f"{self.ui_url}/namespaces/{self.namespace}/workflows/{workflow_id}"


def demo(
    *,
    folder: Annotated[
        Path, typer.Argument(help="The folder whose text files are counted.", show_default="texts of the package")
    ] = SHIPPED,
    report: Annotated[
        Path | None,
        typer.Option(help="Where to write the report.", show_default="a temporary file", dir_okay=False),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="At the end, keep the Web UI open until Ctrl-C.")] = False,
    deployed: Annotated[
        bool,
        typer.Option(
            "--deployed",
            help="Run on the server that TEMPORAL_ADDRESS names, by workers/demo_worker.py, not on an embedded one.",
        ),
    ] = False,
) -> None:
    """Watch a real pipeline run, suspend, interrupt and resume.

    It counts the words of text files. It brings a Temporal server with Web UI, and a worker; both end with it.
    """
    be_quiet()
    try:
        order = _Order(select(folder), _place(report), keep=keep, deployed=deployed)
        signals.run(_demo(order, Console(highlight=False)))
    except (NoTextsError, _NoPlaceError, mageflow.MissingExtraError) as error:
        _end(str(error), _REFUSED)
    except mageflow.MageflowError as error:
        _end(str(error), _FAILED)
    except signals.Stopped as stopped:
        stopped.end("mageflow demo: stopped, and nothing is left running")


async def _demo(order: _Order, console: Console) -> None:
    texts = start_message(order.selection.paths)
    pipeline = await compose(texts, order.report)
    screen = _screen(console)
    screen.say(f"A pipeline of tasks, run by Temporal, counts the words of {some(len(texts.paths), 'text')}.")
    screen.say("On its way it is suspended and resumed; then one task is interrupted and resumed.")
    if left_out := order.selection.left_out:
        screen.say(f"Left out, as too large or too many for a demo: {some(len(left_out), 'file')}.")
    async with _deployed(pipeline.key) if order.deployed else _embedded(screen) as stage:
        screen.footer = stage.page(pipeline.key)
        screen.say(f"Web UI: {screen.footer}")
        shell = Shell(stage.target, stage.namespace, pipeline.key)
        with screen:
            summary = await Story(pipeline, texts, screen, shell).tell()
        screen.summary(summary)
        screen.say(f"Report: {summary.report}")
        screen.say(f"Finished in {screen.seconds:.0f} s.")
        if order.keep:
            await _kept(screen)
    if not order.keep and not order.deployed:
        screen.say()
        screen.say("The server and its Web UI have ended; mageflow demo --keep leaves them open.")


@asynccontextmanager
async def _deployed(workflow_id: str) -> AsyncGenerator[_Stage]:
    client = await mf.client()
    try:
        yield _Stage(client.service_client.config.target_host, client.namespace, ui_url=None)
    except asyncio.CancelledError:
        # Nobody would ever resume it. Terminated, not cancelled: that needs no worker, and there may be none.
        with suppress(RPCError):
            await client.get_workflow_handle(workflow_id).terminate("the demo was stopped")
        raise


@asynccontextmanager
async def _embedded(screen: Screen) -> AsyncGenerator[_Stage]:
    screen.say("Starting a Temporal server and a worker ...")
    async with mf.local() as server:
        yield _Stage(server.target, server.namespace, server.ui_url)


def _screen(console: Console) -> Screen:
    # Not console.is_terminal: a CI service that sets FORCE_COLOR wants colours in its log, not a moving picture.
    live = sys.stdout.isatty() and not console.is_dumb_terminal
    return LiveScreen(console) if live else PlainScreen(console)


async def _kept(screen: Screen) -> None:
    screen.say()
    screen.say(f"Open until Ctrl-C: {screen.footer}")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        screen.say("Closed.")  # the demo was over: this is its end, not an interruption of it


def _place(report: Path | None) -> Path:
    if report is None:
        return Path(tempfile.gettempdir()) / f"mageflow-demo-{secrets.token_hex(4)}.md"
    folder = report.resolve().parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        msg = f"the report cannot be written to {report}: there is no folder {folder} to write to"
        raise _NoPlaceError(msg)
    return report.resolve()


def _end(message: str, exit_code: int) -> NoReturn:
    typer.echo(f"mageflow demo: {message}", err=True)
    raise typer.Exit(exit_code) from None
