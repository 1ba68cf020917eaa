"""`mageflow watch`: what changes, until the end, which is its exit code."""

from __future__ import annotations

import asyncio

import pytest

from mageflow_temporal import Mageflow
from tests.mageflow_cli import MageflowCli
from tests.support import DEADLINE, Ledger, reaches


async def test_watch_prints_each_change_in_a_pipe_and_ends_with_0_when_it_is_done(
    cli: MageflowCli, mf: Mageflow, ledger: Ledger
) -> None:
    gate = asyncio.Event()

    @mf.task(name="wait")
    async def wait() -> str:
        return await ledger.work("wait", gate)

    chain = await mf.chain(["wait", "wait"], name="etl")
    async with mf.worker():
        await chain.start()
        await ledger.has_begun("wait")
        async with cli.running("watch", chain.key) as process:
            assert process.stdout
            lines = [(await process.stdout.readline()).decode() for _ in range(2)]
            assert lines[0].startswith(f"{chain.key} etl active  chain  0 of 2 done")
            assert lines[1].startswith(f"{chain.key}#0 wait active")
            await chain.suspend("lunch")
            held = (await process.stdout.readline()).decode()
            assert held.startswith(f"{chain.key} etl suspended")
            assert '"lunch"' in held
            await chain.resume()
            gate.set()
            out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert (process.returncode, err) == (0, b"")
        last = out.decode().splitlines()
        assert f"{chain.key} etl done  chain  2 of 2 done" in last
        assert f"{chain.key}#1 wait done" in last
        # What has ended is told at once.
        assert (await cli.ok("watch", f"{chain.key}#1")).out == f"{chain.key}#1 wait done\n"


@pytest.mark.parametrize("end", ["failed", "canceled"])
async def test_watch_ends_with_1_when_it_failed_or_was_cancelled(
    end: str, cli: MageflowCli, mf: Mageflow, ledger: Ledger
) -> None:
    gate = asyncio.Event()

    @mf.task(name="break")
    async def break_() -> None:
        await ledger.work("break", gate)
        raise ValueError("no")

    async with mf.worker():
        signature = await mf.sign("break")
        await signature.start()
        await ledger.has_begun("break")
        async with cli.running("watch", signature.key) as process:
            assert process.stdout
            assert b"break active" in await process.stdout.readline()
            if end == "failed":
                gate.set()
            else:
                await (await mf.client()).get_workflow_handle(signature.key).terminate()
            out, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert process.returncode == 1
        assert f"break {end}" in out.decode().splitlines()[-1]


async def test_watch_outlasts_a_time_without_a_worker(cli: MageflowCli, mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="work")
    async def work() -> str:
        return await ledger.work("work")

    signature = await mf.sign("work")
    async with mf.worker():
        await signature.suspend()
        await signature.start()
        process_context = cli.running("watch", signature.key)
        process = await process_context.__aenter__()
        assert process.stdout
        assert process.stderr
        assert b"work suspended" in await process.stdout.readline()
    try:
        assert b": no worker " in await asyncio.wait_for(process.stderr.readline(), 3 * DEADLINE)
        async with mf.worker():
            await reaches(signature, "suspended")
            await signature.resume()
            out, err = await asyncio.wait_for(process.communicate(), 3 * DEADLINE)
        assert process.returncode == 0
        assert "answers again" in err.decode()
        assert f"{signature.key} work done" in out.decode()
    finally:
        await process_context.__aexit__(None, None, None)


async def test_watch_of_what_is_not_there_is_a_line_and_code_1(cli: MageflowCli) -> None:
    said = await cli("watch", "etl-0")
    assert (said.code, said.out, len(said.err.splitlines())) == (1, "", 1)
