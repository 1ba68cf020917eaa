"""Signals with garbage for a payload: refused, told in the log and in the status, without any effect."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow
from tests.acceptance.temporal_cli import TemporalCli
from tests.support import DEADLINE, Ledger, eventually

GARBAGE: dict[str, tuple[list[str], str]] = {
    "a string": (['"now"'], "Input should be a valid dictionary"),
    "a number": (["3"], "Input should be a valid dictionary"),
    "a list": (['[{"target": "0"}]'], "Input should be a valid dictionary"),
    "true": (["true"], "Input should be a valid dictionary"),
    "an unknown field": (['{"tarket": "0"}'], "tarket: Extra inputs are not permitted"),
    "a target that is a number": (['{"target": 1}'], "target: Input should be a valid string"),
    "a target of nobody": (['{"target": "1.7"}'], "has no member '1.7'"),
    "a target that is no path": (['{"target": "../x"}'], "has no member '../x'"),
    "a target of other digits": (['{"target": "٣"}'], "has no member '٣'"),
    "a target of thousands of digits": ([json.dumps({"target": "9" * 5000})], "has no member '9999"),
    "a reason without end": ([json.dumps({"reason": "x" * 1001})], "reason: String should have at most 1000"),
    "a reason that is no text": ([r'{"reason": "\ud800"}'], "reason: Input should be a valid string"),
    "two payloads": (["{}", "{}"], "takes one payload at most, got 2"),
    "three payloads": (["{}", "1", '"x"'], "takes one payload at most, got 3"),
}
VERBS = ["suspend", "interrupt", "resume"]
UNREADABLE = ["json/protobuf", "binary/protobuf", "made/up"]


@pytest.fixture
def temporal(server: EmbeddedServer) -> TemporalCli:
    return TemporalCli(server)


@pytest.fixture
async def chain(mf: Mageflow, ledger: Ledger, temporal: TemporalCli) -> AsyncIterator[mageflow.Chain[Any]]:
    """A chain whose first step runs, and which must come to its end undisturbed."""
    gate = asyncio.Event()

    @mf.task(name="wait")
    async def wait() -> str:
        return await ledger.work("wait", gate)

    async with mf.worker():
        chain = await mf.chain(["wait", await mf.swarm(["wait", "wait"])])
        await chain.start()
        await ledger.has_begun("wait")
        yield chain
        report = await chain.status()
        assert (report.status, report.reason, report.held_by) == ("active", None, None)
        gate.set()
        assert await chain.result(timeout=DEADLINE) == ["wait", "wait"]
    assert ledger.cancelled.total() == 0
    assert not [event for event in await temporal.events(chain.key) if "WORKFLOW_TASK_FAILED" in event]


@pytest.mark.parametrize("what", GARBAGE)
async def test_a_signal_with_garbage_is_refused_logged_and_changes_nothing(
    temporal: TemporalCli, chain: mageflow.Chain[Any], caplog: pytest.LogCaptureFixture, what: str
) -> None:
    payloads, problem = GARBAGE[what]
    for verb in VERBS:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            await temporal.signal(chain.key, verb, *payloads)
            last = await eventually(lambda verb=verb: _last(chain, verb), f"{verb} is in the status")
        assert not last.accepted
        assert problem in last.verdict
        [warning] = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
        assert warning.startswith(f"signal {verb} refused: ")
        assert problem in warning


async def _last(chain: mageflow.Chain[Any], verb: str) -> Any:
    last = (await chain.status()).last_verb
    return last if last and last.verb == verb else None


@pytest.mark.parametrize("encoding", UNREADABLE)
async def test_a_signal_that_the_sdk_cannot_decode_is_logged_and_dropped(
    temporal: TemporalCli, chain: mageflow.Chain[Any], caplog: pytest.LogCaptureFixture, encoding: str
) -> None:
    with caplog.at_level(logging.ERROR):
        for verb in VERBS:
            await temporal.signal(chain.key, verb, "{}", meta=f"encoding={encoding}")
            await eventually(lambda verb=verb: f"signal input for {verb}" in caplog.text, "it is logged")
    assert (await chain.status()).last_verb is None


async def test_bytes_are_no_payload(temporal: TemporalCli, chain: mageflow.Chain[Any]) -> None:
    await temporal.signal(chain.key, "suspend", "\x01\x02", meta="encoding=binary/plain")
    last = await eventually(lambda: _last(chain, "suspend"), "it is in the status")
    assert not last.accepted
    assert "Input should be a valid dictionary" in last.verdict


@pytest.mark.parametrize("payload", ["null", "{}", '{"target": ""}', '{"reason": null}'])
async def test_an_empty_payload_is_as_good_as_none(
    temporal: TemporalCli, chain: mageflow.Chain[Any], payload: str
) -> None:
    await temporal.signal(chain.key, "suspend", payload)
    assert (await eventually(lambda: _last(chain, "suspend"), "it is in the status")).accepted
    assert (await chain.status()).status == "suspended"
    await temporal.signal(chain.key, "resume", payload)
    assert (await eventually(lambda: _last(chain, "resume"), "it is in the status")).accepted


async def test_an_unknown_signal_changes_nothing(temporal: TemporalCli, chain: mageflow.Chain[Any]) -> None:
    await temporal.signal(chain.key, "pause", '{"target": "0"}')
    await temporal.signal(chain.key, "Suspend")
    assert (await chain.status()).last_verb is None


async def test_an_update_that_the_sdk_cannot_decode_is_refused(
    temporal: TemporalCli, chain: mageflow.Chain[Any]
) -> None:
    said = await temporal(
        *("workflow", "update", "execute", "--workflow-id", chain.key, "--name", "suspend"),
        *("--input", "{}", "--input-meta", "encoding=made/up"),
    )
    assert said.code != 0
    assert "Failed decoding arguments" in said.err


async def test_a_query_with_garbage_is_refused_with_the_reason(
    temporal: TemporalCli, chain: mageflow.Chain[Any]
) -> None:
    words = ("workflow", "query", "--workflow-id", chain.key, "--name", "status")
    for payloads, problem in GARBAGE.values():
        if "has no member" in problem:
            continue  # a status of nobody is null
        said = await temporal(*words, *(word for payload in payloads for word in ("--input", payload)))
        assert said.code != 0
        assert problem in said.err
