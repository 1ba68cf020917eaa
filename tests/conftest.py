"""One embedded Temporal server for the session; an app with a task queue of its own for each test.

When a test has ended, the histories that it made are replayed: whatever the engine did, it must do again.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig
from mageflow_temporal.engine import WORKFLOWS
from tests.mageflow_cli import MageflowCli
from tests.support import Ledger


@pytest.fixture(scope="session")
def server(mageflow_server: EmbeddedServer) -> EmbeddedServer:
    return mageflow_server


@pytest.fixture
async def mf(server: EmbeddedServer) -> AsyncIterator[Mageflow]:
    app = Mageflow(server.target, config=MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}"))
    yield app
    await replay_all(app)


async def replay_all(app: Mageflow) -> int:
    """Replay each history on the app's queue, and return how many there were."""
    client = await app.client()
    replayer = Replayer(workflows=WORKFLOWS)
    replayed = 0
    query = f"TaskQueue = '{app.config.task_queue}' AND WorkflowType STARTS_WITH 'mageflow.'"
    async for execution in client.list_workflows(query):
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        try:
            history = await handle.fetch_history()
        except RPCError as error:
            assert error.status == RPCStatusCode.NOT_FOUND  # noqa: PT017 - nothing else is to be expected
            continue  # it was removed by its test
        if not any(event.HasField("workflow_task_completed_event_attributes") for event in history.events):
            continue  # a new run that no worker has taken up: nothing to replay, for which the replayer waits for ever
        await replayer.replay_workflow(history)
        replayed += 1
    return replayed


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def cli(server: EmbeddedServer, mf: Mageflow) -> MageflowCli:
    return MageflowCli(server, mf)
