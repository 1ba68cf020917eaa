"""One server with its Web UI, and one browser."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from tests.web.browser import CHROMIUM, HOW_TO_GET_IT, WebUi, browsing
from tests.web.gallery import gallery


@pytest.fixture(scope="package")
async def web_ui() -> AsyncIterator[WebUi]:
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip(HOW_TO_GET_IT)
    async with gallery() as server, browsing(str(server.ui_url)) as ui:
        yield ui
