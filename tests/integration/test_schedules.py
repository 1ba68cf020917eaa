"""Schedules: the server starts a signature again and again, and each run is one like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.client import Schedule as TemporalSchedule
from temporalio.client import ScheduleActionStartWorkflow, ScheduleSpec
from temporalio.converter import DataConverter, PayloadCodec

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, Schedule
from tests.support import Ledger, eventually

HOURLY = timedelta(hours=1)


class Page(BaseModel):
    number: int


def task(mf: Mageflow, ledger: Ledger, gate: asyncio.Event | None = None) -> Any:
    @mf.task(name="print")
    async def print_(msg: Page) -> Page:
        await ledger.work(str(msg.number), gate)
        return msg

    return print_


async def first_run(schedule: Schedule, number: int = 1) -> str:
    """Return the key of the schedule's run of that number."""

    async def probe() -> Any:
        recent = (await schedule.describe()).recent
        return recent[number - 1] if len(recent) >= number else None

    return await eventually(probe, f"{schedule} has started {number} runs")


async def test_each_run_is_an_ordinary_signature(mf: Mageflow, ledger: Ledger) -> None:
    page = task(mf, ledger)
    id = f"{mf.config.task_queue}-pages"
    async with mf.worker():
        swarm = await mf.swarm([page, await mf.sign(page, number=2)], name="pages", is_swarm_closed=True)
        schedule = await swarm.schedule(id, every=HOURLY, message=Page(number=1), priority=4, fairness_key="night")
        await schedule.trigger()
        key = await first_run(schedule)
        assert key.startswith(f"{id}-2"), "the ID and the time at which it was due"
        loaded = await mf.load_signature(key)
        assert isinstance(loaded, mageflow.Signature)
        assert (loaded.kind, loaded.name) == ("swarm", "pages")
        assert await loaded.result(timeout=20) == [Page(number=1), Page(number=2)]
        assert (await loaded.status()).status == "done"
        description = await (await mf.client()).get_workflow_handle(key).describe()
        await schedule.delete()
    attributes = description.search_attributes
    assert {name: attributes[f"Mageflow{name}"] for name in ("Name", "Kind", "Status")} == {
        "Name": ["pages"],
        "Kind": ["swarm"],
        "Status": ["done"],
    }
    assert await description.static_summary() == "swarm pages: 2 x print, 30 at a time"
    priority = description.raw_description.workflow_execution_info.priority
    assert (priority.priority_key, priority.fairness_key) == (4, "night")


async def test_it_starts_by_itself_when_it_is_due(mf: Mageflow, ledger: Ledger) -> None:
    page = task(mf, ledger)
    async with mf.worker():
        schedule = await (await mf.sign(page, number=1)).schedule(
            f"{mf.config.task_queue}-often", every=timedelta(seconds=1)
        )
        await ledger.has_begun("1", 2)
        await schedule.delete()
        assert len({await first_run_of(mf, schedule, number) for number in (1, 2)}) == 2


async def first_run_of(mf: Mageflow, schedule: Schedule, number: int) -> str:
    keys = [
        execution.id
        async for execution in (await mf.client()).list_workflows(f"TaskQueue = '{mf.config.task_queue}'")
        if execution.id.startswith(f"{schedule.id}-")
    ]
    return sorted(keys)[number - 1]


