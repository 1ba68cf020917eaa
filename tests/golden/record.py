"""Records the histories of all features on an embedded server: `python -m tests.golden.record`, or `make golden`.

What the version of `pyproject.toml` has recorded before is replaced, as long as that version is not released.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil

from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import DataConverter, DefaultFailureConverter, PayloadConverter

from mageflow_temporal import server
from tests.golden.features import EVENTS_PER_RUN, FEATURES, Stage
from tests.golden.histories import FORMS, RECORDED, ROOT, VERSION, Golden, forms, start_of

AT_ONCE = 6
_FILE = re.compile(r'File "[^"]*?([^"/\\]+)"')


class Anonymous(DefaultFailureConverter):
    """Names files in tracebacks without the folders that they are in."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        super().to_failure(exception, payload_converter, failure)
        inner = failure
        while True:
            inner.stack_trace = _FILE.sub(r'File "\1"', inner.stack_trace)
            if not inner.HasField("cause"):
                return
            inner = inner.cause


async def record() -> None:
    if f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text():
        msg = f"{VERSION} is released, and its histories stay as they are: give the package its next version first"
        raise SystemExit(msg)
    goldens: list[Golden] = []
    places = asyncio.Semaphore(AT_ONCE)
    async with server.run(ui=False) as running:
        client = await Client.connect(
            running.target, identity="golden", data_converter=DataConverter(failure_converter_class=Anonymous)
        )

        async def one(name: str) -> None:
            async with places:
                goldens.append(Golden(VERSION, name, await perform(client, name)))
                print(f"recorded {name}", flush=True)

        async with asyncio.TaskGroup() as group:
            for name in FEATURES:
                group.create_task(one(name))
    shutil.rmtree(RECORDED / VERSION, ignore_errors=True)
    for golden in goldens:
        golden.write()
    FORMS.write_text(json.dumps(forms(), indent=1) + "\n")
    size = sum(path.stat().st_size for path in (RECORDED / VERSION).iterdir())
    print(f"{len(FEATURES)} features, {size / 1024:.0f} KiB")


async def perform(client: Client, name: str) -> list[WorkflowHistory]:
    """Perform a feature and return the histories of its signatures, the runs of each in their order."""
    stage = Stage(client, name, EVENTS_PER_RUN.get(name))
    async with stage.worker():
        await FEATURES[name](stage)
        found = [run for key in stage.keys for run in await runs(client, key)]
        return found + [run for page in pages_of(found) for run in await runs(client, page)]


def pages_of(histories: list[WorkflowHistory]) -> list[str]:
    """Return the IDs of the workflows that keep results of others, as these started them."""
    events = [event for history in histories for event in history.events]
    begun = [event.child_workflow_execution_started_event_attributes.workflow_execution for event in events]
    return [execution.workflow_id for execution in begun if execution.workflow_id]


async def runs(client: Client, key: str) -> list[WorkflowHistory]:
    """Return the history of each run of a workflow, in their order."""
    found: list[WorkflowHistory] = []
    run_id: str | None = None
    while not found or run_id:
        found.insert(0, await client.get_workflow_handle(key, run_id=run_id).fetch_history())
        run_id = start_of(found[0]).continued_execution_run_id
    return found


if __name__ == "__main__":
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)  # tasks fail because that is a feature
    asyncio.run(record())
