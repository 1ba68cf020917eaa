"""A signature as a workflow execution: what it is started with, and what its end means, whoever started it.

That may be a client, a schedule, or a user's own workflow, so this is for both sides of the workflow boundary: no I/O,
no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from temporalio import common
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError

from mageflow_temporal import errors, plan, protocol
from mageflow_temporal.config import Priority
from mageflow_temporal.plan import Plan, PlanNode
from mageflow_temporal.protocol import Memo, Order


class Facts(TypedDict):
    """What a workflow is started with, whoever starts it."""

    args: list[Any]
    task_queue: str
    memo: dict[str, Any]
    priority: common.Priority
    static_summary: str
    static_details: str


@dataclass(frozen=True)
class Terms:
    """On what terms signatures are started: what their app says, and what their server and connection can carry."""

    task_queue: str
    search_attributes: bool = False
    """Whether the server has ours."""
    payload_limit: int = protocol.PAYLOAD_LIMIT
    """See `Order`."""
    events_per_run: int | None = None
    """See `MageflowConfig`."""

    def order(self, compiled: Plan, **start: Any) -> Order:
        """Return the input of a workflow."""
        return Order(
            plan=compiled,
            payload_limit=self.payload_limit,
            search_attributes=self.search_attributes,
            events_per_run=self.events_per_run,
            **start,
        )

    def facts(self, order: Order, root: PlanNode, memo: Memo, priority: Priority) -> Facts:
        """Return what else it is started with."""
        return {
            "args": [order.to_wire()],
            "task_queue": self.task_queue,
            "memo": {protocol.MEMO: memo.to_wire()},
            "priority": common.Priority(priority.priority, priority.fairness_key, priority.fairness_weight),
            "static_summary": plan.fit(f"{root.kind} {root.name}: {plan.describe(root)}", protocol.SUMMARY_LIMIT),
            "static_details": protocol.GUIDE,
        }

    def attributes(self, order: Order, root: PlanNode) -> TypedSearchAttributes:
        """Return its search attributes: none where the server does not have ours."""
        if not self.search_attributes:
            return TypedSearchAttributes.empty
        facts = {
            protocol.STATUS_ATTRIBUTE: str(order.status),
            protocol.NAME_ATTRIBUTE: root.name,
            protocol.KIND_ATTRIBUTE: root.kind,
        }
        return TypedSearchAttributes(
            [SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in facts.items()]
        )


def refusal_of(cause: BaseException | None) -> errors.MageflowError | None:
    """Return the error by which the engine refused a call or ended a run; `None` for what is not the engine's."""
    if not isinstance(cause, ApplicationError) or not protocol.is_refusal(cause.details):
        return None
    return rebuilt(cause.type, cause.message, cause.details)


def rebuilt(type: str | None, message: str, details: Sequence[Any]) -> errors.MageflowError:
    """Return the engine's error of that type. A newer worker may have one that is not known here."""
    return protocol.rebuild(type, details) or errors.MageflowError(f"{type}: {message}")


def outcome(key: str, cause: BaseException | None) -> errors.MageflowError:
    """Return what the failure of a signature's workflow means."""
    if refused := refusal_of(cause):
        return refused
    if isinstance(cause, CancelledError):
        return errors.SignatureCanceledError(key=key, how="canceled")
    how = "terminated" if isinstance(cause, TerminatedError) else "timed out"
    return errors.SignatureCanceledError(key=key, how=how)
