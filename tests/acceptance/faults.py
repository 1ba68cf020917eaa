"""What the test with faults acts upon, and how it judges: a world that can be broken, and signatures that run in it.

Everything that happens is noted with its time on the machine's one monotonic clock, here and in the worker processes.
Judgement comes at the end, when all has calmed down: then there is nothing to race with.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

import psutil
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

import mageflow_temporal as mageflow
from mageflow_temporal import LifecycleReport, Mageflow, MageflowConfig, Member, StatusReport
from mageflow_temporal import server as embedded_server
from mageflow_temporal.engine import WORKFLOWS
from mageflow_temporal.swarm import SwarmControl
from tests import faults_worker
from tests.acceptance.random_trees import SeenReport, compose, ends_as, in_order, key_of, path_of
from tests.acceptance.reference_model import Chain, Json, Map, Model, Node, Path, Swarm, Task
from tests.acceptance.tree_tasks import Orders
from tests.faults_worker import JobOrders
from tests.support import worker_process

_T = TypeVar("_T")

WORKERS: Final = 2
LIVES: Final = (None, 10, 40)
"""Events per run of the apps that start signatures: one goes on in new runs all the time, one now and then."""
HEARTBEAT: Final = 3.0
"""Seconds until the server gives up a worker that is silent."""
PATIENCE: Final = 180.0
"""Seconds in which everything ends, once nothing holds it: a machine may be slow."""
_AT_HAND: Final = 2.0
"""Seconds that an operation waits for the answer to a verb; then the next begins, and the answer may come later."""
_ON_THE_WAY: Final = 5.0
"""Seconds within which a word that was sent arrives, or is lost with the server or the worker."""
_FACTS: Final = ("run", "pid", "attempt", "message", "resumed_from", "gated", "stubborn")
_LOST_FOR_NOW: Final = (
    mageflow.ServerUnavailableError,
    mageflow.WorkerUnavailableError,
    mageflow.WhereaboutsUnknownError,
    RPCError,
)


# A tree whose tasks can be told how to end.


@dataclass(frozen=True)
class Job(Task):
    kind: str = "loop"
    takes: float = 0.0
    gated: bool = False
    stubborn: bool = False

    def __post_init__(self) -> None:
        assert not (self.stubborn and self.fails), "nobody could say which of the two it will do"


def parts(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Yield the parts that a tree is known to have before it runs. A map may have others."""
    yield path, node
    match node:
        case Chain():
            members: tuple[Node, ...] = node.steps
        case Swarm():
            members = node.items
        case Map():
            members = (node.each,) * len(node.over or ())
        case _:
            members = ()
    callbacks = {f"s{index}": part for index, part in enumerate(node.on_success)}
    callbacks |= {f"e{index}": part for index, part in enumerate(node.on_error)}
    for segment, part in [*enumerate(members), *callbacks.items()]:
        yield from parts(part, (*path, segment))


def targets(tree: Node) -> list[Path]:
    """Return what verbs may be aimed at: the root as often as all else together.

    Members of a swarm that failures can stop are not among them. Those that are held let others go first, and then the
    model, which knows of no holds, could not tell which of them the swarm should still have begun.
    """
    stopping = [path for path, node in parts(tree) if isinstance(node, Swarm | Map) and node.limit is not None]
    free = [
        path
        for path, _ in parts(tree)
        if path and not any(is_below(path, swarm) and isinstance(path[len(swarm)], int) for swarm in stopping)
    ]
    return [*free, *[()] * max(1, len(free))]


def is_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def is_at_or_below(path: Path, above: Path) -> bool:
    return path[: len(above)] == above


# What happened.


@dataclass(frozen=True)
class Fault:
    """Something was broken: a worker (then it has a pid), or the server."""

    what: str
    begun: float
    ended: float
    pid: int | None = None


@dataclass
class Told:
    """Something that a signature was told."""

    what: str
    path: Path
    sent: float
    by_signal: bool = False
    answered: float | None = None
    answer: Any = None
    refused: mageflow.MageflowError | None = None
    repeated: int = 0

    @property
    def over(self) -> float:
        """When its effect was complete, at the latest."""
        if self.by_signal:
            return self.sent + 3 * _ON_THE_WAY
        return self.answered or float("inf")

    @property
    def done(self) -> bool:
        return self.answered is not None and self.refused is None and not self.by_signal


