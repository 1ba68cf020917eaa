"""Workers and workflows that users have made themselves, with our plugin."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, Status
from mageflow_temporal.app import apps
from tests import own_shop
from tests.own_shop import (
    QUEUE,
    ActivityWorkflow,
    FailingWorkflow,
    ImpatientWorkflow,
    KilledWorkflow,
    OrderWorkflow,
    StartingWorkflow,
    WaitingWorkflow,
    mf,
)
from tests.support import DEADLINE, Diary, eventually, reaches, worker_process

OwnId = Callable[[str], str]
RESULTS = ["2", "2 by plane", "[2, 2]", "[1, 2]", "2"]


@pytest.fixture
def own_id() -> OwnId:
    suffix = uuid.uuid4().hex[:8]
    return lambda name: f"{name}-{suffix}"


@dataclass
class Place:
    """A user's client, whose workers have some of the workflows of his module."""

    client: Client
    workflows: list[type] = field(default_factory=list)

    def worker(self, *workflows: type, **options: Any) -> Worker:
        self.workflows += workflows
        return Worker(self.client, task_queue=QUEUE, workflows=workflows, **options)

    async def start(self, name: str, *args: Any) -> WorkflowHandle[Any, Any]:
        return await self.client.start_workflow(name, args=args, id=f"{name}-{uuid.uuid4().hex}", task_queue=QUEUE)

    async def execute(self, name: str, *args: Any) -> Any:
        return await asyncio.wait_for((await self.start(name, *args)).result(), DEADLINE)


@pytest.fixture
async def place(server: EmbeddedServer) -> AsyncIterator[Place]:
    """What has been done there is replayed at the end, with the plugin."""
    client, began = await Client.connect(server.target, plugins=[mf.plugin()]), datetime.now(UTC)
    made = Place(client)
    async with mf.connected_to(client):
        yield made
    replayer = Replayer(workflows=made.workflows, plugins=[mf.plugin()])
    async for execution in client.list_workflows(f"TaskQueue = '{QUEUE}' AND StartTime >= '{began.isoformat()}'"):
        await replayer.replay_workflow(await client.get_workflow_handle(execution.id).fetch_history())


async def test_a_sandboxed_workflow_runs_each_kind_of_signature_and_gets_typed_results(place: Place) -> None:
    # Nothing is cached: each workflow task replays all that was before.
    async with place.worker(OrderWorkflow, max_cached_workflows=0):
        got = await place.execute("shop-order", ["Emma", "Ulysses"])
    assert got == RESULTS


async def test_the_same_with_the_data_converter_that_users_of_pydantic_have(server: EmbeddedServer) -> None:
    place = Place(await Client.connect(server.target, plugins=[mf.plugin()], data_converter=pydantic_data_converter))
    async with place.worker(OrderWorkflow):
        assert await place.execute("shop-order", ["Emma", "Ulysses"]) == RESULTS


async def test_modules_that_the_sandbox_imports_anew_add_no_apps_to_the_process(place: Place) -> None:
    async with place.worker(ActivityWorkflow):
        before = len(apps)
        await place.execute("shop-activity", ["Emma"])
        assert len(apps) == before


async def test_a_child_is_listed_and_steered_from_outside_like_any_other(place: Place, own_id: OwnId) -> None:
    key, first = own_id("slow"), own_id("first")
    async with place.worker(WaitingWorkflow):
        handle = await place.start("shop-waiting", key, {"name": first, "seconds": 60})
        await own_shop.ledger.has_begun(first)
        report = await mf.interrupt(key, "lunch")
        assert report.status == Status.INTERRUPTED
        signature = await mf.load_signature(key)
        assert (await reaches(signature, "interrupted")).kind == "chain"
        listed = await eventually(
            lambda: ours(place.client, f"MageflowStatus = 'interrupted' AND WorkflowId = '{key}'"), "it is listed"
        )
        assert listed == [key]
        await mf.resume(key)
        assert await asyncio.wait_for(handle.result(), DEADLINE) == "second"


