"""The names that users of mageflow on Hatchet know do here what they did there, against a real server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, PauseActionTypes, ReturnValue, SwarmConfig, facade
from tests.support import Ledger, reaches


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    data: str = "default"
    shared: str = "default"


class Results(BaseModel):
    found: ReturnValue[Any]
    note: str = ""


@pytest.fixture(autouse=True)
def only_app(mf: Mageflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the module's functions find the test's app: in a test run, those of earlier tests may still be about."""
    monkeypatch.setattr(facade, "apps", {mf})


def tasks(mf: Mageflow, ledger: Ledger, gate: asyncio.Event | None = None) -> tuple[Any, Any]:
    @mf.task(name="work")
    async def work(msg: Message) -> str:
        await ledger.work("work", gate)
        return f"{msg.data}/{msg.shared}"

    @mf.task(name="collect", input_validator=Results)
    async def collect(msg: Results) -> Any:
        await ledger.work(f"collect {msg.note}")
        return msg.found

    return work, collect


async def test_asign_with_kwargs_that_are_bound_and_updated_and_aio_run(mf: Mageflow, ledger: Ledger) -> None:
    tasks(mf, ledger)
    async with mf.worker():
        signature = await mageflow.asign("work", data="bound")
        await signature.kwargs.aupdate(shared="updated")
        assert signature.kwargs == {"data": "bound", "shared": "updated"}
        assert await signature.aio_run(Message()) == "bound/updated"
        assert await (await mf.asign("work")).aio_run(Message(data="message")) == "message/default"


async def test_a_correction_before_the_start_leaves_kwargs_that_can_be_updated(mf: Mageflow, ledger: Ledger) -> None:
    tasks(mf, ledger)
    async with mf.worker():
        signature = await mf.asign("work")
        await signature.resume({"data": "corrected"})
        await signature.kwargs.aupdate(shared="updated")
        assert await signature.aio_run() == "corrected/updated"


async def test_achain_with_its_error_and_success_in_their_places_and_aio_run_no_wait(
    mf: Mageflow, ledger: Ledger
) -> None:
    work, collect = tasks(mf, ledger)

    @mf.task(name="broken")
    async def broken(msg: Message) -> None:
        raise ValueError(msg.data)

    @mf.task(name="rescue")
    async def rescue(msg: Message) -> None:
        await ledger.work(f"rescue {msg.data}")

    async with mf.worker():
        happy = await mageflow.achain([work, "collect"], "happy", rescue, await mf.asign(collect, note="success"))
        assert happy.name == "happy"
        same = await happy.aio_run_no_wait(Message(data="1"))
        assert same is happy
        assert await happy.result(timeout=20) == "1/default"
        sad = await mf.achain([work, broken], error=rescue, success=collect, data="2")
        with pytest.raises(mageflow.TaskFailedError):
            await sad.aio_run()
    assert ledger.begun == {"work": 2, "collect ": 1, "collect success": 1, "rescue 2": 1}


async def test_aswarm_with_its_options_takes_tasks_while_it_runs_and_is_closed(mf: Mageflow, ledger: Ledger) -> None:
    work, collect = tasks(mf, ledger)
    async with mf.worker():
        swarm = await mageflow.aswarm(
            tasks=[work],
            task_name="many",
            success_callbacks=[await mf.asign(collect, note="all")],
            config=SwarmConfig(max_concurrency=5),
        )
        assert (swarm.name, swarm.config.max_concurrency) == ("many", 5)
        await swarm.aio_run_no_wait(Message(shared="swarm's"))
        await swarm.aio_run_in_swarm(work, Message(data="one"))
        await swarm.aio_run_in_swarm([work, "work"], Message(data="both"))
        await swarm.aio_run_tasks_in_swarm([work, work], [Message(data="a"), Message(data="b", shared="own")])
        with pytest.raises(mageflow.TaskAndMsgsDontMatchForSwarmError):
            await swarm.aio_run_tasks_in_swarm([work, work], [Message()])
        await swarm.add_task(work)
        assert len(await swarm.add_tasks([work, work])) == 2
        assert await swarm.close_swarm() is swarm
        assert await swarm.result(timeout=20) == [
            "default/swarm's",
            "one/swarm's",
            "both/swarm's",
            "both/swarm's",
            "a/swarm's",
            "b/own",
            *["default/swarm's"] * 3,
        ], "what a message did not set is the swarm's"
    assert ledger.ended["collect all"] == 1


async def test_tasks_are_added_to_a_swarm_that_is_then_started(mf: Mageflow, ledger: Ledger) -> None:
    work, _ = tasks(mf, ledger)
    async with mf.worker():
        swarm = await mf.aswarm(config=SwarmConfig(max_task_allowed=3), kwargs={"data": "direct"}, shared="option")
        await swarm.add_task(work)
        await swarm.add_tasks([work, "work"])
        with pytest.raises(mageflow.TooManyTasksError):
            await swarm.add_task(work)
        assert not ledger.begun
        await swarm.aio_run_no_wait(Message())
        assert await swarm.result(timeout=20) == ["direct/option"] * 3, "it closed when it was full"
        open_one = await mf.aswarm(config=SwarmConfig(max_task_allowed=1))
        await open_one.add_task(work, close_on_max_task=False)
        assert not open_one.is_swarm_closed


