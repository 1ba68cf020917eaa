"""Priorities and fairness keys are the server's: what a task or a start says reaches it, and it goes by them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from mageflow_temporal import Mageflow
from tests.support import Ledger, eventually


async def scheduled(mf: Mageflow, key: str) -> dict[str, tuple[int, str, float]]:
    """Return what the server has noted of each activity of a signature: priority, fairness key and weight."""
    history = await (await mf.client()).get_workflow_handle(key).fetch_history()
    found: dict[str, tuple[int, str, float]] = {}
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            attributes = event.activity_task_scheduled_event_attributes
            priority = attributes.priority
            found[attributes.activity_id] = (
                priority.priority_key,
                priority.fairness_key,
                round(priority.fairness_weight, 3),
            )
    return found


async def started(mf: Mageflow, key: str) -> tuple[int, str, float]:
    history = await (await mf.client()).get_workflow_handle(key).fetch_history()
    priority = history.events[0].workflow_execution_started_event_attributes.priority
    return priority.priority_key, priority.fairness_key, round(priority.fairness_weight, 3)


def tasks(mf: Mageflow) -> tuple[Any, Any, Any]:
    @mf.task(name="urgent", priority=1, fairness_key="acme", fairness_weight=2.5)
    async def urgent() -> None: ...

    @mf.task(name="plain")
    async def plain() -> None: ...

    @mf.task(name="low", priority=5)
    async def low() -> None: ...

    return urgent, plain, low


async def test_a_tasks_options_are_on_its_activity(mf: Mageflow) -> None:
    urgent, plain, low = tasks(mf)
    async with mf.worker():
        swarm = await mf.swarm([urgent, plain, await mf.chain([low, plain])])
        await swarm.run()
    assert await started(mf, swarm.key) == (0, "", 0)
    assert await scheduled(mf, swarm.key) == {
        "0": (1, "acme", 2.5),
        "1": (0, "", 0),
        "2.0": (5, "", 0),
        "2.1": (0, "", 0),
    }


async def test_a_starts_are_the_workflows_which_its_tasks_inherit_where_they_say_nothing(mf: Mageflow) -> None:
    urgent, plain, low = tasks(mf)
    async with mf.worker():
        swarm = await mf.swarm([urgent, plain, low])
        await swarm.run(priority=2, fairness_key="zenith", fairness_weight=0.5)
    assert await started(mf, swarm.key) == (2, "zenith", 0.5)
    # What a field of an activity does not say is the workflow's to the server: it fills it in only where it matches.
    assert await scheduled(mf, swarm.key) == {"0": (1, "acme", 2.5), "1": (0, "", 0), "2": (5, "", 0)}


async def test_a_late_start_gives_them_to_the_tasks(mf: Mageflow) -> None:
    urgent, plain, low = tasks(mf)
    async with mf.worker():
        swarm = await mf.swarm([urgent, plain, low], is_swarm_closed=True)
        await swarm.suspend()
        await swarm.start(priority=2, fairness_key="zenith", fairness_weight=0.5)
        await swarm.resume()
        await swarm.result(timeout=20)
    assert await scheduled(mf, swarm.key) == {
        "0": (1, "acme", 2.5),
        "1": (2, "zenith", 0.5),
        "2": (5, "zenith", 0.5),
    }


async def test_failed_items_that_run_again_do_so_with_the_priority_of_their_swarm(mf: Mageflow) -> None:
    @mf.task(name="broken")
    async def broken() -> None:
        raise ValueError

    async with mf.worker():
        swarm = await mf.swarm([broken])
        await swarm.run(priority=2, fairness_key="zenith", fairness_weight=0.5)
        again = await swarm.retry_failed()
        await again.result(timeout=20)
    assert again.key != swarm.key
    assert await started(mf, again.key) == (2, "zenith", 0.5)


@pytest.mark.parametrize("options", [{"priority": 6}, {"fairness_key": ""}, {"fairness_weight": 0}], ids=str)
async def test_what_is_out_of_range_is_refused_at_the_definition_and_at_the_start(
    mf: Mageflow, options: dict[str, Any]
) -> None:
    _, plain, _ = tasks(mf)
    [option] = options
    with pytest.raises(ValidationError, match=option):
        mf.task(**options)
    signature = await mf.sign(plain)
    with pytest.raises(ValidationError, match=option):
        await signature.start(**options)
    assert await mf.load_signature(signature.key) is None


async def backlog(mf: Mageflow, queue: str, size: int) -> None:
    """Wait until so many tasks wait in a queue that nobody listens on."""
    client = await mf.client()
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
    )

    async def probe() -> bool:
        return (await client.workflow_service.describe_task_queue(request)).stats.approximate_backlog_count >= size

    await eventually(probe, f"{size} tasks wait")


async def test_what_is_urgent_overtakes_a_backlog(mf: Mageflow, ledger: Ledger) -> None:
    queue = f"{mf.config.task_queue}-slow"

    @mf.task(name="slow", task_queue=queue)
    async def slow(msg: dict[str, Any]) -> None:
        await ledger.work(msg["n"], seconds=0.01)

    async with mf.worker(task_queues=[mf.config.task_queue]):
        many = await mf.swarm([await mf.sign(slow, n="low") for _ in range(30)], is_swarm_closed=True)
        await many.start(priority=5)
        await backlog(mf, queue, 30)
        urgent = await mf.sign(slow, n="high")
        await urgent.start(priority=1)
        await backlog(mf, queue, 31)
        async with mf.worker(task_queues=[queue], max_concurrent_tasks=1):
            await urgent.result(timeout=20)
            await many.result(timeout=20)
    assert "high" in ledger.order[:3], "but for what a poller had taken already"


async def test_fairness_keys_take_turns(mf: Mageflow, ledger: Ledger) -> None:
    queue = f"{mf.config.task_queue}-slow"

    @mf.task(name="slow", task_queue=queue)
    async def slow(msg: dict[str, Any]) -> None:
        await ledger.work(msg["n"], seconds=0.01)

    async with mf.worker(task_queues=[mf.config.task_queue]):
        big = await mf.swarm([await mf.sign(slow, n="big") for _ in range(30)], is_swarm_closed=True)
        await big.start(fairness_key="big")
        await backlog(mf, queue, 30)
        small = await mf.swarm([await mf.sign(slow, n="small") for _ in range(5)], is_swarm_closed=True)
        await small.start(fairness_key="small")
        await backlog(mf, queue, 35)
        async with mf.worker(task_queues=[queue], max_concurrent_tasks=1):
            await small.result(timeout=20)
            await big.result(timeout=20)
    assert max(index for index, name in enumerate(ledger.order) if name == "small") < 20, ledger.order
