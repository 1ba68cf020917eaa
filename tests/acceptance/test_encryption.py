"""The example of workers/encryption.py: nothing of the data can be read on the server, and all else is as ever."""

from __future__ import annotations

import asyncio
import os
import runpy
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.plugin import SimplePlugin

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig
from tests.integration.test_converters import everything_written_by
from tests.mageflow_cli import MageflowCli
from tests.support import DEADLINE, Ledger

ENCRYPTION = str(Path(__file__).parents[2] / "workers/encryption.py")
encryption: Callable[..., SimplePlugin] = runpy.run_path(ENCRYPTION, run_name="encryption")["encryption"]

SECRET = "xyzzy-plugh"
OLD, NEW = os.urandom(32), os.urandom(32)


def app_with(server: EmbeddedServer, queue: str, keys: Mapping[str, bytes], current: str) -> Mageflow:
    return Mageflow(server.target, config=MageflowConfig(task_queue=queue), plugins=[encryption(keys, current=current)])


async def test_a_chain_is_suspended_resumed_and_finished_and_nothing_of_it_can_be_read(
    server: EmbeddedServer, ledger: Ledger
) -> None:
    gate = asyncio.Event()
    mf = app_with(server, f"test-{uuid.uuid4().hex[:8]}", {"old": OLD}, "old")

    @mf.task(name="hold", retries=1)
    async def hold(msg: dict[str, Any]) -> str:
        mageflow.current_task().checkpoint(SECRET)
        await ledger.work("hold", gate)
        return SECRET

    @mf.task(name="fails")
    async def fails(msg: dict[str, Any]) -> None:
        raise ValueError(SECRET)

    async with mf.worker(shutdown_grace=timedelta(0)):
        chain = await mf.chain([hold, hold])
        await chain.start({"text": SECRET})
        await ledger.has_begun("hold")
        assert (await chain.suspend(SECRET)).draining == [f"{chain.key}#0"]
        assert (await chain.status()).reason == SECRET
        gate.set()
        await chain.resume()
        assert await chain.result(timeout=DEADLINE) == SECRET
        with pytest.raises(mageflow.TaskFailedError, match=SECRET):
            await (await mf.sign(fails)).run({"text": SECRET}, timeout=DEADLINE)
    written = await everything_written_by(mf)
    assert b"binary/encrypted" in written
    assert SECRET.encode() not in written


async def test_a_new_key_encrypts_and_the_old_one_still_reads(server: EmbeddedServer) -> None:
    queue = f"test-{uuid.uuid4().hex[:8]}"
    before = app_with(server, queue, {"old": OLD}, "old")
    after = app_with(server, queue, {"old": OLD, "new": NEW}, "new")
    for app in (before, after):

        @app.task(name="echo")
        async def echo(msg: dict[str, Any]) -> str:
            return msg["text"]

    early = await before.sign("echo")
    await early.start({"text": SECRET})
    async with after.worker():
        found = await after.load_signature(early.key)
        assert isinstance(found, mageflow.Signature)
        assert await found.result(timeout=DEADLINE) == SECRET
    with pytest.raises(KeyError, match="new"):
        await early.result(timeout=DEADLINE)


async def test_the_command_line_reads_it_with_the_app(
    server: EmbeddedServer, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = f"test-{uuid.uuid4().hex[:8]}"
    mf = app_with(server, queue, {"old": OLD}, "old")
    (tmp_path / "sealed.py").write_text(f"""
import runpy
from mageflow_temporal import Mageflow, MageflowConfig
encryption = runpy.run_path({ENCRYPTION!r}, run_name="encryption")["encryption"]
mf = Mageflow(config=MageflowConfig(task_queue={queue!r}),
              plugins=[encryption({{"old": bytes.fromhex({OLD.hex()!r})}}, current="old")])
""")
    gate = asyncio.Event()

    @mf.task(name="hold")
    async def hold() -> str:
        return await ledger.work("hold", gate)

    async with mf.worker(shutdown_grace=timedelta(0)):
        chain = await mf.chain([hold, hold])
        await chain.start()
        await ledger.has_begun("hold")
        cli = MageflowCli(server, mf, tmp_path)
        said = await cli.ok("suspend", "--app", "sealed", chain.key, "--reason", SECRET)
        assert said.out == f"{chain.key}: suspended, 1 still running\n"
        without = await cli("show", chain.key)
        assert (without.code, without.out) == (1, "")
        assert without.err.startswith(f"mageflow show: {chain.key} cannot be read here: Unknown payload encoding")
        with pytest.raises(mageflow.UnreadablePayloadError, match="binary/encrypted"):
            await Mageflow(server.target).load_signature(chain.key)
        monkeypatch.setenv("MAGEFLOW_APP", "sealed")
        assert SECRET in (await MageflowCli(server, mf, tmp_path).ok("show", chain.key)).out
        gate.set()
        await chain.resume()
        await chain.result(timeout=DEADLINE)


async def test_plugins_are_for_connections_that_the_app_makes(server: EmbeddedServer) -> None:
    client = await Mageflow(server.target).client()
    with pytest.raises(mageflow.ConfigurationError, match="give them to Client.connect"):
        Mageflow(client, plugins=[encryption({"old": OLD}, current="old")])
