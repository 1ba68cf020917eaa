"""What a run keeps of items that are done, and what of it goes into pages: a run carries all that it keeps to the next.

A swarm of some hundred items keeps everything. Of a larger one only the latest items have their whole states; of those
before them only what came of them; and where that is more than a run should carry, the results go into pages:
workflows that hold a payload each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mageflow_temporal.engine.tree import Node, Progress
from mageflow_temporal.message import wire_size
from mageflow_temporal.protocol import Leaf, Paged
from mageflow_temporal.status import Status

_FRESH: Final = 500
"""How many items that are done have their whole states; and so many more, before they are let go together."""
_RECORD: Final = 32
"""Bytes that are counted for what is kept besides a result."""
CARRIED: Final = 1_000_000
"""Bytes of results that a run carries: with all else it must fit in one payload, and be packed well within 2 s."""
_PAGE: Final = 1_000_000
"""Bytes of results in a page, or one result: what a workflow task sends has to be less than 4 MiB altogether."""


@dataclass(frozen=True, slots=True)
class Page:
    """Results that are on their way into a page."""

    swarm: Node
    leaves: list[Leaf]
    results: list[Any]


def weigh(progress: Progress, swarm: Node, result: Any) -> None:
    """Take note of the result of an item of a swarm."""
    size = _weight(result)
    swarm.state.weight += size
    progress.weight += size


def put(progress: Progress, swarm: Node, index: int) -> None:
    """Take note of an item that is done, with all its callbacks, and let go of the states of earlier ones."""
    state = swarm.state
    state.fresh.append(index)
    if len(state.fresh) > 2 * _FRESH:
        _let_go(progress, swarm, _FRESH)


def full_page(root: Node, progress: Progress, carried: int = CARRIED) -> Page | None:
    """Return results for a page, if the tree holds more than so many bytes of them."""
    if progress.weight <= carried:
        return None
    for swarm in sorted(root.swarms(), key=lambda swarm: -swarm.state.weight):
        _let_go(progress, swarm, len(swarm.state.fresh))
        leaves: list[Leaf] = []
        results: list[Any] = []
        size = 0
        for index, kept in swarm.state.finished.items():
            size += _weight(kept.result)
            if leaves and size > _PAGE:
                break
            leaves.append(Leaf(index=index, attempts=kept.attempts, name=kept.name, returns=kept.returns))
            results.append(kept.result)
        if leaves:
            return Page(swarm, leaves, results)
    return None


def turned(progress: Progress, page: Page, page_id: str) -> None:
    """Take note that a workflow keeps a page."""
    state = page.swarm.state
    for leaf in page.leaves:
        size = _weight(state.finished.pop(leaf.index).result)
        state.weight -= size
        progress.weight -= size
    state.pages.append(page_id)
    progress.pages.append(page_id)


def forget(progress: Progress, node: Node) -> None:
    """Take note that the state of a node goes."""
    progress.weight -= sum(swarm.state.weight for swarm in node.swarms())


def is_overfull(swarm: Node) -> bool:
    """Return whether a swarm holds more results than it may end with, and has some that can go into a page, or will."""
    state = swarm.state
    return state.weight > CARRIED and bool(state.fresh or state.finished or state.lingering)


def results(swarm: Node) -> Any:
    """Return the results of a swarm that is done, in the order of submission; or, of many, where they are."""
    state = swarm.state
    found = {index: item.result for index, item in state.children.items() if item.outcome is Status.DONE}
    found.update((index, kept.result) for index, kept in state.finished.items())
    ordered = sorted(found.items())
    if state.pages:
        return Paged(pages=state.pages, rest=ordered).to_wire()
    return [result for _, result in ordered]


def _let_go(progress: Progress, swarm: Node, number: int) -> None:
    state = swarm.state
    for index in state.fresh[:number]:
        item = swarm.child(index)
        if not next(item.tied(), None):
            forget(progress, item)
            swarm.let_go(index)
    del state.fresh[:number]


def _weight(result: Any) -> int:
    return wire_size(result) + _RECORD