async def test_aio_run_of_a_swarm_waits_for_all(mf: Mageflow, ledger: Ledger) -> None:
    work, _ = tasks(mf, ledger)
    async with mf.worker():
        swarm = await mf.aswarm([work], is_swarm_closed=True)
        assert await swarm.aio_run(Message(data="1")) == ["1/default"]


async def test_a_signature_is_paused_both_ways_loaded_resumed_and_removed(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    work, _ = tasks(mf, ledger, gate)
    async with mf.worker():
        signature = await mageflow.asign(work)
        await signature.aio_run_no_wait(Message())
        await ledger.has_begun("work")
        with pytest.raises(mageflow.TaskAlreadyRunningError):
            await signature.pause_task()
        with pytest.raises(mageflow.TaskAlreadyRunningError):
            await mageflow.pause(signature.key)
        await mageflow.pause(signature.key, PauseActionTypes.INTERRUPT)
        assert (await signature.status()).status == "interrupted"
        loaded = await mageflow.load_signature(signature.key)
        assert loaded is not None
        await mageflow.resume(loaded.key)
        await ledger.has_begun("work", 2)
        await loaded.pause_task(PauseActionTypes.INTERRUPT)
        assert ledger.cancelled["work"] == 2
        await mageflow.remove(loaded.key)
        waiting = await mf.achain([work, work])
        await waiting.pause_task(PauseActionTypes("soft"))
        await reaches(waiting, "suspended")
        await mf.pause(waiting.key, PauseActionTypes.SUSPEND)
        with pytest.raises(ValueError, match="softly"):
            await mf.pause(waiting.key, "softly")  # type: ignore[arg-type]
        await waiting.remove()


async def test_copies_are_independent_and_each_ones_callbacks_fire(mf: Mageflow, ledger: Ledger) -> None:
    work, collect = tasks(mf, ledger)
    async with mf.worker():
        original = await mf.asign(work, success_callbacks=[await mf.asign(collect, note="done")], nested={"a": [1]})
        copy = await original.aduplicate()
        await copy.kwargs.aupdate(data="copy's")
        copy.kwargs["nested"]["a"].append(2)
        copy.success_callbacks[0].kwargs["note"] = "copied"
        assert original.kwargs == {"nested": {"a": [1]}}
        assert copy.key != original.key
        assert await original.aio_run(Message()) == "default/default"
        assert await copy.aio_run(Message()) == "copy's/default"
        many = await original.aduplicate_many(3)
        swarm = await mf.aswarm(many, is_swarm_closed=True)
        assert len({original.key, copy.key, *(one.key for one in many)}) == 5
        assert await swarm.aio_run(Message()) == ["default/default"] * 3
        assert await (await swarm.aduplicate()).aio_run(Message()) == ["default/default"] * 3
    assert ledger.begun == {"work": 8, "collect done": 7, "collect copied": 1}


async def test_containers_are_copied_with_all_that_is_in_them(mf: Mageflow, ledger: Ledger) -> None:
    work, collect = tasks(mf, ledger)
    async with mf.worker():
        chain = await mf.achain([await mf.asign(work, data="1"), await mf.map(await mf.asign(collect, note="x"), [7])])
        copy = chain.duplicate()
        copy.tasks[0].kwargs["data"] = "2"
        copy.tasks[1].task.kwargs["note"] = "y"  # type: ignore[attr-defined]
        assert await chain.run() == await copy.run() == [7]
    assert ledger.begun == {"work": 2, "collect x": 1, "collect y": 1}
    assert chain.tasks[0].kwargs == {"data": "1"}


async def test_the_options_of_a_task_have_their_old_names(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(
        name="old options",
        input_validator=Message,
        retries=1,
        schedule_timeout=timedelta(seconds=30),
        execution_timeout=timedelta(seconds=30),
        backoff_factor=1.0,
        backoff_max_seconds=1,
        default_priority=3,
        on_crons=["0 3 * * *"],
    )
    async def old(msg: Any) -> str:
        await ledger.work("old")
        return msg.data

    assert old.options.priority == 1, "there 3 went first, here 1"
    assert [mf.task(name=str(n), default_priority=n)(lambda: None).options.priority for n in (1, 2)] == [3, 2]
    for wrong in ({"default_priority": 4}, {"default_priority": 1, "priority": 1}):
        with pytest.raises(mageflow.CompositionError, match="default_priority"):
            mf.task(**wrong)
    async with mf.worker():
        schedule = await mf.load_schedule(f"cron/{mf.config.task_queue}/old%20options")
        assert schedule is not None
        await schedule.delete()
        assert await (await mf.asign("old options")).aio_run({"data": "x"}) == "x"


GONE = ["lock_task", "abounded_field", "handle_task_callback", "start_mageflow", "TTLConfig", "SignatureTTLConfig"]


@pytest.mark.parametrize("name", GONE)
def test_what_could_only_be_a_lie_is_not_here(name: str) -> None:
    assert not hasattr(mageflow, name)
