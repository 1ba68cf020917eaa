"""The `mageflow` command and its subcommands, each in a file or folder of its own."""

from __future__ import annotations

from typing import Final

import typer

from mageflow_temporal.cli.demo.command import demo
from mageflow_temporal.cli.dev.command import dev
from mageflow_temporal.cli.doctor import doctor
from mageflow_temporal.cli.execute import run_task, worker
from mageflow_temporal.cli.graph.command import graph
from mageflow_temporal.cli.look import ls, show
from mageflow_temporal.cli.steer import interrupt, resume, skip, suspend
from mageflow_temporal.cli.watch import watch

app: Final = typer.Typer(
    name="mageflow",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # an unexpected error is for a bug report: the plain traceback says most
)
for command in (demo, dev, doctor, worker, ls, show, graph, watch, suspend, interrupt, resume, skip):
    app.command()(command)
app.command("run")(run_task)


@app.callback()
def mageflow() -> None:
    """Chains and swarms of plain Python tasks on Temporal."""
