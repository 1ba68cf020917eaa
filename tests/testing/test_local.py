"""Apps that run without a server: all that moves on a server moves here, and what only a server has is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, SwarmConfig
from mageflow_temporal.testing import LocalStage, Run
from tests.support import Ledger, eventually, reaches
from tests.testing import shop


@pytest.fixture
async def run(mageflow_local: LocalStage) -> AsyncIterator[Run]:
    async with mageflow_local.running(shop.app) as running:
        yield running


async def test_an_app_of_the_user_runs_without_a_server(run: Run) -> None:
    assert await shop.order("Emma", 3) == 3
    await run.dispatched.assert_chain_dispatched("order", tasks=["print", "ship"])
    await run.dispatched.assert_task_dispatched("print", message=shop.Order(title="Emma", copies=3), times=1)


async def test_nothing_is_left_when_the_context_is_left(mageflow_local: LocalStage) -> None:
    async with mageflow_local.running(shop.app):
        left = await shop.app.sign(shop.wait)
        await left.start()
        await reaches(left, "active")
    assert not [task for task in asyncio.all_tasks() if "Activities" in repr(task)], "its code was stopped"
    with pytest.raises(mageflow.ServerUnavailableError):
        await left.status()
    async with mageflow_local.running(shop.app) as run:
        assert await run.app.load_signature(left.key) is None
        await run.dispatched.assert_nothing_dispatched()


async def test_a_pause_of_days_and_a_retry_after_hours_pass_while_somebody_waits(mageflow_local: LocalStage) -> None:
    app, attempts = Mageflow(), list[int]()

    @app.task(name="flaky", retries=2, backoff_factor=6 * 3600, backoff_max_seconds=24 * 3600)
    async def flaky() -> str:
        attempts.append(mageflow.current_task().attempt)
        if len(attempts) < 3:
            raise ValueError
        return "well"

    @app.task(name="outer")
    async def outer() -> str:
        return await (await app.sign(flaky)).run()

    began = time.monotonic()
    async with mageflow_local.running(app):
        late = await app.sign(outer)
        await late.start(delay=timedelta(days=30))
        assert (await late.status()).status == "pending"
        assert await late.result(timeout=20) == "well", "also what a task waits for inside of a task"
    assert attempts == [1, 2, 3]
    assert time.monotonic() - began < 10


async def test_time_stands_still_for_what_nobody_waits_for(run: Run) -> None:
    late = await shop.app.sign(shop.print_books)
    await late.start(shop.Order(title="Emma"), delay=timedelta(days=1))
    await asyncio.sleep(0.05)
    assert (await late.status()).status == "pending"
    await late.suspend()
    assert (await late.status()).status == "suspended"


async def test_what_is_queued_is_suspended_and_what_runs_is_not(mageflow_local: LocalStage) -> None:
    app, ledger, gate = Mageflow(), Ledger(), asyncio.Event()

    @app.task(name="work")
    async def work(msg: dict[str, Any]) -> str:
        return await ledger.work(msg["name"], gate)

    async with app.local_execution(max_concurrent_tasks=1):
        first, second = [await app.sign(work, name=name) for name in ("first", "second")]
        await first.start()
        await ledger.has_begun("first")
        await second.start()
        await reaches(second, "pending")
        with pytest.raises(mageflow.TaskAlreadyRunningError) as running:
            await first.suspend()
        assert running.value.worker
        assert (await second.suspend()).stopped == [second.key]
        gate.set()
        assert await first.result(timeout=20) == "first"
        assert not ledger.begun["second"]
        await second.resume()
        assert await second.result(timeout=20) == "second"


async def test_running_code_is_interrupted_and_goes_on_from_its_checkpoint(mageflow_local: LocalStage) -> None:
    app, begun = Mageflow(), list[Any]()

    @app.task(name="count")
    async def count() -> int:
        task = mageflow.current_task()
        begun.append(task.resumed_from())
        if task.resumed_from() is None:
            task.checkpoint(7)
            await asyncio.Event().wait()
        return task.resumed_from()

    async with mageflow_local.running(app):
        signature = await app.sign(count)
        await signature.start()
        await eventually(lambda: begun, "it has begun")
        assert (await signature.interrupt()).cancelled == [signature.key]
        assert (await signature.status()).status == "interrupted"
        await signature.resume()
        assert await signature.result(timeout=20) == 7
    assert begun == [None, 7]


async def test_a_swarm_lives_and_is_bounded(mageflow_local: LocalStage) -> None:
    app, ledger = Mageflow(), Ledger()

    @app.task(name="item")
    async def item(msg: dict[str, Any]) -> str:
        return await ledger.work(msg["name"], seconds=0.001)

    async with mageflow_local.running(app):
        swarm = await app.swarm(config=SwarmConfig(max_concurrency=3), name="many")
        await swarm.start()
        names = [f"item {number}" for number in range(20)]
        await swarm.add_many([item] * 20, [{"name": name} for name in names])
        await swarm.suspend()
        await swarm.resume()
        await swarm.close()
        assert await swarm.result(timeout=20) == names
    assert ledger.most_at_once == 3


async def test_an_attempt_that_takes_too_long_is_given_up(mageflow_local: LocalStage) -> None:
    app = Mageflow()

    @app.task(name="slow", execution_timeout=timedelta(seconds=0.05))
    async def slow() -> None:
        await asyncio.Event().wait()

    async with mageflow_local.running(app):
        with pytest.raises(mageflow.TaskFailedError) as failed:
            await (await app.sign(slow)).run()
    assert failed.value.type == "ExecutionTimeoutError"


@pytest.mark.parametrize("step", ["print", "0"])
async def test_a_test_chooses_the_moment(run: Run, step: str) -> None:
    chain = await shop.app.chain([shop.print_books, shop.ship])
    async with run.suspend_at(chain, step):
        await chain.start(shop.Order(title="Emma", copies=2))
    assert (await chain.status()).status == "suspended"
    await chain.resume()
    assert await chain.result(timeout=20) == 2
    await run.dispatched.assert_task_dispatched("print", times=1)
    waiting = await shop.app.sign(shop.wait)
    async with run.interrupt_during(waiting, "wait"):
        await waiting.start()
    assert (await waiting.status()).status == "interrupted"


async def test_results_of_megabytes_are_kept_in_pages(mageflow_local: LocalStage) -> None:
    app = Mageflow()

    @app.task(name="large")
    async def large() -> str:
        return "x" * 300_000

    async with mageflow_local.running(app):
        swarm = await app.swarm([large] * 12, is_swarm_closed=True)
        assert [len(result) for result in await swarm.run()] == [300_000] * 12


async def test_code_of_one_task_leaves_no_trace_in_the_context_of_the_next(mageflow_local: LocalStage) -> None:
    app, trace = Mageflow(), ContextVar("trace", default="none")

    @app.task(name="inner")
    async def inner() -> str:
        return trace.get()

    @app.task(name="outer")
    async def outer() -> str:
        trace.set("outer")
        return await (await app.sign(inner)).run()

    async with mageflow_local.running(app):
        assert await (await app.sign(outer)).run() == "none"


async def test_what_only_a_server_has_is_refused(run: Run) -> None:
    draft = await shop.app.sign(shop.print_books)
    with pytest.raises(mageflow.NotInLocalExecutionError, match="create_schedule"):
        await draft.schedule("nightly", cron="@daily", message=shop.Order(title="Emma"))
    with pytest.raises(mageflow.NotInLocalExecutionError, match="visibility query"):
        [found async for found in shop.app.signatures("StartTime > '2026-01-01'")]
    with pytest.raises(mageflow.NotInLocalExecutionError, match="worker"):
        async with shop.app.worker():
            pass


async def test_a_defect_of_the_played_server_is_told_to_whoever_waits(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mageflow_temporal.local.execution.Execution._obey", broken)
    with pytest.raises(ZeroDivisionError):
        await shop.order("Emma")
