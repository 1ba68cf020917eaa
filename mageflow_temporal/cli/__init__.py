"""The `mageflow` command. Outside the workflow, and a user of the package like any other: public names only.

app.py          the command and its subcommands
connection.py   the options, the connection and the errors that commands share
terminal.py     what they print, and how
tree.py         a status report as a tree
exits.py        the exit codes
logs.py         what a worker's terminal shows
signals.py      how a command ends when it is told to
look.py         `mageflow show` and `mageflow ls`
watch.py        `mageflow watch`
steer.py        `mageflow suspend`, `interrupt`, `resume` and `skip`
bulk.py         the same by Temporal's batch operation
doctor.py       `mageflow doctor`
execute.py      `mageflow worker` and `mageflow run`
apps.py         a user's app, imported
completion.py   what a shell completes
dev/            `mageflow dev`
graph/          `mageflow graph`
demo/           `mageflow demo`
"""

from __future__ import annotations

import sys

import mageflow_temporal as mageflow

_EXTRA = ("typer", "rich", "watchfiles")
"""The packages of the extra "cli"; what they need in turn comes with them."""


def main() -> None:
    """Run the command line."""
    try:
        from mageflow_temporal.cli.app import app  # noqa: PLC0415 - the first place where the extra is needed
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(f"{mageflow.MissingExtraError(extra='cli', needed_for='the command mageflow')}\n")
        sys.exit(2)
    except KeyboardInterrupt:  # so early that nothing has been opened yet
        sys.exit(130)
    app()
