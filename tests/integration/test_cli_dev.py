"""`mageflow dev`: a server and a worker that follows the code, until Ctrl-C."""

from __future__ import annotations

import socket
from pathlib import Path

from mageflow_temporal import Mageflow
from tests.acceptance.demo_process import running
from tests.support import DEADLINE, eventually

SHOP = """
import asyncio
from pathlib import Path
from mageflow_temporal import Mageflow

mf = Mageflow("127.0.0.1:1")  # where it runs otherwise

@mf.task(name="print")
async def print_book() -> str:
    print("printing: {edition}", flush=True)
    if "{edition}" == "first":
        await asyncio.sleep(3600)
    return "{edition}"
"""


def free_ports() -> list[str]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in (one, other)]


async def test_a_task_that_runs_goes_on_with_the_new_code_and_a_broken_edit_is_shown_and_outlasted(
    tmp_path: Path,
) -> None:
    module = tmp_path / "shop.py"
    module.write_text(SHOP.format(edition="first"))
    port, ui_port = free_ports()
    with running("dev", "shop", "--port", port, "--ui-port", ui_port, folder=tmp_path, terminal=True) as dev:
        assert await dev.says(f"http://127.0.0.1:{ui_port}/namespaces/default/workflows")
        assert await dev.says(f"export TEMPORAL_ADDRESS=127.0.0.1:{port}")
        await dev.says("for tasks print")
        mf = Mageflow(f"127.0.0.1:{port}")
        mf.declare("print")
        book = await (await mf.sign("print")).start()
        await dev.says("printing: first")
        module.write_text("def broken(\n")
        await dev.says("shop.py changed: the worker starts anew")
        await dev.says("SyntaxError: '(' was never closed")
        await dev.says("the worker has ended; it starts anew with the next change")
        assert "importlib" not in dev.text
        module.write_text(SHOP.format(edition="second"))
        await dev.says("printing: second")
        assert await book.result(DEADLINE) == "second"
        dev.press_ctrl_c()
        assert await dev.ends() == 0
        assert dev.lines[-1] == "The worker and the server have ended."
        assert "Traceback" not in dev.text
        assert not dev.left_behind()


async def test_the_worker_of_a_killed_command_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP.format(edition="second"))
    port, ui_port = free_ports()
    with running("dev", "shop", "--port", port, "--ui-port", ui_port, folder=tmp_path) as dev:
        await dev.says("for tasks print")
        dev.signal(9)
        await dev.ends()
        await eventually(lambda: not dev.left_behind(), "the worker and the server have ended")


async def test_a_wrong_name_of_the_app_and_a_port_that_is_taken_end_it_with_a_line(tmp_path: Path) -> None:
    port, ui_port = free_ports()
    with running("dev", "nowhere", "--port", port, "--ui-port", ui_port, folder=tmp_path) as dev:
        assert await dev.says("there is no module 'nowhere' here or on PYTHONPATH")
        assert await dev.ends() == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = str(taken.getsockname()[1])
        with running("dev", "nowhere", "--port", number, "--ui-port", ui_port, folder=tmp_path) as dev:
            assert await dev.says(f"mageflow dev: the embedded Temporal server cannot start on port {number}")
            assert await dev.ends() == 1
            assert len(dev.lines) == 1
