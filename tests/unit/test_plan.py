"""A plan: which tasks the start message reaches, what comes out of it, how it is told, and paths into it."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mageflow_temporal.config import SwarmConfig
from mageflow_temporal.plan import (
    ChainNode,
    PlanNode,
    SwarmNode,
    TaskNode,
    describe,
    entrances,
    fit,
    format_path,
    leaves,
    parse_path,
    returns,
)


def task(name: str, **kwargs: object) -> TaskNode:
    return TaskNode(name=name, task=name, kwargs=kwargs)


def chain(*members: PlanNode, **kwargs: object) -> ChainNode:
    return ChainNode(name="chain", members=members, kwargs=kwargs)


def swarm(*members: PlanNode, **kwargs: object) -> SwarmNode:
    return SwarmNode(name="swarm", members=members, kwargs=kwargs)


def names(node: PlanNode) -> list[str]:
    return [leaf.task for leaf, _ in entrances(node)]


def test_the_start_message_reaches_a_task_the_first_step_of_a_chain_and_each_item_of_a_swarm() -> None:
    assert names(task("a")) == ["a"]
    assert names(chain(task("a"), task("b"))) == ["a"]
    assert names(swarm(task("a"), task("b"))) == ["a", "b"]
    assert names(swarm()) == []


def test_the_start_message_goes_through_containers_to_the_tasks_that_begin_them() -> None:
    inner = swarm(task("a"), chain(task("b"), task("never")), swarm(task("c"), task("d")))
    assert names(chain(inner, task("never"))) == ["a", "b", "c", "d"]


def test_what_is_bound_on_the_way_comes_innermost_first() -> None:
    tree = chain(swarm(task("a", of="task"), of="swarm"), task("b", of="sibling"), of="chain")
    [(leaf, kwargs)] = entrances(tree)
    assert leaf.task == "a"
    assert kwargs == [{"of": "task"}, {"of": "swarm"}, {"of": "chain"}]


def test_callbacks_are_leaves_and_no_entrances() -> None:
    tree = chain(task("a"), task("b")).model_copy(update={"on_success": (task("s"),), "on_error": (task("e"),)})
    assert [leaf.task for leaf in leaves(tree)] == ["a", "b", "s", "e"]
    assert names(tree) == ["a"]
    assert returns(tree) == "b"


def test_every_task_is_a_leaf_as_often_as_it_is_called() -> None:
    tree = chain(swarm(task("a"), task("a"), chain(task("b"), task("c"))), task("a"))
    assert [leaf.task for leaf in leaves(tree)] == ["a", "a", "b", "c", "a"]


@pytest.mark.parametrize(
    ("tree", "form"),
    [
        (task("a"), "a"),
        (chain(task("a"), task("b")), "b"),
        (swarm(task("a"), task("a")), "[a]"),
        (swarm(task("a"), task("b")), None),
        (swarm(), None),
        (chain(task("a"), swarm(task("b"), task("b"))), "[b]"),
        (swarm(chain(task("a"), task("c")), chain(task("b"), task("c"))), "[c]"),
        (swarm(swarm(task("a")), swarm(task("a"), task("a"))), "[[a]]"),
        (swarm(swarm(task("a")), task("a")), None),
        (swarm(swarm(task("a"), task("b")), task("a")), None),
        (chain(swarm(task("a"), task("b")), task("c")), "c"),
    ],
)
def test_a_result_has_the_form_that_its_last_tasks_give_it(tree: PlanNode, form: str | None) -> None:
    assert returns(tree) == form


def test_a_node_is_described_in_one_line() -> None:
    few = SwarmConfig(max_concurrency=2)
    assert describe(task("a")) == "a"
    assert describe(TaskNode(name="shown", task="a")) == "a"
    assert describe(chain(task("a"), swarm(), task("b"))) == "a → swarm → b"
    assert describe(swarm(task("b"), task("a"), task("b"))) == "3 x b, a, 30 at a time"
    assert describe(SwarmNode(name="s", members=(task("a"),), config=few)) == "1 x a, 2 at a time"
    assert describe(swarm()) == "no items yet, 30 at a time"


numbers = st.integers(0, 999_999_999)
callbacks = st.builds("{}{}".format, st.sampled_from("se"), numbers)
paths = st.lists(numbers | callbacks, max_size=6).map(tuple)


@given(paths)
def test_a_path_is_read_as_it_was_written(path: tuple[int | str, ...]) -> None:
    assert parse_path(format_path(path)) == path


@given(st.text(max_size=12) | st.text("0123456789.se", max_size=12))
def test_any_text_is_a_path_or_none_and_a_path_means_the_same_when_written_anew(text: str) -> None:
    path = parse_path(text)
    assert path is None or parse_path(format_path(path)) == path


def test_a_path_is_written_with_dots_and_the_roots_is_empty() -> None:
    assert format_path((2, 1)) == "2.1"
    assert format_path((2, "s0", 1)) == "2.s0.1"
    assert format_path(()) == ""
    assert parse_path("") == ()


@pytest.mark.parametrize(
    "text",
    [
        ".",
        "1.",
        ".1",
        "1..2",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1,2",
        "1/2",
        "a",
        "1.a",
        "s",
        "s0s",
        "S0",
        "es0",
        "0x1",
        "1_0",
        "1e1",
        "٣",
        "²",
        "9" * 10,
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    assert parse_path(text) is None


@given(st.text(), st.integers(3, 50))
def test_a_text_is_cut_to_bytes_and_only_where_it_must_be(text: str, limit: int) -> None:
    fitted = fit(text, limit)
    assert len(fitted.encode()) <= limit
    if len(text.encode()) <= limit:
        assert fitted == text
    else:
        assert fitted.endswith("…")
        assert text.startswith(fitted[:-1])
        # Not even one character more: the next one has up to four bytes.
        assert len(fitted.encode()) > limit - 4


def test_a_text_is_not_cut_inside_a_character() -> None:
    assert fit("äöü", 6) == "äöü"
    assert fit("äöüä", 7) == "äö…"
    assert fit("äöüä", 6) == "ä…"
