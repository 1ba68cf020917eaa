"""What a task gets: a message, the kwargs bound to it, and the previous result, merged. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, cast, get_args

from pydantic import BaseModel
from pydantic_core import to_json as dump_json
from pydantic_core import to_jsonable_python

from mageflow_temporal.errors import NotSerializableError
from mageflow_temporal.status import ErrorInfo

Json = Any
"""Plain JSON types: dict, list, str, int, float, bool, None."""

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


def result_field(model: object) -> str:
    """Return the name under which `model` takes the previous result: its first marked field, else `RESULT_FIELD`."""
    return _marked_field(model, _ReturnValueMarker) or RESULT_FIELD


def error_field(model: object) -> str | None:
    """Return the name under which `model` takes an error, or `None` if it takes none."""
    return _marked_field(model, _ErrorValueMarker)


def _marked_field(model: object, marker: type) -> str | None:
    if isinstance(model, type) and issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            if any(isinstance(mark, marker) for mark in field.metadata) or _is_marked(field.annotation, marker):
                return field.validation_alias if isinstance(field.validation_alias, str) else name
        return None
    # `Model | None`, `Annotated[Model, ...]`
    return next((found for part in get_args(model) if (found := _marked_field(part, marker))), None)


def _is_marked(annotation: object, marker: type) -> bool:
    return any(isinstance(part, marker) or _is_marked(part, marker) for part in get_args(annotation))


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
        plain = dump()
        dump_json(plain)  # which refuses half of a surrogate pair, as a file's name may have it
    except ValueError as error:
        # Bytes that are no text and circular references raise others than PydanticSerializationError.
        raise NotSerializableError(type=type(value).__name__, problem=str(error)) from error
    return plain
