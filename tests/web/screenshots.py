"""`make screenshots`: the pictures of docs/web-ui.md."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from playwright.async_api import FloatRect

from tests.web.browser import WIDTH, WebUi, browsing
from tests.web.gallery import gallery

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MENU = 255
"""Pixels: the menu at the left is the same on each page."""


async def main() -> None:
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)  # the tasks that fail are meant to
    IMAGES.mkdir(exist_ok=True)
    async with gallery() as server, browsing(str(server.ui_url)) as ui:
        await ui.list()
        await ui.add_columns("MageflowName", "MageflowStatus")
        await take(ui, "list", top=60, height=450)
        for key, picture in {"digitise-walden": "timeline-interrupted", "digitise-notes": "timeline-failed"}.items():
            await ui.open(key)
            heading = await ui.page.get_by_role("heading", name="Timeline").bounding_box()
            assert heading
            await take(ui, picture, top=int(heading["y"]) - 20, height=380)
        for key, picture in {
            "digitise-moby-dick": "details-running",
            "digitise-ulysses": "details-suspended",
            "read-atlas": "details-swarm",
        }.items():
            await ui.open(key)
            await ui.metadata()
            tabs = await ui.visible("user-metadata-tab").bounding_box()
            assert tabs
            await take(ui, picture, top=int(tabs["y"]) - 10, height=680)
        await ui.open("digitise-ulysses")
        await ui.signals()
        await ui.page.get_by_role("dialog").filter(visible=True).screenshot(path=IMAGES / "signal.png")
        await ui.choose("interrupt", '{"target": "1.3", "reason": "stuck"}')
        await ui.page.get_by_role("dialog").filter(visible=True).screenshot(path=IMAGES / "signal-data.png")


async def take(ui: WebUi, name: str, *, top: int, height: int) -> None:
    """Save a picture of the page, without the menu."""
    clip: FloatRect = {"x": MENU, "y": top, "width": WIDTH - MENU, "height": height}
    await ui.page.screenshot(path=IMAGES / f"{name}.png", clip=clip, animations="disabled")


if __name__ == "__main__":
    asyncio.run(main())
