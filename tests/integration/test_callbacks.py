"""Callbacks: what begins when a signature has ended, and that it obeys the lifecycle like everything else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import ErrorValue, Mageflow, ReturnValue, SwarmConfig
from tests.support import Ledger, eventually, reaches


class Told(BaseModel):
    result: ReturnValue[Any] = None
    note: str = ""


class Failure(BaseModel):
    name: str = ""
    note: str = ""
    error: ErrorValue


class Called:
    """What callbacks were called with, in order."""

    def __init__(self, mf: Mageflow) -> None:
        self.calls: list[tuple[str, Any]] = []

        @mf.task(name="told")
        async def told(msg: Told) -> str:
            self.calls.append((msg.note, msg.result))
            return f"told {msg.note}"

        @mf.task(name="failed")
        async def failed(msg: Failure) -> None:
            self.calls.append((msg.note, (msg.name, msg.error.type, msg.error.message, msg.error.attempt)))

        @mf.task(name="raw")
        async def raw(msg: dict[str, Any]) -> None:
            self.calls.append(("raw", msg))

        self.told, self.failed, self.raw = told, failed, raw


def define(mf: Mageflow, ledger: Ledger, gate: asyncio.Event | None = None) -> tuple[Any, Any]:
    @mf.task(name="good")
    async def good(msg: dict[str, Any]) -> str:
        return await ledger.work("good", gate)

    @mf.task(name="bad", retries=1, backoff_max_seconds=0.01)
    async def bad(msg: dict[str, Any]) -> None:
        ledger.begun["bad"] += 1
        raise ValueError("broken")

    return good, bad


@pytest.mark.parametrize("kind", ["task", "chain", "swarm"])
async def test_success_callbacks_get_the_result_and_their_own_kwargs(mf: Mageflow, ledger: Ledger, kind: str) -> None:
    good, _ = define(mf, ledger)
    called = Called(mf)
    callbacks = [await mf.sign(called.told, note="first"), await mf.sign(called.told, note="second")]
    signature: Any = {
        "task": lambda: mf.sign(good, success_callbacks=callbacks, note="not the callbacks' business"),
        "chain": lambda: mf.chain([good, good], success=callbacks[0], success_callbacks=callbacks[1:]),
        "swarm": lambda: mf.swarm([good, good], success_callbacks=callbacks),
    }[kind]
    signature = await signature()
    async with mf.worker():
        result = await signature.run({})
    assert sorted(called.calls) == [("first", result), ("second", result)]
    assert result == (["good", "good"] if kind == "swarm" else "good")


async def test_error_callbacks_get_the_failing_tasks_message_once_after_the_last_attempt(
    mf: Mageflow, ledger: Ledger
) -> None:
    _, bad = define(mf, ledger)
    called = Called(mf)
    async with mf.worker():
        signature = await mf.sign(
            bad, error_callbacks=[await mf.sign(called.failed, note="callback"), called.raw], name="bound to the task"
        )
        with pytest.raises(mageflow.TaskFailedError):
            await signature.run({"name": "from the message", "more": 1})
    assert ledger.begun["bad"] == 2
    assert ("callback", ("bound to the task", "ValueError", "broken", 2)) in called.calls
    assert ("raw", {"name": "bound to the task", "more": 1}) in called.calls, "an error only for who asks for it"
    assert len(called.calls) == 2


async def test_a_failing_step_calls_its_own_error_callbacks_and_then_the_chains(mf: Mageflow, ledger: Ledger) -> None:
    good, bad = define(mf, ledger)
    called = Called(mf)
    async with mf.worker():
        step = await mf.sign(bad, name="step", error_callbacks=[await mf.sign(called.failed, note="step's")])
        chain = await mf.chain([good, step, good], error=await mf.sign(called.failed, note="chain's"))
        with pytest.raises(mageflow.TaskFailedError):
            await chain.run({})
    facts = ("step", "ValueError", "broken", 2)
    assert called.calls == [("step's", facts), ("chain's", facts)]
    assert ledger.begun["good"] == 1


async def test_a_swarms_error_callbacks_run_once_at_the_threshold(mf: Mageflow, ledger: Ledger) -> None:
    _, bad = define(mf, ledger)
    called = Called(mf)
    async with mf.worker():
        swarm = await mf.swarm(
            [await mf.sign(bad, name=f"item {number}") for number in range(4)],
            config=SwarmConfig(max_concurrency=1, stop_after_n_failures=2),
            error_callbacks=[called.failed],
            success_callbacks=[called.told],
        )
        with pytest.raises(mageflow.SwarmFailedError):
            await swarm.run({})
    [(_, (name, type_, _, _))] = called.calls
    assert (name, type_) == ("item 0", "SwarmFailedError")


async def test_a_callback_may_be_a_container_and_have_callbacks_itself(mf: Mageflow, ledger: Ledger) -> None:
    good, _ = define(mf, ledger)
    called = Called(mf)
    async with mf.worker():
        deepest = await mf.sign(called.told, note="deepest")
        chain = await mf.chain(
            [await mf.sign(called.told, note="1"), await mf.sign(called.told, note="2")], success=deepest
        )
        signature = await mf.sign(good, success_callbacks=[chain, await mf.swarm([called.told, called.told])])
        assert await signature.run({}) == "good"
        report = await signature.status()
    assert sorted(called.calls) == [("", "good"), ("", "good"), ("1", "good"), ("2", "told 1"), ("deepest", "told 2")]
    assert [callback.status for callback in report.callbacks] == ["done", "done"]
    assert report.find("s0.s0").key == f"{signature.key}#s0.s0"


async def test_a_failing_callback_is_reported_and_changes_nothing(mf: Mageflow, ledger: Ledger) -> None:
    good, bad = define(mf, ledger)
    async with mf.worker():
        chain = await mf.chain([await mf.sign(good, success_callbacks=[bad]), good])
        assert await chain.run({}) == "good"
        report = await chain.status()
    assert report.status == "done"
    assert (report.find("0.s0").status, report.find("0.s0").error.type) == ("failed", "ValueError")


async def test_a_suspended_signature_holds_its_callbacks(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    good, _ = define(mf, ledger, gate)
    called = Called(mf)
    async with mf.worker():
        chain = await mf.chain([await mf.sign(called.told, note="step"), good], success=called.told)
        await chain.start({})
        await ledger.has_begun("good")
        await chain.suspend("hold it")
        gate.set()
        await reaches(chain, "done", "1")
        await (await mf.sign(called.told, note="canary")).run()
        assert called.calls == [("step", None), ("canary", None)]
        report = await chain.status()
        assert (report.status, report.callbacks[0].status) == ("suspended", "suspended")
        await chain.resume()
        assert await chain.result(timeout=20) == "good"
    assert called.calls == [("step", None), ("canary", None), ("", "good")]


async def test_a_callback_may_be_suspended_by_itself_before_it_starts(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    good, _ = define(mf, ledger, gate)
    called = Called(mf)
    async with mf.worker():
        callbacks = [await mf.sign(called.told, note="held"), await mf.sign(called.told, note="free")]
        signature = await mf.sign(good, success_callbacks=callbacks)
        await signature.start({})
        await ledger.has_begun("good")
        await mf.suspend(f"{signature.key}#s0")
        gate.set()
        await eventually(lambda: called.calls == [("free", "good")], "only the other one is called")
        assert (await signature.status()).status == "active", "it ends when its callbacks have"
        await mf.resume(f"{signature.key}#s0")
        assert await signature.result(timeout=20) == "good"
    assert called.calls == [("free", "good"), ("held", "good")]


async def test_an_interrupted_task_has_not_failed_and_calls_nobody(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    good, _ = define(mf, ledger, gate)
    called = Called(mf)
    async with mf.worker():
        signature = await mf.sign(good, success_callbacks=[called.told], error_callbacks=[called.raw])
        await signature.start({})
        await ledger.has_begun("good")
        await signature.interrupt()
        await (await mf.sign(called.told, note="canary")).run()
        assert called.calls == [("canary", None)]
        gate.set()
        await signature.resume()
        await signature.result(timeout=20)
    assert called.calls == [("canary", None), ("", "good")]


async def test_callbacks_of_a_step_that_never_began_are_canceled_with_it(mf: Mageflow, ledger: Ledger) -> None:
    good, bad = define(mf, ledger)
    async with mf.worker():
        never = await mf.sign(good, success_callbacks=[good], error_callbacks=[good])
        chain = await mf.chain([bad, never])
        with pytest.raises(mageflow.TaskFailedError):
            await chain.run({})
        step = (await chain.status()).find("1")
    assert step.status == "canceled"
    assert [callback.status for callback in step.callbacks] == ["canceled", "canceled"]


async def test_a_callback_that_waits_in_its_queue_is_pending(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="first")
    async def first() -> str:
        return await ledger.work("first")

    @mf.task(name="later", task_queue=f"{mf.config.task_queue}-unserved")
    async def later() -> None: ...

    async with mf.worker(task_queues=[mf.config.task_queue]):
        signature = await mf.sign(first, success_callbacks=[later])
        await signature.start()

        async def waits_in_its_queue() -> bool:
            [report] = (await signature.status()).callbacks
            return report.attempt is not None and report.status == "pending"

        await eventually(waits_in_its_queue, "it has been dispatched, and is pending")
        await signature.remove()
