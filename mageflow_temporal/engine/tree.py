"""Nodes: a plan and its progress, side by side. All progress is in `NodeState`; a `Node` only finds its way in it."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, Field, TypeAdapter, field_serializer

from mageflow_temporal.config import NO_PRIORITY, Priority
from mageflow_temporal.plan import (
    ChainNode,
    Path,
    Plan,
    PlanNode,
    SwarmNode,
    TaskNode,
    TaskSpec,
    require_known,
    returns,
)
from mageflow_temporal.status import ErrorInfo, Status, VerbRecord

PROGRESS_VERSION: Final = 1
"""The form of progress. It grows by one when an older worker could misread a newer one: see CONTRIBUTING.md."""
_QUICKLY: Final = 1
"""A level of compression: higher ones take several times as long, and gain little."""
_NEAR: Final = 500
"""So many items of a swarm that begin next are at hand; those behind them are packed, at least as many at a time."""


class Input(BaseModel):
    """What a callback was called with."""

    message: Any = None
    """Of an error callback: the message of the task that failed."""
    error: ErrorInfo | None = None
    """Of an error callback."""
    result: Any = None
    """Of a success callback."""


class Skip(BaseModel):
    """The result that a skipped node has without being run."""

    result: Any = None


class Finished(NamedTuple):
    """What is kept of an item that is done when its state is let go."""

    result: Any
    attempts: int | None
    """As in `ItemOutcome`."""
    name: str
    returns: str | None
    """What the result is (`plan.returns`)."""


class Parcel(BaseModel):
    """Items of a swarm whose turn is far off: a plan of thousands would be slow to carry from run to run."""

    first: int
    """The index of the first."""
    count: int
    text: str
    """Their plans, packed."""

    @classmethod
    def of(cls, first: int, items: list[PlanNode]) -> Parcel:
        """Pack items that follow each other."""
        return cls(first=first, count=len(items), text=_packed(json.dumps(_with_kinds(items)).encode()))

    def items(self) -> list[PlanNode]:
        """Return what was packed."""
        return _PLANS.validate_json(_unpacked(self.text))

    def __contains__(self, index: int) -> bool:
        return self.first <= index < self.first + self.count


class NodeState(BaseModel):
    """The progress of one node: plain data, from which a run can be rebuilt."""

    status: Status = Status.PENDING
    """Its own: a hold, its own or an ancestor's, is laid over it in `visible`."""
    hold: Status | None = None
    """SUSPENDED or INTERRUPTED, where a verb has been applied to this very node."""
    reason: str | None = None
    held_in: Status | None = None
    """Its status when the first of the holds came that last."""
    last_status: Status | None = None
    verdict: Status | None = None
    """How it ended, while callbacks, its own or those of members, have yet to end. Then it becomes its status."""
    result: Any = None
    """Of a chain under way: the last step's."""
    input: Input | None = None
    """Of a callback that has begun."""
    skip: Skip | None = None
    """Of what was skipped: it ends with this when its turn comes, or has done so."""
    kwargs: dict[str, Any] | None = None
    """What resumes have laid over the messages of it and all below it."""
    open_callbacks: int = 0
    """How many callbacks at and below this node have begun and not ended."""
    callbacks: dict[str, NodeState] = Field(default_factory=dict[str, "NodeState"])
    """States of its callbacks that have one, by their segment of a path: "s0", "e0"."""

    waiting: bool = False
    """It is its turn; it begins as soon as nothing holds it."""
    backing_off: bool = False
    """It waits for a pause to pass: of a task that failed, before its retry; of the root, the delay of its start."""
    pause_ends: datetime | None = None
    """When that pause has passed."""

    # A task's.
    flying: bool = False
    """It has been dispatched, and has no outcome yet."""
    dispatches: int = 0
    failures: int = 0
    forgiven: int = 0
    """How many of the failures were made before the task was held instead of failing: they use up no retries."""
    losses: int = 0
    """How many workers it has lost since its checkpoint last changed."""
    checkpoint: Any = None
    error: ErrorInfo | None = None
    """Of a chain: that of the step that failed. Of a swarm: that of the first item that failed."""
    lives: int = 0
    """How often it has begun anew, after it had failed for good."""
    tied: list[str] = Field(default_factory=list[str])
    """Keys of signatures that its code started and that share its lifecycle, in the order in which they came."""
    tied_in: int = 0
    """Its life when the last of them came. In another its code starts others."""

    # A chain's or swarm's.
    next: int = 0
    """Of a chain: the step under way. Of a swarm: the first item that has not begun."""
    running: list[int] = Field(default_factory=list[int])
    """Of a swarm: items that hold one of its places, in the order in which they got it."""
    parked: list[int] = Field(default_factory=list[int])
    """Of a swarm: items that gave up their place because they are held."""
    returning: list[int] = Field(default_factory=list[int])
    """Of a swarm: items that were parked and have been resumed; they come before new ones."""
    failed: int = 0
    """Of a swarm: how many items have failed."""
    failed_message: Any = None
    """Of a swarm: the message of the item that failed first."""
    lingering: list[int] = Field(default_factory=list[int])
    """Members that have a verdict, and callbacks that have yet to end."""
    closed: bool = False
    """Of a swarm: no more items can be added."""
    max_concurrency: int | None = None
    """Of a swarm: how many items run at once, if that was changed since it began."""
    elements: list[Any] | None = None
    """Of a map that has begun: an item for each."""
    grown: int = 0
    """Of a swarm: how many items have been added since it began. They come after those of the plan."""
    added: dict[int, PlanNode] = Field(default_factory=dict[int, PlanNode])
    """Of a swarm: those of them that are neither packed nor finished, by their index."""
    parcels: list[Parcel] = Field(default_factory=list[Parcel])
    """Of a swarm: those of them that will not begin soon, in their order."""
    children: dict[int, NodeState] = Field(default_factory=dict[int, "NodeState"])
    """States of the members that have one. Of the others, those of a swarm before `next` are done, and their states
    have been let go; the rest have not begun and nobody has touched them."""
    fresh: list[int] = Field(default_factory=list[int])
    """Of a swarm: items that are done and still have their states, in the order of their ends."""
    finished: dict[int, Finished] = Field(default_factory=dict[int, Finished])
    """Of a swarm: items whose states have been let go, so far as they are in no page."""
    pages: list[str] = Field(default_factory=list[str])
    """Of a swarm: the workflows that keep the rest of them."""
    weight: int = 0
    """Of a swarm: how many bytes the results of its items have, so far as they are in no page."""

    @field_serializer("added")
    def _told(self, added: dict[int, PlanNode]) -> dict[int, dict[str, Any]]:
        return dict(zip(added, _with_kinds(added.values()), strict=True))

    @property
    def outcome(self) -> Status | None:
        """How it ended, whether or not its callbacks have."""
        return self.verdict or (self.status if self.status.ended else None)

    def reach(self, checkpoint: Any) -> None:
        """Take note of how far a task has come. One that comes further does not kill its workers: they count anew."""
        if checkpoint is not None and checkpoint != self.checkpoint:
            self.checkpoint, self.losses = checkpoint, 0


