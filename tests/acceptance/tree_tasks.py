"""What the tasks of random trees are told, and what they make of it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from mageflow_temporal import ErrorValue, ReturnValue
from tests.acceptance.reference_model import Json


class Orders(BaseModel):
    """What a task's signature tells its code to do."""

    fails: int
    fatal: bool
    gives: int | None


class Plain(BaseModel):
    model_config = ConfigDict(extra="allow")

    orders: Orders
    error: ErrorValue | None = None


class Marked(Plain):
    before: ReturnValue[Any] = None


MODELS: dict[str, type[Plain]] = {"mageflow_results": Plain, "before": Marked}
"""The model for each field that takes the previous result."""


def told(msg: Plain) -> Json:
    """Return what a task was told, without what only an engine can know: where the error came from."""
    message = msg.model_dump(mode="json", exclude_unset=True, exclude={"orders"})
    if msg.error:
        message["error"] = {"type": msg.error.type, "attempt": msg.error.attempt}
    return message