@dataclass
class Stint:
    """One run of a task's code."""

    path: Path
    run: str
    pid: int
    attempt: int
    message: Json
    resumed_from: Any
    gated: bool
    stubborn: bool
    begun: float
    ended: float | None = None
    how: str = "vanished"
    why: str | None = None

    @property
    def last_seen(self) -> float:
        return self.ended or float("inf")

    def was_hit_by(self, fault: Fault) -> bool:
        """Whether a fault may have taken it from its worker, or its outcome on the way to the server."""
        if fault.pid is None:
            return self.begun <= fault.ended + 1 and self.last_seen >= fault.begun - _ON_THE_WAY
        return fault.pid == self.pid and self.begun <= fault.ended and self.last_seen >= fault.begun - _ON_THE_WAY


# The world.


@dataclass
class World:
    """A server on a database file, and worker processes: each can be killed and started again."""

    folder: FilePath
    faults: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    apps: list[Mageflow] = field(default_factory=list)
    _workers: dict[int, tuple[AsyncExitStack, asyncio.subprocess.Process]] = field(default_factory=dict)
    _server: AsyncExitStack = field(default_factory=AsyncExitStack)

    def __post_init__(self) -> None:
        self._port = _free_port()
        self.queue = f"faults-{self._port}"
        self.target = f"127.0.0.1:{self._port}"
        self._log = self.folder / "workers.log"  # the SDK says much of a server that is not there

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: FilePath) -> AsyncGenerator[World]:
        """Let there be a world for as long as the context is open."""
        made = cls(folder)
        await made._start_server()
        try:
            for events in LIVES:
                config = MageflowConfig(
                    task_queue=made.queue,
                    events_per_run=events,
                    heartbeat_timeout=timedelta(seconds=HEARTBEAT),
                    lost_worker_limit=1000,
                )
                made.apps.append(Mageflow(made.target, config=config))
                faults_worker.define(made.apps[-1])
            yield made
        finally:
            for slot in list(made._workers):
                await made.kill_worker(slot)
            await made._server.aclose()

    async def _start_server(self) -> None:
        database = self.folder / "temporal.db"
        await self._server.enter_async_context(embedded_server.run(database=database, ui=False, port=self._port))

    async def restart_server(self, *, kill: bool, down: float) -> None:
        """End the server, as it ends itself or as a machine may die, and start it on its database file again."""
        begun = time.monotonic()
        if kill:
            for process in psutil.Process().children(recursive=True):
                if str(self._port) in process.cmdline() and "start-dev" in process.cmdline():
                    process.kill()
        await self._server.aclose()
        await asyncio.sleep(down)
        await self._start_server()
        self.faults.append(Fault("server killed" if kill else "server stopped", begun, time.monotonic()))

    @property
    def has_worker(self) -> bool:
        return bool(self._workers)

    def has_worker_in(self, slot: int) -> bool:
        return slot in self._workers

    async def start_worker(self, slot: int) -> None:
        stack = AsyncExitStack()
        environment = {faults_worker.ADDRESS: self.target, faults_worker.QUEUE: self.queue}
        running = worker_process("tests.faults_worker", log=self._log, **environment)
        process = await stack.enter_async_context(running)
        self._workers[slot] = stack, process

    async def kill_worker(self, slot: int) -> None:
        """Kill -9."""
        stack, process = self._workers.pop(slot)
        assert process.returncode is None, f"a worker ended by itself, with {process.returncode}; see {self._log}"
        begun = time.monotonic()
        await stack.aclose()
        self.faults.append(Fault("worker killed", begun, time.monotonic(), process.pid))

    async def stop_worker(self, slot: int) -> None:
        """Ask a worker to stop, as a deployment does, and wait until it has: it hands back what runs."""
        stack, process = self._workers.pop(slot)
        assert process.returncode is None, f"a worker ended by itself, with {process.returncode}; see {self._log}"
        begun = time.monotonic()
        process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE)
        await stack.aclose()
        self.faults.append(Fault("worker stopped", begun, time.monotonic(), process.pid))


