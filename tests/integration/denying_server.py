"""A server that answers every call with an error, as Temporal Cloud answers who has no right to call."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_SETTINGS, _HEADERS = 4, 1
_ACK, _END_OF_STREAM_AND_HEADERS = 1, 5
_PREFACE_SIZE, _HEAD_SIZE = 24, 9
_STATUS_200 = b"\x88"
"""In HPACK's static table."""


@asynccontextmanager
async def denying(grpc_status: int, message: str) -> AsyncGenerator[str]:
    """Serve for as long as the context is open, at the address that is given."""
    headers = {"content-type": "application/grpc", "grpc-status": str(grpc_status), "grpc-message": message}
    block = _STATUS_200 + b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers.items())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(_PREFACE_SIZE)
            writer.write(_frame(_SETTINGS, 0, 0))
            while True:
                head = await reader.readexactly(_HEAD_SIZE)
                await reader.readexactly(int.from_bytes(head[:3]))
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
                if kind == _SETTINGS and not flags & _ACK:
                    writer.write(_frame(_SETTINGS, _ACK, 0))
                if kind == _HEADERS:
                    writer.write(_frame(_HEADERS, _END_OF_STREAM_AND_HEADERS, stream, block))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + struct.pack(">I", stream) + payload
