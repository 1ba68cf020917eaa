"""Messages, results and errors that cannot be what they should be: refused early, or failed with a readable error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.support import Ledger


class Number(BaseModel):
    value: int


@pytest.fixture
def elsewhere(mf: Mageflow) -> Mageflow:
    """Another service's app on the same queue."""
    return Mageflow(mf._target, config=mf.config)


async def test_a_message_that_does_not_fit_is_refused_before_anything_starts(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="strict")
    async def strict(msg: Number) -> str:
        return await ledger.work("strict")

    async with mf.worker():
        for message in (None, {}, {"value": "many"}, {"value": None}, "text", [1], 7):
            signature = await mf.sign(strict)
            with pytest.raises(mageflow.InvalidMessageError, match="the message does not fit task 'strict'") as caught:
                await signature.start(message)
            assert caught.value.task == "strict"
            assert len(caught.value.problems) == 1
            assert await mf.load_signature(signature.key) is None
        signature = await mf.sign(strict)
        with pytest.raises(mageflow.InvalidMessageError, match="value: Field required"):
            await signature.run()
        assert await signature.run(Number(value=1)) == "strict", (
            "the signature is still a draft, and can be started right"
        )
    assert ledger.begun["strict"] == 1


async def test_a_bound_kwarg_that_does_not_fit_is_refused_with_the_same_error(mf: Mageflow) -> None:
    @mf.task(name="strict")
    async def strict(msg: Number) -> None: ...

    signature = await mf.sign(strict, value="many")
    with pytest.raises(mageflow.InvalidMessageError, match="value: Input should be a valid integer"):
        await signature.start(Number(value=1))


async def test_each_item_of_a_swarm_and_the_first_step_of_a_chain_check_the_start_message(mf: Mageflow) -> None:
    @mf.task(name="strict")
    async def strict(msg: Number) -> None: ...

    @mf.task(name="lenient")
    async def lenient(msg: dict[str, Any]) -> None: ...

    chain = await mf.chain([strict, lenient])
    swarm = await mf.swarm([lenient, await mf.chain([await mf.swarm([strict]), lenient])])
    for signature in (chain, swarm):
        with pytest.raises(mageflow.InvalidMessageError) as caught:
            await signature.start({"value": "many"})
        assert caught.value.task == "strict"


async def test_a_message_that_its_worker_refuses_fails_without_retries(
    mf: Mageflow, elsewhere: Mageflow, ledger: Ledger
) -> None:
    declared = mf.declare("strict", options=mageflow.TaskOptions(retries=5))

    @elsewhere.task(name="strict", retries=5)
    async def strict(msg: Number) -> str:
        return await ledger.work("strict")

    async with elsewhere.worker():
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await (await mf.sign(declared)).run({"value": "many"})
    error = caught.value
    assert (error.task, error.attempts, error.type) == ("strict", 1, "InvalidMessageError")
    assert error.error.startswith("the message does not fit task 'strict': value: Input should be a valid integer")
    assert ledger.begun["strict"] == 0


async def test_a_previous_result_that_does_not_fit_fails_the_step_that_gets_it(mf: Mageflow) -> None:
    class Before(BaseModel):
        mageflow_results: Number

    @mf.task(name="first")
    async def first() -> str:
        return "many"

    @mf.task(name="second", retries=5)
    async def second(msg: Before) -> None: ...

    async with mf.worker():
        chain = await mf.chain([first, second])
        with pytest.raises(mageflow.TaskFailedError, match="the message does not fit task 'second'") as caught:
            await chain.run()
    assert (caught.value.key, caught.value.attempts) == (f"{chain.key}#1", 1)


async def test_a_task_that_its_workers_do_not_have_fails_with_what_they_have(mf: Mageflow, elsewhere: Mageflow) -> None:
    @mf.task(name="only-here")
    async def only_here() -> None: ...

    @elsewhere.task(name="only-there")
    async def only_there() -> None: ...

    async with elsewhere.worker():
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await (await mf.sign(only_here)).run()
    assert (caught.value.task, caught.value.type) == ("only-here", "UnknownTaskError")
    for part in ("only-here", "only-there", "Does the worker import the module that defines it?"):
        assert part in caught.value.error


