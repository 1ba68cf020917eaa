"""Keys of what has ended, was never started, or cannot be: each call says which it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, Member
from tests.support import reaches

Call = Callable[[Mageflow, str], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "load": lambda mf, key: mf.load_signature(key),
    "status": lambda mf, key: Member(mf, key).status(),
    "suspend": lambda mf, key: mf.suspend(key, "a reason"),
    "interrupt": lambda mf, key: mf.interrupt(key),
    "resume": lambda mf, key: mf.resume(key),
    "remove": lambda mf, key: mf.remove(key),
}
VERBS = ("suspend", "interrupt", "resume")
MALFORMED = ["", "#", "x#", "#1", "x#y", "x#1.", "x#.1", "x#1..2", "x#-1", "x#1#2", "x# 1", "x#٣", f"x#{'9' * 5000}"]


@pytest.fixture
async def worked(mf: Mageflow) -> AsyncIterator[Mageflow]:
    @mf.task(name="ok")
    async def ok() -> str:
        return "ok"

    @mf.task(name="bad")
    async def bad() -> None:
        raise ValueError("no")

    async with mf.worker():
        yield mf


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("key", MALFORMED, ids=lambda key: repr(key[:10]))
async def test_what_cannot_be_a_key_is_refused_by_every_call(mf: Mageflow, call: str, key: str) -> None:
    with pytest.raises(mageflow.InvalidKeyError, match="is no key: a key is that of a signature") as caught:
        await CALLS[call](mf, key)
    assert caught.value.key == key
    assert len(str(caught.value)) < 300, "a hostile key is shown shortened"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "key", ["never-started", "never-started#0.1", "../.. ?&%é⚙\n", "x" * 1001], ids=lambda key: key[:20]
)
async def test_an_unknown_key_is_missing(mf: Mageflow, call: str, key: str) -> None:
    if call == "load":
        assert await CALLS[call](mf, key) is None
        return
    if call == "remove" and "#" in key:
        return  # that is refused before anyone is asked
    with pytest.raises(
        mageflow.MissingSignatureError, match="it was never started, or its retention has passed"
    ) as caught:
        await CALLS[call](mf, key)
    assert caught.value.key in (key, key.partition("#")[0])


async def test_a_workflow_of_somebody_else_is_no_signature(worked: Mageflow) -> None:
    client = await worked.client()
    handle = await client.start_workflow("SomebodyElses", id=f"{worked.config.task_queue}-else", task_queue="elsewhere")
    assert await worked.load_signature(handle.id) is None
    with pytest.raises(mageflow.MissingSignatureError):
        await worked.remove(handle.id)
    assert (await handle.describe()).status.name == "RUNNING", "it was left alone"
    await handle.terminate()


@pytest.mark.parametrize("ending", ["done", "failed", "canceled"])
async def test_what_has_ended_can_be_looked_at_and_not_changed(worked: Mageflow, ending: str) -> None:
    steps = ["ok", "bad"] if ending == "failed" else ["ok", "ok"]
    chain = await worked.chain(steps)
    if ending == "canceled":
        await chain.suspend()
        await chain.start()
        await (await worked.client()).get_workflow_handle(chain.key).cancel()
    else:
        await chain.start()
    with pytest.raises(mageflow.OutcomeError) if ending != "done" else nullcontext():
        await chain.result()
    await reaches(chain, ending)
    for key in (chain.key, f"{chain.key}#0"):
        for verb in VERBS:
            with pytest.raises(mageflow.SignatureEndedError) as caught:
                await CALLS[verb](worked, key)
            assert (caught.value.key, caught.value.status) == (chain.key, ending)
            assert str(caught.value) == (
                f"'{chain.key}' is {ending}: what has ended cannot be suspended, interrupted, resumed or changed"
            )
    with pytest.raises(mageflow.SignatureAlreadyStartedError) as again:
        await chain.start()
    assert again.value.key == chain.key
    loaded = await worked.load_signature(chain.key)
    assert isinstance(loaded, mageflow.Signature)
    with pytest.raises(mageflow.SignatureAlreadyStartedError):
        await loaded.start()


async def test_a_closed_swarm_that_has_ended_cannot_be_closed_again(worked: Mageflow) -> None:
    swarm = await worked.swarm(["ok"])
    await swarm.run()
    with pytest.raises(mageflow.SignatureEndedError, match="is done"):
        await swarm.close()


@pytest.mark.parametrize("path", ["2", "0.0", "1.5", "1.0.0", "999999999"])
async def test_an_unknown_member_is_named(worked: Mageflow, path: str) -> None:
    chain = await worked.chain(["ok", await worked.swarm(["ok", "ok"], name="fan")])
    await chain.suspend()
    await chain.start()
    key = f"{chain.key}#{path}"
    assert await worked.load_signature(key) is None
    for call in ("status", *VERBS):
        with pytest.raises(mageflow.UnknownMemberError) as caught:
            await CALLS[call](worked, key)
        assert (caught.value.key, caught.value.target) == (chain.key, path)
        assert (
            str(caught.value)
            == f"'{chain.key}' has no member '{path}': members are numbered from 0, as in '2' or '2.1'"
        )
    await chain.resume()
    await chain.result()


async def test_a_member_is_not_removed_by_itself(worked: Mageflow) -> None:
    chain = await worked.chain(["ok", "ok"])
    await chain.run()
    with pytest.raises(
        mageflow.InvalidKeyError, match="is a member's: only a whole signature can be removed"
    ) as caught:
        await worked.remove(f"{chain.key}#1")
    assert caught.value.key == f"{chain.key}#1"
    assert await worked.load_signature(chain.key) is not None


@pytest.mark.parametrize("key", ["", "a#b", "#", "x" * 1001, "é" * 501, "\ud800"], ids=lambda key: ascii(key)[:12])
async def test_an_id_that_cannot_be_a_key_is_refused(worked: Mageflow, key: str) -> None:
    signature = await worked.sign("ok")
    with pytest.raises(mageflow.InvalidKeyError, match="must have 1 to 1000 bytes") as caught:
        await signature.start(id=key)
    assert caught.value.key == key
    assert await signature.run() == "ok", "it is still a draft"


HOSTILE = [
    "with spaces",
    " ",
    "ünïcödé ⚙ 日本語",
    "new\nline\ttab",
    "../../etc",
    "a/b?c=d&e%20f",
    '"quoted" \\',
    "x" * 963,
]


@pytest.mark.parametrize("tail", HOSTILE, ids=lambda key: ascii(key)[:16])
async def test_a_hostile_id_is_a_key_like_any_other(worked: Mageflow, tail: str) -> None:
    key = f"{worked.config.task_queue}-{tail}"
    item = await worked.chain(["ok", "ok"])
    assert await item.run(id=key) == "ok"
    assert item.key == key
    assert (await Member(worked, f"{key}#1").status()).status == "done"
    loaded = await worked.load_signature(key)
    assert isinstance(loaded, mageflow.Signature)
    assert await loaded.result() == "ok"
    with pytest.raises(mageflow.SignatureEndedError):
        await worked.suspend(f"{key}#1")


@pytest.mark.parametrize("name", ["a\nb|c *d* <e>", "日本語" * 28, "x" * 255, " "], ids=lambda name: ascii(name)[:12])
async def test_a_hostile_name_of_a_task_or_a_container_does_no_harm(mf: Mageflow, name: str) -> None:
    @mf.task(name=name)
    async def named() -> int:
        return 1

    async with mf.worker():
        inner = await mf.chain([named, named], name=name)
        outer = await mf.chain([named, await mf.swarm([inner], name=name)], name=name)
        assert await outer.run() == [1]
        assert (await outer.status()).name == name
        loaded = await mf.load_signature(outer.key)
        assert isinstance(loaded, mageflow.Signature)
        assert loaded.name == name
    assert len(outer.key) < 300
    assert not set(outer.key) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