def _free_port() -> int:
    """Return a port below those that the system gives to connections: one of them might take it during a restart."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


# A signature in it.


@dataclass
class Life:
    """A started signature: what it was told, what it did, and whether that was right."""

    world: World
    folder: FilePath
    app: Mageflow
    tree: Node
    message: Json
    is_open: bool
    signature: Any = None
    told: list[Told] = field(default_factory=list)
    looks: list[tuple[float, float, StatusReport]] = field(default_factory=list)
    added: dict[int, Node] = field(default_factory=dict)
    result: Json = None
    error: mageflow.OutcomeError | None = None
    calm: float = 0.0
    """When all holds were taken off."""
    _waiting: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def key(self) -> str:
        return self.signature.key

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have ended."""
        ended = any(report.status.ended for _, _, report in self.looks)
        return ended or any(
            not told.path and isinstance(told.refused, mageflow.SignatureEndedError) for told in self.told
        )

    @property
    def whole(self) -> Node:
        """The tree, with what was added to it."""
        if not self.added or not isinstance(self.tree, Swarm):
            return self.tree
        assert sorted(self.added) == [*range(len(self.tree.items), len(self.tree.items) + len(self.added))]
        return replace(self.tree, items=(*self.tree.items, *(self.added[index] for index in sorted(self.added))))

    async def start(self) -> None:
        self.signature = await compose(self.app, self.tree, self._ordered)
        if self.is_open:
            self.signature.is_swarm_closed = False
        await persistently(lambda: self.signature.start(self.message, id=self.key))

    def _ordered(self, job: Any) -> tuple[str, Orders]:
        orders = JobOrders(
            fails=job.fails,
            fatal=job.fatal,
            gives=job.gives,
            folder=self.folder,
            takes=job.takes,
            gated=job.gated,
            stubborn=job.stubborn,
        )
        return f"{job.kind} {job.field} {job.retries}", orders

    # Telling.

    async def tell(self, verb: str, path: Path, *, by_signal: bool = False) -> None:
        """Tell it a verb. Whoever waits for the answer does so for a moment only; it may come later."""
        member = Member(self.app, key_of(self.key, path))
        if by_signal:
            await self._signal(verb, path)
        else:
            words: dict[str, Callable[[], Awaitable[Any]]] = {
                "suspend": member.suspend,
                "interrupt": member.interrupt,
                "resume": member.resume,
                "skip": lambda: member.skip(skip_result(path)),
            }
            await self._say(verb, path, words[verb])

    async def add(self, node: Node) -> None:
        """Add an item to the swarm that it is."""
        item, name = await compose(self.app, node, self._ordered), f"item {len(self.told)}"

        async def add() -> None:
            added = await SwarmControl(self.app, self.key).add(item, id=name)
            self.added[int(added.key.partition("#")[2])] = node

        await self._say("add", (), add)

    async def close(self) -> None:
        await self._say("close", (), SwarmControl(self.app, self.key).close)

    async def _signal(self, verb: str, path: Path) -> None:
        told = Told(verb, path, time.monotonic(), by_signal=True)
        self.told.append(told)
        payload: dict[str, Any] = {"target": ".".join(map(str, path))}
        if verb == "skip":
            payload["result"] = skip_result(path)
        handle = (await self.app.client()).get_workflow_handle(self.key)
        try:
            await persistently(lambda: handle.signal(verb, payload))
        except RPCError as error:
            assert "already completed" in str(error), error
            told.refused = mageflow.SignatureEndedError(key=self.key, status="done")
        told.answered = time.monotonic()

    async def _say(self, what: str, path: Path, call: Callable[[], Awaitable[Any]]) -> None:
        told = Told(what, path, time.monotonic())
        self.told.append(told)

        async def say() -> None:
            try:
                told.answer = await persistently(call, told)
            except mageflow.MageflowError as error:
                told.refused = error
            told.answered = time.monotonic()
            self.world.counts["answers" if told.done else f"refusals: {type(told.refused).__name__}"] += 1

        waiting = asyncio.create_task(say())
        self._waiting.add(waiting)
        if self.world.has_worker:
            await asyncio.wait({waiting}, timeout=_AT_HAND)

    async def look(self) -> None:
        """Note how it stands, if anybody is there to say so."""
        sent = time.monotonic()
        try:
            report = await asyncio.wait_for(self.signature.status(), _ON_THE_WAY)
        except (TimeoutError, *_LOST_FOR_NOW):
            return
        self.looks.append((sent, time.monotonic(), report))

    # The end.

    async def calm_down(self) -> None:
        """Take off all holds, when everything that it was told has been answered."""
        if self._waiting:
            _, late = await asyncio.wait(self._waiting, timeout=PATIENCE)
            assert not late, f"no answer: {[told for told in self.told if told.answered is None]}"
            for done in self._waiting:
                done.result()
        self.calm = time.monotonic()
        for path in dict.fromkeys(told.path for told in self.told if told.what in ("suspend", "interrupt")):
            await self._final(Member(self.app, key_of(self.key, path)).resume)
        if self.is_open:
            await self._final(SwarmControl(self.app, self.key).close)

    async def _final(self, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            await asyncio.wait_for(persistently(call), PATIENCE)
        except (mageflow.SignatureEndedError, mageflow.UnknownMemberError):
            return  # there is nothing left to be told

    async def end(self) -> None:
        """Wait for its end."""
        try:
            self.result = await persistently(lambda: self.signature.result(timeout=PATIENCE))
        except mageflow.OutcomeError as error:
            self.error = error
        self.looks.append((time.monotonic(), time.monotonic(), await persistently(self.signature.status)))

    # Judgement.

    def stints(self) -> list[Stint]:
        """Return every run of its tasks' code, in the order of their beginnings."""
        found: dict[str, Stint] = {}
        for entry in entries(self.folder):
            key, _, text = entry["key"].partition("#")
            if key == self.key and entry["what"] == "begun":
                facts = {name: entry[name] for name in _FACTS}
                found[entry["run"]] = Stint(path=path_of(text), begun=entry["at"], **facts)
            elif key == self.key:
                stint = found[entry["run"]]
                stint.ended, stint.how, stint.why = entry["at"], entry["how"], entry["why"]
        return sorted(found.values(), key=lambda stint: stint.begun)

    def judge(self) -> None:
        """Check all that is promised."""
        try:
            self._judge()
        except AssertionError as error:
            raise AssertionError(f"{error}\n\n{self.story()}") from error

    def _judge(self) -> None:
        stints, report = self.stints(), self.looks[-1][2]
        skipped = self._skipped(report)
        seen = SeenReport(report)
        model = Model(self.whole, self.message, seen, skipped=skipped, fails=self._fails)
        ends_as(model, self.key, self.result, self.error)

        def left_open(path: Path) -> bool:
            """Whether it is a member of what was skipped: some of those had begun, others not."""
            return any(
                is_at_or_below(path, skip) and (path == skip or isinstance(path[len(skip)], int)) for skip in skipped
            )

        statuses = {path: str(found.status) for path, found in seen.reports.items()}
        judged = {path for path in statuses if path in skipped or not left_open(path)}
        assert {path: statuses[path] for path in judged} == {
            path: model.statuses.get(path, "canceled") for path in judged
        }, "the right final statuses"
        assert model.statuses.keys() <= statuses.keys()

        by_path: dict[Path, list[Stint]] = {}
        for stint in stints:
            by_path.setdefault(stint.path, []).append(stint)
        decisive: list[Stint] = []
        for path, expected in model.calls.items():
            decisive += self._once(path, by_path.get(path, []), expected)
        for path in by_path.keys() - model.calls.keys():
            assert left_open(path), f"{path} was called, and should not have been"
        self._refusals_have_reasons()
        self._nothing_held_begins(stints)
        self._interrupts_stop(stints)
        self._checkpoints_come_back(by_path)
        self._looks_agree()
        model.widths.clear()  # what is held lets others go first
        log = [(stint.begun, stint.path, "begun") for stint in decisive]
        log += [(stint.last_seen, stint.path, "ended") for stint in decisive]
        in_order(model, [(path, what, None) for _, path, what in sorted(log, key=lambda entry: entry[0])])

    def _skipped(self, report: StatusReport) -> dict[Path, Json]:
        """Return what was skipped. Where an answer was lost, or none could be given, the status says it."""
        found: dict[Path, Json] = {}
        for told in self.told:
            part = report.find(".".join(map(str, told.path))) if told.what == "skip" else None
            if told.what == "skip" and told.done:
                gone = part is None or part.status == "canceled"
                assert gone or (part and part.skipped), f"{told.path} was skipped, and its status does not say so"
            if part and part.skipped:
                found[told.path] = skip_result(told.path)
        return found

    def _fails(self, task: Task, path: Path) -> int:
        """Return how many attempts of a task failed, by what was decided while it ran and what it was ordered."""
        for attempt in range(1, task.retries + 2):
            file = faults_worker.decision(self.folder, key_of(self.key, path), attempt)
            if (file.read_text() == "complete") if file.exists() else attempt > task.fails:
                return attempt - 1
        return task.retries + 1

    def _once(self, path: Path, stints: list[Stint], expected: list[Json]) -> list[Stint]:
        """Check that each attempt was made, with the right message, again only with a reason; return those that count."""
        assert {stint.attempt for stint in stints} == {*range(1, len(expected) + 1)}, f"the attempts of {path}"
        counting: list[Stint] = []
        for attempt, message in enumerate(expected, 1):
            tries = [stint for stint in stints if stint.attempt == attempt]
            for stint in tries:
                assert stint.message == message, f"{path} got a message that is not right"
            for stint in tries[:-1]:
                assert self._was_stopped(stint), f"attempt {attempt} of {path} was made again without a reason"
            assert tries[-1].how in ("returned", "failed"), f"attempt {attempt} of {path} has no end"
            counting.append(tries[-1])
        return counting

    def _was_stopped(self, stint: Stint) -> bool:
        if any(stint.was_hit_by(fault) for fault in self.world.faults):
            return True
        return any(
            told.what == "interrupt"
            and is_at_or_below(stint.path, told.path)
            and told.sent <= stint.last_seen <= told.over
            for told in self.told
        )

    def _refusals_have_reasons(self) -> None:
        tasks = {path for path, part in parts(self.whole) if isinstance(part, Task)}
        for told in self.told:
            match told.refused:
                case None:
                    continue
                case mageflow.TaskAlreadyRunningError():
                    right = told.what == "skip" or told.path in tasks
                case mageflow.SwarmIsClosedError():
                    closed = any(other.what == "close" and other.sent < told.over for other in self.told)
                    right = told.what == "add" and (closed or told.refused.how in ("done", "failed"))
                case mageflow.SignatureEndedError():
                    right = told.refused.status in ("done", "failed", "canceled")
                case mageflow.UnknownMemberError():
                    # A callback that can no longer be called, or an element of what is not yet mapped.
                    right = told.path != ()
                case _:
                    right = False
            assert right, f"{told.what} of {told.path} was refused: {told.refused!r}"

    def _definite(self) -> Iterator[tuple[Told, float]]:
        """Yield each hold that was answered while nothing else was being said, and when the next word came about it."""
        for told in self.told:
            if told.what not in ("suspend", "interrupt") or not told.done or told.repeated:
                continue
            if told.answer.status.ended:
                continue
            others = [other for other in self.told if other is not told]
            if any(other.sent <= told.over and told.sent <= other.over for other in others):
                continue
            words = [other.sent for other in others if other.sent > told.sent and other.path == told.path]
            yield told, min(words, default=self.calm)

    def _nothing_held_begins(self, stints: list[Stint]) -> None:
        for told, until in self._definite():
            report: LifecycleReport = told.answer
            assert report.status in ("suspended", "interrupted"), f"{told} says nothing of a hold"
            if told.what == "suspend":
                self.world.counts["definite suspensions"] += 1
            began = [
                stint for stint in stints if is_at_or_below(stint.path, told.path) and told.over < stint.begun < until
            ]
            # What a worker had taken up may have come to its first line a moment later.
            for stint in began:
                assert told.what == "suspend" and key_of(self.key, stint.path) in report.draining, (
                    f"{stint.path} began while {told.path} was held"
                )

    def _interrupts_stop(self, stints: list[Stint]) -> None:
        for told in self.told:
            if told.what != "interrupt" or not told.done or told.repeated:
                continue
            self.world.counts["interrupts"] += 1
            for stint in stints:
                if is_at_or_below(stint.path, told.path) and stint.begun < told.over:
                    resumed = any(
                        other.what == "resume" and other.sent < told.over and other.over > told.sent
                        for other in self.told
                    )
                    stopped = stint.last_seen <= told.over or any(
                        stint.was_hit_by(fault) for fault in self.world.faults
                    )
                    assert stopped or resumed, f"{stint.path} ran on when its interrupt had been answered"

    def _checkpoints_come_back(self, by_path: dict[Path, list[Stint]]) -> None:
        for path, stints in by_path.items():
            for number, stint in enumerate(stints):
                earlier = {None, *(other.run for other in stints[:number])}
                assert stint.resumed_from in earlier, f"{path} was given a checkpoint that it never made"

    def _looks_agree(self) -> None:
        """Check that what has ended stays as it is, and that what is held looks so."""
        ended: dict[str, str] = {}
        for _, _, report in self.looks:
            for part in SeenReport(report).reports.values():
                was = ended.get(part.key)
                assert was in (None, part.status), f"{part.key} was {was}, and then {part.status}"
                if part.status.ended:
                    ended[part.key] = part.status
        for told, until in self._definite():
            for sent, received, report in self.looks:
                part = report.find(".".join(map(str, told.path)))
                if told.over < sent and received < until and part and not part.status.ended:
                    assert part.status in ("suspended", "interrupted"), f"{part.key} is held, and {part.status}"

    def story(self) -> str:
        """Return what happened, for people."""
        lines = [f"{self.key}, events_per_run={self.app.config.events_per_run}", f"{self.tree}", f"{self.message}"]
        lines += [f"added {index}: {node}" for index, node in sorted(self.added.items())]
        happened = [(told.sent, f"told {told}") for told in self.told]
        happened += [(fault.begun, f"{fault}") for fault in self.world.faults]
        happened += [(stint.begun, f"{stint}") for stint in self.stints()]
        first = self.told[0].sent if self.told else 0.0
        recent = [(at, what) for at, what in sorted(happened) if at > first - 60]
        return "\n".join([*lines, *(f"{at:.3f} {what}" for at, what in recent), f"{self.result=} {self.error=!r}"])


def skip_result(path: Path) -> Json:
    return f"skipped {path}"


def entries(folder: FilePath) -> list[dict[str, Any]]:
    path = faults_worker.diary(folder).path
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def persistently(call: Callable[[], Awaitable[_T]], told: Told | None = None) -> _T:
    """Repeat a call for as long as the server, or the answer, is lost."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return await call()
        except _LOST_FOR_NOW as error:
            if isinstance(error, RPCError) and "already completed" in str(error):
                raise
            if time.monotonic() > end:
                raise
            if told:
                told.repeated += 1
            await asyncio.sleep(0.1)


# Histories.


async def histories(client: Client, key: str) -> AsyncIterator[WorkflowHistory]:
    """Yield the history of each run of a signature, from the first."""
    description = await client.get_workflow_handle(key).describe()
    run_id = description.raw_description.workflow_execution_info.first_run_id
    while run_id:
        history = await client.get_workflow_handle(key, run_id=run_id).fetch_history()
        yield history
        last = history.events[-1]
        run_id = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id


async def judge_histories(life: Life) -> None:
    """Check that no workflow task failed but for what the server does by itself, and that all replays."""
    counts, replayer = life.world.counts, Replayer(workflows=WORKFLOWS)
    async for history in histories(await life.app.client(), life.key):
        counts["histories replayed"] += 1
        for event in history.events:
            failed = event.workflow_task_failed_event_attributes
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                # Something came while the last command of a run was on its way: the server has the worker try again.
                expected = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
                assert failed.cause == expected, f"a workflow task of {life.key} failed: {failed}\n{life.story()}"
                counts["workflow tasks tried again"] += 1
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
                assert life.world.faults, f"a workflow task of {life.key} timed out: {event}\n{life.story()}"
                counts["workflow tasks timed out"] += 1
        try:
            await replayer.replay_workflow(history)
        except NondeterminismError as error:
            kept = (
                life.folder
                / f"{history.events[0].workflow_execution_started_event_attributes.original_execution_run_id}.json"
            )
            kept.write_text(history.to_json())
            error.add_note(f"the history is in {kept}\n{life.story()}")
            raise
