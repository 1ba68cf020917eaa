"""The contract of composition, sentence by sentence.

"Same" is what people rely on who come from the mageflow that was built on Hatchet and Redis, "ours" what is new or was
broken there. A sentence has its tests here, or names those that are elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict
from temporalio.exceptions import ApplicationError

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, ReturnValue, SwarmConfig
from tests.support import Ledger, reaches

ELSEWHERE = {
    # Messages.
    "Same: a task takes one pydantic message": [
        "integration.test_running.test_a_task_gets_its_message_and_gives_its_result_as_models",
    ],
    "Same: the previous result goes into the first field annotated ReturnValue, else into mageflow_results": [
        "integration.test_running.test_each_step_of_a_chain_gets_the_result_of_the_one_before",
        "integration.test_running.test_a_result_without_a_marked_field_comes_as_mageflow_results",
        "unit.test_message.test_the_previous_result_goes_into_the_first_field_that_is_marked",
    ],
    "Same: a message that does not validate is refused before anything starts where the definition is known": [
        "integration.test_bad_input.test_a_message_that_does_not_fit_is_refused_before_anything_starts",
        "integration.test_bad_input.test_each_item_of_a_swarm_and_the_first_step_of_a_chain_check_the_start_message",
    ],
    "Same: and it fails the task without retries where it is not": [
        "integration.test_bad_input.test_a_message_that_its_worker_refuses_fails_without_retries",
    ],
    # Chain.
    "Same: a chain has at least two tasks": ["unit.test_composition.test_a_chain_has_at_least_two_steps"],
    "Same: each step gets the previous step's result": [
        "integration.test_running.test_each_step_of_a_chain_gets_the_result_of_the_one_before",
    ],
    "Same: a chain's default name is the first task's": [
        "unit.test_signature.test_a_draft_is_called_like_its_task_or_its_first_step_unless_it_is_given_a_name",
    ],
    "Same: a failing step runs its own error callbacks, then the chain's, each with the failing step's message": [
        "integration.test_callbacks.test_a_failing_step_calls_its_own_error_callbacks_and_then_the_chains",
    ],
    "Same: later steps don't run": [
        "integration.test_running.test_a_failing_step_ends_its_chain_and_names_itself",
    ],
    # Swarm.
    "Same: thresholds are positive": ["unit.test_config.test_an_option_out_of_its_range_is_refused_by_its_name"],
    "Same: items can be added while it runs": [
        "integration.test_living_swarms.test_items_are_added_while_it_runs_one_or_many",
    ],
    "Same: close_swarm() stops intake": [
        "integration.test_living_swarms.test_a_closed_or_ended_or_cancelled_swarm_takes_nothing",
    ],
    "Same: adding beyond max_task_allowed raises TooManyTasksError, reaching it closes the swarm": [
        "integration.test_living_swarms.test_reaching_the_limit_closes_it_and_exceeding_it_is_an_error",
        "unit.test_composition.test_more_tasks_than_a_swarm_allows_are_refused",
    ],
    "Same: adding to a cancelled swarm raises SwarmIsCanceledError; ours: to a closed one, SwarmIsClosedError": [
        "integration.test_living_swarms.test_a_closed_or_ended_or_cancelled_swarm_takes_nothing",
    ],
    "Same: unequal lists raise TaskAndMsgsDontMatchForSwarmError": [
        "integration.test_living_swarms.test_lists_of_unequal_lengths_are_refused",
    ],
    "Same: adding to an unstarted swarm starts it": [
        "integration.test_living_swarms.test_adding_to_an_unstarted_swarm_starts_it",
    ],
    "Same: failures below the threshold still end in success": [
        "integration.test_running.test_failures_below_the_threshold_leave_a_swarm_successful",
    ],
    "Same: at the threshold no new item starts": [
        "integration.test_running.test_a_swarm_fails_at_its_threshold_and_begins_nothing_more",
    ],
    "Same: at the threshold the error callbacks run once": [
        "integration.test_callbacks.test_a_swarms_error_callbacks_run_once_at_the_threshold",
    ],
    "Ours: results in submission order, and an outcome per item (key, status, result or error, attempts)": [
        "integration.test_swarm_operations.test_there_is_an_outcome_per_item_in_the_order_of_submission",
    ],
    # Callbacks.
    "Same: success callbacks get the result": [
        "integration.test_callbacks.test_success_callbacks_get_the_result_and_their_own_kwargs",
    ],
    "Same: error callbacks get the original message plus their kwargs, once, after the last attempt": [
        "integration.test_callbacks.test_error_callbacks_get_the_failing_tasks_message_once_after_the_last_attempt",
    ],
    "Ours: an error callback may ask for the error itself in a field annotated for it": [
        "integration.test_callbacks.test_error_callbacks_get_the_failing_tasks_message_once_after_the_last_attempt",
    ],
    "Same: any signature can be a callback, containers too": [
        "integration.test_callbacks.test_a_callback_may_be_a_container_and_have_callbacks_itself",
    ],
    # Retries.
    "Same: retries=3 is four attempts": ["integration.test_running.test_retries_3_is_four_attempts"],
    "Same: a timeout is retried": ["integration.test_running.test_an_attempt_that_takes_too_long_is_retried"],
    "Ours: a lost worker is not a failed attempt": [
        "integration.test_lost_workers.test_a_lost_workers_task_goes_on_from_the_checkpoint_of_its_last_heartbeat",
    ],
    "Ours: a task that must not run twice can say so": [
        "integration.test_at_most_once.test_a_stopped_worker_fails_it_instead_of_handing_it_on",
        "integration.test_at_most_once.test_a_lost_worker_fails_it",
    ],
    # Status.
    "Same: a signature is single-use": [
        "integration.test_bad_keys.test_what_has_ended_can_be_looked_at_and_not_changed"
    ],
}


@pytest.mark.parametrize("sentence", ELSEWHERE)
def test_each_sentence_that_is_told_elsewhere_has_its_test_there(sentence: str) -> None:
    for test in ELSEWHERE[sentence]:
        module, _, name = test.rpartition(".")
        assert callable(getattr(import_module(f"tests.{module}"), name)), f"{sentence}: {test} is gone"


def echo_task(mf: Mageflow) -> Any:
    @mf.task(name="echo")
    async def echo(msg: dict[str, Any]) -> dict[str, Any]:
        return msg

    return echo


# Messages.


async def test_same_bound_kwargs_win_over_the_message_and_dicts_merge_recursively(mf: Mageflow) -> None:
    echo = echo_task(mf)
    async with mf.worker():
        signature = await mf.sign(echo, one=1, deep={"x": {"b": 2}, "list": [3]})
        got = await signature.run({"one": 0, "two": 0, "deep": {"x": {"a": 0, "b": 0}, "y": 0, "list": [0, 0]}})
    assert got == {"one": 1, "two": 0, "deep": {"x": {"a": 0, "b": 2}, "y": 0, "list": [3]}}


@pytest.mark.parametrize("kind", ["chain", "swarm", "map"])
async def test_same_container_kwargs_win_over_item_kwargs_which_win_over_the_message(mf: Mageflow, kind: str) -> None:
    echo = echo_task(mf)
    item = await mf.sign(echo, b="item", c="item", d="item")
    containers: dict[str, Callable[[], Awaitable[Any]]] = {
        "chain": lambda: mf.chain([item, echo], c="inner", d="inner"),
        "swarm": lambda: mf.swarm([item], c="inner", d="inner"),
        "map": lambda: mf.map(item, [0], c="inner", d="inner"),
    }
    inner = await containers[kind]()
    async with mf.worker():
        [got] = await (await mf.swarm([inner], d="outer")).run({"a": "message", "b": "message", "c": "message"})
    merged = {"a": "message", "b": "item", "c": "inner", "d": "outer"}
    if kind == "chain":
        assert got == {"mageflow_results": merged, "c": "inner", "d": "outer"}, "they bind to every step"
    elif kind == "swarm":
        assert got == [merged]
    else:
        del merged["a"]
        assert got == [{**merged, "mageflow_results": 0}], "each item gets its element in the place of the message"


async def test_same_names_that_are_a_signatures_fields_configure_it_and_all_others_are_bound(
    mf: Mageflow, ledger: Ledger
) -> None:
    echo = echo_task(mf)

    @mf.task(name="called")
    async def called() -> str:
        return await ledger.work("called")

    async with mf.worker():
        signature = await mf.sign(echo, success_callbacks=[called], error_callbacks=[called], retries=7, name="bound")
        assert await signature.run() == {"retries": 7, "name": "bound"}
    assert signature.kwargs == {"retries": 7, "name": "bound"}
    assert ledger.begun["called"] == 1


class Optionally(BaseModel):
    before: ReturnValue[int] | None = None


class Annotatedly(BaseModel):
    before: Annotated[ReturnValue[int], "for whoever reads this"]


@pytest.mark.parametrize("model", [Optionally, Annotatedly])
async def test_ours_the_field_for_the_previous_result_is_found_inside_optional_and_annotated(
    mf: Mageflow, model: type[Any]
) -> None:
    @mf.task(name="give")
    async def give() -> int:
        return 7

    @mf.task(name="take", input_validator=model)
    async def take(msg: Any) -> int:
        return msg.before

    async with mf.worker():
        assert await (await mf.chain([give, take])).run() == 7


async def test_same_a_message_model_may_ignore_fields_that_it_does_not_know(mf: Mageflow) -> None:
    class Lenient(BaseModel):
        model_config = ConfigDict(extra="ignore")
        known: int = 0

    @mf.task(name="lenient")
    async def lenient(msg: Lenient) -> dict[str, Any]:
        return msg.model_dump()

    async with mf.worker():
        assert await (await mf.sign(lenient, more=1)).run({"known": 1, "less": 2}) == {"known": 1}
        chain = await mf.chain([lenient, await mf.sign(lenient, known=2)])
        assert await chain.run({"unknown": 1}) == {"known": 2}, "not even the previous result"


# Chain.


async def test_same_success_callbacks_get_the_last_result_and_ours_so_does_whoever_awaits_the_chain(
    mf: Mageflow,
) -> None:
    told: list[Any] = []

    @mf.task(name="plus")
    async def plus(msg: dict[str, Any]) -> int:
        return msg.get("mageflow_results", 0) + 1

    @mf.task(name="tell")
    async def tell(msg: dict[str, Any]) -> None:
        told.append(msg)

    async with mf.worker():
        chain = await mf.chain([plus, plus, plus], success=tell)
        assert await chain.run({}) == 3
        loaded = await mf.load_signature(chain.key)
        assert isinstance(loaded, mageflow.Signature)
        assert await loaded.result() == 3
    assert told == [{"mageflow_results": 3}]


# Swarm.


async def test_same_thirty_items_run_at_once_and_failures_never_stop_a_swarm_unless_it_is_told_otherwise(
    mf: Mageflow, ledger: Ledger
) -> None:
    gate = asyncio.Event()

    @mf.task(name="item")
    async def item() -> None:
        await ledger.work("item", gate)
        raise ValueError("on purpose")

    async with mf.worker():
        swarm = await mf.swarm([item] * 40, is_swarm_closed=True)
        await swarm.start()
        await ledger.has_begun("item", 30)
        await (await mf.sign(echo_task(mf))).start()  # comes to the worker after whatever the swarm may have begun
        assert ledger.running == 30
        gate.set()
        assert await swarm.result(timeout=60) == []
    assert (ledger.most_at_once, ledger.begun["item"]) == (30, 40)


async def test_same_the_start_message_reaches_every_item(mf: Mageflow) -> None:
    echo = echo_task(mf)
    async with mf.worker():
        items = [echo, await mf.sign(echo, own=1), await mf.chain([echo, echo])]
        first, second, third = await (await mf.swarm(items)).run({"all": "of them"})
    assert (first, second) == ({"all": "of them"}, {"all": "of them", "own": 1})
    assert third == {"mageflow_results": {"all": "of them"}}, "of a chain, its first step"


async def test_same_a_swarm_is_done_when_it_is_closed_and_every_item_has_ended(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="item")
    async def item() -> str:
        return await ledger.work("item", gate)

    async with mf.worker():
        swarm = await mf.swarm([item, item])
        await swarm.start()
        await swarm.close()
        await ledger.has_begun("item", 2)
        assert (await swarm.status()).status == "active"
        gate.set()
        assert await swarm.result(timeout=20) == ["item", "item"]


async def test_same_is_swarm_closed_closes_at_creation(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="item")
    async def item() -> str:
        return await ledger.work("item", gate)

    async with mf.worker():
        swarm = await mf.swarm([item], is_swarm_closed=True)
        await swarm.start()
        with pytest.raises(mageflow.SwarmIsClosedError):
            await swarm.add(item)
        gate.set()
        assert await swarm.result(timeout=20) == ["item"], "and nobody has to close it"


class Number(BaseModel):
    number: int


async def test_same_success_callbacks_of_a_swarm_get_the_successful_results(mf: Mageflow) -> None:
    told: list[Any] = []

    @mf.task(name="even")
    async def even(msg: Number) -> int:
        if msg.number % 2:
            raise ValueError(msg.number)
        return msg.number

    @mf.task(name="tell")
    async def tell(msg: dict[str, Any]) -> None:
        told.append(msg["mageflow_results"])

    async with mf.worker():
        swarm = await mf.swarm(
            [await mf.sign(even, number=number) for number in range(5)],
            config=SwarmConfig(stop_after_n_failures=3),
            success_callbacks=[tell],
        )
        assert await swarm.run() == [0, 2, 4]
        assert (await swarm.status()).status == "done"
    assert told == [[0, 2, 4]]


async def test_same_at_the_threshold_the_swarm_is_failed_when_what_runs_has_ended(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="item")
    async def item(msg: Number) -> None:
        await ledger.work(str(msg.number), gate if msg.number == 0 else None)
        if msg.number:
            raise ValueError(msg.number)

    async with mf.worker():
        swarm = await mf.swarm(
            [await mf.sign(item, number=number) for number in range(9)],
            config=SwarmConfig(max_concurrency=2, stop_after_n_failures=2),
            is_swarm_closed=True,
        )
        await swarm.start()
        await reaches(swarm, "failed", "2")
        assert (await swarm.status()).status == "active"
        gate.set()
        with pytest.raises(mageflow.SwarmFailedError):
            await swarm.result(timeout=20)
        report = await swarm.status()
    assert report.status == "failed"
    assert [child.status for child in report.children] == ["done", "failed", "failed"] + ["canceled"] * 6
    assert ledger.cancelled.total() == 0


async def test_ours_results_are_in_the_order_of_submission(mf: Mageflow) -> None:
    ended: list[int] = []
    last = asyncio.Event()

    @mf.task(name="item")
    async def item(msg: Number) -> int:
        if msg.number == 4:
            last.set()
        await last.wait()
        await asyncio.sleep((4 - msg.number) * 0.02)  # so that the last is the first to end
        ended.append(msg.number)
        return msg.number

    async with mf.worker():
        swarm = await mf.swarm([await mf.sign(item, number=number) for number in range(4)])
        await swarm.start()
        await swarm.add(item, {"number": 4})
        await swarm.close()
        assert await swarm.result(timeout=20) == [0, 1, 2, 3, 4]
    assert ended == [4, 3, 2, 1, 0]


# Retries.


async def test_same_an_error_that_is_not_retryable_is_not_retried(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="final", retries=3, backoff_max_seconds=0.01)
    async def final() -> None:
        ledger.begun["final"] += 1
        raise ApplicationError("never again", type="Final", non_retryable=True)

    async with mf.worker():
        with pytest.raises(mageflow.TaskFailedError, match="Final: never again") as caught:
            await (await mf.sign(final)).run()
    assert (caught.value.attempts, ledger.begun["final"]) == (1, 1)


# Status.


async def test_same_the_statuses_that_a_signature_goes_through_with_the_last_one_remembered(
    mf: Mageflow, ledger: Ledger
) -> None:
    gate = asyncio.Event()

    @mf.task(name="step", retries=0)
    async def step(msg: dict[str, Any]) -> str:
        await ledger.work("step", gate)
        if msg.get("fail"):
            raise ValueError("on purpose")
        return "step"

    async def seen(signature: Any) -> tuple[str, str | None]:
        report = await signature.status()
        return str(report.status), report.last_status and str(report.last_status)

    async with mf.worker():
        chain = await mf.chain([step, step])
        assert await seen(chain) == ("pending", None)
        await chain.start({})
        await ledger.has_begun("step")
        assert await seen(chain) == ("active", None)
        await chain.suspend()
        assert await seen(chain) == ("suspended", "active")
        await chain.interrupt()
        assert await seen(chain) == ("interrupted", "suspended")
        await chain.resume()
        assert await seen(chain) == ("active", "interrupted")
        gate.set()
        await chain.result(timeout=20)
        assert await seen(chain) == ("done", "interrupted")

        failing = await mf.sign(step, fail=True)
        with pytest.raises(mageflow.TaskFailedError):
            await failing.run({})
        assert await seen(failing) == ("failed", None)
        gate.clear()
        cancelled = await mf.chain([step, step])
        await cancelled.start({})
        await ledger.has_begun("step", 5)
        await (await mf.client()).get_workflow_handle(cancelled.key).cancel()
        await reaches(cancelled, "canceled")
        assert await seen(cancelled) == ("canceled", "active")
