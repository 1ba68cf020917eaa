"""How an app comes to its connection, and what it finds out about the server with it."""

from __future__ import annotations

import atexit
import re
import time
from collections.abc import Awaitable, Sequence
from functools import cache
from typing import Final, TypeVar

from temporalio.client import Client, Plugin
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.service import GrpcCompression, RPCError

from mageflow_temporal import errors
from mageflow_temporal.capabilities import Capabilities, capabilities, payload_limit
from mageflow_temporal.config import MageflowConfig
from mageflow_temporal.control import Control
from mageflow_temporal.line import Line
from mageflow_temporal.server import EmbeddedServer, runtime
from mageflow_temporal.silence import is_silence

_LAST_BREATH: Final = 0.03
"""Seconds that an interpreter that had a connection waits before it is torn down. A thread of the SDK that has just
answered its last call may still hold the interpreter then, and aborts it: a quarter of short scripts ended in SIGABRT
(measured; temporalio/sdk-python issue 300)."""

_DENIED: Final = re.compile(r'code: (Unauthenticated|PermissionDenied), message: "(?P<cause>.*?)", metadata')
"""In the text of the SDK's core: the server has answered its first call, and said no."""

_T = TypeVar("_T")


async def connect(target: str | Client | None, config: MageflowConfig, plugins: Sequence[Plugin]) -> Control:
    """Connect to a server.

    Args:
        target: see `Mageflow`.
        config: the app's.
        plugins: those of a connection that is made here.

    Raises:
        ServerUnavailableError: no server answers.
        ServerRefusedError: it does not let us in.
        ConfigurationError: Temporal's profile cannot be read.
    """
    _outlive_the_last_call()
    if not isinstance(target, Client):
        profile = _profile()
        profile["target_host"] = target or profile.get("target_host") or "localhost:7233"
        connecting = Client.connect(**profile, plugins=plugins)
        target = await _connected(connecting, profile["target_host"], profile.get("namespace") or "default")
    return Control(
        Line(target, config.task_queue),
        await _admitted(target),
        payload_limit=await payload_limit(target.data_converter),
        events_per_run=config.events_per_run,
    )


@cache
def _outlive_the_last_call() -> None:
    atexit.register(time.sleep, _LAST_BREATH)


async def to_embedded(server: EmbeddedServer, plugins: Sequence[Plugin]) -> Client:
    """Return a client of an embedded server.

    Raises:
        ServerUnavailableError: it does not answer.
    """
    return await _connected(
        Client.connect(
            server.target,
            namespace=server.namespace,
            grpc_compression=GrpcCompression.NONE,  # it saves bytes that no network carries
            runtime=runtime(),
            plugins=plugins,
        ),
        server.target,
        server.namespace,
    )


def _profile() -> ClientConnectConfig:
    try:
        return ClientConfig.load_client_connect_config()
    except (RuntimeError, OSError) as error:
        msg = f"Temporal's environment variables and profile cannot be used: {error}"
        raise errors.ConfigurationError(msg) from error


async def _connected(awaitable: Awaitable[_T], target: str, namespace: str) -> _T:
    try:
        return await awaitable
    except (RuntimeError, ValueError, RPCError) as error:
        # The SDK reports a refused connection as a bare RuntimeError, and an address that is none as a ValueError.
        if denied := _DENIED.search(str(error)):
            raise errors.ServerRefusedError(target=target, namespace=namespace, cause=denied["cause"]) from error
        raise errors.ServerUnavailableError(target=target, cause=str(error)) from error


async def _admitted(client: Client) -> Capabilities:
    target = client.service_client.config.target_host
    try:
        return await capabilities(client)
    except RPCError as error:
        if is_silence(error):
            raise errors.ServerUnavailableError(target=target, cause=str(error)) from error
        raise errors.ServerRefusedError(target=target, namespace=client.namespace, cause=str(error)) from error
