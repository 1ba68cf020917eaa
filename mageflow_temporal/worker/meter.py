"""What a worker counts, for the metrics of the SDK's runtime. Without metrics it costs next to nothing."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final

from temporalio import activity
from temporalio.client import Client
from temporalio.common import MetricMeter
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from mageflow_temporal.errors import MageflowError
from mageflow_temporal.protocol import SIGNATURES_METRIC, TASK_RUNS_METRIC, TASKS_RUNNING_METRIC
from mageflow_temporal.status import Status

_logger = logging.getLogger(__name__)

_BETWEEN_COUNTS: Final = 60.0
"""Seconds between two countings of signatures: each worker asks the server."""

Census = Callable[[], Awaitable[Mapping[Status, int]]]
"""Counts the signatures that are under way, by status."""


class TaskMeter:
    """Counts the runs of tasks in this worker, by task and queue."""

    def __init__(self) -> None:
        self._running = Counter[tuple[str, str]]()

    @contextmanager
    def run(self, stopped: Callable[[], bool]) -> Generator[None]:
        """Count a run of the activity that calls this: while it lasts, and by how it ends.

        Args:
            stopped: whether its code was stopped, and neither done nor failed.
        """
        info, meter = activity.info(), activity.metric_meter()
        running = meter.create_gauge(TASKS_RUNNING_METRIC, "Tasks whose code runs")
        runs = meter.create_counter(TASK_RUNS_METRIC, "Runs of tasks' code that have ended, by how they ended")
        here = (info.task_queue, info.activity_type)
        self._running[here] += 1
        running.set(self._running[here])
        outcome = "failed"
        try:
            yield
            outcome = "done"
        finally:
            self._running[here] -= 1
            running.set(self._running[here])
            runs.add(1, {"outcome": "stopped" if outcome == "failed" and stopped() else outcome})


async def count_signatures(client: Client, census: Census) -> None:
    """Keep the metric of signatures under way up to date, where there are metrics, until it is cancelled."""
    meter = (client.service_client.config.runtime or Runtime.default()).metric_meter
    if meter is MetricMeter.noop:
        return
    signatures = meter.create_gauge(SIGNATURES_METRIC, "Signatures under way in the namespace, by status")
    while True:
        try:
            for status, count in (await census()).items():
                signatures.set(count, {"namespace": client.namespace, "status": status})
        except (MageflowError, RPCError) as error:
            _logger.warning("the signatures were not counted, and will be in %g s: %s", _BETWEEN_COUNTS, error)
        await asyncio.sleep(_BETWEEN_COUNTS)
