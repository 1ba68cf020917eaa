"""`mageflow suspend`, `interrupt`, `resume` and `skip`: by key, and by query, which makes a maintenance window two commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow
from tests.mageflow_cli import MageflowCli
from tests.support import DEADLINE, Ledger, eventually, reaches


@pytest.fixture
async def gate(mf: Mageflow, ledger: Ledger) -> AsyncIterator[asyncio.Event]:
    opened = asyncio.Event()

    @mf.task(name="wait")
    async def wait() -> str:
        return await ledger.work("wait", opened)

    async with mf.worker():
        yield opened


async def started(mf: Mageflow, number: int) -> list[mageflow.Chain[Any]]:
    """Start chains, whose name is that of the queue, and wait until the server lists them."""
    chains = [await (await mf.chain(["wait", "wait"], name=mf.config.task_queue)).start() for _ in range(number)]

    async def listed() -> bool:
        return len([found async for found in mf.signatures(name=mf.config.task_queue)]) == number

    await eventually(listed, "the server lists them")
    return chains


async def test_each_verb_takes_keys_says_what_it_did_and_gives_json(
    cli: MageflowCli, mf: Mageflow, ledger: Ledger, gate: asyncio.Event
) -> None:
    [first, second] = await started(mf, 2)
    await ledger.has_begun("wait", 2)
    said = await cli.ok("suspend", first.key, second.key, "--reason", "disk")
    assert sorted(said.lines) == sorted(f"{chain.key}: suspended, 1 still running" for chain in (first, second))
    assert (await first.status()).reason == "disk"
    [row] = (await cli.ok("interrupt", first.key, "--json")).json()
    assert (row["outcome"], row["report"]["status"], row["report"]["cancelled"]) == (
        "done",
        "interrupted",
        [f"{first.key}#0"],
    )
    gate.set()
    assert (await cli.ok("resume", second.key, "--reason", "another")).out.startswith(f"{second.key}: left")
    assert (await second.status()).status == "suspended"
    await cli.ok("resume", first.key, second.key)
    assert [await chain.result(DEADLINE) for chain in (first, second)] == ["wait", "wait"]


async def test_what_is_refused_is_a_line_and_code_1_and_the_others_are_done(
    cli: MageflowCli, mf: Mageflow, ledger: Ledger, gate: asyncio.Event
) -> None:
    [chain] = await started(mf, 1)
    await ledger.has_begun("wait")
    said = await cli("suspend", "etl-0", f"{chain.key}#0", chain.key)
    assert (said.code, said.out) == (1, f"{chain.key}: suspended, 1 still running\n")
    errors = sorted(said.err.splitlines())
    assert len(errors) == 2
    assert "no signature has the key 'etl-0'" in errors[0]
    assert "is already running (attempt 1" in errors[1]
    rows = {row["key"]: row for row in (await cli("suspend", "etl-0", "--json")).json()}
    assert rows["etl-0"]["outcome"] == "refused"
    gate.set()
    await chain.resume()
    await chain.result(DEADLINE)


async def test_a_maintenance_window_resumes_exactly_what_it_suspended(
    cli: MageflowCli, mf: Mageflow, ledger: Ledger, gate: asyncio.Event
) -> None:
    chains = await started(mf, 6)
    await ledger.has_begun("wait", 6)
    await chains[0].suspend("bad input")
    query = ("--query", f"MageflowName = '{mf.config.task_queue}' OR MageflowName = 'nobody'")
    window = ("--reason", "window-42")

    dry = await cli.ok("suspend", *query, *window, "--dry-run")
    assert dry.lines[-1] == "would suspend 6 of 6"
    assert {line.partition(":")[0] for line in dry.lines[:-1]} == {chain.key for chain in chains}
    assert (await chains[1].status()).status == "active"

    assert (await cli.ok("suspend", *query, *window)).out == "suspended 6 of 6\n"
    assert [(await chain.status()).reason for chain in chains] == ["bad input", *["window-42"] * 5]
    assert (await cli.ok("resume", *query, *window, "--dry-run")).lines[-1].startswith("would resume 5 of 6, left 1")
    said = await cli.ok("resume", *query, *window, "--rate", "5")
    assert said.out == "resumed 5 of 6, left 1 that are not held for this reason\n"
    assert [(await chain.status()).status for chain in chains] == ["suspended", *["active"] * 5]
    gate.set()
    await chains[0].resume()
    for chain in chains:
        assert await chain.result(DEADLINE) == "wait"


async def test_a_rate_is_kept(cli: MageflowCli, mf: Mageflow, gate: asyncio.Event) -> None:
    chains = await started(mf, 4)
    query = ("--query", f"MageflowName = '{mf.config.task_queue}'")
    rows = (await cli.ok("suspend", *query, "--rate", "2", "--json")).json()
    assert [row["outcome"] for row in rows] == ["done"] * 4
    told = sorted([(await reaches(chain, "suspended")).last_verb.at for chain in chains])
    assert 1.4 < (told[-1] - told[0]).total_seconds(), "the last of four at two a second comes after one and a half"
    gate.set()
    await cli.ok("resume", *query)
    for chain in chains:
        await chain.result(DEADLINE)


async def test_wrong_usage_is_code_2_and_a_wrong_query_code_1(cli: MageflowCli) -> None:
    for words in ((), ("k", "--query", "x"), ("--query", " "), ("k", "--rate", "0"), ("k", "--reason", "")):
        said = await cli("suspend", *words)
        assert (said.code, said.out) == (2, ""), said
    wrong = await cli("resume", "--query", "Flavour = 'sweet'")
    assert (wrong.code, len(wrong.err.splitlines())) == (1, 1)
    assert "the server refuses the query" in wrong.err
    down = await cli("suspend", "a", "b", "--address", "127.0.0.1:1")
    assert (down.code, len(down.err.splitlines())) == (1, 1)


async def test_a_resume_corrects_what_runs_again_and_a_skip_gives_a_result(cli: MageflowCli, mf: Mageflow) -> None:
    @mf.task(name="read")
    async def read(msg: dict[str, Any]) -> str:
        if msg.get("path") != "right.csv":
            raise FileNotFoundError(msg.get("path"))
        return msg["path"]

    @mf.task(name="tell")
    async def tell(msg: dict[str, Any]) -> Any:
        return msg["mageflow_results"]

    async with mf.worker():
        corrected, skipped = [await mf.chain(["read", "tell"], on_failure="suspend") for _ in range(2)]
        for chain in (corrected, skipped):
            await chain.start({"path": "wrong.csv"})
            await reaches(chain, "suspended")
        await cli.ok("resume", corrected.key, "--kwargs", '{"path": "right.csv"}')
        assert await corrected.result(DEADLINE) == "right.csv"
        said = await cli.ok("skip", f"{skipped.key}#0", "--result", '{"rows": 0}')
        assert said.out == f"{skipped.key}#0: done\n"
        await cli.ok("resume", skipped.key)
        assert await skipped.result(DEADLINE) == {"rows": 0}


async def test_what_is_no_json_or_no_object_is_wrong_usage(cli: MageflowCli) -> None:
    for words in (("resume", "order#0", "--kwargs", "[1]"), ("skip", "order#0", "--result", "{rows")):
        said = await cli(*words)
        assert said.code == 2
        assert words[2] in said.err


async def test_a_batch_is_sent_by_the_server_and_reaches_all_that_the_query_finds(
    cli: MageflowCli, mf: Mageflow, ledger: Ledger, gate: asyncio.Event
) -> None:
    chains = await started(mf, 5)
    others = await (await mf.chain(["wait", "wait"], name="another")).start()
    query = f"MageflowName = '{mf.config.task_queue}'"
    said = await cli.ok("suspend", "--query", query, "--batch", "--reason", "window")
    assert said.out == "told 5 of 5 to suspend\n"
    assert "goes on by itself" in said.err
    for chain in chains:
        await reaches(chain, "suspended")
        assert (await chain.status()).reason == "window"
    assert (await others.status()).status == "active"
    gate.set()
    progress = (await cli.ok("resume", "--query", query, "--batch", "--json")).json()
    assert progress == {"state": "completed", "total": 5, "sent": 5, "failed": 0}
    assert [await chain.result(DEADLINE) for chain in chains] == ["wait"] * 5


@pytest.mark.parametrize(
    "words",
    [("suspend", "order-1"), ("suspend", "--query", "x", "--dry-run"), ("resume", "--query", "x", "--reason", "y")],
)
async def test_what_a_batch_cannot_do_is_wrong_usage(cli: MageflowCli, words: tuple[str, ...]) -> None:
    said = await cli(*words, "--batch")
    assert said.code == 2
    assert "--batch" in said.err


async def test_a_batch_of_a_wrong_query_never_begins(cli: MageflowCli) -> None:
    said = await cli("suspend", "--batch", "--query", "NoSuch = 'attribute'")
    assert said.code == 1
    assert "the server refuses the query" in said.err


async def test_a_part_of_what_is_held_says_so_and_a_skip_says_when(
    cli: MageflowCli, mf: Mageflow, gate: asyncio.Event
) -> None:
    [chain] = await started(mf, 1)
    await chain.suspend("lunch")
    shown = await cli.ok("show", f"{chain.key}#1")
    assert f'wait suspended  held by {chain.key} "lunch"' in shown.out
    said = await cli.ok("resume", f"{chain.key}#1")
    assert said.out == f"{chain.key}#1: suspended, for what is around it is held still: resume that, too\n"
    said = await cli.ok("skip", f"{chain.key}#1", "--result", '"skipped"')
    assert said.out == f"{chain.key}#1: suspended, and done when its turn comes\n"
    gate.set()
    await cli.ok("resume", chain.key)
    assert await chain.result(timeout=DEADLINE) == "skipped"
