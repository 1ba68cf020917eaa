"""Local execution does what a server does: random trees as the reference model has them, and tests that were written
for a server, as they stand.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings

from mageflow_temporal import Mageflow, MageflowConfig
from tests.acceptance import test_semantics
from tests.acceptance.random_trees import runs
from tests.acceptance.reference_model import Json, Node
from tests.acceptance.test_reference_model import Stage, does_what_the_model_says
from tests.integration import test_callbacks, test_held_failures, test_living_swarms, test_map

EXAMPLES = int(os.environ.get("EXAMPLES", "60"))


@pytest.fixture(scope="module", params=[None, 10], ids=["in one run each", "in new runs all the time"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    logger = logging.getLogger("temporalio.activity")
    logger.disabled = True
    made = Stage(Mageflow(config=MageflowConfig(events_per_run=request.param)))
    async with made.mf.local_execution():
        yield made
    logger.disabled = False


@settings(max_examples=EXAMPLES // 2, deadline=None, print_blob=True)
@given(run=runs())
async def test_random_trees_do_what_the_reference_model_says(stage: Stage, run: tuple[Node, Json]) -> None:
    await does_what_the_model_says(stage, *run)


class LocalApp(Mageflow):
    """An app without a server: where a test starts a worker, local execution begins."""

    def worker(self, **options: Any) -> AbstractAsyncContextManager[None]:
        return self.local_execution(**options)


@pytest.fixture
def mf() -> Mageflow:
    return LocalApp()


NOT_HERE = {
    "test_each_sentence_that_is_told_elsewhere_has_its_test_there": "it is about the tests",
    "test_a_callback_that_waits_in_its_queue_is_pending": "no worker is missing here",
    "test_adds_that_come_at_the_same_time_share_updates_and_each_has_its_own_answer": "it looks when all is gone",
}
"""Tests of those modules that would say nothing of local execution, and why."""


def those_of(*modules: ModuleType) -> dict[str, Any]:
    named = {name: test for module in modules for name, test in vars(module).items() if name.startswith("test_")}
    return {name: test for name, test in named.items() if name not in NOT_HERE and callable(test)}


globals().update(those_of(test_semantics, test_callbacks, test_map, test_held_failures, test_living_swarms))
