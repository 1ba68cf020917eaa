"""Statuses: the table of transitions is the user's document, and reports find their members."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mageflow_temporal import Status, StatusReport, Verb
from mageflow_temporal.status import ENDED, TRANSITIONS, after, count, to_json

DOCUMENT = """\
pending → suspend() → suspended → resume() → pending
pending → interrupt() → interrupted → resume() → pending
active → interrupt() → interrupted  → resume() → active (may be inconsistent)
active → suspend() → suspended  → resume() → active (may be inconsistent)
"""
"""The section "Status Transitions" of the user's task-lifecycle document, as it stands there."""

LINE = re.compile(r"(\w+) → (\w+)\(\) → (\w+) +→ resume\(\) → (\w+)")
OPEN = [status for status in Status if status not in ENDED]


@pytest.mark.parametrize("line", DOCUMENT.splitlines())
def test_the_table_is_the_users_document(line: str) -> None:
    found = LINE.match(line)
    assert found
    before, verb, held, resumed = found.groups()
    assert after(Status(before), Verb(verb), None) == held
    assert after(Status(held), Verb.RESUME, Status(before)) == resumed


def test_the_document_says_what_each_verb_does_to_what_has_not_ended_and_is_not_held() -> None:
    said = {(found[1], found[2]) for found in LINE.finditer(DOCUMENT)}
    assert said == {(status, verb) for status in ("pending", "active") for verb in ("suspend", "interrupt")}


def test_the_table_knows_every_verb_and_every_status_that_has_not_ended() -> None:
    assert {verb: set(row) for verb, row in TRANSITIONS.items()} == {verb: set(OPEN) for verb in Verb}


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("status", OPEN)
def test_a_verb_repeated_changes_nothing(status: Status, verb: Verb) -> None:
    once = after(status, verb, Status.ACTIVE)
    assert after(once, verb, Status.ACTIVE) == once


@pytest.mark.parametrize("status", [Status.PENDING, Status.ACTIVE])
def test_a_resume_of_what_is_not_held_changes_nothing(status: Status) -> None:
    assert after(status, Verb.RESUME, Status.SUSPENDED) == status


def test_an_interrupt_outranks_a_suspension_and_not_the_other_way() -> None:
    assert after(Status.SUSPENDED, Verb.INTERRUPT, Status.ACTIVE) == "interrupted"
    assert after(Status.INTERRUPTED, Verb.SUSPEND, Status.ACTIVE) == "interrupted"


def test_what_was_held_before_it_began_is_pending_after_a_resume() -> None:
    assert after(Status.SUSPENDED, Verb.RESUME, None) == "pending"


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("status", sorted(ENDED))
def test_no_verb_makes_anything_of_what_has_ended(status: Status, verb: Verb) -> None:
    with pytest.raises(KeyError):
        after(status, verb, None)


def test_done_failed_and_canceled_are_ends() -> None:
    assert [status for status in Status if status.ended] == ["done", "failed", "canceled"]


def test_statuses_are_lower_case_words() -> None:
    assert {str(status) for status in Status} == {
        "pending", "active", "suspended", "interrupted", "done", "failed", "canceled"
    }  # fmt: skip


@given(st.dictionaries(st.sampled_from(Status), st.integers(0, 10**6)))
def test_counts_are_those_of_each_status_and_of_all(statuses: dict[Status, int]) -> None:
    counted = count(statuses).model_dump()
    assert counted.pop("total") == sum(statuses.values())
    assert counted == {str(status): statuses.get(status, 0) for status in Status}


def report(key: str, *children: StatusReport) -> StatusReport:
    return StatusReport(kind="swarm", name="n", key=key, status=Status.ACTIVE, children=list(children))


TREE = report("k", report("k#0"), report("k#1", report("k#1.0"), report("k#1.1", report("k#1.1.0"))))


@pytest.mark.parametrize("path", ["0", "1", "1.0", "1.1", "1.1.0"])
def test_a_member_is_found_by_its_path(path: str) -> None:
    found = TREE.find(path)
    assert found and found.key == f"k#{path}"


def test_a_members_report_finds_what_is_below_it_by_its_path_from_there() -> None:
    member = TREE.find("1.1")
    below = member and member.find("0")
    assert below and below.key == "k#1.1.0"


def test_a_callback_is_found_by_its_path_whichever_others_are_left() -> None:
    last = report("k", report("k#0")).model_copy(update={"callbacks": [report("k#e1", report("k#e1.0"))]})
    assert last.find("e1.0") == report("k#e1.0")
    assert last.find("e0") is last.find("s1") is None


def test_the_empty_path_is_the_report_itself() -> None:
    assert TREE.find("") is TREE


@pytest.mark.parametrize(
    "path", ["2", "0.0", "1.2", "1.1.0.0", "-1", "1.-1", "x", ".", "1.", ".1", "1..0", " 1", "1\n", "٣", "9" * 5000]
)
def test_a_path_that_leads_nowhere_finds_nothing(path: str) -> None:
    assert TREE.find(path) is None


@given(st.text(max_size=8) | st.text("01.", max_size=8))
def test_whatever_is_looked_for_the_answer_is_a_report_or_nothing(path: str) -> None:
    found: Any = TREE.find(path)
    assert found is None or isinstance(found, StatusReport)


def test_a_report_comes_back_from_json_as_it_was() -> None:
    assert StatusReport.model_validate(to_json(TREE)) == TREE
