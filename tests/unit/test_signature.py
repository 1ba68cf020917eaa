"""Drafts, without a server: their keys, their reports, what they compile to, and what a result is made into."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import LoadedSwarm, Mageflow, MageflowConfig, ReturnValue, SwarmConfig, TaskOptions
from mageflow_temporal.key import Key
from mageflow_temporal.plan import ChainNode, Plan, SwarmNode, TaskNode, format_path, returns
from mageflow_temporal.protocol import Memo
from mageflow_temporal.handle import LoadedSignature, checked_key, new_key, typed


class Rows(BaseModel):
    rows: ReturnValue[list[int]]


@pytest.fixture
def mf() -> Mageflow:
    mf = Mageflow("no-server-is-asked.invalid:7233", config=MageflowConfig(task_queue="main", lost_worker_limit=7))

    @mf.task()
    async def extract(msg: dict[str, Any]) -> list[int]: ...

    @mf.task(retries=2, task_queue="gpu", heartbeat_timeout=timedelta(seconds=9))
    async def load(msg: Rows) -> date: ...

    return mf


# Keys.


@given(st.text(min_size=1))
def test_a_key_can_be_typed_into_a_shell_and_read_back(name: str) -> None:
    key = new_key(name)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", key)
    assert checked_key(key) == key
    assert Key.parse(key) == Key(key)


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("etl", "etl-"),
        ("process-data_2.0", "process-data_2.0-"),
        ("nightly: load & go", "nightly-load-go-"),
        ("größe", "gr-e-"),
        ("日本", "signature-"),
        ("--force", "force-"),
        ("x" * 255, "x" * 200 + "-"),
    ],
)
def test_a_key_begins_with_what_is_readable_of_the_name(name: str, beginning: str) -> None:
    assert re.fullmatch(re.escape(beginning) + "[0-9a-f]{12}", new_key(name))


def test_no_two_keys_are_the_same() -> None:
    assert len({new_key("etl") for _ in range(1000)}) == 1000


@pytest.mark.parametrize("key", ["a", "order 7", "é" * 500, "x" * 1000, "a/b", "2.1"])
def test_a_user_may_choose_almost_any_key(key: str) -> None:
    assert checked_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * 1001, "é" * 501, "a#1", "#", "\ud800"], ids=ascii)
def test_a_key_that_temporal_or_a_members_path_does_not_allow_is_refused(key: str) -> None:
    with pytest.raises(mageflow.InvalidKeyError, match="1 to 1000 bytes of UTF-8 and no '#'"):
        checked_key(key)


@given(st.text().filter(lambda text: "#" not in text), st.lists(st.integers(0, 999_999_999), max_size=4))
def test_a_members_key_is_taken_apart_where_it_was_joined(workflow_id: str, path: list[int]) -> None:
    if workflow_id:
        key = Key(workflow_id, format_path(tuple(path)))
        assert Key.parse(str(key)) == key


# Drafts.


async def test_a_draft_is_called_like_its_task_or_its_first_step_unless_it_is_given_a_name(mf: Mageflow) -> None:
    signature = await mf.sign("extract")
    assert (signature.kind, signature.name) == ("task", "extract")
    chain = await mf.chain(["extract", "load"])
    assert (chain.kind, chain.name) == ("chain", "extract")
    swarm = await mf.swarm(["extract"])
    assert (swarm.kind, swarm.name) == ("swarm", "swarm")
    assert (await mf.chain(["extract", "load"], name="etl")).key.startswith("etl-")
    assert (await mf.swarm(["extract"], "fan")).key.startswith("fan-")


async def test_tasks_signatures_and_names_may_be_mixed(mf: Mageflow) -> None:
    task = mf.tasks.get("extract")
    bound = await mf.sign(task, a=1)
    chain = await mf.chain([task, bound, "load", await mf.swarm([bound])])
    assert chain.node() == ChainNode(
        name="extract",
        members=(
            TaskNode(name="extract", task="extract"),
            TaskNode(name="extract", task="extract", kwargs={"a": 1}),
            TaskNode(name="load", task="load"),
            SwarmNode(name="swarm", members=(TaskNode(name="extract", task="extract", kwargs={"a": 1}),), closed=True),
        ),
    )


async def test_a_draft_reports_its_members_as_pending_under_the_keys_that_they_will_have(mf: Mageflow) -> None:
    chain = await mf.chain(["extract", await mf.swarm(["load", await mf.chain(["extract", "load"])])], name="etl")
    report = await chain.status()
    assert report.find("1.1.0") is not None

    def seen(report: mageflow.StatusReport) -> list[tuple[str, str, str, str]]:
        here = (report.kind, report.name, report.status, report.key.removeprefix(chain.key))
        return [here, *(line for child in report.children for line in seen(child))]

    assert seen(report) == [
        ("chain", "etl", "pending", ""),
        ("task", "extract", "pending", "#0"),
        ("swarm", "swarm", "pending", "#1"),
        ("task", "load", "pending", "#1.0"),
        ("chain", "extract", "pending", "#1.1"),
        ("task", "extract", "pending", "#1.1.0"),
        ("task", "load", "pending", "#1.1.1"),
    ]
    assert report.counts == mageflow.Counts(total=2, pending=2)
    assert report.children[0].counts is None


async def test_a_resume_of_a_draft_changes_nothing(mf: Mageflow) -> None:
    signature = await mf.sign("extract")
    done = await signature.resume()
    assert (done.verb, done.key, done.status) == ("resume", signature.key, "pending")


async def test_a_draft_can_be_edited_until_it_is_started(mf: Mageflow) -> None:
    chain = await mf.chain(["extract", "load"], a=1)
    chain.kwargs["b"] = [date(2026, 3, 1)]
    chain.tasks.append(await mf.sign("extract"))
    node = chain.node()
    assert [member.name for member in node.members] == ["extract", "load", "extract"]
    assert node.kwargs == {"a": 1, "b": ["2026-03-01"]}, "as plain JSON"


async def test_an_items_own_message_lies_under_its_kwargs(mf: Mageflow) -> None:
    item = await mf.sign("extract", a="kwarg", deep={"x": "kwarg"})
    item.message = {"a": "message", "b": "message", "deep": {"x": "message", "y": "message"}}
    assert item.node().kwargs == {"a": "kwarg", "b": "message", "deep": {"x": "kwarg", "y": "message"}}
    assert item.kwargs == {"a": "kwarg", "deep": {"x": "kwarg"}}


async def test_a_swarm_is_open_until_it_is_closed_and_a_nested_one_never_is(mf: Mageflow) -> None:
    swarm = await mf.swarm(["extract"], config=SwarmConfig(max_concurrency=2))
    outer = await mf.chain([swarm, "load"])
    assert not swarm.node().closed
    assert outer.node().members[0] == swarm.node().model_copy(update={"closed": True})
    await swarm.close()
    assert swarm.node().closed
    assert (await mf.swarm(["extract"], is_swarm_closed=True)).node().closed


# What a draft compiles to.


async def test_a_plan_has_each_task_once_with_its_options_and_the_apps_settings_where_it_has_none(mf: Mageflow) -> None:
    compiled = (await mf.chain(["extract", await mf.swarm(["load", "load", "extract"])]))._compile()
    assert sorted(compiled.tasks) == ["extract", "load"]
    extract, load = compiled.tasks["extract"], compiled.tasks["load"]
    assert (extract.task_queue, extract.heartbeat_timeout) == ("main", timedelta(seconds=3))
    assert (load.task_queue, load.heartbeat_timeout) == ("gpu", timedelta(seconds=9))
    assert load.options == TaskOptions(retries=2, task_queue="gpu", heartbeat_timeout=timedelta(seconds=9))
    assert (extract.result_field, load.result_field) == ("mageflow_results", "rows")
    assert compiled.lost_worker_limit == 7


async def test_a_plan_of_nested_containers_comes_back_from_json_as_it_was(mf: Mageflow) -> None:
    inner = await mf.swarm([await mf.sign("load", a={"deep": None})], "inner", config=SwarmConfig(max_concurrency=1))
    compiled = (await mf.chain(["extract", await mf.chain([inner, "load"], "middle")], "outer", b=2))._compile()
    assert Plan.model_validate_json(compiled.model_dump_json()) == compiled
    assert compiled.root == ChainNode(
        name="outer",
        kwargs={"b": 2},
        members=(
            TaskNode(name="extract", task="extract"),
            ChainNode(
                name="middle",
                members=(
                    SwarmNode(
                        name="inner",
                        members=(TaskNode(name="load", task="load", kwargs={"a": {"deep": None}}),),
                        config=SwarmConfig(max_concurrency=1),
                        closed=True,
                    ),
                    TaskNode(name="load", task="load"),
                ),
            ),
        ),
    )


# What a result is made into.

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("raw", "form", "made"),
    [
        ("2026-03-01", "load", TODAY),
        (["2026-03-01"], "[load]", [TODAY]),
        ([["2026-03-01"], []], "[[load]]", [[TODAY], []]),
        ([1, 2], "extract", [1, 2]),
        ([[1], [2]], "[extract]", [[1], [2]]),
        ("2026-03-01", None, "2026-03-01"),
        ("2026-03-01", "gone", "2026-03-01"),
        (["2026-03-01"], "[gone]", ["2026-03-01"]),
        ("2026-03-01", "", "2026-03-01"),
        ("x", "[]", "x"),
    ],
)
def test_a_result_is_made_into_what_its_task_gives_or_stays_plain(mf: Mageflow, raw: Any, form: str, made: Any) -> None:
    assert typed(raw, form, mf.tasks) == made


def test_a_task_cannot_be_named_as_a_list_of_results_is_written(mf: Mageflow) -> None:
    with pytest.raises(mageflow.CompositionError, match="a list of a task's results is written so"):
        mf.declare("[load]")


@given(depth=st.integers(0, 5), data=st.data())
def test_a_swarm_of_swarms_gives_a_list_of_lists_as_deep_as_it_is(depth: int, data: st.DataObject) -> None:
    knows, knows_not = Mageflow(), Mageflow()
    knows.declare("leaf", result=date)
    node: Any = TaskNode(name="leaf", task="leaf")
    days: st.SearchStrategy[Any] = st.dates()
    for _ in range(depth):
        node = SwarmNode(name="s", members=(node,))
        days = st.lists(days, max_size=2)
    made = data.draw(days)

    def plain(value: Any) -> Any:
        return [plain(inner) for inner in value] if isinstance(value, list) else value.isoformat()

    assert typed(plain(made), returns(node), knows.tasks) == made
    assert typed(plain(made), returns(node), knows_not.tasks) == plain(made), "an app that does not know the task"


def test_a_loaded_signature_shows_what_it_was_started_as(mf: Mageflow) -> None:
    loaded = LoadedSwarm(mf, "nightly-4f2c", "swarm", Memo(name="nightly", returns="[load]"))
    assert (loaded.key, loaded.name, loaded.kind) == ("nightly-4f2c", "nightly", "swarm")
    assert repr(LoadedSignature(mf, "etl-1", "chain", Memo(name="etl"))) == "<LoadedSignature 'etl-1'>"
