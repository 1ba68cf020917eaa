"""Reads the pages in which a swarm's results are that are more than one payload. Outside the workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from temporalio.client import Client

from mageflow_temporal import errors
from mageflow_temporal.protocol import Leaf, Paged

_AT_ONCE: Final = 8
"""Pages that are read at once: each is up to 2 MiB."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An item that is done, as a page keeps it."""

    leaf: Leaf
    result: Any


async def read(client: Client, ids: Sequence[str]) -> dict[int, Kept]:
    """Return the items that the pages of these IDs keep, by their indexes.

    Raises:
        MissingSignatureError: the server has no such page.
        temporalio.service.RPCError: the server did not answer.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(page_id: str) -> list[Kept]:
        async with places:
            return await _page(client, page_id)

    return {kept.leaf.index: kept for page in await asyncio.gather(*map(one, ids)) for kept in page}


async def unfold(client: Client, value: Any) -> Any:
    """Return a message or result, with the results in the place of what stands for them.

    Raises: what `read` raises.
    """
    if paged := Paged.of(value):
        results = dict(paged.rest) | {index: kept.result for index, kept in (await read(client, paged.pages)).items()}
        return [await unfold(client, results[index]) for index in sorted(results)]
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [await unfold(client, item) if isinstance(item, list | dict) else item for item in items]
    return value


async def unfold_message(client: Client, message: Any) -> Any:
    """Return a message, with the results in the place of what stands for them in one of its fields.

    Raises: what `read` raises.
    """
    if not isinstance(message, dict):
        return message
    return {name: await unfold(client, value) for name, value in cast("dict[str, Any]", message).items()}


async def _page(client: Client, page_id: str) -> list[Kept]:
    # The first event has the input, and to read it takes no worker.
    async for event in client.get_workflow_handle(page_id).fetch_history_events(page_size=1):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        _, leaves, results = await client.data_converter.decode(payloads)
        known = [Leaf.model_validate(leaf) for leaf in leaves]
        return [Kept(*pair) for pair in zip(known, results if len(known) > 1 else [results], strict=True)]
    raise errors.MissingSignatureError(key=page_id)
