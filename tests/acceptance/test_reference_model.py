"""Random trees run on a real server, and the reference model says the same: results, calls, statuses and order.

`EXAMPLES=1000` in the environment makes it a long run. A failure is printed with what reproduces it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from pydantic import BaseModel, ConfigDict
from temporalio.exceptions import ApplicationError

import mageflow_temporal as mageflow
from mageflow_temporal import (
    EmbeddedServer,
    ErrorValue,
    Mageflow,
    MageflowConfig,
    ReturnValue,
    StatusReport,
    SwarmConfig,
)
from tests.acceptance.reference_model import Chain, Json, Map, Model, Node, Path, Swarm, Task, result_of
from tests.conftest import replay_all

EXAMPLES = int(os.environ.get("EXAMPLES", "40"))
AT_ONCE = 4
"""Trees that run side by side: a server has more to mix up then, and waits less."""


# Trees.

few = st.integers(1, 3)
kwargs = st.dictionaries(
    st.sampled_from(["x", "y"]),
    st.one_of(st.integers(0, 9), st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9))),
    max_size=2,
)
elements = st.recursive(st.integers(0, 9) | kwargs, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
tasks = st.builds(
    Task,
    field=st.sampled_from(["mageflow_results", "before"]),
    retries=st.sampled_from([0, 2]),
    fails=st.sampled_from([0, 0, 0, 1, 2, 3]),
    fatal=st.sampled_from([False, False, True]),
    gives=st.sampled_from([None, None, 0, 2, 3]),
    kwargs=kwargs,
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Node:
    """A tree of at most so many levels, callbacks included."""
    if depth == 0:
        return draw(tasks)
    inner = st.integers(0, depth - 1).flatmap(trees)
    own, width, limit = draw(kwargs), draw(few), draw(st.none() | few)
    kind = draw(st.sampled_from([Chain, Swarm, Map, Task]))
    if kind is Chain:
        node: Node = Chain(tuple(draw(st.lists(inner, min_size=2, max_size=4))), kwargs=own)
    elif kind is Swarm:
        node = Swarm(tuple(draw(st.lists(inner, max_size=6))), width, limit, kwargs=own)
    elif kind is Map:
        over = draw(st.none() | st.lists(elements, max_size=5).map(tuple))
        node = Map(draw(inner), over, width, limit, kwargs=own)
    else:
        node = draw(tasks)
    some = st.just(()) | st.lists(inner, min_size=1, max_size=2).map(tuple)
    return replace(node, on_success=draw(some), on_error=draw(some))


def takes_a_list(tree: Node) -> bool:
    """Whether a list can be its start message: what it reaches has no fields to lay kwargs over."""
    return takes_a_list(tree.steps[0]) if isinstance(tree, Chain) else isinstance(tree, Map)


@st.composite
def runs(draw: st.DrawFn) -> tuple[Node, Json]:
    tree = draw(trees())
    lists = st.lists(elements, max_size=4)
    return tree, draw(kwargs | lists if takes_a_list(tree) else kwargs)


# What happens.


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


class Stage:
    """An app with a task for each field and number of retries, and a log of what its tasks did, in order."""

    def __init__(self, mf: Mageflow) -> None:
        self.mf = mf
        self.log: dict[str, list[tuple[Path, str, Json]]] = {}
        for name, model in (("mageflow_results", Plain), ("before", Marked)):
            for retries in (0, 2):
                self._define(f"{name} {retries}", model, retries)

    def _define(self, name: str, model: type[Plain], retries: int) -> None:
        @self.mf.task(name=name, retries=retries, backoff_max_seconds=0.01, input_validator=model)
        async def work(msg: Any) -> Any:
            task = mageflow.current_task()
            key, _, text = task.key.partition("#")
            path, log = path_of(text), self.log.setdefault(key, [])
            message = self.told(msg)
            log.append((path, "begun", (task.attempt, message)))
            try:
                if task.attempt <= msg.orders.fails:
                    if msg.orders.fatal:
                        raise ApplicationError("on purpose", type="Fatal", non_retryable=True)
                    raise ValueError("on purpose")
                return result_of(message, msg.orders.gives)
            finally:
                log.append((path, "ended", None))

    @staticmethod
    def told(msg: Plain) -> Json:
        """Return what a task was told, without what only an engine can know: where the error came from."""
        message = msg.model_dump(mode="json", exclude_unset=True, exclude={"orders"})
        if msg.error:
            message["error"] = {"type": msg.error.type, "attempt": msg.error.attempt}
        return message

    async def compose(self, node: Node) -> mageflow.Signature[Any]:
        callbacks: dict[str, Any] = {
            "success_callbacks": [await self.compose(callback) for callback in node.on_success],
            "error_callbacks": [await self.compose(callback) for callback in node.on_error],
        }
        given = {**callbacks, **node.kwargs}
        match node:
            case Task():
                orders = Orders(fails=node.fails, fatal=node.fatal, gives=node.gives)
                return await self.mf.sign(f"{node.field} {node.retries}", orders=orders, **given)
            case Chain():
                return await self.mf.chain([await self.compose(step) for step in node.steps], **given)
            case Swarm():
                items = [await self.compose(item) for item in node.items]
                return await self.mf.swarm(items, config=config(node), is_swarm_closed=True, **given)
            case Map():
                return await self.mf.map(await self.compose(node.each), node.over, config=config(node), **given)
        raise TypeError(node)


def config(node: Swarm | Map) -> SwarmConfig:
    return SwarmConfig(max_concurrency=node.width, stop_after_n_failures=node.limit)


def path_of(text: str) -> Path:
    return tuple(int(part) if part.isdecimal() else part for part in text.split(".") if part)


class SeenReport:
    """What the status tree tells of the choices that were made."""

    def __init__(self, report: StatusReport) -> None:
        self.reports: dict[Path, StatusReport] = {}
        self._take(report)

    def _take(self, report: StatusReport) -> None:
        self.reports[path_of(report.key.partition("#")[2])] = report
        for below in (*report.children, *report.callbacks):
            self._take(below)

    def begun(self, swarm: Path, items: int) -> int:
        children = self.reports[swarm].children
        assert len(children) == items
        begun = [child.status != "canceled" for child in children]
        assert begun == sorted(begun, reverse=True), f"{swarm} left out an item and began a later one"
        return sum(begun)

    def first_failure(self, swarm: Path) -> int:
        error = self.reports[swarm].error
        assert error
        found = re.search(r"#([\w.]+)", error.message)
        assert found, error.message
        first = path_of(found[1])[len(swarm)]
        assert isinstance(first, int)
        return first


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
    signature = await stage.compose(tree)
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

    failure = model.ended.failure
    if failure:
        assert error is not None
        assert (type(error).__name__, error.key) == (kind_of(failure.type), key_of(signature.key, failure.path))
        if isinstance(error, mageflow.TaskFailedError):
            assert (error.type, error.attempts) == (failure.type, failure.attempts)
    else:
        assert (error, result) == (None, model.ended.result)

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


def kind_of(type_: str) -> str:
    return type_ if type_ in ("SwarmFailedError", "NotAListError") else "TaskFailedError"


def key_of(key: str, path: Path) -> str:
    return f"{key}#{'.'.join(map(str, path))}" if path else key


def in_order(model: Model, log: list[tuple[Path, str, Json]]) -> None:
    """Check what is promised of order: steps one by one, callbacks after what they hang on, so many items at once."""

    def times(path: Path) -> list[int]:
        """When something happened in a part, without its callbacks and those in it."""
        depth = len(path)
        return [
            time
            for time, (at, _, _) in enumerate(log)
            if at[:depth] == path and not any(isinstance(segment, str) for segment in at[depth:])
        ]

    for chain, steps in model.chains.items():
        each = [times((*chain, index)) for index in range(steps)]
        assert sum(each, []) == sorted(sum(each, [])), f"the steps of {chain} overlap"
    for path in model.statuses:
        if path and isinstance(path[-1], str) and (hung := times(path[:-1])) and (called := times(path)):
            assert max(hung) < min(called), f"{path} was called before its time"
    for swarm, width in model.widths.items():
        items = {path[len(swarm)] for path in model.statuses if len(path) > len(swarm) and path[: len(swarm)] == swarm}
        spans = [(min(when), max(when)) for item in items if isinstance(item, int) and (when := times((*swarm, item)))]
        at_once = max((sum(begin <= time <= end for begin, end in spans) for time in range(len(log))), default=0)
        assert at_once <= width, f"{at_once} items of {swarm} ran at once"
