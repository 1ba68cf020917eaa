"""Requests that come while another is on its way go together in the next one. Outside the workflow.

The server takes ten updates of one workflow at a time, and refuses or aborts the eleventh; and a description of a
workflow is as long as the list of what runs in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

_RequestT = TypeVar("_RequestT")
_AnswerT = TypeVar("_AnswerT")

_MOST: Final = 1_000
"""Requests in one batch."""
_MOST_BYTES: Final = 1_000_000
"""What they have together, unless the first alone has more: a payload is at most 2 MiB."""


class Batch(Generic[_RequestT, _AnswerT]):
    """Collects requests, and sends those that have come by the time that the last ones are answered.

    Args:
        send: sends requests and returns their answers in the same order.
        size: returns how many bytes of JSON a request has.
    """

    def __init__(
        self, send: Callable[[Sequence[_RequestT]], Awaitable[Sequence[_AnswerT]]], size: Callable[[_RequestT], int]
    ) -> None:
        self._send = send
        self._size = size
        self._waiting: list[tuple[_RequestT, asyncio.Future[_AnswerT]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, request: _RequestT) -> _AnswerT:
        """Return the answer to a request. Raises what its sending raises."""
        answer: asyncio.Future[_AnswerT] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await answer

    async def _send_all(self) -> None:
        while batch := self._next():
            try:
                answers = await self._send([request for request, _ in batch])
            except Exception as error:  # noqa: BLE001 - it is raised where the answers are awaited
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(error)
            else:
                for (_, waiting), answer in zip(batch, answers, strict=True):
                    if not waiting.done():
                        waiting.set_result(answer)
        self._sending = None

    def _next(self) -> list[tuple[_RequestT, asyncio.Future[_AnswerT]]]:
        """Take the requests that go together next. Those whose callers have gone are dropped: nobody knows of them."""
        waiting = [(request, answer) for request, answer in self._waiting if not answer.done()]
        number = size = 0
        for request, _ in waiting[:_MOST]:
            size += self._size(request)
            if number and size > _MOST_BYTES:
                break
            number += 1
        self._waiting = waiting[number:]
        return waiting[:number]