class Progress(BaseModel):
    """All that a run has come to: with the plan, enough to go on from."""

    plan: Plan | None = None
    """The plan, where it travels with the rest: in the input of a run that goes on."""
    started: bool = False
    message: Any = None
    priority: Priority = NO_PRIORITY
    """What a late start gave: the priority of a start is the workflow's own, and the server's to hand on."""
    tasks: dict[str, TaskSpec] = Field(default_factory=dict[str, TaskSpec])
    """Tasks that only items added to a swarm call."""
    requests: dict[str, tuple[int, int]] = Field(default_factory=dict[str, tuple[int, int]])
    """What each named request added to the swarm: the first index and the one behind the last."""
    failure: tuple[str, dict[str, Any]] | None = None
    """Why the root failed: the name of one of our errors, and its attributes."""
    last_verb: VerbRecord | None = None
    published: Status = Status.ACTIVE
    """The status that the search attribute has."""
    calls: int = 0
    """How many calls there have been: about as many as there are states in the tree."""
    weight: int = 0
    """How many bytes of results the swarms of the tree hold."""
    pages: list[str] = Field(default_factory=list[str])
    """All workflows that keep results which the tree no longer holds."""
    root: NodeState = Field(default_factory=NodeState)

    @field_serializer("plan")
    def _told(self, plan: Plan | None) -> dict[str, Any] | None:
        return plan.model_dump(mode="json", exclude_none=True) if plan else None

    def packed(self) -> str:
        """Return it as text, small enough to be handed to the next run: states are much alike."""
        return f"{PROGRESS_VERSION}:{_packed(self.model_dump_json(exclude_defaults=True).encode())}"

    @classmethod
    def unpacked(cls, text: str) -> Progress:
        """Return what was packed.

        Raises:
            NewerVersionError: a newer worker has packed it.
        """
        version, _, packed = text.partition(":")
        require_known("progress", int(version), PROGRESS_VERSION)
        return cls.model_validate_json(_unpacked(packed))


