"""No server, a wrong address, no worker: each says what to do, and nothing waits in silence."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, NoWorkerWarning, line
from mageflow_temporal import server as embedded_server
from tests import counting_worker
from tests.integration.denying_server import denying
from tests.support import DEADLINE, Ledger, eventually, worker_process


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that is taken, so that nothing else gets it, and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def app_at(target: str | None) -> Mageflow:
    mf = Mageflow(target, config=MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}"))

    @mf.task(name="one")
    async def one() -> int:
        return 1

    return mf


async def test_without_a_server_every_call_says_how_to_get_one(nowhere: str) -> None:
    mf = app_at(nowhere)
    signature = await mf.sign("one")
    calls = {
        "start": signature.start,
        "suspend": signature.suspend,
        "load": lambda: mf.load_signature("some-key"),
        "verb by key": lambda: mf.interrupt("some-key"),
        "remove": lambda: mf.remove("some-key"),
        "worker": lambda: mf.worker().__aenter__(),
    }
    for name, call in calls.items():
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(mageflow.ServerUnavailableError) as caught:
                await call()
        assert caught.value.target == nowhere, name
        assert "refused" in caught.value.cause
        for advice in (nowhere, "temporal server start-dev", "mf.local()", "TEMPORAL_ADDRESS"):
            assert advice in str(caught.value)


@pytest.mark.parametrize("target", ["no-such-host.invalid:7233", "127.0.0.1:99999", "host:port:more", "nonsense"])
async def test_an_address_that_is_none_is_an_unavailable_server(target: str) -> None:
    with pytest.raises(mageflow.ServerUnavailableError, match="no Temporal server answers at") as caught:
        await (await app_at(target).sign("one")).start()
    assert caught.value.target == target


async def test_an_app_without_a_target_goes_to_the_address_in_the_environment(
    nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", nowhere)
    with pytest.raises(mageflow.ServerUnavailableError) as caught:
        await (await app_at(None).sign("one")).start()
    assert caught.value.target == nowhere


async def test_a_failed_connection_is_tried_again_by_the_next_call(server: EmbeddedServer, nowhere: str) -> None:
    mf = app_at(nowhere)
    with pytest.raises(mageflow.ServerUnavailableError):
        await mf.load_signature("some-key")
    mf._target = server.target
    assert await mf.load_signature("some-key") is None


async def test_an_unknown_namespace_is_refused_with_its_name(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nowhere")
    with pytest.raises(mageflow.ServerRefusedError, match="TEMPORAL_NAMESPACE") as caught:
        await app_at(server.target).load_signature("some-key")
    assert (caught.value.target, caught.value.namespace) == (server.target, "nowhere")
    assert "not found" in caught.value.cause


@pytest.mark.parametrize(("status", "words"), [(16, "API key is wrong"), (7, "Request unauthorized.")])
async def test_who_has_no_right_to_call_is_told_so(status: int, words: str) -> None:
    async with denying(status, words) as address:
        with pytest.raises(
            mageflow.ServerRefusedError, match="Check TEMPORAL_NAMESPACE and TEMPORAL_API_KEY"
        ) as caught:
            await app_at(address).load_signature("some-key")
    assert (caught.value.target, caught.value.namespace, caught.value.cause) == (address, "default", words)


async def test_a_profile_that_there_is_none_of_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_PROFILE", "nowhere")
    with pytest.raises(mageflow.ConfigurationError, match="profile cannot be used: Profile 'nowhere' not found"):
        await app_at(None).load_signature("some-key")


async def test_a_worker_that_listens_and_is_slow_is_no_absent_one(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_QUERY_TIMEOUT", timedelta(seconds=4))
    mf = app_at(server.target)
    environment = {
        counting_worker.ADDRESS: server.target,
        counting_worker.QUEUE: mf.config.task_queue,
        counting_worker.DIARY: str(tmp_path / "diary"),
    }
    async with worker_process("tests.counting_worker", **environment) as worker:
        signature = await (await mf.sign(mf.declare("item", message=dict[str, int]))).start({"number": 1})
        await signature.result(timeout=DEADLINE)
        worker.send_signal(signal.SIGSTOP)
        with pytest.raises(mageflow.WorkerUnavailableError, match="no worker of task queue .* answered within 4 s"):
            await signature.status()


async def test_a_server_that_goes_away_ends_those_who_wait_with_an_error() -> None:
    async with embedded_server.run(ui=False) as short_lived:
        mf = app_at(short_lived.target)
        signature = await (await mf.sign("one")).start()
    with pytest.raises(mageflow.ServerUnavailableError) as caught:
        await signature.result()
    assert caught.value.target == short_lived.target
    with pytest.raises(mageflow.ServerUnavailableError):
        await signature.suspend()


async def test_a_waiting_result_warns_that_no_worker_listens(server: EmbeddedServer) -> None:
    mf = app_at(server.target)
    signature = await (await mf.sign("one")).start()
    with pytest.warns(NoWorkerWarning) as caught, pytest.raises(mageflow.ResultTimeoutError) as timeout:
        await signature.result(timeout=8)
    assert str(caught[0].message) == (
        f"{signature.key} waits: no worker listens on task queue '{mf.config.task_queue}'; start one with mf.run_worker()"
    )
    assert timeout.value.status == "active"
    async with mf.worker():
        assert await signature.result() == 1, "it waited for its worker"


@pytest.mark.parametrize("verb", ["suspend", "interrupt", "resume"])
async def test_a_verb_warns_that_no_worker_listens_and_is_obeyed_when_one_comes(
    server: EmbeddedServer, verb: str
) -> None:
    mf = app_at(server.target)
    signature = await (await mf.sign("one")).start()
    with pytest.warns(NoWorkerWarning, match="no worker listens on task queue") as caught:
        waiting = asyncio.create_task(getattr(signature, verb)())
        await eventually(lambda: len(caught) > 0, "the warning")
        assert not waiting.done()
        async with mf.worker():
            report = await waiting
            await signature.resume() if verb != "resume" else None
            assert await signature.result() == 1
    assert report.verb == verb


async def test_a_warning_may_be_made_an_error(server: EmbeddedServer) -> None:
    signature = await (await app_at(server.target).sign("one")).start()
    with pytest.raises(NoWorkerWarning):  # as this project's own pytest settings do
        await signature.result()


async def test_a_callers_own_timeout_ends_a_waiting_verb_as_any_other_await(server: EmbeddedServer) -> None:
    signature = await (await app_at(server.target).sign("one")).start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await signature.suspend()


async def test_a_status_that_nobody_can_answer_names_the_queue(server: EmbeddedServer) -> None:
    mf = app_at(server.target)
    signature = await (await mf.sign("one")).start()
    with pytest.raises(mageflow.WorkerUnavailableError) as caught:
        await signature.status()
    assert (caught.value.key, caught.value.task_queue) == (signature.key, mf.config.task_queue)
    assert str(caught.value) == (
        f"nobody can answer for '{signature.key}': no worker listens on task queue '{mf.config.task_queue}'; "
        "start one with mf.run_worker()"
    )
    with pytest.raises(mageflow.MissingSignatureError):
        await mageflow.Member(mf, f"{signature.key}-other").status()  # to say so takes no worker


async def test_a_script_whose_last_act_is_a_call_ends_in_peace(server: EmbeddedServer) -> None:
    script = (
        "import asyncio, mageflow_temporal as mageflow\n"
        f"print(asyncio.run(mageflow.Mageflow({server.target!r}).load_signature('some-key')))"
    )
    for _ in range(5):  # every fourth crashed in its last moment
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ}
        )
        assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr


async def test_more_may_wait_for_results_than_the_server_lets_wait_at_once(ledger: Ledger) -> None:
    gate = asyncio.Event()
    async with embedded_server.run(ui=False, tuned=False) as stock:
        mf = Mageflow(stock.target)

        @mf.task(name="hold")
        async def hold() -> str:
            return await ledger.work("hold", gate)

        async with mf.worker():
            signature = await (await mf.sign(hold)).start()
            waiting = asyncio.gather(*(signature.result(timeout=60) for _ in range(1_500)))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(waiting), 20)  # the SDK itself tries for ten
            gate.set()
            assert await waiting == ["hold"] * 1_500