async def test_a_run_can_be_steered_like_any_other(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    page = task(mf, ledger, gate)
    async with mf.worker():
        chain = await mf.chain([await mf.sign(page, number=1), await mf.sign(page, number=2)])
        schedule = await chain.schedule(f"{mf.config.task_queue}-steered", every=HOURLY)
        await schedule.trigger()
        key = await first_run(schedule)
        await ledger.has_begun("1")
        assert (await schedule.describe()).running == [key]
        await mf.interrupt(key)
        assert ledger.cancelled["1"] == 1
        gate.set()
        await mf.resume(key)
        loaded = await mf.load_signature(key)
        assert isinstance(loaded, mageflow.Signature)
        assert await loaded.result(timeout=20) == Page(number=2)
        await schedule.delete()


async def test_it_is_paused_and_goes_on_and_says_so(mf: Mageflow, ledger: Ledger) -> None:
    page = task(mf, ledger)
    id = f"{mf.config.task_queue}-paused"
    schedule = await (await mf.sign(page, number=1)).schedule(id, cron="0 9 * * MON-FRI", timezone="Europe/Berlin")
    report = await schedule.describe()
    assert (report.id, report.name, report.kind, report.paused, report.running) == (id, "print", "task", False, [])
    assert len(report.next_runs) == 10
    assert all(due > datetime.now(UTC) and due.weekday() < 5 and due.hour in (7, 8) for due in report.next_runs)
    await schedule.pause("the printer is out of paper")
    report = await schedule.describe()
    assert (report.paused, report.note) == (True, "the printer is out of paper")
    await schedule.unpause("it has paper")
    report = await schedule.describe()
    assert (report.paused, report.note) == (False, "it has paper")
    await schedule.delete()


async def test_it_is_found_by_its_id_and_listed_until_it_is_deleted(mf: Mageflow, ledger: Ledger) -> None:
    page = task(mf, ledger)
    id = f"{mf.config.task_queue}-listed"
    foreign = await (await mf.client()).create_schedule(
        f"{id}-foreign",
        TemporalSchedule(
            action=ScheduleActionStartWorkflow("theirs", id="theirs", task_queue="theirs"),
            spec=ScheduleSpec(cron_expressions=["@yearly"]),
        ),
    )
    await (await mf.sign(page, number=1)).schedule(id, cron=["@daily", "@hourly"])

    async def listed() -> list[str]:
        return [one.id for one in await mf.schedules() if one.id.startswith(id)]

    await eventually(listed, "it is listed")
    assert await listed() == [id], "and those of others are not"
    loaded = await mf.load_schedule(id)
    assert loaded is not None
    assert await mf.load_schedule(f"{id}-foreign") is None
    await loaded.delete()
    assert await mf.load_schedule(id) is None
    for gone in (loaded.describe, loaded.pause, loaded.unpause, loaded.trigger, loaded.delete):
        with pytest.raises(mageflow.MissingScheduleError, match="no schedule has the ID"):
            await gone()
    await foreign.delete()


async def test_an_id_is_taken_unless_it_is_to_be_replaced(mf: Mageflow, ledger: Ledger) -> None:
    page = task(mf, ledger)
    id = f"{mf.config.task_queue}-taken"
    signature, other = await mf.sign(page, number=1), await mf.chain([page, page], name="two pages")
    schedule = await signature.schedule(id, every=HOURLY)
    with pytest.raises(mageflow.ScheduleExistsError, match="replace=True"):
        await signature.schedule(id, every=HOURLY)
    await schedule.pause("by hand")
    await other.schedule(id, cron="@daily", message=Page(number=1), replace=True)
    report = await schedule.describe()
    assert (report.name, report.kind) == ("two pages", "chain")
    assert report.next_runs[1] - report.next_runs[0] == timedelta(days=1)
    assert (report.paused, report.note) == (True, "by hand"), "who paused it has not taken that back"
    await schedule.delete()


async def test_one_that_is_not_ours_is_not_replaced(mf: Mageflow, ledger: Ledger) -> None:
    page = task(mf, ledger)
    id = f"{mf.config.task_queue}-theirs"
    foreign = await (await mf.client()).create_schedule(
        id,
        TemporalSchedule(
            action=ScheduleActionStartWorkflow("theirs", id="theirs", task_queue="theirs"),
            spec=ScheduleSpec(cron_expressions=["@yearly"]),
        ),
    )
    with pytest.raises(mageflow.ScheduleExistsError, match="not ours"):
        await (await mf.sign(page, number=1)).schedule(id, every=HOURLY, replace=True)
    await foreign.delete()


class Sealed(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"binary/sealed"}, data=one.SerializeToString()) for one in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(one.data) for one in payloads]


async def test_one_that_is_not_ours_and_cannot_be_read_is_left_alone(mf: Mageflow, ledger: Ledger) -> None:
    page, ours = task(mf, ledger), await mf.client()
    theirs = await Client.connect(
        ours.service_client.config.target_host, data_converter=DataConverter(payload_codec=Sealed())
    )
    id = f"{mf.config.task_queue}-sealed"
    foreign = await theirs.create_schedule(
        id,
        TemporalSchedule(
            action=ScheduleActionStartWorkflow("theirs", id="theirs", task_queue="theirs"),
            spec=ScheduleSpec(cron_expressions=["@yearly"]),
        ),
        memo={"note": "of theirs"},
    )
    with pytest.raises(mageflow.ScheduleExistsError, match="not ours"):
        await (await mf.sign(page, number=1)).schedule(id, every=HOURLY, replace=True)
    mine = await (await mf.sign(page, number=1)).schedule(f"{id}-not", every=HOURLY)
    try:
        await eventually(lambda: lists(mf, mine.id), "it is listed, beside theirs")
        assert id not in [schedule.id for schedule in await mf.schedules()]
    finally:
        await mine.delete()
        await foreign.delete()


