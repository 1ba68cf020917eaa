"""The examples in workers/, run as a reader runs them, and as workers of a server that was there before."""

from __future__ import annotations

import asyncio
import re
import shlex
import sqlite3
import sys
from contextlib import ExitStack, closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mageflow_temporal import EmbeddedServer, Member, Status
from mageflow_temporal.testing.stage import Stage
from tests.acceptance.demo_process import Process, running
from tests.support import eventually, reaches
from workers import approval, documents, etl, sales
from workers.branches import EURO

ROOT = Path(__file__).parents[2]


def example(name: str, *arguments: str, **environment: str) -> Process:
    command = [sys.executable, "-u", "-m", f"workers.{name}", *arguments]
    return Process(command, environment={"PYTHONPATH": str(ROOT), **environment})


async def test_the_pipeline_is_stopped_in_three_ways_and_each_order_is_there_once_and_right(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    story = example("etl", TEMPORAL_ADDRESS=server.target, TMPDIR=str(tmp_path))
    try:
        rejected = int(re.findall(r"(\d+) lines", await story.says("2 Suspended before its last step"))[0])
        interrupted = int(re.findall(r"(\d+) rows", await story.says("3 Interrupted while it loads"))[0])
        killed = int(re.findall(r"at (\d+) rows", await story.says("its worker killed"))[0])
        again, rows = map(int, re.findall(r"after row (\d+) of (\d+)", await story.says("5 Done"))[0])
        assert await story.ends() == 0, story.text
        assert story.left_behind() == []
    finally:
        story.kill()
    assert 0 < interrupted < killed < rows
    assert 0 < again <= killed, "the last run went on from a checkpoint"

    (tmp_path / "again").mkdir()
    sold = sales.write(tmp_path / "again")
    assert len(sold) == rows
    [folder] = tmp_path.glob("etl-*")
    with closing(sqlite3.connect(folder / "sales.db")) as database:
        found = dict(database.execute('SELECT "order", euro_cents FROM sale'))
    assert found.keys() == {one.order for one in sold}
    for one in sold:
        assert abs(found[one.order] - one.cents * EURO[one.currency]) <= Decimal("0.5"), one
    lines = (folder / "rejected.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == rejected + 1
    assert {re.sub(r"[:\d].*", "", line.split(",")[2]).strip() for line in lines[1:]} == {
        "",  # "3 cells of 5"
        "no order number",
        "no day",
        "no quantity",
        "no price",
    }


async def test_a_load_that_is_repeated_changes_nothing(mageflow_test: Stage, tmp_path: Path) -> None:
    database = tmp_path / "sales.db"
    sales.write(tmp_path)

    def table() -> list[tuple[object, ...]]:
        with closing(etl.connect(database)) as connection:
            return connection.execute("SELECT * FROM sale ORDER BY 1").fetchall()

    async with mageflow_test.running(etl.mf):
        first = await (await etl.pipeline(tmp_path, tmp_path, database)).run()
        loaded = table()
        assert len(loaded) == first.rows
        second = await (await etl.pipeline(tmp_path, tmp_path, database)).run()
        assert second == first
        assert table() == loaded


async def test_a_document_that_cannot_be_read_fails_alone_and_is_tried_again_alone(tmp_path: Path) -> None:
    story = example("documents", TMPDIR=str(tmp_path))
    try:
        await story.says("menu.md failed: UnicodeDecodeError")
        await story.says("4 Closed, and compared")
        assert await story.ends() == 0, story.text
        assert story.left_behind() == []
    finally:
        story.kill()
    [folder] = tmp_path.glob("documents-*")
    names = {path.name for path in (folder / "documents").iterdir()}
    count = len(names)
    assert f"{count - 1} of {count} done, 0 run, 1 failed" in story.text
    assert story.text.count(f"{count} of {count} done, 0 run, 0 failed") == 1
    assert "Traceback" not in story.text
    report = (folder / "report.txt").read_text()
    [guess] = re.findall(r" (\d+)%  lifecycle \(old draft\)\.md and lifecycle\.md", report)
    assert abs(int(guess) / 100 - _likeness(folder / "documents")) < 0.2
    assert report.startswith(f" {guess}%"), "the most alike come first"


def _likeness(folder: Path) -> float:
    """Compute exactly what the fingerprints estimate."""
    phrases: list[set[tuple[str, ...]]] = []
    for name in ("lifecycle.md", "lifecycle (old draft).md"):
        words = re.findall(r"\w+", (folder / name).read_text(encoding="utf-8").lower())
        phrases.append(set(zip(words, words[1:], words[2:], words[3:], strict=False)))
    return len(phrases[0] & phrases[1]) / len(phrases[0] | phrases[1])


async def test_expenses_are_approved_refused_or_forgotten() -> None:
    story = example("approval")
    try:
        await story.says("Ada gets 3.20 EUR for a pen: too little to ask anybody")
        await story.says("Grace gets 180 EUR for a train ticket: approved by Barbara")
        await story.says("Linus gets 0 EUR for a bigger boat: we are a bakery")
        await story.says("a reminder, still open: approve 90 EUR for a rare book?")
        await story.says("Edsger gets 0 EUR for a rare book: nobody has answered")
        assert await story.ends() == 0
    finally:
        story.kill()


TRAIN = approval.Expense(who="Grace", what="a train ticket", euros=Decimal(180))


async def test_a_person_says_yes_in_another_terminal(server: EmbeddedServer) -> None:
    story = example("approval", "--wait", TEMPORAL_ADDRESS=server.target)
    try:
        await story.says("approve 180 EUR for a train ticket?")
        await _type((await story.says("yes: ")).removeprefix("yes: "))
        await story.says("Grace gets 180 EUR for a train ticket: approved by somebody")
        assert await story.ends() == 0
    finally:
        story.kill()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("yes, by a name", "Grace gets 180 EUR for a train ticket: approved by me"),
        ("no", "Grace gets 0 EUR for a train ticket: no receipt"),
    ],
)
async def test_an_answer_may_say_more(mageflow_test: Stage, server: EmbeddedServer, answer: str, told: str) -> None:
    async with mageflow_test.running(approval.mf):
        chain = await approval.claim(TRAIN)
        await chain.start()
        payment = Member(approval.mf, f"{chain.key}#{approval.PAY}")
        await reaches(payment, "suspended")
        await _type(approval.ways(payment, server.target)[answer])
        assert await chain.result(timeout=20) == told


