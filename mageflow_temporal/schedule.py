"""Schedules: a signature that the server starts again and again. Temporal's own Schedules; outside the workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import replace as changed
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeVar, cast, get_args
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict
from temporalio import client as temporal
from temporalio.service import RPCError, RPCStatusCode

from mageflow_temporal import errors, protocol
from mageflow_temporal.control import Control
from mageflow_temporal.handle import App
from mageflow_temporal.line import decoding_error
from mageflow_temporal.protocol import Memo
from mageflow_temporal.status import Kind

_T = TypeVar("_T")

Overlap = Literal["skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"]
"""What becomes of a run that is due while the one before it still runs, by Temporal's policies: it is left out; it
waits for the end of that run, alone or with others that come; that run is cancelled or terminated; both run."""

_SHORTEST: Final = timedelta(seconds=1)


class ScheduleReport(BaseModel):
    """What a schedule does, has done, and will do."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    """That of the signatures that it starts."""
    kind: Kind
    paused: bool
    note: str | None
    """Given with the last pause or unpause."""
    next_runs: list[datetime]
    """The next ten, in UTC. They are what the schedule says, also while it is paused."""
    running: list[str]
    """Keys of the signatures that run, as far as the schedule knows: not all of them where they may overlap."""
    recent: list[str]
    """Keys of the last ten that it started, the oldest first."""


class Schedule:
    """A schedule, found by its ID. What it starts are signatures like others: `load_signature` finds them.

    Attributes:
        id: its ID. The keys of its signatures are this and the time at which each was due.
        owner: the app that it belongs to.
    """

    def __init__(self, app: App, id: str) -> None:
        self.owner = app
        self.id = id

    def __repr__(self) -> str:
        return f"<Schedule {self.id!r}>"

    async def describe(self) -> ScheduleReport:
        """Return what it does, has done, and will do.

        Raises:
            MissingScheduleError: there is no such schedule.
            UnreadablePayloadError: it was made with a codec that this process does not have.
        """
        control = await self.owner.control()
        found = await self._call(self._handle(control).describe())
        action = found.schedule.action
        if not (isinstance(action, temporal.ScheduleActionStartWorkflow) and protocol.MEMO in (action.memo or {})):
            raise errors.MissingScheduleError(id=self.id)
        memo = cast("dict[str, Any]", action.memo)[protocol.MEMO]
        try:
            [facts] = await control.client.data_converter.decode([memo])
        except KeyError as error:
            raise decoding_error(error, self.id) from error
        return ScheduleReport(
            id=self.id,
            name=Memo.model_validate(facts).name,
            kind=protocol.KINDS[action.workflow],
            paused=found.schedule.state.paused,
            note=found.schedule.state.note,
            next_runs=list(found.info.next_action_times),
            running=[_key(run) for run in found.info.running_actions],
            recent=[_key(run.action) for run in found.info.recent_actions],
        )

    async def pause(self, note: str | None = None) -> None:
        """Start nothing until it is unpaused. What runs goes on.

        Args:
            note: kept in the report.

        Raises:
            MissingScheduleError: there is no such schedule.
        """
        await self._call(self._handle(await self.owner.control()).pause(note=note))

    async def unpause(self, note: str | None = None) -> None:
        """Go on. What was due meanwhile is not made up for.

        Args:
            note: kept in the report.

        Raises:
            MissingScheduleError: there is no such schedule.
        """
        await self._call(self._handle(await self.owner.control()).unpause(note=note))

    async def trigger(self) -> None:
        """Start a run now, besides those that are due, also while it is paused. The overlap policy holds for it, too.

        Raises:
            MissingScheduleError: there is no such schedule.
        """
        await self._call(self._handle(await self.owner.control()).trigger())

    async def delete(self) -> None:
        """Start nothing any more. What it has started goes on, and is found by its key.

        Raises:
            MissingScheduleError: there is no such schedule.
        """
        handle = self._handle(await self.owner.control())
        await self._call(handle.describe())
        # The SDK repeats a call whose answer was lost: then it finds nothing, because the first has done it.
        with suppress(errors.MissingScheduleError):
            await self._call(handle.delete())

    def _handle(self, control: Control) -> temporal.ScheduleHandle:
        return control.client.get_schedule_handle(self.id)

    async def _call(self, awaitable: Awaitable[_T]) -> _T:
        return await call(await self.owner.control(), self.id, awaitable)


async def call(control: Control, id: str, awaitable: Awaitable[_T]) -> _T:
    """Await a call on a schedule, with its errors as ours."""
    try:
        return await awaitable
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise errors.MissingScheduleError(id=id) from error
        meant = control.line.translated(error, None)
        if meant is error and error.status == RPCStatusCode.INVALID_ARGUMENT:
            meant = errors.InvalidScheduleError(id=id, problem=error.message)
        raise meant from error


def spec(
    id: str, *, cron: str | Sequence[str] | None, every: timedelta | None, timezone: str | None
) -> temporal.ScheduleSpec:
    """Return when a schedule is due.

    The server reads cron lines and time zones: it refuses what it cannot read, and creates nothing then.

    Raises:
        InvalidScheduleError: there is no time, or two kinds of it.
    """
    lines = [cron] if isinstance(cron, str) else list(cron or ())
    if bool(lines) == (every is not None):
        problem = "it needs one of cron= and every=, and got " + ("both" if lines else "neither")
        raise errors.InvalidScheduleError(id=id, problem=problem)
    if every is None:
        return temporal.ScheduleSpec(cron_expressions=lines, time_zone_name=timezone)
    if every < _SHORTEST or every % _SHORTEST:
        problem = f"every={every!r} must be whole seconds, and at least one"
        raise errors.InvalidScheduleError(id=id, problem=problem)
    if timezone:
        problem = "timezone= goes with cron=: an interval has none"
        raise errors.InvalidScheduleError(id=id, problem=problem)
    return temporal.ScheduleSpec(intervals=[temporal.ScheduleIntervalSpec(every=every)])


async def create(
    control: Control,
    id: str,
    when: temporal.ScheduleSpec,
    action: temporal.ScheduleActionStartWorkflow,
    memo: Memo,
    *,
    overlap: Overlap,
    replace: bool,
) -> None:
    """Create a schedule, or, if asked to replace, give one of ours that has the ID this form. A pause outlasts that.

    Raises:
        ScheduleExistsError: the ID is taken, and it was not to be replaced, or is not ours.
        InvalidScheduleError: the server cannot read when it is due.
    """
    if overlap not in get_args(Overlap):
        problem = f"overlap={overlap!r} is none of: {', '.join(get_args(Overlap))}"
        raise errors.InvalidScheduleError(id=id, problem=problem)
    policy = temporal.SchedulePolicy(overlap=temporal.ScheduleOverlapPolicy[overlap.upper()])
    wanted = temporal.Schedule(action=action, spec=when, policy=policy)
    # The memo is on the schedule as well as on what it starts: a listing shows no more of a schedule than that.
    creating = control.client.create_schedule(id, wanted, memo={protocol.MEMO: memo.to_wire()})
    try:
        await call(control, id, creating)
    except temporal.ScheduleAlreadyRunningError:
        if not replace:
            raise errors.ScheduleExistsError(id=id) from None
    else:
        return

    async def update(found: temporal.ScheduleUpdateInput) -> temporal.ScheduleUpdate:
        if protocol.MEMO not in found.description.raw_description.memo.fields:
            raise errors.ScheduleExistsError(id=id, ours=False)
        return temporal.ScheduleUpdate(changed(wanted, state=found.description.schedule.state))

    await call(control, id, control.client.get_schedule_handle(id).update(update))


def cron_id(task_queue: str, task: str) -> str:
    """Return the ID of the schedule that a task's `on_crons` makes. Apps with queues of their own do not share it."""
    return f"cron/{quote(task_queue, safe='')}/{quote(task, safe='')}"


async def ours(control: Control) -> list[str]:
    """Return the IDs of our schedules, of all apps in the namespace."""
    listing = await control.client.list_schedules()
    # Not decoded: the schedules of others may have a codec that we do not know.
    return [entry.id async for entry in listing if protocol.MEMO in entry.raw_entry.memo.fields]


def _key(run: temporal.ScheduleActionExecution) -> str:
    assert isinstance(run, temporal.ScheduleActionExecutionStartWorkflow)
    return run.workflow_id
