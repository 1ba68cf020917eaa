"""A Temporal plugin: gives a user's own worker what ours has, and lets his own workflows start signatures.

Outside the workflow, and beside `worker/service.py`, which makes our own worker.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from typing import Any, Final, Protocol, cast

from temporalio.client import Client
from temporalio.plugin import SimplePlugin
from temporalio.worker import (
    Interceptor,
    ReplayerConfig,
    Worker,
    WorkerConfig,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from mageflow_temporal import child, errors
from mageflow_temporal.config import MageflowConfig
from mageflow_temporal.control import Control
from mageflow_temporal.engine import WORKFLOWS
from mageflow_temporal.execution import Terms
from mageflow_temporal.task import Registry
from mageflow_temporal.worker import TaskInterceptor, service
from mageflow_temporal.worker.runner import Runner

_PLACES: Final = 10_000
"""Threads, and processes, that there may be at the most. What limits them is how many activities the worker takes."""

_HURRY: Final = {
    # What makes an interrupt and a lost worker quick. What the user has changed from Temporal's default stays so.
    "sticky_queue_schedule_to_start_timeout": service.STICKY_TIMEOUT,
    # A worker is made before its server can be asked whether it pushes cancellations.
    "max_heartbeat_throttle_interval": service.PULLED_THROTTLE,
    "default_heartbeat_throttle_interval": service.PULLED_THROTTLE,
}

_FAIL_THE_WORKFLOW: Final = (
    errors.OutcomeError,
    errors.InvalidMessageError,
    errors.NotSerializableError,
    errors.PayloadTooLargeError,
    errors.SignatureAlreadyStartedError,
)
"""What a user's workflow fails with where it does not catch it. Our other errors are those of code or of a deployment:
they fail the workflow task, which is repeated until they are put right."""


class ServedApp(Protocol):
    """What the plugin needs of an app."""

    tasks: Registry
    config: MageflowConfig

    def serving(self, client: Client) -> AbstractAsyncContextManager[Control]:
        """Let what runs within the context use the connection of a worker."""
        ...


class MageflowPlugin(SimplePlugin):
    """Makes a `temporalio` worker one for an app's signatures and tasks, too. Make it with `Mageflow.plugin()`."""

    def __init__(self, app: ServedApp) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - the SDK's own annotation
            "mageflow_temporal",
            workflows=lambda theirs: _with(theirs, WORKFLOWS),
            workflow_runner=_with_a_pass,
            workflow_failure_exception_types=_FAIL_THE_WORKFLOW,
        )
        self._app = app

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Add the app to a worker. A worker that has it through its client is left as it is."""
        if self._seats(config):
            return config
        settings = cast("dict[str, Any]", super().configure_worker(config))
        seat = _Seat(self._app)
        runner = Runner(seat.executor, _PLACES)
        tasks = [runner.activity(task) for task in self._app.tasks if task.function]
        settings["activities"] = [*_with(settings["activities"], service.ACTIVITIES), *tasks]
        settings["interceptors"] = [*settings["interceptors"], seat, TaskInterceptor()]
        temporals = inspect.signature(cast("Any", Worker).__init__).parameters
        settings |= {name: ours for name, ours in _HURRY.items() if settings[name] == temporals[name].default}
        return cast("WorkerConfig", settings)

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """Ask the server what it can do, then let the worker run."""
        [seat] = self._seats(worker.config(active_config=True))
        async with AsyncExitStack() as stack:
            stack.callback(seat.executor.shutdown, wait=False, cancel_futures=True)
            try:
                control = await stack.enter_async_context(self._app.serving(worker.client))
            except Exception:
                # `async with Worker(...)` waits for ever for the end of a worker that has not begun: so it begins, and
                # ends at once.
                stopping = asyncio.create_task(worker.shutdown())
                await next(worker)
                await stopping
                raise
            seat.terms = control.terms
            await next(worker)

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """Let a replayer replay workflows that start signatures, and signatures."""
        config = super().configure_replayer(config)
        config["interceptors"] = [*config.get("interceptors", ()), _Seat(self._app)]
        return config

    def _seats(self, config: WorkerConfig) -> list[_Seat]:
        interceptors = cast("dict[str, Any]", config)["interceptors"]
        return [one for one in interceptors if isinstance(one, _Seat) and one.app is self._app]


class _Seat(Interceptor):
    """An app's place in one worker. It intercepts nothing: that is how a worker's facts come into its sandbox.

    Attributes:
        app: the app.
        executor: for the threads of its `def` tasks.
        terms: on what terms workflows of this worker start signatures. The server has the last word when it starts.
    """

    def __init__(self, app: ServedApp) -> None:
        self.app = app
        self.executor = ThreadPoolExecutor(_PLACES, thread_name_prefix="mageflow-task")
        self.terms = Terms(app.config.task_queue)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        child.tell(cast("Any", input).unsafe_extern_functions, lambda: self.terms)
        return None


def _with(theirs: Sequence[Any] | None, ours: Sequence[Any]) -> list[Any]:
    """Return both, each once: plugins of several apps may come together in one worker."""
    given = list(theirs or ())
    return [*given, *(one for one in ours if one not in given)]


def _with_a_pass(runner: WorkflowRunner | None) -> WorkflowRunner:
    """Return a runner whose sandbox, if it has one, takes this package as it is instead of importing it anew."""
    runner = runner or SandboxedWorkflowRunner()
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    return replace(runner, restrictions=runner.restrictions.with_passthrough_modules("mageflow_temporal"))
