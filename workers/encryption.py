"""Payloads that nobody can read on the Temporal server: compressed, then encrypted. To copy, or to learn from.

    mf = Mageflow(plugins=[encryption(keys, current="2026-03")])

Messages, results, checkpoints, errors and reasons leave the process in this form, and only processes that have the keys
can read them. What stays readable, because the server has to work with it: keys, the names of signatures, tasks and
queues, statuses, and the summaries in the Web UI. Do not put secrets into those.

Needs `pip install cryptography`.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.plugin import SimplePlugin

_ENCODING: Final = b"binary/encrypted"
_NONCE: Final = 12
"""Bytes: what AES-GCM takes. It must be new for each message under one key, so it is drawn at random."""


def encryption(keys: Mapping[str, bytes], *, current: str) -> SimplePlugin:
    """Return the plugin for `Mageflow(plugins=[...])`, in clients and workers alike.

    Args:
        keys: by name, each of 16, 24 or 32 bytes. Keep the old ones for as long as there is work of their time.
        current: the name of the one that encrypts.
    """
    converter = DataConverter(
        payload_codec=Encryption(keys, current),
        # An error's message and traceback are data, too.
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
    return SimplePlugin("encryption", data_converter=converter)


class Encryption(PayloadCodec):
    """Compresses and encrypts each payload, and says in its metadata with which key."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._current = current

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads as they go to the server."""
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads as they were; those that are not encrypted, from before there were keys, as they are."""
        return [
            self._decrypted(payload) if payload.metadata.get("encoding") == _ENCODING else payload
            for payload in payloads
        ]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce, name = os.urandom(_NONCE), self._current.encode()
        packed = zlib.compress(payload.SerializeToString())
        data = nonce + self._ciphers[self._current].encrypt(nonce, packed, name)
        return Payload(metadata={"encoding": _ENCODING, "key": name}, data=data)

    def _decrypted(self, payload: Payload) -> Payload:
        name = payload.metadata["key"]
        cipher = self._ciphers[name.decode()]
        packed = cipher.decrypt(payload.data[:_NONCE], payload.data[_NONCE:], name)
        return Payload.FromString(zlib.decompress(packed))