@pytest.mark.parametrize(
    "value",
    [object(), threading.Lock(), b"\xff", {1: {2: object()}}, [open]],
    ids=["an object", "a lock", "bytes that are no text", "an object in dicts", "a function in a list"],
)
async def test_a_message_that_has_no_json_form_is_refused(mf: Mageflow, value: Any) -> None:
    @mf.task(name="any")
    async def any_message(msg: Any) -> None: ...

    draft, bound = await mf.sign(any_message), await mf.sign(any_message, bound=value)
    for compose in (
        lambda: draft.start(value),
        lambda: draft.start({"deep": [value]}),
        lambda: bound.start(),
        lambda: bound.suspend(),
        lambda: mf.swarm([any_message, any_message], bound=value),
    ):
        with pytest.raises(mageflow.NotSerializableError, match="cannot be made JSON") as caught:
            await compose()
        assert caught.value.type in (type(value).__name__, "dict")
        assert caught.value.problem


RESULTS: dict[str, Callable[[], Any]] = {
    "an object": object,
    "a lock in a dict": lambda: {"lock": threading.Lock()},
    "bytes that are no text": lambda: b"\xff",
    "a circle": lambda: circle(),
    "a generator": lambda: (open for _ in range(1)),
}


def circle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize("kind", ["loop", "thread"])
@pytest.mark.parametrize("what", RESULTS)
async def test_a_result_that_has_no_json_form_fails_its_task_at_once(
    mf: Mageflow, ledger: Ledger, what: str, kind: str
) -> None:
    if kind == "loop":

        @mf.task(name="odd", retries=5)
        async def odd() -> Any:
            ledger.begun["odd"] += 1
            return RESULTS[what]()

    else:

        @mf.task(name="odd", retries=5)
        def odd() -> Any:
            ledger.begun["odd"] += 1
            return RESULTS[what]()

    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await (await mf.sign(odd)).run()
    assert caught.value.type == "NotSerializableError"
    assert caught.value.error.startswith("the result of task 'odd' is lost: a value of type")
    assert (caught.value.attempts, ledger.begun["odd"]) == (1, 1), "it ran: to run it again would make no difference"


async def test_an_error_with_characters_that_cannot_be_sent_is_told_without_them(mf: Mageflow) -> None:
    @mf.task(name="surrogate")
    async def surrogate() -> None:
        raise ValueError("half a pair: \ud800")

    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await (await mf.sign(surrogate)).run()
    assert (caught.value.type, caught.value.error) == ("ValueError", "half a pair: \\ud800")


async def test_a_message_type_that_pydantic_cannot_read_is_named(mf: Mageflow) -> None:
    class Opaque:
        """A class that pydantic knows nothing of."""

    @mf.task(name="opaque")
    async def opaque(msg: Opaque) -> None: ...

    with pytest.raises(mageflow.CompositionError, match=r"the message type of task 'opaque', .*Opaque"):
        await (await mf.sign(opaque)).start({})


async def test_concurrent_starts_of_one_draft_start_it_once(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="once")
    async def once() -> str:
        return await ledger.work("once")

    async with mf.worker():
        signature = await mf.sign(once)
        await asyncio.gather(signature.start(), signature.start(), return_exceptions=True)
        assert await signature.result() == "once"
        with pytest.raises(
            mageflow.SignatureAlreadyStartedError, match="a signature runs once, so sign the task again"
        ):
            await signature.start()
    assert ledger.begun["once"] == 1


async def test_what_a_verb_has_opened_on_the_server_cannot_be_edited_or_renamed(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="strict")
    async def strict(msg: Number) -> str:
        return await ledger.work("strict")

    async with mf.worker():
        signature = await mf.sign(strict)
        await signature.suspend()
        signature.kwargs["value"] = 2
        with pytest.raises(mageflow.CompositionError, match="was edited after a verb opened it on the server"):
            await signature.start()
        signature.kwargs.clear()
        with pytest.raises(mageflow.InvalidKeyError, match="so start it without id=") as renamed:
            await signature.start(Number(value=1), id="another-key")
        assert renamed.value.key == "another-key"
        with pytest.raises(mageflow.InvalidMessageError, match="Field required"):
            await signature.start()
        await signature.start(Number(value=1), id=signature.key)
        assert (await signature.status()).status == "suspended"
        assert ledger.begun["strict"] == 0
        await signature.resume()
        assert await signature.result() == "strict"
