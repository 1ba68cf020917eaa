"""Signatures brought into a state, for the table of design section 3: a shape, a state of the task in its focus."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from mageflow_temporal import Mageflow, SwarmConfig
from tests.support import Ledger, eventually, reaches

SHAPES: dict[str, str] = {
    "task": "",
    "step": "1",
    "item": "1",
    "deep step": "1.1",
    "chain": "",
    "swarm": "",
    "inner chain": "1",
    "inner swarm": "1",
}
"""Each shape, and the path of its target: the task in focus, or the container that holds it."""

TASK_SHAPES = ("task", "step", "item", "deep step")
ROOT_SHAPES = ("task", "chain", "swarm")
FOCUS = {
    "task": "",
    "step": "1",
    "item": "1",
    "deep step": "1.1",
    "chain": "0",
    "swarm": "0",
    "inner chain": "1.0",
    "inner swarm": "1.0",
}
"""The path of the task in focus."""

HOLDS = {"suspend": "suspended", "interrupt": "interrupted"}
"""The verbs that hold something, and the status that it has then."""

AFTER = {"chain": 1, "inner chain": 1, "swarm": 1, "inner swarm": 1}
"""How often `after` runs in all: it follows the focus in a chain, and waits for its place in a swarm."""


@dataclass
class Situation:
    """A signature in a state, with the means to let it go on."""

    mf: Mageflow
    shape: str
    signature: Any
    ledger: Ledger
    gate: asyncio.Event
    stack: AsyncExitStack
    focus_queue: str
    _focus_worker: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def target(self) -> str:
        return SHAPES[self.shape]

    @property
    def key(self) -> str:
        return f"{self.signature.key}#{self.target}" if self.target else self.signature.key

    async def serve_focus(self) -> None:
        """Let a worker listen on the queue of the task in focus."""
        if not self._focus_worker:
            self._focus_worker = True
            await self.stack.enter_async_context(self.mf.worker(task_queues=[self.focus_queue]))

    async def canary(self) -> None:
        """Let a task on the queue of the focus, and one on the main queue, come and go: whatever was to begin has."""
        for name in ("canary", "focus canary"):
            await (await self.mf.sign(name)).run()

    async def finish(self) -> Any:
        """Open every gate and return the result."""
        self.gate.set()
        await self.serve_focus()
        return await self.signature.result(timeout=20)


async def situation(mf: Mageflow, stack: AsyncExitStack, shape: str, state: str) -> Situation:
    """Bring a new signature of a shape into a state: unstarted, queued, backing off, running, done, failed, canceled."""
    ledger, gate = Ledger(), asyncio.Event()
    focus_queue = f"{mf.config.task_queue}-focus"

    @mf.task(name="focus", task_queue=focus_queue, retries=1, backoff_max_seconds=2 if state == "backing off" else 0.01)
    async def focus() -> str:
        if state == "failed" or (state == "backing off" and not ledger.begun["focus"]):
            ledger.begun["focus"] += 1
            raise ValueError("on purpose")
        return await ledger.work("focus", gate if state in ("running", "backing off", "canceled") else None)

    @mf.task(name="other")
    async def other() -> str:
        return await ledger.work("other")

    @mf.task(name="after")
    async def after() -> str:
        return await ledger.work("after")

    @mf.task(name="canary")
    async def canary() -> None: ...

    @mf.task(name="focus canary", task_queue=focus_queue)
    async def focus_canary() -> None: ...

    signature = await _compose(mf, shape, focus, other, after)
    await stack.enter_async_context(mf.worker(task_queues=[mf.config.task_queue]))
    made = Situation(mf, shape, signature, ledger, gate, stack, focus_queue)
    if state == "unstarted":
        return made
    await signature.start()
    if state == "queued":
        await _settled_around(made)
        return made
    await made.serve_focus()
    await ledger.has_begun("focus")
    if state == "running":
        await _settled_around(made)
    elif state == "backing off":
        await _failed_once(made)
    elif state == "done":
        await signature.result(timeout=20)
    elif state == "failed":
        await reaches(signature, "done" if "swarm" in shape or shape in ("item", "deep step") else "failed")
    elif state == "canceled":
        await (await mf.client()).get_workflow_handle(signature.key).cancel()
        await reaches(signature, "canceled")
    return made


async def apply(made: Situation, verb: str, via: str) -> Any:
    """Apply a verb to the target; return its report, or the error that it was refused with, in words."""
    if via == "update":
        return await getattr(made.mf, verb)(made.key)
    handle = (await made.mf.client()).get_workflow_handle(made.signature.key)
    before = (await made.signature.status()).last_verb
    await handle.signal(verb, {"target": made.target} if made.target else None)

    async def recorded() -> Any:
        now = (await made.signature.status()).last_verb
        return now if now != before else None

    return await eventually(recorded, f"the verdict of {verb} is recorded")


async def _compose(mf: Mageflow, shape: str, focus: Any, other: Any, after: Any) -> Any:
    one_at_a_time = SwarmConfig(max_concurrency=1)
    match shape:
        case "task":
            return await mf.sign(focus)
        case "step":
            return await mf.chain([other, focus])
        case "item":
            return await mf.swarm([other, focus], is_swarm_closed=True)
        case "deep step":
            return await mf.swarm([other, await mf.chain([other, focus])], is_swarm_closed=True)
        case "chain":
            return await mf.chain([focus, after])
        case "swarm":
            return await mf.swarm([focus, after], is_swarm_closed=True, config=one_at_a_time)
        case "inner chain":
            return await mf.chain([other, await mf.chain([focus, after])])
        case "inner swarm":
            inner = await mf.swarm([focus, after], config=one_at_a_time)
            return await mf.swarm([other, inner], is_swarm_closed=True)
    raise AssertionError(shape)


async def _settled_around(made: Situation) -> None:
    """Wait until nothing but the task in focus is left to happen for now."""
    await reaches(made.signature, "pending" if not made.ledger.begun["focus"] else "active", FOCUS[made.shape])
    others = {"step": ["0"], "item": ["0"], "deep step": ["0", "1.0"], "inner chain": ["0"], "inner swarm": ["0"]}
    for path in others.get(made.shape, []):
        await reaches(made.signature, "done", path)


async def _failed_once(made: Situation) -> None:
    report = await reaches(made.signature, "pending", FOCUS[made.shape])
    assert report.error is None or report.error.attempt == 1