async def ours(client: Client, query: str) -> list[str]:
    return [execution.id async for execution in client.list_workflows(query)]


async def test_a_cancel_of_the_workflow_stops_what_it_runs_before_it_ends(place: Place, own_id: OwnId) -> None:
    key, first = own_id("slow"), own_id("cancelled")
    async with place.worker(WaitingWorkflow):
        handle = await place.start("shop-waiting", key, {"name": first, "seconds": 60})
        await own_shop.ledger.has_begun(first)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for(handle.result(), DEADLINE)
        assert isinstance(failed.value.cause, CancelledError)
        assert own_shop.ledger.cancelled[first] == 1
        assert (await (await mf.load_signature(key)).status()).status == Status.CANCELED


async def test_a_child_that_was_cancelled_by_itself_is_an_error_of_the_workflow(place: Place, own_id: OwnId) -> None:
    key, first = own_id("slow"), own_id("removed")
    async with place.worker(WaitingWorkflow):
        handle = await place.start("shop-waiting", key, {"name": first, "seconds": 60})
        await own_shop.ledger.has_begun(first)
        await place.client.get_workflow_handle(key).cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for(handle.result(), DEADLINE)
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.type == "SignatureCanceledError"


@pytest.mark.parametrize("tied", [True, False])
async def test_what_a_workflow_has_started_outlives_it_unless_it_is_tied(
    place: Place, own_id: OwnId, tied: bool
) -> None:
    key, name = own_id("started"), own_id("work")
    async with place.worker(StartingWorkflow):
        await place.execute("shop-starting", key, {"name": name, "seconds": 60 if tied else 0.3}, tied)
        signature = await mf.load_signature(key)
        if tied:
            with pytest.raises(mageflow.SignatureCanceledError):
                await signature.result(DEADLINE)
        else:
            assert await signature.result(DEADLINE) == name


async def test_a_workflow_that_gives_up_waiting_can_wait_again(place: Place, own_id: OwnId) -> None:
    name = own_id("long")
    async with place.worker(ImpatientWorkflow):
        got = await place.execute("shop-impatient", {"name": name, "seconds": 1})
    assert got == ["ResultTimeoutError", name]
    assert own_shop.ledger.begun[name] == 1


@pytest.mark.parametrize(
    ("case", "type_", "words"),
    [
        ("task", "TaskFailedError", "failed after 2 attempts: LookupError: no Emma"),
        ("message", "InvalidMessageError", "does not fit task 'shop-print': titles"),
        ("same key", "SignatureAlreadyStartedError", "has been started already"),
        ("size", "PayloadTooLargeError", "with its message is larger than the server accepts"),
    ],
)
async def test_a_failure_is_our_error_in_the_workflow_and_fails_it_where_it_is_not_caught(
    place: Place, case: str, type_: str, words: str
) -> None:
    async with place.worker(FailingWorkflow):
        caught = await place.execute("shop-failing", f"caught {case}")
        assert caught[0] == type_
        assert words in caught[1]
        with pytest.raises(WorkflowFailureError) as failed:
            await place.execute("shop-failing", case)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == type_
    assert words in failed.value.cause.message


@pytest.mark.parametrize("case", ["connection", "verb"])
async def test_what_needs_a_connection_is_refused_in_a_workflow(place: Place, case: str) -> None:
    async with place.worker(FailingWorkflow):
        caught = await place.execute("shop-failing", f"caught {case}")
    assert caught[0] == "InWorkflowError"


async def test_a_worker_without_the_plugin_says_what_is_missing(server: EmbeddedServer, own_id: OwnId) -> None:
    client = await Client.connect(server.target)
    queue = own_id("without")
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=queue, workflows=[FailingWorkflow], workflow_runner=runner):
        caught = await client.execute_workflow("shop-failing", "caught task", id=queue, task_queue=queue)
    assert caught[0] == "MissingPluginError"
    assert "plugins=[mf.plugin()]" in caught[1]


