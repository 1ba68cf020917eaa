"""A user's app, imported by the name that a command was given."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

import typer

from mageflow_temporal import Mageflow
from mageflow_temporal.cli.exits import FAILED

_HINT: Final = "APP"
_FRAMES: Final = 3
"""Lines of the user's own code that an error of it shows: the innermost."""
_NOT_THEIRS: Final = (str(Path(__file__).parents[1]), importlib.__path__[0], "<frozen importlib")
"""Where code lies between our call and the user's, which says nothing about an error of theirs."""


def load(app: str) -> Mageflow:
    """Return the app that `module` or `module:attribute` names; modules of the current folder are found, too.

    Raises:
        typer.BadParameter: there is none.
        typer.Exit: the module raised an error, which has been shown.
    """
    module_name, _, attribute = app.partition(":")
    module = load_module(module_name)
    if attribute:
        found = [getattr(module, attribute, None)]
    else:
        # One app may have several names.
        found = list({id(thing): thing for thing in vars(module).values() if isinstance(thing, Mageflow)}.values())
    match found:
        case [Mageflow() as only]:
            return only
        case [] | [_]:
            msg = f"{app!r} is no Mageflow app, and has none: write module:attribute"
        case _:
            msg = f"module {module_name!r} has {len(found)} apps: write module:attribute"
    raise typer.BadParameter(msg, param_hint=_HINT)


def load_module(name: str) -> ModuleType:
    """Return a module, imported.

    Raises:
        typer.BadParameter: there is none of that name.
        typer.Exit: it raised an error, which has been shown.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        msg = f"{name!r} is no module's name, such as shop or shop.tasks"
        raise typer.BadParameter(msg, param_hint=_HINT)
    find_here()
    with shown_if_raised(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            # A module that it imports in turn may be missing: that is its own affair.
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            msg = f"there is no module {error.name!r} here or on PYTHONPATH"
            raise typer.BadParameter(msg, param_hint=_HINT) from None


def find_here() -> None:
    """Let modules of the current folder be found, too."""
    if "" not in sys.path:
        sys.path.insert(0, "")


@contextmanager
def shown_if_raised(what: str) -> Generator[None]:
    """Show an error of the user's own code by its last lines, and end the command.

    Raises:
        typer.Exit: there was one.
    """
    try:
        yield
    except typer.BadParameter:
        raise
    except Exception as error:  # whatever it is  # noqa: BLE001
        sys.stderr.write(f"mageflow: {what!r} raises an error:\n{_in_short(error)}")
        raise typer.Exit(FAILED) from None


def _in_short(error: Exception) -> str:
    """Return the end of a traceback: what was raised, and by which lines of the user's."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_NOT_THEIRS)
    ]
    return "".join([*traceback.format_list(frames[-_FRAMES:]), *traceback.format_exception_only(error)])
