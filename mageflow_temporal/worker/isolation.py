"""Where a task's code runs: on the event loop, in a thread, or in a process of its own.

Each returns the task's result, and each stops when the asyncio task that awaits it is cancelled: the loop by asyncio's
own means, a thread by an exception raised in it, a process by being killed.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from temporalio.exceptions import ApplicationError

from mageflow_temporal import message
from mageflow_temporal.caller import Caller
from mageflow_temporal.errors import MissingExtraError
from mageflow_temporal.task import Task
from mageflow_temporal.worker.code import LoopCode, ThreadCode
from mageflow_temporal.worker.context import TaskContext, enter
from mageflow_temporal.worker.failure import Raised

IN_A_THREAD: Final = "a thread"
IN_A_PROCESS: Final = "a process of its own"

_ORPHAN_CHECK = 1.0
"""Seconds between looks of a process whether its worker still lives."""


def call_of(task: Task[Any, Any], raw_message: Any, context: TaskContext) -> Callable[[], Any]:
    """Return the call of a task's function, with all that the function takes.

    Raises:
        InvalidMessageError: the message does not fit.
    """
    assert task.function
    wants = task.wants
    given = [task.validate_message(raw_message)] if task.takes_message else []
    if wants.context:
        given.append(context)
    named = {"signature": wants.signature(task, context.key)} if wants.signature else {}
    return partial(task.function, *given, **named)


async def on_loop(call: Callable[[], Any], context: TaskContext) -> Any:
    """Run an `async def` task."""
    code = LoopCode(call)
    enter(context, code.shielded)
    return await code.result()


async def in_thread(call: Callable[[], Any], context: TaskContext, executor: Executor) -> Any:
    """Run a `def` task. A cancellation raises `asyncio.CancelledError` in its code, at its next Python instruction."""
    code = ThreadCode(call)
    enter(context, code.shielded)
    return await code.result(executor)


class Processes:
    """Runs tasks of `isolation="process"`, each in a process that a cancellation kills."""

    def __init__(self, limit: int) -> None:
        try:
            import anyio.to_process  # noqa: PLC0415 - an extra that only such tasks need
        except ImportError:
            raise MissingExtraError(extra="process", needed_for='isolation="process"') from None
        self._run_sync = anyio.to_process.run_sync
        self._ended_early = anyio.BrokenWorkerProcess
        self._limiter = anyio.CapacityLimiter(limit)

    async def run(self, task: Task[Any, Any], raw_message: Any, context: TaskContext) -> Any:
        """Run a task in a process. Raises what it raised as an `ApplicationError`: exceptions may not pickle."""
        assert task.function
        with tempfile.TemporaryDirectory(prefix="mageflow-") as folder:
            checkpoint = Path(folder) / "checkpoint.json"
            order = _ProcessOrder(
                module=task.function.__module__,
                qualname=task.function.__qualname__,
                raw_message=raw_message,
                context=context,
                checkpoint=checkpoint,
                worker_pid=os.getpid(),
            )
            watch = asyncio.create_task(_follow(checkpoint, context))
            try:
                status, value = await self._run_sync(
                    _run_order, order.packed(), cancellable=True, limiter=self._limiter
                )
            except self._ended_early as error:
                msg = (
                    "the process of the task ended before its code did: it was killed, or it could not start because "
                    "the worker's script does not guard its own start with `if __name__ == '__main__':`"
                )
                raise ApplicationError(msg, type="ProcessEndedError") from error
            finally:
                watch.cancel()
                _read_checkpoint(checkpoint, context)
        if status == "done":
            return value
        raised, trace = value
        raise raised.as_error() from RemoteTraceback(trace)


class RemoteTraceback(Exception):  # noqa: N818 - it is no error, it shows where one was
    """Carries a process's traceback as the cause of what is raised for it."""


async def _follow(path: Path, context: TaskContext) -> None:
    """Keep the context's checkpoint up to date, for heartbeats: a killed worker's task goes on from those."""
    while True:
        await asyncio.sleep(_ORPHAN_CHECK)
        _read_checkpoint(path, context)


def _read_checkpoint(path: Path, context: TaskContext) -> None:
    if path.exists():
        context.checkpoint(json.loads(path.read_text()))


class _ProcessOrder:
    """What a process needs to run a task."""

    def __init__(
        self, *, module: str, qualname: str, raw_message: Any, context: TaskContext, checkpoint: Path, worker_pid: int
    ) -> None:
        self._facts = {
            "module": module,
            "qualname": qualname,
            "message": raw_message,
            "key": context.key,
            "task": context.task,
            "attempt": context.attempt,
            "resumed_from": context.resumed_from(),
            "checkpoint": str(checkpoint),
            "worker_pid": worker_pid,
        }

    def packed(self) -> str:
        return json.dumps(self._facts)


def _run_order(packed: str) -> tuple[str, Any]:
    """In the process: find the task, run it, and return its outcome in types that always pickle."""
    order = json.loads(packed)
    _watch_worker(order["worker_pid"])
    checkpoint = Path(order["checkpoint"])

    def save(value: Any) -> None:
        fresh = checkpoint.with_suffix(".new")
        fresh.write_text(json.dumps(value))
        fresh.replace(checkpoint)

    key = order["key"]
    context = TaskContext(
        key=key,
        task=order["task"],
        attempt=order["attempt"],
        caller=Caller(key=key, origin="", refuses=IN_A_PROCESS),
        resumed_from=order["resumed_from"],
        on_checkpoint=save,
    )
    enter(context)
    try:
        task = _find(order["module"], order["qualname"])
        result = call_of(task, order["message"], context)()
        if inspect.iscoroutine(result):
            result = asyncio.run(_await(result))
        return "done", message.to_json(result)
    except BaseException as error:  # noqa: BLE001 - handed over, to be raised where the task is awaited
        return "failed", (Raised.of(error), traceback.format_exc())


async def _await(coroutine: Any) -> Any:
    return await coroutine


def _find(module: str, qualname: str) -> Task[Any, Any]:
    # A worker started as a script defines its tasks in __main__, which is this process's __main__, too.
    found: Any = sys.modules["__main__"] if module in ("__main__", "__mp_main__") else importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    if not isinstance(found, Task):
        msg = f"{module}.{qualname} is not the task itself: keep the name that @mf.task gave it"
        raise TypeError(msg)
    return found  # pyright: ignore[reportUnknownVariableType] - a task of whatever types


@cache
def _watch_worker(worker_pid: int) -> None:
    """Watch the worker, once for all the orders that this process gets."""
    threading.Thread(target=_die_with, args=(worker_pid,), daemon=True).start()


def _die_with(worker_pid: int) -> None:
    """End this process when its worker is gone: nobody would take its result, and it would burn CPU for ever."""
    while os.getppid() == worker_pid:
        time.sleep(_ORPHAN_CHECK)
    os._exit(1)
