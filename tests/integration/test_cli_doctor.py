"""`mageflow doctor`: what is there, what is lacking, and the command that adds it."""

from __future__ import annotations

import logging
import shlex
from datetime import timedelta

import pytest

from mageflow_temporal import Mageflow, MageflowConfig
from mageflow_temporal import server as embedded_server
from mageflow_temporal.protocol import SEARCH_ATTRIBUTES
from tests.acceptance.temporal_cli import TemporalCli
from tests.mageflow_cli import MageflowCli
from tests.support import eventually


async def test_doctor_finds_the_server_its_capabilities_and_the_workers(cli: MageflowCli, mf: Mageflow) -> None:
    alone = await cli("doctor")
    assert alone.code == 1
    assert alone.lines[0].startswith("ok    Temporal 1.")
    assert f"fails no worker listens for workflows on queue {mf.config.task_queue}" in alone.out

    @mf.task(name="work")
    async def work() -> None: ...

    async with mf.worker():

        async def listens() -> bool:
            return any(worker.workflows and worker.tasks for worker in (await mf.checkup()).workers)

        await eventually(listens, "the server knows of the worker")
        said = await cli.ok("doctor")
        assert [line.split()[0] for line in said.lines] == ["ok"] * 4
        identity = (await mf.client()).identity
        assert f"worker {identity} takes workflows and tasks" in said.out
        found = (await cli.ok("doctor", "--json")).json()
        assert (found["search_attributes"], found["cancel_push"], found["namespace"]) == (True, True, "default")
        assert [worker["identity"] for worker in found["workers"]] == [identity]


async def test_doctor_says_what_a_bare_server_lacks_and_its_command_adds_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with embedded_server.run(ui=False, tuned=False) as bare:
        mf = Mageflow(bare.target, config=MageflowConfig(task_queue="bare"))
        cli, temporal = MageflowCli(bare, mf), TemporalCli(bare)
        for name in SEARCH_ATTRIBUTES:
            await temporal.ok("operator", "search-attribute", "remove", "--name", name, "--yes")

        async def lines() -> list[str]:
            return (await cli("doctor")).lines

        async def lacking() -> list[str] | None:
            found = await lines()
            return found if found[1].startswith("lacks search attributes") else None

        said = await eventually(lacking, "the server has forgotten the search attributes")
        assert any("system.enableCancelActivityWorkerCommand: true" in line for line in said)
        caplog.set_level(logging.INFO, "mageflow_temporal")
        async with Mageflow(bare.target).worker(shutdown_grace=timedelta(0)):
            assert "lacks the search attributes MageflowStatus, MageflowName, MageflowKind" in caplog.text
            assert "has no cancel push" in caplog.text
        remedy = shlex.split(said[2])
        assert remedy[0] == "temporal"
        await temporal.ok(*remedy[1:])

        async def has_them() -> bool:
            return (await lines())[1].startswith("ok    search attributes")

        await eventually(has_them, "the server has them again")


async def test_doctor_without_a_server_is_a_line_and_code_1(cli: MageflowCli) -> None:
    said = await cli("doctor", "--address", "127.0.0.1:1")
    assert (said.code, said.out, len(said.err.splitlines())) == (1, "", 1)
