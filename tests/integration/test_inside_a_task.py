"""Tasks that make and start signatures: each once, however often their own code runs."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, ReturnValue, SwarmConfig
from tests.integration.stubborn import Stubborn
from tests.support import Ledger, eventually, reaches

LONG = 60.0


class Number(BaseModel):
    n: int


class Element(BaseModel):
    n: ReturnValue[int]


class Square(BaseModel):
    of: int
    value: int


def square_task(mf: Mageflow, ledger: Ledger, gate: asyncio.Event | None = None) -> Any:
    @mf.task(name="square")
    async def square(msg: Number) -> Square:
        await ledger.work(f"square {msg.n}", gate)
        return Square(of=msg.n, value=msg.n**2)

    return square


async def keys_of(mf: Mageflow, name: str) -> list[str]:
    """Return the keys of all signatures of a name that were ever started on the app's queue."""
    client = await mf.client()
    query = f"TaskQueue = '{mf.config.task_queue}' AND MageflowName = '{name}'"
    return sorted([execution.id async for execution in client.list_workflows(query)])


async def has_keys(mf: Mageflow, name: str, count: int) -> list[str]:
    """Wait until visibility, which lags, shows as many signatures, and return their keys."""
    await eventually(lambda: _at_least(mf, name, count), f"{count} signatures {name}")
    return await keys_of(mf, name)


async def _at_least(mf: Mageflow, name: str, count: int) -> bool:
    return len(await keys_of(mf, name)) >= count


# Once, however often the code runs.


async def test_a_child_is_started_once_by_a_task_that_fails_and_is_retried(mf: Mageflow, ledger: Ledger) -> None:
    square = square_task(mf, ledger)
    keys: list[str] = []

    @mf.task(name="parent", retries=2, backoff_max_seconds=0.01)
    async def parent() -> int:
        child = await mf.sign(square, n=3)
        await child.start()
        keys.append(child.key)
        result = await child.result()
        if mageflow.current_task().attempt < 3:
            raise ValueError("on purpose")
        return result.value

    async with mf.worker():
        assert await (await mf.sign(parent)).run(timeout=LONG) == 9
        assert len(keys) == 3
        assert len(set(keys)) == 1
        assert ledger.begun["square 3"] == 1
        assert await has_keys(mf, "square", 1) == keys[:1]


