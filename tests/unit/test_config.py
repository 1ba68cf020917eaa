"""Options: what they may be, what they are when nobody sets them, and the pauses that they make."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import BaseModel, ValidationError

from mageflow_temporal import AcceptParams, Mageflow, MageflowConfig, SwarmConfig, TaskOptions
from mageflow_temporal.config import Priority

INF, NAN = float("inf"), float("nan")
TEN_YEARS = timedelta(days=3650)

SECONDS = (timedelta(microseconds=1), timedelta(seconds=5), TEN_YEARS)
NO_DURATION = (timedelta(0), timedelta(seconds=-1), TEN_YEARS + timedelta(microseconds=1), timedelta.max, "soon", INF)
POSITIVE = (1, 30, 10**9)
NOT_POSITIVE = (0, -1, 1.5, "many")
QUEUE = ("q", "ü" * 500)
NO_QUEUE = ("", "q" * 1001, 7)

URGENCY: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "priority": ((None, 1, 3, 5), (0, 6, -1, 1.5, "high")),
    "fairness_key": ((None, "acme", "ü" * 32), ("", "q" * 65, "ü" * 33, "\ud800", 7)),
    "fairness_weight": ((None, 0.001, 1, 1000.0), (0, 0.0009, 1001, -1, INF, NAN, "much")),
}

RANGES: dict[type[BaseModel], dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]]] = {
    Priority: URGENCY,
    TaskOptions: {
        "retries": ((0, 3, 10**6), (-1, 1.5, None, "many")),
        "execution_timeout": ((None, *SECONDS), NO_DURATION),
        "schedule_timeout": ((None, *SECONDS), NO_DURATION),
        "backoff_factor": ((1, 1.0, 2.5, 1e308), (0.99, 0, -1, INF, NAN, None)),
        "backoff_max_seconds": (
            (0.01, 60, TEN_YEARS.total_seconds()),
            (0, -1, TEN_YEARS.total_seconds() + 1, INF, NAN),
        ),
        "heartbeat_timeout": ((None, *SECONDS), NO_DURATION),
        "at_most_once": ((True, False), (None, "perhaps")),
        "task_queue": ((None, *QUEUE), NO_QUEUE),
        **URGENCY,
    },
    SwarmConfig: {
        "max_concurrency": (POSITIVE, (None, *NOT_POSITIVE)),
        "stop_after_n_failures": ((None, *POSITIVE), NOT_POSITIVE),
        "max_task_allowed": ((None, *POSITIVE), NOT_POSITIVE),
    },
    MageflowConfig: {
        "task_queue": (QUEUE, (None, *NO_QUEUE)),
        "heartbeat_timeout": (SECONDS, (None, *NO_DURATION)),
        "lost_worker_limit": (POSITIVE, (None, *NOT_POSITIVE)),
        "param_config": (tuple(AcceptParams), (None, 4, "ALL")),
        "events_per_run": ((None, 10, 40_000), (9, 40_001, 0, "many")),
    },
}
"""Of each option: values that it takes, and values that it refuses."""


def cases(good: bool) -> list[Any]:
    return [
        pytest.param(model, option, value, id=f"{model.__name__}.{option}={str(value)[:20]}")
        for model, options in RANGES.items()
        for option, (taken, refused) in options.items()
        for value in (taken if good else refused)
    ]


def test_every_option_has_its_range_written_down_here() -> None:
    for model, options in RANGES.items():
        assert set(options) == set(model.model_fields)


@pytest.mark.parametrize(("model", "option", "value"), cases(good=True))
def test_an_option_takes_what_is_in_its_range(model: type[BaseModel], option: str, value: Any) -> None:
    assert getattr(model(**{option: value}), option) == value


@pytest.mark.parametrize(("model", "option", "value"), cases(good=False))
def test_an_option_out_of_its_range_is_refused_by_its_name(model: type[BaseModel], option: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        model(**{option: value})
    [problem] = caught.value.errors()
    assert problem["loc"] == (option,)
    assert str(caught.value).startswith(f"1 validation error for {model.__name__}\n{option}\n")


def test_a_duration_out_of_range_is_told_the_range() -> None:
    with pytest.raises(ValidationError, match="must be longer than zero and at most 3650 days"):
        TaskOptions(execution_timeout=timedelta(0))


def test_a_task_that_must_not_run_twice_has_no_retries() -> None:
    with pytest.raises(ValidationError, match="at_most_once=True and retries=1 contradict each other"):
        TaskOptions(at_most_once=True, retries=1)


@pytest.mark.parametrize("model", RANGES)
def test_an_option_that_does_not_exist_is_refused(model: Any) -> None:
    with pytest.raises(ValidationError, match="retrys"):
        model(retrys=3)


@pytest.mark.parametrize("model", RANGES)
def test_settings_do_not_change(model: Any) -> None:
    settings = model()
    for option in RANGES[model]:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(settings, option, 1)


def test_the_options_of_a_task_are_checked_where_it_is_defined() -> None:
    with pytest.raises(ValidationError, match="retries"):
        Mageflow().task(retries=-1)


def test_what_nobody_sets() -> None:
    assert TaskOptions().retries == 0
    assert SwarmConfig() == SwarmConfig(max_concurrency=30, stop_after_n_failures=None, max_task_allowed=None)
    assert MageflowConfig().task_queue == "mageflow"


def seconds(options: TaskOptions, retries: int) -> list[float]:
    return [options.backoff(retry).total_seconds() for retry in range(retries)]


def test_pauses_double_up_to_a_minute() -> None:
    assert seconds(TaskOptions(), 8) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_pauses_grow_by_their_factor_up_to_their_longest() -> None:
    assert seconds(TaskOptions(backoff_factor=3, backoff_max_seconds=20), 5) == [1, 3, 9, 20, 20]
    assert seconds(TaskOptions(backoff_factor=1, backoff_max_seconds=20), 3) == [1, 1, 1]
    assert seconds(TaskOptions(backoff_max_seconds=0.5), 3) == [0.5, 0.5, 0.5]


def test_a_pause_that_no_number_can_hold_is_the_longest() -> None:
    assert TaskOptions().backoff(10**9) == timedelta(seconds=60)
    assert TaskOptions(backoff_factor=1e308).backoff(2) == timedelta(seconds=60)


@given(
    factor=st.floats(1, allow_infinity=False, allow_nan=False),
    longest=st.floats(0.001, TEN_YEARS.total_seconds()),
    retry=st.integers(0, 10**6),
)
def test_pauses_never_shrink_and_never_pass_the_longest(factor: float, longest: float, retry: int) -> None:
    options = TaskOptions(backoff_factor=factor, backoff_max_seconds=longest)
    assert timedelta(0) < options.backoff(retry) <= options.backoff(retry + 1) <= timedelta(seconds=longest)
