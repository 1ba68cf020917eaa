"""Local execution does what a server does: the reference model's random trees, hundreds of them in seconds."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings

from mageflow_temporal import Mageflow, MageflowConfig
from tests.acceptance.random_trees import runs
from tests.acceptance.reference_model import Json, Node
from tests.acceptance.test_reference_model import Stage, does_what_the_model_says

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))


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
