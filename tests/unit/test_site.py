"""What the documentation's site has of what it should have. That its links lead somewhere, `make docs` sees."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mkdocs.config import load_config

import mageflow_temporal as mageflow
from mageflow_temporal import otel, testing

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
READ_ALONE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def in_navigation(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        for below in entry.values():
            yield from in_navigation(below)
    elif isinstance(entry, list):
        for below in entry:
            yield from in_navigation(below)


def named_in(link: str) -> str:
    """Return the anchor that a heading of that text has, on the site as on a code host."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", link.strip().lower()))


def test_every_page_is_in_the_navigation_once() -> None:
    found = Counter(page for page in in_navigation(load_config(str(ROOT / "mkdocs.yml"))["nav"]))
    of_docs = {page: times for page, times in found.items() if not page.startswith("source/")}
    assert of_docs == {str(page.relative_to(DOCS)): 1 for page in PAGES}


def test_every_public_name_is_in_the_reference_once() -> None:
    entries = [
        entry.rpartition(".")[2]
        for page in (DOCS / "reference").glob("*.md")
        for entry in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    ]
    bases = ["Draft", "ItemsControl", "SwarmControl"]  # what several public classes have in common
    assert sorted(entries) == sorted([*mageflow.__all__, *testing.__all__, *otel.__all__, *bases])


@pytest.mark.parametrize("page", [*READ_ALONE, *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_have_the_right_form(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https", target
            assert "." in parts.netloc, target
            continue
        leads_to = page.parent / parts.path if parts.path else page
        assert leads_to.exists(), target
        if parts.fragment and leads_to.suffix == ".md" and "reference" not in leads_to.parts:
            headings = re.findall(r"^#+ (.+)$", leads_to.read_text(), re.MULTILINE)
            assert parts.fragment in map(named_in, headings), target
