"""Every Python snippet of the README and the docs is a program that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python(?P<flags>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets() -> list[tuple[str, str, str]]:
    return [
        (
            f"{page.relative_to(ROOT)}:{page.read_text()[: found.start()].count(chr(10)) + 1}",
            found["flags"],
            found["code"],
        )
        for page in PAGES
        for found in BLOCK.finditer(page.read_text())
    ]


@pytest.mark.parametrize(("flags", "code"), [pytest.param(f, c, id=where) for where, f, c in snippets()])
def test_snippet_runs(flags: str, code: str, tmp_path: Path) -> None:
    script = tmp_path / "snippet.py"
    if "no-run" in flags:
        compile(f"async def fragment():\n{re.sub('^', '    ', code, flags=re.MULTILINE)}", "snippet", "exec")
        return
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "it shows something"


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


def test_the_pages_have_snippets() -> None:
    assert len(snippets()) >= 4
