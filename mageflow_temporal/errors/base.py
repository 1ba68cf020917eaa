"""What all errors have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Any


class MageflowError(Exception):
    """The root: `except MageflowError` catches whatever this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled by their positional arguments, and ours are made of keyword arguments.
        given = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        added = {name: value for name, value in vars(self).items() if name not in given}  # such as notes
        return (_made_again, (type(self), self.args, given), added or None)


def attributes(error: MageflowError) -> dict[str, Any]:
    """Return what `type(error)(**attributes(error))` needs to build the error again, as JSON types."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in vars(error).items()
        if not name.startswith("_")
    }


def _made_again(kind: type[MageflowError], args: tuple[Any, ...], given: dict[str, Any]) -> MageflowError:
    return kind(**given) if given else kind(*args)
