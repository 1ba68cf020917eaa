"""A client of `tests.stubborn_worker`: its tasks, declared, with workers that are started and killed by hand."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, TaskOptions
from tests.stubborn_worker import ADDRESS, DIARY, GRACE, QUEUE
from tests.support import Diary, eventually, worker_process

TASKS = (
    "hang",
    "count-loop",
    "count-thread",
    "count-process",
    "spin",
    "spin-async",
    "die",
    "kill-worker",
    "fail-process",
    "spawn",
    "told-process",
)


@dataclass
class Stubborn:
    """An app whose workflows run here, and whose tasks run in worker processes of their own."""

    server: EmbeddedServer
    folder: Path
    queue: str
    lost_worker_limit: int = 5
    mf: Mageflow = field(init=False)
    diary: Diary = field(init=False)

    def __post_init__(self) -> None:
        config = MageflowConfig(task_queue=self.queue, lost_worker_limit=self.lost_worker_limit)
        self.mf = Mageflow(self.server.target, config=config)
        self.diary = Diary(self.folder / "diary")
        options = TaskOptions(
            task_queue=f"{self.queue}-apart",
            heartbeat_timeout=timedelta(seconds=2),
            retries=1,
            backoff_max_seconds=0.01,
        )
        for name in TASKS:
            self.mf.declare(name, options=options)

    def worker(self, grace: float = 0) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Run a worker process for the tasks, which may go on for `grace` seconds when it is stopped."""
        environment = {
            ADDRESS: self.server.target,
            QUEUE: f"{self.queue}-apart",
            DIARY: str(self.diary.path),
            GRACE: str(grace),
        }
        return worker_process("tests.stubborn_worker", **environment)

    async def start(self, task: str, **message: Any) -> Any:
        return await (await self.mf.sign(task)).start(message)


async def gone(pid: int) -> None:
    """Wait until a process is no more, or is nothing but an entry that its parent has not read."""

    def is_gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    await eventually(is_gone, f"process {pid} is gone")