async def test_a_child_is_started_once_by_a_task_that_is_interrupted_and_resumed(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    square = square_task(mf, ledger)

    @mf.task(name="parent")
    async def parent() -> int:
        child = await (await mf.sign(square)).start({"n": 4})
        await ledger.work("parent", gate)
        return (await child.result()).value

    async with mf.worker():
        signature = await mf.chain([parent, parent])
        await signature.start()
        await ledger.has_begun("parent")
        await signature.interrupt()
        await signature.resume()
        gate.set()
        assert await signature.result(timeout=LONG) == 16
        assert len(await has_keys(mf, "square", 2)) == 2, "one of each step: they are two tasks"
    assert ledger.begun["parent"] == 3
    assert ledger.begun["square 4"] == 2


async def test_a_child_is_started_once_by_a_task_whose_worker_is_killed(server: EmbeddedServer, tmp_path: Path) -> None:
    stubborn = Stubborn(server, tmp_path, f"test-{uuid.uuid4().hex[:8]}")
    async with stubborn.mf.worker():
        async with stubborn.worker() as first:
            signature = await stubborn.start("spawn", queue=stubborn.queue)
            [spawned] = await stubborn.diary.has("spawned")
            first.kill()
            await first.wait()
        async with stubborn.worker():
            assert await signature.result(timeout=LONG) == "child has ended"
    [entry, again] = stubborn.diary.read("spawned")
    assert entry["pid"] != again["pid"]
    assert spawned["key"] == entry["key"] == again["key"]
    assert len(stubborn.diary.read("child")) == 1


async def test_children_of_one_name_are_different_and_each_is_the_same_in_the_next_attempt(
    mf: Mageflow, ledger: Ledger
) -> None:
    square = square_task(mf, ledger)
    runs: list[list[str]] = []

    @mf.task(name="parent", retries=1, backoff_max_seconds=0.01)
    async def parent() -> list[int]:
        children = [await mf.sign(square, n=n) for n in range(3)]
        chain = await mf.chain([square, square], name="pair", n=7)
        swarm = await mf.swarm([square, square], name="square", n=8, is_swarm_closed=True)
        every = [*children, chain, swarm]
        runs.append([each.key for each in every])
        results = await asyncio.gather(*(child.run() for child in every))
        if len(runs) == 1:
            raise ValueError("on purpose")
        return [result.value for result in results[:3]]

    async with mf.worker():
        one, other = await mf.sign(parent), await mf.sign(parent)
        assert await one.run(timeout=LONG) == [0, 1, 4]
        assert runs[0] == runs[1]
        assert len(set(runs[0])) == 5
        assert ledger.begun == {"square 0": 1, "square 1": 1, "square 2": 1, "square 7": 2, "square 8": 2}
        await other.run(timeout=LONG)
        assert not set(runs[2]) & set(runs[0]), "another signature's task has children of its own"


async def test_a_new_signature_of_an_old_key_has_children_of_its_own(mf: Mageflow, ledger: Ledger) -> None:
    square = square_task(mf, ledger)

    @mf.task(name="parent")
    async def parent() -> str:
        child = await mf.sign(square, n=1)
        await child.run()
        return child.key

    async with mf.worker():
        first = await (await mf.sign(parent)).start(id=f"nightly-{mf.config.task_queue}")
        child = await first.result(timeout=LONG)
        client = await mf.client()
        begun = (await client.get_workflow_handle(first.key).fetch_history()).events[0]
        order = begun.workflow_execution_started_event_attributes.input
        [given] = await client.data_converter.decode(order.payloads)
        again = await client.start_workflow(
            "mageflow.task", given, id=first.key, task_queue=mf.config.task_queue, result_type=str
        )
        assert await again.result() != child
    assert ledger.begun["square 1"] == 2


async def test_items_are_added_to_a_swarm_once_by_a_task_that_is_retried(mf: Mageflow, ledger: Ledger) -> None:
    square = square_task(mf, ledger)

    @mf.task(name="feeder", retries=2, backoff_max_seconds=0.01)
    async def feeder(msg: dict[str, str]) -> int:
        shared = await mf.load_signature(msg["swarm"])
        own = await mf.swarm(name="own")
        for swarm in (shared, own):
            await swarm.add(square, {"n": 1})  # type: ignore[union-attr]
            await swarm.add(square, {"n": 1})  # type: ignore[union-attr]
            await swarm.add_many([square, square], [{"n": 2}, {"n": 3}])  # type: ignore[union-attr]
        if mageflow.current_task().attempt == 1:
            raise ValueError("on purpose, with its swarm open")
        await own.close()
        results = await own.result()
        if mageflow.current_task().attempt == 2:
            raise ValueError("on purpose, with its swarm ended")
        return len(results)

    async with mf.worker():
        swarm = await mf.swarm(config=SwarmConfig(max_task_allowed=100))
        await swarm.start()
        assert await (await mf.sign(feeder)).run({"swarm": swarm.key}, timeout=LONG) == 4
        await swarm.close()
        assert len(await swarm.result(timeout=LONG)) == 4
    assert ledger.begun == {"square 1": 4, "square 2": 2, "square 3": 2}


async def test_run_returns_the_childs_typed_result_and_raises_its_failure(mf: Mageflow, ledger: Ledger) -> None:
    square = square_task(mf, ledger)

    @mf.task(name="square each")
    async def square_each(msg: Element) -> Square:
        return Square(of=msg.n, value=msg.n**2)

    @mf.task(name="broken")
    async def broken() -> None:
        raise ValueError("on purpose")

    @mf.task(name="parent")
    async def parent() -> list[Any]:
        one = await (await mf.sign(square)).run(Number(n=2))
        assert isinstance(one, Square)
        many = await (await mf.map(square_each, [3, 4])).run()
        assert all(isinstance(each, Square) for each in many)
        try:
            await (await mf.sign(broken)).run()
        except mageflow.TaskFailedError as error:
            return [one.value, len(many), error.type]
        return []

    async with mf.worker():
        assert await (await mf.sign(parent)).run(timeout=LONG) == [4, 2, "ValueError"]


async def test_many_children_run_side_by_side(mf: Mageflow, ledger: Ledger) -> None:
    square = square_task(mf, ledger)

    @mf.task(name="parent")
    async def parent() -> int:
        children = [await mf.sign(square, n=n) for n in range(60)]
        results = await asyncio.gather(*(child.run() for child in children))
        return sum(result.value for result in results)

    async with mf.worker():
        assert await (await mf.sign(parent)).run(timeout=LONG) == sum(n**2 for n in range(60))


async def test_outside_a_task_each_signature_is_new(mf: Mageflow, ledger: Ledger) -> None:
    square = square_task(mf, ledger)
    first, second = await mf.sign(square, n=1), await mf.sign(square, n=1)
    assert first.key != second.key
    with pytest.raises(mageflow.NotInTaskError, match=r"start\(tied=True\) works inside a task's own code"):
        await first.start(tied=True)


async def test_a_task_in_a_thread_is_told_that_it_cannot_make_signatures(mf: Mageflow, ledger: Ledger) -> None:
    square = square_task(mf, ledger)

    @mf.task(name="parent")
    def parent() -> None:
        asyncio.run(mf.sign(square))

    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError, match="runs in a thread, where no signatures are made") as caught:
            await (await mf.sign(parent)).run(timeout=LONG)
    assert caught.value.type == "NotAnAsyncTaskError"


