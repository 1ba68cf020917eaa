"""A worker process for the test with faults: `python -m tests.faults_worker`, steered by its environment.

Its tasks note in a diary what happens to them, and some wait until a file says how they are to end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, MageflowConfig
from temporalio.exceptions import ApplicationError
from tests.acceptance.reference_model import Json, result_of
from tests.acceptance.tree_tasks import MODELS, Marked, Orders, Plain, told
from tests.support import Diary

ADDRESS, QUEUE = "FAULTS_ADDRESS", "FAULTS_QUEUE"
KINDS = ("loop", "thread")
RETRIES = (0, 2)
_LOOK = 0.02
"""Seconds between looks of a task whether it is to end."""


class JobOrders(Orders):
    folder: Path
    """Where the diary is, and where files say how tasks end."""
    takes: float
    """Seconds that an attempt takes by itself."""
    gated: bool
    """Whether it ends when a file says so, and not by itself."""
    stubborn: bool
    """Whether it swallows its cancellation."""


class PlainJob(Plain):
    orders: JobOrders


class MarkedJob(Marked):
    orders: JobOrders


JOBS = {field: MarkedJob if model is Marked else PlainJob for field, model in MODELS.items()}


def diary(folder: Path) -> Diary:
    return Diary(folder / "diary")


def decision(folder: Path, key: str, attempt: int) -> Path:
    """Return the file that holds "complete" or "fail", once it is decided how an attempt ends."""
    return folder / f"{key}@{attempt}"


def opened(folder: Path) -> Path:
    """Return the file that lets all go on that still wait for a decision: they end as they would by themselves."""
    return folder / "opened"


class Job:
    """One run of a task's code. A context, which notes the beginning and how it ends."""

    def __init__(self, msg: Any) -> None:
        self._orders: JobOrders = msg.orders
        self._message = told(msg)
        self._task = mageflow.current_task()
        self._diary = diary(self._orders.folder)
        self._run = uuid.uuid4().hex
        self._over_at = time.monotonic() + self._orders.takes

    def __enter__(self) -> Self:
        task = self._task
        self._note(
            "begun",
            attempt=task.attempt,
            message=self._message,
            resumed_from=task.resumed_from(),
            gated=self._orders.gated,
            stubborn=self._orders.stubborn,
        )
        task.checkpoint(self._run)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        how = {None: "returned", asyncio.CancelledError: "cancelled"}.get(kind, "failed")
        self._note("ended", how=how, why=self._task.cancellation)

    def _note(self, what: str, **facts: Any) -> None:
        self._diary.note(what, key=self._task.key, run=self._run, at=time.monotonic(), **facts)

    @property
    def is_over(self) -> bool:
        orders = self._orders
        if orders.gated and not opened(orders.folder).exists():
            return self._decision.exists()
        return time.monotonic() >= self._over_at

    @property
    def _decision(self) -> Path:
        return decision(self._orders.folder, self._task.key, self._task.attempt)

    def result(self) -> Json:
        """Return the result, or fail, as it was decided or ordered."""
        fails = self._task.attempt <= self._orders.fails
        if self._decision.exists():
            fails = self._decision.read_text() == "fail"
        if fails and self._orders.fatal:
            raise ApplicationError("on purpose", type="Fatal", non_retryable=True)
        if fails:
            raise ValueError("on purpose")
        return result_of(self._message, self._orders.gives)

    def cancelled(self) -> Json:
        """Return the result all the same, or stop."""
        if self._orders.stubborn:
            return self.result()
        raise asyncio.CancelledError


def define(mf: Mageflow) -> None:
    """Give an app a task for each kind of code, field of the previous result, and number of retries."""
    for kind in KINDS:
        for field, model in JOBS.items():
            for retries in RETRIES:
                options: dict[str, Any] = {"retries": retries, "backoff_max_seconds": 0.3, "input_validator": model}
                mf.task(name=f"{kind} {field} {retries}", **options)(_on_loop() if kind == "loop" else _in_thread())


def _on_loop() -> Any:
    async def work(msg: Any) -> Json:
        with Job(msg) as job:
            try:
                while not job.is_over:
                    await asyncio.sleep(_LOOK)
                return job.result()
            except asyncio.CancelledError:
                return job.cancelled()

    return work


def _in_thread() -> Any:
    def work(msg: Any) -> Json:
        with Job(msg) as job:
            try:
                while not job.is_over:
                    time.sleep(_LOOK)
                return job.result()
            except asyncio.CancelledError:
                return job.cancelled()

    return work


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)  # tasks fail here on purpose, by the hundred
    app = Mageflow(os.environ[ADDRESS], config=MageflowConfig(task_queue=os.environ[QUEUE]))
    define(app)
    while True:  # a worker that comes up while there is no server says so and ends; whoever runs it tries again
        try:
            app.run_worker(shutdown_grace=timedelta(milliseconds=200))
            break
        except mageflow.ServerUnavailableError:
            time.sleep(0.2)
