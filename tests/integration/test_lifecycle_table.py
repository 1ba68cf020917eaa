"""Design section 3, row by row: target x verb x state, by update and by signal, for every kind and depth."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.integration.situations import AFTER, FOCUS, ROOT_SHAPES, SHAPES, TASK_SHAPES, Situation, situation
from tests.support import eventually, reaches

HOLDS = {"suspend": "suspended", "interrupt": "interrupted"}
VIA = ("update", "signal")


async def apply(made: Situation, verb: str, via: str) -> Any:
    """Apply a verb to the target; return its report, or the error that it was refused with, in words."""
    if via == "update":
        return await getattr(made.mf, verb)(made.key)
    handle = (await made.mf.client()).get_workflow_handle(made.signature.key)
    before = (await made.signature.status()).last_verb
    await handle.signal(verb, {"target": made.target} if made.target else None)

    async def recorded() -> Any:
        now = (await made.signature.status()).last_verb
        return now if now != before else None

    return await eventually(recorded, f"the verdict of {verb} is recorded")


@pytest.mark.parametrize("via", VIA)
@pytest.mark.parametrize("verb", HOLDS)
@pytest.mark.parametrize("state", ["queued", "backing off", "running"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_hold_and_resume(mf: Mageflow, shape: str, state: str, verb: str, via: str) -> None:
    async with AsyncExitStack() as stack:
        made = await situation(mf, stack, shape, state)
        begun_before = made.ledger.begun["focus"]
        if verb == "suspend" and state == "running" and shape in TASK_SHAPES:
            await _refused_and_untouched(made, via)
            return
        report = await apply(made, verb, via)
        if via == "signal":
            assert report.accepted
        held = await reaches(made.signature, HOLDS[verb], made.target)
        assert held.held_by == made.key

        drains = verb == "suspend" and state == "running"
        if drains:
            assert made.ledger.running == 1, "what runs goes on to its end"
            assert made.ledger.cancelled["focus"] == 0
            if via == "update":
                assert report.draining == [_focus_key(made)]
            made.gate.set()
            await reaches(made.signature, "done", FOCUS[shape])
        elif state == "running":
            assert made.ledger.cancelled["focus"] == 1, "its code has been cancelled"
            assert made.ledger.running == 0, "and has stopped when the call returns"
            if via == "update":
                assert report.cancelled == [_focus_key(made)]
        elif state == "queued" and verb == "suspend" and via == "update":
            assert report.stopped == [_focus_key(made)]

        # Whatever could begin would begin now: its worker listens, its gate is open, and tasks come and go beside it.
        made.gate.set()
        await made.serve_focus()
        await made.canary()
        assert made.ledger.begun["focus"] == begun_before, "nothing new begins while it is held"
        assert made.ledger.begun["after"] == 0
        assert (await apply(made, verb, via)) is not None, "the verb again changes nothing"
        assert (await made.signature.status()).find(made.target).status == HOLDS[verb]

        if via == "update":
            await apply(made, "resume", via)
        else:  # it may end before its verdict could be read
            await (await mf.client()).get_workflow_handle(made.signature.key).signal("resume", {"target": made.target})
        result = await made.finish()
        assert "focus" in str(result) or shape in ("chain", "inner chain")
        again = 0 if drains else 1
        assert made.ledger.begun["focus"] == begun_before + again, "it ran on, and what had finished did not run again"
        assert made.ledger.begun["after"] == AFTER.get(shape, 0)


async def _refused_and_untouched(made: Situation, via: str) -> None:
    if via == "update":
        with pytest.raises(mageflow.TaskAlreadyRunningError) as caught:
            await apply(made, "suspend", via)
        error = caught.value
        assert (error.key, error.attempt) == (made.key, 1)
        assert error.started_at is not None
        assert error.worker == (await made.mf.client()).identity
    else:
        verdict = await apply(made, "suspend", via)
        assert not verdict.accepted
        assert "already running" in verdict.verdict
    assert (await made.signature.status()).find(made.target).status == "active"
    await made.finish()
    assert made.ledger.begun["focus"] == made.ledger.ended["focus"] == 1
    assert made.ledger.cancelled["focus"] == 0


def _focus_key(made: Situation) -> str:
    path = FOCUS[made.shape]
    return f"{made.signature.key}#{path}" if path else made.signature.key


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
