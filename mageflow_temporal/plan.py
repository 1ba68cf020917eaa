"""A signature compiled: a frozen tree that says what to run, which travels in the workflow's input. Pure.

All validation of a graph happens before a plan exists; the engine trusts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mageflow_temporal import errors
from mageflow_temporal.config import Duration, Name, QueueName, SwarmConfig, TaskOptions
from mageflow_temporal.message import RESULT_FIELD

DEEPEST: Final = 100
"""Levels of nesting that are surely within what JSON and Python can carry."""
PLAN_VERSION: Final = 1
"""The form of a plan, and of the order around it. It grows by one when an older worker could misread a newer one: see
CONTRIBUTING.md."""

_SEGMENT: Final = re.compile(r"[se]?[0-9]{1,9}")
"""One segment of a path, from anyone: other scripts have digits, too, and int() raises an error for thousands."""

Path = tuple[int | str, ...]
"""Where a node stands: from the root down, the index of each member, and "s0" or "e0" for the first success or error
callback of what stands before it. The root's is empty."""


OnFailure = Literal["fail", "suspend"]
"""What becomes of a signature that would fail: it does; or it is suspended, and a resume runs what failed again."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class TaskSpec(_Frozen):
    """How a task is dispatched: what its definition says, resolved with the app's settings."""

    options: TaskOptions
    task_queue: QueueName
    heartbeat_timeout: Duration
    result_field: str = RESULT_FIELD
    error_field: str | None = None


class _Node(_Frozen):
    name: Name
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Bound values, plain JSON; an outer node's win over an inner one's."""
    on_success: tuple[PlanNode, ...] = ()
    """Callbacks: each gets the result."""
    on_error: tuple[PlanNode, ...] = ()
    """Callbacks: each gets the message of the task that failed."""
    on_failure: OnFailure = "fail"


class TaskNode(_Node):
    """One call of a task."""

    kind: Literal["task"] = "task"
    task: Name
    """The task's name, a key of `Plan.tasks`."""


class ChainNode(_Node):
    """Members in order, each with the result of the one before."""

    kind: Literal["chain"] = "chain"
    members: Annotated[tuple[PlanNode, ...], Field(min_length=1)]


class SwarmNode(_Node):
    """Members side by side, at most `config.max_concurrency` at once."""

    kind: Literal["swarm"] = "swarm"
    members: tuple[PlanNode, ...]
    config: SwarmConfig = SwarmConfig()
    closed: bool = False
    template: PlanNode | None = None
    """Of a map: what is called for each element. It has no members of its own."""
    over: tuple[Any, ...] | None = None
    """Of a map: the elements. `None`: those of the list that it gets as the previous result or start message."""


PlanNode = Annotated[TaskNode | ChainNode | SwarmNode, Field(discriminator="kind")]


class Versioned(_Frozen):
    """What holds nodes. One that is newer than this package is refused, before anything in it is misread."""

    version: int = PLAN_VERSION

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if isinstance(given, dict):
            require_known("plan", cast("dict[str, Any]", given).get("version"), PLAN_VERSION)
        return given  # pyright: ignore[reportUnknownVariableType] - whatever it is


class Plan(Versioned):
    """A whole signature, ready to run."""

    root: PlanNode
    tasks: dict[str, TaskSpec]
    """Each task that the tree calls, once."""
    lost_worker_limit: int

    @model_validator(mode="after")
    def _knows_its_tasks(self) -> Plan:
        require_described([self.root], self.tasks)
        return self


def require_known(what: str, version: Any, known: int) -> None:
    """Refuse what is of a newer version than the newest that is known here.

    Raises:
        NewerVersionError: it is.
    """
    if isinstance(version, int) and version > known:
        raise errors.NewerVersionError(what=what, version=version, known=known)


def leaves(node: PlanNode) -> Iterator[TaskNode]:
    """Yield the tasks below `node`, in order, with those of its callbacks."""
    if isinstance(node, TaskNode):
        yield node
    else:
        for member in node.members:
            yield from leaves(member)
        if isinstance(node, SwarmNode) and node.template:
            yield from leaves(node.template)
    for callback in (*node.on_success, *node.on_error):
        yield from leaves(callback)


def require_described(nodes: Iterable[PlanNode], tasks: Mapping[str, TaskSpec]) -> None:
    """Raise `ValueError` for a task that the nodes call and that is not among the tasks."""
    for leaf in chain.from_iterable(map(leaves, nodes)):
        if leaf.task not in tasks:
            msg = f"tasks has no {leaf.task!r}, which is called"
            raise ValueError(msg)


def depth(node: PlanNode) -> int:
    """Return how many levels a node has, itself included."""
    inner = [*node.on_success, *node.on_error]
    if not isinstance(node, TaskNode):
        inner += node.members
    if isinstance(node, SwarmNode) and node.template:
        inner.append(node.template)
    return 1 + max(map(depth, inner), default=0)


def containers(node: PlanNode) -> Iterator[ChainNode | SwarmNode]:
    """Yield the chains and swarms below `node`, itself included, with those of its callbacks."""
    inner: list[PlanNode] = [*node.on_success, *node.on_error]
    if not isinstance(node, TaskNode):
        yield node
        inner += node.members
    if isinstance(node, SwarmNode) and node.template:
        inner.append(node.template)
    for part in inner:
        yield from containers(part)


def entrances(node: PlanNode, *outer: dict[str, Any]) -> Iterator[tuple[TaskNode, list[dict[str, Any]]]]:
    """Yield each task that the start message reaches, with the kwargs that bind on the way, innermost first."""
    kwargs = [node.kwargs, *outer]
    if isinstance(node, TaskNode):
        yield node, kwargs
    elif isinstance(node, ChainNode):
        yield from entrances(node.members[0], *kwargs)
    else:
        for member in node.members:
            yield from entrances(member, *kwargs)


def returns(node: PlanNode) -> str | None:
    """Return what a node's result is, by the task that makes it: "load", or "[count]" for a list of such.

    `None` where it has no one form, as that of a swarm of different tasks.
    """
    if isinstance(node, TaskNode):
        return node.task
    if isinstance(node, ChainNode):
        return returns(node.members[-1])
    members = (node.template,) if node.template else node.members
    forms = {returns(member) for member in members}
    form = forms.pop() if len(forms) == 1 else None
    return f"[{form}]" if form else None


def format_path(path: Path) -> str:
    """Return a path as users write it: `(2, 1)` is "2.1", and `(2, "s0")` is "2.s0"."""
    return ".".join(map(str, path))


def parse_path(text: str) -> Path | None:
    """Return the path that `text` writes, or `None` if it writes none."""
    parts = text.split(".") if text else []
    if not all(_SEGMENT.fullmatch(part) for part in parts):
        return None
    return tuple(int(part) if part.isdecimal() else f"{part[0]}{int(part[1:])}" for part in parts)


def fit(text: str, limit: int) -> str:
    """Return the text, cut to at most `limit` bytes of UTF-8: the server counts bytes, and refuses what is longer."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[: limit - 3].decode(errors="ignore") + "…"


def describe(node: PlanNode) -> str:
    """Return one line that says what the node does."""
    if isinstance(node, TaskNode):
        text = node.task
    elif isinstance(node, ChainNode):
        text = " → ".join(member.name for member in node.members)
    elif node.template:
        text = f"{node.template.name} for each element, {node.config.max_concurrency} at a time"
    else:
        names = list(dict.fromkeys(member.name for member in node.members))
        text = f"{len(node.members)} x {', '.join(names)}" if names else "no items yet"
        text += f", {node.config.max_concurrency} at a time"
    return text
