"""OpenTelemetry traces: from the caller's span through the signature's workflow to each task's span. An extra.

The spans are those of Temporal's own interceptor, which carries the trace in headers; this adds what they are about in
our words. Outside the workflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from temporalio import activity, client, worker
from temporalio.plugin import SimplePlugin

from mageflow_temporal.errors import MissingExtraError
from mageflow_temporal.key import Key
from mageflow_temporal.protocol import KINDS, MEMO, Memo, Resumption

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

__all__ = ["tracing"]


def tracing(tracer: Tracer | None = None) -> SimplePlugin:
    """Return the plugin that traces an app's work: `Mageflow(plugins=[tracing()])`, in clients and workers.

    The span of a start has the attributes `mageflow.key`, `mageflow.name` and `mageflow.kind`; that of each run of a
    task `mageflow.key`, `mageflow.path` (empty where the task is all there is), `mageflow.task` and `mageflow.attempt`.

    Args:
        tracer: what makes the spans. `None`: the tracer provider that is set for the process.

    Raises:
        MissingExtraError: the extra "otel" is not installed.
    """
    try:
        from temporalio.contrib.opentelemetry import TracingInterceptor  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtraError(extra="otel", needed_for="mageflow_temporal.otel") from None
    # In this order: ours finds the span that Temporal's has just begun.
    return SimplePlugin("mageflow.otel", interceptors=[TracingInterceptor(tracer), _Attributes()])


class _Attributes(client.Interceptor, worker.Interceptor):
    """Says in a span what it is about."""

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return _Starts(next)

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:
        return _Tasks(next)


class _Starts(client.OutboundInterceptor):
    async def start_workflow(self, input: client.StartWorkflowInput) -> client.WorkflowHandle[Any, Any]:
        kind, memo = KINDS.get(input.workflow), (input.memo or {}).get(MEMO)
        if kind and memo:
            _describe(key=input.id, name=Memo.model_validate(memo).name, kind=kind)
        return await super().start_workflow(input)


class _Tasks(worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.workflow_type in KINDS and not info.is_local:
            key = Key.of_activity(info.workflow_id or "", info.activity_id)
            resumption = Resumption.model_validate(input.args[1] if len(input.args) > 1 else {})
            _describe(key=str(key), path=key.path, task=info.activity_type, attempt=resumption.attempt)
        return await super().execute_activity(input)


def _describe(**facts: str | int) -> None:
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    trace.get_current_span().set_attributes({f"mageflow.{name}": fact for name, fact in facts.items()})
