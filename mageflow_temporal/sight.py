"""A signature as the server sees it: what its own workflow does not know of its state."""

from __future__ import annotations

from collections import Counter

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus

from mageflow_temporal.key import Key
from mageflow_temporal.line import ended_as
from mageflow_temporal.status import Status, StatusReport, count

_CUT_OFF = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.TIMED_OUT)
"""Ends of which the workflow's own code learns nothing: its last word is that it goes on."""


def corrected(report: StatusReport, description: WorkflowExecutionDescription) -> StatusReport:
    """Return what a workflow reports of itself, or of a part of it, corrected by what the server knows of it."""
    if description.status in _CUT_OFF and (ended := ended_as(description)):
        return _cut_off(report, ended)
    pending = {item.activity_id.partition("~")[0]: item for item in description.raw_description.pending_activities}
    return _as_the_server_sees(report, pending) if pending else report


def _cut_off(report: StatusReport, ended: Status) -> StatusReport:
    """Return the report of a signature that the server has ended: whatever went on in it has ended so, too."""
    parts = {
        "children": [_cut_off(child, ended) for child in report.children],
        "callbacks": [_cut_off(callback, ended) for callback in report.callbacks],
    }
    if report.status.ended:
        return report.model_copy(update=parts)
    counts = None
    if report.counts:
        tally = Counter[Status]()
        for status in Status:
            tally[status if status.ended else ended] += getattr(report.counts, status)
        counts = count(tally)
    return report.model_copy(update={**parts, "status": ended, "counts": counts})


def _as_the_server_sees(report: StatusReport, pending: dict[str, PendingActivityInfo]) -> StatusReport:
    """Return the report with what only the server knows: which dispatched tasks still wait, and who runs the others."""
    callbacks = [_as_the_server_sees(callback, pending) for callback in report.callbacks]
    if callbacks != report.callbacks:
        report = report.model_copy(update={"callbacks": callbacks})
    if report.kind != "task":
        children = [_as_the_server_sees(child, pending) for child in report.children]
        if children == report.children:
            return report
        # Not all members of a large one are told of, so what is known of all is corrected by what has changed.
        assert report.counts
        counts = Counter({Status(name): number for name, number in report.counts if name in list(Status)})
        counts.subtract(child.status for child in report.children)
        counts.update(child.status for child in children)
        return report.model_copy(update={"children": children, "counts": count(counts)})
    found = pending.get(Key.parse(report.key).path or "task")
    if found is None or report.status is not Status.ACTIVE:
        return report
    if found.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
        return report.model_copy(update={"status": Status.PENDING})
    return report.model_copy(update={"worker": found.last_worker_identity or None})
