"""One embedded Temporal server for the session; an app with a task queue of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig
from mageflow_temporal import server as embedded_server
from tests.support import Ledger


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[EmbeddedServer]:
    async with embedded_server.run(ui=False) as running:
        yield running


@pytest.fixture
def mf(server: EmbeddedServer) -> Mageflow:
    return Mageflow(server.target, config=MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}"))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()