async def test_a_task_is_an_activity_for_a_workflow_that_calls_it_so(place: Place) -> None:
    async with place.worker(ActivityWorkflow):
        assert await place.execute("shop-activity", ["Emma"]) == 1


async def test_a_chain_and_the_workflow_that_runs_it_go_on_after_their_worker_was_killed(
    place: Place, server: EmbeddedServer, own_id: OwnId, tmp_path: Path
) -> None:
    place.workflows.append(KilledWorkflow)
    diary = Diary(tmp_path / "diary")
    async with worker_process("tests.own_shop", TEMPORAL_ADDRESS=server.target):
        handle = await place.start("shop-killed", own_id("noted"), str(diary.path))
        await diary.has("begun")
    async with worker_process("tests.own_shop", TEMPORAL_ADDRESS=server.target):
        await diary.has("begun", 2)
        diary.note("go")
        assert await asyncio.wait_for(handle.result(), DEADLINE) == "noted"
    assert len(diary.read("begun")) == 3, "the first step twice, since its first worker was lost; the second once"


# The worker.


@activity.defn(name="theirs")
async def theirs() -> None: ...


async def test_the_plugin_may_be_given_to_client_and_worker_and_beside_that_of_another_app(
    place: Place, own_id: OwnId
) -> None:
    other = Mageflow(config=MageflowConfig(task_queue=QUEUE))

    @other.task(name=own_id("other"))
    async def task() -> str:
        return "done by the other"

    with pytest.warns(UserWarning, match="present from both client and worker"):
        own = place.worker(ActivityWorkflow, plugins=[mf.plugin(), other.plugin()], activities=[theirs])
    async with own, other.connected_to(place.client):
        assert await (await other.sign(task)).run() == "done by the other"
        assert await place.execute("shop-activity", ["Emma"]) == 1


async def test_a_worker_of_ones_own_keeps_the_settings_that_were_chosen_and_gets_ours_for_the_others(
    place: Place,
) -> None:
    chosen = timedelta(seconds=7)
    config = place.worker(ActivityWorkflow, max_heartbeat_throttle_interval=chosen).config(active_config=True)
    assert config["max_heartbeat_throttle_interval"] == chosen
    assert config["default_heartbeat_throttle_interval"] == timedelta(seconds=1)
    assert config["sticky_queue_schedule_to_start_timeout"] == timedelta(seconds=1.5)
    assert config["graceful_shutdown_timeout"] == timedelta(0), "how a worker stops is its owner's affair"


async def test_tasks_that_start_work_use_the_connection_of_the_worker_that_runs_them(
    server: EmbeddedServer, own_id: OwnId
) -> None:
    # The app itself would connect to where nobody is.
    app = Mageflow("127.0.0.1:1", config=MageflowConfig(task_queue=own_id("connection")))

    @app.task(name="inner")
    async def inner() -> str:
        return "inner"

    @app.task(name="outer")
    async def outer() -> str:
        return await (await app.sign(inner)).run()

    client = await Client.connect(server.target)
    starter = Mageflow(client, config=app.config)
    starter.declare("outer")
    async with Worker(client, task_queue=app.config.task_queue, plugins=[app.plugin()]):
        assert await (await starter.sign("outer")).run() == "inner"


async def test_a_worker_that_cannot_ask_its_server_ends_with_the_reason(place: Place, monkeypatch: Any) -> None:
    async def refused(*_: Any) -> None:
        raise mageflow.ServerRefusedError(target="there", namespace="default", cause="no")

    monkeypatch.setattr("mageflow_temporal.connection.connect", refused)

    async def run() -> None:
        async with place.worker(ActivityWorkflow):
            await asyncio.sleep(60)

    with pytest.raises(mageflow.ServerRefusedError):
        await asyncio.wait_for(run(), 10)
