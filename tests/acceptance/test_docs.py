"""Every Python snippet of the README and the docs is a program that runs, or a part of one."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mageflow_temporal import EmbeddedServer
from tests import pages, processes
from tests.mageflow_cli import COMMAND
from tests.pages import ROOT, Snippet
from tests.support import DEADLINE

PROGRAMS = [snippet for snippet in pages.snippets() if not snippet.form]
EXCERPTS = [snippet for snippet in pages.snippets() if snippet.form.startswith("from=")]

TESTED_BY_THE_PLUGINS_TESTS = (
    "shop.py",
    "test_shop.py",
    "test_races.py",
    "test_crash.py",
    "test_shop_fast.py",
    "test_shop_later.py",
)


@pytest.mark.parametrize("snippet", PROGRAMS, ids=str)
def test_a_program_runs(snippet: Snippet, tmp_path: Path) -> None:
    shutil.copy(ROOT / "workers/encryption.py", tmp_path)  # a page tells its reader to copy it
    (tmp_path / "snippet.py").write_text(snippet.code)
    done = subprocess.run(
        [sys.executable, "snippet.py"], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "it shows something"


@pytest.mark.parametrize("snippet", EXCERPTS, ids=str)
def test_an_excerpt_is_what_the_file_says(snippet: Snippet) -> None:
    file = ROOT / snippet.form.removeprefix("from=")
    line = snippet.code.splitlines()[0]
    indent = file.read_text()[: file.read_text().index(line)].rpartition("\n")[2]
    assert textwrap.indent(snippet.code, indent) in file.read_text()


def test_every_snippet_is_seen_to() -> None:
    """Each is a program, an excerpt, a file of a page whose program a test runs, or another package's."""
    others = {(snippet.page, snippet.form) for snippet in pages.snippets()} - {
        (snippet.page, snippet.form) for snippet in [*PROGRAMS, *EXCERPTS]
    }
    assert others == {
        ("README.md", "shop.py"),
        ("README.md", "order.py"),
        ("README.md", "look.py"),
        ("docs/production.md", "shop.py"),
        ("docs/production.md", "farm.py"),
        ("docs/coming-from-hatchet.md", "hatchet"),
        *(("docs/testing.md", file) for file in TESTED_BY_THE_PLUGINS_TESTS),
    }


@pytest.fixture
def environment(server: EmbeddedServer) -> Mapping[str, str]:
    return {**processes.own_environment(), "TEMPORAL_ADDRESS": server.target}


async def test_the_three_processes_of_the_readme(environment: Mapping[str, str], tmp_path: Path) -> None:
    pages.write_files("README.md", tmp_path)

    async def python(file: str) -> str:
        said = await processes.run(sys.executable, file, environment=environment, folder=tmp_path)
        assert said.code == 0, said.err
        return said.out

    async with serving(sys.executable, "shop.py", environment=environment, folder=tmp_path):
        for _ in range(2):
            assert await python("order.py") == ""
        assert await python("look.py") == "Emma is printed done\n"


async def test_the_workers_of_the_production_page(environment: Mapping[str, str], tmp_path: Path) -> None:
    pages.write_files("docs/production.md", tmp_path)

    async def mageflow(*words: str) -> str:
        said = await processes.run(COMMAND, *words, environment=environment, folder=tmp_path)
        assert said.code == 0, said.err
        return said.out

    async with serving(COMMAND, "worker", "shop", environment=environment, folder=tmp_path):
        assert "printed" in await mageflow("run", "shop:print")
    only_gpu = ("--task-queue", "gpu", "--concurrency", "2")
    async with (
        serving(COMMAND, "worker", "farm", *only_gpu, environment=environment, folder=tmp_path),
        serving(COMMAND, "worker", "farm", "--task-queue", "mageflow", environment=environment, folder=tmp_path),
    ):
        assert "rendered" in await mageflow("run", "farm:render")
        assert "published" in await mageflow("run", "farm:publish")


@asynccontextmanager
async def serving(*command: str, environment: Mapping[str, str], folder: Path) -> AsyncGenerator[None]:
    """Run a worker, and stop it as a supervisor does."""
    async with processes.running(*command, environment=environment, folder=folder) as worker:
        yield
        worker.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE):
            _, err = await worker.communicate()
        assert worker.returncode == 0, err.decode()


def test_the_example_runs_and_says_what_it_should() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs/example.py"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[-5:] == [
        "['cloth', 'silver', 'cloth']",
        "Emma done",
        "Moby-Dick done",
        "untitled failed",
        "Ulysses done last of all",
    ]
    assert sorted(lines[:-5]) == [
        "not printed: '', because a book needs a title (attempt 3)",
        "out now: 3 pages in cloth",
        "out now: 3 pages in cloth",
        "out now: 3 pages in silver",
    ]
