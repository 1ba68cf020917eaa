"""What is larger than the server takes: refused before it starts, or failed with what to do; nothing hangs."""

from __future__ import annotations

from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.support import DEADLINE, Ledger

MIB = 1024 * 1024


@pytest.mark.parametrize("size", [3 * MIB, 6 * MIB], ids=["over Temporal's limit", "over gRPC's limit"])
@pytest.mark.parametrize("how", ["message", "bound", "in a swarm"])
async def test_a_message_over_the_limit_is_refused_before_anything_starts(
    mf: Mageflow, ledger: Ledger, size: int, how: str
) -> None:
    @mf.task(name="big")
    async def big(msg: dict[str, Any]) -> str:
        return await ledger.work("big")

    text = {"text": "x" * size}
    async with mf.worker():
        signature = await mf.sign(big, **(text if how == "bound" else {}))
        if how == "in a swarm":
            signature = await mf.swarm([signature])
        with pytest.raises(mageflow.PayloadTooLargeError) as caught:
            await signature.start(None if how == "bound" else text)
        assert await mf.load_signature(signature.key) is None
        assert await signature.start({"text": "short"}) is signature if how != "bound" else True
    assert caught.value.what == "the signature with its message"
    assert "pass a reference (a path, a URL, a row's key) instead" in str(caught.value)


@pytest.mark.parametrize("size", [3 * MIB, 6 * MIB], ids=["over Temporal's limit", "over gRPC's limit"])
async def test_a_result_over_the_limit_fails_its_task_at_once_with_a_clear_error(
    mf: Mageflow, ledger: Ledger, size: int
) -> None:
    @mf.task(name="big", retries=5)
    async def big() -> str:
        ledger.begun["big"] += 1
        return "x" * size

    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await (await mf.chain([big, big])).run(timeout=DEADLINE)
    assert (caught.value.type, caught.value.attempts, ledger.begun["big"]) == ("PayloadTooLargeError", 1, 1)
    assert "result" in caught.value.error
    assert "pass a reference" in caught.value.error


async def test_a_step_whose_merged_message_is_too_large_fails_and_nothing_hangs(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="big")
    async def big() -> str:
        return "x" * (MIB + 1)

    @mf.task(name="take")
    async def take(msg: dict[str, Any]) -> str:
        return await ledger.work("take")

    async with mf.worker():
        chain = await mf.chain([big, await mf.sign(take, more="y" * MIB)])
        with pytest.raises(mageflow.MageflowError, match="larger than") as caught:
            await chain.run(timeout=DEADLINE)
        assert not isinstance(caught.value, mageflow.ResultTimeoutError)
        assert [child.status for child in (await chain.status()).children] == ["done", "failed"]
    assert ledger.begun["take"] == 0


@pytest.mark.parametrize("size", [20_000, 3 * MIB, 6 * MIB])
@pytest.mark.parametrize("checkpointed", [False, True])
async def test_an_error_of_any_length_is_told_shortened(
    mf: Mageflow, ledger: Ledger, size: int, checkpointed: bool
) -> None:
    @mf.task(name="verbose")
    async def verbose() -> None:
        ledger.begun["verbose"] += 1
        if checkpointed:
            mageflow.current_task().checkpoint(1)
        try:
            raise KeyError("y" * size)
        except KeyError as cause:
            raise ValueError("x" * size) from cause

    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await (await mf.sign(verbose)).run()
    assert (caught.value.type, ledger.begun["verbose"]) == ("ValueError", 1)
    assert caught.value.error.startswith("xxxx")
    assert caught.value.error.endswith(f"… ({size:,} characters)")
    assert "raise ValueError" in (caught.value.traceback or "")


async def test_a_checkpoint_over_the_limit_is_refused_where_it_is_made(mf: Mageflow) -> None:
    @mf.task(name="hoarder")
    async def hoarder() -> list[Any]:
        task = mageflow.current_task()
        task.checkpoint("small")
        found: list[Any] = []
        for value in ("x" * 3 * MIB, object()):
            try:
                task.checkpoint(value)
            except mageflow.MageflowError as error:
                found.append(f"{type(error).__name__}: {error}")
        return [*found, task.last_checkpoint]

    async with mf.worker():
        large, odd, last = await (await mf.sign(hoarder)).run()
    assert large.startswith(
        "PayloadTooLargeError: the checkpoint is larger than the server accepts (3,145,730 bytes of"
    )
    assert odd.startswith("NotSerializableError: a value of type 'object' cannot be made JSON")
    assert last == "small"


async def test_a_status_with_hundreds_of_long_errors_can_still_be_asked_for(mf: Mageflow) -> None:
    @mf.task(name="verbose")
    async def verbose() -> None:
        raise ValueError("x" * 20_000)

    async with mf.worker():
        swarm = await mf.swarm([verbose] * 300)
        assert await swarm.run() == []
        report = await swarm.status()
    assert report.counts is not None
    assert report.counts.failed == 300
