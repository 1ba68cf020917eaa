"""What a node is given: the message or result that comes to it, with what is bound to it on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mageflow_temporal.engine.tree import Node
from mageflow_temporal.message import RESULT_FIELD, bind, deep_merge
from mageflow_temporal.plan import ChainNode, PlanNode, TaskSpec
from mageflow_temporal.status import ErrorInfo

NOTHING: Final = object()
"""No result: `None` is one."""


@dataclass(frozen=True, slots=True)
class Source:
    """A result, or a message and perhaps an error."""

    message: Any = None
    result: Any = NOTHING
    error: ErrorInfo | None = None

    @property
    def value(self) -> Any:
        """What comes, whichever it is."""
        return self.message if self.result is NOTHING else self.result


def source(node: Node, start_message: Any) -> Source:
    """Return what comes to a node from outside it: the nearest result, element, callback or start message."""
    for inner in node.lineage():
        parent, index = inner.parent, inner.index
        if given := inner.state.input:
            return Source(given.message, error=given.error) if given.error else Source(result=given.result)
        if parent is None or isinstance(index, str):
            continue
        if isinstance(parent.plan, ChainNode) and index > 0:
            return Source(result=parent.state.result)
        if parent.state.elements is not None:
            return Source(result=parent.state.elements[index])
    return Source(start_message)


def corrected(swarm: Node, items: Sequence[Node]) -> tuple[dict[str, Any], tuple[PlanNode, ...]]:
    """Return the kwargs of a swarm, and some of its items, with what resumes have corrected in both.

    What was corrected for an item wins over the swarm's kwargs: so, where there is any, these are laid over the items.
    """
    kwargs = deep_merge(swarm.plan.kwargs, swarm.state.kwargs or {})
    if not any(item.state.kwargs for item in items):
        return kwargs, tuple(item.plan for item in items)
    return {}, tuple(
        item.plan.model_copy(
            update={
                "kwargs": bind(item.plan.kwargs, swarm.plan.kwargs, item.state.kwargs or {}, swarm.state.kwargs or {})
            }
        )
        for item in items
    )


def message_for(node: Node, spec: TaskSpec | None, start_message: Any) -> Any:
    """Return what a task, or with no `spec` a map, gets: what comes to it, under all kwargs bound on the way."""
    given = source(node, start_message)
    result_field = spec.result_field if spec else RESULT_FIELD
    message = given.message if given.result is NOTHING else {result_field: given.result}
    if given.error and spec and spec.error_field:
        message = bind(message, {spec.error_field: given.error.model_dump(mode="json")})
    bound: list[dict[str, Any]] = []
    corrected: list[dict[str, Any]] = []
    for inner in node.lineage():
        bound.append(inner.plan.kwargs)
        corrected.append(inner.state.kwargs or {})
        if inner.is_callback:
            break
    return bind(message, *bound, *corrected)
