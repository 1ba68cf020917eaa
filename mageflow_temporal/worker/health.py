"""Tells a supervisor over HTTP whether the worker lives and whether it is at work: what Kubernetes calls probes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from mageflow_temporal.errors import HealthPortError

_PATIENCE: Final = 5.0
"""Seconds for a question to arrive and its answer to leave. More than the worker waits for the server's."""


@asynccontextmanager
async def serve(port: int, obstacle: Callable[[], Awaitable[str | None]]) -> AsyncGenerator[None]:
    """Answer `GET /live` and `GET /ready` for as long as the context is open.

    Args:
        port: on all addresses of the machine, as the supervisor asks from outside.
        obstacle: what keeps the worker from taking up work now; `None` if nothing does.

    Raises:
        HealthPortError: the port is taken, or not allowed.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                # To the end of the question: closing a connection with something unread cuts off the answer.
                question = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(*await _verdict(question, obstacle)))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone, or speaks no HTTP: nobody is there to be told
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, port=port)
    except OSError as error:
        raise HealthPortError(port=port, cause=str(error)) from error
    try:
        yield
    finally:
        server.close()


async def _verdict(question: bytes, obstacle: Callable[[], Awaitable[str | None]]) -> tuple[HTTPStatus, str]:
    match question.split(b" ", 2)[:2]:
        case [b"GET", b"/live"]:
            # That the event loop came to answer is what was asked.
            return HTTPStatus.OK, "live"
        case [b"GET", b"/ready"]:
            found = await obstacle()
            return (HTTPStatus.SERVICE_UNAVAILABLE, found) if found else (HTTPStatus.OK, "ready")
        case _:
            return HTTPStatus.NOT_FOUND, "ask GET /live or GET /ready"


def _response(status: HTTPStatus, text: str) -> bytes:
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
