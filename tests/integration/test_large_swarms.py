"""Swarms that are more than one run or one payload can carry: nobody notices, except that it takes longer."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, ReturnValue, SwarmConfig, pages
from mageflow_temporal.engine import loop, page, shelf, tree
from tests.conftest import replay_all
from tests.support import Ledger, eventually, reaches

LONG = 60.0
"""Seconds, for what takes several runs."""
KIB = 1024


class Size(BaseModel):
    number: int = 0
    size: int = 0


class Texts(BaseModel):
    texts: ReturnValue[list[str]]


def texts(mf: Mageflow, ledger: Ledger) -> tuple[Any, Any]:
    @mf.task(name="text")
    async def text(msg: Size) -> str:
        ledger.begun[str(msg.number)] += 1
        return f"{msg.number}".ljust(msg.size, ".")

    @mf.task(name="total")
    async def total(msg: Texts) -> int:
        ledger.begun["total"] += 1
        ledger.order += [text.strip(".") for text in msg.texts]
        return sum(map(len, msg.texts))

    return text, total


async def pages_of(mf: Mageflow) -> list[WorkflowExecutionStatus | None]:
    query = f"WorkflowType = 'mageflow.page' AND TaskQueue = '{mf.config.task_queue}'"
    return [page.status async for page in (await mf.client()).list_workflows(query)]


async def test_results_of_more_than_a_payload_come_whole_to_all_who_get_them(mf: Mageflow, ledger: Ledger) -> None:
    text, total = texts(mf, ledger)
    size, number = 100 * KIB, 50
    expected = [f"{n}".ljust(size, ".") for n in range(number)]
    async with mf.worker():
        items = [await mf.sign(text, number=n, size=size) for n in range(number)]
        swarm = await mf.swarm(items, success_callbacks=[total])
        assert await swarm.run(timeout=LONG) == expected
        await reaches(swarm, "done")
        outcomes = await swarm.outcomes()
        assert [(item.status, item.name, item.attempts) for item in outcomes] == [("done", "text", 1)] * number
        assert [item.result for item in outcomes] == expected
        found = await mf.load_signature(swarm.key)
        assert found and await found.result(timeout=LONG) == expected
        report = await swarm.status()
        assert report.counts and (report.counts.done, report.counts.total) == (number, number)
        seventh = report.find("7")
        assert seventh and seventh.status == "done"

        chain = await mf.chain(
            [
                await mf.swarm([await mf.sign(text, number=n, size=size) for n in range(number)], is_swarm_closed=True),
                total,
            ]
        )
        assert await chain.run(timeout=LONG) == number * size
    assert ledger.order == [str(n) for n in range(number)] * 2
    assert ledger.begun["total"] == 2

    async def have_ended() -> bool:
        pages = await pages_of(mf)
        return len(pages) >= 8 and set(pages) == {WorkflowExecutionStatus.COMPLETED}

    async with mf.worker():
        await eventually(have_ended, "the pages end with their owners")


@pytest.fixture
async def small(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mageflow]:
    """An app whose swarms keep next to nothing, in runs of the fewest events."""
    for module, name, value in (
        (shelf, "_FRESH", 2),
        (shelf, "CARRIED", 300),
        (shelf, "_PAGE", 200),
        (tree, "_NEAR", 3),
    ):
        monkeypatch.setattr(module, name, value)
    app = Mageflow(server.target, config=MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}", events_per_run=10))
    yield app
    await replay_all(app)


async def test_items_that_are_let_go_or_packed_are_still_there_for_all_that_asks(
    small: Mageflow, ledger: Ledger
) -> None:
    mf, gate = small, asyncio.Event()

    @mf.task(name="number")
    async def number(msg: dict[str, Any]) -> int:
        n = msg.get("n") or msg["mageflow_results"]
        ledger.begun[str(n)] += 1
        if n == 5 and ledger.begun["5"] == 1:
            raise ValueError
        return n

    @mf.task(name="wait")
    async def wait(msg: dict[str, Any]) -> str:
        await ledger.work("wait", gate)
        return "waited"

    async with mf.worker():
        swarm = await mf.swarm([wait], config=SwarmConfig(max_concurrency=3))
        await swarm.start()
        await ledger.has_begun("wait")
        await swarm.suspend()
        members = await swarm.add_many([number] * 60, [{"n": n} for n in range(1, 61)])
        late = await swarm.add(await mf.chain([number, number]), {"n": 61})
        await members[-1].suspend()
        assert (await members[30].status()).status == "suspended", "it is packed, and held with the swarm"
        assert (await late.status()).kind == "chain"
        await swarm.resume()
        gate.set()

        async def most_are_done() -> bool:
            counts = (await swarm.status()).counts
            return bool(counts and counts.done == 60 and counts.failed == 1)

        await eventually(most_are_done, "all but a failed and a suspended one are done", LONG)
        assert (await members[0].status()).status == "done"
        assert (await late.status()).status == "done"
        assert (await members[-1].status()).status == "suspended"
        with pytest.raises(mageflow.SignatureEndedError):
            await members[0].suspend()
        with pytest.raises(mageflow.UnknownMemberError):
            await mf.suspend(f"{late.key}.0")
        await swarm.retry_failed()
        await members[-1].resume()
        await swarm.close()
        assert await swarm.result(timeout=LONG) == ["waited", *range(1, 61), 61]
        outcomes = await swarm.outcomes()
        assert [item.result for item in outcomes] == ["waited", *range(1, 61), 61]
        assert [item.key for item in outcomes] == [f"{swarm.key}#{index}" for index in range(62)]
        assert {item.name for item in outcomes[1:-1]} == {"number"}
    assert ledger.begun == {"wait": 1} | {str(n): 1 for n in range(1, 61)} | {"61": 2, "5": 2}
    assert len(await pages_of(mf)) >= 3


async def test_a_swarm_in_a_swarm_hands_its_paged_results_on(small: Mageflow, ledger: Ledger) -> None:
    text, _ = texts(small, ledger)

    @small.task(name="shape")
    async def shape(msg: dict[str, Any]) -> list[int]:
        return [len(inner) for inner in msg["mageflow_results"]]

    async with small.worker():
        inner = [
            await small.swarm([await small.sign(text, number=n, size=30) for n in range(20)], is_swarm_closed=True)
            for _ in range(3)
        ]
        outer = await small.swarm(inner, is_swarm_closed=True)
        chain = await small.chain([outer, shape])
        assert await chain.run(timeout=LONG) == [20, 20, 20]


async def test_pages_whose_owner_was_terminated_find_out_and_those_of_one_that_goes_on_stay(
    small: Mageflow, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_LOOK_EVERY", timedelta(seconds=1))
    text, _ = texts(small, ledger)
    client = await small.client()

    async def of(swarm: Any) -> list[WorkflowExecution]:
        return [found async for found in client.list_workflows(f"ParentWorkflowId = '{swarm.key}'")]

    async def have_pages() -> bool:
        return bool(await of(cut_off) and await of(going_on))

    async def have_ended() -> bool:
        return {found.status for found in await of(cut_off)} == {WorkflowExecutionStatus.COMPLETED}

    async def have_looked() -> bool:
        histories = [await client.get_workflow_handle(found.id).fetch_history() for found in await of(going_on)]
        return all(any(event.HasField("marker_recorded_event_attributes") for event in h.events) for h in histories)

    async with small.worker():
        cut_off, going_on = [
            await small.swarm([await small.sign(text, number=n, size=30) for n in range(20)]) for _ in range(2)
        ]
        for swarm in (cut_off, going_on):
            await swarm.start()
        orphan = await client.start_workflow(
            "mageflow.page",
            args=[f"nobody-{uuid.uuid4().hex}", [], []],
            id=f"page-{uuid.uuid4().hex}",
            task_queue=small.config.task_queue,
        )
        await eventually(have_pages, "both have pages", LONG)
        await client.get_workflow_handle(cut_off.key).terminate()
        await asyncio.wait_for(orphan.result(), LONG)
        await eventually(have_ended, "the pages of what was terminated have ended", LONG)
        await eventually(have_looked, "those of the other have looked, too", LONG)
        assert {found.status for found in await of(going_on)} == {WorkflowExecutionStatus.RUNNING}
        await going_on.close()
        assert len(await going_on.result(timeout=LONG)) == 20


async def test_one_workflow_task_sends_out_only_so_many_calls(small: Mageflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_CALLS_AT_FIRST", 20)
    monkeypatch.setattr(loop, "_CALLS_AT_ONCE", 5)

    @small.task(name="text", task_queue="nobody-serves-this")
    async def text(msg: dict[str, Any]) -> None: ...

    async with small.worker(task_queues=[small.config.task_queue]):
        swarm = await small.swarm([text] * 33, config=SwarmConfig(max_concurrency=33))
        await swarm.start()
        handle = (await small.client()).get_workflow_handle(swarm.key)

        async def sent() -> list[int]:
            """How many calls each workflow task has sent."""
            calls: list[int] = []
            for event in (await handle.fetch_history()).events:
                if event.HasField("workflow_task_completed_event_attributes"):
                    calls.append(0)
                elif event.HasField("activity_task_scheduled_event_attributes"):
                    calls[-1] += 1
            return calls

        async def all_are_sent() -> bool:
            return sum(await sent()) == 33

        await eventually(all_are_sent, "all are on their way")
        assert await sent() == [20, 5, 5, 3]
        await handle.cancel()


async def test_results_that_are_hard_to_come_by_use_up_no_attempt(
    small: Mageflow, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, _ = texts(small, ledger)
    read, reads = pages.read, Counter[str]()

    async def hard(client: Client, ids: Sequence[str]) -> Any:
        reads["tries"] += 1
        if reads["tries"] == 1:
            raise RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b"")
        await asyncio.sleep(1.5)  # longer than the heartbeat timeout
        return await read(client, ids)

    @small.task(name="count", heartbeat_timeout=timedelta(seconds=1), at_most_once=True)
    async def count(msg: dict[str, Any]) -> tuple[int, int]:
        return len(msg["mageflow_results"]), mageflow.current_task().attempt

    monkeypatch.setattr(pages, "read", hard)
    async with small.worker():
        swarm = await small.swarm([await small.sign(text, number=n, size=30) for n in range(20)], is_swarm_closed=True)
        assert await (await small.chain([swarm, count])).run(timeout=LONG) == (20, 1)
    assert reads["tries"] == 2


async def test_a_map_of_what_is_in_pages_fails_and_says_why(small: Mageflow, ledger: Ledger) -> None:
    text, _ = texts(small, ledger)

    @small.task(name="each")
    async def each(msg: dict[str, Any]) -> None: ...

    async with small.worker():
        swarm = await small.swarm([await small.sign(text, number=n, size=30) for n in range(20)], is_swarm_closed=True)
        chain = await small.chain([swarm, await small.map(each)])
        with pytest.raises(mageflow.PayloadTooLargeError, match="the list for the map"):
            await chain.run(timeout=LONG)


async def test_results_of_items_whose_callbacks_go_on_are_not_lost(mf: Mageflow, ledger: Ledger) -> None:
    text, _ = texts(mf, ledger)
    gate = asyncio.Event()

    @mf.task(name="after")
    async def after(msg: dict[str, Any]) -> None:
        await ledger.work("after", gate)

    async with mf.worker():
        items = [await mf.sign(text, number=n, size=900 * KIB, success_callbacks=[after]) for n in range(4)]
        swarm = await mf.swarm(items, is_swarm_closed=True)
        await swarm.start()
        await ledger.has_begun("after", 4)
        gate.set()
        assert [len(text) for text in await swarm.result(timeout=LONG)] == [900 * KIB] * 4


async def test_the_results_of_a_running_swarm_fit_their_types_or_stay_as_they_are(mf: Mageflow) -> None:
    @mf.task(name="first")
    async def first() -> Size:
        return Size(number=1)

    @mf.task(name="second")
    async def second() -> list[str]:
        return ["two"]

    async with mf.worker():
        swarm = await mf.swarm([first])
        await swarm.start()
        await swarm.add(second)
        await swarm.close()
        assert await swarm.result(timeout=LONG) == [Size(number=1), ["two"]]
