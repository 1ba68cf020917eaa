"""The tree of errors: drawn, exported, and whole after it has crossed the wire."""

from __future__ import annotations

import inspect
import json
import pickle
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import errors
from mageflow_temporal.errors import MageflowError, attributes
from mageflow_temporal.protocol import _WIRE_ERRORS, Refusal, rebuild

DRAWN = re.compile(r"^    (?P<indent> *)(?P<name>\w+(?:Error|Warning))$", re.MULTILINE)


def tree(root: type[MageflowError], *above: str) -> Iterator[tuple[str, ...]]:
    """Yield the classes of the tree, each behind those that it is derived from."""
    yield (*above, root.__name__)
    for child in root.__subclasses__():
        if child.__module__.startswith(errors.__name__):
            yield from tree(child, *above, root.__name__)


NAMES = [names[-1] for names in tree(MageflowError)]


def test_the_drawing_at_the_top_of_the_module_is_the_tree() -> None:
    drawn: list[tuple[str, ...]] = []
    for found in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(found["indent"]) // 2
        drawn.append((*(drawn[-1][:depth] if drawn else ()), found["name"]))
    assert sorted(drawn) == sorted(tree(MageflowError))


def test_every_error_that_the_module_defines_is_in_the_tree() -> None:
    defined = [
        name
        for name, thing in inspect.getmembers(errors, inspect.isclass)
        if thing.__module__.startswith(errors.__name__)
    ]
    assert sorted(defined) == sorted([*NAMES, "NoWorkerWarning"])


@pytest.mark.parametrize("name", [*NAMES, "NoWorkerWarning"])
def test_every_error_is_a_name_of_the_package(name: str) -> None:
    assert getattr(mageflow, name) is getattr(errors, name)
    assert name in mageflow.__all__


@pytest.mark.parametrize("name", NAMES)
def test_every_error_says_what_it_means(name: str) -> None:
    assert getattr(errors, name).__doc__


WHEN = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=timezone(timedelta(hours=2)))
SENT = [
    errors.SignatureEndedError(key="etl-1#2.1", status="done"),
    errors.SignatureAlreadyStartedError(key="etl-1"),
    errors.TaskAlreadyRunningError(key="etl-1", attempt=3, started_at=WHEN, worker="1@host"),
    errors.TaskAlreadyRunningError(key="etl-1", attempt=1, started_at=None, worker=None),
    errors.UnknownMemberError(key="etl-1", target="9.9"),
    errors.InvalidRequestError(key="etl-1", verb="suspend", problems=["target: no", "reason: no"], expected="{}"),
    errors.PayloadTooLargeError(what="the message", cause="3 MiB of 2"),
    errors.TaskFailedError(key="k#0", task="täsk", attempts=1, type="ValueError", error="“no”", traceback="File …"),
    errors.TaskFailedError(key="k", task="t", attempts=4, type="ValueError", error=""),
    errors.SwarmFailedError(key="k", failures=3, first="no\n'quoted'"),
    errors.SwarmIsClosedError(key="k", how="closed"),
    errors.SwarmIsFullError(key="k", waiting=80_000),
    errors.SwarmIsCanceledError(key="k", how="canceled"),
    errors.TooManyTasksError(swarm="k", limit=3, asked=4),
    errors.NotAListError(key="k", got="dict"),
    errors.WhereaboutsUnknownError(key="k#0", cause="no answer"),
    errors.NewerVersionError(what="plan", version=2, known=1),
]
"""One or more of each error that the engine sends."""


def test_each_error_of_the_wire_table_is_tried_here() -> None:
    assert {type(error).__name__ for error in SENT} >= set(_WIRE_ERRORS)
    assert set(_WIRE_ERRORS) <= set(NAMES)


@pytest.mark.parametrize("error", SENT, ids=lambda error: type(error).__name__)
def test_an_errors_attributes_are_what_it_is_built_from(error: MageflowError) -> None:
    assert set(vars(error)) == set(inspect.signature(type(error)).parameters)


