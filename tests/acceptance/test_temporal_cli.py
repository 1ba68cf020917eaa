"""The `temporal` command line steers and shows signatures as well as Python does: plain signals, queries, updates."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow
from tests.acceptance.temporal_cli import TemporalCli
from tests.support import DEADLINE, Ledger, eventually, reaches


@dataclass
class Pipeline:
    """`first`, then side by side a chain of `left` and `right` and an `other`, then `last`; each waits at the gate."""

    signature: mageflow.Chain[Any]
    gate: asyncio.Event
    ledger: Ledger
    held: list[mageflow.Member] = field(default_factory=list)
    """Members that a test holds: a resume of the whole does not release them."""

    @property
    def key(self) -> str:
        return self.signature.key

    async def at_the_fan(self) -> None:
        """Wait until the members of the second step run."""
        await self.ledger.has_begun("left")
        await self.ledger.has_begun("other")

    def will_hold(self, path: str) -> None:
        self.held.append(mageflow.Member(self.signature.owner, f"{self.key}#{path}"))

    async def member(self, path: str) -> Any:
        return (await self.signature.status()).find(path)


@pytest.fixture
def temporal(server: EmbeddedServer) -> TemporalCli:
    return TemporalCli(server)


@pytest.fixture
async def pipeline(mf: Mageflow, ledger: Ledger) -> AsyncIterator[Pipeline]:
    gate = asyncio.Event()
    for name in ("first", "left", "right", "other", "last"):
        add_task(mf, name, ledger, None if name == "first" else gate)
    pair = await mf.chain(["left", "right"], name="pair")
    fan = await mf.swarm([pair, "other"], name="fan")
    made = Pipeline(await mf.chain(["first", fan, "last"], name="etl"), gate, ledger)
    async with mf.worker():
        await made.signature.start()
        await made.at_the_fan()
        yield made
        gate.set()
        for held in (made.signature, *made.held):
            with suppress(mageflow.SignatureEndedError):
                await held.resume()
        assert await made.signature.result(timeout=DEADLINE) == "last"
    assert ledger.begun["first"] == 1, "what has finished is never run again"


def add_task(mf: Mageflow, name: str, ledger: Ledger, gate: asyncio.Event | None) -> None:
    @mf.task(name=name)
    async def work() -> str:
        return await ledger.work(name, gate)


async def test_a_signal_without_a_payload_suspends_and_resumes_the_whole(
    temporal: TemporalCli, pipeline: Pipeline
) -> None:
    await temporal.signal(pipeline.key, "suspend")
    await reaches(pipeline.signature, "suspended")
    pipeline.gate.set()
    await reaches(pipeline.signature, "done", "1.0.0")
    report = await reaches(pipeline.signature, "done", "1.1")
    assert report.status == "done", "what ran went on to its end"
    assert (await pipeline.member("1.0.1")).status == "suspended"
    assert pipeline.ledger.begun["right"] == 0
    await temporal.signal(pipeline.key, "resume")
    await pipeline.ledger.has_begun("right")


async def test_a_signal_with_a_target_and_a_reason_suspends_a_member_two_levels_down(
    temporal: TemporalCli, pipeline: Pipeline
) -> None:
    pipeline.will_hold("1.0.1")
    await temporal.signal(pipeline.key, "suspend", json.dumps({"target": "1.0.1", "reason": "disk is full"}))
    held = await reaches(pipeline.signature, "suspended", "1.0.1")
    assert (held.reason, held.held_by, held.last_status) == ("disk is full", f"{pipeline.key}#1.0.1", "pending")
    assert (await pipeline.member("")).status == "active"
    pipeline.gate.set()
    await reaches(pipeline.signature, "done", "1.1")
    await reaches(pipeline.signature, "done", "1.0.0")
    assert pipeline.ledger.begun["right"] == 0
    await temporal.signal(pipeline.key, "resume", json.dumps({"target": "1.0.1"}))
    await pipeline.ledger.has_begun("right")


async def test_a_signal_interrupts_a_member_and_its_siblings_run_on(temporal: TemporalCli, pipeline: Pipeline) -> None:
    await temporal.signal(pipeline.key, "interrupt", json.dumps({"target": "1.0"}))
    await eventually(lambda: pipeline.ledger.cancelled["left"] == 1, "the code of left was cancelled")
    await reaches(pipeline.signature, "interrupted", "1.0.0")
    report = await reaches(pipeline.signature, "interrupted", "1.0")
    assert [child.status for child in report.children] == ["interrupted", "interrupted"]
    assert (await pipeline.member("1.1")).status == "active"
    assert pipeline.ledger.cancelled["other"] == 0
    await temporal.signal(pipeline.key, "resume", json.dumps({"target": "1.0"}))
    await pipeline.ledger.has_begun("left", 2)


async def test_a_signal_without_a_payload_interrupts_the_whole(temporal: TemporalCli, pipeline: Pipeline) -> None:
    await temporal.signal(pipeline.key, "interrupt")
    await reaches(pipeline.signature, "interrupted")
    await eventually(lambda: pipeline.ledger.cancelled.total() == 2, "both were cancelled")
    last = (await pipeline.member("")).last_verb
    assert last is not None
    assert (last.verb, last.accepted, last.target) == ("interrupt", True, "")


async def test_a_signal_to_many_at_once_by_a_query(temporal: TemporalCli, mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="idle")
    async def idle() -> str:
        return await ledger.work("idle")

    name = f"bulk-{mf.config.task_queue}"
    async with mf.worker():
        swarms = [await (await mf.swarm(["idle"], name=name)).start() for _ in range(3)]
        query = f"MageflowName = '{name}'"
        await eventually(lambda: _count(temporal, query, 3), "all three are listed")

        async def all_get(name: str) -> None:
            words = ("workflow", "signal", "--query", query, "--name", name, "--yes")

            async def sent() -> bool:
                said = await temporal(*words)
                assert said.code == 0 or "Max concurrent batch operations" in said.err, said.err
                return said.code == 0

            await eventually(sent, "the one batch that a server runs at a time is ours")

        await all_get("suspend")
        for swarm in swarms:
            await reaches(swarm, "suspended")
        await eventually(lambda: _count(temporal, f"{query} AND MageflowStatus = 'suspended'", 3), "all are suspended")
        await all_get("resume")
        await all_get("close")
        for swarm in swarms:
            assert await swarm.result() == ["idle"]


async def _count(temporal: TemporalCli, query: str, number: int) -> bool:
    said = await temporal.ok("workflow", "count", "--query", query, "--output", "json")
    return said.json().get("count") == str(number)


async def test_the_status_query_answers_with_the_tree(temporal: TemporalCli, pipeline: Pipeline) -> None:
    pipeline.will_hold("2")
    await temporal.signal(pipeline.key, "suspend", json.dumps({"target": "2", "reason": "not yet"}))
    await reaches(pipeline.signature, "suspended", "2")
    tree = await temporal.status(pipeline.key)
    assert (tree["kind"], tree["name"], tree["key"], tree["status"]) == ("chain", "etl", pipeline.key, "active")
    assert (tree["counts"]["total"], tree["counts"]["done"], tree["counts"]["suspended"]) == (3, 1, 1)
    first, fan, last = tree["children"]
    assert (first["kind"], first["status"], first["attempt"]) == ("task", "done", 1)
    assert (last["status"], last["reason"], last["held_by"]) == ("suspended", "not yet", f"{pipeline.key}#2")
    left = fan["children"][0]["children"][0]
    assert (left["key"], left["name"], left["status"]) == (f"{pipeline.key}#1.0.0", "left", "active")
    assert (tree["last_verb"]["verb"], tree["last_verb"]["target"], tree["last_verb"]["accepted"]) == (
        "suspend",
        "2",
        True,
    )


async def test_an_update_answers_with_the_report(temporal: TemporalCli, pipeline: Pipeline) -> None:
    words = ("workflow", "update", "execute", "--workflow-id", pipeline.key, "--output", "json")
    done = await temporal.ok(*words, "--name", "suspend", "--input", json.dumps({"reason": "maintenance"}))
    report = mageflow.LifecycleReport.model_validate(done.json()["result"])
    assert (report.verb, report.key, report.status, report.last_status) == (
        "suspend",
        pipeline.key,
        "suspended",
        "active",
    )
    assert sorted(report.draining) == [f"{pipeline.key}#1.0.0", f"{pipeline.key}#1.1"]
    resumed = await temporal.ok(*words, "--name", "resume")
    assert resumed.json()["result"]["status"] == "active"


async def test_an_update_that_is_refused_says_why(temporal: TemporalCli, pipeline: Pipeline) -> None:
    words = ("workflow", "update", "execute", "--workflow-id", pipeline.key, "--name", "suspend")
    running = await temporal(*words, "--input", json.dumps({"target": "1.1"}))
    assert running.code != 0
    for part in (
        f"task '{pipeline.key}#1.1' is already running (attempt 1 since ",
        "TaskAlreadyRunningError",
        "interrupt()",
    ):
        assert part in running.err
    refusals = {
        "7": "Input should be a valid dictionary",
        '{"target": "9"}': f"'{pipeline.key}' has no member '9'",
        '{"target": "0"}': f"'{pipeline.key}#0' is done",
        '{"tarket": "0"}': "tarket: Extra inputs are not permitted",
    }
    for payload, why in refusals.items():
        said = await temporal(*words, "--input", payload)
        assert said.code != 0
        assert why in said.err
    two = await temporal(*words, "--input", "{}", "--input", "{}")
    assert "takes one payload at most, got 2" in two.err
    assert pipeline.ledger.cancelled.total() == 0
    assert (await pipeline.member("")).status == "active"
    assert not [event for event in await temporal.events(pipeline.key) if "TASK_FAILED" in event]


async def test_describe_and_metadata_show_what_it_is_how_it_stands_and_what_it_obeys(
    temporal: TemporalCli, pipeline: Pipeline
) -> None:
    pipeline.will_hold("1.0.1")
    await temporal.signal(pipeline.key, "suspend", json.dumps({"target": "1.0.1", "reason": "disk is full"}))
    await reaches(pipeline.signature, "suspended", "1.0.1")
    described = (await temporal.ok("workflow", "describe", "--workflow-id", pipeline.key)).out
    for part in ("mageflow.chain", "chain etl: first → fan → last", "MageflowStatus", "left", "Started"):
        assert part in described
    said = await temporal.ok("workflow", "metadata", "--workflow-id", pipeline.key, "--output", "json")
    [metadata] = said.json()["queryResult"]
    told = [" ".join(line.split()) for line in metadata["currentDetails"].splitlines()]
    for line in (
        "▶ **chain etl** is **active**",
        "| 1.0.0 | ▶ active | left | |",
        "| 1.0.1 | ‖ suspended | right | disk is full |",
    ):
        assert line in told
    assert any(line.startswith("Last asked: **suspend** of 1.0.1 at ") for line in told)
    definition = metadata["definition"]
    for kind in ("signalDefinitions", "updateDefinitions"):
        described = {handler["name"]: handler["description"] for handler in definition[kind]}
        assert {"suspend", "interrupt", "resume"} <= set(described)
        for verb in ("suspend", "interrupt", "resume"):
            assert 'Payload: {"target": "2.1", ' in described[verb]
    [query] = [handler for handler in definition["queryDefinitions"] if handler["name"] == "status"]
    assert "as a tree" in query["description"]


async def test_a_list_finds_signatures_by_status_name_and_kind(temporal: TemporalCli, pipeline: Pipeline) -> None:
    async def listed(query: str) -> bool:
        said = await temporal.ok("workflow", "list", "--query", query, "--output", "json")
        return pipeline.key in [execution["execution"]["workflowId"] for execution in said.json()]

    await eventually(lambda: listed("MageflowStatus = 'active' AND MageflowName = 'etl'"), "it is listed as active")
    await temporal.signal(pipeline.key, "suspend")
    await eventually(lambda: listed("MageflowStatus='suspended'"), "it is listed as suspended")
    assert await listed("MageflowKind = 'chain'")
    assert not await listed("MageflowStatus = 'active'")
    await temporal.signal(pipeline.key, "interrupt")
    await eventually(lambda: listed("MageflowStatus = 'interrupted'"), "it is listed as interrupted")


async def test_the_timeline_labels_activities_with_task_names_and_places(
    temporal: TemporalCli, pipeline: Pipeline
) -> None:
    shown = (await temporal.ok("workflow", "show", "--workflow-id", pipeline.key, "--output", "json")).json()
    scheduled = [event for event in shown["events"] if event["eventType"] == "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED"]
    names = {
        event["activityTaskScheduledEventAttributes"]["activityId"]: event["activityTaskScheduledEventAttributes"][
            "activityType"
        ]["name"]
        for event in scheduled
    }
    assert names == {"0": "first", "1.0.0": "left", "1.1": "other"}
    summaries = [json.loads(b64decode(event["userMetadata"]["summary"]["data"])) for event in scheduled]
    assert dict(zip(names, summaries, strict=True)) == {
        "0": "step 1 of 3, target 0",
        "1.0.0": "step 1 of 2 in pair, target 1.0.0",
        "1.1": "item 2 of 2 in fan, target 1.1",
    }
