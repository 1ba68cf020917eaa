"""Runs activities as a worker does, and says of each whether it was taken up."""

from __future__ import annotations

import asyncio
import contextvars
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from temporalio import common, worker
from temporalio.activity import ActivityCancellationDetails, Info, info
from temporalio.api.common.v1 import ActivityType, Payload, Payloads
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import ActivityFailureInfo, CanceledFailureInfo, Failure, TimeoutFailureInfo
from temporalio.bridge.proto.activity_result import ActivityResolution, Cancellation, Success
from temporalio.bridge.proto.activity_result import Failure as Failed
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ActivityOutboundInterceptor, ExecuteActivityInput

Function = Callable[..., Awaitable[Any]]

_GRACE: Final = timedelta(seconds=0.1)
"""How much later than the worker we notice that an attempt took too long: the worker knows the last checkpoint."""
_STARTED_EVENT: Final = 1
"""Any ID of an event: it tells the engine that the activity was taken up."""


@dataclass(frozen=True)
class Ask:
    """What a workflow asks for when it schedules an activity."""

    id: str
    type: str
    arguments: Sequence[Payload]
    workflow_id: str
    workflow_type: str
    run_id: str
    schedule_to_start: timedelta | None
    start_to_close: timedelta | None
    heartbeat_timeout: timedelta | None
    is_local: bool


class Activity:
    """An activity on its way.

    Attributes:
        ask: what was asked for.
        token: what it is called among all.
        started: when it was taken up, in real time. `None`: it was not yet.
        paused: whether it is kept from being taken up.
        cancel_requested: whether its code was told to stop.
    """

    def __init__(self, ask: Ask, resolve: Callable[[ActivityResolution], None]) -> None:
        self.ask = ask
        self.token = uuid.uuid4().bytes
        self.started: datetime | None = None
        self.paused = False
        self.cancel_requested = False
        self.environment: _Environment | None = None
        self.timeout: asyncio.TimerHandle | None = None
        self.checkpoint: Sequence[Any] = ()
        self._resolve: Callable[[ActivityResolution], None] | None = resolve

    def resolve(self, resolution: ActivityResolution) -> None:
        """Say what became of it: the first word counts."""
        if self.timeout:
            self.timeout.cancel()
        resolve, self._resolve = self._resolve, None
        if resolve:
            resolve(resolution)

    def failed(self, cause: Failure) -> ActivityResolution:
        """Return that it failed, in Temporal's form."""
        return ActivityResolution(failed=Failed(failure=self._failure(cause)))

    def cancelled(self) -> ActivityResolution:
        """Return that it was cancelled, in Temporal's form."""
        cause = Failure(message="Cancelled", canceled_failure_info=CanceledFailureInfo())
        return ActivityResolution(cancelled=Cancellation(failure=self._failure(cause)))

    def _failure(self, cause: Failure) -> Failure:
        info = ActivityFailureInfo(
            activity_id=self.ask.id,
            activity_type=ActivityType(name=self.ask.type),
            started_event_id=_STARTED_EVENT if self.started else 0,
        )
        return Failure(message="Activity task failed", activity_failure_info=info, cause=cause)


