"""`mageflow worker` and `mageflow run`: a user's app, imported."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Annotated, Any

import typer
from pydantic_core import to_json
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from mageflow_temporal import Mageflow, MageflowConfig
from mageflow_temporal.cli import completion, logs
from mageflow_temporal.cli.apps import load
from mageflow_temporal.cli.connection import Address, Namespace, choose_server, complain, on_queue, parsed, run


def worker(
    app: Annotated[str, typer.Argument(help="The app: module, or module:attribute where it has several.")],
    *,
    concurrency: Annotated[int, typer.Option(help="How many tasks run at once on each queue.", min=1)] = 100,
    grace: Annotated[float, typer.Option(help="Seconds that running tasks have when it is stopped.", min=0)] = 10.0,
    task_queue: Annotated[
        list[str] | None,
        typer.Option(help="A queue to listen on; may be repeated.", show_default="the app's, and those of its tasks"),
    ] = None,
    health: Annotated[
        int | None, typer.Option(help="A port that answers GET /live and GET /ready, for probes.", min=1, max=65535)
    ] = None,
    metrics: Annotated[
        int | None, typer.Option(help="A port that answers GET /metrics, for Prometheus.", min=1, max=65535)
    ] = None,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Run a worker until SIGINT or SIGTERM; then it lets its tasks end, and the exit code is 0."""
    choose_server(address, namespace)
    for queue in task_queue or ():
        on_queue(MageflowConfig(), queue)  # which refuses what cannot be one
    if metrics:
        _serve_metrics(metrics)
    made = load(app).worker(
        task_queues=task_queue or None,
        max_concurrent_tasks=concurrency,
        shutdown_grace=timedelta(seconds=grace),
        health=health,
    )

    async def work() -> int:
        await made.run()
        return 0

    logs.log("%(asctime)s %(levelname)s %(name)s: %(message)s")
    run("worker", work(), quiet=False)


def _serve_metrics(port: int) -> None:
    """Let the connections of this process share a runtime that has metrics, its units as Prometheus recommends."""
    served = PrometheusConfig(
        bind_address=f"0.0.0.0:{port}", counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )
    try:
        Runtime.set_default(Runtime(telemetry=TelemetryConfig(metrics=served)))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--metrics") from None


def run_task(
    task: Annotated[
        str,
        typer.Argument(
            help="The task: module:task, or module:attribute:task.", metavar="APP:TASK", autocompletion=completion.tasks
        ),
    ],
    *,
    message: Annotated[str | None, typer.Option(help="Its message, as JSON.", metavar="JSON")] = None,
    id: Annotated[str | None, typer.Option(help="Its key: what has been started once is not started again.")] = None,
    task_queue: Annotated[
        str | None, typer.Option(help="The queue of the workflows.", show_default="the app's")
    ] = None,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Start a task, wait for its end and print the result as JSON. The exit code is 1 if it failed.

    A worker has to listen. Ctrl-C ends the waiting, not the task.
    """
    choose_server(address, namespace)
    app, colon, name = task.rpartition(":")
    if not colon:
        msg = f"{task!r} names no task: write module:task"
        raise typer.BadParameter(msg, param_hint="APP:TASK")
    loaded = load(app)
    if task_queue is not None:
        loaded.config = on_queue(loaded.config, task_queue)
    run("run", _run(loaded, name, parsed(message, "--message"), id))


async def _run(app: Mageflow, name: str, message: Any, id: str | None) -> int:
    signature = await app.sign(name)
    known = id is not None and await app.load_signature(id) is not None
    await signature.start(message, id=id)
    complain(f"{signature.key} was started before; this message is not used" if known else f"started {signature.key}")
    result = await signature.result()
    sys.stdout.write(to_json(result, indent=2).decode() + "\n")
    return 0
