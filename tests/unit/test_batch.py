"""Requests that come together go together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mageflow_temporal.batch import Batch


class Far:
    """Answers each request with its double, once its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.sent: list[list[int]] = []

    @staticmethod
    def size(request: int) -> int:
        return 10_000 * request

    async def answer(self, requests: Sequence[int]) -> Sequence[int]:
        self.sent.append(list(requests))
        await self.gate.wait()
        if 13 in requests:
            raise ValueError("thirteen")
        return [2 * request for request in requests]


async def test_what_comes_while_one_is_on_its_way_goes_in_the_next() -> None:
    far = Far()
    batch = Batch(far.answer, far.size)
    asking = [asyncio.create_task(batch.ask(number)) for number in range(3)]
    await asyncio.sleep(0)
    asking += [asyncio.create_task(batch.ask(number)) for number in range(3, 6)]
    far.gate.set()
    assert await asyncio.gather(*asking) == [0, 2, 4, 6, 8, 10]
    assert await batch.ask(6) == 12
    assert [number for sent in far.sent for number in sent] == list(range(7))
    assert len(far.sent) == 3


async def test_a_caller_that_goes_away_takes_nobodys_answer_along() -> None:
    far = Far()
    batch = Batch(far.answer, far.size)
    first, second = (asyncio.create_task(batch.ask(number)) for number in (1, 2))
    await asyncio.sleep(0)
    first.cancel()
    far.gate.set()
    assert await second == 4


async def test_what_goes_wrong_is_raised_where_it_was_asked_and_the_next_goes_on() -> None:
    far = Far()
    far.gate.set()
    batch = Batch(far.answer, far.size)
    unlucky = await asyncio.gather(batch.ask(13), batch.ask(1), return_exceptions=True)
    assert [str(error) for error in unlucky] == ["thirteen", "thirteen"]
    with pytest.raises(ValueError, match="thirteen"):
        await batch.ask(13)
    assert await batch.ask(1) == 2


async def test_a_batch_is_as_large_as_a_payload_can_be_and_one_that_is_larger_goes_alone() -> None:
    far = Far()
    batch = Batch(far.answer, lambda number: 100_000 * number)
    asking = [asyncio.create_task(batch.ask(number)) for number in (1, 6, 4, 3, 20, 5)]
    far.gate.set()
    assert await asyncio.gather(*asking) == [2, 12, 8, 6, 40, 10]
    assert far.sent == [[1, 6], [4, 3], [20], [5]]


async def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    far = Far()
    batch = Batch(far.answer, far.size)
    first, second, third = (asyncio.create_task(batch.ask(number)) for number in (1, 2, 3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late = asyncio.create_task(batch.ask(4))
    await asyncio.sleep(0)
    late.cancel()
    far.gate.set()
    await asyncio.gather(first, second, third)
    assert await batch.ask(5) == 10
    assert [number for sent in far.sent for number in sent] == [1, 2, 3, 5]
