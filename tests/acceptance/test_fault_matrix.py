"""Every shape of work under every fault: nothing is lost, and nothing is done twice that no fault has struck.

For each fault all shapes run side by side on one stage, which the fault strikes while each is in its middle. What must
be true in the end is said once, in `test_nothing_is_lost`.
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pytest
from temporalio.api.enums.v1 import EventType, TaskQueueKind, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, Status, StatusReport
from mageflow_temporal import server as embedded_server
from tests import processes
from tests.acceptance.fault_process import GRACE, SHAPES, app, key
from tests.conftest import replay_all
from tests.support import Diary, eventually

LONG = 60.0
"""Seconds: for what takes a few heartbeat timeouts, on a busy machine."""

LEGAL: dict[Status, set[Status]] = {
    Status.PENDING: {Status.ACTIVE, Status.CANCELED},
    Status.ACTIVE: {Status.PENDING, Status.DONE, Status.FAILED, Status.CANCELED},
}
"""What may follow what where nobody says a verb: a task whose worker is lost, or hands it back, waits in a queue again."""

pytestmark = pytest.mark.filterwarnings("ignore::mageflow_temporal.NoWorkerWarning")  # for a while there is none

SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
UNHANDLED = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
"""How the server has a run's last workflow task made again when something has come meanwhile: not a fault of anyone."""


