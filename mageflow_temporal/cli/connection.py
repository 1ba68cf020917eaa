"""What all commands that need a server share: their options, their connection, and what becomes of an error."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from temporalio.service import RPCError

from mageflow_temporal import Mageflow, MageflowConfig, MageflowError, NoWorkerWarning, ServerUnavailableError
from mageflow_temporal.cli import signals
from mageflow_temporal.cli.apps import load
from mageflow_temporal.cli.exits import FAILED
from mageflow_temporal.cli.terminal import be_quiet, clean

Address = Annotated[
    str | None, typer.Option(help="The server's host:port.", show_default="TEMPORAL_ADDRESS or the Temporal profile")
]
Namespace = Annotated[
    str | None, typer.Option(help="The namespace.", show_default="TEMPORAL_NAMESPACE or the Temporal profile")
]
TaskQueue = Annotated[
    str | None, typer.Option(help="The queue of the app's workflows.", show_default="that of --app, or mageflow")
]
App = Annotated[
    str | None,
    typer.Option(
        help="Connect as this app does, with its plugins, such as a codec: module, or module:attribute.",
        envvar="MAGEFLOW_APP",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def choose_server(address: str | None, namespace: str | None) -> None:
    """Let this process, and so the user's own app in it, connect where the options say."""
    # The environment goes before the profile, and brings TLS and API key along, as for every `Mageflow()`.
    os.environ.update({"TEMPORAL_ADDRESS": address} if address else {})
    os.environ.update({"TEMPORAL_NAMESPACE": namespace} if namespace else {})


def connect(address: str | None, namespace: str | None, task_queue: str | None, app: str | None) -> Mageflow:
    """Return the user's app, or one without tasks. It connects on its first call."""
    choose_server(address, namespace)
    chosen = load(app) if app else Mageflow()
    if task_queue is not None:
        chosen.config = on_queue(chosen.config, task_queue)
    return chosen


def on_queue(config: MageflowConfig, task_queue: str) -> MageflowConfig:
    """Return the settings with another queue."""
    try:
        return MageflowConfig.model_validate({**dict(config), "task_queue": task_queue})
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"], param_hint="--task-queue") from None


def parsed(text: str | None, option: str) -> Any:
    """Return what the JSON of an option says; `None` where it was not given."""
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        msg = f"it is no JSON: {error}"
        raise typer.BadParameter(msg, param_hint=option) from None


def run(command: str, main: Coroutine[Any, Any, int], *, quiet: bool = True) -> None:
    """Run a command to its end, and end the process with the exit code that it returns.

    An error of ours, or of the server, is a line on standard error.
    """
    if quiet:
        be_quiet()
    warnings.simplefilter("always", NoWorkerWarning)
    warnings.showwarning = _show_warning
    try:
        code = signals.run(main)
    except (MageflowError, RPCError) as error:
        code = FAILED
        sys.stdout.flush()
        complain(f"mageflow {command}: {in_words(error)}")
    except signals.Stopped as stopped:
        stopped.end(f"mageflow {command}: stopped")
    raise typer.Exit(code)


def in_words(error: Exception) -> str:
    """Return what an error says to somebody at a terminal."""
    if isinstance(error, ServerUnavailableError):
        # Its own words are for a programmer.
        where = f"no Temporal server answers at {error.target} ({error.problem})"
        return f"{where}. Start one: mageflow dev APP, or check --address and TEMPORAL_ADDRESS"
    return (
        str(error)
        .replace("interrupt() stops", "`mageflow interrupt` stops")
        .replace("mf.run_worker()", "`mageflow worker APP`")
    )


def complain(what: str) -> None:
    """Print a line on standard error."""
    sys.stderr.write(f"{clean(what)}\n")


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    complain(str(message))
