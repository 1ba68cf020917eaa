"""Apps that run on a server that skips time."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from mageflow_temporal.testing import SkippingStage
from tests.support import reaches
from tests.testing import shop


async def test_days_pass_while_somebody_waits(mageflow_time_skipping: SkippingStage) -> None:
    app, attempts = Mageflow(), list[int]()

    @app.task(name="flaky", retries=2, backoff_factor=6 * 3600, backoff_max_seconds=24 * 3600)
    async def flaky() -> str:
        attempts.append(mageflow.current_task().attempt)
        if len(attempts) < 3:
            raise ValueError
        return "well"

    began = time.monotonic()
    async with mageflow_time_skipping.running(app) as run:
        chain = await app.chain([flaky, flaky])
        await chain.start(delay=timedelta(days=30))
        assert (await chain.status()).status == "pending"
        assert await chain.result(timeout=20) == "well"
        await run.dispatched.assert_task_dispatched("flaky", times=2)
    assert attempts == [1, 2, 3, 1]
    assert time.monotonic() - began < 60


async def test_what_runs_there_is_suspended_interrupted_and_resumed(mageflow_time_skipping: SkippingStage) -> None:
    async with mageflow_time_skipping.running(shop.app) as run:
        chain = await shop.app.chain([shop.print_books, shop.ship])
        async with run.suspend_at(chain, "print"):
            await chain.start(shop.Order(title="Emma", copies=2))
        await reaches(chain, "done", "0")
        assert (await chain.status()).status == "suspended"
        await chain.resume()
        assert await chain.result(timeout=20) == 2
        waiting = await shop.app.sign(shop.wait)
        async with run.interrupt_during(waiting, "wait"):
            await waiting.start()
        assert (await waiting.status()).status == "interrupted"


async def test_without_its_binary_it_says_what_to_install(
    mageflow_time_skipping: SkippingStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(mageflow.MissingExtraError, match="time-skipping"):
        async with mageflow_time_skipping.running(shop.app):
            pass
