"""Where a task's code runs, as the runner sees it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from mageflow_temporal.caller import Caller
from mageflow_temporal.worker import TaskContext, isolation


async def test_code_in_a_thread_is_waited_for_however_often_it_is_cancelled() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def stubborn() -> str:
        begun.set()
        while not may_end.is_set():
            try:
                may_end.wait(0.01)
            except asyncio.CancelledError:
                continue
        ended.set()
        return "at last"

    context = TaskContext(key="k", task="stubborn", caller=Caller(key="k", origin="run"), attempt=1, resumed_from=None)
    with ThreadPoolExecutor(1) as executor:
        running = asyncio.ensure_future(isolation.in_thread(stubborn, context, executor))
        await asyncio.to_thread(begun.wait)
        for _ in range(3):
            running.cancel()
            await asyncio.wait({running}, timeout=0.05)
            assert not running.done(), "its thread still runs"
        may_end.set()
        assert await running == "at last"
        assert ended.is_set()
