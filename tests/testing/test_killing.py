"""A worker that a test kills, after a step that the test names."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from mageflow_temporal.testing import Stage
from tests.support import eventually
from tests.testing.shop import Order, app, count, print_books

PLACE = "tests.testing.shop:app"


async def test_a_worker_is_killed_and_another_one_goes_on(mageflow_test: Stage, tmp_path: Path) -> None:
    async with mageflow_test.killable(app, PLACE) as run:
        chain = await app.chain([print_books, await app.sign(count, folder=tmp_path)])
        async with run.kill_worker_after(chain, "print"):
            await chain.start(Order(title="Emma"))
        (tmp_path / "open").touch()
        *lost, last = await chain.result(timeout=60)
        assert os.getpid() not in (*lost, last), "it ran in a process of its own"
        assert last not in lost
        assert not any(map(psutil.pid_exists, lost))
        await run.dispatched.assert_task_dispatched("print", times=1)
        calls = await run.dispatched.calls()
        assert [call.task for call in calls].count("print") == 1, "what was done was not run again"
        assert psutil.pid_exists(last)
    await eventually(lambda: not psutil.pid_exists(last), "the worker ends with its context")


async def test_a_step_that_runs_is_run_again(mageflow_test: Stage, tmp_path: Path) -> None:
    async with mageflow_test.killable(app, PLACE) as run:
        swarm = await app.swarm([await app.sign(count, folder=tmp_path), await app.sign(print_books, title="Emma")])
        async with run.kill_worker_after(swarm, "1"):
            await swarm.start()
            await eventually((tmp_path / "pids").exists, "the other one runs")
        (tmp_path / "open").touch()
        await swarm.close()
        [[first, second], _] = await swarm.result(timeout=60)
        assert first != second
        assert not psutil.pid_exists(first)


async def test_a_step_that_does_not_succeed_fails_the_test(mageflow_test: Stage) -> None:
    async with mageflow_test.killable(app, PLACE) as run:
        task = await app.sign(print_books)
        with pytest.raises(AssertionError, match=r"'ship' did not succeed within 0\.5 s"):
            async with run.kill_worker_after(task, "ship", timeout=0.5):
                await task.start(Order(title="Emma"))


async def test_an_app_that_is_not_there(mageflow_test: Stage) -> None:
    with pytest.raises(RuntimeError, match=r"exit code 1 before it listened.*'tests\.testing\.shop:nothing'"):
        async with mageflow_test.killable(app, "tests.testing.shop:nothing"):
            pass
