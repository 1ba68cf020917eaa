"""A user's own app runs in a test on the session's server, and is afterwards what it was before."""

from __future__ import annotations

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig
from mageflow_temporal.testing import Stage
from tests.support import eventually, reaches
from tests.testing import shop


async def test_an_app_of_the_user_runs_on_the_test_server(mageflow_test: Stage) -> None:
    before = shop.app.config
    async with mageflow_test.running(shop.app) as run:
        assert run.app is shop.app
        assert await shop.order("Emma", 3) == 3
        queue = shop.app.config.task_queue
        assert queue.startswith("test-")
    assert shop.app.config is before
    with pytest.raises(mageflow.ServerUnavailableError):
        await shop.order("Emma")
    async with mageflow_test.running(shop.app):
        assert shop.app.config.task_queue != queue, "each test has its own"


async def test_what_a_test_leaves_behind_is_ended(mageflow_test: Stage) -> None:
    async with mageflow_test.running(shop.app):
        left = await shop.app.sign(shop.wait)
        await left.start()
        await reaches(left, "active")
        schedule = await left.duplicate().schedule("left", cron="@yearly")
    client = await Mageflow(mageflow_test.server.target).client()
    description = await client.get_workflow_handle(left.key).describe()
    assert description.status is not None
    assert description.status.name == "TERMINATED"

    async def schedules() -> list[str]:
        return [found.id async for found in await client.list_schedules()]

    async def is_gone() -> bool:
        return schedule.id not in await schedules()

    await eventually(is_gone, "the schedule is deleted")


async def test_what_another_app_of_the_test_has_started_goes_on(mageflow_test: Stage, mageflow_app: Mageflow) -> None:
    async with mageflow_test.running(mageflow_app) as other, mageflow_test.running(shop.app) as run:
        chain = await shop.app.chain([shop.print_books, shop.ship])
        schedule = await chain.schedule("goes-on", cron="@yearly", message=shop.Order(title="Emma"))
        await other.dispatched.assert_nothing_dispatched()
        async with mageflow_test.running(Mageflow()), run.suspend_at(chain, "print"):
            await chain.start(shop.Order(title="Emma"))
        await chain.resume()
        assert await chain.result(timeout=20) == 1
        assert (await schedule.describe()).name == chain.name


async def test_an_app_is_what_it_was_also_after_a_test_that_fails(mageflow_test: Stage) -> None:
    before = shop.app.config
    with pytest.raises(ZeroDivisionError):
        async with mageflow_test.running(shop.app):
            raise ZeroDivisionError
    assert shop.app.config is before


async def test_an_app_for_a_test_alone(mageflow_app: Mageflow) -> None:
    @mageflow_app.task()
    async def double(msg: int) -> int:
        return 2 * msg

    async with mageflow_app.worker():
        assert await (await mageflow_app.sign(double)).run(21) == 42


async def test_an_app_uses_another_server_for_a_while(mageflow_server: EmbeddedServer) -> None:
    app = Mageflow("nobody.listens.here:1", config=MageflowConfig(task_queue="own"))

    @app.task()
    async def one() -> int:
        return 1

    async with app.connected_to(mageflow_server.target):
        assert app.config.task_queue == "own"
        async with app.worker():
            assert await (await app.sign(one)).run() == 1
    with pytest.raises(mageflow.ServerUnavailableError):
        await app.client()
