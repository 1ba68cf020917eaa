"""A message, the kwargs bound to it and the previous result are merged: who wins, and that nobody's dict changes."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any, Optional, Union

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic_core import to_json as dump_json

from mageflow_temporal import ErrorInfo, ErrorValue, NotSerializableError, ReturnValue, message
from mageflow_temporal.message import bind, by_one_name, deep_merge, error_field, result_field, takes_result, to_json

names = st.sampled_from("abc")
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
dicts = st.dictionaries(names, values, max_size=3)


def leaves(value: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each value that is no dict, with the keys that lead to it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, *path, name)
    else:
        yield path, value


def has(value: Any, path: tuple[str, ...]) -> bool:
    """Whether there is anything at all at `path`."""
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


@given(below=dicts, above=dicts)
def test_what_is_above_wins_everywhere(below: dict[str, Any], above: dict[str, Any]) -> None:
    merged = dict(leaves(deep_merge(below, above)))
    assert all(path in merged and merged[path] == leaf for path, leaf in leaves(above))


@given(below=dicts, above=dicts)
def test_what_is_below_stays_unless_something_above_is_in_its_way(below: dict[str, Any], above: dict[str, Any]) -> None:
    merged, over = dict(leaves(deep_merge(below, above))), dict(leaves(above))
    for path, leaf in leaves(below):
        covered = any(path[:length] in over for length in range(len(path) + 1)) or has(above, path)
        assert covered or merged[path] == leaf


@given(below=dicts, above=dicts)
def test_a_merge_invents_nothing(below: dict[str, Any], above: dict[str, Any]) -> None:
    given_values = [*leaves(below), *leaves(above)]
    assert all(leaf in given_values for leaf in leaves(deep_merge(below, above)))


@given(values)
def test_a_merge_with_nothing_or_with_itself_changes_nothing(value: Any) -> None:
    assert deep_merge(value, value) == value
    assert deep_merge({}, value) == value
    if isinstance(value, dict):
        assert deep_merge(value, {}) == value


# A name that is a dict here and a number there is replaced whole, and then the grouping counts; so each is one of both.
layers = st.recursive(
    st.dictionaries(st.sampled_from(["number-1", "number-2"]), st.integers()),
    lambda inner: st.dictionaries(st.sampled_from(["dict-1", "dict-2"]), inner),
)


@given(message=layers, kwargs=st.lists(layers, max_size=4), cut=st.integers(0, 4))
def test_layers_may_be_laid_one_by_one_or_in_groups(message: Any, kwargs: list[Any], cut: int) -> None:
    assert bind(bind(message, *kwargs[:cut]), *kwargs[cut:]) == bind(message, *kwargs)
    assert deep_merge(message, bind({}, *kwargs)) == bind(message, *kwargs)


@given(message=st.none() | dicts, kwargs=st.lists(dicts, max_size=4))
def test_neither_the_message_nor_any_kwargs_are_changed(message: Any, kwargs: list[dict[str, Any]]) -> None:
    before = deepcopy((message, kwargs))
    bind(message, *kwargs)
    assert (message, kwargs) == before


def test_kwargs_of_an_outer_container_win_over_those_of_an_inner_one_which_win_over_the_message() -> None:
    message = {"a": "message", "b": "message", "c": "message", "deep": {"x": "message", "y": "message"}}
    item = {"b": "item", "c": "item", "deep": {"x": "item"}}
    container = {"c": "container"}
    assert bind(message, item, container) == {
        "a": "message",
        "b": "item",
        "c": "container",
        "deep": {"x": "item", "y": "message"},
    }


@pytest.mark.parametrize("message", [None, 7, "text", [1, 2], {"a": 1}])
def test_a_message_without_kwargs_is_passed_as_it_is(message: Any) -> None:
    assert bind(message) is message
    assert bind(message, {}, {}) is message


def test_kwargs_alone_are_a_message() -> None:
    assert bind(None, {"a": 1}) == {"a": 1}


def test_a_list_is_replaced_and_not_merged() -> None:
    assert deep_merge({"a": [1, 2, 3]}, {"a": [4]}) == {"a": [4]}


class Marked(BaseModel):
    other: int = 0
    rows: ReturnValue[list[int]]
    second: ReturnValue[int] = 0


class MarkedInOptional(BaseModel):
    other: Optional[int] = None
    rows: Optional[ReturnValue[list[int]]] = None


class MarkedInUnion(BaseModel):
    other: Union[int, str] = 0
    rows: Union[str, ReturnValue[list[int]]]


class MarkedInPipe(BaseModel):
    other: int | None = None
    rows: ReturnValue[int] | None = None


class MarkedInAnnotated(BaseModel):
    other: Annotated[int, Field(ge=0)] = 0
    rows: Annotated[ReturnValue[int], Field(ge=0)]


class MarkedDeep(BaseModel):
    other: int = 0
    rows: Annotated[Optional[Annotated[ReturnValue[int], Field(ge=0)]], "why"] = None


class MarkedByAlias(BaseModel):
    rows: ReturnValue[int] = Field(alias="previousRows")


class Inherits(Marked):
    first: int = 0


class Unmarked(BaseModel):
    rows: list[int] = []


@pytest.mark.parametrize(
    "model", [Marked, MarkedInOptional, MarkedInUnion, MarkedInPipe, MarkedInAnnotated, MarkedDeep, Inherits]
)
def test_the_previous_result_goes_into_the_first_field_that_is_marked(model: type[BaseModel]) -> None:
    assert result_field(model) == "rows"


def test_a_marked_field_is_known_by_its_alias() -> None:
    assert result_field(MarkedByAlias) == "previousRows"
    assert MarkedByAlias.model_validate({result_field(MarkedByAlias): 3}).rows == 3


@pytest.mark.parametrize("model", [Unmarked, dict, dict[str, Any], int, Any, None, "Marked"], ids=str)
def test_without_a_marked_field_the_previous_result_is_mageflow_results(model: object) -> None:
    assert result_field(model) == "mageflow_results"


def test_a_marked_field_is_validated_as_what_it_marks() -> None:
    assert Marked.model_validate({"rows": ["1", 2]}).rows == [1, 2]
    with pytest.raises(ValueError, match="rows"):
        Marked.model_validate({"rows": "many"})


class Alarm(BaseModel):
    other: ErrorInfo | None = None
    why: ErrorValue
    last: ReturnValue[int] = 0


class MaybeAlarm(BaseModel):
    why: ErrorValue | None = None


@pytest.mark.parametrize("model", [Alarm, MaybeAlarm])
def test_an_error_goes_into_the_field_that_is_marked_for_it(model: type[BaseModel]) -> None:
    assert error_field(model) == "why"


@pytest.mark.parametrize("model", [Marked, Unmarked, dict, None], ids=str)
def test_without_a_marked_field_an_error_goes_nowhere(model: object) -> None:
    assert error_field(model) is None


def test_a_field_for_the_error_is_none_for_the_result_and_the_other_way() -> None:
    assert result_field(Alarm) == "last"
    assert result_field(MaybeAlarm) == "mageflow_results"
    assert Alarm.model_validate({"why": {"type": "E", "message": "no"}}).why == ErrorInfo(type="E", message="no")


class Mirror(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    shown_as: int = Field(alias="shownAs")


def test_models_travel_by_their_aliases_and_come_back() -> None:
    plain = to_json({"deep": [Mirror(shown_as=1)]})
    assert plain == {"deep": [{"shownAs": 1}]}
    assert Mirror.model_validate(plain["deep"][0]) == Mirror(shown_as=1)


def circular() -> dict[str, Any]:
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    return ring


@pytest.mark.parametrize("value", [object(), b"\xff", {"deep": [object()]}, circular()], ids=["1", "2", "3", "4"])
def test_what_json_has_no_form_for_is_refused_with_its_type(value: Any) -> None:
    with pytest.raises(NotSerializableError, match="use pydantic models, dataclasses or plain data") as caught:
        to_json(value)
    assert caught.value.type == type(value).__name__


def test_what_is_given_of_a_message_is_written_as_its_model_says() -> None:
    class Raw(BaseModel):
        model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
        data: bytes
        more: int = 1

    said = message.given(Raw(data=b"hell"))
    assert said == {"data": "aGVsbA=="}
    assert Raw.model_validate_json(dump_json(said)).data == b"hell"


@dataclass
class MarkedData:
    n: ReturnValue[int]
    more: int = 0


class NoPlace(BaseModel):
    n: int = 0


class Open(NoPlace, extra="allow"):
    pass


class ByName(BaseModel):
    mageflow_results: int


class Aliased(BaseModel):
    n: int = Field(0, alias="mageflow_results")


class Nested(RootModel[NoPlace]):
    pass


@pytest.mark.parametrize(
    "model", [MarkedData, Open, ByName, Aliased, Any, dict[str, int], dict, object, Optional[MarkedData]]
)
def test_these_have_a_place_for_a_result(model: Any) -> None:
    assert takes_result(model)


@pytest.mark.parametrize("model", [NoPlace, Nested, int, str, list[int], Optional[NoPlace], Annotated[int, "x"]])
def test_these_have_none(model: Any) -> None:
    assert not takes_result(model)


def test_the_marked_field_of_a_dataclass_takes_the_result() -> None:
    assert result_field(MarkedData) == "n"


def test_a_field_that_was_given_by_both_of_its_names_has_the_value_of_the_kwarg() -> None:
    class Named(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        path: str = Field(alias="thePath")

    both = {"thePath": "of the message, which is written by its alias", "path": "of the kwarg"}
    assert by_one_name(Named, both) == {"path": "of the kwarg"}
    assert by_one_name(Named, {"thePath": "alone"}) == {"thePath": "alone"}
    assert by_one_name(NoPlace, both) == both
