"""What a task gets: a message, the kwargs bound to it, and the previous result, merged. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import is_dataclass
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from pydantic import BaseModel, RootModel
from pydantic_core import to_jsonable_python

from mageflow_temporal.errors import NotSerializableError
from mageflow_temporal.status import ErrorInfo

Json = Any
"""Plain JSON types: dict, list, str, int, float, bool, None."""

_WITHOUT_FIELDS: Final = (int, str, float, bool, bytes, type(None), None, list, tuple, set, frozenset)

RESULT_FIELD: Final = "mageflow_results"
"""Where the previous result goes if no field of the message is annotated for it."""

_T = TypeVar("_T")


class _ReturnValueMarker:
    """Marks the field of a message that takes the previous step's result."""


class _ErrorValueMarker:
    """Marks the field of an error callback's message that takes the error."""


if TYPE_CHECKING:
    ReturnValue = Annotated[_T, _ReturnValueMarker]
    """`field: ReturnValue[Rows]` takes the previous step's result; to a type checker it is `Rows`."""
    ErrorValue = ErrorInfo
    """`field: ErrorValue` of an error callback's message takes the error that it is called for."""
else:

    class ReturnValue:
        """`field: ReturnValue[Rows]` takes the previous step's result; to a type checker it is `Rows`."""

        def __class_getitem__(cls, item: object) -> object:
            return Annotated[item, _ReturnValueMarker()]

    ErrorValue = Annotated[ErrorInfo, _ErrorValueMarker()]


def result_field(model: Any) -> str:
    """Return the name under which `model` takes the previous result: its first marked field, else `RESULT_FIELD`."""
    return _marked_field(model, _ReturnValueMarker) or RESULT_FIELD


def takes_result(model: Any) -> bool:
    """Return whether a message of type `model` has a place for the previous result; true where that is not known."""
    if get_origin(model) is Annotated:
        return takes_result(get_args(model)[0])
    if get_origin(model) in (Union, UnionType):
        return any(takes_result(part) for part in get_args(model))
    if isinstance(model, type) and issubclass(model, RootModel):
        return takes_result(model.model_fields["root"].annotation)
    return result_field(model) != RESULT_FIELD or _has_room(model)


def _has_room(model: Any) -> bool:
    """Return whether a message takes what nobody has marked a field for."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        names = [alias for name, field in model.model_fields.items() for alias in (name, field.validation_alias)]
        return (
            RESULT_FIELD in names
            or model.model_config.get("extra") == "allow"
            or bool(model.__pydantic_decorators__.model_validators)  # one may take it apart
        )
    if hints := _hints(model):
        return RESULT_FIELD in hints
    return has_fields(model)


def has_fields(model: Any) -> bool:
    """Return whether a message of this type can have fields: false of what is text, a number or a list."""
    if get_origin(model) is Annotated:
        return has_fields(get_args(model)[0])
    if get_origin(model) in (Union, UnionType):
        return any(has_fields(part) for part in get_args(model))
    return (get_origin(model) or model) not in _WITHOUT_FIELDS


def error_field(model: Any) -> str | None:
    """Return the name under which `model` takes an error, or `None` if it takes none."""
    return _marked_field(model, _ErrorValueMarker)


def _marked_field(model: Any, marker: type) -> str | None:
    if isinstance(model, type) and issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            if any(isinstance(mark, marker) for mark in field.metadata) or _is_marked(field.annotation, marker):
                return field.validation_alias if isinstance(field.validation_alias, str) else name
        return None
    if hints := _hints(model):
        return next((name for name, hint in hints.items() if _is_marked(hint, marker)), None)
    # `Model | None`, `Annotated[Model, ...]`
    return next((found for part in get_args(model) if (found := _marked_field(part, marker))), None)


def _hints(model: Any) -> dict[str, Any]:
    """Return the annotations of a dataclass or a `TypedDict`; none of anything else."""
    return get_type_hints(model, include_extras=True) if is_dataclass(model) or is_typeddict(model) else {}


def _is_marked(annotation: object, marker: type) -> bool:
    return any(isinstance(part, marker) or _is_marked(part, marker) for part in get_args(annotation))


def by_one_name(model: Any, message: Json) -> Json:
    """Return a message in which no field of `model` has two values, one by its alias and one by its name.

    Models are written by their aliases, and kwargs are laid over them by whatever name their author chose.
    """
    if not (isinstance(message, dict) and isinstance(model, type) and issubclass(model, BaseModel)):
        return cast("Json", message)
    given = cast("dict[str, Json]", message)
    if not (model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")):
        return given
    doubled = [field.validation_alias for name, field in model.model_fields.items() if name in given]
    return {name: value for name, value in given.items() if name in model.model_fields or name not in doubled}


def deep_merge(below: Json, above: Json) -> Json:
    """Return `below` with `above` laid over it: `above` wins, dicts merge recursively. Neither is changed."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    merged = cast("dict[str, Json]", {**below})
    for name, value in cast("dict[str, Json]", above).items():
        merged[name] = deep_merge(merged[name], value) if name in merged else value
    return merged


def wire_size(value: Any) -> int:
    """Return how many bytes a value has on the wire, as the SDK's own converter writes it; 0 for `None`."""
    return 0 if value is None else len(json.dumps(value, separators=(",", ":")))


def bind(message: Json, *kwargs: dict[str, Json]) -> Json:
    """Return the message with each of the kwargs laid over it, the innermost first: an outer container's win."""
    for bound in kwargs:
        if bound:
            message = deep_merge({} if message is None else message, bound)
    return message


def given(message: object) -> Json:
    """Return what of a message was set: the defaults of a model are not meant to be laid over another message.

    Raises:
        NotSerializableError: it holds something that JSON has no form for.
    """
    if not isinstance(message, BaseModel):
        return to_json(message)
    return _plain(message, lambda: message.model_dump(mode="json", exclude_unset=True, by_alias=True))


def to_json(value: object) -> Json:
    """Return a message, a kwarg or a result as plain JSON types.

    Raises:
        NotSerializableError: it holds something that JSON has no form for.
    """
    return _plain(value, lambda: to_jsonable_python(value, by_alias=True))


def _plain(value: object, dump: Callable[[], Json]) -> Json:
    try:
        return dump()
    except ValueError as error:
        # Bytes that are no text and circular references raise others than PydanticSerializationError.
        raise NotSerializableError(type=type(value).__name__, problem=str(error)) from error
