"""Which signatures there are, as the server's visibility store lists them. Outside the workflow; no worker is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict
from temporalio.client import WorkflowExecution
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from mageflow_temporal import errors, protocol
from mageflow_temporal.control import Control
from mageflow_temporal.key import Key
from mageflow_temporal.line import seen_as
from mageflow_temporal.status import Kind, Status, StatusReport

_NAME: Final = SearchAttributeKey.for_keyword(protocol.NAME_ATTRIBUTE)

_ASKED_AT_ONCE: Final = 50
"""Signatures that are asked for their status at the same time."""

_SILENCE: Final = (errors.WorkerUnavailableError, errors.PayloadTooLargeError)
"""What keeps one signature from answering, and says nothing of others."""

_ENDED: Final = {
    Status.DONE: ("Completed",),
    Status.FAILED: ("Failed", "TimedOut"),
    Status.CANCELED: ("Canceled", "Terminated"),
}
"""What Temporal calls our ends. Its word counts for them: a workflow that is terminated cannot publish a status."""


class ListedSignature(BaseModel):
    """A signature, as far as the server knows it without a worker."""

    model_config = ConfigDict(frozen=True)

    key: str
    name: str
    kind: Kind
    status: Status | None
    """`None` where it runs, and the server has no search attributes that would say more."""
    started_at: datetime
    """UTC. Of work that went on in a new run: the start of that run."""
    ended_at: datetime | None
    """UTC. `None` while it runs."""


def query_of(
    query: str,
    *,
    status: Status | None,
    name: str | None,
    kind: Kind | None,
    older_than: timedelta | None,
) -> str:
    """Return the visibility query that finds our signatures of these qualities.

    Each signature once: the run in which it goes on, not those that went before.
    """
    status = Status(status) if status else None  # a plain word is as good
    types = [protocol.WORKFLOW_TYPES[kind]] if kind else list(protocol.KINDS)
    terms = [_one_of("WorkflowType", types), "ExecutionStatus != 'ContinuedAsNew'"]
    if status and status.ended:
        terms.append(_one_of("ExecutionStatus", _ENDED[status]))
    elif status:
        terms += [_one_of(protocol.STATUS_ATTRIBUTE, [status]), _one_of("ExecutionStatus", ["Running"])]
    if name is not None:
        terms.append(_one_of(protocol.NAME_ATTRIBUTE, [name]))
    if older_than is not None:
        terms.append(f"StartTime < '{(datetime.now(UTC) - older_than).isoformat()}'")
    if query.strip():
        terms.append(f"({query})")
    return " AND ".join(terms)


def _one_of(attribute: str, values: list[str] | tuple[str, ...]) -> str:
    quoted = ["'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values]
    return f"{attribute} = {quoted[0]}" if len(quoted) == 1 else f"{attribute} IN ({', '.join(quoted)})"


async def find(control: Control, query: str) -> AsyncGenerator[ListedSignature]:
    """Yield what the query finds.

    Raises:
        InvalidQueryError: the server refuses the query.
        ServerUnavailableError: the server does not answer.
    """
    try:
        async for execution in control.client.list_workflows(query):
            yield await _listed(control, execution)
    except RPCError as error:
        raise _translated(control, error, query) from error


async def held(control: Control, query: str) -> AsyncGenerator[StatusReport]:
    """Yield what is held of all that the query finds and that runs on the connection's queue. Each of those is asked.

    Raises:
        InvalidQueryError: the server refuses the query.
        ServerUnavailableError: the server does not answer.
        WorkerUnavailableError: there was no answer from some, which are told of in a note; the others' came before.
        PayloadTooLargeError: the same, of an answer that is too large.
    """
    ours = (
        f"{query} AND {_one_of('ExecutionStatus', ['Running'])} AND {_one_of('TaskQueue', [control.line.task_queue])}"
    )
    keys = [found.key async for found in find(control, ours)]
    silent: dict[str, errors.MageflowError] = {}
    for first in range(0, len(keys), _ASKED_AT_ONCE):
        batch = keys[first : first + _ASKED_AT_ONCE]
        answers = await asyncio.gather(*(_status(control, key) for key in batch))
        silent |= {key: answer for key, answer in zip(batch, answers, strict=True) if isinstance(answer, _SILENCE)}
        for report in answers:
            for part in report.holds() if isinstance(report, StatusReport) else ():
                yield part
        if all(isinstance(answer, errors.WorkerUnavailableError) for answer in answers):
            break  # it takes long, and nobody is there
    if silent:
        error = next(iter(silent.values()))
        error.add_note(f"there was no answer from {', '.join(silent)}")
        raise error


async def _status(control: Control, key: str) -> StatusReport | errors.MageflowError:
    try:
        return await control.status(Key(key))
    except (errors.MissingSignatureError, *_SILENCE) as error:
        return error


async def count(control: Control, query: str) -> int:
    """Return how many the query finds.

    Raises:
        InvalidQueryError: the server refuses the query.
        ServerUnavailableError: the server does not answer.
    """
    try:
        return (await control.client.count_workflows(query)).count
    except RPCError as error:
        raise _translated(control, error, query) from error


def _translated(control: Control, error: RPCError, query: str) -> Exception:
    if error.status == RPCStatusCode.INVALID_ARGUMENT:
        return errors.InvalidQueryError(query=query, cause=str(error))
    return control.line.translated(error, None)


async def _listed(control: Control, execution: WorkflowExecution) -> ListedSignature:
    name = execution.typed_search_attributes.get(_NAME)
    return ListedSignature(
        key=execution.id,
        name=name or (await control.memo(execution)).name,
        kind=protocol.KINDS[execution.workflow_type],
        status=seen_as(execution),
        started_at=execution.start_time,
        ended_at=execution.close_time,
    )
