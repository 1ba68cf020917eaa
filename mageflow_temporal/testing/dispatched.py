"""What was dispatched: read from the server's own record, and assertions about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from mageflow_temporal import LoadedSignature, Mageflow, Member, Signature, StatusReport, Task
from mageflow_temporal.testing.watch import Watch

Named = str | Task[Any, Any] | Signature[Any]
"""What is called something: a name, a task, or a signature."""

DEADLINE: Final = 5.0
"""Seconds for which what is asserted may still come true: what code under test has started takes a moment to begin."""
_PAUSE: Final = 0.02
"""Seconds between two looks."""
_LONGEST: Final = 200
"""Characters of a message in what a failed assertion says."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Call:
    """A task that was sent to a worker: once for each attempt, and for each time that it was resumed.

    Attributes:
        key: the key of the task in its signature.
        task: its name.
        message: what it was given, as plain JSON types.
    """

    key: str
    task: str
    message: Any


class Dispatched:
    """What an app has dispatched since it runs in a test.

    The assertions wait for what they assert: what the code under test has started needs a moment to begin.
    Signatures that were removed are not on record any more.
    """

    def __init__(self, app: Mageflow, client: Client, watch: Watch) -> None:
        self._app = app
        self._client = client
        self._watch = watch

    async def calls(self) -> list[Call]:
        """Return what was sent to workers so far, as the histories of the signatures have it."""
        return [call for key in await self.keys() for call in await self._calls_of(key)]

    async def signatures(self) -> list[StatusReport]:
        """Return the signatures that were started, each with its members, in the order of their starts.

        Raises:
            WorkerUnavailableError: no worker is there to answer.
        """
        loaded = [await self._app.load_signature(key) for key in await self.keys()]
        return [await found.status() for found in loaded if isinstance(found, LoadedSignature)]

    async def assert_task_dispatched(
        self, task: Named, *, message: Any = None, times: int | None = None, timeout: timedelta | float = DEADLINE
    ) -> None:
        """Assert that a task was sent to a worker: as a signature, as a part of one, or as a callback.

        Args:
            task: the task, or its name.
            message: what it must have been given. A model: just that. A dict: these fields, among others. `None`:
                anything.
            times: how many such tasks there must be; attempts and resumptions of one count as one. `None`: at least
                one. With 0 this looks only at what is on record now.
            timeout: how long to wait for it, in seconds or as a `timedelta`.

        Raises:
            AssertionError: it was not, and what was.
        """
        name, calls = _name(task), list[Call]()

        async def number() -> int:
            calls[:] = await self.calls()
            return len({call.key for call in calls if call.task == name and _fits(call.message, message)})

        found = await _reached(number, times, timeout)
        if not _enough(found, times):
            given = "" if message is None else f" with {_short(message)}"
            raise AssertionError(_report(f"task {name!r}{given}", found, times, _told_of_calls(calls)))

    async def assert_chain_dispatched(
        self,
        chain: Named,
        *,
        tasks: Sequence[Named] | None = None,
        times: int | None = None,
        timeout: timedelta | float = DEADLINE,
    ) -> None:
        """Assert that a chain was started, or has begun as a part or callback of another signature.

        Args:
            chain: the chain's name, or the chain.
            tasks: its steps, in order: tasks, signatures, or what they are called. `None`: any.
            times: how many such chains there must be. `None`: at least one.
            timeout: how long to wait for it, in seconds or as a `timedelta`.

        Raises:
            AssertionError: it was not, and what was.
        """
        steps = None if tasks is None else [_name(task) for task in tasks]
        await self._assert_begun("chain", _name(chain), steps, times, timeout)

    async def assert_swarm_dispatched(
        self,
        swarm: Named,
        *,
        tasks: Sequence[Named] | None = None,
        times: int | None = None,
        timeout: timedelta | float = DEADLINE,
    ) -> None:
        """Assert that a swarm or map was started, or has begun as a part or callback of another signature.

        Args:
            swarm: the swarm's name, or the swarm.
            tasks: its items, in any order: tasks, signatures, or what they are called. `None`: any.
            times: how many such swarms there must be. `None`: at least one.
            timeout: how long to wait for it, in seconds or as a `timedelta`.

        Raises:
            AssertionError: it was not, and what was.
        """
        items = None if tasks is None else sorted(map(_name, tasks))
        await self._assert_begun("swarm", _name(swarm), items, times, timeout)

    async def assert_nothing_dispatched(self) -> None:
        """Assert that nothing has been started so far.

        Raises:
            AssertionError: something was, and what.
        """
        if keys := await self.keys():
            told = [_described(report) for report in await self.signatures()] or keys
            raise AssertionError("something was started:\n" + "\n".join(f"  {line}" for line in told))

    async def _assert_begun(
        self,
        kind: Literal["chain", "swarm"],
        name: str,
        parts: list[str] | None,
        times: int | None,
        timeout: timedelta | float,
    ) -> None:
        begun = list[StatusReport]()

        async def number() -> int:
            begun[:] = [part for report in await self.signatures() for part in _begun(report)]
            return sum(1 for part in begun if (part.kind, part.name) == (kind, name) and parts in (None, _parts(part)))

        found = await _reached(number, times, timeout)
        if not _enough(found, times):
            of = "" if parts is None else f" of {', '.join(parts) or 'nothing'}"
            raise AssertionError(_report(f"{kind} {name!r}{of}", found, times, list(map(_described, begun))))

    async def keys(self) -> list[str]:
        """Return the keys of all that was started on the app's queue, whoever started it."""
        query = f"TaskQueue = '{self._app.config.task_queue}'"
        try:
            listed = [found async for found in self._client.list_workflows(query)]
        except RPCError as error:
            if error.status != RPCStatusCode.UNIMPLEMENTED:
                raise
            listed = []  # a time-skipping server lists nothing; what this process has started is known all the same
        listed.sort(key=lambda found: found.start_time)
        return list(dict.fromkeys([*self._watch.started, *(found.id for found in listed)]))

    async def succeeded(self, signature: Member, step: str) -> bool:
        """Return whether a task of a signature has succeeded.

        Args:
            signature: the signature.
            step: the task's name, or its path in the signature.
        """
        meant = set[tuple[str, int]]()
        async for run, event in self._events(signature.key.partition("#")[0]):
            sent = event.activity_task_scheduled_event_attributes
            if step in (sent.activity_type.name, sent.activity_id.partition("~")[0]):
                meant.add((run, event.event_id))
            if (run, event.activity_task_completed_event_attributes.scheduled_event_id) in meant:
                return True
        return False

    async def _calls_of(self, signature: str) -> list[Call]:
        calls = list[Call]()
        async for _, event in self._events(signature):
            sent = event.activity_task_scheduled_event_attributes
            if event.HasField("activity_task_scheduled_event_attributes"):
                # A member's activity has its path for an ID, and from the second dispatch on a number after that.
                path = sent.activity_id.partition("~")[0]
                arguments = await self._client.data_converter.decode(sent.input.payloads)
                calls.append(
                    Call(
                        key=signature if path == "task" else f"{signature}#{path}",
                        task=sent.activity_type.name,
                        message=arguments[0] if arguments else None,
                    )
                )
        return calls

    async def _events(self, key: str) -> AsyncGenerator[tuple[str, HistoryEvent]]:
        """Yield the events of a signature, each with the ID of its run."""
        runs, run_id = list[WorkflowHistory](), None
        while run_id != "":
            handle = self._client.get_workflow_handle(key, run_id=run_id)
            try:
                history = await handle.fetch_history()
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                return  # it was removed
            runs.append(history)
            run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        for history in reversed(runs):
            for event in history.events:
                yield history.run_id, event


