"""Payloads that no client of ours makes: each gets an answer or a refusal, and no workflow task ever fails for one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    QueryWorkflowRequest,
    SignalWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.support import DEADLINE, Ledger, eventually

DEEP = 100_000
BACKLOG = 2_000
"""Signals that wait for a worker: more than the SDK lets a workflow task take in its two seconds."""


def json_plain(raw: bytes) -> list[Payload]:
    return [Payload(metadata={"encoding": b"json/plain"}, data=raw)]


def item(node: str, task: str = "ok", queue: str = "q", heartbeat: str = "PT5S") -> bytes:
    spec = f'{{"options": {{}}, "task_queue": "{queue}", "heartbeat_timeout": "{heartbeat}"}}'
    return f'{{"items": [{node}], "tasks": {{"{task}": {spec}}}}}'.encode()


def task(name: str = "ok", more: str = "") -> str:
    return f'{{"kind": "task", "task": "{name}", "name": "x"{more}}}'


def nested(kind: str, levels: int, more: str = "") -> str:
    return f'{{"kind": "{kind}", "name": "x"{more}, "members": [' * levels + task() + "]}" * levels


RAW: dict[str, bytes] = {
    "a list without end": b"[" * DEEP + b"]" * DEEP,
    "a dict without end": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep kwargs": b'{"kwargs": {"a":' + b"[" * 900 + b"]" * 900 + b"}}",
    "a deep result": b'{"target": "1", "result":' + b"[" * 900 + b"]" * 900 + b"}",
    "a deep message": b'{"message":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "kwargs that are no number": b'{"kwargs": {"a": NaN, "b": 1e400, "c": -Infinity}}',
    "a result that is no number": b'{"target": "1", "result": NaN}',
    "a message that is no number": b'{"message": {"a": NaN}}',
    "half a pair in kwargs": rb'{"kwargs": {"\ud800": "\udfff"}}',
    "half a pair in a result": rb'{"target": "1", "result": "\ud800"}',
    "half a pair in a reason": rb'{"reason": "\ud800"}',
    "half a pair in a target": rb'{"target": "\ud800"}',
    "half a pair in a message": rb'{"message": "\ud800"}',
    "half a pair in a field": rb'{"\ud800": 1}',
    "NUL in a reason": rb'{"target": "1", "reason": "\u0000"}',
    "NUL in a target": rb'{"target": "\u0000"}',
    "an integer that Python converts": b'{"max_concurrency":' + b"9" * 4000 + b"}",
    "an integer that Python does not convert": b'{"max_concurrency":' + b"9" * 5000 + b"}",
    "a huge integer in kwargs": b'{"kwargs": {"a":' + b"9" * 4000 + b"}}",
    "an infinite concurrency": b'{"max_concurrency": 1e400}',
    "a negative concurrency": b'{"max_concurrency": -1}',
    "an infinite first": b'{"first": 1e400}',
    "a huge first": b'{"first":' + b"9" * 30 + b"}",
    "an infinite delay": b'{"delay": 1e400}',
    "a delay of ages": b'{"delay": "P99999999999D"}',
    "a priority that is none": b'{"priority": {"priority": 99}}',
    "no JSON": b"{",
    "nothing": b"",
    "bytes that are no text": b'"\xff\xfe"',
    "a task that nobody describes": b'{"items": [%s], "tasks": {}}' % task("not-registered").encode(),
    "a task without a name": item(task(""), ""),
    "a task with a name without end": item(task("x" * 2000), "x" * 2000),
    "a task on a queue without a name": item(task(), queue=""),
    "a task on a queue with a name without end": item(task(), queue="q" * 1500),
    "a negative heartbeat timeout": item(task(), heartbeat="-PT5S"),
    "an empty chain": item('{"kind": "chain", "name": "x", "members": []}'),
    "an open swarm in a swarm": item('{"kind": "swarm", "name": "x", "members": []}'),
    "a chain without end": item(nested("chain", 150)),
    "a swarm without end": item(nested("swarm", 150, ', "closed": true')),
    "an item whose name is half a pair": item(task(more=r', "name": "\ud800"')),
    "an item whose kwargs are half a pair": item(task(more=r', "kwargs": {"a": "\ud800"}')),
    "an item whose kwargs are no number": item(task(more=', "kwargs": {"a": NaN}')),
    "a tie to half a pair": rb'{"ties": [{"key": "\ud800", "target": "0"}]}',
    "a tie to nobody": b'{"ties": [{"key": "", "target": "0"}]}',
    "a tie to a key without end": b'{"ties": [{"key": "' + b"k" * 3000 + b'", "target": "0"}]}',
}
PAYLOADS: dict[str, Sequence[Payload]] = {
    **{what: json_plain(raw) for what, raw in RAW.items()},
    "bytes": [Payload(metadata={"encoding": b"binary/plain"}, data=b"\xff\x00")],
    "an unknown encoding": [Payload(metadata={"encoding": b"made/up"}, data=b"x")],
    "no encoding": [Payload(data=b"x")],
    "no protobuf": [Payload(metadata={"encoding": b"json/protobuf", "messageType": b"none"}, data=b"{}")],
    "fifty payloads": json_plain(b"{}") * 50,
}
VERBS = ["suspend", "interrupt", "resume", "skip", "configure", "retry_failed", "close", "no-such-thing"]
ASKED = {
    "signal": VERBS,
    "update": [*VERBS, "start", "add", "tie"],
    "query": ["status", "outcomes", "rerun", "added", "no-such-thing"],
}


async def send(client: Client, how: str, key: str, name: str, payloads: Sequence[Payload]) -> None:
    """Send it; return when it has an answer, and whatever that is."""
    service, execution = client.workflow_service, WorkflowExecution(workflow_id=key)
    given = Payloads(payloads=payloads)
    async with asyncio.timeout(DEADLINE):
        if how == "signal":
            await service.signal_workflow_execution(
                SignalWorkflowExecutionRequest(
                    namespace=client.namespace,
                    workflow_execution=execution,
                    signal_name=name,
                    input=given,
                    request_id=uuid.uuid4().hex,
                )
            )
        elif how == "update":
            await service.update_workflow_execution(
                UpdateWorkflowExecutionRequest(
                    namespace=client.namespace,
                    workflow_execution=execution,
                    wait_policy=WaitPolicy(lifecycle_stage=Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED),
                    request=Request(meta=Meta(update_id=uuid.uuid4().hex), input=Input(name=name, args=given)),
                )
            )
        else:
            query = WorkflowQuery(query_type=name, query_args=given)
            try:
                await service.query_workflow(
                    QueryWorkflowRequest(namespace=client.namespace, execution=execution, query=query)
                )
            except RPCError as error:
                assert "workflow task" not in str(error).lower()


async def failed_workflow_tasks(mf: Mageflow, key: str) -> list[str]:
    history = await (await mf.client()).get_workflow_handle(key).fetch_history()
    return [
        event.workflow_task_failed_event_attributes.failure.message
        for event in history.events
        if event.HasField("workflow_task_failed_event_attributes")
    ]


@pytest.fixture
async def gate(mf: Mageflow, ledger: Ledger) -> asyncio.Event:
    gate = asyncio.Event()

    @mf.task(name="hold")
    async def hold() -> str:
        return await ledger.work("hold", gate)

    @mf.task(name="ok")
    async def ok() -> str:
        return "ok"

    return gate


@pytest.mark.parametrize(("how", "name"), [(how, name) for how, names in ASKED.items() for name in names])
async def test_whatever_is_sent_the_workflow_lives_on_and_ends_as_it_should(
    mf: Mageflow, gate: asyncio.Event, how: str, name: str
) -> None:
    client = await mf.client()
    async with mf.worker(shutdown_grace=timedelta(0)):
        swarm = await mf.swarm(["hold", "hold", "ok"], config=mageflow.SwarmConfig(max_concurrency=2))
        if name == "start":
            await swarm.suspend()
        else:
            await swarm.start()
        for what, payloads in PAYLOADS.items():
            await send(client, how, swarm.key, name, payloads)
            assert await failed_workflow_tasks(mf, swarm.key) == [], what
        if name == "start":
            await swarm.start()
        await swarm.resume()
        await mf.resume(f"{swarm.key}#1")
        gate.set()
        await swarm.close()
        results = await swarm.result(timeout=DEADLINE)
        assert len(results) == 3 or name in ("skip", "add")
    assert await failed_workflow_tasks(mf, swarm.key) == []


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # the SDK's, of a failed start
@pytest.mark.parametrize("kind", ["task", "chain", "swarm"])
async def test_a_workflow_that_is_started_by_hand_with_garbage_fails_at_once(mf: Mageflow, kind: str) -> None:
    client = await mf.client()
    unknown = {"root": {"kind": "task", "task": "unknown", "name": "x"}, "tasks": {}, "lost_worker_limit": 5}
    async with mf.worker():
        for number, args in enumerate(([], [None], [{}], [[1]], ["x"], [{"plan": {}}, 2], [{"plan": unknown}])):
            key = f"{mf.config.task_queue}-{kind}-{number}"
            handle = await client.start_workflow(f"mageflow.{kind}", args=args, id=key, task_queue=mf.config.task_queue)
            with pytest.raises(WorkflowFailureError):
                await asyncio.wait_for(handle.result(), DEADLINE)
            loaded: Any = await mf.load_signature(key)
            with pytest.raises(mageflow.InvalidRequestError, match=f"start of '{key}' was refused"):
                await loaded.result()


async def test_thousands_of_signals_that_have_waited_for_a_worker_are_all_taken(
    mf: Mageflow, gate: asyncio.Event, ledger: Ledger
) -> None:
    chain = await mf.chain(["hold", "ok"])
    await chain.start()
    handle = (await mf.client()).get_workflow_handle(chain.key)
    crowd = asyncio.Semaphore(50)

    async def shout(number: int) -> None:
        async with crowd:
            await handle.signal(["resume", "configure", "made-up"][number % 3], {"reason": str(number)})

    await asyncio.gather(*map(shout, range(BACKLOG)))
    await handle.signal("suspend", {"reason": "the last of them"})
    async with mf.worker(shutdown_grace=timedelta(0)):
        await eventually(lambda: _held_for(chain, "the last of them"), "the last signal is heard, after all others")
        await chain.resume()
        gate.set()
        assert await chain.result(timeout=DEADLINE) == "ok"
    assert await failed_workflow_tasks(mf, chain.key) == []


async def _held_for(signature: Any, reason: str) -> bool:
    return (await signature.status()).reason == reason
