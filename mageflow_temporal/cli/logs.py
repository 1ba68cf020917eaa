"""What a worker's terminal shows: of a task that failed the task's own lines, not those of the libraries around it."""

from __future__ import annotations

import logging
from pathlib import Path
from traceback import StackSummary, TracebackException
from typing import Any, Final

import temporalio

import mageflow_temporal as mageflow

_LIBRARIES: Final = tuple(str(Path(package.__file__ or "").parent) for package in (mageflow, temporalio))
_OF_TASKS: Final = "temporalio.activity"
"""The SDK's logger: it tells of each failed attempt, with all the calls that led to the task's code."""


def log(form: str, dates: str | None = None) -> None:
    """Log to standard error.

    Args:
        form: of a line, for `logging.Formatter`.
        dates: of the date in it. `None`: with milliseconds.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(form, dates))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] | None = getattr(record, "temporal_activity", None)
        error = record.exc_info[1] if record.exc_info else None
        if record.name != _OF_TASKS or facts is None or error is None:
            return super().format(record)
        told = logging.makeLogRecord(vars(record))
        told.exc_info = told.exc_text = None
        told.args = ()
        told.msg = (
            f"task {facts['activity_type']!r} of {facts['workflow_id']} failed: {error}\n{_frames(error)}".rstrip()
        )
        return super().format(told)


def _frames(error: BaseException) -> str:
    """Return where an error and its causes were raised, as a traceback has it, without the libraries."""
    told, text = TracebackException.from_exception(error), ""
    while told is not None:
        own = [frame for frame in told.stack if not frame.filename.startswith(_LIBRARIES)]
        text += "".join(StackSummary.from_list(own).format())
        told = told.__cause__
        text += f"caused by {''.join(told.format_exception_only())}" if told else ""
    return text
