"""Signatures are started, steered and completed while workers and the server are killed: nothing is lost.

A state machine draws what happens, in sequences; `faults.py` judges each when it is over. `MINUTES=20` in the
environment makes it a long run, of another seed each time. A failure is printed with its seed and all that happened;
`SEED=...` runs the sequences of that seed again. What happens is the same then, when it happens is not.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests import faults_worker
from tests.acceptance.faults import HEARTBEAT, LIVES, WORKERS, Job, Life, Stint, World, judge_histories, targets
from tests.acceptance.random_trees import facts, runs, trees
from tests.acceptance.reference_model import Json, Node, Swarm

MINUTES = float(os.environ.get("MINUTES", "0"))
SEED = os.environ.get("SEED")
SEQUENCES = 3
"""Of one seed, less the first that hypothesis draws: it is always the simplest, and is not run."""
OPERATIONS = 40
"""In a sequence."""
MOST = 8
"""Signatures in a sequence: one fault hits them all, each in another state."""


def job(gated: bool, stubborn: bool, **facts: Any) -> Job:
    if stubborn:
        facts["fails"] = 0
    return Job(gated=gated, stubborn=stubborn, **facts)


jobs = st.builds(
    job,
    gated=st.booleans(),
    stubborn=st.sampled_from([False, False, False, True]),
    kind=st.sampled_from(faults_worker.KINDS),
    takes=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    **facts,
)
lots = st.integers(0, 1_000_000)
"""Which of what there is when it happens: what is drawn must not depend on how fast things go."""
pauses = st.sampled_from([0.0, 0.1, 0.5, 1.0])
"""Seconds."""
start = {"run": runs(leaves=jobs), "app": st.integers(0, len(LIVES) - 1), "is_open": st.booleans()}
verb = {"lot": lots, "where": lots, "by_signal": st.sampled_from([False, False, True])}
WHAT_HAPPENS: dict[str, tuple[int, dict[str, st.SearchStrategy[Any]]]] = {
    "start": (1, start),
    "suspend": (4, verb),
    "interrupt": (4, verb),
    "resume": (4, verb),
    "skip": (2, verb),
    "add": (2, {"lot": lots, "node": trees(0, jobs)}),
    "close": (1, {"lot": lots}),
    "complete_some": (3, {"lot": lots}),
    "fail_some": (2, {"lot": lots}),
    "look": (2, {"lot": lots}),
    "let_time_pass": (3, {"seconds": pauses}),
    "kill_or_start_worker": (3, {"slot": st.integers(0, WORKERS - 1)}),
    "stop_or_start_worker": (2, {"slot": st.integers(0, WORKERS - 1)}),
    "restart_server": (1, {"kill": st.booleans(), "down": pauses | st.just(HEARTBEAT + 1)}),
}
"""Each operation, how often it is drawn compared with others, and with what."""
operations = st.sampled_from([name for name, (often, _) in WHAT_HAPPENS.items() for _ in range(often)]).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(WHAT_HAPPENS[name][1]))
)


class Faults(RuleBasedStateMachine):
    """A sequence of operations. What hypothesis draws for it depends on nothing that happens."""

    world: World
    loop: asyncio.AbstractEventLoop
    drawn: int = 0
    """How many sequences of this class have been drawn."""
    failure: BaseException | None = None
    """Why a sequence of this class failed. It is not run again, only told again."""

    def __init__(self) -> None:
        super().__init__()
        type(self).drawn += 1
        self.lives: list[Life] = []
        self.do(self._begin())

    def do(self, what: Coroutine[Any, Any, None]) -> None:
        if self.failure or self.drawn == 1:
            what.close()
            return
        try:
            asyncio.run_coroutine_threadsafe(what, self.loop).result()
        except BaseException as error:
            type(self).failure = error
            raise

    @initialize(orders=st.lists(st.fixed_dictionaries(start), min_size=3, max_size=5))
    def some_start(self, orders: list[dict[str, Any]]) -> None:
        for order in orders:
            self.do(self.start(**order))

    @rule(operation=operations)
    def happens(self, operation: tuple[str, dict[str, Any]]) -> None:
        name, given = operation
        self.do(getattr(self, name)(**given))

    def count(self, what: str) -> None:
        self.world.counts[f"operation: {what}"] += 1

    async def start(self, run: tuple[Node, Json], app: int, is_open: bool) -> None:
        if len(self.lives) == MOST:
            return
        self.count("start")
        tree, message = run
        life = Life(self.world, self.folder, self.world.apps[app], tree, message, is_open and isinstance(tree, Swarm))
        await life.start()
        self.lives.append(life)

    async def suspend(self, **verb: Any) -> None:
        await self._tell("suspend", **verb)

    async def interrupt(self, **verb: Any) -> None:
        await self._tell("interrupt", **verb)

    async def resume(self, **verb: Any) -> None:
        await self._tell("resume", **verb)

    async def skip(self, **verb: Any) -> None:
        await self._tell("skip", **verb)

    async def _tell(self, verb: str, lot: int, where: int, by_signal: bool) -> None:
        self.count(f"{verb}{' by signal' if by_signal else ''}")
        life = one_of(self.lives, lot)
        paths = targets(life.tree)
        await life.tell(verb, paths[where % len(paths)], by_signal=by_signal)

    async def add(self, lot: int, node: Node) -> None:
        if swarms := [life for life in self.lives if life.is_open]:
            self.count("add")
            await one_of(swarms, lot).add(node)

    async def close(self, lot: int) -> None:
        if swarms := [life for life in self.lives if life.is_open]:
            self.count("close")
            await one_of(swarms, lot).close()

    async def complete_some(self, lot: int) -> None:
        """Let the code of some tasks return."""
        await self._end_some(random.Random(lot), "complete")

    async def fail_some(self, lot: int) -> None:
        """Let the code of some tasks raise."""
        await self._end_some(random.Random(lot), "fail")

    async def _end_some(self, chance: random.Random, how: str) -> None:
        for life in self.lives:
            for stint in life.stints():
                if waits(stint) and chance.random() < 0.3 and not (how == "fail" and stint.stubborn):
                    self.count(how)
                    decide(life, stint, how)

    async def look(self, lot: int) -> None:
        self.count("look")
        await one_of(self.lives, lot).look()

    async def let_time_pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def kill_or_start_worker(self, slot: int) -> None:
        await self._end_or_start("kill worker", self.world.kill_worker, slot)

    async def stop_or_start_worker(self, slot: int) -> None:
        await self._end_or_start("stop worker", self.world.stop_worker, slot)

    async def _end_or_start(self, what: str, end: Callable[[int], Awaitable[None]], slot: int) -> None:
        if self.world.has_worker_in(slot):
            self.count(what)
            await end(slot)
        else:
            self.count("start worker")
            await self.world.start_worker(slot)

    async def restart_server(self, kill: bool, down: float) -> None:
        self.count("kill and start server" if kill else "restart server")
        await self.world.restart_server(kill=kill, down=down)

    def teardown(self) -> None:
        self.do(self._end())
        if self.failure:
            raise self.failure

    async def _begin(self) -> None:
        self.world.counts["sequences"] += 1
        self.folder = self.world.folder / f"sequence-{self.world.counts['sequences']}"
        self.folder.mkdir()
        await self._all_workers()

    async def _all_workers(self) -> None:
        for slot in range(WORKERS):
            if not self.world.has_worker_in(slot):
                await self.world.start_worker(slot)

    async def _end(self) -> None:
        """When all is well again, everything ends, and was right."""
        await self._all_workers()
        faults_worker.opened(self.folder).touch()
        await asyncio.gather(*(life.calm_down() for life in self.lives))
        await asyncio.gather(*(life.end() for life in self.lives))
        for life in self.lives:
            life.judge()
            self.world.counts["code runs"] += len(life.stints())
            await judge_histories(life)


def one_of(lives: list[Life], lot: int) -> Life:
    """Return one of those that are not known to have ended, if there are any."""
    going_on = [life for life in lives if not life.has_ended] or lives
    return going_on[lot % len(going_on)]


def waits(stint: Stint) -> bool:
    return stint.gated and stint.ended is None


def decide(life: Life, stint: Stint, how: str) -> None:
    """Let the code of a task end so in this attempt, also if it is made again: a decision lasts."""
    key = life.key if not stint.path else f"{life.key}#{'.'.join(map(str, stint.path))}"
    file = faults_worker.decision(life.folder, key, stint.attempt)
    if not file.exists():
        fresh = file.with_suffix(".new")
        fresh.write_text(how)
        fresh.replace(file)


def seeds() -> Iterator[int]:
    """Yield the seeds to run: for so many minutes, or the one that was asked for, or always the same."""
    if SEED is not None or not MINUTES:
        yield int(SEED or 1)
        return
    end = time.monotonic() + MINUTES * 60
    while time.monotonic() < end:
        yield random.randrange(1_000_000)


@pytest.mark.filterwarnings("ignore::mageflow_temporal.NoWorkerWarning")
async def test_whatever_breaks_nothing_is_lost_and_what_is_held_stays_held(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = settings(
        max_examples=SEQUENCES,
        stateful_step_count=OPERATIONS,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a smaller sequence takes as long, and may not fail: time is a part of it
        suppress_health_check=list(HealthCheck),
    )
    done: list[int] = []
    async with World.open(tmp_path) as world:
        try:
            for number in seeds():
                machine = type("Faults", (Faults,), {"world": world, "loop": asyncio.get_running_loop()})
                done.append(number)
                with capfd.disabled():
                    print(f"\nSEED={number}", end=" ", flush=True)
                await asyncio.to_thread(run_state_machine_as_test, seed(number)(machine), settings=options)
        except BaseException as error:
            error.add_note(f"to run it again: SEED={done[-1]} python -m pytest {__file__}")
            raise
        finally:
            with capfd.disabled():
                print(f"\n{len(done)} seeds")
                for what, times in sorted(world.counts.items()):
                    print(f"{times:8} {what}")
