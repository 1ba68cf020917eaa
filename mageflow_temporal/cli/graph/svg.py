"""A diagram as a picture: steps below each other, items side by side, callbacks to the right of what calls them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from xml.sax.saxutils import escape

from rich.cells import cell_len, set_cell_size

from mageflow_temporal import Status
from mageflow_temporal.cli.graph.boxes import Box

COLOURS: Final = {
    None: ("#ffffff", "#8c959f"),
    Status.PENDING: ("#f6f8fa", "#8c959f"),
    Status.ACTIVE: ("#ddf4ff", "#0969da"),
    Status.SUSPENDED: ("#fff8c5", "#bf8700"),
    Status.INTERRUPTED: ("#fbefff", "#8250df"),
    Status.DONE: ("#dafbe1", "#1a7f37"),
    Status.FAILED: ("#ffebe9", "#cf222e"),
    Status.CANCELED: ("#ffefe7", "#bc4c00"),
}
"""The fill and the line of what has that status."""

_CELL, _LINE = 7.3, 17
"""Pixels of a character and of a line."""
_PAD, _GAP, _ARROW, _AWAY = 12, 12, 26, 70
"""Pixels within a box, between items, between steps, and between a box and its callbacks."""
_HEAD = 2 * _LINE + _PAD
_ROW = 780
"""Pixels after which a swarm's items go on in the next row."""
_LONGEST = 44
"""Characters of a text; a tooltip has all of it."""

_Size = tuple[float, float]
_STYLE = (
    "text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1f2328}"
    ".note{fill:#57606a;font-size:11px}.name{font-weight:600}.way{stroke:#57606a;fill:none}"
)
_HEADS = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#57606a"/></marker>'
)


def svg(root: Box) -> str:
    """Return the picture."""
    width, height = _whole(root)
    right, bottom = f"{width + 2 * _PAD:.0f}", f"{height + 2 * _PAD:.0f}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {bottom}" width="{right}" height="{bottom}">',
        f"<style>{_STYLE}</style><defs>{_HEADS}</defs>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *_draw(root, _PAD, _PAD),
        "</svg>",
    ]
    return "".join(f"{line}\n" for line in lines)


# Sizes: of a box alone (`_body`), and with its callbacks (`_whole`).


def _whole(box: Box) -> _Size:
    width, height = _body(box)
    called = [_whole(callback) for callback in (*box.on_success, *box.on_error)]
    if not called:
        return width, height
    beside = sum(size[1] for size in called) + _GAP * (len(called) - 1)
    return width + _AWAY + max(size[0] for size in called), max(height, beside)


def _body(box: Box) -> _Size:
    widest = max(cell_len(_cut(box.name)), cell_len(_cut(box.note))) * _CELL + 2 * _PAD
    if not box.parts:
        return widest, (2 if box.note else 1) * _LINE + _PAD
    places = list(_places(box))
    right = max(x + _whole(part)[0] for part, x, _ in places)
    bottom = max(y + _whole(part)[1] for part, _, y in places)
    return max(widest, right + _PAD), bottom + _PAD


def _places(box: Box) -> Iterator[tuple[Box, float, float]]:
    """Yield each part, and where it is in its box."""
    x, y = float(_PAD), float(_HEAD)
    if box.kind == "chain":
        widest = max(_body(part)[0] for part in box.parts)
        for part in box.parts:
            yield part, x + (widest - _body(part)[0]) / 2, y
            y += _whole(part)[1] + _ARROW
        return
    tallest = 0.0
    for part in box.parts:
        width, height = _whole(part)
        if x > _PAD and x + width > _ROW:
            x, y, tallest = _PAD, y + tallest + _GAP, 0.0
        yield part, x, y
        x, tallest = x + width + _GAP, max(tallest, height)


def _draw(box: Box, x: float, y: float) -> Iterator[str]:
    width, height = _body(box)
    fill, line = COLOURS[box.status]
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6"'
    yield f"<g><title>{escape(f'{box.name}  {box.note}'.strip())}</title>"
    yield f'<rect {shape} fill="{fill}" fill-opacity="{0.35 if box.parts else 1}" stroke="{line}" stroke-width="1.5"/>'
    for number, (kind, text) in enumerate((("name", box.name), ("note", box.note)), start=1):
        place = f'x="{x + _PAD:.1f}" y="{y + number * _LINE + 1:.1f}"'
        yield f'<text class="{kind}" {place}>{escape(_cut(text))}</text>'
    yield "</g>"
    places = [(part, x + left, y + top) for part, left, top in _places(box)] if box.parts else []
    for part, left, top in places:
        yield from _draw(part, left, top)
    if box.kind == "chain":
        for (before, left, top), (after, next_left, next_top) in pairwise(places):
            middle = left + _body(before)[0] / 2
            yield _way(middle, top + _body(before)[1], next_left + _body(after)[0] / 2, next_top)
    below = y
    words = ["success"] * len(box.on_success) + ["error"] * len(box.on_error)
    for word, callback in zip(words, (*box.on_success, *box.on_error), strict=True):
        at = below + min(_body(callback)[1], height) / 2
        yield _way(x + width, at, x + width + _AWAY, at, dashed=True)
        yield f'<text class="note" x="{x + width + 9:.1f}" y="{at - 5:.1f}">{word}</text>'
        yield from _draw(callback, x + width + _AWAY, below)
        below += _whole(callback)[1] + _GAP


def _way(x: float, y: float, to_x: float, to_y: float, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<path class="way" d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" marker-end="url(#head)"{dashes}/>'


def _cut(text: str) -> str:
    return text if cell_len(text) <= _LONGEST else f"{set_cell_size(text, _LONGEST - 1).rstrip()}…"
