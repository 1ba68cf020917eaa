"""Suspensions and interruptions that come at the moment that a test wants, however fast the tasks are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal.testing import Run, Stage
from tests.support import reaches
from tests.testing.shop import Order, app, print_books, ship, wait


@pytest.fixture
async def run(mageflow_test: Stage) -> AsyncIterator[Run]:
    async with mageflow_test.running(app) as running:
        yield running


@pytest.mark.parametrize("step", ["print", "0"])
async def test_a_chain_is_suspended_at_its_first_step(run: Run, step: str) -> None:
    chain = await app.chain([print_books, ship])
    async with run.suspend_at(chain, step, reason="the test"):
        await chain.start(Order(title="Emma", copies=2))
    await reaches(chain, "done", "0")
    report = await chain.status()
    assert (report.status, report.reason) == ("suspended", "the test")
    await run.dispatched.assert_task_dispatched(ship, times=0)
    await chain.resume()
    assert await chain.result(timeout=20) == 2
    await run.dispatched.assert_task_dispatched("print", times=1)
    assert len(await run.dispatched.calls()) == 2, "what was done was not run again"


async def test_a_chain_is_suspended_at_its_last_step_whatever_its_id(run: Run) -> None:
    chain = await app.chain([print_books, ship])
    async with run.suspend_at(chain, "ship"):
        await chain.start(Order(title="Emma"), id="order-of-emma")
    assert chain.key == "order-of-emma"
    # Nothing is left that could be held: the chain ends with the step that was running, and needs no resume.
    assert await chain.result(timeout=20) == 1
    await run.dispatched.assert_task_dispatched(ship, times=1)


async def test_an_item_of_a_swarm_is_interrupted_while_its_code_runs(run: Run) -> None:
    swarm = await app.swarm([await app.sign(print_books, title="Emma"), wait], is_swarm_closed=True)
    async with run.interrupt_during(swarm, "1"):
        await swarm.start()
    report = await swarm.status()
    assert (report.status, report.children[1].status) == ("interrupted", "interrupted")
    async with run.interrupt_during(swarm, "wait"):
        await swarm.resume()
    assert [call.task for call in await run.dispatched.calls()].count("wait") == 2


async def test_a_single_task_is_interrupted_and_cannot_be_suspended(run: Run) -> None:
    task = await app.sign(wait)
    with pytest.raises(mageflow.TaskAlreadyRunningError):
        async with run.suspend_at(task, "wait"):
            await task.start()
    await task.interrupt()
    async with run.interrupt_during(task, "wait"):
        await task.resume()
    assert (await task.status()).status == "interrupted"


async def test_a_step_that_does_not_come_fails_the_test_and_says_what_came_instead(run: Run) -> None:
    chain = await app.chain([print_books, ship], name="order")
    with pytest.raises(AssertionError) as caught:
        async with run.suspend_at(chain, "pack", timeout=1):
            await chain.run(Order(title="Emma"))
    assert str(caught.value).splitlines() == [
        "'pack' was not taken up within 1 s. What became of the signature:",
        f"  chain 'order' of print, ship, done ({chain.key})",
        f"  task 'print', done ({chain.key}#0)",
        f"  task 'ship', done ({chain.key}#1)",
    ]


async def test_code_that_has_ended_cannot_be_interrupted(run: Run) -> None:
    chain = await app.chain([print_books, wait])
    with pytest.raises(AssertionError, match="the interrupt did not stop 'print'"):
        async with run.interrupt_during(chain, "print"):
            await chain.start(Order(title="Emma"))


async def test_a_test_that_fails_holds_nothing(run: Run) -> None:
    chain = await app.chain([print_books, ship])
    with pytest.raises(ZeroDivisionError):
        async with run.suspend_at(chain, "print"):
            await chain.start(Order(title="Emma"))
            raise ZeroDivisionError
    assert await chain.result(timeout=20) == 1
