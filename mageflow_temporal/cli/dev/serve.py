"""The worker's process: `python -m mageflow_temporal.cli.dev.serve`, for `process.py` alone."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import typer
from temporalio.client import Client

from mageflow_temporal import Mageflow
from mageflow_temporal.cli import logs
from mageflow_temporal.cli.apps import load
from mageflow_temporal.cli.connection import complain
from mageflow_temporal.cli.exits import WRONG_USAGE


async def serve(app: Mageflow, target: str, namespace: str) -> None:
    """Run a worker for the app until standard input ends: our starter closes it, or is no more."""
    # Connected by hand: what the app or the profile say of TLS is meant for another server.
    client = await Client.connect(target, namespace=namespace)
    # Without grace: what runs is handed back, and goes on in the next worker, with the code that it was changed to.
    async with app.connected_to(client), app.worker(shutdown_grace=timedelta(0)):
        await asyncio.to_thread(sys.stdin.buffer.read)


def main(place: str, target: str, namespace: str) -> None:
    """Load the app, and serve it."""
    logs.log("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
    try:
        app = load(place)
    except typer.BadParameter as error:
        complain(f"mageflow dev: {error}")
        sys.exit(WRONG_USAGE)
    except typer.Exit as shown:
        sys.exit(shown.exit_code)
    asyncio.run(serve(app, target, namespace))


if __name__ == "__main__":
    main(*sys.argv[1:])
