"""What is recorded of a version, in `recorded/{version}/`.

{feature}.json.gz   the histories of a feature: a list with one for each run
forms.json          the form of what travels from version to version
"""

from __future__ import annotations

import gzip
import inspect
import json
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
from temporalio.client import WorkflowHistory
from temporalio.converter import default

from mageflow_temporal import config, plan, protocol, status
from mageflow_temporal.engine import tree
from mageflow_temporal.engine.tree import Progress
from mageflow_temporal.protocol import AddsRequest, Leaf, Order, Paged

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).parent / "recorded"
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
FORMS = RECORDED / VERSION / "forms.json"


@dataclass(frozen=True)
class Golden:
    """The histories of one feature, as one version of the package made them."""

    version: str
    feature: str
    histories: list[WorkflowHistory]

    @property
    def path(self) -> Path:
        return RECORDED / self.version / f"{self.feature}.json.gz"

    def write(self) -> None:
        raw = [{"workflowId": one.workflow_id, **one.to_json_dict()} for one in self.histories]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(gzip.compress(json.dumps(raw, separators=(",", ":")).encode(), mtime=0))

    @classmethod
    def read(cls, path: Path) -> Self:
        runs: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
        histories = [WorkflowHistory.from_json(run["workflowId"], {"events": run["events"]}) for run in runs]
        return cls(path.parent.name, path.name.removesuffix(".json.gz"), histories)


def recorded() -> list[Path]:
    """Return the files of all versions and features."""
    return sorted(RECORDED.glob("*/*.json.gz"))


def start_of(history: WorkflowHistory) -> WorkflowExecutionStartedEventAttributes:
    """Return how a run was started."""
    return history.events[0].workflow_execution_started_event_attributes


def order_of(history: WorkflowHistory) -> dict[str, Any]:
    """Return the order that a run was started with."""
    [order] = default().payload_converter.from_payloads(start_of(history).input.payloads)
    return order


def forms() -> dict[str, Any]:
    """Return the form of what travels from version to version: every field's type and default, as the code has them."""
    roots = (Order, AddsRequest, Progress, Leaf, Paged)
    names = {name for root in roots for name in (root.__name__, *root.model_json_schema().get("$defs", ()))}
    things = {name: thing for module in (config, plan, protocol, status, tree) for name, thing in vars(module).items()}
    return {name: _form(things[name]) for name in sorted(names)}


def _form(thing: type[BaseModel | StrEnum | tuple[Any, ...]]) -> Any:
    if issubclass(thing, StrEnum):
        return list(thing)
    if issubclass(thing, tuple):
        return {name: getattr(type_, "__forward_arg__", type_) for name, type_ in thing.__annotations__.items()}
    types: dict[str, str] = {}
    for base in reversed(thing.mro()):
        types |= inspect.get_annotations(base)
    return {
        name: types[name]
        if field.is_required()
        else f"{types[name]} = {field.get_default(call_default_factory=True)!r}"
        for name, field in thing.model_fields.items()
    }
