"""What a task's code is given and can ask: context, signature, logger, the reason why it is stopped, a stagger."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio import workflow
from temporalio.worker import Worker

import mageflow_temporal as mageflow
from mageflow_temporal import AcceptParams, EmbeddedServer, Mageflow, MageflowConfig, Member, TaskContext
from tests.integration.stubborn import Stubborn
from tests.support import Ledger, eventually, reaches

LONG = 60.0


class Number(BaseModel):
    n: int = 0


def configured(server: EmbeddedServer, **config: Any) -> Mageflow:
    return Mageflow(server.target, config=MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}", **config))


# What a function gets.


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_task_gets_its_context_and_its_signature_where_it_asks(mf: Mageflow, kind: str) -> None:
    def told(msg: Number, ctx: TaskContext, signature: Member) -> list[Any]:
        assert ctx is mageflow.current_task()
        return [msg.n, ctx.key, ctx.attempt, signature.key, type(signature).__name__]

    if kind == "loop":

        @mf.task(name="told", retries=1, backoff_max_seconds=0.01)
        @mf.with_ctx
        @mf.with_signature
        async def told_on_loop(msg: Number, ctx: TaskContext, signature: Member) -> list[Any]:
            if ctx.attempt == 1:
                raise ValueError("on purpose")
            return told(msg, ctx, signature)
    else:

        @mf.task(name="told", retries=1, backoff_max_seconds=0.01)
        @mf.with_signature
        @mf.with_ctx
        def told_in_thread(msg: Number, ctx: TaskContext, signature: Member) -> list[Any]:
            if ctx.attempt == 1:
                raise ValueError("on purpose")
            return told(msg, ctx, signature)

    async with mf.worker():
        alone = await mf.sign("told", n=1)
        assert await alone.run(timeout=LONG) == [1, alone.key, 2, alone.key, "LoadedSignature"]
        swarm = await mf.swarm(["told"], n=2)
        member = f"{swarm.key}#0"
        assert await swarm.run(timeout=LONG) == [[2, member, 2, member, "LoadedMember"]]


async def test_a_task_in_a_process_gets_them_too(server: EmbeddedServer, tmp_path: Path) -> None:
    stubborn = Stubborn(server, tmp_path, f"test-{uuid.uuid4().hex[:8]}")
    async with stubborn.mf.worker(), stubborn.worker():
        signature = await stubborn.start("told-process", n=3)
        assert await signature.result(timeout=LONG) == [3, signature.key, 1, signature.key]


@pytest.mark.parametrize("accepts", AcceptParams)
async def test_what_all_tasks_of_an_app_get(server: EmbeddedServer, accepts: AcceptParams) -> None:
    mf = configured(server, param_config=accepts)

    @mf.task(name="told")
    @mf.with_signature
    async def told(msg: Number, ctx: TaskContext | None = None, signature: Member | None = None) -> list[bool]:
        return [ctx is not None, signature is not None]

    async with mf.worker():
        expected = {
            AcceptParams.JUST_MESSAGE: [False, False],
            AcceptParams.NO_CTX: [False, True],
            AcceptParams.ALL: [True, True],
        }
        assert await (await mf.sign("told")).run(timeout=LONG) == expected[accepts]


async def test_a_task_can_look_at_itself_by_its_signature(mf: Mageflow) -> None:
    @mf.task(name="told")
    @mf.with_signature
    async def told(msg: Number, signature: Member) -> str:
        return (await signature.status()).status

    async with mf.worker():
        assert await (await mf.chain([told, told])).run(timeout=LONG) == "active"


async def test_log_lines_carry_the_key_the_path_the_task_and_the_attempt(
    mf: Mageflow, caplog: pytest.LogCaptureFixture
) -> None:
    @mf.task(name="chatty", retries=1, backoff_max_seconds=0.01)
    @mf.with_ctx
    async def chatty(msg: Number, ctx: TaskContext) -> None:
        ctx.logger.info("got %s of %s", msg.n, "100%", extra={"colour": "green"})
        if ctx.attempt == 1:
            raise ValueError("on purpose")

    @mf.task(name="quiet")
    async def quiet() -> None: ...

    caplog.set_level(logging.INFO, "mageflow_temporal.task")
    async with mf.worker():
        signature = await mf.chain([chatty, quiet])
        await signature.run({"n": 5}, timeout=LONG)
    lines: list[Any] = [record for record in caplog.records if record.name == "mageflow_temporal.task"]
    assert [line.getMessage() for line in lines] == ["got 5 of 100%"] * 2
    assert [(line.key, line.path, line.task, line.attempt, line.colour) for line in lines] == [
        (f"{signature.key}#0", "0", "chatty", 1, "green"),
        (f"{signature.key}#0", "0", "chatty", 2, "green"),
    ]


# Why code is stopped.


def stoppable(mf: Mageflow, ledger: Ledger, kind: str = "loop", **options: Any) -> list[Any]:
    """Define the task `waits`, and return the list of the reasons that it is told."""
    reasons: list[Any] = []

    def note(ctx: TaskContext) -> None:
        ledger.begun["waits"] += 1
        assert ctx.cancellation is None

    if kind == "loop":

        @mf.task(name="waits", **options)
        @mf.with_ctx
        async def waits(msg: Number, ctx: TaskContext) -> str:
            note(ctx)
            try:
                if ledger.begun["waits"] == 1:
                    await asyncio.sleep(3600)
            except asyncio.CancelledError:
                reasons.append(ctx.cancellation)
                raise
            return "done"
    else:

        @mf.task(name="waits", **options)
        @mf.with_ctx
        def waits_in_thread(msg: Number, ctx: TaskContext) -> str:
            note(ctx)
            try:
                while ledger.begun["waits"] == 1:
                    time.sleep(0.01)
            except asyncio.CancelledError:
                reasons.append(ctx.cancellation)
                raise
            return "done"

    return reasons


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_interrupted(mf: Mageflow, ledger: Ledger, kind: str) -> None:
    reasons = stoppable(mf, ledger, kind)
    async with mf.worker():
        signature = await (await mf.sign("waits")).start()
        await ledger.has_begun("waits")
        await signature.interrupt()
        assert reasons == ["interrupted"]
        await signature.resume()
        assert await signature.result(timeout=LONG) == "done"


async def test_interrupted_where_it_is_shielded(mf: Mageflow, ledger: Ledger) -> None:
    seen: list[str] = []

    @mf.task(name="commits")
    def commits() -> str:
        task = mageflow.current_task()
        ledger.begun["commits"] += 1
        first = ledger.begun["commits"] == 1
        with task.shielded():
            while first and task.cancellation is None:
                time.sleep(0.01)
            seen.append("committed")
        seen.append("went on")
        return "done"

    async with mf.worker():
        signature = await (await mf.sign(commits)).start()
        await ledger.has_begun("commits")
        assert (await signature.interrupt()).cancelled == [signature.key]
        assert seen == ["committed"], "to the end of the block, and no further"
        await signature.resume()
        assert await signature.result(timeout=LONG) == "done"


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_canceled(mf: Mageflow, ledger: Ledger, kind: str) -> None:
    reasons = stoppable(mf, ledger, kind)
    async with mf.worker():
        signature = await (await mf.sign("waits")).start()
        await ledger.has_begun("waits")
        await (await mf.client()).get_workflow_handle(signature.key).cancel()
        with pytest.raises(mageflow.SignatureCanceledError):
            await signature.result(timeout=LONG)
        assert reasons == ["interrupted"], "the server does not say which"


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_timed_out(mf: Mageflow, ledger: Ledger, kind: str) -> None:
    reasons = stoppable(mf, ledger, kind, execution_timeout=timedelta(seconds=1), retries=1, backoff_max_seconds=0.01)
    async with mf.worker():
        began = time.monotonic()
        signature = await mf.sign("waits")
        assert await signature.run(timeout=LONG) == "done"
        await eventually(lambda: reasons, "the code was told")
        assert reasons == ["timed out"]
        assert time.monotonic() - began >= 1
        assert (await signature.status()).attempt == 2


async def test_worker_shutting_down(mf: Mageflow, ledger: Ledger) -> None:
    reasons = stoppable(mf, ledger)
    async with mf.worker(shutdown_grace=timedelta(0)):
        signature = await (await mf.sign("waits")).start()
        await ledger.has_begun("waits")
    assert reasons == ["worker shutting down"]
    async with mf.worker():
        assert await signature.result(timeout=LONG) == "done"


async def test_terminated(mf: Mageflow, ledger: Ledger) -> None:
    reasons = stoppable(mf, ledger, heartbeat_timeout=timedelta(seconds=1))
    async with mf.worker():
        signature = await (await mf.sign("waits")).start()
        await ledger.has_begun("waits")
        await (await mf.client()).get_workflow_handle(signature.key).terminate()
        await eventually(lambda: reasons, "the code was told")
    assert reasons in (["interrupted"], ["given up"]), "the server tells it, or does not know the task any more"


async def test_given_up(mf: Mageflow, ledger: Ledger) -> None:
    reasons: list[Any] = []

    @mf.task(name="hangs", heartbeat_timeout=timedelta(seconds=1))
    @mf.with_ctx
    async def hangs(msg: Number, ctx: TaskContext) -> str:
        ledger.begun["hangs"] += 1
        if ledger.begun["hangs"] > 1:
            return "elsewhere"
        try:
            time.sleep(3)
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            reasons.append(ctx.cancellation)
            raise
        return "never"

    async with mf.worker():
        signature = await (await mf.sign(hangs)).start()
        assert await signature.result(timeout=LONG) == "elsewhere"
        await eventually(lambda: reasons, "the code was told")
    assert reasons == ["given up"]


async def test_a_swarm_whose_items_are_interrupted_tells_each(mf: Mageflow, ledger: Ledger) -> None:
    reasons: list[Any] = []

    @mf.task(name="item")
    @mf.with_ctx
    async def item(msg: Number, ctx: TaskContext) -> None:
        ledger.begun["item"] += 1
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            reasons.append(ctx.cancellation)
            raise

    async with mf.worker():
        swarm = await (await mf.swarm([item] * 25)).start()
        await ledger.has_begun("item", 25)
        await swarm.interrupt()
        assert reasons == ["interrupted"] * 25
        await swarm.remove()


@workflow.defn(name="somebody-elses", sandboxed=False)
class SomebodyElses:
    @workflow.run
    async def run(self, task_queue: str) -> None:
        await workflow.execute_activity(
            "waits",
            {},
            task_queue=task_queue,
            start_to_close_timeout=timedelta(seconds=60),
            heartbeat_timeout=timedelta(seconds=1),
        )


async def test_in_somebody_elses_workflow_a_cancel_is_an_interrupt(mf: Mageflow, ledger: Ledger) -> None:
    reasons = stoppable(mf, ledger)
    client = await mf.client()
    queue = f"{mf.config.task_queue}-theirs"
    async with mf.worker(), Worker(client, task_queue=queue, workflows=[SomebodyElses]):
        handle = await client.start_workflow("somebody-elses", mf.config.task_queue, id=queue, task_queue=queue)
        await ledger.has_begun("waits")
        await handle.cancel()
        await eventually(lambda: reasons, "the code was told")
    assert reasons == ["interrupted"]


# Stagger.


async def test_staggered_tasks_begin_at_different_times_and_keep_their_own_time(mf: Mageflow, ledger: Ledger) -> None:
    begun: list[float] = []

    @mf.task(name="spread", execution_timeout=timedelta(seconds=0.5))
    @mf.stagger_execution(timedelta(seconds=2))
    async def spread() -> None:
        begun.append(time.monotonic())

    async with mf.worker():
        await (await mf.swarm([spread] * 20)).run(timeout=LONG)
    assert len(begun) == 20, "none ran out of time, and none was retried"
    assert max(begun) - min(begun) > 0.5, "20 of 2 s: this fails once in a million"


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_stagger_is_ended_by_an_interrupt(mf: Mageflow, ledger: Ledger, kind: str) -> None:
    if kind == "loop":

        @mf.task(name="spread")
        @mf.stagger_execution(timedelta(days=3000))
        async def spread() -> None:
            ledger.begun["spread"] += 1
    else:

        @mf.task(name="spread")
        @mf.stagger_execution(timedelta(days=3000))
        def spread_in_thread() -> None:
            ledger.begun["spread"] += 1

    async with mf.worker():
        signature = await (await mf.sign("spread")).start()
        await reaches(signature, "active")
        assert (await signature.interrupt()).status == "interrupted"
        await signature.remove()
    assert ledger.begun["spread"] == 0
