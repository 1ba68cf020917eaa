"""A task: what is read off a decorated function, what its message must be, and an app's tasks by name."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Optional

import pytest
from pydantic import BaseModel, ConfigDict, Field

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, ReturnValue, TaskOptions
from mageflow_temporal.handle import typed


class Order(BaseModel):
    number: int
    note: str = ""


class Receipt(BaseModel):
    order: Order


async def elsewhere_module_task(msg: Order) -> Receipt:
    return Receipt(order=msg)


@pytest.fixture
def mf() -> Mageflow:
    return Mageflow("no-server-is-asked.invalid:7233")


# What is read off a function.


def test_a_task_has_its_functions_name_unless_it_is_given_one(mf: Mageflow) -> None:
    @mf.task()
    async def by_itself() -> None: ...

    @mf.task(name="gïven name")
    async def given() -> None: ...

    assert [task.name for task in mf.tasks] == ["by_itself", "gïven name"]
    assert repr(given) == "<Task 'gïven name'>"


def test_the_types_of_message_and_result_are_those_of_the_annotations(mf: Mageflow) -> None:
    @mf.task()
    async def bill(msg: Order) -> Receipt: ...

    assert (bill.takes_message, bill.message_type, bill.result_type) == (True, Order, Receipt)


def test_annotations_may_be_classes_of_the_function_that_defines_the_task(mf: Mageflow) -> None:
    class Local(BaseModel):
        value: int

    @mf.task()
    async def local(msg: Local) -> list[Local]: ...

    assert (local.message_type, local.result_type) == (Local, list[Local])


def test_a_task_without_parameter_takes_no_message(mf: Mageflow) -> None:
    @mf.task()
    async def alone() -> int: ...

    assert not alone.takes_message


def test_what_is_not_annotated_is_passed_as_plain_data(mf: Mageflow) -> None:
    @mf.task()
    async def bare(msg): ...  # pyright: ignore

    assert (bare.takes_message, bare.message_type, bare.result_type) == (True, Any, Any)
    assert bare.validate_message({"any": ["thing"]}) == {"any": ["thing"]}


def test_a_validator_says_the_messages_type_where_the_annotation_does_not(mf: Mageflow) -> None:
    @mf.task(input_validator=Order)
    async def bare(msg): ...  # pyright: ignore

    @mf.task(input_validator=Order)
    async def other(msg: Receipt) -> None: ...

    assert bare.message_type is other.message_type is Order


def test_parameters_with_defaults_are_the_functions_own_business(mf: Mageflow) -> None:
    @mf.task()
    async def flexible(msg: Order, factor: int = 2, *, loud: bool = False) -> None: ...

    assert flexible.message_type is Order


def test_the_options_are_kept_as_they_were_given(mf: Mageflow) -> None:
    @mf.task(retries=3, execution_timeout=timedelta(minutes=5), task_queue="gpu")
    async def careful() -> None: ...

    assert careful.options == TaskOptions(retries=3, execution_timeout=timedelta(minutes=5), task_queue="gpu")


def test_async_code_runs_on_the_loop_other_code_in_a_thread_and_each_in_a_process_if_it_is_said(mf: Mageflow) -> None:
    @mf.task()
    async def on_loop() -> None: ...

    @mf.task()
    def in_thread() -> None: ...

    apart = mf.task(isolation="process")(elsewhere_module_task)
    assert (on_loop.isolation, in_thread.isolation, apart.isolation) == ("loop", "thread", "process")


def test_a_function_behind_another_decorator_is_read_through_it(mf: Mageflow) -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return wrapper

    task = mf.task()(logged(elsewhere_module_task))
    assert (task.name, task.message_type, task.isolation) == ("elsewhere_module_task", Order, "loop")


def yields(msg: Order) -> Any:
    yield msg


async def yields_later(msg: Order) -> Any:
    yield msg


def needs_a_keyword(msg: Order, *, factor: int) -> None: ...


@pytest.mark.parametrize(
    "thing",
    [yields, yields_later, needs_a_keyword, functools.partial(elsewhere_module_task, Order(number=1)), Order, 3],
    ids=lambda thing: type(thing).__name__,
)
def test_what_could_not_be_run_with_one_message_for_one_result_is_refused(mf: Mageflow, thing: Any) -> None:
    with pytest.raises(mageflow.CompositionError, match="a task is made of a def|a task takes one message, or nothing"):
        mf.task()(thing)
    assert not list(mf.tasks)


def test_a_process_cannot_find_a_function_that_is_defined_inside_another(mf: Mageflow) -> None:
    async def hidden() -> None: ...

    with pytest.raises(mageflow.CompositionError, match="another process cannot find it"):
        mf.task(isolation="process")(hidden)


def test_a_method_takes_too_many_parameters_and_is_told_so(mf: Mageflow) -> None:
    with pytest.raises(mageflow.CompositionError, match="Shop.sell takes 2 parameters: a task takes one message"):

        class Shop:
            @mf.task()
            async def sell(self, msg: Order) -> None: ...


def test_a_task_is_called_like_the_function_that_it_is(mf: Mageflow) -> None:
    @mf.task()
    def double(msg: int) -> int:
        """Twice."""
        return 2 * msg

    task = mf.task()(elsewhere_module_task)
    assert double(21) == 42
    assert double.__doc__ == "Twice."
    assert asyncio.run(task(Order(number=1))) == Receipt(order=Order(number=1))


def test_a_declared_task_has_the_types_and_options_that_it_is_declared_with(mf: Mageflow) -> None:
    options = TaskOptions(task_queue="rust")
    task = mf.declare("far", message=Order, result=Receipt, options=options)
    assert (task.function, task.takes_message, task.options) == (None, True, options)
    assert (task.message_type, task.result_type) == (Order, Receipt)


# What a message must be.


def declared(message: Any) -> mageflow.Task[Any, Any]:
    return Mageflow().declare("task", message=message)


def test_a_message_becomes_what_the_function_takes() -> None:
    assert declared(Order).validate_message({"number": "7"}) == Order(number=7)
    assert declared(list[Order]).validate_message([{"number": 7}]) == [Order(number=7)]
    assert declared(int).validate_message(7) == 7


def test_no_message_is_an_empty_one() -> None:
    class Defaults(BaseModel):
        number: int = 3

    assert declared(Defaults).validate_message(None) == Defaults()
    assert declared(dict[str, int]).validate_message(None) == {}


def test_each_field_that_does_not_fit_has_a_line_of_its_own() -> None:
    with pytest.raises(mageflow.InvalidMessageError) as caught:
        declared(Receipt).validate_message({"order": {"number": "many", "note": 3}})
    assert caught.value.task == "task"
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["order.number", "order.note"]
    assert str(caught.value).startswith("the message does not fit task 'task': order.number: Input should be")


def test_a_strict_model_takes_what_json_has_no_type_for() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)

        day: date
        pause: timedelta
        pair: tuple[int, int]

    plain = {"day": "2026-03-01", "pause": "PT5S", "pair": [1, 2]}
    assert declared(Strict).validate_message(plain) == Strict(
        day=date(2026, 3, 1), pause=timedelta(seconds=5), pair=(1, 2)
    )
    with pytest.raises(mageflow.InvalidMessageError, match=r"pair\.0"):
        declared(Strict).validate_message({**plain, "pair": ["1", 2]})


def test_a_dataclass_is_a_message_like_any_other() -> None:
    @dataclass
    class Pair:
        left: int
        right: int = 0

    assert declared(Pair).validate_message({"left": 1}) == Pair(1)


def test_a_model_may_ignore_or_forbid_what_it_does_not_know() -> None:
    class Forbids(Order, extra="forbid"):
        pass

    assert declared(Order).validate_message({"number": 1, "more": 2}) == Order(number=1)
    with pytest.raises(mageflow.InvalidMessageError, match="more: Extra inputs are not permitted"):
        declared(Forbids).validate_message({"number": 1, "more": 2})


@pytest.mark.parametrize("type_", [Order, list[Receipt], dict[str, date], Optional[int]], ids=str)
def test_a_result_comes_back_as_the_type_that_the_function_gives(mf: Mageflow, type_: Any) -> None:
    values: dict[Any, tuple[Any, Any]] = {
        Order: ({"number": 1, "note": ""}, Order(number=1)),
        list[Receipt]: ([{"order": {"number": 1}}], [Receipt(order=Order(number=1))]),
        dict[str, date]: ({"a": "2026-03-01"}, {"a": date(2026, 3, 1)}),
        Optional[int]: (None, None),
    }
    raw, made = values[type_]
    task = mf.declare("task", result=type_)
    assert typed(raw, "task", mf.tasks) == made
    assert typed([raw, raw], "[task]", mf.tasks) == [made, made]
    assert task.result_adapter(1) is task.result_adapter(1), "it is expensive to make"


def test_a_type_that_pydantic_cannot_read_is_named_when_it_is_needed() -> None:
    class Opaque: ...

    with pytest.raises(mageflow.CompositionError, match="the message type of task 'task', .*Opaque.*, is none that"):
        declared(Opaque).validate_message({})


# The previous result, from a sender that could not know the field.


class Marked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rows: ReturnValue[list[int]]
    factor: int = 1


class MarkedByAlias(BaseModel):
    rows: Annotated[ReturnValue[int], Field(alias="previousRows")]


class Plain(BaseModel):
    mageflow_results: list[int]


def test_the_previous_result_moves_to_the_marked_field() -> None:
    sent = {"mageflow_results": [1, 2], "factor": 3}
    assert declared(Marked).validate_message(sent) == Marked(rows=[1, 2], factor=3)
    assert declared(MarkedByAlias).validate_message({"mageflow_results": 7}).rows == 7
    assert sent == {"mageflow_results": [1, 2], "factor": 3}, "the sender's message is not changed"


def test_the_previous_result_stays_where_no_field_is_marked() -> None:
    assert declared(Plain).validate_message({"mageflow_results": [1]}) == Plain(mageflow_results=[1])
    assert declared(dict[str, int]).validate_message({"mageflow_results": 1}) == {"mageflow_results": 1}


def test_a_sender_that_knows_the_marked_field_uses_it() -> None:
    assert declared(Marked).validate_message({"rows": [1]}) == Marked(rows=[1])


# An app's tasks.


def test_tasks_are_found_by_name(mf: Mageflow) -> None:
    first, second = mf.declare("first"), mf.declare("second")
    assert list(mf.tasks) == [first, second]
    assert mf.tasks.find("second") is mf.tasks.get("second") is second
    assert mf.tasks.find("third") is None
    with pytest.raises(mageflow.UnknownTaskError) as caught:
        mf.tasks.get("third")
    assert (caught.value.name, caught.value.known) == ("third", ["first", "second"])


def test_a_name_that_is_taken_stays_with_the_first(mf: Mageflow) -> None:
    first = mf.declare("taken")
    with pytest.raises(mageflow.DuplicateTaskError) as caught:
        mf.task(name="taken")(elsewhere_module_task)
    assert (caught.value.first, caught.value.second) == ("a declaration", f"{__name__}.elsewhere_module_task")
    assert mf.tasks.get("taken") is first


@pytest.mark.parametrize("name", ["x", "x" * 255, "a b", "ä", "日本", "a\nb", "_temporal", "mageflow"])
def test_almost_any_text_is_a_name(mf: Mageflow, name: str) -> None:
    assert mf.declare(name).name == name


def test_a_task_without_its_parentheses_is_an_error_that_says_so(mf: Mageflow) -> None:
    with pytest.raises(mageflow.CompositionError, match=r"write @mf.task\(\) with parentheses, .* above elsewhere"):
        mf.task(elsewhere_module_task)  # type: ignore[arg-type]


def test_a_message_with_half_a_surrogate_pair_is_refused(mf: Mageflow) -> None:
    with pytest.raises(mageflow.InvalidMessageError, match="surrogates not allowed"):
        mf.declare("task", message=dict[str, str]).validate_message({"path": "caf\udce9"})
