"""Nodes: a plan and its progress, side by side. All progress is in `NodeState`; a `Node` only finds its way in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, Field

from mageflow_temporal.plan import Path, PlanNode, SwarmNode, TaskNode
from mageflow_temporal.status import ErrorInfo, Status


class NodeState(BaseModel):
    """The progress of one node: plain data, from which a run can be rebuilt."""

    status: Status = Status.PENDING
    """Its own: a hold, its own or an ancestor's, is laid over it in `visible`."""
    hold: Status | None = None
    """SUSPENDED or INTERRUPTED, where a verb has been applied to this very node."""
    reason: str | None = None
    last_status: Status | None = None
    result: Any = None
    """Of a chain under way: the last step's."""

    # A task's.
    waiting: bool = False
    """It is this task's turn; it is dispatched as soon as nothing holds it."""
    flying: bool = False
    """It has been dispatched, and has no outcome yet."""
    backing_off: bool = False
    """It failed, and waits for the pause before its retry to pass."""
    dispatches: int = 0
    failures: int = 0
    losses: int = 0
    checkpoint: Any = None
    error: ErrorInfo | None = None

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
    closed: bool = False
    """Of a swarm: no more items can be added."""
    children: dict[int, NodeState] = Field(default_factory=dict[int, "NodeState"])
    """States of the members that have one; others have not begun and nobody has touched them."""


class Progress(BaseModel):
    """All that a run has come to: with the plan, enough to go on from."""

    started: bool = False
    message: Any = None
    root: NodeState = Field(default_factory=NodeState)


class Node:
    """One node of the running tree."""

    __slots__ = ("_children", "index", "parent", "path", "plan", "state")

    def __init__(self, plan: PlanNode, state: NodeState, parent: Node | None = None, index: int = 0) -> None:
        self.plan = plan
        self.state = state
        self.parent = parent
        self.index = index
        self.path: Path = (*parent.path, index) if parent else ()
        self._children: dict[int, Node] = {}

    def size(self) -> int:
        """Return how many members the node has."""
        return 0 if isinstance(self.plan, TaskNode) else len(self.plan.members)

    def member_plan(self, index: int) -> PlanNode:
        """Return the plan of a member."""
        assert not isinstance(self.plan, TaskNode)
        return self.plan.members[index]

    def child(self, index: int) -> Node:
        """Return a member, with a state of its own from now on."""
        node = self._children.get(index)
        if node is None:
            state = self.state.children.setdefault(index, NodeState())
            node = self._children[index] = Node(self.member_plan(index), state, self, index)
        return node

    def peek(self, index: int) -> Node:
        """Return a member to look at: one that nobody has touched gets no state by it."""
        return self._children.get(index) or Node(
            self.member_plan(index), self.state.children.get(index) or NodeState(), self, index
        )

    def find(self, path: Path) -> Node | None:
        """Return the node at `path` below this one, or `None`."""
        node = self
        for index in path:
            if index >= node.size():
                return None
            node = node.child(index)
        return node

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
        """Yield the members that have begun and not ended."""
        if isinstance(self.plan, SwarmNode):
            for index in (*self.state.running, *self.state.parked, *self.state.returning):
                yield self.child(index)
        elif (
            not isinstance(self.plan, TaskNode)
            and not self.state.status.ended
            and self.state.status is not Status.PENDING
        ):
            yield self.child(self.state.next)

    def flying(self) -> Iterator[Node]:
        """Yield the tasks of this subtree that have been dispatched and have no outcome."""
        if self.state.flying:
            yield self
        for child in self.open_children():
            yield from child.flying()

    def awake(self) -> bool:
        """Return whether something in this subtree can go on, for all that the subtree itself knows."""
        if self.state.hold:
            return False
        if isinstance(self.plan, TaskNode):
            return self.state.waiting or self.state.backing_off or self.state.flying
        if isinstance(self.plan, SwarmNode) and self.state.next < self.size():
            return True
        return any(child.awake() for child in self.open_children())

    def visible(self) -> Status:
        """Return the status that people see: a hold covers all below it that neither runs nor has ended."""
        state = self.state
        if state.status.ended or state.flying:
            return state.status
        for node in self.lineage():
            if node.state.status.ended:
                return Status.CANCELED  # its container ended without it
            if node.state.hold:
                return node.state.hold
        return state.status
