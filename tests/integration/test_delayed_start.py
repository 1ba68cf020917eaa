"""A start with a delay: a durable timer in the signature itself, so that it can be looked at and steered meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio.api.enums.v1 import EventType

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.support import Ledger, eventually, reaches

AN_HOUR = timedelta(hours=1)


def tasks(mf: Mageflow, ledger: Ledger) -> tuple[Any, Any]:
    @mf.task(name="note")
    async def note(msg: dict[str, Any]) -> Any:
        await ledger.work("note")
        return msg.get("n")

    @mf.task(name="last")
    async def last(msg: dict[str, Any]) -> Any:
        return [msg["mageflow_results"]]

    return note, last


async def timers(mf: Mageflow, key: str) -> list[tuple[str, float]]:
    """Return the timers of a signature: their summaries and seconds."""
    client = await mf.client()
    history = await client.get_workflow_handle(key).fetch_history()
    return [
        (
            await client.data_converter.decode([event.user_metadata.summary]),
            event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta().total_seconds(),
        )
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED
    ]


async def attribute(mf: Mageflow, key: str) -> Any:
    description = await (await mf.client()).get_workflow_handle(key).describe()
    return description.search_attributes["MageflowStatus"][0]


@pytest.mark.parametrize("kind", ["task", "chain", "swarm", "map"])
async def test_it_is_pending_until_the_delay_has_passed(mf: Mageflow, ledger: Ledger, kind: str) -> None:
    note, last = tasks(mf, ledger)
    made: dict[str, Any] = {
        "task": await mf.sign(note),
        "chain": await mf.chain([note, last]),
        "swarm": await mf.swarm([note], is_swarm_closed=True),
        "map": await mf.map(last, [3]),
    }
    async with mf.worker():
        signature = made[kind]
        await signature.start({"n": 3}, delay=timedelta(seconds=1.5))
        assert (await signature.status()).status == "pending"
        assert await attribute(mf, signature.key) == "pending"
        assert not ledger.begun
        assert await signature.result(timeout=20) == (3 if kind == "task" else [[3]] if kind == "map" else [3])
    assert await timers(mf, signature.key) == [(["delayed start"], 1.5)]


async def test_run_waits_for_the_delay_too(mf: Mageflow, ledger: Ledger) -> None:
    note, _ = tasks(mf, ledger)
    async with mf.worker():
        with pytest.raises(mageflow.ResultTimeoutError):
            await (await mf.sign(note)).run({}, delay=AN_HOUR, timeout=0.5)
        with pytest.raises(mageflow.ResultTimeoutError):
            await (await mf.swarm([note])).run({}, delay=AN_HOUR, timeout=0.5)
        assert await (await mf.sign(note)).run({"n": 1}, delay=timedelta(0)) == 1, "no delay at all"
    assert ledger.begun["note"] == 1


@pytest.mark.parametrize("verb", ["suspend", "interrupt"])
async def test_a_hold_outlasts_the_delay_and_its_resume_lets_it_run_at_once(
    mf: Mageflow, ledger: Ledger, verb: str
) -> None:
    note, last = tasks(mf, ledger)
    async with mf.worker():
        for signature in (await mf.sign(note), await mf.chain([note, last]), await mf.swarm([note])):
            begun = ledger.begun["note"]
            await signature.start({"n": 7}, delay=timedelta(seconds=0.3))
            report = await getattr(signature, verb)("not yet")
            assert (report.status, report.last_status) == (f"{verb}ed", "pending")
            await _timer_fired(mf, signature.key)
            await (await mf.sign(note, n="canary")).run({})
            assert (await signature.status()).status == f"{verb}ed"
            assert ledger.begun["note"] == begun + 1, "only the canary"
            await signature.resume()
            await ledger.has_begun("note", begun + 2)


async def _timer_fired(mf: Mageflow, key: str) -> None:
    handle = (await mf.client()).get_workflow_handle(key)

    async def probe() -> bool:
        history = await handle.fetch_history()
        return any(event.event_type == EventType.EVENT_TYPE_TIMER_FIRED for event in history.events)

    await eventually(probe, "the delay has passed")


async def test_a_resume_before_the_end_goes_on_waiting(mf: Mageflow, ledger: Ledger) -> None:
    note, _ = tasks(mf, ledger)
    async with mf.worker():
        signature = await mf.sign(note)
        await signature.start({"n": 7}, delay=timedelta(seconds=2))
        await signature.suspend()
        assert (await signature.resume()).status == "pending"
        await (await mf.sign(note, n="canary")).run({})
        assert (await signature.status()).status == "pending"
        assert ledger.begun["note"] == 1, "only the canary"
        assert await signature.result(timeout=20) == 7


async def test_starting_again_with_the_id_neither_shortens_nor_repeats_it(mf: Mageflow, ledger: Ledger) -> None:
    note, _ = tasks(mf, ledger)
    key = f"{mf.config.task_queue}-later"
    async with mf.worker():
        await (await mf.sign(note)).start({"n": 1}, id=key, delay=timedelta(seconds=1.5))
        again = await (await mf.sign(note)).start({"n": 2}, id=key)
        assert (await again.status()).status == "pending"
        assert await again.result(timeout=20) == 1
    assert ledger.begun["note"] == 1
    assert len(await timers(mf, key)) == 1


async def test_what_a_verb_opened_can_be_started_with_a_delay_by_its_maker_and_by_others(
    mf: Mageflow, ledger: Ledger
) -> None:
    note, _ = tasks(mf, ledger)
    async with mf.worker():
        opened, other = await mf.sign(note), await mf.sign(note)
        await opened.suspend()
        await other.suspend()
        await opened.start({"n": 1}, delay=timedelta(seconds=0.5))
        loaded = await mf.load_signature(other.key)
        assert isinstance(loaded, mageflow.Signature)
        await loaded.start({"n": 2}, delay=timedelta(seconds=0.5))
        await asyncio.gather(opened.resume(), loaded.resume())
        assert await asyncio.gather(opened.result(20), loaded.result(20)) == [1, 2]
    for key in (opened.key, other.key):
        assert await timers(mf, key) == [(["delayed start"], 0.5)]


async def test_items_can_be_added_to_a_swarm_that_waits(mf: Mageflow, ledger: Ledger) -> None:
    note, _ = tasks(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm([await mf.sign(note, n=0)])
        await swarm.start({}, delay=timedelta(seconds=1.5))
        await swarm.add(note, {"n": 1})
        await swarm.close()
        assert not ledger.begun
        assert await swarm.result(timeout=20) == [0, 1]


async def test_what_waits_can_be_skipped_or_get_other_arguments(mf: Mageflow, ledger: Ledger) -> None:
    note, last = tasks(mf, ledger)
    async with mf.worker():
        chain, signature = await mf.chain([note, last]), await mf.sign(note)
        await chain.start({}, delay=AN_HOUR)
        await chain.skip("skipped")
        assert await chain.result(timeout=20) == "skipped"
        await signature.start({"n": 1}, delay=timedelta(seconds=0.5))
        await signature.resume({"n": 2})
        assert await signature.result(timeout=20) == 2
    assert ledger.begun["note"] == 1


async def test_what_waits_can_be_cancelled_and_removed(mf: Mageflow, ledger: Ledger) -> None:
    note, last = tasks(mf, ledger)
    async with mf.worker():
        chain = await mf.chain([note, last])
        await chain.start({}, delay=AN_HOUR)
        await (await mf.client()).get_workflow_handle(chain.key).cancel()
        await reaches(chain, "canceled")
        signature = await mf.sign(note)
        await signature.start({}, delay=AN_HOUR)
        await signature.remove()
    assert not ledger.begun


@pytest.mark.parametrize("delay", [timedelta(seconds=-1), timedelta(days=3651)])
async def test_a_delay_out_of_range_is_refused_and_starts_nothing(
    mf: Mageflow, ledger: Ledger, delay: timedelta
) -> None:
    note, _ = tasks(mf, ledger)
    signature = await mf.sign(note)
    with pytest.raises(ValidationError, match="delay"):
        await signature.start({}, delay=delay)
    assert await mf.load_signature(signature.key) is None
