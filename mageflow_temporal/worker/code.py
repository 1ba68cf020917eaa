"""A task's code under way, on the event loop or in a thread: it can be cancelled, but for the pieces that it shields.

What it raised is handed over as a value, to be raised where it is awaited: an asyncio task lets a `SystemExit` end the
event loop, and a cancellation that leaves a thread raw ends its pool.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

_Outcome = tuple[Any, BaseException | None]


class LoopCode:
    """The call of an `async def`, in an asyncio task of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._thread = threading.get_ident()
        self._task: asyncio.Task[_Outcome] | None = None
        self._shields = 0
        self._owed = False
        """Whether a cancellation came while the code was shielded from it."""

    async def result(self) -> Any:
        """Run it to its end, and pass on cancellations."""
        self._task = asyncio.create_task(self._run())
        return await _result(self._task, self._cancel)

    async def _run(self) -> _Outcome:
        try:
            return await self._call(), None
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - handed over
            return None, _unfolded(error)

    def _cancel(self) -> None:
        if self._shields:
            self._owed = True
        elif self._task:
            self._task.cancel()

    @contextmanager
    def shielded(self) -> Generator[None]:
        """Keep a cancellation from the block, and raise it at the end of the outermost one."""
        if threading.get_ident() != self._thread:  # nobody cancels what the code has begun in other threads
            yield
            return
        self._shields += 1
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            failed = error
            raise
        finally:
            self._shields -= 1
            if self._owed and not self._shields:
                self._owed = False
                if asyncio.current_task() is self._task:
                    raise asyncio.CancelledError from failed
                self._cancel()


class ThreadCode:
    """The call of a `def` in a thread, which the loop's may cancel while it is under way, and not a moment longer."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._cancelled = False
        self._shields = 0
        self._owed = False
        """Whether a cancellation came while the code was shielded from it."""

    async def result(self, executor: Executor) -> Any:
        """Run it to its end, and raise cancellations in it: at its next Python instruction."""
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(executor, contextvars.copy_context().run, self._run)
        return await _result(running, self._cancel)

    def _run(self) -> _Outcome:
        try:
            with self._lock:
                if self._cancelled:
                    return None, asyncio.CancelledError()
                self._thread = threading.get_ident()
            try:
                return self._call(), None
            finally:
                with self._lock:
                    if self._cancelled:
                        # Not delivered yet perhaps: it must not hit whatever this thread does next.
                        _raise_in_thread(threading.get_ident(), None)
                    self._thread = None
        except BaseException as error:  # noqa: BLE001 - handed over
            return None, _unfolded(error)

    def _cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._shields:
                self._owed = True
            elif self._thread is not None:
                _raise_in_thread(self._thread, asyncio.CancelledError)

    @contextmanager
    def shielded(self) -> Generator[None]:
        """Keep a cancellation from the block, and raise it at the end of the outermost one."""
        if threading.get_ident() != self._thread:  # nobody cancels what the code has begun in other threads
            yield
            return
        counted = owed = False
        failed: Exception | None = None
        try:
            with self._lock:
                self._shields += 1
                counted = True
            # One that was sent a moment ago is raised at the next jump back: here, not in the block.
            for _ in range(2):
                pass
            yield
        except Exception as error:
            failed = error
            raise
        finally:
            if counted:
                with self._lock:
                    self._shields -= 1
                    if not self._shields:
                        owed, self._owed = self._owed, False
            if owed:
                raise asyncio.CancelledError from failed


async def _result(running: asyncio.Future[_Outcome], cancel: Callable[[], None]) -> Any:
    """Wait for the end of what runs, however often this is cancelled, and return its result."""
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError:
            cancel()
    result, error = running.result()
    if error is not None:
        raise error
    return result


def _unfolded(error: BaseException) -> BaseException:
    """Return what was raised, or what a cancellation at the end of a shield has covered: it must not be lost."""
    covered = error.__cause__ if isinstance(error, asyncio.CancelledError) else None
    return covered if isinstance(covered, Exception) else error


def _raise_in_thread(thread: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error)
    )