@pytest.mark.parametrize("error", SENT, ids=lambda error: type(error).__name__)
def test_an_error_that_crosses_the_wire_is_the_same_on_the_other_side(error: MageflowError) -> None:
    json.dumps(attributes(error))  # plain JSON types already
    wire = json.loads(json.dumps(Refusal(attributes=attributes(error)).to_wire()))
    rebuilt = rebuild(type(error).__name__, [wire])
    assert type(rebuilt) is type(error)
    assert rebuilt is not None
    assert vars(rebuilt) == vars(error)
    assert str(rebuilt) == str(error)


def test_an_error_that_is_not_ours_or_carries_nothing_is_not_rebuilt() -> None:
    attributes_of_one = [{"attributes": {"key": "k"}}]
    assert rebuild("ValueError", attributes_of_one) is None
    assert rebuild(None, attributes_of_one) is None
    assert rebuild("", attributes_of_one) is None
    assert rebuild("MissingSignatureError", attributes_of_one) is None, "the engine does not send it"
    assert rebuild("SignatureAlreadyStartedError", []) is None


def test_what_a_newer_worker_knows_more_of_an_error_is_dropped() -> None:
    rebuilt = rebuild("SwarmIsClosedError", [{"attributes": {"key": "k", "how": "closed", "since": "noon"}}])
    assert isinstance(rebuilt, errors.SwarmIsClosedError)
    assert vars(rebuilt) == {"key": "k", "how": "closed"}


def test_a_running_task_is_named_with_its_attempt_its_worker_and_the_way_out() -> None:
    error = errors.TaskAlreadyRunningError(key="etl-1#2", attempt=3, started_at=WHEN.astimezone(UTC), worker="7@host")
    for part in ("'etl-1#2'", "attempt 3", "since 2026-03-01T10:30:00.250000+00:00", "worker 7@host", "interrupt()"):
        assert part in str(error)
    unknown = errors.TaskAlreadyRunningError(key="etl-1", attempt=1, started_at=None, worker=None)
    assert "(attempt 1 on worker unknown)" in str(unknown)


def test_a_failed_task_counts_its_attempts_in_words_that_fit() -> None:
    once = errors.TaskFailedError(key="k", task="t", attempts=1, type="E", error="no")
    assert str(once) == "task 't' (k) failed after 1 attempt: E: no"
    assert "failed after 4 attempts: E: no" in str(SENT[8]).replace("ValueError: ", "E: no")


def test_a_result_that_did_not_come_in_time_is_a_timeout_error_too() -> None:
    error = errors.ResultTimeoutError(key="k", timeout=timedelta(seconds=0.3), status="active")
    assert isinstance(error, TimeoutError)
    assert str(error) == "'k' had not ended after 0.3 s (it is active); it goes on"


def test_an_unknown_task_is_answered_with_the_known_ones_and_what_to_do() -> None:
    assert "known here: 'a', 'b'. Import the module" in str(errors.UnknownTaskError(name="c", known=["a", "b"]))
    assert "known here: none. Import the module" in str(errors.UnknownTaskError(name="c", known=[]))


def test_a_note_goes_with_an_error_that_is_pickled() -> None:
    error = mageflow.MissingSignatureError(key="k")
    error.add_note("seen at night")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.key) == (type(error), str(error), "k")
    assert again.__notes__ == ["seen at night"]


@pytest.mark.parametrize(("status", "words"), [("active", "it goes on"), ("suspended", "it waits for a resume")])
def test_a_timeout_says_what_becomes_of_what_was_awaited(status: str, words: str) -> None:
    error = mageflow.ResultTimeoutError(key="k", timeout=timedelta(seconds=1), status=status)
    assert str(error) == f"'k' had not ended after 1 s (it is {status}); {words}"