async def lists(mf: Mageflow, id: str) -> bool:
    return id in [schedule.id for schedule in await mf.schedules()]


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ({}, "one of cron= and every=, and got neither"),
        ({"cron": []}, "and got neither"),
        ({"cron": "@daily", "every": HOURLY}, "and got both"),
        ({"every": timedelta(0)}, "whole seconds"),
        ({"every": timedelta(seconds=1.5)}, "whole seconds"),
        ({"every": HOURLY, "timezone": "Europe/Berlin"}, "timezone= goes with cron="),
        ({"cron": "61 * * * *"}, "Minute is not in range"),
        ({"cron": ["@daily", "now and then"]}, "does not have 5-7 fields"),
        ({"cron": "@daily", "timezone": "Europe/Atlantis"}, "unknown time zone Europe/Atlantis"),
    ],
    ids=str,
)
async def test_a_time_that_cannot_be_is_refused_and_nothing_is_scheduled(
    mf: Mageflow, ledger: Ledger, when: dict[str, Any], problem: str
) -> None:
    page = task(mf, ledger)
    id = f"{mf.config.task_queue}-never"
    with pytest.raises(mageflow.InvalidScheduleError, match=problem):
        await (await mf.sign(page, number=1)).schedule(id, **when)
    assert await mf.load_schedule(id) is None


async def test_a_message_that_does_not_fit_is_refused_and_nothing_is_scheduled(mf: Mageflow, ledger: Ledger) -> None:
    page = task(mf, ledger)
    id = f"{mf.config.task_queue}-misfit"
    with pytest.raises(mageflow.InvalidMessageError, match="number"):
        await (await mf.sign(page)).schedule(id, every=HOURLY)
    with pytest.raises(mageflow.InvalidKeyError):
        await (await mf.sign(page, number=1)).schedule(f"{id}#1", every=HOURLY)
    with pytest.raises(mageflow.InvalidScheduleError, match="exceeds maximum allowed length"):
        await (await mf.sign(page, number=1)).schedule("x" * 990, every=HOURLY)
    assert await mf.load_schedule(id) is None


async def test_runs_that_overlap_are_left_out_or_run_side_by_side(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    page = task(mf, ledger, gate)
    queue = mf.config.task_queue
    async with mf.worker():
        alone = await (await mf.sign(page, number=1)).schedule(f"{queue}-alone", every=HOURLY)
        both = await (await mf.sign(page, number=2)).schedule(f"{queue}-both", every=HOURLY, overlap="allow_all")
        for schedule in (alone, both):
            await schedule.trigger()
            await first_run(schedule)
            await asyncio.sleep(1)  # a key holds the second: the next run needs another
            await schedule.trigger()
        await ledger.has_begun("2", 2)
        assert ledger.begun["1"] == 1
        gate.set()
        await alone.delete()
        await both.delete()


async def test_a_worker_that_has_a_task_with_crons_schedules_it_once(
    mf: Mageflow, server: EmbeddedServer, ledger: Ledger
) -> None:
    async def tidy() -> None:
        await ledger.work("tidy")

    processes = [Mageflow(server.target, config=mf.config) for _ in range(3)]
    for app in (mf, *processes):
        app.task(name="tidy up #1", on_crons=["0 3 * * *", "0 15 * * *"])(tidy)
    await asyncio.gather(*map(_start_and_stop, processes))
    id = f"cron/{mf.config.task_queue}/tidy%20up%20%231"
    schedule = await mf.load_schedule(id)
    assert schedule is not None
    report = await schedule.describe()
    assert (report.name, report.paused) == ("tidy up #1", False)
    assert {due.hour for due in report.next_runs} == {3, 15}
    await schedule.pause("not today")
    async with mf.worker():
        assert (await schedule.describe()).paused, "a worker that starts takes no pause off"
        await schedule.trigger()
        await ledger.has_begun("tidy")
    await schedule.delete()


async def _start_and_stop(mf: Mageflow) -> None:
    async with mf.worker():
        pass


async def test_a_task_with_crons_gets_the_lines_that_it_has_now(mf: Mageflow, ledger: Ledger) -> None:
    for hour in (3, 4):
        app = Mageflow(await mf.client(), config=mf.config)

        @app.task(name="tidy", on_crons=[f"0 {hour} * * *"])
        async def tidy() -> None: ...

        await _start_and_stop(app)
        schedule = await mf.load_schedule(f"cron/{mf.config.task_queue}/tidy")
        assert schedule is not None
        assert {due.hour for due in (await schedule.describe()).next_runs} == {hour}
    await schedule.delete()


async def test_crons_that_cannot_be_are_refused_when_the_task_is_defined_or_its_worker_starts(mf: Mageflow) -> None:
    with pytest.raises(mageflow.CompositionError, match="give a list of cron lines"):

        @mf.task(on_crons="0 3 * * *")
        async def a_string() -> None: ...

    @mf.task(name="wrong", on_crons=["now and then"])
    async def wrong() -> None: ...

    with pytest.raises(mageflow.InvalidScheduleError, match="does not have 5-7 fields"):
        await _start_and_stop(mf)
    needy = Mageflow(await mf.client(), config=mf.config)

    @needy.task(name="needy", on_crons=["@daily"])
    async def needy_task(msg: Page) -> None: ...

    with pytest.raises(mageflow.InvalidMessageError, match="number"):
        await _start_and_stop(needy)
