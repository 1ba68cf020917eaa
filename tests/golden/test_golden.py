"""Today's engine does again whatever earlier ones did, and goes on from whatever they left behind."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import default
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from mageflow_temporal import EmbeddedServer
from mageflow_temporal.engine import WORKFLOWS
from mageflow_temporal.engine.tree import Progress
from tests.golden.features import FEATURES, LIMIT, Stage
from tests.golden.histories import FORMS, RECORDED, VERSION, Golden, forms, order_of, recorded, start_of

ENDS_BY_ITSELF = [
    "task",
    "retry",
    "chain",
    "nested",
    "swarm",
    "success_callbacks",
    "map_of_the_result_before",
    "new_runs_of_a_chain",
    "new_runs_of_what_is_nested",
]
"""Features whose signature needs nothing but its start."""

ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])(?:/[\w.+-]+){2,}|\b[A-Z]:\\")


def named(path: Path) -> str:
    return f"{path.parent.name}-{path.name.partition('.')[0]}"


everything = pytest.mark.parametrize("path", recorded(), ids=named)


def test_every_feature_has_a_history() -> None:
    missing = FEATURES.keys() - {path.name.partition(".")[0] for path in recorded() if path.parent.name == VERSION}
    assert not missing, f"record them with `make golden`: {sorted(missing)}"


def test_what_travels_has_the_form_that_was_recorded() -> None:
    """A changed form is nothing wrong, but a decision: CONTRIBUTING.md says when a version number grows with it."""
    assert forms() == json.loads(FORMS.read_text()), "see CONTRIBUTING.md, 'Upgrades'; then `make golden`"


def test_all_of_it_is_small() -> None:
    assert sum(path.stat().st_size for path in RECORDED.rglob("*.*")) < 1_500_000


@everything
async def test_todays_engine_does_again_what_was_done(path: Path) -> None:
    golden = Golden.read(path)
    assert golden.histories
    replayer = Replayer(workflows=WORKFLOWS)
    for history in golden.histories:
        await replayer.replay_workflow(history)


async def test_an_engine_that_does_something_else_is_found_out() -> None:
    path = next(path for path in recorded() if path.name.startswith("chain."))
    [history] = Golden.read(path).histories
    for event in history.events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            event.activity_task_scheduled_event_attributes.activity_type.name = "another"
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=WORKFLOWS).replay_workflow(history)


@pytest.mark.parametrize(
    "path", [path for path in recorded() if path.name.partition(".")[0] in ENDS_BY_ITSELF], ids=named
)
async def test_todays_worker_carries_out_what_was_ordered_or_handed_over(server: EmbeddedServer, path: Path) -> None:
    golden = Golden.read(path)
    client = await Client.connect(server.target)

    async def carried_out(history: WorkflowHistory) -> Any:
        start = start_of(history)
        handle = await client.start_workflow(
            start.workflow_type.name,
            order_of(history),
            id=f"{history.workflow_id}-{uuid.uuid4().hex[:8]}",
            task_queue=start.task_queue.name,
        )
        return await asyncio.wait_for(handle.result(), LIMIT)

    async with Stage(client, golden.feature).worker():
        results = await asyncio.gather(*map(carried_out, golden.histories))
    assert results == [result_of(golden.histories[-1])] * len(results)


@everything
def test_a_history_says_nothing_of_the_machine_that_made_it(path: Path) -> None:
    for key, text in texts(json.loads(gzip.decompress(path.read_bytes()))):
        assert not ABSOLUTE_PATH.search(text), text
        assert key != "identity" or text in ("golden", "silent", "history-service"), text


def result_of(history: WorkflowHistory) -> Any:
    completed = history.events[-1].workflow_execution_completed_event_attributes
    [result] = default().payload_converter.from_payloads(completed.result.payloads)
    return result


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a history as JSON, with its name; payloads as what they hold, progress unpacked."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from texts(inner, name)
        case list():
            for inner in value:
                yield from texts(inner, key)
        case str() if key == "data":
            yield from texts(json.loads(base64.b64decode(value) or b"null"))
        case str() if key == "progress":
            yield from texts(Progress.unpacked(value).model_dump(mode="json"))
        case str():
            yield key, value
        case _:
            pass
