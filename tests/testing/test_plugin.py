"""A project of a user's, with its own pytest: the plugin is there by itself, in each mode of pytest-asyncio."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pages

SHOP = Path(__file__).with_name("shop.py")

TESTS = """
import pytest

from shop import order


async def test_an_order(mageflow_test):
    from shop import app

    async with mageflow_test.running(app) as run:
        assert await order("Emma", 2) == 2
        await run.dispatched.assert_chain_dispatched("order", tasks=["print", "ship"])
        await run.dispatched.assert_task_dispatched("print", message={"title": "Emma"}, times=1)


async def test_another_order(mageflow_test):
    from shop import app

    async with mageflow_test.running(app) as run:
        await run.dispatched.assert_nothing_dispatched()
        assert await order("Persuasion") == 1


async def test_an_order_whose_worker_is_killed(mageflow_test):
    from shop import Order, app, print_books, ship

    async with mageflow_test.killable(app, "shop:app") as run:
        chain = await app.chain([print_books, ship])
        async with run.kill_worker_after(chain, "print"):
            await chain.start(Order(title="Emma"))
        assert await chain.result() == 1


async def test_an_app_for_this_test(mageflow_app):
    @mageflow_app.task()
    async def one() -> int:
        return 1

    async with mageflow_app.worker():
        assert await (await mageflow_app.sign(one)).run() == 1


def test_a_server_without_a_loop(mageflow_server):
    assert ":" in mageflow_server.target
"""


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "TEMPORAL"))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=clean, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_tests_of_a_project_pass(tmp_path: Path, mode: str) -> None:
    tests = TESTS if mode == "auto" else TESTS.replace("async def test", "@pytest.mark.asyncio\nasync def test")
    (tmp_path / "shop.py").write_text(SHOP.read_text())
    (tmp_path / "test_shop.py").write_text(tests)
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n"
    )
    done = python(tmp_path, "-m", "pytest", "-q", "--strict-markers", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_a_project_without_such_tests_pays_for_no_server(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import threading\n\ndef test_nothing():\n    assert threading.active_count() == 1\n"
    )
    done = python(tmp_path, "-m", "pytest", "-q")
    assert done.returncode == 0, done.stdout + done.stderr


def test_neither_the_package_nor_the_kit_needs_pytest(tmp_path: Path) -> None:
    code = "import sys, mageflow_temporal.testing; sys.exit('pytest' in sys.modules)"
    assert python(tmp_path, "-c", code).returncode == 0
    code = "import sys, mageflow_temporal; sys.exit('mageflow_temporal.testing' in sys.modules)"
    assert python(tmp_path, "-c", code).returncode == 0


def test_the_project_of_the_guide_passes(tmp_path: Path) -> None:
    files = pages.write_files("docs/testing.md", tmp_path)
    done = python(tmp_path, "-m", "pytest", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    tests = sum(file.read_text().count("async def test_") for file in files)
    assert f"{tests} passed" in done.stdout