@dataclass(repr=False)
class Stage:
    """Where all shapes run side by side, and what was seen of them."""

    target: str
    folder: Path
    events_per_run: int | None = None
    queue: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:8]}")
    signatures: dict[str, Any] = field(default_factory=dict[str, Any])
    endings: dict[str, Any] = field(default_factory=dict[str, Any])
    """Results, or the errors that were raised instead."""
    reports: dict[str, StatusReport] = field(default_factory=dict[str, StatusReport])
    seen: dict[str, list[Status]] = field(default_factory=dict[str, list[Status]])
    """The statuses of each signature and member, in their order, each once for as long as it lasted."""
    histories: dict[str, list[list[HistoryEvent]]] = field(default_factory=dict[str, list[list[HistoryEvent]]])
    """The events of each signature's runs."""
    spared: bool = False
    """Whether the fault leaves running tasks alone: then those, too, have one effect."""

    def __post_init__(self) -> None:
        self.mf = app(self.target, self.queue, self.folder, events_per_run=self.events_per_run)
        self.diary = Diary(self.folder / "diary")
        self._ends: dict[str, asyncio.Task[Any]] = {}
        self._watching: list[asyncio.Task[None]] = []

    def process(self, role: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Run a worker or a client for as long as the context is open; then kill it."""
        command = (sys.executable, "-m", "tests.acceptance.fault_process", role, self.target, self.queue)
        return processes.running(*command, str(self.folder), words=None)

    async def start(self) -> None:
        """Start each shape."""
        for name, shape in SHAPES.items():
            self.signatures[name] = await (await shape.make(self.mf)).start(id=key(self.queue, name))
        self.watch()

    def watch(self) -> None:
        """Wait for the end of each, and look at its status, from now on."""
        for name, signature in self.signatures.items():
            self._ends[name] = asyncio.create_task(signature.result())
            self._watching.append(asyncio.create_task(self._watch(name)))

    async def is_in_its_middle(self) -> None:
        """Wait until all that waits for the gate has begun."""
        for name, shape in SHAPES.items():
            for path in shape.paths("held"):
                await eventually(
                    lambda where=(name, path): self.effects("begun")[where], f"{name} {path} is held", LONG
                )

    async def finish(self) -> None:
        """Open the gate, and wait for all ends."""
        (self.folder / "gate").touch()
        _, late = await asyncio.wait(self._ends.values(), timeout=LONG)
        for task in (*late, *self._watching):
            task.cancel()
        await asyncio.wait([*late, *self._watching])
        for name, task in self._ends.items():
            self.endings[name] = (
                TimeoutError(f"within {LONG:g} s") if task in late else task.exception() or task.result()
            )
        for task in self._watching:
            if not task.cancelled():
                task.result()
        for name in SHAPES:
            self._look(await self.signatures[name].status(), name)
            self.histories[name] = await self._runs(name)

    async def _watch(self, name: str) -> None:
        while True:
            try:
                self._look(await self.signatures[name].status(), name)
            except (mageflow.WorkerUnavailableError, mageflow.ServerUnavailableError):
                pass  # struck by the fault: nobody can be asked for a while
            await asyncio.sleep(0.1)

    def _look(self, report: StatusReport, name: str) -> None:
        self.reports[name] = report
        for part in parts(report):
            known = self.seen.setdefault(part.key, [Status.PENDING])
            if part.status != known[-1]:
                known.append(part.status)

    async def _runs(self, name: str) -> list[list[HistoryEvent]]:
        client = await self.mf.client()
        handle = client.get_workflow_handle(key(self.queue, name))
        description = await handle.describe()
        ends = {description.run_id, description.raw_description.workflow_execution_info.first_run_id}

        async def listed() -> list[str]:
            query = f"WorkflowId = '{handle.id}'"
            found = [run.run_id async for run in client.list_workflows(query)]
            return found if ends <= set(found) else []

        runs = await eventually(listed, f"the runs of {name} are listed")
        histories = [await client.get_workflow_handle(handle.id, run_id=run).fetch_history() for run in runs]
        return [list(history.events) for history in histories]

    def effects(self, what: str) -> Counter[tuple[str, str]]:
        """Return how often each task has begun, or ended: by shape and path."""
        noted = Counter[tuple[str, str]]()
        for entry in self.diary.read(what):
            root, _, path = entry["key"].partition("#")
            noted[root.removeprefix(f"{self.queue}-"), path] += 1
        return noted

    def by(self, pid: int, what: str) -> set[str]:
        """Return the keys of what a process has begun, or ended."""
        return {entry["key"] for entry in self.diary.read(what) if entry["pid"] == pid}


def parts(report: StatusReport) -> list[StatusReport]:
    """Return a report, and those of all below it."""
    return [report, *(part for below in (*report.children, *report.callbacks) for part in parts(below))]


# Faults. Each plays the whole piece, and has seen to it that it has struck.


async def worker_killed(stage: Stage) -> None:
    async with stage.process("worker") as first:
        await stage.start()
        await stage.is_in_its_middle()
        async with stage.process("worker"):
            first.kill()
            await first.wait()
            await stage.finish()
    for name, shape in SHAPES.items():
        for path in shape.paths("held"):
            assert stage.effects("begun")[name, path] > 1, "it was struck, and begun again"


async def worker_stopped(stage: Stage) -> None:
    stage.spared = True
    async with stage.process("worker") as first:
        await stage.start()
        await stage.is_in_its_middle()
        first.terminate()
        async with stage.process("worker") as second:
            await stage.finish()
            assert await asyncio.wait_for(first.wait(), GRACE.total_seconds()) == 0
    assert stage.by(first.pid, "ended") == stage.by(first.pid, "begun"), "what it had begun ended there"
    assert stage.by(second.pid, "ended"), "and the rest elsewhere"


async def server_restarted(stage: Stage) -> None:
    port = int(stage.target.rpartition(":")[2])
    run = partial(embedded_server.run, database=stage.folder / "temporal.db", port=port, ui=False)
    async with AsyncExitStack() as stack:
        async with run():
            await stack.enter_async_context(stage.process("worker"))
            await stage.start()
            await stage.is_in_its_middle()
            [server] = [child for child in psutil.Process().children() if str(port) in child.cmdline()]
            server.send_signal(signal.SIGKILL)
        await stack.enter_async_context(run())
        await stage.finish()
        await replay_all(stage.mf)


async def client_killed(stage: Stage) -> None:
    stage.spared = True
    async with stage.process("worker"), stage.process("client") as client:
        await stage.is_in_its_middle()
        client.kill()
        await client.wait()
        for name in SHAPES:
            stage.signatures[name] = await stage.mf.load_signature(key(stage.queue, name))
        stage.watch()
        for name, shape in SHAPES.items():
            await (await shape.make(stage.mf)).start(id=key(stage.queue, name))
        await stage.finish()


async def cache_off(stage: Stage) -> None:
    stage.spared = True
    async with stage.process("worker without a cache"):
        await stage.start()
        await stage.is_in_its_middle()
        await stage.finish()
    events = [event for runs in stage.histories.values() for run in runs for event in run]
    scheduled = [event.workflow_task_scheduled_event_attributes for event in events if event.event_type == SCHEDULED]
    assert {task.task_queue.kind for task in scheduled} == {TaskQueueKind.TASK_QUEUE_KIND_NORMAL}, (
        "no worker was asked to remember a workflow"
    )


async def new_run_at_every_step(stage: Stage) -> None:
    stage.spared = True
    (stage.folder / "gate").touch()  # a run waits for what is held, and would not end
    async with stage.process("worker"):
        await stage.start()
        await stage.finish()
    for name in SHAPES:
        assert len(stage.histories[name]) > 1, name
    assert len(stage.histories["chain"]) == 4


FAULTS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    fault.__name__: fault
    for fault in (worker_killed, worker_stopped, server_restarted, client_killed, cache_off, new_run_at_every_step)
}


@pytest.fixture(scope="module", params=FAULTS)
async def stage(
    server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Stage]:
    fault = FAULTS[request.param]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = f"127.0.0.1:{probe.getsockname()[1]}"
    stage = Stage(
        target=free if fault is server_restarted else server.target,
        folder=tmp_path_factory.mktemp(request.param),
        events_per_run=1 if fault is new_run_at_every_step else None,
    )
    await fault(stage)
    yield stage
    if fault is not server_restarted:
        await replay_all(stage.mf)


@pytest.mark.parametrize("shape", SHAPES)
async def test_nothing_is_lost(stage: Stage, shape: str) -> None:
    right, ending, report = SHAPES[shape], stage.endings[shape], stage.reports[shape]

    # Right results.
    if "" in right.paths("failed"):
        assert isinstance(ending, mageflow.TaskFailedError)
        assert ending.attempts == 1
    else:
        assert ending == right.result

    # Right final statuses, of all that there is.
    def of(path: str) -> str:
        return f"{report.key}#{path}" if path else report.key

    statuses = {part.key: part.status for part in parts(report)}
    expected = {of(path): status for status in ("failed", "canceled") for path in right.paths(status)}
    assert statuses == dict.fromkeys(statuses, Status.DONE) | expected

    # Each effect at least once; once and no more where no fault has struck. No other effects.
    for what in ("begun", "ended"):
        effects = {path: times for (name, path), times in stage.effects(what).items() if name == shape}
        assert effects.keys() == right.paths("once")
        struck = set[str]() if stage.spared else right.paths("held")
        assert {path for path, times in effects.items() if times > 1} <= struck

    # Legal transitions only.
    for where, seen in stage.seen.items():
        if where.partition("#")[0] == report.key:
            for before, after in zip(seen, seen[1:], strict=False):
                assert after in reachable(before), f"{where}: {seen}"

    # No attempts used up: no task has retries.
    assert {part.attempt for part in parts(report) if part.kind == "task"} <= {1, None}
    assert {entry["attempt"] for entry in stage.diary.read("begun")} == {1}

    # No workflow task has failed.
    for run in stage.histories[shape]:
        for event in run:
            if event.event_type == FAILED:
                assert event.workflow_task_failed_event_attributes.cause == UNHANDLED, event


def reachable(status: Status) -> set[Status]:
    """Return what a status may have become between two looks."""
    found, fresh = set[Status](), {status}
    while fresh:
        fresh = {after for before in fresh for after in LEGAL.get(before, ())} - found
        found |= fresh
    return found


def test_the_page_shows_each_cell() -> None:
    page = Path(__file__).parents[2] / "docs/reliability.md"
    tables = re.findall(r"^\| what runs \|.*?\n\n", page.read_text(), re.MULTILINE | re.DOTALL)
    [cells] = [
        re.findall(r"\[`([a-z_-]+)`\]\(\.\./tests/acceptance/test_fault_matrix\.py\)", table) for table in tables
    ]
    assert cells == [f"{fault}-{shape}" for shape, fault in product(SHAPES, FAULTS)]
