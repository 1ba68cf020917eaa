"""What composition means, as plain recursive functions: no engine, no server, nothing of the package.

A tree is what a user composes. `Model` says which tasks it calls, how often and with what, how each part ends, and
what the whole gives. Where the meaning leaves a choice (which items of a stopping swarm had begun, and which of them
failed first) the model is told what was `Seen`, and refuses a choice that is not open.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Json = Any
Kwargs = dict[str, Json]
Path = tuple[int | str, ...]
"""Where a part stands: indexes of members, and "s0" or "e0" for a success or error callback."""


@dataclass(frozen=True)
class Node:
    """A part of a tree."""

    kwargs: Kwargs = field(default_factory=dict, kw_only=True)
    on_success: tuple[Node, ...] = field(default=(), kw_only=True)
    on_error: tuple[Node, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class Task(Node):
    field: Literal["mageflow_results", "before"] = "mageflow_results"
    """Where it takes the previous result."""
    retries: Literal[0, 2] = 0
    fails: int = 0
    """How many first attempts fail."""
    fatal: bool = False
    """Whether its error forbids retries."""
    gives: int | None = None
    """How many elements its result has. `None`: it is no list."""


@dataclass(frozen=True)
class Chain(Node):
    steps: tuple[Node, ...]


@dataclass(frozen=True)
class Swarm(Node):
    items: tuple[Node, ...]
    width: int
    limit: int | None


@dataclass(frozen=True)
class Map(Node):
    each: Node
    over: tuple[Json, ...] | None
    """`None`: the elements of what it is given."""
    width: int
    limit: int | None


@dataclass(frozen=True)
class Failure:
    """Why something failed."""

    type: str
    path: Path
    """Of the task that failed, or of the swarm or map that did not go on."""
    message: Json
    """What the failing task was sent: what error callbacks get."""
    attempts: int = 1


@dataclass(frozen=True)
class Given:
    """What comes to a part from outside it."""

    value: Json
    is_result: bool = False
    """Whether it is a result, which goes into a field, or a message."""
    error: Failure | None = None


@dataclass(frozen=True)
class Ended:
    result: Json = None
    failure: Failure | None = None


class Seen(Protocol):
    """Where the meaning leaves a choice: what was chosen."""

    def begun(self, swarm: Path, items: int) -> int:
        """Return how many items of a swarm have begun."""
        ...

    def first_failure(self, swarm: Path) -> int:
        """Return the item that was the first to fail."""
        ...


def as_it_says(task: Task, _path: Path) -> int:
    """Return how many first attempts of a task fail: as many as the tree says."""
    return task.fails


class Model:
    """Runs a tree in the mind.

    Args:
        skipped: what was skipped, with the result that was given for it.
        fails: says how many first attempts of a task fail, where something else than the tree has decided it.

    Attributes:
        ended: how the whole ended.
        calls: the messages with which each task was called, one for each attempt.
        statuses: how each part ended; what is missing has not begun.
        widths: how many members of each swarm may run at once.
        chains: the number of steps that each chain came to.
    """

    def __init__(
        self,
        tree: Node,
        message: Json,
        seen: Seen,
        *,
        skipped: Mapping[Path, Json] | None = None,
        fails: Callable[[Task, Path], int] = as_it_says,
    ) -> None:
        self.calls: dict[Path, list[Json]] = {}
        self.statuses: dict[Path, str] = {}
        self.widths: dict[Path, int] = {}
        self.chains: dict[Path, int] = {}
        self._seen = seen
        self._skipped = skipped or {}
        self._fails = fails
        self.ended = self._run(tree, (), Given(message), ())

    def _run(self, node: Node, path: Path, given: Given, outer: tuple[Kwargs, ...]) -> Ended:
        kwargs = (node.kwargs, *outer)
        match node:
            case _ if path in self._skipped:
                ended = Ended(result=self._skipped[path])
            case Task():
                ended = self._task(node, path, given, kwargs)
            case Chain():
                ended = self._chain(node, path, given, kwargs)
            case Swarm():
                ended = self._swarm(node, node.items, path, [given] * len(node.items), kwargs)
            case Map():
                ended = self._map(node, path, given, kwargs)
            case _:
                raise TypeError(node)
        self.statuses[path] = "failed" if ended.failure else "done"
        self._call_back(node, path, ended)
        return ended

    def _task(self, task: Task, path: Path, given: Given, kwargs: tuple[Kwargs, ...]) -> Ended:
        sent = message_of(given, kwargs, task.field)
        if given.error:
            sent = laid_over(sent, {"error": {"type": given.error.type, "attempt": given.error.attempts}})
        tries = 1 if task.fatal else 1 + task.retries
        fails = self._fails(task, path)
        attempts = min(fails + 1, tries)
        self.calls[path] = [read(sent, task.field)] * attempts
        if fails >= tries:
            return Ended(failure=Failure("Fatal" if task.fatal else "ValueError", path, sent, attempts))
        return Ended(result=result_of(read(sent, task.field), task.gives))

    def _chain(self, chain: Chain, path: Path, given: Given, kwargs: tuple[Kwargs, ...]) -> Ended:
        ended = Ended()
        for index, step in enumerate(chain.steps):
            self.chains[path] = index + 1
            ended = self._run(step, (*path, index), given, kwargs)
            if ended.failure:
                break
            given = Given(ended.result, is_result=True)
        return ended

    def _map(self, node: Map, path: Path, given: Given, kwargs: tuple[Kwargs, ...]) -> Ended:
        elements = given.value if node.over is None else list(node.over)
        if not isinstance(elements, list):
            return Ended(failure=Failure("NotAListError", path, message_of(given, kwargs)))
        items = [Given(element, is_result=True) for element in elements]
        return self._swarm(node, (node.each,) * len(items), path, items, kwargs)

    def _swarm(
        self, node: Swarm | Map, items: tuple[Node, ...], path: Path, given: list[Given], kwargs: tuple[Kwargs, ...]
    ) -> Ended:
        self.widths[path] = node.width
        begun = self._seen.begun(path, len(items))
        each = [self._run(items[index], (*path, index), given[index], kwargs) for index in range(begun)]
        failed = [index for index, ended in enumerate(each) if ended.failure]
        others = node.width - 1  # that may still have run at any one moment
        if node.limit is None or len(failed) < node.limit:
            assert begun == len(items), f"{path} left items out, and had no reason to"
            return Ended(result=[ended.result for ended in each if not ended.failure])
        before_the_last = sum(index < begun - 1 for index in failed)
        assert before_the_last - others < node.limit, f"{path} began an item after it had to stop"
        first = each[self._seen.first_failure(path)]
        assert first.failure, f"{path} names as its first failure what did not fail"
        earlier = sum(index < self._seen.first_failure(path) for index in failed)
        assert earlier <= others, f"{path} began an item before others had ended, and had no place for it"
        return Ended(failure=Failure("SwarmFailedError", path, first.failure.message, attempts=1))

    def _call_back(self, node: Node, path: Path, ended: Ended) -> None:
        if ended.failure:
            given = Given(ended.failure.message, error=ended.failure)
            callbacks = {f"e{index}": callback for index, callback in enumerate(node.on_error)}
        else:
            given = Given(ended.result, is_result=True)
            callbacks = {f"s{index}": callback for index, callback in enumerate(node.on_success)}
        for segment, callback in callbacks.items():
            self._run(callback, (*path, segment), given, ())


def message_of(given: Given, kwargs: tuple[Kwargs, ...], result_field: str = "mageflow_results") -> Json:
    """Return the message that a task is sent: what it is given, under the kwargs, of which an outer container's win."""
    message = {result_field: given.value} if given.is_result else given.value
    for bound in kwargs:
        message = laid_over(message, bound) if bound else message
    return message


def laid_over(below: Json, above: Json) -> Json:
    """Return `below` with `above` over it; only dicts merge."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {
        name: laid_over(below[name], above[name]) if name in below and name in above else {**below, **above}[name]
        for name in {**below, **above}
    }


def read(sent: Json, result_field: str) -> Json:
    """Return a message as a task reads it that takes the previous result in a field of its own."""
    return {result_field if name == "mageflow_results" else name: value for name, value in sent.items()}


def result_of(message: Json, gives: int | None) -> Json:
    """Return what a task makes of a message: something else for every other message, and always short."""
    digest = f"{zlib.crc32(json.dumps(message, sort_keys=True).encode()):08x}"
    return digest if gives is None else [f"{digest}/{number}" for number in range(gives)]
