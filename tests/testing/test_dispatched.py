"""What was dispatched is what the server has on record, and a failed assertion says what was."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mageflow_temporal import SwarmConfig, TaskFailedError
from mageflow_temporal.testing import Run, Stage
from tests.testing.shop import Order, Parcel, app, fail, order, print_books, ship, stumble, wait


@pytest.fixture
async def run(mageflow_test: Stage) -> AsyncIterator[Run]:
    async with mageflow_test.running(app) as running:
        yield running


async def test_tasks_with_their_messages(run: Run) -> None:
    await order("Emma", 2, express=True)
    dispatched = run.dispatched
    await dispatched.assert_task_dispatched("print", message=Order(title="Emma", copies=2), times=1)
    await dispatched.assert_task_dispatched(print_books, message={"title": "Emma"})
    await dispatched.assert_task_dispatched(ship, message=Parcel(books=["Emma", "Emma"], express=True))
    await dispatched.assert_task_dispatched("wait", times=0)
    for wrong in (Order(title="Emma"), {"title": "Persuasion"}, {"titel": "Emma"}, Parcel(books=[]), 7):
        with pytest.raises(AssertionError):
            await dispatched.assert_task_dispatched("print", message=wrong, timeout=0)


async def test_a_failed_assertion_says_what_was_dispatched(run: Run) -> None:
    chain = await app.chain([print_books, ship], name="order")
    await chain.run(Order(title="Emma"))
    with pytest.raises(AssertionError) as caught:
        await run.dispatched.assert_task_dispatched("print", message={"copies": 7}, timeout=0.1)
    assert str(caught.value).splitlines() == [
        "task 'print' with {\"copies\": 7} was to be dispatched at least once, and was 0 times. What was dispatched:",
        f'  task \'print\' with {{"copies": 1, "title": "Emma"}} ({chain.key}#0)',
        f'  task \'ship\' with {{"books": ["Emma"]}} ({chain.key}#1)',
    ]
    with pytest.raises(AssertionError) as caught:
        await run.dispatched.assert_chain_dispatched("order", tasks=[ship, print_books], timeout=0.1)
    assert str(caught.value).splitlines() == [
        "chain 'order' of ship, print was to be dispatched at least once, and was 0 times. What was dispatched:",
        f"  chain 'order' of print, ship, done ({chain.key})",
    ]
    with pytest.raises(AssertionError) as caught:
        await run.dispatched.assert_nothing_dispatched()
    assert str(caught.value).splitlines() == [
        "something was started:",
        f"  chain 'order' of print, ship, done ({chain.key})",
    ]


async def test_an_assertion_waits_for_what_has_only_been_started(run: Run) -> None:
    chain = await app.chain([print_books, ship, print_books], name="order")
    await chain.start(Order(title="Emma"))
    await run.dispatched.assert_chain_dispatched(chain, tasks=["print", "ship", "print"], times=1)
    await run.dispatched.assert_task_dispatched("ship")


async def test_attempts_of_one_task_count_once(run: Run) -> None:
    await (await app.sign(stumble)).run()
    assert len(await run.dispatched.calls()) == 2
    await run.dispatched.assert_task_dispatched("stumble", times=1)


async def test_swarms_maps_callbacks_and_what_is_nested(run: Run) -> None:
    nested = await app.chain([print_books, ship], name="nested")
    never = await app.chain([print_books, ship], name="never")
    swarm = await app.swarm(
        [nested, print_books],
        name="all",
        config=SwarmConfig(max_concurrency=1),
        success_callbacks=[await app.map(wait, name="thanks")],
        error_callbacks=[never],
    )
    await swarm.start(Order(title="Emma"))
    await swarm.close()
    dispatched = run.dispatched
    await dispatched.assert_swarm_dispatched("all", tasks=[print_books, "nested"], times=1)
    await dispatched.assert_chain_dispatched("nested", tasks=[print_books, ship])
    await dispatched.assert_swarm_dispatched("thanks")
    await dispatched.assert_task_dispatched("print", times=2)
    await dispatched.assert_task_dispatched("wait", times=2)
    await dispatched.assert_chain_dispatched("never", times=0)


async def test_a_task_on_a_queue_of_its_own_is_on_record(run: Run) -> None:
    with pytest.raises(TaskFailedError):
        await (await app.sign(fail)).run()
    await run.dispatched.assert_task_dispatched("fail", times=1)


async def test_nothing_was_dispatched(run: Run) -> None:
    await run.dispatched.assert_nothing_dispatched()
    await app.chain([print_books, ship])
    await run.dispatched.assert_nothing_dispatched()
    for title in ("Emma", "Persuasion"):
        await (await app.sign(print_books)).start(Order(title=title))
        with pytest.raises(AssertionError, match="task 'print'"):
            await run.dispatched.assert_nothing_dispatched()
