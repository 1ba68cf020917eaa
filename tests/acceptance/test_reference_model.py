"""Random trees run on a real server, and the reference model says the same: results, calls, statuses and order.

`EXAMPLES=1000` in the environment makes it a long run. A failure is printed with what reproduces it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from temporalio.exceptions import ApplicationError

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig
from tests.acceptance.random_trees import SeenReport, compose, ends_as, in_order, path_of, runs
from tests.acceptance.reference_model import Json, Model, Node, Path, Task, result_of
from tests.acceptance.tree_tasks import MODELS, Orders, Plain, told
from tests.conftest import replay_all

EXAMPLES = int(os.environ.get("EXAMPLES", "20"))
AT_ONCE = 4
"""Trees that run side by side: a server has more to mix up then, and waits less."""


class Stage:
    """An app with a task for each field and number of retries, and a log of what its tasks did, in order."""

    def __init__(self, mf: Mageflow) -> None:
        self.mf = mf
        self.log: dict[str, list[tuple[Path, str, Json]]] = {}
        for field, model in MODELS.items():
            for retries in (0, 2):
                self._define(f"{field} {retries}", model, retries)

    def _define(self, name: str, model: type[Plain], retries: int) -> None:
        @self.mf.task(name=name, retries=retries, backoff_max_seconds=0.01, input_validator=model)
        async def work(msg: Any) -> Any:
            task = mageflow.current_task()
            key, _, text = task.key.partition("#")
            path, log = path_of(text), self.log.setdefault(key, [])
            message = told(msg)
            log.append((path, "begun", (task.attempt, message)))
            try:
                if task.attempt <= msg.orders.fails:
                    if msg.orders.fatal:
                        raise ApplicationError("on purpose", type="Fatal", non_retryable=True)
                    raise ValueError("on purpose")
                return result_of(message, msg.orders.gives)
            finally:
                log.append((path, "ended", None))


def ordered(node: Task) -> tuple[str, Orders]:
    return f"{node.field} {node.retries}", Orders(fails=node.fails, fatal=node.fatal, gives=node.gives)


@pytest.fixture(scope="module", params=[None, 10], ids=["in one run each", "in new runs all the time"])
async def stage(server: EmbeddedServer, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    logger = logging.getLogger("temporalio.activity")
    logger.disabled = True  # thousands of tasks fail here, on purpose, each with its traceback
    config = MageflowConfig(task_queue=f"model-{uuid.uuid4().hex[:8]}", events_per_run=request.param)
    made = Stage(Mageflow(server.target, config=config))
    async with made.mf.worker():
        yield made
    logger.disabled = False
    await replay_all(made.mf)


@settings(max_examples=EXAMPLES // AT_ONCE, deadline=None, print_blob=True)
@given(together=st.lists(runs(), min_size=AT_ONCE, max_size=AT_ONCE))
async def test_random_trees_do_what_the_reference_model_says(stage: Stage, together: list[tuple[Node, Json]]) -> None:
    async with asyncio.TaskGroup() as group:
        for tree, message in together:
            group.create_task(does_what_the_model_says(stage, tree, message))


async def does_what_the_model_says(stage: Stage, tree: Node, message: Json) -> None:
    signature = await compose(stage.mf, tree, ordered)
    await signature.start(message)
    result: Any = None
    error: mageflow.OutcomeError | None = None
    try:
        result = await signature.result(timeout=120)
    except mageflow.OutcomeError as caught:
        error = caught
    log = stage.log.pop(signature.key, [])
    seen = SeenReport(await signature.status())
    model = Model(tree, message, seen)
    ends_as(model, signature.key, result, error)

    calls: dict[Path, list[Any]] = {}
    for path, what, facts in log:
        if what == "begun":
            calls.setdefault(path, []).append(facts)
    expected = {path: [*enumerate(messages, 1)] for path, messages in model.calls.items()}
    assert calls == expected, "which tasks were called, how often and with what"

    statuses = {path: str(report.status) for path, report in seen.reports.items()}
    assert statuses == {path: model.statuses.get(path, "canceled") for path in statuses}
    assert model.statuses.keys() <= statuses.keys()
    in_order(model, log)
