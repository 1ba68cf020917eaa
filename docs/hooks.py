"""What makes a site of pages that are written to be read on a code host, too.

A page may link to any file of the project, such as a test or the compose file: the site shows that file on a page of
its own, below source/. A fence may say more than its language, such as `python shop.py` (what that means to a test is
in tests/pages.py): on the site that is the snippet's title. And a public name, such as `SwarmConfig` or
`Member.suspend`, is a link to the reference there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

import mageflow_temporal

_ROOT: Final = Path(__file__).parents[1]
_SHOWN: Final = "source/"
_LINK: Final = re.compile(r"\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
_NAME: Final = re.compile(r"<code>(?P<name>[A-Z]\w+)(?P<part>\.\w+)?</code>")
_FENCE: Final = re.compile(r"^```(?P<language>\w+) (?:from=)?(?P<file>\S+)$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside the docs that a page, or such a page, links to."""
    waiting = [*files.documentation_pages()]
    for page in waiting:
        for match in _LINK.finditer(page.content_string):
            name = _meant(page.src_uri, match["target"])
            if not _is_page(name) and (_ROOT / name).is_file() and not files.get_file_from_path(_shown(name)):
                made = File.generated(config, _shown(name), content=_content(name), inclusion=InclusionLevel.NOT_IN_NAV)
                files.append(made)
                waiting.append(made)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs calls it by these names
    """Point links at the pages of the site, and give snippets of a file its name."""
    here = posixpath.dirname(page.file.src_uri)
    return _FENCE.sub(_titled, _LINK.sub(_pointing_from(page.file.src_uri, here), markdown))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs calls it by these names
    """Let public names lead to the reference."""
    return _NAME.sub(_referring, html)


def _pointing_from(page: str, folder: str) -> Callable[[re.Match[str]], str]:
    def point(match: re.Match[str]) -> str:
        name = _meant(page, match["target"])
        if not (_ROOT / name).is_file():
            return match[0]  # mkdocs says that it leads nowhere
        target = posixpath.relpath(_shown(name), folder or ".")
        return f"]({target}{match['anchor'] or ''})"

    return point


def _referring(match: re.Match[str]) -> str:
    if match["name"] not in mageflow_temporal.__all__:
        return match[0]
    entry = f"mageflow_temporal.{match['name']}{match['part'] or ''}"
    return f'<autoref identifier="{entry}" optional>{match[0]}</autoref>'


def _titled(match: re.Match[str]) -> str:
    return f'```{match["language"]} title="{match["file"]}"'


def _meant(page: str, target: str) -> str:
    """Return the file of the project that a link means, by its path from the root."""
    origin = page.removeprefix(_SHOWN) if page.startswith(_SHOWN) else f"docs/{page}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def _is_page(name: str) -> bool:
    return name.startswith("docs/") and not name.endswith(".py")


def _shown(name: str) -> str:
    """Return where the site has a file of the project."""
    if _is_page(name):
        return name.removeprefix("docs/")
    return f"{_SHOWN}{name}" if name.endswith(".md") else f"{_SHOWN}{name}.md"


def _content(name: str) -> str:
    text = (_ROOT / name).read_text()
    if name.endswith(".md"):
        return text
    language = {".py": "python", ".yml": "yaml", ".yaml": "yaml"}.get(Path(name).suffix, "text")
    return f"# {name}\n\n````{language}\n{text}\n````\n"
