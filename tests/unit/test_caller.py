"""Who is calling: what a task's code makes is named the same in each of its runs, and by nobody else."""

from __future__ import annotations

import pytest

from mageflow_temporal import NotAnAsyncTaskError
from mageflow_temporal.caller import Caller


def names(caller: Caller, *whats: str) -> list[str]:
    return [caller.token(what) for what in whats]


def test_each_run_names_the_same_things_the_same_and_different_things_differently() -> None:
    first = names(Caller(key="etl-1#2", origin="run"), "a", "b", "a", "a")
    again = names(Caller(key="etl-1#2", origin="run"), "a", "b", "a", "a")
    assert first == again
    assert len(set(first)) == 4


def test_another_name_in_between_changes_nothing() -> None:
    assert names(Caller(key="k", origin="run"), "a", "b", "a")[2] == names(Caller(key="k", origin="run"), "a", "a")[1]


@pytest.mark.parametrize(("key", "origin"), [("etl-1#3", "run"), ("etl-1", "run"), ("etl-1#2", "later run")])
def test_another_task_and_a_later_workflow_of_the_same_id_give_other_names(key: str, origin: str) -> None:
    assert Caller(key=key, origin=origin).token("a") != Caller(key="etl-1#2", origin="run").token("a")


def test_a_corrected_message_gives_other_names_and_the_order_of_its_fields_does_not() -> None:
    first = Caller(key="k", origin="run", message={"a": 1, "b": 2}).token("x")
    assert Caller(key="k", origin="run", message={"b": 2, "a": 1}).token("x") == first
    assert Caller(key="k", origin="run", message={"a": 1, "b": 3}).token("x") != first


def test_what_has_ended_is_told_once() -> None:
    caller = Caller(key="k", origin="run")
    caller.has_seen_end_of("a")
    caller.has_seen_end_of("b")
    assert caller.take_ended() == ("a", "b")
    assert caller.take_ended() == ()


def test_code_that_can_make_no_signatures_is_told_why() -> None:
    caller = Caller(key="k", origin="run", refuses="a process of its own")
    with pytest.raises(NotAnAsyncTaskError, match="the code of 'k' runs in a process of its own") as caught:
        caller.token("a")
    assert (caught.value.key, caught.value.where) == ("k", "a process of its own")
