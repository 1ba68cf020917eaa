"""`mageflow worker` and `mageflow run`: the app of a folder, from a shell."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from mageflow_temporal import EmbeddedServer, Mageflow
from tests.mageflow_cli import MageflowCli
from tests.support import DEADLINE, eventually

SHOP = """
from pydantic import BaseModel
from mageflow_temporal import Mageflow, MageflowConfig

mf = Mageflow(config=MageflowConfig(task_queue="{queue}"))
also = mf

class Order(BaseModel):
    title: str
    copies: int = 1

class Books(BaseModel):
    books: list[str]

@mf.task(name="print")
async def print_books(msg: Order) -> Books:
    return Books(books=[msg.title] * msg.copies)

@mf.task(name="burn")
async def burn() -> None:
    raise RuntimeError("no fire")
"""


@pytest.fixture
def shop(server: EmbeddedServer, mf: Mageflow, tmp_path: Path) -> MageflowCli:
    (tmp_path / "shop.py").write_text(SHOP.format(queue=mf.config.task_queue))
    (tmp_path / "two.py").write_text("from mageflow_temporal import Mageflow\none, other = Mageflow(), Mageflow()\n")
    (tmp_path / "needy.py").write_text("import no_such_module\n")
    return MageflowCli(server, mf, tmp_path)


async def test_a_worker_of_the_app_runs_what_run_starts_and_ends_when_it_is_told_to(shop: MageflowCli) -> None:
    async with shop.running("worker", "shop", "--grace", "1") as worker:
        assert worker.stderr
        line = (await asyncio.wait_for(worker.stderr.readline(), DEADLINE)).decode()
        assert "listens on" in line
        assert line.rstrip().endswith("for tasks burn, print")
        done = await shop.ok("run", "shop:print", "--message", '{"title": "Emma", "copies": 2}', "--id", "order-1")
        assert done.json() == {"books": ["Emma", "Emma"]}
        assert done.err == "started order-1\n"
        again = await shop.ok("run", "shop:also:print", "--message", '{"title": "Ulysses"}', "--id", "order-1")
        assert again.json() == {"books": ["Emma", "Emma"]}, "of one key the task runs once"
        assert again.err == "order-1 was started before; this message is not used\n"
        failed = await shop("run", "shop:burn")
        assert (failed.code, failed.out) == (1, "")
        assert "failed after 1 attempt: RuntimeError: no fire" in failed.err.splitlines()[-1]
        worker.send_signal(signal.SIGTERM)
        _, logged = await asyncio.wait_for(worker.communicate(), DEADLINE)
    assert worker.returncode == 0
    lines = logged.decode().splitlines()
    [first] = [number for number, line in enumerate(lines) if "task 'burn' of burn-" in line]
    assert lines[first].endswith("failed: RuntimeError: no fire")
    assert "shop.py" in lines[first + 1]
    assert lines[first + 2].strip() == 'raise RuntimeError("no fire")'
    assert "/temporalio/" not in logged.decode(), "nothing but the task's own lines"


async def test_a_message_that_does_not_fit_or_an_unknown_task_is_a_line_and_code_1(shop: MageflowCli) -> None:
    for words, problem in (
        (("shop:print", "--message", '{"copies": 2}'), "title"),
        (("shop:sing",), "known here: 'burn', 'print'"),
    ):
        said = await shop("run", *words)
        assert (said.code, said.out, len(said.err.splitlines())) == (1, "", 1), said
        assert problem in said.err


async def test_run_goes_to_the_queue_that_it_is_given(shop: MageflowCli, mf: Mageflow) -> None:
    queue = f"{mf.config.task_queue}-other"
    async with shop.running("run", "shop:print", "--message", '{"title": "Emma"}', "--task-queue", queue) as process:
        assert process.stderr
        key = (await asyncio.wait_for(process.stderr.readline(), DEADLINE)).decode().split()[-1]
        description = await (await mf.client()).get_workflow_handle(key).describe()
        assert description.task_queue == queue
        await (await mf.client()).get_workflow_handle(key).terminate()
        await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 1
    assert (await shop("run", "shop:print", "--task-queue", "")).code == 2


async def test_keys_and_tasks_complete_and_what_cannot_be_asked_offers_nothing(shop: MageflowCli, mf: Mageflow) -> None:
    mf.declare("print")
    first, second = f"it's-{mf.config.task_queue}-1", f"it's-{mf.config.task_queue}-2"
    for key in (first, second):
        await (await mf.sign("print")).start(id=key)

    async def listed() -> bool:
        return len([found async for found in mf.signatures(f'WorkflowId = "{first}" OR WorkflowId = "{second}"')]) == 2

    await eventually(listed, "the server lists them")
    completion = await shop.completes("suspend", '"' + first[:-1])
    assert sorted(completion) == [first, second]
    assert await shop.completes("run", "shop:p") == ["shop:print"]
    for words in (("run", "nowhere:p"), ("run", "needy:p"), ("show", "--address", "127.0.0.1:1", "x")):
        assert await shop.completes(*words) == []


async def test_an_app_that_is_not_found_is_wrong_usage(shop: MageflowCli) -> None:
    for app in ("nowhere", "shop.inside", "shop:Order", "two", "", "../shop", "json"):
        said = await shop("worker", app)
        assert (said.code, said.out) == (2, ""), said
        assert "Traceback" not in said.err
    assert (await shop("run", "print")).code == 2
    assert (await shop("run", "shop:print", "--message", "{")).code == 2
    needy = await shop("worker", "needy")
    assert needy.code == 1
    assert "import no_such_module" in needy.err, "what the app's own code lacks is shown with its place"
    assert "importlib" not in needy.err
    assert "Traceback" not in needy.err


async def test_a_worker_on_a_queue_that_cannot_be_is_wrong_usage(shop: MageflowCli) -> None:
    said = await shop("worker", "shop", "--task-queue", "")
    assert said.code == 2
    assert "--task-queue" in said.err


async def test_a_worker_without_a_server_is_a_line_and_code_1(shop: MageflowCli) -> None:
    said = await shop("worker", "shop", "--address", "127.0.0.1:1")
    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[-1].startswith("mageflow worker: no Temporal server answers at 127.0.0.1:1")
    assert "Traceback" not in said.err


async def test_a_worker_in_an_unknown_namespace_is_a_line_and_code_1(shop: MageflowCli) -> None:
    said = await shop("worker", "shop", "--namespace", "nowhere")
    assert (said.code, said.out, len(said.err.splitlines())) == (1, "", 1), said
    assert "refuses namespace 'nowhere'" in said.err


async def test_a_worker_whose_port_for_metrics_is_taken_says_so(server: EmbeddedServer, shop: MageflowCli) -> None:
    said = await shop("worker", "shop", "--metrics", server.target.rpartition(":")[2])
    assert said.code == 2
    assert "Invalid value for --metrics" in said.err
    assert "Traceback" not in said.err
