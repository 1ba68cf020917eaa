"""Design section 3, what is not held: never started, not stopped, or ended; for every kind and depth."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.integration.situations import HOLDS, ROOT_SHAPES, SHAPES, apply, situation


@pytest.mark.parametrize("state", ["queued", "backing off", "running"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_resume_of_what_is_not_held_changes_nothing(mf: Mageflow, shape: str, state: str) -> None:
    async with AsyncExitStack() as stack:
        made = await situation(mf, stack, shape, state)
        begun = made.ledger.begun["focus"]
        report = await mf.resume(made.key)
        assert report.status in ("pending", "active")
        await made.finish()
        assert made.ledger.begun["focus"] == begun + (0 if state == "running" else 1)


@pytest.mark.parametrize("verb", [*HOLDS, "resume"])
@pytest.mark.parametrize("shape", ROOT_SHAPES)
async def test_a_verb_before_the_start(mf: Mageflow, shape: str, verb: str) -> None:
    async with AsyncExitStack() as stack:
        made = await situation(mf, stack, shape, "unstarted")
        signature = made.signature
        report = await getattr(signature, verb)()
        expected = HOLDS.get(verb, "pending")
        assert (report.status, (await signature.status()).status) == (expected, expected)
        await made.serve_focus()
        await signature.start()
        if verb != "resume":
            await made.canary()
            assert not made.ledger.begun, "nothing runs before the resume"
            assert (await signature.status()).status == expected
            await signature.resume()
        await made.finish()
        assert made.ledger.begun["focus"] == 1


@pytest.mark.parametrize("verb", HOLDS)
async def test_a_resume_before_the_start_lets_the_start_run_it(mf: Mageflow, verb: str) -> None:
    async with AsyncExitStack() as stack:
        made = await situation(mf, stack, "task", "unstarted")
        await made.serve_focus()
        await getattr(made.signature, verb)()
        await made.signature.resume()
        assert (await made.signature.status()).status == "pending"
        await made.signature.start()
        await made.finish()
        assert made.ledger.begun["focus"] == 1


@pytest.mark.parametrize("verb", [*HOLDS, "resume"])
@pytest.mark.parametrize("state", ["done", "failed", "canceled"])
@pytest.mark.parametrize("shape", ["task", "step", "deep step", "chain", "inner chain"])
async def test_a_verb_on_what_has_ended_is_an_error_that_says_so(
    mf: Mageflow, shape: str, state: str, verb: str
) -> None:
    async with AsyncExitStack() as stack:
        made = await situation(mf, stack, shape, state)
        with pytest.raises(mageflow.SignatureEndedError) as caught:
            await apply(made, verb, "update")
        report = await made.signature.status()
        assert report.find(made.target).status == state
        assert (caught.value.key, caught.value.status) == (report.key, report.status), "the whole has ended"
        assert f"{report.key!r} is {report.status}" in str(caught.value)


async def test_a_verb_on_a_member_that_has_ended_while_the_whole_goes_on(mf: Mageflow) -> None:
    async with AsyncExitStack() as stack:
        made = await situation(mf, stack, "step", "running")
        with pytest.raises(mageflow.SignatureEndedError) as caught:
            await mf.suspend(f"{made.signature.key}#0")
        assert (caught.value.key, caught.value.status) == (f"{made.signature.key}#0", "done")
        await made.finish()
