"""`python -m bench`: measure, print, and say which targets hold. It asserts nothing: times are the machine's, too."""

from __future__ import annotations

import argparse
import asyncio
import statistics

from temporalio.client import Client

from bench import failover, interrupt, scale, speed
from bench.hand_written.side import HandWritten
from bench.ours.side import Ours
from bench.report import Report, percentile
from bench.work import Contestant
from mageflow_temporal import server

_SCALES = {f"swarm-{size}": size for size in scale.SIZES}
_NAMES = ("single", "chain", "swarm", "living", "map", "server", "interrupt", "failover", *_SCALES)
_TOO_LONG = "swarm-100000"
"""Takes many minutes: measured only where it is asked for."""
_NO_SLOWER = 1.05
_FASTER_SERVER = 3.0
_NO_DEARER = 1.2
_FAILOVER_LIMIT = 5.0
_INTERRUPT_LIMITS = {"embedded": 0.2, "stock": 3.0}
"""Seconds, the 99th percentile of tasks, with and without the server's cancel push."""


async def main(names: list[str], rounds: int, *, sandboxed: bool) -> None:
    """Run the measurements of these names."""
    report = Report(rounds, sandboxed)
    # One after the other: what a server keeps of one measurement does not slow the next.
    for discipline in (speed.SINGLE, speed.CHAIN, speed.SWARM, speed.LIVING, speed.MAP):
        if discipline.name in names:
            await _against_hand_written(discipline, report)
    if "server" in names:
        await _against_stock_server(report)
    if "interrupt" in names:
        for kind in ("embedded", "stock"):
            await _interrupts(kind, report)
    if "failover" in names:
        await _failovers(report)
    if sizes := [size for name, size in _SCALES.items() if name in names]:
        await _scales(sizes, report)
    print(f"\n{report.end()}")


async def _against_hand_written(discipline: speed.Discipline, report: Report) -> None:
    async with server.run(ui=False) as running:
        records = await speed.compete(discipline, await _sides(running.target, report), report.rounds)
    ratio = statistics.median(report.speed(discipline, records, discipline.name))
    report.target(f"{discipline.name}: at most {_NO_SLOWER} of hand-written", ratio, holds=ratio <= _NO_SLOWER)


async def _against_stock_server(report: Report) -> None:
    async with server.run(ui=False) as embedded, server.run(ui=False, tuned=False) as stock:
        contestants = [
            Contestant(f"{label} server", Ours(running.target), running.target)
            for label, running in (("stock", stock), ("embedded", embedded))
        ]
        records = await speed.compete(speed.LASTING_CHAIN, contestants, report.rounds)
    ratio = statistics.median(report.speed(speed.LASTING_CHAIN, records, "server"))
    report.target(
        f"chain step: embedded server at least {_FASTER_SERVER} times as fast as stock",
        ratio,
        holds=ratio >= _FASTER_SERVER,
    )


async def _interrupts(kind: str, report: Report) -> None:
    limit = _INTERRUPT_LIMITS[kind]
    rounds = (report.rounds + 1) // 2  # half as many: each has many tasks, and processes take long to start
    async with (
        server.run(ui=False, tuned=kind == "embedded") as running,
        interrupt.lanes(await _sides(running.target, report)) as lanes,
    ):
        for scenario in interrupt.SCENARIOS:
            stops = await interrupt.compete(scenario, lanes, rounds)
            report.interrupt(scenario, kind, stops)
            if scenario.name in ("mixed", "cpu") and stops[0].tasks:
                late = percentile(stops[0].tasks, 99)
                text = f"{scenario.title}, {kind} server: p99 below {limit} s"
                report.target(text, late, holds=late < limit)


async def _failovers(report: Report) -> None:
    async with server.run(ui=False) as running:
        found = await failover.compete(await _sides(running.target, report), report.rounds)
    report.failover(found)
    slowest = max(found[0].seconds)
    report.target(
        f"a chain goes on within {_FAILOVER_LIMIT:g} s after kill -9", slowest, holds=slowest < _FAILOVER_LIMIT
    )


async def _scales(sizes: list[int], report: Report) -> None:
    found = [await scale.measure(size, report.rounds) for size in sizes]
    report.scale(found)
    first, *larger = [(one.items, one.cost) for one in found]
    for items, cost in larger:
        ratio = cost / first[1]
        text = f"CPU of an item of {items:,}: at most {_NO_DEARER} of one of {first[0]:,}"
        report.target(text, ratio, holds=ratio <= _NO_DEARER)


async def _sides(target: str, report: Report) -> list[Contestant]:
    hand_written = HandWritten(await Client.connect(target), sandboxed=report.sandboxed)
    return [Contestant(side.name, side, target) for side in (Ours(target), hand_written)]


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        msg = "must be at least 1"
        raise argparse.ArgumentTypeError(msg)
    return number


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=_positive, default=5, help="measured rounds (default: 5)")
    parser.add_argument(
        "--only",
        choices=_NAMES,
        action="append",
        metavar="NAME",
        help=f"one of {', '.join(_NAMES)}; may be repeated (default: all but {_TOO_LONG})",
    )
    parser.add_argument(
        "--unsandboxed",
        action="store_true",
        help="let the hand-written workflows do without the SDK's sandbox, as ours",
    )
    return parser.parse_args()


if __name__ == "__main__":
    arguments = _arguments()
    try:
        asyncio.run(
            main(
                arguments.only or [name for name in _NAMES if name != _TOO_LONG],
                arguments.rounds,
                sandboxed=not arguments.unsandboxed,
            )
        )
    except KeyboardInterrupt:
        raise SystemExit(130) from None
