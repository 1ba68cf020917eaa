"""How a command ends when it is told to: whatever it has opened is closed first."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final, NoReturn, TypeVar

_T = TypeVar("_T")

_ENDING: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a polite kill, and a terminal window that is closed. Windows has no SIGHUP."""


class Stopped(Exception):  # noqa: N818 - it is no error
    """The command was told to end, and has closed what it had opened.

    Attributes:
        exit_code: what a shell expects of a process that a signal ended.
    """

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(signal.Signals(number).name)

    def end(self, message: str) -> NoReturn:
        """End the process with a last message on standard error."""
        sys.stdout.flush()
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
        # Without taking the interpreter down: the SDK's core may still have an answer for a call that was cancelled,
        # and an interpreter that is half gone crashes on it. Whatever we had opened is closed.
        os._exit(self.exit_code)


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a command to its end, and return what it returns.

    Raises:
        Stopped: a signal ended it before.
    """
    try:
        return asyncio.run(_run(main))
    except KeyboardInterrupt:  # where the event loop cannot catch signals: asyncio has cancelled the command itself
        raise Stopped(signal.SIGINT) from None


async def _run(main: Coroutine[Any, Any, _T]) -> _T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main)
    received: list[int] = []

    def stop(number: int) -> None:
        # Once: a second Ctrl-C would cancel the clean-up, and leave a server behind.
        if not received:
            task.cancel()
        received.append(number)

    try:
        for number in _ENDING:
            loop.add_signal_handler(number, stop, number)
    except NotImplementedError:
        pass  # Windows
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        raise Stopped(received[0]) from None