async def _type(line: str) -> None:
    """Do what somebody does who pastes a printed command into another terminal."""
    program, *arguments = shlex.split(line)
    process = await asyncio.create_subprocess_exec(str(Path(sys.executable).with_name(program)), *arguments)
    assert await process.wait() == 0


async def test_an_answer_in_time_leaves_nothing_to_be_reminded_of(mageflow_test: Stage) -> None:
    async with mageflow_test.running(approval.mf) as run:
        soon = timedelta(seconds=0.5)
        chain = await approval.claim(TRAIN, reminder=soon, patience=soon)
        await chain.start()
        payment = Member(approval.mf, f"{chain.key}#{approval.PAY}")
        await reaches(payment, "suspended")
        await approval.approve(payment, by="Barbara")
        assert await chain.result() == "Grace gets 180 EUR for a train ticket: approved by Barbara"

        async def results() -> list[bool] | None:
            mine = f"TaskQueue = '{approval.mf.config.task_queue}' AND MageflowName IN ('remind', 'give_up')"
            ended = [one.key async for one in approval.mf.signatures(mine, status=Status.DONE)]
            found = [await (await approval.mf.load_signature(key)).result() for key in ended]
            return found if len(found) == 2 else None

        assert await eventually(results, "both have looked") == [False, False]
        await run.dispatched.assert_task_dispatched("pay", times=1)


async def test_the_workers_run_in_terminals_of_their_own(server: EmbeddedServer) -> None:
    environment = {"TEMPORAL_ADDRESS": server.target, "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        workers = {
            app: stack.enter_context(running("worker", f"workers.{name}:mf", environment=environment))
            for name, app in {"etl": etl.mf, "documents": documents.mf, "approval": approval.mf}.items()
        }
        for app, worker in workers.items():
            names = ", ".join(sorted(task.name for task in app.tasks))
            await worker.says(f"listens on {app.config.task_queue} for tasks {names}")
