"""Where a task's code runs, as the runner sees it."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mageflow_temporal import current_task
from mageflow_temporal.caller import Caller
from mageflow_temporal.worker import TaskContext, isolation


def context() -> TaskContext:
    return TaskContext(key="k", task="t", caller=Caller(key="k", origin="run"), attempt=1, resumed_from=None)


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

    with ThreadPoolExecutor(1) as executor:
        running = asyncio.ensure_future(isolation.in_thread(stubborn, context(), executor))
        await asyncio.to_thread(begun.wait)
        for _ in range(3):
            running.cancel()
            await asyncio.wait({running}, timeout=0.05)
            assert not running.done(), "its thread still runs"
        may_end.set()
        assert await running == "at last"
        assert ended.is_set()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_shielded_piece_of_a_thread_comes_to_its_end_and_is_stopped_there(fails: bool) -> None:
    begun, may_end = threading.Event(), threading.Event()
    seen: list[str] = []

    def commits() -> None:
        with current_task().shielded(), current_task().shielded():
            begun.set()
            may_end.wait(10)
            seen.append("committed")
            if fails:
                raise ValueError("the disk is full")
        seen.append("went on")

    with ThreadPoolExecutor(1) as executor:
        running = asyncio.ensure_future(isolation.in_thread(commits, context(), executor))
        await asyncio.to_thread(begun.wait)
        await is_stopped_by_and_by(running, may_end.set, ValueError if fails else asyncio.CancelledError)
    assert seen == ["committed"]


@pytest.mark.parametrize("fails", [False, True])
async def test_so_does_one_of_an_async_def(fails: bool) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def commits() -> None:
        with current_task().shielded(), current_task().shielded():
            begun.set()
            await may_end.wait()
            seen.append("committed")
            if fails:
                raise ValueError("the disk is full")
        seen.append("went on")

    running = asyncio.ensure_future(isolation.on_loop(commits, context()))
    await begun.wait()
    await is_stopped_by_and_by(running, may_end.set, ValueError if fails else asyncio.CancelledError)
    assert seen == ["committed"]


async def is_stopped_by_and_by(
    running: asyncio.Future[Any], end: Callable[[], None], expected: type[BaseException]
) -> None:
    for _ in range(3):
        running.cancel()
        await asyncio.wait({running}, timeout=0.02)
        assert not running.done()
    end()
    with pytest.raises(expected):
        await running


async def test_a_part_of_an_async_def_shields_the_whole() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def commits() -> None:
        with current_task().shielded():
            begun.set()
            await may_end.wait()
            seen.append("committed")

    async def both() -> None:
        await asyncio.gather(commits(), asyncio.Event().wait())

    running = asyncio.ensure_future(isolation.on_loop(both, context()))
    await begun.wait()
    await is_stopped_by_and_by(running, may_end.set, asyncio.CancelledError)
    assert seen == ["committed"]


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_what_the_code_runs_in_other_threads_holds_up_nobody(kind: str) -> None:
    begun, may_end = threading.Event(), threading.Event()
    seen: list[str] = []

    def commits() -> None:
        with current_task().shielded():
            begun.set()
            may_end.wait(10)
        seen.append("went on")

    def in_thread() -> None:
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(contextvars.copy_context().run, commits)
            try:
                while True:
                    pass
            except asyncio.CancelledError:
                seen.append("stopped")
                may_end.set()
                beside.result()
                raise

    async def on_loop() -> None:
        try:
            await asyncio.to_thread(commits)
        except asyncio.CancelledError:
            seen.append("stopped")
            may_end.set()
            raise

    with ThreadPoolExecutor(1) as executor:
        code = isolation.on_loop(on_loop, context()) if kind == "loop" else None
        running = asyncio.ensure_future(code or isolation.in_thread(in_thread, context(), executor))
        await asyncio.to_thread(begun.wait)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert seen[0] == "stopped"


async def test_what_runs_while_it_is_being_stopped_can_be_shielded_too() -> None:
    begun = threading.Event()
    seen: list[str] = []

    def cleans_up() -> str:
        try:
            begun.set()
            while True:
                pass
        except asyncio.CancelledError:
            with current_task().shielded():
                seen.append("cleaned up")
            return "it is no longer owed"

    with ThreadPoolExecutor(1) as executor:
        running = asyncio.ensure_future(isolation.in_thread(cleans_up, context(), executor))
        await asyncio.to_thread(begun.wait)
        running.cancel()
        assert await running == "it is no longer owed"
    assert seen == ["cleaned up"]


async def test_whenever_it_comes_a_cancellation_is_raised_once_and_never_in_a_shield() -> None:
    whole = broken = 0

    def alternates() -> None:
        nonlocal whole, broken
        begun.set()
        while True:
            with current_task().shielded():
                done = False
                try:
                    for _ in range(20):
                        math.sqrt(2)
                    done = True
                finally:
                    whole, broken = whole + done, broken + (not done)

    with ThreadPoolExecutor(1) as executor:
        for number in range(300):
            begun = threading.Event()
            running = asyncio.ensure_future(isolation.in_thread(alternates, context(), executor))
            await asyncio.to_thread(begun.wait)
            await asyncio.sleep(number % 7 * 0.0001)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(running, 10)
    assert whole > 300
    assert broken == 0
