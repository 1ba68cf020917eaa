"""What is traced and counted: one trace from the caller to each task's code, and the metrics of a worker."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer
from temporalio.client import Client
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, MissingExtraError, Status
from mageflow_temporal.otel import tracing
from tests.support import DEADLINE, Ledger, eventually


def queue() -> MageflowConfig:
    return MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}")


# Traces.


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(spans: InMemorySpanExporter) -> Iterator[Tracer]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider.get_tracer("test")
    provider.shutdown()


async def test_one_trace_goes_from_the_caller_to_the_code_of_each_task(
    server: EmbeddedServer, tracer: Tracer, spans: InMemorySpanExporter
) -> None:
    mf = Mageflow(server.target, config=queue(), plugins=[tracing(tracer)])
    attempts: list[int] = []

    @mf.task(name="first")
    async def first() -> int:
        with tracer.start_as_current_span("in first"):
            return 1

    @mf.task(name="second", retries=1, backoff_max_seconds=0.01)
    def second(msg: dict[str, Any]) -> int:
        attempts.append(1)
        with tracer.start_as_current_span("in second"):
            if len(attempts) == 1:
                raise ValueError("on purpose")
            return 2

    async with mf.worker():
        with tracer.start_as_current_span("caller"):
            chain = await mf.chain([first, second], name="traced")
            await chain.run(timeout=DEADLINE)

    ended = spans.get_finished_spans()
    assert len({span.context.trace_id for span in ended}) == 1
    by_id = {span.context.span_id: span for span in ended}

    def ancestors(span: ReadableSpan) -> list[str]:
        return [span.name, *(ancestors(by_id[span.parent.span_id]) if span.parent else [])]

    def ours(span: ReadableSpan) -> dict[str, Any]:
        return {name: fact for name, fact in (span.attributes or {}).items() if name.startswith("mageflow.")}

    [start] = [span for span in ended if span.name == "StartWorkflow:mageflow.chain"]
    assert ours(start) == {"mageflow.key": chain.key, "mageflow.name": "traced", "mageflow.kind": "chain"}
    inner = {tuple(ancestors(span)) for span in ended if span.name.startswith("in ")}
    assert inner == {
        (f"in {task}", f"RunActivity:{task}", f"StartActivity:{task}", "StartWorkflow:mageflow.chain", "caller")
        for task in ("first", "second")
    }
    runs = [span for span in ended if span.name.startswith("RunActivity:")]
    assert [ours(run) for run in runs] == [
        {
            "mageflow.key": f"{chain.key}#{path}",
            "mageflow.path": path,
            "mageflow.task": task,
            "mageflow.attempt": attempt,
        }
        for path, task, attempt in (("0", "first", 1), ("1", "second", 1), ("1", "second", 2))
    ]
    assert [run.status.is_ok for run in runs] == [True, False, True]


def test_without_the_extra_an_error_says_which_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "temporalio.contrib.opentelemetry", None)
    with pytest.raises(MissingExtraError, match=r"mageflow-temporal\[otel\]"):
        tracing()


# Metrics.


class Metrics:
    """What a runtime has measured: the last value of a gauge, the sum of a counter, the values of a histogram."""

    def __init__(self) -> None:
        self._buffer = MetricBuffer(100_000)
        self.runtime = Runtime(telemetry=TelemetryConfig(metrics=self._buffer))
        self._seen: list[tuple[str, dict[str, Any], float]] = []

    def values(self, name: str, **attributes: Any) -> list[float]:
        self._seen += [
            (update.metric.name, dict(update.attributes), update.value) for update in self._buffer.retrieve_updates()
        ]
        return [value for seen, has, value in self._seen if seen == name and attributes.items() <= has.items()]


async def test_a_worker_counts_its_tasks_their_ends_and_how_fast_an_interrupt_was(
    server: EmbeddedServer, ledger: Ledger
) -> None:
    metrics, gate = Metrics(), asyncio.Event()
    mf = Mageflow(await Client.connect(server.target, runtime=metrics.runtime), config=queue())

    @mf.task(name="held")
    async def held() -> str:
        return await ledger.work("held", gate)

    @mf.task(name="bad", retries=1, backoff_max_seconds=0.01)
    async def bad() -> None:
        raise ValueError("on purpose")

    here: dict[str, Any] = {"task_queue": mf.config.task_queue, "namespace": "default"}
    async with mf.worker():
        swarm = await mf.swarm([held, held], is_swarm_closed=True)
        await swarm.start()
        await ledger.has_begun("held", 2)
        assert metrics.values("mageflow_tasks_running", activity_type="held", **here) == [1, 2]
        await swarm.interrupt()
        [latency] = metrics.values("mageflow_interrupt_latency", workflow_type="mageflow.swarm", **here)
        assert 0 < latency < DEADLINE * 1000
        assert metrics.values("mageflow_tasks_running", activity_type="held", **here)[-1] == 0
        await swarm.interrupt()
        assert len(metrics.values("mageflow_interrupt_latency")) == 1, "nothing ran any more"
        gate.set()
        await swarm.resume()
        await swarm.result(timeout=DEADLINE)
        failed = await mf.sign(bad)
        await failed.start()
        await eventually(
            lambda: metrics.values("mageflow_task_runs", outcome="failed") == [1, 1], "it has failed twice"
        )
    assert metrics.values("mageflow_task_runs", activity_type="held", outcome="stopped", **here) == [1, 1]
    assert metrics.values("mageflow_task_runs", activity_type="held", outcome="done", **here) == [1, 1]


async def test_a_worker_counts_the_signatures_of_the_namespace_by_status(server: EmbeddedServer) -> None:
    metrics = Metrics()
    mf = Mageflow(await Client.connect(server.target, runtime=metrics.runtime), config=queue())
    mf.declare("elsewhere")
    held = await mf.sign("elsewhere")
    await held.suspend()

    async def listed() -> bool:
        return await mf.count(f"WorkflowId = '{held.key}'", status=Status.SUSPENDED) == 1

    await eventually(listed, "the server lists it as suspended")
    async with mf.worker():

        def counted() -> bool:
            return any(metrics.values("mageflow_signatures", namespace="default", status="suspended"))

        await eventually(counted, "it has been counted")
        assert metrics.values("mageflow_signatures", status="done") == [], "what has ended is not under way"
        await mf.remove(held.key)
