"""The module's functions: each finds the app that it is meant for, and calls that app's method of the same name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, overload

from mageflow_temporal import errors
from mageflow_temporal.app import Mageflow, apps
from mageflow_temporal.config import SwarmConfig
from mageflow_temporal.familiar import PauseActionTypes
from mageflow_temporal.handle import LoadedMember, LoadedSignature
from mageflow_temporal.plan import OnFailure
from mageflow_temporal.schedule import Schedule
from mageflow_temporal.signature import Chain, Draft, TaskLike, TaskSignature
from mageflow_temporal.status import LifecycleReport
from mageflow_temporal.swarm import Map, Swarm
from mageflow_temporal.task import MessageT, ResultT, Task


def app_of(things: Sequence[object] = ()) -> Mageflow:
    """Return the app that tasks and signatures belong to, else the process's only app.

    Raises:
        AmbiguousAppError: it could be several.
        AppNotFoundError: there is none.
    """
    owners: dict[int, Mageflow] = {}
    for thing in things:
        owner = getattr(thing, "owner", None)
        if isinstance(owner, Mageflow):
            owners[id(owner)] = owner
    found = list(owners.values()) or list(apps)
    if not found:
        raise errors.AppNotFoundError
    if len(found) > 1:
        raise errors.AmbiguousAppError(apps=len(found))
    return found[0]


@overload
async def sign(
    task: Task[MessageT, ResultT],
    *,
    success_callbacks: Sequence[TaskLike] = (),
    error_callbacks: Sequence[TaskLike] = (),
    on_failure: OnFailure = "fail",
    **kwargs: Any,
) -> TaskSignature[MessageT, ResultT]: ...
@overload
async def sign(
    task: str,
    *,
    success_callbacks: Sequence[TaskLike] = (),
    error_callbacks: Sequence[TaskLike] = (),
    on_failure: OnFailure = "fail",
    **kwargs: Any,
) -> TaskSignature[Any, Any]: ...
async def sign(task: Task[Any, Any] | str, **options: Any) -> TaskSignature[Any, Any]:
    """Return a signature of a task. See `Mageflow.sign`."""
    return await app_of([task]).sign(task, **options)


asign = sign


async def chain(
    tasks: Sequence[TaskLike],
    name: str | None = None,
    *,
    success: TaskLike | None = None,
    error: TaskLike | None = None,
    success_callbacks: Sequence[TaskLike] = (),
    error_callbacks: Sequence[TaskLike] = (),
    on_failure: OnFailure = "fail",
    **kwargs: Any,
) -> Chain[Any]:
    """Return a chain. See `Mageflow.chain`."""
    return await app_of(tasks).chain(
        tasks,
        name,
        success=success,
        error=error,
        success_callbacks=success_callbacks,
        error_callbacks=error_callbacks,
        on_failure=on_failure,
        **kwargs,
    )


@overload
async def swarm(
    tasks: Sequence[Task[Any, ResultT] | Draft[ResultT]],
    name: str | None = None,
    *,
    config: SwarmConfig | None = None,
    is_swarm_closed: bool = False,
    success_callbacks: Sequence[TaskLike] = (),
    error_callbacks: Sequence[TaskLike] = (),
    on_failure: OnFailure = "fail",
    **kwargs: Any,
) -> Swarm[ResultT]: ...
@overload
async def swarm(
    tasks: Sequence[TaskLike] = (),
    name: str | None = None,
    *,
    config: SwarmConfig | None = None,
    is_swarm_closed: bool = False,
    success_callbacks: Sequence[TaskLike] = (),
    error_callbacks: Sequence[TaskLike] = (),
    on_failure: OnFailure = "fail",
    **kwargs: Any,
) -> Swarm[Any]: ...
async def swarm(tasks: Sequence[TaskLike] = (), name: str | None = None, **options: Any) -> Swarm[Any]:
    """Return a swarm. See `Mageflow.swarm`."""
    return await app_of(tasks).swarm(tasks, name, **options)


async def map(  # noqa: A001 - what it is called everywhere else, too
    task: Task[Any, ResultT] | Draft[ResultT] | str,
    items: Iterable[Any] | None = None,
    name: str | None = None,
    *,
    config: SwarmConfig | None = None,
    success_callbacks: Sequence[TaskLike] = (),
    error_callbacks: Sequence[TaskLike] = (),
    on_failure: OnFailure = "fail",
    **kwargs: Any,
) -> Map[ResultT]:
    """Return a map. See `Mageflow.map`."""
    return await app_of([task]).map(
        task,
        items,
        name,
        config=config,
        success_callbacks=success_callbacks,
        error_callbacks=error_callbacks,
        on_failure=on_failure,
        **kwargs,
    )


async def achain(
    tasks: Sequence[TaskLike],
    name: str | None = None,
    error: TaskLike | None = None,
    success: TaskLike | None = None,
    **kwargs: Any,
) -> Chain[Any]:
    """Return a chain. See `Mageflow.chain`."""
    return await app_of(tasks).achain(tasks, name, error, success, **kwargs)


async def aswarm(tasks: Sequence[TaskLike] | None = None, task_name: str | None = None, **options: Any) -> Swarm[Any]:
    """Return a swarm. See `Mageflow.swarm`."""
    return await app_of(tasks or ()).aswarm(tasks, task_name, **options)


async def pause(key: str, pause_type: PauseActionTypes = PauseActionTypes.SUSPEND) -> LifecycleReport:
    """Suspend or interrupt the signature or member of that key. See `Member.suspend` and `Member.interrupt`."""
    return await app_of().pause(key, pause_type)


async def load_signature(key: str) -> LoadedSignature | LoadedMember | None:
    """Return the signature or member of that key, or `None` if there is none. See `Mageflow.load_signature`."""
    return await app_of().load_signature(key)


async def load_schedule(id: str) -> Schedule | None:
    """Return the schedule of that ID, or `None` if there is none. See `Mageflow.load_schedule`."""
    return await app_of().load_schedule(id)


async def schedules() -> list[Schedule]:
    """Return our schedules, those of all apps in the namespace. See `Mageflow.schedules`."""
    return await app_of().schedules()


async def suspend(key: str, reason: str | None = None, *, timeout: timedelta | float | None = None) -> LifecycleReport:
    """Suspend the signature or member of that key. See `Member.suspend`."""
    return await app_of().suspend(key, reason, timeout=timeout)


async def interrupt(
    key: str, reason: str | None = None, *, timeout: timedelta | float | None = None
) -> LifecycleReport:
    """Interrupt the signature or member of that key. See `Member.interrupt`."""
    return await app_of().interrupt(key, reason, timeout=timeout)


async def resume(
    key: str, kwargs: dict[str, Any] | None = None, *, timeout: timedelta | float | None = None
) -> LifecycleReport:
    """Resume the signature or member of that key. See `Member.resume`."""
    return await app_of().resume(key, kwargs, timeout=timeout)


async def skip(key: str, result: Any = None, *, timeout: timedelta | float | None = None) -> LifecycleReport:
    """Skip the signature or member of that key. See `Member.skip`."""
    return await app_of().skip(key, result, timeout=timeout)


async def remove(key: str, *, timeout: timedelta | float | None = None) -> None:
    """Cancel the signature of that key if it runs, and delete it from the server. See `Signature.remove`."""
    await app_of().remove(key, timeout=timeout)
