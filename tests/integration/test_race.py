"""The race of a suspend with a worker's pick-up: a task was stopped before it began, or it runs undisturbed."""

from __future__ import annotations

import asyncio
import random

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.support import Ledger

ROUNDS = 300
AT_ONCE = 6
SEED = 20260417


async def test_300_suspends_at_the_moment_of_pick_up(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="work")
    async def work(msg: dict[str, str]) -> str:
        return await ledger.work(msg["name"], seconds=0.25)

    lots = random.Random(SEED)
    verdicts = {"stopped": 0, "running": 0}

    async def one_round(name: str, pause: float) -> None:
        signature = await mf.sign(work)
        await signature.start({"name": name})
        await asyncio.sleep(pause)  # the moment is drawn: where it falls in the pick-up is the point of the test
        try:
            await signature.suspend()
        except mageflow.TaskAlreadyRunningError as error:
            verdicts["running"] += 1
            assert error.worker is not None
        else:
            verdicts["stopped"] += 1
            canary = await mf.sign(work)
            await canary.run({"name": f"canary of {name}"})
            assert ledger.begun[name] == 0, "it did not run until the resume"
            await signature.resume()
        # The server once said only after its 20 s that a workflow had ended, whose end came as somebody began to wait.
        assert await signature.result(timeout=60) == name
        assert (ledger.begun[name], ledger.ended[name], ledger.cancelled[name]) == (1, 1, 0), "an undisturbed run"

    async with mf.worker():
        waiting = list(range(ROUNDS))

        async def lane() -> None:
            while waiting:
                await one_round(f"round {waiting.pop()}", lots.uniform(0, 0.015))

        await asyncio.gather(*(lane() for _ in range(AT_ONCE)))
    print(f"verdicts of {ROUNDS} rounds: {verdicts}")
    assert sum(verdicts.values()) == ROUNDS
    assert min(verdicts.values()) > 0, f"the moments were drawn so that both happen, but {verdicts}"


@pytest.mark.parametrize("first", ["suspend", "interrupt"])
@pytest.mark.parametrize("second", ["suspend", "interrupt", "resume"])
async def test_two_verbs_at_once_leave_a_state_that_one_of_the_two_orders_makes(
    mf: Mageflow, ledger: Ledger, first: str, second: str
) -> None:
    gate = asyncio.Event()

    @mf.task(name="step")
    async def step() -> str:
        return await ledger.work("step", gate)

    async with mf.worker():
        chain = await mf.chain([step, step, step])
        await chain.start()
        await ledger.has_begun("step")
        await asyncio.gather(getattr(chain, first)(), getattr(chain, second)())
        status = (await chain.status()).status
        held = {"suspend": "suspended", "interrupt": "interrupted"}
        allowed = {held[first], held.get(second, "active")}
        assert status in allowed
        if "interrupt" in (first, second) and second != "resume":
            assert status == "interrupted", "an interrupt is the stronger of the two"
        gate.set()
        await chain.resume()
        assert await chain.result(timeout=20) == "step"
        assert ledger.ended["step"] == 3, "each step was finished once"


async def test_a_resume_during_an_interrupt_lets_it_run_again(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="stubborn")
    async def stubborn() -> str:
        try:
            return await ledger.work("stubborn", gate)
        except asyncio.CancelledError:
            if ledger.begun["stubborn"] == 1:
                await asyncio.sleep(0.5)  # code that takes its time to stop
            raise

    async with mf.worker():
        signature = await mf.sign(stubborn)
        await signature.start()
        await ledger.has_begun("stubborn")
        interrupting = asyncio.create_task(signature.interrupt())
        await asyncio.sleep(0.2)
        assert not interrupting.done()
        await signature.resume()
        await interrupting
        gate.set()
        assert await signature.result(timeout=20) == "stubborn"
        assert (ledger.begun["stubborn"], ledger.cancelled["stubborn"]) == (2, 1)