async def _reached(number: Callable[[], Awaitable[int]], times: int | None, timeout: timedelta | float) -> int:
    """Return the number, as soon as it is as large as it must be or the time is over."""
    wanted = 1 if times is None else times
    return await until(number, lambda found: found >= wanted, timeout)


async def until(probe: Callable[[], Awaitable[_T]], suits: Callable[[_T], bool], timeout: timedelta | float) -> _T:
    """Return the first answer that suits, or the last one before the time is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds(timeout)
    while True:
        answer = await probe()
        if suits(answer) or loop.time() >= end:
            return answer
        await asyncio.sleep(_PAUSE)


def seconds(timeout: timedelta | float) -> float:
    """Return a timeout in seconds."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


async def too_late(what: str, signature: Member, timeout: timedelta | float) -> str:
    """Return what a test is told of something that did not come in time."""
    report = await signature.status()
    told = "\n".join(f"  {_described(part)}" for part in (report, *_below(report)))
    return f"{what} within {seconds(timeout):g} s. What became of the signature:\n{told}"


def _enough(found: int, times: int | None) -> bool:
    return found > 0 if times is None else found == times


def _name(thing: Named) -> str:
    return thing if isinstance(thing, str) else thing.name


def _fits(given: Any, expected: Any) -> bool:
    if expected is None:
        return True
    if isinstance(expected, BaseModel):
        try:
            return type(expected).model_validate_json(json.dumps(given)) == expected
        except ValidationError:
            return False
    plain = to_jsonable_python(expected)
    if isinstance(plain, dict) and isinstance(given, dict):
        fields = cast("dict[str, Any]", plain)
        return fields == {name: value for name, value in cast("dict[str, Any]", given).items() if name in fields}
    return given == plain


def _begun(report: StatusReport) -> Iterator[StatusReport]:
    """Yield a signature, and the chains and swarms below it of which a task has been sent to a worker."""
    yield report
    yield from (part for part in _below(report) if part.kind != "task" and _has_begun(part))


def _below(report: StatusReport) -> Iterator[StatusReport]:
    for part in (*report.children, *report.callbacks):
        yield part
        yield from _below(part)


def _has_begun(report: StatusReport) -> bool:
    return report.attempt is not None or any(map(_has_begun, report.children))


def _parts(report: StatusReport) -> list[str]:
    names = [child.name for child in report.children]
    return names if report.kind == "chain" else sorted(names)


def _described(report: StatusReport) -> str:
    of = "" if report.kind == "task" else f" of {', '.join(_parts(report)) or 'nothing'}"
    return f"{report.kind} {report.name!r}{of}, {report.status} ({report.key})"


def _told_of_calls(calls: list[Call]) -> list[str]:
    last = {call.key: call for call in calls}
    return [f"task {call.task!r} with {_short(call.message)} ({call.key})" for call in last.values()]


def _short(message: Any) -> str:
    text = repr(message) if isinstance(message, BaseModel) else json.dumps(message, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _report(what: str, found: int, times: int | None, told: list[str]) -> str:
    wanted = "at least once" if times is None else f"{times} times"
    was = "\n".join(f"  {line}" for line in told) if told else "  nothing"
    return f"{what} was to be dispatched {wanted}, and was {found} times. What was dispatched:\n{was}"
