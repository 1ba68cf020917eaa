"""What crosses the wire is plain JSON, comes back as it was, and is refused with reasons where it is garbage."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import BaseModel, ValidationError

from mageflow_temporal import (
    InvalidRequestError,
    ItemOutcome,
    NewerVersionError,
    Status,
    SwarmConfig,
    TaskOptions,
    Verb,
    protocol,
)
from mageflow_temporal.config import Priority
from mageflow_temporal.engine.tree import PROGRESS_VERSION, Progress
from mageflow_temporal.plan import PLAN_VERSION, ChainNode, Plan, SwarmNode, TaskNode, TaskSpec
from mageflow_temporal.protocol import LifecycleRequest, Order, Whereabouts, parse_request, problems

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes()
names = st.sampled_from(["target", "reason"]) | st.text() | st.integers() | st.none()
garbage = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(names, inner), max_leaves=10
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


# Requests, from anybody who can send a signal.


@given(name=st.sampled_from(sorted(protocol.REQUESTS)), payload=st.lists(garbage, max_size=3).map(tuple))
def test_whatever_is_sent_makes_a_request_or_is_refused(name: str, payload: tuple[Any, ...]) -> None:
    form = protocol.REQUESTS[name]
    try:
        request = parse_request(name, "etl-1", payload, form)
    except InvalidRequestError as error:
        assert (error.key, error.verb) == ("etl-1", name)
        assert error.problems
        assert f"{name} of 'etl-1' was refused and changed nothing" in str(error)
    else:
        assert type(request) is form
        assert len(payload) <= 1


@given(target=st.text(), reason=st.none() | st.text(max_size=1000))
def test_a_request_is_understood_as_it_was_sent(target: str, reason: str | None) -> None:
    sent = LifecycleRequest(target=target, reason=reason)
    assert parse_request("suspend", "k", (json.loads(json.dumps(sent.to_wire())),), LifecycleRequest) == sent


@pytest.mark.parametrize("payload", [(), (None,), ({},), ({"reason": None},)], ids=str)
def test_no_payload_means_the_whole_signature(payload: tuple[Any, ...]) -> None:
    assert parse_request("suspend", "k", payload, LifecycleRequest) == LifecycleRequest(target="", reason=None)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (("2.1",), "Input should be a valid dictionary or instance of LifecycleRequest"),
        (([],), "Input should be a valid dictionary"),
        ((False,), "Input should be a valid dictionary"),
        (({"target": 2},), "target: Input should be a valid string"),
        (({"target": None},), "target: Input should be a valid string"),
        (({"reason": "x" * 1001},), "reason: String should have at most 1000 characters"),
        (({"tarqet": "2"},), "tarqet: Extra inputs are not permitted"),
        (({"reason": "\ud800"},), "reason: Input should be a valid string, unable to parse"),
        (({}, {}), "takes one payload at most, got 2"),
    ],
    ids=ascii,
)
def test_a_malformed_payload_is_refused_with_what_is_wrong_and_the_form_that_is_right(
    payload: tuple[Any, ...], problem: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_request(Verb.SUSPEND, "k", payload, LifecycleRequest)
    [found] = caught.value.problems
    assert found.startswith(problem)
    assert str(caught.value).endswith(f"A right payload: {LifecycleRequest.EXAMPLE}")


def test_each_problem_says_where_it_is() -> None:
    class Inner(BaseModel):
        numbers: list[int]

    class Outer(BaseModel):
        inner: Inner
        name: str

    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": {"numbers": [1, "x"]}})
    assert [line.partition(":")[0] for line in problems(caught.value)] == ["inner.numbers.1", "name"]


# Payloads.

SPEC = TaskSpec(
    options=TaskOptions(retries=2, execution_timeout=timedelta(seconds=1.5), task_queue="gpu", fairness_weight=0.5),
    task_queue="gpu",
    heartbeat_timeout=timedelta(milliseconds=2500),
    result_field="rows",
)
LEAF = TaskNode(name="shown", task="t", kwargs={"deep": {"x": None, "y": [1, None]}})
PLAN = Plan(
    root=ChainNode(
        name="c",
        kwargs={"a": 1},
        members=(LEAF, SwarmNode(name="s", members=(LEAF, LEAF), config=SwarmConfig(max_concurrency=2), closed=True)),
    ),
    tasks={"t": SPEC},
    lost_worker_limit=5,
)
WHEN = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)
PAYLOADS: list[protocol._Payload] = [
    Order(plan=PLAN, message={"x": None}, hold=Status.SUSPENDED, reason="why", started=False, search_attributes=True),
    Order(plan=PLAN, delay=timedelta(hours=1.5)),
    protocol.Memo(name="täsk", returns="[t]"),
    protocol.LifecycleRequest(target="2.1", reason="why"),
    protocol.ResumeRequest(target="2", kwargs={"x": None}),
    protocol.SkipRequest(target="2", result=[None]),
    protocol.ConfigureRequest(max_concurrency=3),
    protocol.OutcomesRequest(first=3),
    protocol.OutcomesPage(
        outcomes=[ItemOutcome(key="k#0", name="n", status=Status.DONE, result={"x": None})], returns=[None], total=1
    ),
    protocol.Rerun(plan=PLAN, message={"x": None}, failed=2),
    protocol.StartRequest(message=[{"x": None}], delay=timedelta(milliseconds=1), priority=Priority(priority=1)),
    protocol.AddRequest(items=(LEAF, PLAN.root), tasks={"t": SPEC}, close_on_max_task=False),
    protocol.AddsRequest(adds=(protocol.AddRequest(items=(LEAF,), tasks={"t": SPEC}, id="one"),)),
    protocol.AddedRequest(id="one"),
    protocol.NotAdded(type="E", message="no", attributes={"key": "k", "how": None}),
    protocol.Added(first=3, count=2),
    protocol.AddsAnswer(
        added=(
            protocol.Added(),
            protocol.Added(refused=protocol.NotAdded(type="E", message="no", attributes={"how": None})),
        )
    ),
    protocol.Tie(key="child-0"),
    protocol.Tied(ended=Status.DONE),
    protocol.TieRequest(ties=(protocol.Tie(key="child-1", target="2.1", ended=("child-0",)),)),
    protocol.TieAnswer(tied=(protocol.Tied(hold=Status.INTERRUPTED, reason="why"), protocol.Tied())),
    protocol.Resumption(attempt=3, checkpoint={"line": None}, origin="first run"),
    protocol.TakeBackRequest(activity_ids=["0.1", "task~2"]),
    protocol.TakeBackAnswer(activities={"0": Whereabouts(state="running", started_at=WHEN, worker="1@h")}),
    protocol.Handover(checkpoint=[1, None], error="E: no"),
    protocol.Refusal(attributes={"key": "k", "worker": None}),
    protocol.Leaf(index=3, attempts=2, name="n", returns="[t]"),
    Whereabouts(state="unknown"),
]


def test_every_payload_is_tried_here() -> None:
    defined = {
        thing
        for _, thing in inspect.getmembers(protocol, inspect.isclass)
        if issubclass(thing, protocol._Payload) and thing not in (protocol._Payload, protocol.Request, protocol.Paged)
    }
    assert {type(payload) for payload in PAYLOADS} == defined


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_a_payload_comes_back_from_json_as_it_was(payload: protocol._Payload) -> None:
    assert type(payload).model_validate(json.loads(json.dumps(payload.to_wire()))) == payload


def test_what_stands_for_results_in_pages_comes_back_as_it_was_and_nothing_else_is_taken_for_it() -> None:
    paged = protocol.Paged(pages=["k.page-0"], rest=[(1, {"x": None}), (2, None)])
    assert protocol.Paged.of(json.loads(json.dumps(paged.to_wire()))) == paged
    assert [protocol.Paged.of(value) for value in (None, [], {}, {"x": 1}, {protocol.PAGED: {}, "x": 1})] == [None] * 5


@given(json_values)
def test_a_message_a_checkpoint_and_bound_kwargs_arrive_as_they_were_sent(value: Any) -> None:
    bound = TaskNode(name="n", task="t", kwargs={"bound": value})
    plan = Plan(root=bound, tasks={"t": next(iter(PLAN.tasks.values()))}, lost_worker_limit=1)
    order = Order(plan=plan, message=value)
    arrived = Order.model_validate(json.loads(json.dumps(order.to_wire())))
    assert arrived.message == value
    assert arrived.plan.root.kwargs == {"bound": value}
    assert protocol.Resumption.model_validate(protocol.Resumption(checkpoint=value).to_wire()).checkpoint == value


# Versions.


def test_a_plan_says_of_which_shape_it_is() -> None:
    assert Order(plan=PLAN).to_wire()["plan"]["version"] == PLAN_VERSION
    assert protocol.AddRequest(items=(), tasks={}).to_wire()["version"] == PLAN_VERSION


def test_a_newer_plan_is_refused_before_anything_in_it_is_read() -> None:
    order = {"plan": {"version": PLAN_VERSION + 1, "root": {"kind": "loop"}}}
    with pytest.raises(NewerVersionError) as caught:
        Order.model_validate(order)
    assert str(caught.value) == (
        f"this plan was made by a newer mageflow_temporal (plan version {PLAN_VERSION + 1}; this process knows "
        f"{PLAN_VERSION}): upgrade this process"
    )
    with pytest.raises(NewerVersionError):
        parse_request("add", "k", ({"version": PLAN_VERSION + 1, "items": "?"},), protocol.AddRequest)


def test_newer_progress_is_refused_before_it_is_unpacked() -> None:
    packed = Progress(message="hello").packed()
    assert Progress.unpacked(packed).message == "hello"
    assert packed.startswith(f"{PROGRESS_VERSION}:")
    with pytest.raises(NewerVersionError, match="this progress was made by a newer mageflow_temporal"):
        Progress.unpacked(f"{PROGRESS_VERSION + 1}:?")


REQUEST_FORMS = [payload for payload in PAYLOADS if isinstance(payload, protocol.Request)]


@pytest.mark.parametrize("payload", REQUEST_FORMS, ids=lambda payload: type(payload).__name__)
def test_a_request_with_a_field_that_nobody_knows_is_refused(payload: protocol.Request) -> None:
    with pytest.raises(InvalidRequestError, match="later: Extra inputs are not permitted"):
        parse_request("verb", "k", ({**payload.to_wire(), "later": 1},), type(payload))


ANSWERS = [payload for payload in PAYLOADS if not isinstance(payload, protocol.Request)]


@pytest.mark.parametrize("payload", ANSWERS, ids=lambda payload: type(payload).__name__)
def test_anything_else_is_read_without_the_fields_that_nobody_knows(payload: protocol._Payload) -> None:
    assert type(payload).model_validate({**payload.to_wire(), "later": 1}) == payload


def test_each_kind_of_signature_is_a_workflow_type_and_back() -> None:
    assert {protocol.KINDS[type_]: type_ for type_ in protocol.KINDS} == protocol.WORKFLOW_TYPES
    assert protocol.WORKFLOW_TYPES == {"task": "mageflow.task", "chain": "mageflow.chain", "swarm": "mageflow.swarm"}