class Activities:
    """Those on their way, and those that run.

    Args:
        functions: what is executed, by the name of the activity.
        client: what the functions get for a client.
        interceptors: of the worker.
        limit: how many run at once; those of the engine's own come on top.
        on_change: is called when one has ended.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        client: Client,
        interceptors: Sequence[worker.Interceptor],
        limit: int,
        on_change: Callable[[], None],
    ) -> None:
        self._functions = functions
        self._client = client
        self._interceptors = interceptors
        self._limit = limit
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        """What code starts with: it may be an activity's code that has led to the next one."""
        self._queued: dict[Activity, None] = {}
        self._running: dict[Activity, asyncio.Task[None]] = {}

    def running(self) -> Iterator[bytes]:
        """Yield the tokens of those that run."""
        return (activity.token for activity in self._running)

    def schedule(self, ask: Ask, resolve: Callable[[ActivityResolution], None]) -> Activity:
        """Put an activity into the queue, and let it begin as soon as there is room."""
        activity = Activity(ask, resolve)
        if ask.is_local:
            self._start(activity)
            return activity
        self._queued[activity] = None
        if ask.schedule_to_start:
            activity.timeout = self._later(
                ask.schedule_to_start, self._timed_out, activity, TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START
            )
        self._fill()
        return activity

    def cancel(self, activity: Activity) -> None:
        """Cancel an activity: at once if it was not taken up, else its code is told."""
        activity.cancel_requested = True
        if activity.environment:
            activity.environment.cancel()
        else:
            self._queued.pop(activity, None)
            activity.resolve(activity.cancelled())

    def give_up(self, activity: Activity) -> None:
        """Let an activity of a workflow that has ended stop, if it can."""
        activity.resolve(activity.cancelled())
        self._queued.pop(activity, None)
        if activity.environment:
            activity.environment.cancel(_details(not_found=True))

    def pause(self, activity: Activity) -> None:
        """Keep an activity from being taken up."""
        activity.paused = True
        self._queued.pop(activity, None)

    def unpause(self, activity: Activity) -> None:
        """Let it be taken up."""
        activity.paused = False
        if not activity.started:
            self._queued[activity] = None
            self._fill()

    async def stop(self) -> None:
        """Stop all that run as a worker does that shuts down, and wait until they have ended."""
        self._queued.clear()
        for activity in self._running:
            assert activity.environment
            activity.environment.worker_shutdown()
            activity.environment.cancel(_details(worker_shutdown=True))
        await asyncio.gather(*self._running.values())

    def _fill(self) -> None:
        while self._queued and len(self._running) < self._limit:
            activity = next(iter(self._queued))
            del self._queued[activity]
            if activity.timeout:
                activity.timeout.cancel()
            self._start(activity)

    def _start(self, activity: Activity) -> None:
        activity.started = datetime.now(UTC)
        activity.environment = environment = _Environment(activity, self._client)
        if activity.ask.start_to_close:
            activity.timeout = self._later(
                activity.ask.start_to_close + _GRACE,
                self._timed_out,
                activity,
                TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE,
            )
        running = self._loop.create_task(self._execute(activity, environment), context=self._context.copy())
        self._running[activity] = running

    async def _execute(self, activity: Activity, environment: _Environment) -> None:
        converter = self._client.data_converter
        try:
            function = self._functions.get(activity.ask.type, _unknown)
            arguments = await converter.decode(activity.ask.arguments)
            result = await environment.run(self._intercepted(function, environment), *arguments)
            [payload] = await converter.encode([result])
            resolution = ActivityResolution(completed=Success(result=payload))
        except asyncio.CancelledError:
            resolution = activity.cancelled()
        except Exception as error:  # noqa: BLE001 - whatever a task's code may raise
            failure = Failure()
            await converter.encode_failure(error, failure)
            resolution = activity.failed(failure)
        del self._running[activity]
        activity.resolve(resolution)
        self._fill()
        self._on_change()

    def _intercepted(self, function: Function, environment: _Environment) -> Function:
        inbound: ActivityInboundInterceptor = _Innermost(environment)
        for interceptor in reversed(self._interceptors):
            inbound = interceptor.intercept_activity(inbound)
        inbound.init(environment.outbound)

        async def run(*arguments: Any) -> Any:
            return await inbound.execute_activity(ExecuteActivityInput(function, arguments, None, {}))

        return run

    def _timed_out(self, activity: Activity, kind: TimeoutType.ValueType) -> None:
        self._queued.pop(activity, None)
        details = self._client.data_converter.payload_converter.to_payloads(activity.checkpoint)
        info = TimeoutFailureInfo(timeout_type=kind, last_heartbeat_details=Payloads(payloads=details))
        activity.resolve(activity.failed(Failure(message="activity timeout", timeout_failure_info=info)))
        if activity.environment:
            activity.environment.cancel(_details(timed_out=True))

    def _later(self, pause: timedelta, *call: Any) -> asyncio.TimerHandle:
        return self._loop.call_later(pause.total_seconds(), *call)


class _Environment(ActivityEnvironment):
    """Temporal's own environment, in which what code asks of `temporalio.activity` passes the interceptors.

    Attributes:
        outbound: the first of those.
    """

    def __init__(self, activity: Activity, client: Client) -> None:
        self.outbound: ActivityOutboundInterceptor = _Outermost(activity, _info(activity, client))
        super().__init__(client)
        self.payload_converter = client.data_converter.payload_converter
        self.on_heartbeat = self._heartbeat

    @property
    def info(self) -> Info:  # pyright: ignore[reportIncompatibleVariableOverride] - asked for each time: the answer is the interceptors'
        return self.outbound.info()

    @info.setter
    def info(self, value: Info) -> None:
        """Temporal's environment begins with one that says nothing."""

    def _heartbeat(self, *details: Any) -> None:
        self.outbound.heartbeat(*details)


class _Innermost(ActivityInboundInterceptor):
    """The end of the line inwards: it calls the function."""

    def __init__(self, environment: _Environment) -> None:
        """There is no next one."""
        self._environment = environment

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self._environment.outbound = outbound

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        return await input.fn(*input.args)


class _Outermost(ActivityOutboundInterceptor):
    """The end of the line outwards: it answers."""

    def __init__(self, activity: Activity, info: Info) -> None:
        """There is no next one."""
        self._activity = activity
        self._info = info

    def info(self) -> Info:
        return self._info

    def heartbeat(self, *details: Any) -> None:
        self._activity.checkpoint = details


def _details(**details: bool) -> ActivityCancellationDetails:
    return ActivityCancellationDetails(**details)


async def _unknown(*_arguments: Any) -> Any:
    # The words of the SDK's worker, by which the engine knows the case.
    msg = f"Activity function {info().activity_type} is not registered on this worker"
    raise ApplicationError(msg, type="NotFoundError")


def _info(of: Activity, client: Client) -> Info:
    ask, now = of.ask, datetime.now(UTC)
    return Info(
        activity_id=ask.id,
        activity_type=ask.type,
        attempt=1,
        current_attempt_scheduled_time=now,
        heartbeat_details=[],
        heartbeat_timeout=ask.heartbeat_timeout,
        is_local=ask.is_local,
        namespace=client.namespace,
        schedule_to_close_timeout=None,
        scheduled_time=now,
        start_to_close_timeout=ask.start_to_close,
        started_time=now,
        task_queue="local",
        task_token=of.token,
        workflow_id=ask.workflow_id,
        workflow_namespace=client.namespace,
        workflow_run_id=ask.run_id,
        workflow_type=ask.workflow_type,
        priority=common.Priority.default,
        retry_policy=None,
        activity_run_id=None,
    )
