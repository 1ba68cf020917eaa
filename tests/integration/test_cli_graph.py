"""`mageflow graph`: a signature as a diagram, with or without a server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mageflow_temporal import EmbeddedServer, Mageflow, SwarmConfig
from tests.mageflow_cli import MageflowCli
from tests.support import Ledger, reaches

SHOP = """
from mageflow_temporal import Mageflow

mf = Mageflow("127.0.0.1:1")

@mf.task(name='print "it" <all>')
async def print_books() -> None: ...

@mf.task(name="ship")
async def ship() -> None: ...

async def order():
    presses = await mf.swarm([print_books, print_books], name="presses", is_swarm_closed=True)
    return await mf.chain([ship, presses, ship], name="order", success="ship", error=print_books)

async def broken():
    return await mf.chain([ship], name="order")

nothing = None
"""


@pytest.fixture
def shop(server: EmbeddedServer, mf: Mageflow, tmp_path: Path) -> MageflowCli:
    (tmp_path / "shop.py").write_text(SHOP)
    return MageflowCli(server, mf, tmp_path)


async def test_what_a_module_makes_is_drawn_without_a_server(shop: MageflowCli) -> None:
    said = await shop.ok("graph", "shop:order", "--address", "127.0.0.1:1")
    assert said.lines == [
        "flowchart TD",
        '  subgraph n["order<br>chain"]',
        '    n_0["ship"]',
        '    subgraph n_1["presses<br>swarm · 2 items"]',
        '      n_1_0["print #34;it#34; #60;all#62;"]',
        '      n_1_1["print #34;it#34; #60;all#62;"]',
        "    end",
        '    n_2["ship"]',
        "    n_0 --> n_1",
        "    n_1 --> n_2",
        "  end",
        '  n_s0["ship"]',
        "  n -. success .-> n_s0",
        '  n_e0["print #34;it#34; #60;all#62;"]',
        "  n -. error .-> n_e0",
    ]


async def test_a_picture_has_what_runs_with_its_status_and_sums_up_a_large_swarm(
    shop: MageflowCli, mf: Mageflow, ledger: Ledger, tmp_path: Path
) -> None:
    gate = asyncio.Event()

    @mf.task(name="wait")
    async def wait() -> str:
        return await ledger.work("wait", gate)

    @mf.task(name="break")
    async def break_() -> None:
        raise ValueError("no")

    fan = await mf.swarm(
        [*["wait"] * 29, "break"], name="fan", is_swarm_closed=True, config=SwarmConfig(max_concurrency=30)
    )
    async with mf.worker():
        await fan.start()
        await reaches(fan, "failed", "29")
        await ledger.has_begun("wait", 29)
        assert (await shop.ok("graph", fan.key, "--svg", "fan.svg")).out == ""
        gate.set()
        await fan.result()
    words = [text.text for text in ElementTree.parse(tmp_path / "fan.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert words[:2] == ["fan", "swarm · active · 0 of 30 done"]
    assert words[-4:] == ["break", "failed", "6 more", "6 active"], "what failed is shown, and in its place"
    assert words.count("wait") == 23


async def test_what_cannot_be_drawn_is_said_in_a_line(shop: MageflowCli) -> None:
    for what, code, problem in (
        ("order-0", 1, "no signature has the key 'order-0'"),
        ("order:0", 1, "no signature has the key 'order:0'"),
        ("shop:nothing", 2, "is no signature"),
        ("shop:ship", 2, "is no signature"),
        ("shop:broken", 1, "InvalidContainerError"),
    ):
        said = await shop("graph", what)
        assert (said.code, said.out) == (code, ""), said
        assert problem in " ".join(said.err.replace("│", " ").split())
        assert "Traceback" not in said.err
    assert (await shop("graph", "shop:order", "--svg", "nowhere/o.svg")).code == 1
