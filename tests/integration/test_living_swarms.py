"""Swarms that get items while they run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, SwarmConfig
from tests.support import Ledger, eventually, reaches


def echo_task(mf: Mageflow, ledger: Ledger, gate: asyncio.Event | None = None) -> Any:
    @mf.task(name="echo")
    async def echo(msg: dict[str, Any]) -> Any:
        await ledger.work(str(msg.get("n")), gate)
        return msg.get("n")

    return echo


async def test_items_are_added_while_it_runs_one_or_many(mf: Mageflow, ledger: Ledger) -> None:
    echo = echo_task(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm([await mf.sign(echo, n=0)], config=SwarmConfig(max_concurrency=2))
        await swarm.start({"n": "start"})
        assert (await swarm.add(echo, {"n": 1})).key == f"{swarm.key}#1"
        await swarm.add_many([echo, "echo"], [{"n": 2}, {"n": 3}])
        await swarm.add_many([echo, echo], {"n": "for all"})
        await swarm.add(await mf.sign(echo, n="kwargs win"), {"n": "message"})
        await swarm.add(echo)
        loaded = await mf.load_signature(swarm.key)
        assert loaded is not None
        await loaded.add(await mf.chain([await mf.sign(echo, n=7), await mf.sign(echo, n=8)]))  # type: ignore[union-attr]
        await swarm.close()
        assert await swarm.result(timeout=20) == [0, 1, 2, 3, "for all", "for all", "kwargs win", "start", 8]


async def test_a_request_that_is_repeated_adds_nothing_again(mf: Mageflow, ledger: Ledger) -> None:
    echo = echo_task(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm()
        await swarm.start()
        first = await swarm.add(echo, {"n": 1}, id="request 1")
        again = await swarm.add(echo, {"n": 1}, id="request 1")
        assert first.key == again.key
        await swarm.close()
        assert await swarm.result(timeout=20) == [1]
        late = await swarm.add(echo, {"n": 1}, id="request 1")
        assert late.key == first.key, "also of one that has ended"
        with pytest.raises(mageflow.SwarmIsClosedError):
            await swarm.add(echo, {"n": 1}, id="request 2")
    assert ledger.begun["1"] == 1


async def test_adds_that_come_at_the_same_time_share_updates_and_each_has_its_own_answer(
    mf: Mageflow, ledger: Ledger
) -> None:
    echo, most = echo_task(mf, ledger), 300
    async with mf.worker():
        swarm = await mf.swarm(config=SwarmConfig(max_task_allowed=most, max_concurrency=most))
        await swarm.start()
        asked = [swarm.add(echo, {"n": n}, id=f"request {n // 2 if n < 4 else n}") for n in range(most + 4)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        keys = [answer.key for answer in answers if not isinstance(answer, Exception)]
        assert [type(error) for error in refused] == [mageflow.SwarmIsClosedError] * 2, "it closed when it was full"
        assert keys[0] == keys[1]
        assert keys[2] == keys[3]
        assert len(set(keys)) == most
        assert sorted(await swarm.result(timeout=60)) == [0, 2, *range(4, most + 2)]
    history = await (await mf.client()).get_workflow_handle(swarm.key).fetch_history()
    updates = [
        event for event in history.events if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    assert len(updates) < 10


async def test_adding_to_an_unstarted_swarm_starts_it(mf: Mageflow, ledger: Ledger) -> None:
    echo = echo_task(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm()
        await swarm.add(echo, {"n": 1})
        await swarm.close()
        assert await swarm.result(timeout=20) == [1]


async def test_a_closed_or_ended_or_cancelled_swarm_takes_nothing(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    echo = echo_task(mf, ledger, gate)
    async with mf.worker():
        swarm = await mf.swarm([echo])
        await swarm.start({"n": 0})
        await swarm.close()
        with pytest.raises(mageflow.SwarmIsClosedError, match="is closed and takes no more tasks"):
            await swarm.add(echo)
        gate.set()
        await swarm.result(timeout=20)
        with pytest.raises(mageflow.SwarmIsClosedError, match="is done and takes no more tasks"):
            await swarm.add(echo)
        cancelled = await mf.swarm([echo])
        await cancelled.start({"n": 0})
        await (await mf.client()).get_workflow_handle(cancelled.key).cancel()
        await reaches(cancelled, "canceled")
        with pytest.raises(mageflow.SwarmIsCanceledError, match="is canceled and takes no more tasks"):
            await cancelled.add(echo)


async def test_reaching_the_limit_closes_it_and_exceeding_it_is_an_error(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    echo = echo_task(mf, ledger, gate)
    async with mf.worker():
        swarm = await mf.swarm([echo], config=SwarmConfig(max_task_allowed=3))
        await swarm.start({"n": 0})
        with pytest.raises(mageflow.TooManyTasksError, match="allows 3 tasks; there would be 4") as caught:
            await swarm.add_many([echo, echo, echo])
        assert (caught.value.limit, caught.value.asked) == (3, 4)
        await swarm.add_many([echo, echo])
        gate.set()
        assert len(await swarm.result(timeout=20)) == 3, "it has closed by itself"
        other = await mf.swarm(config=SwarmConfig(max_task_allowed=1))
        await other.start()
        await other.add(echo, close_on_max_task=False)
        assert (await other.status()).status == "active"
        await other.close()
        await other.result(timeout=20)


async def test_lists_of_unequal_lengths_are_refused(mf: Mageflow, ledger: Ledger) -> None:
    echo = echo_task(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm()
        with pytest.raises(mageflow.TaskAndMsgsDontMatchForSwarmError, match="2 tasks and 1 messages"):
            await swarm.add_many([echo, echo], [{"n": 1}])
        await swarm.close()
        assert await swarm.result(timeout=20) == []


async def test_a_suspended_swarm_takes_items_and_runs_none_until_its_resume(mf: Mageflow, ledger: Ledger) -> None:
    echo = echo_task(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm()
        await swarm.start()
        await swarm.suspend()
        await swarm.add_many([echo] * 3, [{"n": n} for n in range(3)])
        await (await mf.sign(echo, n="canary")).run()
        assert not ledger.begun["0"]
        await swarm.resume()
        await swarm.close()
        assert await swarm.result(timeout=20) == [0, 1, 2]


async def test_of_many_adds_at_once_the_first_one_starts_it(mf: Mageflow, ledger: Ledger) -> None:
    echo = echo_task(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm(config=SwarmConfig(max_concurrency=20))
        await asyncio.gather(*(swarm.add(echo, {"n": number}) for number in range(200)))
        await swarm.close()
        assert sorted(await swarm.result(timeout=30)) == list(range(200))


@pytest.mark.parametrize("closed_by", ["run", "close"])
async def test_what_was_suspended_before_its_start_can_be_closed_and_run(
    mf: Mageflow, ledger: Ledger, closed_by: str
) -> None:
    echo = echo_task(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm([await mf.sign(echo, n=1)])
        await swarm.suspend()
        if closed_by == "run":
            running = asyncio.create_task(swarm.run(timeout=20))
            await eventually(lambda: swarm._started, "it is started")
        else:
            await swarm.close()
            await swarm.start()
            running = asyncio.create_task(swarm.result(timeout=20))
        assert ledger.begun["1"] == 0
        await swarm.resume()
        assert await running == [1]


async def test_an_item_has_a_message_with_fields(mf: Mageflow, ledger: Ledger) -> None:
    echo = echo_task(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm()
        with pytest.raises(mageflow.InvalidMessageError, match="an item's message needs fields.* and this is 21"):
            await swarm.add(echo, 21)
        await swarm.add_many([echo, echo], ({"n": 1}, {"n": 2}))
        await swarm.close()
        assert await swarm.result(timeout=20) == [1, 2]
