"""`mageflow show` and `mageflow ls`: what a person sees, and what a script reads."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, Status, SwarmConfig
from mageflow_temporal.plan import PLAN_VERSION
from mageflow_temporal.protocol import Memo
from tests.mageflow_cli import MageflowCli
from tests.support import DEADLINE, Ledger, eventually, reaches


def add_tasks(mf: Mageflow, ledger: Ledger, gate: asyncio.Event) -> None:
    @mf.task(name="wait")
    async def wait() -> str:
        return await ledger.work("wait", gate)

    @mf.task(name="break", retries=1, backoff_max_seconds=0.01)
    async def break_() -> None:
        raise ValueError("no\x1b[31m\nway")


async def test_show_draws_the_tree_with_statuses_errors_counts_and_the_reason_of_a_hold(
    cli: MageflowCli, mf: Mageflow, ledger: Ledger
) -> None:
    gate = asyncio.Event()
    add_tasks(mf, ledger, gate)
    fan = await mf.swarm(["break", "wait"], name="fan", is_swarm_closed=True)
    chain = await mf.chain([fan, "wait"], name="etl")
    async with mf.worker():
        await chain.start()
        await reaches(chain, "failed", "0.0")
        await ledger.has_begun("wait")
        await chain.suspend("the disk is full")
        said = await cli.ok("show", chain.key)
        assert said.lines[0] == f'{chain.key} etl suspended  chain  0 of 2 done, 2 suspended  "the disk is full"'
        assert "#0 fan suspended  swarm  0 of 2 done, 1 active, 1 failed" in said.out
        assert "#0.0 break failed  attempt 2  ValueError: no [31m way" in said.out
        assert "\x1b" not in said.out
        tree = (await cli.ok("show", chain.key, "--json")).json()
        assert mageflow.StatusReport.model_validate(tree).find("0.0").attempt == 2
        member = (await cli.ok("show", f"{chain.key}#0.0", "--json")).json()
        assert (member["status"], member["error"]["message"]) == ("failed", "no\x1b[31m\nway")
        gate.set()
        await chain.resume()
        assert await chain.result(DEADLINE) == "wait"


async def test_show_says_what_is_not_there_in_one_line(cli: MageflowCli, mf: Mageflow) -> None:
    missing = await cli("show", "etl-0")
    assert (missing.code, missing.out) == (1, "")
    assert missing.err.startswith("mageflow show: no signature has the key 'etl-0'")
    assert len(missing.err.splitlines()) == 1
    assert (await cli("show", "#")).code == 1
    assert (await cli("show")).code == 2


async def test_what_the_server_has_terminated_is_canceled_with_all_that_went_on_in_it(
    cli: MageflowCli, mf: Mageflow, ledger: Ledger
) -> None:
    add_tasks(mf, ledger, asyncio.Event())
    fan = await mf.swarm(["break", "wait"], name="fan", is_swarm_closed=True)
    async with mf.worker(shutdown_grace=timedelta(0)):
        await fan.start()
        await reaches(fan, "failed", "0")
        await ledger.has_begun("wait")
        await (await mf.client()).get_workflow_handle(fan.key).terminate("enough")
        report = await fan.status()
        assert [report.status, *(child.status for child in report.children)] == ["canceled", "failed", "canceled"]
        assert report.counts == mageflow.Counts(total=2, failed=1, canceled=1)
        assert " canceled  swarm  0 of 2 done, 1 failed, 1 canceled" in (await cli.ok("show", fan.key)).lines[0]


async def test_ls_filters_by_status_name_kind_and_age(cli: MageflowCli, mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    add_tasks(mf, ledger, gate)
    name = f"it's {mf.config.task_queue}"
    async with mf.worker():
        held = await (await mf.chain(["wait", "wait"], name=name)).start()
        await held.suspend()
        other = await (await mf.swarm(["wait"], name=name, is_swarm_closed=True)).start()
        failed = await (await mf.chain(["break", "wait"], name=name)).start()
        with pytest.raises(mageflow.TaskFailedError):
            await failed.result(DEADLINE)

        async def keys(*options: str) -> set[str]:
            return {row["key"] for row in (await cli.ok("ls", "--name", name, "--json", *options)).json()}

        async def listed() -> bool:
            return {s.status async for s in mf.signatures(name=name)} == {
                Status.SUSPENDED,
                Status.ACTIVE,
                Status.FAILED,
            }

        await eventually(listed, "the server lists all three as they are")
        assert await keys() == {held.key, other.key, failed.key}
        assert await keys("--status", "suspended") == {held.key}
        assert await keys("--status", "failed") == {failed.key}
        assert await keys("--kind", "swarm") == {other.key}
        assert await keys("--older-than", "1h") == set()
        assert await keys("--older-than", "0s") == {held.key, other.key, failed.key}
        assert len(await keys("--limit", "2")) == 2
        table = await cli.ok("ls", "--name", name, "--status", "suspended")
        assert table.lines[0].split() == ["key", "name", "kind", "status", "started", "ended"]
        assert [held.key, *name.split(), "chain", "suspended"] == table.lines[1].split()[:5]
        assert "first 2: --limit" in (await cli.ok("ls", "--name", name, "--limit", "2")).out
        gate.set()
        await held.resume()
        await held.result(DEADLINE)
        await other.result(DEADLINE)


async def test_ls_of_nothing_says_so(cli: MageflowCli) -> None:
    assert (await cli.ok("ls", "--name", "nobody")).out == "No signatures.\n"
    assert (await cli.ok("ls", "--name", "nobody", "--json")).json() == []


async def test_a_server_that_is_not_there_is_one_line_and_a_wrong_option_is_code_2(cli: MageflowCli) -> None:
    for words in (("ls",), ("show", "etl-0")):
        said = await cli(*words, "--address", "127.0.0.1:1")
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith(f"mageflow {words[0]}: no Temporal server answers at 127.0.0.1:1")
        assert len(said.err.splitlines()) == 1
    refused = await cli("ls", "--namespace", "nowhere")
    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    for words in (("--status", "happy"), ("--older-than", "soon"), ("--limit", "0"), ("--task-queue", "")):
        said = await cli("ls", *words)
        assert (said.code, said.out) == (2, ""), said
        assert "Traceback" not in said.err


async def test_a_query_that_the_server_refuses_is_an_error_that_names_it(mf: Mageflow) -> None:
    with pytest.raises(mageflow.InvalidQueryError, match="Flavour = 'sweet'"):
        [found async for found in mf.signatures("Flavour = 'sweet'")]


async def test_ls_held_finds_members_too_with_the_reason_why(cli: MageflowCli, mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()
    add_tasks(mf, ledger, gate)
    async with mf.worker():
        assert (await cli.ok("ls", "--held")).out == "Nothing is held.\n"
        failing = await (await mf.chain([await mf.sign("break", on_failure="suspend"), "wait"], name="sees")).start()
        many = await mf.swarm(["wait"] * 2_500, name="sees", config=SwarmConfig(max_concurrency=2))
        await many.start()
        await mf.interrupt(f"{many.key}#2400", "not this one")
        whole = await mf.chain(["wait"] * 2_500, name="sees")
        await whole.suspend("the whole")
        await whole.start()
        await mf.suspend(f"{whole.key}#2400", "and this, too")
        other = await (await mf.sign("wait")).start()
        await reaches(failing, "suspended", "0")

        async def listed() -> bool:
            return await mf.count(f"TaskQueue = '{mf.config.task_queue}' AND ExecutionStatus = 'Running'") == 4

        await eventually(listed, "the server lists all four")
        rows = (await cli.ok("ls", "--held", "--json")).json()
        assert {(row["key"], row["status"], row["reason"]) for row in rows} == {
            (f"{failing.key}#0", "suspended", f"{failing.key}#0 failed: ValueError: no\x1b[31m\nway"),
            (f"{many.key}#2400", "interrupted", "not this one"),
            (whole.key, "suspended", "the whole"),
            (f"{whole.key}#2400", "suspended", "and this, too"),
        }
        assert not any(row["children"] for row in rows)
        table = (await cli.ok("ls", "--held", "--kind", "swarm")).lines
        assert table[0].split() == ["key", "name", "kind", "status", "reason"]
        assert table[1].split(maxsplit=4)[2:] == ["task", "interrupted", "not this one"]
        assert len(table) == 2
        assert "first 1: --limit" in (await cli.ok("ls", "--held", "--limit", "1")).out
        refused = await cli("ls", "--held", "--status", "suspended")
        assert (refused.code, "without --status" in refused.err) == (2, True)
        for key in (failing.key, many.key, whole.key, other.key):
            await mf.remove(key)


async def test_what_cannot_answer_hides_nothing_of_what_else_is_held(cli: MageflowCli, mf: Mageflow) -> None:
    @mf.task(name="waiting")
    async def waiting() -> None: ...

    held = await mf.sign(waiting)
    await held.suspend("a look")
    stuck = await mf.sign(waiting)
    newer = stuck._compile().model_copy(update={"version": PLAN_VERSION + 1})
    await (await mf.control()).start(stuck.key, newer, Memo(name="waiting"), message={})
    async with mf.worker():
        await held.start()

        async def listed() -> bool:
            return await mf.count(f"TaskQueue = '{mf.config.task_queue}' AND ExecutionStatus = 'Running'") == 2

        await eventually(listed, "the server lists both")
        said = await cli("ls", "--held", "--json")
        assert (said.code, [row["key"] for row in said.json()]) == (1, [held.key])
        assert f"nobody can answer for '{stuck.key}'" in said.err
        with pytest.raises(mageflow.WorkerUnavailableError) as silent:
            async for part in mf.held():
                assert part.key == held.key
        assert silent.value.__notes__ == [f"there was no answer from {stuck.key}"]
        await (await mf.client()).get_workflow_handle(held.key).terminate()
        assert not list((await held.status()).holds()), "it has ended"
    await (await mf.client()).get_workflow_handle(stuck.key).terminate()
