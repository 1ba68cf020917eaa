"""Every call of a client outlasts a restart of the server and lost connections, and leaves the work to itself."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, Member
from mageflow_temporal import server as embedded_server
from tests.support import DEADLINE, Ledger, Wire, eventually, reaches

Calls = dict[str, Callable[[], Awaitable[Any]]]
DAY = timedelta(days=1)


def define(mf: Mageflow, ledger: Ledger, gate: asyncio.Event) -> None:
    @mf.task(name="ok")
    async def ok() -> str:
        return "ok"

    @mf.task(name="bad")
    async def bad() -> None:
        raise ValueError("no")

    @mf.task(name="hold")
    async def hold() -> str:
        return await ledger.work("hold", gate)


async def calls_of(mf: Mageflow, away: Mageflow) -> Calls:
    """Return every call of a client that is `away`, each on a signature of its own that `mf` has made ready."""
    chain = {name: await mf.chain(["hold", "ok"]) for name in ("look", "suspend", "interrupt", "resume", "skip", "end")}
    for one in (*chain.values(), gone := await mf.chain(["hold", "ok"])):
        await one.start()
    await chain["resume"].suspend()
    swarm = {name: await mf.swarm(["hold", "bad"]) for name in ("add", "add_many", "close", "configure", "retry")}
    for one in swarm.values():
        await one.start()
    waiting = await mf.sign("ok")
    await waiting.suspend()
    failed = await mf.swarm(["bad"])
    await failed.run()
    scheduled = {name: f"{mf.config.task_queue}-{name}" for name in ("new", "kept", "deleted")}
    for name in ("kept", "deleted"):
        await (await mf.sign("ok")).schedule(scheduled[name], every=DAY)
    loaded: dict[str, Any] = {one.key: await away.load_signature(one.key) for one in (*chain.values(), gone, waiting)}
    far: dict[str, Any] = {name: await away.load_signature(one.key) for name, one in swarm.items()}
    ended: Any = await away.load_signature(failed.key)
    kept = mageflow.Schedule(away, scheduled["kept"])
    drafts = [await away.sign("ok") for _ in range(4)]
    return {
        "start": drafts[0].start,
        "run": lambda: drafts[1].run(timeout=DEADLINE),
        "suspend before the start": drafts[2].suspend,
        "start after a suspend": loaded[waiting.key].start,
        "status": loaded[chain["look"].key].status,
        "suspend": loaded[chain["suspend"].key].suspend,
        "interrupt": loaded[chain["interrupt"].key].interrupt,
        "resume": loaded[chain["resume"].key].resume,
        "skip": Member(away, f"{chain['skip'].key}#1").skip,
        "result": lambda: loaded[chain["end"].key].result(timeout=DEADLINE),
        "remove": loaded[gone.key].remove,
        "load_signature": lambda: away.load_signature(chain["look"].key),
        "load_signature of a member": lambda: away.load_signature(f"{chain['look'].key}#1"),
        "add": lambda: far["add"].add("ok"),
        "add_many": lambda: far["add_many"].add_many(["ok", "ok"]),
        "close": far["close"].close,
        "configure": lambda: far["configure"].configure(max_concurrency=3),
        "outcomes": far["configure"].outcomes,
        "retry_failed": far["retry"].retry_failed,
        "retry_failed of what has ended": ended.retry_failed,
        "schedule": lambda: drafts[3].schedule(scheduled["new"], every=DAY),
        "describe a schedule": kept.describe,
        "pause a schedule": kept.pause,
        "delete a schedule": mageflow.Schedule(away, scheduled["deleted"]).delete,
        "schedules": away.schedules,
    }


async def outcome_of(call: Callable[[], Awaitable[Any]]) -> BaseException | None:
    try:
        await call()
    except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it with the call's name
        return error
    return None


@pytest.mark.parametrize("when", ["it goes down under the calls", "the calls find it down"])
async def test_every_call_outlasts_a_restart_of_the_server_of_some_seconds(
    tmp_path: Path, ledger: Ledger, when: str
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    gate, database = asyncio.Event(), tmp_path / "temporal.db"
    mf = Mageflow(f"127.0.0.1:{port}", config=MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}"))
    define(mf, ledger, gate)
    first = embedded_server.run(database=database, port=port, ui=False)
    await first.__aenter__()
    async with mf.worker(shutdown_grace=timedelta(0)):
        calls = await calls_of(mf, mf)
        if when == "the calls find it down":
            await first.__aexit__(None, None, None)
        under_way = {name: asyncio.create_task(outcome_of(call)) for name, call in calls.items()}
        await asyncio.sleep(0)
        if when == "it goes down under the calls":
            await first.__aexit__(None, None, None)
        await asyncio.sleep(3)  # this is the fault, not a wait for anything
        async with embedded_server.run(database=database, port=port, ui=False):
            # The server's own worker, which answers for schedules, has yet to start.
            await asyncio.wait(set(under_way.values()) - {under_way["result"]}, timeout=DEADLINE)
            gate.set()
            went_wrong = {name: error for name, task in under_way.items() if (error := await task)}
            assert went_wrong == {}
            key = mf.config.task_queue
            assert {schedule.id for schedule in await mf.schedules()} >= {f"{key}-new", f"{key}-kept"}


@pytest.fixture
async def wire(server: EmbeddedServer) -> AsyncIterator[Wire]:
    async with Wire(server.target) as wire:
        yield wire


@pytest.fixture
async def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def away(mf: Mageflow, wire: Wire, ledger: Ledger, gate: asyncio.Event) -> Mageflow:
    """The same app in another place: what it says goes over the wire."""
    app = Mageflow(wire.address, config=mf.config)
    define(mf, ledger, gate)
    define(app, ledger, gate)
    return app


async def test_every_call_outlasts_connections_that_are_cut_again_and_again(
    mf: Mageflow, away: Mageflow, wire: Wire, gate: asyncio.Event
) -> None:
    async def cut() -> None:
        pause = 0.05
        while True:
            await asyncio.sleep(pause)
            wire.cut()
            pause *= 1.1  # on a busy machine no call fits between two of the first

    async with mf.worker(shutdown_grace=timedelta(0)):
        calls = await calls_of(mf, away)
        cutting = asyncio.create_task(cut())
        try:
            under_way = {name: asyncio.create_task(outcome_of(call)) for name, call in calls.items()}
            await asyncio.wait(set(under_way.values()) - {under_way["result"]}, timeout=DEADLINE)
            gate.set()
            assert {name: error for name, task in under_way.items() if (error := await task)} == {}
        finally:
            cutting.cancel()


async def test_a_call_that_gets_no_answer_ends_with_its_timeout_and_takes_effect_when_it_arrives(
    mf: Mageflow, away: Mageflow, wire: Wire, gate: asyncio.Event
) -> None:
    async with mf.worker(shutdown_grace=timedelta(0)):
        chain, swarm, fresh = await mf.chain(["hold", "ok"]), await mf.swarm(["hold"]), await away.sign("ok")
        held = await mf.sign("ok")
        await held.suspend()
        await chain.start()
        await swarm.start()
        loaded: Any = await away.load_signature(chain.key)
        items: Any = await away.load_signature(swarm.key)
        late: Any = await away.load_signature(held.key)
        wire.fall_silent()
        for call in (
            lambda: loaded.suspend(timeout=0.1),
            lambda: loaded.interrupt(timeout=timedelta(seconds=0.1)),
            lambda: loaded.resume(timeout=0.1),
            lambda: Member(away, f"{chain.key}#1").skip(timeout=0.1),
            lambda: late.start(timeout=0.1),
            lambda: fresh.start(timeout=0.1),
            lambda: items.add("ok", id="once", timeout=0.1),
            lambda: items.add_many(["ok"], id="once", timeout=0.1),
            lambda: items.configure(max_concurrency=2, timeout=0.1),
            lambda: items.retry_failed(timeout=0.1),
            lambda: items.close(timeout=0.1),
            lambda: loaded.remove(timeout=0.1),
            lambda: away.suspend(chain.key, timeout=0.1),
        ):
            began = time.monotonic()
            with pytest.raises(mageflow.CallTimeoutError, match=r"was not answered within 0\.1 s") as caught:
                await call()
            assert isinstance(caught.value, TimeoutError)
            assert time.monotonic() - began < 2
        with pytest.raises(mageflow.ResultTimeoutError) as unseen:
            await loaded.result(timeout=0.1)
        assert unseen.value.status == "out of sight"
        wire.speak_again()
        await fresh.start()
        assert await fresh.result(timeout=DEADLINE) == "ok", "it was started once, whether or not the first call came"
        await swarm.add("ok", id="once")
        assert (await swarm.status()).counts.total == 2, "so was the item added"
        gate.set()
        for one in (chain, swarm, held):
            await one.remove(timeout=DEADLINE)


async def test_a_caller_who_is_cancelled_leaves_the_work_as_it_is(
    mf: Mageflow, away: Mageflow, ledger: Ledger, gate: asyncio.Event
) -> None:
    async with mf.worker(shutdown_grace=timedelta(0)):
        draft = await away.chain(["hold", "ok"])
        running = asyncio.create_task(draft.run())
        await ledger.has_begun("hold")
        for waiting in (running, asyncio.create_task(draft.result()), asyncio.create_task(draft.result(timeout=9))):
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert (await draft.status()).status == "active"
        gate.set()
        assert await draft.result(timeout=DEADLINE) == "ok"
    assert ledger.cancelled.total() == 0


async def test_a_cancelled_suspend_is_carried_out_when_a_worker_comes(mf: Mageflow, away: Mageflow) -> None:
    signature = await (await away.sign("ok")).start()
    suspending = asyncio.create_task(signature.suspend())
    await asyncio.sleep(0.2)
    suspending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await suspending
    async with mf.worker():
        await eventually(lambda: _has_been_told(signature), "the suspend has been carried out or has come too late")


async def _has_been_told(signature: Any) -> bool:
    report = await signature.status()
    return report.status == "suspended" or report.status == "done"


async def test_a_repeated_call_does_nothing_a_second_time(
    mf: Mageflow, away: Mageflow, ledger: Ledger, gate: asyncio.Event
) -> None:
    key = f"{mf.config.task_queue}-once"
    async with mf.worker(shutdown_grace=timedelta(0)):
        for app in (mf, away, mf):
            await (await app.chain(["hold", "ok"])).start(id=key)
        await ledger.has_begun("hold")
        for verb, status in (("suspend", "suspended"), ("interrupt", "interrupted"), ("resume", "active")):
            for app in (mf, away):
                assert (await getattr(app, verb)(key)).status == status
        gate.set()
        loaded: Any = await away.load_signature(key)
        assert await loaded.result(timeout=DEADLINE) == "ok"
        swarm = await mf.swarm(["ok"])
        await swarm.start()
        for _ in range(2):
            await swarm.add("ok", id="same")
            await swarm.configure(max_concurrency=2)
        await swarm.close()
        assert await swarm.result(timeout=DEADLINE) == ["ok", "ok"]
        await swarm.remove()
        await reaches(loaded, "done")
