"""What has been started, as an app finds and steers it from any process: by its key, by a query, by a schedule's ID."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from mageflow_temporal import batch_operation, errors, listing, schedule
from mageflow_temporal.batch_operation import BatchOperation
from mageflow_temporal.config import MageflowConfig
from mageflow_temporal.control import Control
from mageflow_temporal.handle import LoadedMember, LoadedSignature, Member, within
from mageflow_temporal.key import Key
from mageflow_temporal.listing import ListedSignature
from mageflow_temporal.protocol import KINDS
from mageflow_temporal.schedule import Schedule
from mageflow_temporal.status import Kind, LifecycleReport, Status, StatusReport, Verb
from mageflow_temporal.swarm import LoadedSwarm
from mageflow_temporal.task import Registry


class Lookup(ABC):
    """The part of an app that finds and steers what runs, whoever started it."""

    tasks: Registry
    config: MageflowConfig

    @abstractmethod
    async def control(self) -> Control: ...

    async def load_signature(self, key: str) -> LoadedSignature | LoadedMember | None:
        """Return the signature or member of that key, or `None` if there is none."""
        control, parsed = await self.control(), Key.parse(key)
        try:
            description = await control.line.describe(parsed.workflow_id)
            if parsed.path:
                await control.status(parsed)
                return LoadedMember(self, key)
        except (errors.MissingSignatureError, errors.UnknownMemberError):
            return None
        kind = KINDS[description.workflow_type]
        memo = await control.memo(description)
        return (LoadedSwarm if kind == "swarm" else LoadedSignature)(self, key, kind, memo)

    async def signatures(
        self,
        query: str = "",
        *,
        status: Status | None = None,
        name: str | None = None,
        kind: Kind | None = None,
        older_than: timedelta | None = None,
    ) -> AsyncIterator[ListedSignature]:
        """Yield the signatures of all apps in the namespace. The server may list a change a moment late.

        Args:
            query: a visibility query that they must fit, such as `MageflowName STARTS_WITH 'etl'`. Empty: all fit.
            status: only those of this status.
            name: only those of this name. The server finds none that has a backslash or a double quote in it.
            kind: only those of this kind.
            older_than: only those that were started longer ago than this.

        Raises:
            InvalidQueryError: the server refuses the query, or has no search attributes for the status or the name.
            ServerUnavailableError: the server does not answer.
        """
        asked = listing.query_of(query, status=status, name=name, kind=kind, older_than=older_than)
        async for found in listing.find(await self.control(), asked):
            yield found

    async def held(
        self,
        query: str = "",
        *,
        name: str | None = None,
        kind: Kind | None = None,
        older_than: timedelta | None = None,
    ) -> AsyncIterator[StatusReport]:
        """Yield what waits for a resume or a skip, with its key and its reason: signatures, and members of others.

        The server does not know of members: each signature that runs on the app's queue is asked, 50 at a time. What
        is tied to a held task waits with it, and is told of beside it.

        Args:
            query: a visibility query that the signatures must fit, as for `signatures`.
            name: only in signatures of this name.
            kind: only in signatures of this kind.
            older_than: only in signatures that were started longer ago than this.

        Raises:
            InvalidQueryError: the server refuses the query, or has no search attribute for the name.
            ServerUnavailableError: the server does not answer.
            WorkerUnavailableError: some did not answer, at the end, when all others have; or none of the first 50 did.
            PayloadTooLargeError: the same, of an answer that is too large for the server.
        """
        asked = listing.query_of(query, status=None, name=name, kind=kind, older_than=older_than)
        async for found in listing.held(await self.control(), asked):
            yield found

    async def count(
        self,
        query: str = "",
        *,
        status: Status | None = None,
        name: str | None = None,
        kind: Kind | None = None,
        older_than: timedelta | None = None,
    ) -> int:
        """Return how many signatures `signatures` would yield; the server counts them."""
        asked = listing.query_of(query, status=status, name=name, kind=kind, older_than=older_than)
        return await listing.count(await self.control(), asked)

    async def batch(
        self, verb: Verb, query: str, *, reason: str | None = None, rate: float | None = None
    ) -> BatchOperation:
        """Let the server send a verb to all signatures that run and that a query finds: very many, and without us.

        They are signals: nobody gets an answer, and what came of one is in its status (`last_verb`).

        Args:
            verb: the verb.
            query: a visibility query, as for `signatures`.
            reason: why; it is kept in the status of each while it is held.
            rate: how many in a second at most. `None`: as many as the server does.

        Raises:
            InvalidQueryError: the server refuses the query.
            ServerUnavailableError: the server does not answer.
        """
        return await batch_operation.begin(await self.control(), verb, query, reason=reason, rate=rate)

    async def load_schedule(self, id: str) -> Schedule | None:
        """Return the schedule of that ID, or `None` if there is none, or none of ours."""
        found = Schedule(self, id)
        try:
            await found.describe()
        except errors.MissingScheduleError:
            return None
        return found

    async def schedules(self) -> list[Schedule]:
        """Return our schedules, those of all apps in the namespace. The server may list a change a moment late."""
        return [Schedule(self, found) for found in await schedule.ours(await self.control())]

    async def suspend(
        self, key: str, reason: str | None = None, *, timeout: timedelta | float | None = None
    ) -> LifecycleReport:
        """Suspend the signature or member of that key. See `Member.suspend`."""
        return await Member(self, key).suspend(reason, timeout=timeout)

    async def interrupt(
        self, key: str, reason: str | None = None, *, timeout: timedelta | float | None = None
    ) -> LifecycleReport:
        """Interrupt the signature or member of that key. See `Member.interrupt`."""
        return await Member(self, key).interrupt(reason, timeout=timeout)

    async def resume(
        self, key: str, kwargs: dict[str, Any] | None = None, *, timeout: timedelta | float | None = None
    ) -> LifecycleReport:
        """Resume the signature or member of that key. See `Member.resume`."""
        return await Member(self, key).resume(kwargs, timeout=timeout)

    async def skip(self, key: str, result: Any = None, *, timeout: timedelta | float | None = None) -> LifecycleReport:
        """Skip the signature or member of that key. See `Member.skip`."""
        return await Member(self, key).skip(result, timeout=timeout)

    async def remove(self, key: str, *, timeout: timedelta | float | None = None) -> None:
        """Cancel the signature of that key if it runs, and delete it from the server. See `Signature.remove`."""
        async with within(timeout, "remove", key):
            await (await self.control()).remove(key)