# Tied or free.


class Family:
    """A task with a tied child and a free one, each a chain of one step that waits and one that comes after."""

    def __init__(self, mf: Mageflow, ledger: Ledger) -> None:
        self.mf, self.ledger = mf, ledger
        self.gate, self.parent_gate = asyncio.Event(), asyncio.Event()
        self.keys: dict[str, str] = {}

        @mf.task(name="step")
        async def step(msg: dict[str, Any]) -> str:
            return await ledger.work(f"step of {msg['who']}", self.gate)

        @mf.task(name="after")
        async def after(msg: dict[str, Any]) -> str:
            return await ledger.work(f"after {msg['who']}")

        @mf.task(name="parent")
        async def parent() -> str:
            for who in ("tied", "free"):
                child = await mf.chain([step, after], name=who, who=who)
                await child.start(tied=who == "tied")
                self.keys[who] = child.key
            await ledger.work("parent", self.parent_gate)
            return "parent"

        self.parent = parent

    async def begin(self, shape: str) -> Any:
        signature = await self.mf.sign(self.parent)
        if shape == "step":
            signature = await self.mf.chain([await self.mf.swarm([self.parent]), "after"], who="the rest")
        await signature.start()
        await self.ledger.has_begun("parent")
        for who in ("tied", "free"):
            await self.ledger.has_begun(f"step of {who}")
        return signature

    async def child(self, who: str) -> Any:
        return await self.mf.load_signature(self.keys[who])


