"""Design section 3, what is held: target x verb x state, by update and by signal, for every kind and depth."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.integration.situations import AFTER, FOCUS, HOLDS, SHAPES, TASK_SHAPES, Situation, apply, situation
from tests.support import reaches

VIA = ("update", "signal")


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
