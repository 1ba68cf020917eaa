"""Signatures whose work outgrows one run's history: they go on in new runs, and nobody notices."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, SwarmConfig
from tests.conftest import replay_all
from tests.support import Ledger, eventually, reaches


@pytest.fixture
async def mf(server: EmbeddedServer) -> AsyncIterator[Mageflow]:
    """An app whose signatures go on in a new run after the fewest events: a task or two."""
    config = MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}", events_per_run=10)
    app = Mageflow(server.target, config=config)
    yield app
    await replay_all(app)


class Number(BaseModel):
    number: int = 0
    mageflow_results: int = 0


def adding(mf: Mageflow, ledger: Ledger, gate: asyncio.Event | None = None) -> Any:
    @mf.task(name="add", retries=1, backoff_max_seconds=0.2)
    async def add(msg: Number) -> int:
        await ledger.work(f"{msg.number}", gate)
        if msg.number < 0 and ledger.begun[f"{msg.number}"] == 1:
            raise ValueError
        return msg.mageflow_results + msg.number

    return add


def failing(mf: Mageflow, ledger: Ledger) -> Any:
    @mf.task(name="fail")
    async def fail(msg: dict[str, Any]) -> None:
        await ledger.work("fail")
        raise ValueError

    return fail


async def runs(mf: Mageflow, key: str) -> int:
    client = await mf.client()

    async def found() -> int:
        return len([run async for run in client.list_workflows(f"WorkflowId = '{key}'")])

    return await eventually(found, f"{key} is listed")


async def test_a_chain_of_many_steps_and_retries_has_many_runs_and_one_result(mf: Mageflow, ledger: Ledger) -> None:
    add = adding(mf, ledger)
    async with mf.worker():
        steps = [await mf.sign(add, number=number) for number in (*range(1, 20), -1, -2)]
        chain = await mf.chain(steps)
        await chain.start()
        assert await chain.result(timeout=40) == sum(range(1, 20)) - 3
        assert await runs(mf, chain.key) > 3
        report = await chain.status()
        assert [step.status for step in report.children] == ["done"] * len(steps)
    assert ledger.begun == {str(number): 1 for number in range(1, 20)} | {"-1": 2, "-2": 2}


async def test_nested_containers_half_done_their_callbacks_and_failures_go_on(mf: Mageflow, ledger: Ledger) -> None:
    add, fail = adding(mf, ledger), failing(mf, ledger)

    @mf.task(name="after")
    async def after(msg: dict[str, Any]) -> None:
        await ledger.work("after")

    async with mf.worker():
        inner = await mf.swarm(
            [await mf.chain([add, fail], error_callbacks=[after]) for _ in range(6)],
            config=SwarmConfig(max_concurrency=2),
            success_callbacks=[after],
        )
        outer = await mf.chain(
            [add, inner, await mf.map(add, range(6)), fail], error_callbacks=[await mf.chain([after] * 4)]
        )
        await outer.start({"number": 1})
        with pytest.raises(mageflow.TaskFailedError, match="fail"):
            await outer.result(timeout=40)
        assert await runs(mf, outer.key) > 3
        report = await outer.status()
    assert report.status == "failed"
    assert ledger.begun["fail"] == 7
    assert ledger.begun["after"] == 6 + 1 + 4


async def test_items_are_added_over_many_runs_each_once(mf: Mageflow, ledger: Ledger) -> None:
    add = adding(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm(config=SwarmConfig(max_concurrency=3))
        await swarm.start()

        async def fill(first: int) -> None:
            for number in range(first, first + 20):
                item = await swarm.add(add, {"number": number}, id=f"request {number}")
                again = await swarm.add(add, {"number": number}, id=f"request {number}")
                assert again.key == item.key

        await asyncio.gather(fill(100), fill(200), fill(300))
        early = await swarm.add(add, {"number": 100}, id="request 100")
        assert early.key.startswith(f"{swarm.key}#")
        await swarm.close()
        everything = {first + n for first in (100, 200, 300) for n in range(20)}
        assert set(await swarm.result(timeout=40)) == everything
        assert await runs(mf, swarm.key) > 5
    assert ledger.begun == {str(number): 1 for number in everything}


async def test_verbs_reach_it_in_whichever_run_it_is_and_holds_last(mf: Mageflow, ledger: Ledger) -> None:
    add = adding(mf, ledger)
    async with mf.worker():
        chain = await mf.chain([await mf.sign(add, number=number) for number in range(40)])
        await chain.start()
        for number in (5, 15, 25):
            await ledger.has_begun(str(number))
            await chain.suspend(f"after {number}")
            report = await reaches(chain, "suspended")
            assert report.reason == f"after {number}"
            held = ledger.order[:]
            for _ in range(12):  # a run also grows by what it is told
                await mf.suspend(chain.key)
                await mf.resume(f"{chain.key}#39")
            await eventually(lambda: ledger.running == 0, "what ran has ended")
            assert len(ledger.order) <= len(held) + 1
            report = await reaches(chain, "suspended")
            assert report.reason == f"after {number}"
            await chain.resume()
        assert await chain.result(timeout=40) == sum(range(40))
        assert await runs(mf, chain.key) > 8
    assert ledger.begun == {str(number): 1 for number in range(40)}


async def test_an_interrupted_tasks_checkpoint_outlives_its_run(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    seen: list[Any] = []

    @mf.task(name="slow")
    async def slow(msg: dict[str, Any]) -> str:
        task = mageflow.current_task()
        seen.append((task.attempt, task.resumed_from()))
        task.checkpoint({"at": len(seen)})
        await ledger.work("slow", None if gate.is_set() else asyncio.Event())
        return "done"

    async with mf.worker():
        signature = await mf.sign(slow)
        await signature.start({})
        for times in range(1, 6):
            await ledger.has_begun("slow", times)
            await signature.interrupt()
            for _ in range(3):
                await mf.suspend(signature.key)
            if times == 5:
                gate.set()
            await signature.resume()
        assert await signature.result(timeout=40) == "done"
        assert await runs(mf, signature.key) > 1
    assert seen == [(1, None), *((1, {"at": at}) for at in range(1, 6))]


async def test_a_task_that_takes_long_does_not_keep_others_from_beginning(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    add = adding(mf, ledger)

    @mf.task(name="slow")
    async def slow(msg: dict[str, Any]) -> str:
        return await ledger.work("slow", gate)

    async with mf.worker():
        swarm = await mf.swarm([slow, *[add] * 5], is_swarm_closed=True, config=SwarmConfig(max_concurrency=2))
        await swarm.start({"number": 1})
        await ledger.has_begun("1", 5)
        assert ledger.running
        gate.set()
        assert await swarm.result(timeout=40) == ["slow", *[1] * 5]
