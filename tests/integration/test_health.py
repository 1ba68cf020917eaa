"""What a worker answers to a supervisor that asks for its health, and how it stops on all its queues."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from mageflow_temporal import EmbeddedServer, HealthPortError, Mageflow, MageflowConfig, TaskOptions
from tests.mageflow_cli import MageflowCli
from tests.support import DEADLINE, Ledger, Wire, eventually


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def said(port: int, question: bytes) -> str:
    """Return all that is answered; nothing if nobody listens."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return ""
    writer.write(question)
    answer = await asyncio.wait_for(reader.read(), DEADLINE)
    writer.close()
    return answer.decode()


async def ask(port: int, path: str) -> tuple[int, str]:
    answer = await said(port, f"GET {path} HTTP/1.1\r\nHost: worker\r\nUser-Agent: kube-probe/1.33\r\n\r\n".encode())
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]) if head else 0, body.strip()


async def is_ready(port: int) -> bool:
    return await ask(port, "/ready") == (200, "ready")


async def test_a_worker_is_ready_while_it_works_and_not_any_more_while_it_stops(
    mf: Mageflow, ledger: Ledger, port: int
) -> None:
    gate, stop = asyncio.Event(), asyncio.Event()

    @mf.task(name="held")
    async def held() -> str:
        return await ledger.work("held", gate)

    async def work() -> None:
        async with mf.worker(health=port):
            await stop.wait()

    assert await ask(port, "/ready") == (0, "")
    working = asyncio.create_task(work())
    await eventually(lambda: is_ready(port), "the worker is ready")
    assert await ask(port, "/live") == (200, "live")
    assert (await ask(port, "/"))[0] == 404
    await (await mf.sign(held)).start()
    await ledger.has_begun("held")
    stop.set()

    async def stopping() -> bool:
        return await ask(port, "/ready") == (503, "stopping")

    await eventually(stopping, "it says that it stops, while its task may still end")
    assert await ask(port, "/live") == (200, "live"), "nobody is to kill it for that"
    gate.set()
    await asyncio.wait_for(working, DEADLINE)
    assert ledger.ended["held"] == 1
    assert await ask(port, "/live") == (0, "")


async def test_a_worker_that_cannot_reach_the_server_lives_and_is_not_ready_until_it_can(
    server: EmbeddedServer, port: int
) -> None:
    async with Wire(server.target) as wire:
        app = Mageflow(wire.address, config=MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}"))
        async with app.worker(health=port, shutdown_grace=timedelta(0)):
            await eventually(lambda: is_ready(port), "the worker is ready")
            wire.fall_silent()
            status, body = await ask(port, "/ready")
            assert status == 503
            assert body.startswith("the Temporal server does not answer: ")
            assert (await ask(port, "/live"))[0] == 200
            wire.speak_again()
            await eventually(lambda: is_ready(port), "the worker is ready again")


@pytest.mark.parametrize("question", [b"\r\n\r\n", b"\x16\x03\x01 what\r\n\r\n", b"GET /ready\r\n\r\n", b"x" * 100_000])
async def test_whatever_is_asked_harms_nobody(mf: Mageflow, port: int, question: bytes) -> None:
    async with mf.worker(health=port):
        try:
            answer = await said(port, question)
        except ConnectionResetError:
            answer = ""
        assert answer == "" or answer.startswith("HTTP/1.1 ")
        await eventually(lambda: is_ready(port), "it still answers others")


async def test_a_port_that_is_taken_ends_the_start_with_an_error_that_names_it(mf: Mageflow, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", port))
        taken.listen()
        with pytest.raises(HealthPortError, match=f"cannot listen on port {port}: .* choose another port"):
            await mf.worker(health=port).run()


async def test_all_queues_are_left_at_once_and_share_one_grace(mf: Mageflow, ledger: Ledger) -> None:
    other = f"{mf.config.task_queue}-other"
    grace = timedelta(seconds=1.5)

    @mf.task(name="here")
    async def here() -> str:
        return await ledger.work("here", asyncio.Event())

    @mf.task(name="there", task_queue=other)
    async def there() -> str:
        return await ledger.work("there", asyncio.Event())

    async with mf.worker(shutdown_grace=grace):
        swarm = await mf.swarm([here, there], is_swarm_closed=True)
        await swarm.start()
        await ledger.has_begun("here")
        await ledger.has_begun("there")
        began = time.monotonic()
    took = time.monotonic() - began
    assert ledger.cancelled == {"here": 1, "there": 1}
    assert took < 2 * grace.total_seconds(), "one grace for both"
    await (await mf.client()).get_workflow_handle(swarm.key).terminate()


SHOP = """
from mageflow_temporal import Mageflow, MageflowConfig

mf = Mageflow(config=MageflowConfig(task_queue="{queue}"))

@mf.task(name="here")
async def here() -> str:
    return "here"

@mf.task(name="there", task_queue="{queue}-there")
async def there(msg: dict) -> str:
    return msg["mageflow_results"] + ", there"
"""


async def test_the_command_serves_several_queues_and_answers_for_its_health(
    server: EmbeddedServer, mf: Mageflow, tmp_path: Path, port: int
) -> None:
    (tmp_path / "places.py").write_text(SHOP.format(queue=mf.config.task_queue))
    shop = MageflowCli(server, mf, tmp_path)
    also = f"{mf.config.task_queue}-there"
    here, there = mf.declare("here"), mf.declare("there", options=TaskOptions(task_queue=also))
    async with shop.running("worker", "places", "--task-queue", also, "--health", str(port)) as worker:
        await eventually(lambda: is_ready(port), "the worker is ready")
        assert await (await mf.chain([here, there])).run(timeout=DEADLINE) == "here, there"
        worker.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(worker.communicate(), DEADLINE)
    assert worker.returncode == 0
    assert f"listens on {mf.config.task_queue}, {also} for tasks here, there" in err.decode()
