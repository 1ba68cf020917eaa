"""`mageflow doctor`: whether the server, the namespace and the queue have what is needed, and what to do if not."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from mageflow_temporal import Checkup, Mageflow
from mageflow_temporal.cli.connection import Address, App, AsJson, Namespace, TaskQueue, connect, run
from mageflow_temporal.cli.exits import FAILED
from mageflow_temporal.cli.terminal import ago, clean, put, put_json

_STYLES: Final = {"ok": "green", "lacks": "yellow", "fails": "bold red"}


@dataclass(frozen=True)
class _Finding:
    verdict: str
    """ok, lacks (work goes on without it) or fails (nothing runs)."""
    what: str
    remedy: tuple[str, ...] = ()


def doctor(
    *,
    as_json: AsJson = False,
    address: Address = None,
    namespace: Namespace = None,
    task_queue: TaskQueue = None,
    app: App = None,
) -> None:
    """Check the server, its search attributes and the workers on the queue. The exit code is 1 if nothing can run."""
    run("doctor", _doctor(connect(address, namespace, task_queue, app), as_json=as_json))


async def _doctor(app: Mageflow, *, as_json: bool) -> int:
    found = await app.checkup()
    findings = [_server(found), _search_attributes(found), _cancel_push(found), *_workers(found)]
    if as_json:
        put_json(found)
    else:
        for finding in findings:
            put(Text.assemble((f"{finding.verdict:<6}", _STYLES[finding.verdict]), finding.what))
            for line in finding.remedy:
                put(Text(f"      {line}", style="dim"))
    return FAILED if any(finding.verdict == "fails" for finding in findings) else 0


def _server(found: Checkup) -> _Finding:
    return _Finding("ok", f"Temporal {found.server_version} at {found.target}, namespace {found.namespace}")


def _search_attributes(found: Checkup) -> _Finding:
    names = ", ".join(found.wanted_attributes)
    if found.search_attributes:
        return _Finding("ok", f"search attributes {names}")
    words = ["temporal", "operator", "search-attribute", "create", "--namespace", found.namespace]
    for name in found.wanted_attributes:
        words += ["--name", name, "--type", "Keyword"]
    return _Finding(
        "lacks",
        f"search attributes {names}: signatures cannot be listed by status or name. To add them:",
        (shlex.join(words), "(in Temporal Cloud: the namespace's page). Clients see them when they connect anew."),
    )


def _cancel_push(found: Checkup) -> _Finding:
    if found.cancel_push:
        return _Finding("ok", "an interrupt reaches running code at once")
    return _Finding(
        "lacks",
        "an interrupt reaches running code with its next heartbeat, within a second or two. For less, in the "
        "server's dynamic config:",
        ("frontend.WorkerCommandsEnabled: true", "system.enableCancelActivityWorkerCommand: true"),
    )


def _workers(found: Checkup) -> list[_Finding]:
    findings: list[_Finding] = []
    for worker in found.workers:
        does = [word for word, able in (("workflows", worker.workflows), ("tasks", worker.tasks)) if able]
        what = f"worker {clean(worker.identity)} takes {' and '.join(does)}, seen {ago(worker.seen_at)} ago"
        findings.append(_Finding("ok", f"{what}, on queue {found.task_queue}"))
    if not any(worker.workflows for worker in found.workers):
        remedy = ("Start one with `mageflow worker APP`, or name the app's queue with --task-queue.",)
        findings.append(_Finding("fails", f"no worker listens for workflows on queue {found.task_queue}", remedy))
    return findings
