"""Clients and workers of different versions: what is newer than a worker waits for a newer one, or is refused."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.api.history.v1 import WorkflowTaskFailedEventAttributes

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, plan
from mageflow_temporal.key import Key
from mageflow_temporal.engine import tree
from mageflow_temporal.plan import PLAN_VERSION, Plan
from mageflow_temporal.protocol import AddRequest, Memo, Order
from tests.support import Ledger, eventually


def greeting(mf: Mageflow, ledger: Ledger) -> Any:
    @mf.task(name="greet")
    async def greet(msg: dict[str, Any]) -> str:
        return await ledger.work("greet")

    return greet


async def refusals(mf: Mageflow, key: str) -> list[WorkflowTaskFailedEventAttributes]:
    history = await (await mf.client()).get_workflow_handle(key).fetch_history()
    failed = "workflow_task_failed_event_attributes"
    return [getattr(event, failed) for event in history.events if event.HasField(failed)]


async def test_what_a_newer_client_started_waits_for_a_newer_worker(
    monkeypatch: pytest.MonkeyPatch, mf: Mageflow, ledger: Ledger
) -> None:
    signature = await mf.sign(greeting(mf, ledger))
    newer = signature._compile().model_copy(update={"version": PLAN_VERSION + 1})
    await (await mf.control()).start(signature.key, newer, Memo(name="greet"), message={})
    loaded = await mf.load_signature(signature.key)
    assert loaded
    async with mf.worker():
        [first, *_] = await eventually(lambda: refusals(mf, signature.key), "the worker has refused it")
        assert first.failure.application_failure_info.type == "NewerVersionError"
        assert first.failure.message.endswith(
            f"(plan version {PLAN_VERSION + 1}; this process knows {PLAN_VERSION}): upgrade this process"
        )
        monkeypatch.setattr(plan, "PLAN_VERSION", PLAN_VERSION + 1)
        assert await loaded.result(timeout=40) == "greet"
    assert ledger.begun["greet"] == 1


async def test_what_a_newer_worker_handed_over_waits_for_a_newer_worker(
    monkeypatch: pytest.MonkeyPatch, mf: Mageflow, ledger: Ledger
) -> None:
    signature = await mf.sign(greeting(mf, ledger))
    root = tree.NodeState(waiting=True)
    handed_over = tree.Progress(plan=signature._compile(), started=True, message={}, root=root).packed()
    newer = handed_over.replace(f"{tree.PROGRESS_VERSION}:", f"{tree.PROGRESS_VERSION + 1}:", 1)
    control = await mf.control()
    handle = await control.client.start_workflow(
        "mageflow.task", Order(progress=newer).to_wire(), id=signature.key, task_queue=mf.config.task_queue
    )
    async with mf.worker():
        [first, *_] = await eventually(lambda: refusals(mf, signature.key), "the worker has refused it")
        assert first.failure.message.startswith("this progress was made by a newer mageflow_temporal")
        monkeypatch.setattr(tree, "PROGRESS_VERSION", tree.PROGRESS_VERSION + 1)
        assert await handle.result() == "greet"
    assert ledger.begun["greet"] == 1


async def test_items_of_a_newer_client_are_refused_and_leave_no_trace(mf: Mageflow, ledger: Ledger) -> None:
    greet = greeting(mf, ledger)
    async with mf.worker():
        swarm = await mf.swarm([greet])
        await swarm.start({})
        control = await mf.control()
        newer = {**AddRequest(items=(), tasks={}).to_wire(), "version": PLAN_VERSION + 1}
        with pytest.raises(mageflow.NewerVersionError):
            await control.line.update(Key(swarm.key), "add", {"adds": [newer]})
        await swarm.close()
        assert await swarm.result(timeout=40) == ["greet"]
    history = await (await mf.client()).get_workflow_handle(swarm.key).fetch_history()
    names = [
        event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        for event in history.events
        if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    assert names == ["close"]
