"""Tables to read, the targets that hold or do not, and a JSON file to compare with later."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.failover import Failovers
from bench.interrupt import Scenario, Stops
from bench.scale import Scale
from bench.speed import Discipline, Record

RESULTS = Path(__file__).parent / "results"


@dataclass
class Report:
    """Prints what is measured as it comes, and keeps it for the file."""

    rounds: int
    sandboxed: bool
    """Whether the hand-written workflows run in the SDK's sandbox."""
    measured: dict[str, Any] = field(default_factory=dict)
    targets: list[dict[str, Any]] = field(default_factory=list)

    def speed(self, discipline: Discipline, records: list[Record], name: str) -> list[float]:
        """Report a discipline, and return each round's ratio of the first contestant's time to the second's."""
        first, second = records
        ratios = [one / other for one, other in zip(first.seconds, second.seconds, strict=True)]
        rows = [
            (
                record.label,
                *_spread(map(discipline.shown, record.seconds), ".1f"),
                f"{record.cpu_seconds * 1000:.2f}",
                f"{record.peak_mib:.0f}",
            )
            for record in records
        ]
        rows.append((f"time, {first.label} / {second.label}", *_spread(ratios, ".2f"), "", ""))
        _table(discipline.title, ("min", "median", "max", "CPU ms a task", "peak MiB"), rows)
        self.measured[name] = {"records": [asdict(record) for record in records], "ratios": ratios}
        return ratios

    def interrupt(self, scenario: Scenario, server: str, stops: list[Stops]) -> None:
        """Report a scenario of interrupts: until a task's code had stopped, until the last had, until the call returned."""
        if not all(one.tasks for one in stops):
            return  # every round of a contestant was void
        rows = [
            (
                one.label,
                *(f"{value * 1000:.0f}" for value in (percentile(one.tasks, 50), percentile(one.tasks, 99))),
                f"{max(one.tasks) * 1000:.0f}",
                *_spread((value * 1000 for value in one.all_stopped), ".0f"),
                f"{statistics.median(one.returned) * 1000:.0f}",
                f"{one.peak_mib:.0f}",
            )
            for one in stops
        ]
        heads = ("task p50", "p99", "max", "last: min", "median", "max", "returned", "peak MiB")
        _table(f"{scenario.title}, {server} [ms]", heads, rows)
        self.measured[f"interrupt-{scenario.name}-{server}"] = [asdict(one) for one in stops]

    def failover(self, failovers: list[Failovers]) -> None:
        """Report how soon chains went on."""
        rows = [(one.label, *_spread(one.seconds, ".1f")) for one in failovers]
        _table("chain goes on after kill -9 of its worker [s]", ("min", "median", "max"), rows)
        self.measured["failover"] = [asdict(one) for one in failovers]

    def scale(self, scales: list[Scale]) -> None:
        """Report what items cost at each size."""
        rows = [
            (
                f"{one.items:,} items",
                *_spread((1 / seconds for seconds in one.seconds), ".0f"),
                f"{one.worker_cpu_seconds * 1000:.2f}",
                f"{one.server_cpu_seconds * 1000:.2f}",
                f"{one.worker_mib:.0f}",
                f"{one.server_mib:.0f}",
            )
            for one in scales
        ]
        heads = ("min", "median", "max", "CPU ms an item: worker", "server", "peak MiB: worker", "server")
        _table("large swarms, 30 at once [items/s]", heads, rows)
        self.measured["scale"] = [asdict(one) for one in scales]

    def target(self, text: str, measured: float, *, holds: bool) -> None:
        """Note whether a target of the project holds."""
        self.targets.append({"target": text, "measured": measured, "holds": holds})

    def end(self) -> Path:
        """Print the targets and write the file; return its path."""
        print("\ntargets")
        for one in self.targets:
            print(f"  {'holds ' if one['holds'] else 'MISSED'}  {one['target']}: {one['measured']:.3g}")
        now = datetime.now().astimezone()
        facts = {
            "at": now.isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "temporalio": version("temporalio"),
            "cpus": os.cpu_count(),
            "rounds": self.rounds,
            "hand_written_sandboxed": self.sandboxed,
        }
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{now:%Y-%m-%dT%H-%M-%S}.json"
        path.write_text(json.dumps({**facts, "measured": self.measured, "targets": self.targets}, indent=1))
        return path


def percentile(values: list[float], percent: int) -> float:
    """Return the value that `percent` of the values do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _spread(values: Iterable[float], form: str) -> tuple[str, str, str]:
    found = list(values)
    return format(min(found), form), format(statistics.median(found), form), format(max(found), form)


def _table(title: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    print(f"\n{title:<64}" + "".join(f"{head:>{max(len(head), 6) + 2}}" for head in heads))
    for label, *cells in rows:
        print(
            f"  {label:<62}"
            + "".join(f"{cell:>{max(len(head), 6) + 2}}" for head, cell in zip(heads, cells, strict=True)),
            flush=True,
        )
