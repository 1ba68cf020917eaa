"""The pytest plugin: fixtures. pytest loads it by itself where the package is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig
from mageflow_temporal.testing.session import serving
from mageflow_temporal.testing.skipping import SkippingStage
from mageflow_temporal.testing.stage import LocalStage, Stage, new_queue

# No fixture is a coroutine, so the plugin works with each mode of pytest-asyncio, and with other plugins of its kind.


@pytest.fixture(scope="session")
def mageflow_server() -> Iterator[EmbeddedServer]:
    """An embedded Temporal server in memory, for all tests of the session."""
    with serving() as running:
        yield running


@pytest.fixture
def mageflow_test(mageflow_server: EmbeddedServer) -> Stage:
    """Where the test's apps run: `async with mageflow_test.running(app) as run: ...`."""
    return Stage(mageflow_server)


@pytest.fixture
def mageflow_app(mageflow_server: EmbeddedServer) -> Mageflow:
    """An app without tasks, on the session's server and on a queue of its own."""
    return Mageflow(mageflow_server.target, config=MageflowConfig(task_queue=new_queue()))


@pytest.fixture
def mageflow_local() -> LocalStage:
    """Where the test's apps run without a server: `async with mageflow_local.running(app) as run: ...`."""
    return LocalStage()


@pytest.fixture
def mageflow_time_skipping() -> SkippingStage:
    """Where the test's apps run on a server that skips time: `async with mageflow_time_skipping.running(app): ...`."""
    return SkippingStage()
