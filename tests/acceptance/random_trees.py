"""Random trees: how they are drawn, composed into signatures, and compared with what the reference model says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, StatusReport, SwarmConfig
from tests.acceptance.reference_model import Chain, Json, Map, Model, Node, Path, Swarm, Task
from tests.acceptance.tree_tasks import Orders

few = st.integers(1, 3)
kwargs = st.dictionaries(
    st.sampled_from(["x", "y"]),
    st.one_of(st.integers(0, 9), st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9))),
    max_size=2,
)
elements = st.recursive(st.integers(0, 9) | kwargs, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
facts = {
    "field": st.sampled_from(["mageflow_results", "before"]),
    "retries": st.sampled_from([0, 2]),
    "fails": st.sampled_from([0, 0, 0, 1, 2, 3]),
    "fatal": st.sampled_from([False, False, True]),
    "gives": st.sampled_from([None, None, 0, 2, 3]),
    "kwargs": kwargs,
}
"""Of a task."""
tasks: st.SearchStrategy[Task] = st.builds(Task, **facts)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3, leaves: st.SearchStrategy[Task] = tasks) -> Node:
    """A tree of at most so many levels, callbacks included."""
    if depth == 0:
        return draw(leaves)
    inner = st.integers(0, depth - 1).flatmap(lambda lower: trees(lower, leaves))
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
        node = draw(leaves)
    some = st.just(()) | st.lists(inner, min_size=1, max_size=2).map(tuple)
    return replace(node, on_success=draw(some), on_error=draw(some))


def takes_a_list(tree: Node) -> bool:
    """Whether a list can be its start message: what it reaches has no fields to lay kwargs over."""
    return takes_a_list(tree.steps[0]) if isinstance(tree, Chain) else isinstance(tree, Map)


@st.composite
def runs(draw: st.DrawFn, leaves: st.SearchStrategy[Task] = tasks) -> tuple[Node, Json]:
    """A tree, and the message that it is started with."""
    tree = draw(trees(leaves=leaves))
    lists = st.lists(elements, max_size=4)
    return tree, draw(kwargs | lists if takes_a_list(tree) else kwargs)


async def compose(mf: Mageflow, node: Node, task: Callable[[Any], tuple[str, Orders]]) -> mageflow.Signature[Any]:
    """Return the signature of a tree; `task` says which task of the app a leaf is, and with which orders."""
    callbacks: dict[str, Any] = {
        "success_callbacks": [await compose(mf, callback, task) for callback in node.on_success],
        "error_callbacks": [await compose(mf, callback, task) for callback in node.on_error],
    }
    given = {**callbacks, **node.kwargs}
    match node:
        case Task():
            name, orders = task(node)
            return await mf.sign(name, orders=orders, **given)
        case Chain():
            return await mf.chain([await compose(mf, step, task) for step in node.steps], **given)
        case Swarm():
            items = [await compose(mf, item, task) for item in node.items]
            return await mf.swarm(items, config=config(node), is_swarm_closed=True, **given)
        case Map():
            return await mf.map(await compose(mf, node.each, task), node.over, config=config(node), **given)
    raise TypeError(node)


def config(node: Swarm | Map) -> SwarmConfig:
    return SwarmConfig(max_concurrency=node.width, stop_after_n_failures=node.limit)


def path_of(text: str) -> Path:
    return tuple(int(part) if part.isdecimal() else part for part in text.split(".") if part)


def key_of(key: str, path: Path) -> str:
    return f"{key}#{'.'.join(map(str, path))}" if path else key


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


def ends_as(model: Model, key: str, result: Json, error: mageflow.OutcomeError | None) -> None:
    """Check the result of a signature, or the error that it ended with."""
    failure = model.ended.failure
    if failure:
        assert error is not None
        assert (type(error).__name__, error.key) == (_kind_of(failure.type), key_of(key, failure.path))
        if isinstance(error, mageflow.TaskFailedError):
            assert (error.type, error.attempts) == (failure.type, failure.attempts)
    else:
        assert (error, result) == (None, model.ended.result)


def _kind_of(type_: str) -> str:
    return type_ if type_ in ("SwarmFailedError", "NotAListError") else "TaskFailedError"


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
