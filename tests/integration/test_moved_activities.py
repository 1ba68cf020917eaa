"""Code that was a Temporal activity becomes a task as it is: what it asks of `temporalio.activity` is answered."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import Worker

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow
from tests.support import eventually

LONG = 60.0
app = Mageflow()


class Job(BaseModel):
    lines: int = 3
    fail_at: int = 2


def work(job: Job) -> list[int]:
    """Be an activity as one writes it for Temporal: it heartbeats where it stands, and goes on there."""
    info = activity.info()
    done = int(info.heartbeat_details[0]) if info.heartbeat_details else 0
    seen = [info.attempt]
    while done < job.lines:
        seen.append(done)
        done += 1
        activity.heartbeat(done)
        activity.heartbeat()  # without a detail it says only that the code lives
        if info.attempt == 1 and done == job.fail_at:
            raise ValueError("half way")
    return seen


@app.task(name="loop", retries=1, backoff_max_seconds=0.01)
async def on_loop(job: Job) -> list[int]:
    return work(job)


@app.task(name="thread", retries=1, backoff_max_seconds=0.01)
def in_thread(job: Job) -> list[int]:
    return work(job)


@app.task(name="several", retries=2)
def several() -> None:
    activity.heartbeat(1, 2)


def fail_with(detail: str) -> None:
    circle: list[Any] = []
    circle.append(circle)
    details = {"bytes": b"\xff\xfe", "circle": circle, "object": object()}
    msg = "the real error"
    raise ApplicationError(msg, details[detail], type="Real", non_retryable=True)


@app.task(name="detail-loop", retries=2)
async def detail_loop(which: str) -> None:
    fail_with(which)


@app.task(name="detail-process", retries=2, isolation="process")
def detail_process(which: str) -> None:
    fail_with(which)


@app.task(name="policy", retries=2)
async def policy() -> bool:
    return activity.info().retry_policy is None


@app.task(name="own-key")
async def own_key() -> str:
    return mageflow.current_task().key


@app.task(name="async-completion", retries=3)
async def complete_async() -> None:
    activity.raise_complete_async()


class Pause(BaseModel):
    seconds: float


def ask_for_a_pause(pause: Pause) -> str:
    if mageflow.current_task().attempt == 1:
        msg = "not before then"
        raise ApplicationError(msg, {"busy": "yes"}, type="Busy", next_retry_delay=timedelta(seconds=pause.seconds))
    return "well"


@app.task(name="pause-loop", retries=1)
async def pause_loop(pause: Pause) -> str:
    return ask_for_a_pause(pause)


@app.task(name="pause-process", retries=1, isolation="process")
def pause_process(pause: Pause) -> str:
    return ask_for_a_pause(pause)


@pytest.fixture(params=["server", "local"])
async def place(request: pytest.FixtureRequest, server: EmbeddedServer) -> AsyncIterator[str]:
    """Run the app, on a server or without one."""
    if request.param == "local":
        async with app.local_execution():
            yield request.param
    else:
        async with app.connected_to(server.target, task_queue=f"test-{uuid.uuid4().hex[:8]}"), app.worker():
            yield request.param


@pytest.mark.parametrize("task", ["loop", "thread"])
async def test_a_heartbeat_is_a_checkpoint_and_info_has_it_with_the_attempt(place: str, task: str) -> None:
    chain = await app.chain([task, await app.sign(task, fail_at=9)])
    await chain.start(Job())
    assert await chain.result(timeout=LONG) == [1, 0, 1, 2]
    again = await app.sign(task)
    assert await again.run(Job(), timeout=LONG) == [2, 2], "the second attempt goes on where the first one stood"


async def test_several_details_are_refused_with_what_to_do(place: str) -> None:
    task = await app.sign(several)
    with pytest.raises(mageflow.TaskFailedError, match="give it a list, a dict or a model") as caught:
        await task.run(timeout=LONG)
    assert (caught.value.type, caught.value.attempts) == ("HeartbeatDetailsError", 1)


async def test_the_one_attempt_that_the_server_makes_does_not_seem_to_be_the_last(place: str) -> None:
    assert await (await app.sign(policy)).run(timeout=LONG)


@pytest.mark.parametrize("task", ["detail-loop", "detail-process"])
@pytest.mark.parametrize("detail", ["bytes", "circle", "object"])
async def test_an_error_is_told_although_a_detail_of_it_cannot_be(place: str, task: str, detail: str) -> None:
    with pytest.raises(mageflow.TaskFailedError, match="the real error") as caught:
        await (await app.sign(task)).run(detail, timeout=LONG)
    assert (caught.value.type, caught.value.attempts) == ("Real", 1)


async def test_what_somebody_else_is_to_complete_fails_at_once_and_says_why(place: str) -> None:
    task = await app.sign(complete_async)
    with pytest.raises(mageflow.TaskFailedError, match="the result of one is what its function returns") as caught:
        await task.run(timeout=LONG)
    assert (caught.value.type, caught.value.attempts) == ("AsyncCompletionError", 1)


@pytest.mark.parametrize("task", ["pause-loop", "pause-process"])
@pytest.mark.parametrize("seconds", [0.25, 2.5])
async def test_an_error_chooses_the_pause_before_the_next_attempt(
    server: EmbeddedServer, task: str, seconds: float
) -> None:
    async with app.connected_to(server.target, task_queue=f"test-{uuid.uuid4().hex[:8]}"), app.worker():
        signature = await app.sign(task, seconds=seconds)
        assert await signature.run(timeout=LONG) == "well"
        history = await (await app.client()).get_workflow_handle(signature.key).fetch_history()
    timers = [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta().total_seconds()
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED
    ]
    assert timers == [seconds]


@pytest.mark.parametrize("seconds", [-1, timedelta.min.total_seconds() // 2])
async def test_a_pause_that_is_over_before_it_begins_is_none(place: str, seconds: float) -> None:
    assert await (await app.sign(pause_loop, seconds=seconds)).run(timeout=LONG) == "well"


async def test_a_pause_that_no_calendar_has_does_not_break_the_workflow(place: str) -> None:
    signature = await (await app.sign(pause_loop, seconds=timedelta.max.total_seconds() // 2)).start()

    async def has_failed_once() -> bool:
        report = await signature.status()
        return report.status == "pending" and report.error is not None

    await eventually(has_failed_once, "it waits for its second attempt")
    await signature.skip("given up")
    assert await signature.result(timeout=LONG) == "given up"


class Place(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date


@app.task(name="place", retries=1, backoff_max_seconds=0.01)
async def place_of(_: dict[str, int]) -> str:
    task = mageflow.current_task()
    if found := task.resumed_from(Place):
        return found.day.isoformat()
    task.checkpoint(Place(day=date(2026, 5, 1)))
    raise ValueError


async def test_a_checkpoint_gets_its_type_back_however_strict_that_is(place: str) -> None:
    assert await (await app.sign(place_of)).run({}, timeout=LONG) == "2026-05-01"


@activity.defn
def count_in_thread(lines: int) -> list[Any]:
    activity.heartbeat(1, 2)
    return [activity.info().attempt, lines]


@workflow.defn(sandboxed=False)
class Theirs:
    @workflow.run
    async def run(self) -> list[Any]:
        limits = {
            "start_to_close_timeout": timedelta(seconds=20),
            "heartbeat_timeout": timedelta(seconds=5),
        }
        return [
            await workflow.execute_activity(count_in_thread, 4, **limits),
            await workflow.execute_activity("loop", {"lines": 3}, **limits),
            [await workflow.execute_activity("own-key", **limits) for _ in range(2)],
        ]


async def test_in_a_workflow_of_ones_own_activities_are_left_alone_and_tasks_are_served(server: EmbeddedServer) -> None:
    queue = f"test-{uuid.uuid4().hex[:8]}"
    async with app.connected_to(server.target, task_queue=queue):
        client = await app.client()
        with ThreadPoolExecutor(2) as executor:
            async with Worker(
                client,
                task_queue=queue,
                workflows=[Theirs],
                activities=[count_in_thread],
                activity_executor=executor,
                plugins=[app.plugin()],
            ):
                name = f"theirs-{uuid.uuid4().hex[:8]}"
                alone, task, keys = await client.execute_workflow(Theirs.run, id=name, task_queue=queue)
                assert (alone, task) == ([1, 4], [2, 2])
                assert len(set(keys)) == 2
                assert all(key.startswith(f"{name}#") for key in keys)


async def test_an_error_is_sent_with_all_that_it_says(server: EmbeddedServer) -> None:
    mf = Mageflow()

    @mf.task(name="benign")
    async def benign() -> None:
        msg = "nothing to worry about"
        raise ApplicationError(msg, 7, type="Benign", category=ApplicationErrorCategory.BENIGN)

    async with mf.connected_to(server.target, task_queue=f"test-{uuid.uuid4().hex[:8]}"), mf.worker():
        signature = await mf.sign(benign)
        with pytest.raises(mageflow.TaskFailedError):
            await signature.run(timeout=LONG)
        history = await (await mf.client()).get_workflow_handle(signature.key).fetch_history()
    [failure] = [
        event.activity_task_failed_event_attributes.failure.application_failure_info
        for event in history.events
        if event.HasField("activity_task_failed_event_attributes")
    ]
    assert (failure.category, failure.details.payloads[0].data) == (ApplicationErrorCategory.BENIGN.value, b"7")