@pytest.mark.parametrize("shape", ["task", "step"])
async def test_an_interrupt_and_a_resume_of_a_task_reach_its_tied_child_and_leave_the_free_one(
    mf: Mageflow, ledger: Ledger, shape: str
) -> None:
    family = Family(mf, ledger)
    async with mf.worker():
        signature = await family.begin(shape)
        await signature.interrupt("lunch")
        tied = await family.child("tied")
        report = await reaches(tied, "interrupted")
        assert report.reason == "lunch"
        await eventually(lambda: ledger.cancelled["step of tied"], "its code was stopped")
        assert ledger.cancelled["step of free"] == 0
        assert (await (await family.child("free")).status()).status == "active"
        await signature.resume()
        await reaches(tied, "active")
        await ledger.has_begun("parent", 2)
        family.gate.set()
        family.parent_gate.set()
        await signature.result(timeout=LONG)
        assert await tied.result(timeout=LONG) == "after tied"
        assert await (await family.child("free")).result(timeout=LONG) == "after free"
    assert (ledger.begun["step of tied"], ledger.begun["step of free"]) == (2, 1)


async def test_a_suspend_of_a_chain_reaches_what_is_tied_to_its_running_step(mf: Mageflow, ledger: Ledger) -> None:
    family = Family(mf, ledger)
    async with mf.worker():
        signature = await family.begin("step")
        report = await signature.suspend()
        assert report.draining == [f"{signature.key}#0.0"]
        tied, free = await family.child("tied"), await family.child("free")
        await reaches(tied, "suspended")
        family.gate.set()
        assert await free.result(timeout=LONG) == "after free"
        await reaches(tied, "done", "0")
        assert ledger.begun["after tied"] == 0
        family.parent_gate.set()
        await reaches(signature, "done", "0.0")
        assert (await tied.status()).status == "suspended", (
            "the step has ended, and what it tied to itself is still its"
        )
        await signature.resume()
        assert await tied.result(timeout=LONG) == "after tied"
        await signature.result(timeout=LONG)


async def test_a_suspend_that_is_refused_reaches_nothing(mf: Mageflow, ledger: Ledger) -> None:
    family = Family(mf, ledger)
    async with mf.worker():
        signature = await family.begin("task")
        with pytest.raises(mageflow.TaskAlreadyRunningError):
            await signature.suspend()
        family.gate.set()
        assert await (await family.child("tied")).result(timeout=LONG) == "after tied"
        family.parent_gate.set()
        await signature.result(timeout=LONG)


async def test_a_hold_of_another_member_reaches_nothing_and_an_outer_resume_leaves_an_inner_hold(
    mf: Mageflow, ledger: Ledger
) -> None:
    family = Family(mf, ledger)

    @mf.task(name="other")
    async def other() -> None:
        await ledger.work("other", family.parent_gate)

    async with mf.worker():
        signature = await mf.swarm([family.parent, other], is_swarm_closed=True)
        await signature.start()
        await ledger.has_begun("step of tied")
        await ledger.has_begun("other")
        tied = await family.child("tied")
        await mf.interrupt(f"{signature.key}#1")
        assert (await tied.status()).status == "active"
        await mf.interrupt(f"{signature.key}#0")
        await reaches(tied, "interrupted")
        await signature.suspend()
        await signature.resume()
        await mf.resume(f"{signature.key}#1")
        family.gate.set()
        family.parent_gate.set()
        await reaches(signature, "done", "1")
        assert (await tied.status()).status == "interrupted"
        await mf.resume(f"{signature.key}#0")
        assert await tied.result(timeout=LONG) == "after tied"
        await signature.result(timeout=LONG)


@pytest.mark.parametrize("shape", ["task", "step"])
async def test_a_cancel_of_a_task_cancels_its_tied_child_and_leaves_the_free_one(
    mf: Mageflow, ledger: Ledger, shape: str
) -> None:
    family = Family(mf, ledger)
    async with mf.worker():
        signature = await family.begin(shape)
        await (await mf.client()).get_workflow_handle(signature.key).cancel()
        with pytest.raises(mageflow.SignatureCanceledError):
            await signature.result(timeout=LONG)
        with pytest.raises(mageflow.SignatureCanceledError):
            await (await family.child("tied")).result(timeout=LONG)
        family.gate.set()
        assert await (await family.child("free")).result(timeout=LONG) == "after free"