_PLANS: Final[TypeAdapter[list[PlanNode]]] = TypeAdapter(list[PlanNode])


def _packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, _QUICKLY)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def _with_kinds(plans: Iterable[PlanNode]) -> list[dict[str, Any]]:
    """Return plans as JSON. A node's kind is its default, and must be told even where defaults are not."""
    return [plan.model_dump(mode="json", exclude_none=True) for plan in plans]


class Node:
    """One node of the running tree."""

    __slots__ = ("_children", "_opened", "index", "parent", "path", "plan", "state")

    def __init__(self, plan: PlanNode, state: NodeState, parent: Node | None = None, index: int | str = 0) -> None:
        self.plan = plan
        self.state = state
        self.parent = parent
        self.index = index
        self.path: Path = (*parent.path, index) if parent else ()
        self._children: dict[int | str, Node] = {}
        self._opened: tuple[Parcel, list[PlanNode]] | None = None
        """The parcel that was looked into last, with what is in it: whoever looks at one item looks at the next."""

    def size(self) -> int:
        """Return how many members the node has by now."""
        if isinstance(self.plan, TaskNode):
            return 0
        mapped = self.state.elements or ()
        return len(self.plan.members) + len(mapped) + self.state.grown

    def member_plan(self, index: int) -> PlanNode:
        """Return the plan of a member."""
        assert not isinstance(self.plan, TaskNode)
        if isinstance(self.plan, SwarmNode) and self.plan.template:
            return self.plan.template
        if index < len(self.plan.members):
            return self.plan.members[index]
        if plan := self.state.added.get(index):
            return plan
        if parcel := self._parcel(index):
            if self._opened is None or self._opened[0] is not parcel:
                self._opened = parcel, parcel.items()
            return self._opened[1][index - parcel.first]
        # Its plan has gone with its state: of what it was, the name is left, or not even that.
        record = self.state.finished.get(index)
        name = record.name if record else f"item {index}"
        return TaskNode(name=name, task=name)

    def _parcel(self, index: int) -> Parcel | None:
        return next((parcel for parcel in self.state.parcels if index in parcel), None)

    def append(self, items: Sequence[PlanNode]) -> range:
        """Add items to a swarm and return their indexes. Those whose turn is far off are packed, many at a time."""
        state, first = self.state, self.size()
        state.added.update(enumerate(items, first))
        state.grown += len(items)
        packed_to = state.parcels[-1].first + state.parcels[-1].count if state.parcels else 0
        start = max(packed_to, state.next + _NEAR, self.size() - state.grown)
        far = range(start, self.size())
        if len(far) >= _NEAR:
            state.parcels.append(Parcel.of(start, [state.added[index] for index in far]))
            for index in far:
                del state.added[index]
        return range(first, self.size())

    def _unpack(self, index: int) -> None:
        if parcel := self._parcel(index):
            self.state.parcels.remove(parcel)
            self.state.added.update(enumerate(parcel.items(), parcel.first))

    def has_let_go(self, index: int) -> bool:
        """Return whether a member of a swarm is done and has no state any more."""
        return isinstance(self.plan, SwarmNode) and index < self.state.next and index not in self.state.children

    @property
    def is_let_go(self) -> bool:
        """Whether the node is such a member: what was below it is no longer known."""
        return self.parent is not None and isinstance(self.index, int) and self.parent.has_let_go(self.index)

    def let_go(self, index: int) -> None:
        """Keep of an item that is done only what came of it."""
        item, own = self.child(index), self.state
        state = item.state
        attempts = state.failures + (0 if state.skip else 1) if isinstance(item.plan, TaskNode) else None
        own.finished[index] = Finished(state.result, attempts, item.plan.name, returns(item.plan))
        own.added.pop(index, None)
        del own.children[index], self._children[index]
        if own.elements is not None:
            own.elements[index] = None

    def child(self, index: int) -> Node:
        """Return a member, with a state of its own from now on, unless it has let go of that."""
        node = self._children.get(index)
        if node is None and self.has_let_go(index):
            return self.peek(index)
        if node is None:
            self._unpack(index)
            state = self.state.children.setdefault(index, NodeState())
            node = self._children[index] = Node(self.member_plan(index), state, self, index)
        return node

    def forget(self, index: int) -> Node:
        """Return a member as it was before it began, but for what resumes have corrected."""
        before = self.child(index).state
        del self._children[index]
        self.state.children[index] = NodeState(lives=before.lives + 1, kwargs=before.kwargs)
        return self.child(index)

    def callback(self, segment: str) -> Node:
        """Return a callback, with a state of its own from now on."""
        node = self._children.get(segment)
        if node is None:
            state = self.state.callbacks.setdefault(segment, NodeState())
            node = self._children[segment] = Node(self.callback_plans()[segment], state, self, segment)
        return node

    def callback_plans(self) -> dict[str, PlanNode]:
        """Return the plans of the callbacks that can still be called, by their segment of a path, in their order."""
        plans: dict[str, PlanNode] = {}
        if self.state.outcome in (None, Status.DONE):
            plans |= {f"s{index}": plan for index, plan in enumerate(self.plan.on_success)}
        if self.state.outcome in (None, Status.FAILED):
            plans |= {f"e{index}": plan for index, plan in enumerate(self.plan.on_error)}
        return plans

    @property
    def is_callback(self) -> bool:
        """Whether the node was hung on its parent as a callback; else it is a member, or the root."""
        return isinstance(self.index, str)

    def peek(self, index: int | str) -> Node:
        """Return a member or callback to look at: one that nobody has touched gets no state by it."""
        if known := self._children.get(index):
            return known
        if isinstance(index, str):
            return Node(self.callback_plans()[index], self.state.callbacks.get(index) or NodeState(), self, index)
        return Node(self.member_plan(index), self.state.children.get(index) or self._trace(index), self, index)

    def untouched(self) -> Node:
        """Return a member that nobody has touched, to look at."""
        return Node(self.member_plan(self.size() - 1), NodeState(), self, self.size() - 1)

    def _trace(self, index: int) -> NodeState:
        """Return what is left of the state of a member that has none."""
        if not self.has_let_go(index):
            return NodeState()
        record = self.state.finished.get(index)
        attempts = record.attempts if record else None
        return NodeState(
            status=Status.DONE,
            result=record.result if record else None,
            failures=max((attempts or 1) - 1, 0),
            dispatches=attempts or 0,
            skip=Skip() if attempts == 0 else None,
        )

    def look(self, path: Path) -> Node | None:
        """Return the node at `path` below this one to look at, or `None`."""
        node = self
        for segment in path:
            if node.is_let_go:
                return None  # what was in it went with it
            if segment not in node.callback_plans() if isinstance(segment, str) else segment >= node.size():
                return None
            node = node.peek(segment)
        return node

    def find(self, path: Path) -> Node | None:
        """Return the node at `path` below this one, or `None`. It has a state of its own from now on."""
        if self.look(path) is None:
            return None
        node = self
        for segment in path:
            node = node.callback(segment) if isinstance(segment, str) else node.child(segment)
        return node

    def swarms(self) -> Iterator[Node]:
        """Yield the swarms of this subtree that hold results."""
        if self.state.weight:
            yield self
        for index in self.state.children:
            yield from self.child(index).swarms()
        for segment in self.callback_plans():
            if segment in self.state.callbacks:
                yield from self.callback(segment).swarms()

    def lineage(self) -> Iterator[Node]:
        """Yield this node and its ancestors, innermost first."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def holder(self) -> Node | None:
        """Return the nearest of this node and its ancestors that is held, or `None`."""
        return next((node for node in self.lineage() if node.state.hold), None)

    def open_children(self) -> Iterator[Node]:
        """Yield the members and callbacks that have begun and not ended."""
        state = self.state
        if isinstance(self.plan, SwarmNode):
            for index in (*state.running, *state.parked, *state.returning):
                yield self.child(index)
        elif isinstance(self.plan, ChainNode) and state.outcome is None and state.status is not Status.PENDING:
            yield self.child(state.next)
        for index in state.lingering:
            yield self.child(index)
        if state.verdict:
            for segment, callback in state.callbacks.items():
                if callback.input and not callback.status.ended:
                    yield self.callback(segment)

    def flying(self) -> Iterator[Node]:
        """Yield the tasks of this subtree that have been dispatched and have no outcome."""
        if self.state.flying:
            yield self
        for child in self.open_children():
            yield from child.flying()

    def life(self) -> int:
        """Return a number that is another each time that the node begins anew after it has failed for good."""
        return sum(node.state.lives + node.state.forgiven for node in self.lineage())

    def tied(self) -> Iterator[tuple[Node, str]]:
        """Yield each task of this subtree with the key of a signature that is tied to it."""
        for key in self.state.tied:
            yield self, key
        for index in self.state.children:
            yield from self.child(index).tied()
        for segment in self.callback_plans():
            if segment in self.state.callbacks:
                yield from self.callback(segment).tied()

    def backing_off(self) -> Iterator[Node]:
        """Yield what waits in this subtree for a pause to pass."""
        if self.state.backing_off:
            yield self
        for child in self.open_children():
            yield from child.backing_off()

    def awake(self) -> bool:
        """Return whether something in this subtree can go on, for all that the subtree itself knows."""
        if self.state.hold:
            return False
        if self.state.waiting or self.state.backing_off or self.state.flying:
            return True
        if isinstance(self.plan, SwarmNode) and self.state.status is Status.ACTIVE and self.state.next < self.size():
            return True
        return any(child.awake() for child in self.open_children())

    def visible(self) -> Status:
        """Return the status that people see: a hold covers all below it that neither runs nor has ended."""
        state = self.state
        if state.status.ended or state.flying:
            return state.status
        needed, hold = state.outcome is not None, None
        for node in self.lineage():
            if node.state.outcome and not needed:
                return Status.CANCELED  # its container ended without it, held or not
            hold = hold or node.state.hold
            # What a callback hangs on has called it by its end: what is above may end, and waits for it.
            called_by = node.parent if node.is_callback else None
            needed = needed or (called_by is not None and called_by.state.outcome is not None)
        return hold or state.status
