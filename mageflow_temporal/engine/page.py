"""A page: a workflow that does nothing but keep what another could not carry, in its own input.

Whoever wants to read it reads the first event of its history, which takes no worker. It lives as long as the workflow
whose results it keeps, so that the server deletes both at about the same time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy

from mageflow_temporal import protocol

_LOOK_EVERY: Final = timedelta(days=1)
"""How often a page looks whether its owner is still there: one that was terminated has released nothing."""
_ASK_TIMEOUT: Final = timedelta(seconds=10)


@workflow.defn(name=protocol.PAGE_TYPE, sandboxed=False)
class PageWorkflow:
    """Keeps results of a swarm."""

    def __init__(self) -> None:
        self._released = False

    @workflow.signal(name=protocol.RELEASE, description="Its owner has ended.")
    def _release(self, *_payload: Any) -> None:
        self._released = True

    @workflow.run
    async def run(self, owner: str, _leaves: RawValue, _results: RawValue) -> None:  # raw: nobody here looks into them
        """Wait until the owner, a workflow ID, has ended."""
        while not self._released:
            try:
                await workflow.wait_condition(lambda: self._released, timeout=_LOOK_EVERY)
            except TimeoutError:
                is_open = await workflow.execute_local_activity(
                    protocol.IS_OPEN,
                    owner,
                    result_type=bool,
                    start_to_close_timeout=_ASK_TIMEOUT,
                    retry_policy=RetryPolicy(maximum_interval=_LOOK_EVERY),
                )
                self._released = not is_open
