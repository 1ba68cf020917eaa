"""A diagram as Mermaid's text, which GitHub, GitLab and mkdocs draw."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from mageflow_temporal import Status
from mageflow_temporal.cli.graph.boxes import Box
from mageflow_temporal.cli.graph.svg import COLOURS


def mermaid(root: Box) -> str:
    """Return the text."""
    lines = ["flowchart TD", *_node(root, "n")]
    used = sorted({inner.status for inner in _all(root) if inner.status})
    lines += [f"  classDef {status} {_look(status)}" for status in used]
    return "".join(f"{line}\n" for line in lines)


def _node(box: Box, name: str, indent: str = "  ") -> Iterator[str]:
    title = f'["{_escaped(box.name)}{"<br>" if box.note else ""}{_escaped(box.note)}"]'
    if box.parts:
        yield f"{indent}subgraph {name}{title}"
        inner = [f"{name}_{index}" for index in range(len(box.parts))]
        for part, its_name in zip(box.parts, inner, strict=True):
            yield from _node(part, its_name, f"{indent}  ")
        if box.kind == "chain":
            for before, after in pairwise(inner):
                yield f"{indent}  {before} --> {after}"
        yield f"{indent}end"
    else:
        yield f"{indent}{name}{title}"
    if box.status:
        yield f"{indent}class {name} {box.status}"
    for what, callbacks in (("success", box.on_success), ("error", box.on_error)):
        for index, callback in enumerate(callbacks):
            its_name = f"{name}_{what[0]}{index}"
            yield from _node(callback, its_name, indent)
            yield f"{indent}{name} -. {what} .-> {its_name}"


def _all(box: Box) -> Iterator[Box]:
    yield box
    for part in (*box.parts, *box.on_success, *box.on_error):
        yield from _all(part)


def _escaped(text: str) -> str:
    """Return a text in which nothing has a meaning for Mermaid."""
    return "".join(char if char.isalnum() or char in " -_.,·" else f"#{ord(char)};" for char in text)


def _look(status: Status) -> str:
    fill, line = COLOURS[status]
    return f"fill:{fill},stroke:{line},color:#1f2328"
