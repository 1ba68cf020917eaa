"""A browser without a window on Temporal's Web UI, driven by what a person would press."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from playwright.async_api import Locator, Page, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOW_TO_GET_IT = "chromium is not installed: `make chromium` gets it on Debian and Ubuntu"
FLAGS = [
    "--no-sandbox",  # root, as in CI's container, gets none
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WIDTH = 1480
"""Pixels of the page."""
PATIENCE = 60_000
"""Milliseconds: a page takes two seconds, and on a busy machine ten times as long."""


@asynccontextmanager
async def browsing(ui_url: str) -> AsyncGenerator[WebUi]:
    """Open a browser for as long as the context is open."""
    assert CHROMIUM, HOW_TO_GET_IT
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            context = await chromium.new_context(viewport={"width": WIDTH, "height": 1300}, timezone_id="UTC")
            context.set_default_timeout(PATIENCE)
            yield WebUi(await context.new_page(), f"{ui_url}/namespaces/default")
        finally:
            await chromium.close()


class WebUi:
    """The Web UI, as it stands on the screen."""

    def __init__(self, page: Page, namespace_url: str) -> None:
        self.page = page
        self._url = namespace_url

    def visible(self, test_id: str) -> Locator:
        """Return what has that ID and can be seen: menus are on the page twice, once for narrow screens."""
        return self.page.locator(f'[data-testid="{test_id}"]:visible')

    async def list(self) -> None:
        """Open the list of workflows."""
        await self.page.goto(f"{self._url}/workflows")
        await self.visible("workflows-summary-configurable-table-row").first.wait_for()

    async def add_columns(self, *names: str) -> None:
        """Add columns to the list, and take out what leaves them no room."""
        await self.visible("workflows-summary-table-configuration-button").click()
        for name in names:
            await self.page.get_by_role("button", name=f"Add {name} column").click()
        for name in ("Run ID", "End"):
            await self.page.get_by_role("button", name=f"Remove {name} column").click()
        await self.page.reload()  # the drawer covers the half of it
        await self.visible("workflows-summary-configurable-table-row").first.wait_for()

    async def rows(self) -> dict[str, str]:
        """Return the text of each row of the list, by the workflow's ID."""
        texts = await self.visible("workflows-summary-configurable-table-row").all_inner_texts()
        return {line.split()[2]: line for line in (" ".join(text.split()) for text in texts)}

    async def schedules(self) -> str:
        """Open the list of schedules, and return its text."""
        await self.page.goto(f"{self._url}/schedules")
        table = self.page.get_by_role("table")
        await table.get_by_role("link").first.wait_for()
        return await table.inner_text()

    async def open(self, key: str) -> None:
        """Open the page of a workflow, with its timeline."""
        await self.page.goto(f"{self._url}/workflows/{key}")
        await self.page.get_by_text(re.compile(r"(step|item) \d+ of \d+")).first.wait_for()

    async def timeline(self) -> list[str]:
        """Return the labels of the timeline of the workflow whose page is open."""
        labels = await self.page.get_by_role("listitem").filter(has=self.page.get_by_role("button")).all_inner_texts()
        return [" ".join(label.split()) for label in labels]

    async def metadata(self) -> tuple[str, str, str]:
        """Open the tab User Metadata, and return the texts of the summary, the details and the current details."""
        await self.visible("user-metadata-tab").click()
        texts: list[str] = []
        for part in ("summary", "details", "current-details"):
            body = self.page.frame_locator(f"#user-metadata-{part}").locator("body")
            await body.get_by_text(re.compile(r"\w")).first.wait_for()
            texts.append(_squeezed(await body.inner_text()))
        summary, details, current = texts
        return summary, details, current

    async def signals(self) -> dict[str, str]:
        """Open the dialog "Send a Signal", and return what it says of each signal."""
        return await self._ask("signal")

    async def updates(self) -> dict[str, str]:
        """Open the dialog "Send an Update", and return what it says of each update."""
        return await self._ask("update")

    async def _ask(self, what: str) -> dict[str, str]:
        await self.page.get_by_role("button", name="More Actions").click()
        await self.visible(f"{what}-button").click()
        await self.visible(f"{what}-select-button").click()
        options = self.page.get_by_role("option").filter(visible=True)
        await options.get_by_text("suspend", exact=True).wait_for()
        lines = [text.strip().splitlines() for text in await options.all_inner_texts()]
        return {name: " ".join(" ".join(description).split()) for name, *description in lines}

    async def choose(self, name: str, data: str = "") -> None:
        """Choose a signal or update in the dialog that is open, and type what it is given."""
        option = self.page.get_by_role("option").filter(visible=True)
        await option.filter(has=self.page.get_by_text(name, exact=True)).click()
        if data:
            await self.page.get_by_role("textbox", name="Data").filter(visible=True).click()
            await self.page.keyboard.insert_text(data)
            # Left alone, the field grows to what is in it, and the button moves away from under a click.
            await self.page.keyboard.press("Tab")

    async def submit(self) -> None:
        """Press the button of the dialog that is open, and wait until it has closed."""
        dialog = self.page.get_by_role("dialog").filter(visible=True)
        await dialog.get_by_role("button", name="Submit").click()
        await dialog.wait_for(state="hidden")


def _squeezed(text: str) -> str:
    """Return the lines that have a word, each without what only sets it apart."""
    return "\n".join(squeezed for line in text.splitlines() if (squeezed := " ".join(line.split())))