async def test_a_child_that_a_draining_task_runs_begins_held(mf: Mageflow, ledger: Ledger) -> None:
    gate, started = asyncio.Event(), asyncio.Event()
    square = square_task(mf, ledger)
    keys: list[str] = []

    @mf.task(name="parent")
    async def parent() -> int:
        await ledger.work("parent", gate)
        child = await mf.sign(square, n=5)
        keys.append(child.key)
        running = asyncio.create_task(child.run())
        started.set()
        return (await running).value

    async with mf.worker():
        signature = await mf.chain([parent, square], n=6)
        await signature.start()
        await ledger.has_begun("parent")
        await signature.suspend("maintenance")
        gate.set()
        await started.wait()

        async def child_is_held() -> Any:
            child = await mf.load_signature(keys[0])
            return child if child and (await child.status()).status == "suspended" else None

        child = await eventually(child_is_held, "the child is there, and held")
        assert (await child.status()).reason == "maintenance"
        assert ledger.begun["square 5"] == 0
        await signature.resume()
        await signature.result(timeout=LONG)
    assert (ledger.begun["square 5"], ledger.begun["square 6"]) == (1, 1)


async def test_a_hold_reaches_a_child_whose_start_was_still_on_its_way(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    square = square_task(mf, ledger, gate)

    @mf.task(name="parent")
    async def parent() -> None:
        await ledger.work("parent", gate)

    async with mf.worker():
        signature = await (await mf.sign(parent)).start()
        await ledger.has_begun("parent")
        child = await mf.sign(square, n=1)
        control = await mf.control()
        await control.tie(child.key, mageflow_key(signature.key), ())
        await signature.interrupt()
        await child.start()
        await reaches(child, "interrupted")
        await signature.resume()
        gate.set()
        assert (await child.result(timeout=LONG)).value == 1
        await signature.result(timeout=LONG)


def mageflow_key(key: str) -> Any:
    from mageflow_temporal.key import Key

    return Key.parse(key)


async def test_verbs_are_not_kept_waiting_by_children_that_have_ended(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    square = square_task(mf, ledger)

    @mf.task(name="parent")
    async def parent() -> None:
        for n in range(3):
            await (await mf.sign(square, n=n)).run()
        tied = await mf.sign(square, n=3)
        await tied.start(tied=True)
        await tied.result()
        await ledger.work("parent", gate)

    async with mf.worker():
        signature = await (await mf.sign(parent)).start()
        await ledger.has_begun("parent")
        assert (await signature.interrupt()).status == "interrupted"
        assert (await signature.resume()).status == "active"
        gate.set()
        await signature.result(timeout=LONG)
    assert all(ledger.begun[f"square {n}"] == 1 for n in range(4))


# Begun anew.


async def test_a_task_that_is_run_again_with_corrected_kwargs_has_other_children(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    square = square_task(mf, ledger)

    @mf.task(name="parent")
    async def parent(msg: Number) -> int:
        result = await (await mf.sign(square, n=msg.n)).run()
        await ledger.work("parent", gate)
        return result.value

    async with mf.worker():
        signature = await (await mf.sign(parent)).start({"n": 2})
        await ledger.has_begun("parent")
        await signature.interrupt()
        gate.set()
        await signature.resume(kwargs={"n": 3})
        assert await signature.result(timeout=LONG) == 9
    assert ledger.begun == {"square 2": 1, "square 3": 1, "parent": 2}


@pytest.mark.parametrize("how", ["held", "retry_failed"])
async def test_a_task_that_begins_anew_after_its_child_has_failed_begins_its_child_anew(
    mf: Mageflow, ledger: Ledger, how: str
) -> None:
    @mf.task(name="broken")
    async def broken() -> str:
        ledger.begun["broken"] += 1
        if ledger.begun["broken"] == 1:
            raise ValueError("until it is mended")
        return "mended"

    @mf.task(name="parent", retries=1, backoff_max_seconds=0.01)
    async def parent() -> str:
        ledger.begun["parent"] += 1
        return await (await mf.sign(broken)).run()

    async with mf.worker():
        if how == "held":
            signature = await mf.chain([parent, parent], on_failure="suspend")
            await signature.start()
            await reaches(signature, "suspended")
            assert (ledger.begun["parent"], ledger.begun["broken"]) == (2, 1), "a retry comes to the same child"
            await signature.resume()
            assert await signature.result(timeout=LONG) == "mended"
        else:
            swarm = await mf.swarm([parent])
            await swarm.start()
            await reaches(swarm, "failed", "0")
            await swarm.retry_failed()
            await swarm.close()
            assert await swarm.result(timeout=LONG) == ["mended"]


async def test_a_skip_cancels_what_is_tied_to_the_task(mf: Mageflow, ledger: Ledger) -> None:
    family = Family(mf, ledger)
    async with mf.worker():
        signature = await family.begin("step")
        await mf.interrupt(f"{signature.key}#0.0")
        await reaches(await family.child("tied"), "interrupted")
        member = await mf.load_signature(f"{signature.key}#0.0")
        assert member is not None
        await member.skip("not needed")
        with pytest.raises(mageflow.SignatureCanceledError):
            await (await family.child("tied")).result(timeout=LONG)
        family.gate.set()
        assert await (await family.child("free")).result(timeout=LONG) == "after free"
        await signature.result(timeout=LONG)


@pytest.mark.parametrize("stopped_by", ["interrupt", "failure"])
async def test_what_a_task_started_before_it_was_corrected_does_not_go_on_beside_what_it_starts_then(
    mf: Mageflow, ledger: Ledger, stopped_by: str
) -> None:
    gate, failing = asyncio.Event(), asyncio.Event()

    @mf.task(name="pay")
    async def pay(msg: dict[str, str]) -> str:
        return await ledger.work(f"pay {msg['to']}", None if msg["to"] == "right" else gate)

    @mf.task(name="order")
    async def order(msg: dict[str, str]) -> str:
        payment = await mf.sign(pay, to=msg["to"])
        if msg["to"] == "wrong" and stopped_by == "failure":
            await payment.start(tied=True)
            await failing.wait()
            raise ValueError
        return await payment.run()

    async with mf.worker():
        whole = await mf.sign(order, on_failure="suspend", to="wrong")
        await whole.start()
        await ledger.has_begun("pay wrong")
        if stopped_by == "interrupt":
            await whole.interrupt()
        else:
            failing.set()
            await reaches(whole, "suspended")
        [key] = await has_keys(mf, "pay", 1)
        await whole.resume({"to": "right"})
        assert await whole.result(timeout=LONG) == "pay right"
        gate.set()
        abandoned = await mf.load_signature(key)
        assert isinstance(abandoned, mageflow.LoadedSignature)
        with pytest.raises(mageflow.SignatureCanceledError):
            await abandoned.result(timeout=LONG)
    assert ledger.ended["pay wrong"] == 0


async def test_a_correction_that_is_none_of_the_tasks_own_leaves_what_it_started(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    square = square_task(mf, ledger, gate)

    @mf.task(name="sum")
    async def sum_(msg: Number) -> int:
        return (await (await mf.sign(square)).run(Number(n=msg.n))).value

    async with mf.worker():
        whole = await mf.chain([await mf.sign(sum_, n=3), await mf.sign(sum_, n=4)])
        await whole.start()
        await ledger.has_begun("square 3")
        await whole.interrupt()
        await mf.resume(f"{whole.key}#1", {"n": 5})
        gate.set()
        await whole.resume()
        assert await whole.result(timeout=LONG) == 25
    assert len(await has_keys(mf, "square", 2)) == 2
