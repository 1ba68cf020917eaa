"""Tasks that must never run twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from mageflow_temporal.config import TaskOptions
from mageflow_temporal.engine.calls import Lost
from mageflow_temporal.engine.machine import Machine
from mageflow_temporal.plan import Plan, TaskNode, TaskSpec
from tests.support import Ledger


def once(mf: Mageflow, ledger: Ledger) -> Any:
    @mf.task(name="pay", at_most_once=True)
    async def pay() -> str:
        return await ledger.work("pay", seconds=0 if ledger.begun["pay"] else 60)

    return pay


async def test_a_stopped_worker_fails_it_instead_of_handing_it_on(mf: Mageflow, ledger: Ledger) -> None:
    pay = once(mf, ledger)
    signature = await mf.sign(pay)
    async with mf.worker(shutdown_grace=timedelta(0)):
        await signature.start()
        await ledger.has_begun("pay")
    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError, match="may run at most once") as caught:
            await signature.result(timeout=20)
    assert caught.value.type == "WorkerLostError"
    assert ledger.begun["pay"] == 1


async def test_a_resume_after_an_interrupt_runs_it_again_because_somebody_asked_for_it(
    mf: Mageflow, ledger: Ledger
) -> None:
    pay = once(mf, ledger)
    async with mf.worker():
        signature = await mf.sign(pay)
        await signature.start()
        await ledger.has_begun("pay")
        await signature.interrupt()
        await signature.resume()
        assert await signature.result(timeout=20) == "pay"


def test_a_lost_worker_fails_it() -> None:
    spec = TaskSpec(options=TaskOptions(at_most_once=True), task_queue="q", heartbeat_timeout=timedelta(seconds=4))
    machine = Machine("k", Plan(root=TaskNode(name="t", task="t"), tasks={"t": spec}, lost_worker_limit=5))
    machine.start(None)
    [call] = machine.take_ready()
    machine.settle(call.node, Lost())
    assert machine.ended
    assert isinstance(machine.failure, mageflow.TaskFailedError)
    assert "the worker was lost" in machine.failure.error


def test_it_cannot_have_retries(mf_offline: Mageflow) -> None:
    with pytest.raises(ValidationError, match="contradict each other"):
        mf_offline.task(name="pay", at_most_once=True, retries=1)


@pytest.fixture
def mf_offline() -> Mageflow:
    return Mageflow("nobody:1")


async def test_it_runs_again_where_the_resume_comes_before_its_code_has_stopped(mf: Mageflow, ledger: Ledger) -> None:
    stopping, may_stop = asyncio.Event(), asyncio.Event()

    @mf.task(name="pay", at_most_once=True)
    async def pay() -> str:
        if ledger.begun["pay"]:
            return await ledger.work("pay")
        try:
            return await ledger.work("pay", seconds=60)
        except asyncio.CancelledError:
            stopping.set()
            await may_stop.wait()
            raise

    async with mf.worker():
        signature = await mf.sign(pay)
        await signature.start()
        await ledger.has_begun("pay")
        interrupting = asyncio.create_task(signature.interrupt())
        await stopping.wait()
        await signature.resume()
        may_stop.set()
        await interrupting
        assert await signature.result(timeout=20) == "pay"


async def test_a_stopped_worker_fails_it_also_while_its_chain_is_suspended(mf: Mageflow, ledger: Ledger) -> None:
    pay = once(mf, ledger)
    async with mf.worker(shutdown_grace=timedelta(0)):
        chain = await mf.chain([pay, pay])
        await chain.start()
        await ledger.has_begun("pay")
        await chain.suspend()
    async with mf.worker():
        await chain.resume()
        with pytest.raises(mageflow.TaskFailedError, match="may run at most once"):
            await chain.result(timeout=20)
    assert ledger.begun["pay"] == 1
