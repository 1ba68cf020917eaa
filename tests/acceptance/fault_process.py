"""What the fault matrix runs, and its processes: `python -m tests.acceptance.fault_process ROLE TARGET QUEUE FOLDER`.

A worker runs the tasks of six shapes of work; a client starts one of each shape, and waits for their ends. A task whose
label ends with "!" waits for the gate, a file in the folder: what happens until the gate opens strikes it in its middle.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.worker import WorkerConfig

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, MageflowConfig, ReturnValue, SwarmConfig
from tests.support import Diary

HEARTBEAT_TIMEOUT = timedelta(seconds=3)
GRACE = timedelta(seconds=30)
ELEMENTS = ["0", "1!", "2!", "3", "4"]
TWO_AT_ONCE = SwarmConfig(max_concurrency=2)


class Work(BaseModel):
    name: str = ""
    given: ReturnValue[Any] = None

    @property
    def label(self) -> str:
        return self.name or self.given


def app(target: str | Client, queue: str, folder: Path, *, events_per_run: int | None = None) -> Mageflow:
    """Return an app with the tasks, which note in the folder's diary what they do."""
    config = MageflowConfig(task_queue=queue, heartbeat_timeout=HEARTBEAT_TIMEOUT)
    # A copy is not checked: with less than the least that is allowed, each step has a run of its own.
    mf = Mageflow(target, config=config.model_copy(update={"events_per_run": events_per_run}))
    diary, gate = Diary(folder / "diary"), folder / "gate"

    async def effect(label: str) -> None:
        task = mageflow.current_task()
        diary.note("begun", key=task.key, attempt=task.attempt)
        while label.endswith("!") and not gate.exists():
            await asyncio.sleep(0.05)
        diary.note("ended", key=task.key)

    @mf.task(name="work")
    async def work(msg: Work) -> list[Any]:
        await effect(msg.label)
        return [msg.name, *([] if msg.given is None else [msg.given])]

    @mf.task(name="list")
    async def list_() -> list[str]:
        await effect("list")
        return ELEMENTS

    @mf.task(name="fail")
    async def fail(msg: Work) -> None:
        await effect(msg.name)
        raise ValueError("on purpose")

    return mf


@dataclass(frozen=True)
class Shape:
    """One shape of work, and what is right for it."""

    make: Callable[[Mageflow], Awaitable[Any]]
    once: str
    """Paths of the tasks that have an effect; "" is a task that is a whole signature."""
    held: str
    """Paths of those that wait for the gate."""
    result: Any
    failed: str = ""
    """Paths of what fails. All else is done, or canceled."""
    canceled: str = ""

    def paths(self, which: str) -> set[str]:
        """Return one of the sets of paths; "." stands for the root."""
        return {"" if path == "." else path for path in getattr(self, which).split()}


async def _task(mf: Mageflow) -> Any:
    return await mf.sign("work", name="task!", success_callbacks=[await mf.sign("work", name="after")])


async def _chain(mf: Mageflow) -> Any:
    steps = [await mf.sign("work", name=name) for name in ("a", "b!", "c")]
    return await mf.chain(steps, success=await mf.sign("work", name="after"))


async def _swarm(mf: Mageflow) -> Any:
    items = [await mf.sign("work", name=name) for name in ("0", "1!", "2!", "3")]
    failing = await mf.sign("fail", name="4", error_callbacks=[await mf.sign("work", name="after 4")])
    last = await mf.sign("work", name="5")
    after = await mf.sign("work", name="after")
    return await mf.swarm([*items, failing, last], config=TWO_AT_ONCE, is_swarm_closed=True, success_callbacks=[after])


async def _nested(mf: Mageflow) -> Any:
    first = await mf.chain([await mf.sign("work", name="b"), await mf.sign("work", name="c!")])
    failing = await mf.chain(
        [await mf.sign("work", name="d"), await mf.sign("fail", name="e"), await mf.sign("work", name="never")],
        error=await mf.sign("work", name="after e"),
    )
    items = [first, failing, await mf.sign("work", name="f")]
    inner = await mf.swarm(items, config=TWO_AT_ONCE, success_callbacks=[await mf.sign("work", name="after swarm")])
    return await mf.chain([await mf.sign("work", name="a"), inner, await mf.sign("work", name="z")])


async def _callback(mf: Mageflow) -> Any:
    step = await mf.sign("work", name="a", success_callbacks=[await mf.sign("work", name="after a!")])
    long = await mf.chain([await mf.sign("work", name="f"), await mf.sign("work", name="g!")])
    failing = [step, await mf.sign("fail", name="b"), await mf.sign("work", name="never")]
    return await mf.chain(failing, error_callbacks=[await mf.sign("work", name="e!"), long])


async def _map(mf: Mageflow) -> Any:
    each = await mf.map("work", config=TWO_AT_ONCE, success_callbacks=[await mf.sign("work", name="after")])
    return await mf.chain(["list", each])


SHAPES = {
    "task": Shape(_task, once=". s0", held=".", result=["task!"]),
    "chain": Shape(_chain, once="0 1 2 s0", held="1", result=["c", ["b!", ["a"]]]),
    "swarm": Shape(
        _swarm,
        once="0 1 2 3 4 5 4.e0 s0",
        held="1 2",
        result=[["0"], ["1!"], ["2!"], ["3"], ["5"]],
        failed="4",
    ),
    "nested": Shape(
        _nested,
        once="0 1.0.0 1.0.1 1.1.0 1.1.1 1.1.e0 1.2 1.s0 2",
        held="1.0.1",
        result=["z", [["c!", ["b", ["a"]]], ["f", ["a"]]]],
        failed="1.1 1.1.1",
        canceled="1.1.2",
    ),
    "callback": Shape(
        _callback, once="0 0.s0 1 e0 e1.0 e1.1", held="0.s0 e0 e1.1", result=None, failed=". 1", canceled="2"
    ),
    "map": Shape(
        _map,
        once="0 1.0 1.1 1.2 1.3 1.4 1.s0",
        held="1.1 1.2",
        result=[["", element] for element in ELEMENTS],
    ),
}


def key(queue: str, shape: str) -> str:
    """Return the key of a shape's signature."""
    return f"{queue}-{shape}"


class NoCache(SimplePlugin):
    """Lets workers keep no workflow in memory: each workflow task replays the whole history."""

    def __init__(self) -> None:
        super().__init__("no-cache")

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        return {**super().configure_worker(config), "max_cached_workflows": 0}


async def work(target: str, queue: str, folder: str, *, cached: bool) -> None:
    client = await Client.connect(target, plugins=[] if cached else [NoCache()])
    await app(client, queue, Path(folder)).worker(shutdown_grace=GRACE).run()


async def wait(target: str, queue: str, folder: str) -> None:
    mf = app(target, queue, Path(folder))
    started = [await (await shape.make(mf)).start(id=key(queue, name)) for name, shape in SHAPES.items()]
    await asyncio.gather(*(signature.result() for signature in started))


if __name__ == "__main__":
    role, *rest = sys.argv[1:]
    asyncio.run(wait(*rest) if role == "client" else work(*rest, cached=role == "worker"))
