"""What is written about the rooms names each of them: a newcomer reads that first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mageflow_temporal

PACKAGE = Path(mageflow_temporal.__file__).parent
FOLDERS = sorted(file.parent for file in PACKAGE.glob("*/**/__init__.py"))


def rooms(folder: Path) -> set[str]:
    files = {file.name for file in folder.glob("*.py")} - {"__init__.py"}
    return files | {f"{file.parent.name}/" for file in folder.glob("*/__init__.py")}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(PACKAGE)))
def test_a_folder_tells_of_each_of_its_files(folder: Path) -> None:
    told = re.findall(r"^(\w+(?:\.py|/)) +\S|; (\w+\.py) ", (folder / "__init__.py").read_text(), re.MULTILINE)
    names = [first or second for first, second in told]
    assert sorted(name for name in names if name != "texts/") == sorted(rooms(folder))


def test_the_guide_for_contributors_tells_of_each_room() -> None:
    guide = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    table = "\n".join(line for line in guide.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+(?:\.py|/))`", table)) == rooms(PACKAGE)
