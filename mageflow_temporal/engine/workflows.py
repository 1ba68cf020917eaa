"""The three workflow types, and what they can be told and asked while their loop runs.

`sandboxed=False`: this is library code that runs no user's code, and the sandbox costs a third of a worker's CPU. What
the sandbox would catch, lint rules and recorded histories do.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from mageflow_temporal import errors, protocol
from mageflow_temporal.config import Priority
from mageflow_temporal.engine import story
from mageflow_temporal.engine.loop import BYTES_AT_ONCE, NEXT_TASK, Loop, refusal
from mageflow_temporal.engine.page import PageWorkflow
from mageflow_temporal.engine.tree import Node
from mageflow_temporal.message import wire_size
from mageflow_temporal.plan import SwarmNode, parse_path
from mageflow_temporal.protocol import (
    Added,
    AddedRequest,
    AddRequest,
    AddsAnswer,
    AddsRequest,
    LifecycleRequest,
    NotAdded,
    StartRequest,
    TieRequest,
)
from mageflow_temporal.status import Verb, VerbRecord, to_json

_SIGNALS_AT_ONCE: Final = 300
"""What one workflow task takes of them: thousands may have come, and the SDK would call that a deadlock each time."""
_HELP: Final = {
    name: f"{what} Payload: {protocol.REQUESTS[name].EXAMPLE}."
    for name, what in {
        Verb.SUSPEND: "Pause: what runs may end, nothing new begins until a resume. Refused for one task that runs.",
        Verb.INTERRUPT: "Pause, and stop the code that runs; the update returns when it has stopped.",
        Verb.RESUME: "Go on where a suspend, an interrupt or a held failure stopped it.",
        protocol.SKIP: "A member is done with a given result, without being run.",
        protocol.CONFIGURE: "Change how many items of a swarm run at once.",
        protocol.RETRY_FAILED: "Begin the failed items of a swarm anew.",
        protocol.STATUS: "How it stands, with all its members, as a tree.",
        protocol.OUTCOMES: "What became of a swarm's items so far.",
    }.items()
}
"""What the Web UI and the command line show beside each signal, update and query."""


_RequestT = TypeVar("_RequestT", bound=protocol.Request)


class _Engine(Loop):
    """What the three types share. Handlers take any arguments: a wrong number must not fail the workflow task."""

    # Handlers. Each verb is a signal and an update of one name; both come to _apply.

    @workflow.signal(name=Verb.SUSPEND, description=_HELP[Verb.SUSPEND])
    async def _suspend_signal(self, *payload: Any) -> None:
        await self._signalled(Verb.SUSPEND, payload)

    @workflow.signal(name=Verb.INTERRUPT, description=_HELP[Verb.INTERRUPT])
    async def _interrupt_signal(self, *payload: Any) -> None:
        await self._signalled(Verb.INTERRUPT, payload)

    @workflow.signal(name=Verb.RESUME, description=_HELP[Verb.RESUME])
    async def _resume_signal(self, *payload: Any) -> None:
        await self._signalled(Verb.RESUME, payload)

    @workflow.signal(name=protocol.SKIP, description=_HELP[protocol.SKIP])
    async def _skip_signal(self, *payload: Any) -> None:
        await self._signalled(protocol.SKIP, payload)

    @workflow.update(name=Verb.SUSPEND, description=_HELP[Verb.SUSPEND])
    async def _suspend_update(self, *payload: Any) -> Any:
        return await self._answered(Verb.SUSPEND, payload)

    @workflow.update(name=Verb.INTERRUPT, description=_HELP[Verb.INTERRUPT])
    async def _interrupt_update(self, *payload: Any) -> Any:
        return await self._answered(Verb.INTERRUPT, payload)

    @workflow.update(name=Verb.RESUME, description=_HELP[Verb.RESUME])
    async def _resume_update(self, *payload: Any) -> Any:
        return await self._answered(Verb.RESUME, payload)

    @workflow.update(name=protocol.SKIP, description=_HELP[protocol.SKIP])
    async def _skip_update(self, *payload: Any) -> Any:
        return await self._answered(protocol.SKIP, payload)

    @_suspend_update.validator
    def _validate_suspend(self, *payload: Any) -> None:
        self._check(Verb.SUSPEND, payload)

    @_interrupt_update.validator
    def _validate_interrupt(self, *payload: Any) -> None:
        self._check(Verb.INTERRUPT, payload)

    @_resume_update.validator
    def _validate_resume(self, *payload: Any) -> None:
        self._check(Verb.RESUME, payload)

    @_skip_update.validator
    def _validate_skip(self, *payload: Any) -> None:
        self._check(protocol.SKIP, payload)

    @workflow.update(name=protocol.START, description='Start what was suspended before its start: {"message": {...}}')
    async def _start(self, *payload: Any) -> bool:
        request = self._request(protocol.START, payload, StartRequest)
        if self._machine.progress.started:
            return False
        self._machine.progress.priority = request.priority
        self._machine.start(request.message, request.delay)
        return True

    # Validators, not only the handlers, refuse what a newer worker might take: a refused update leaves no trace in the
    # history, which that worker may have to replay.

    @_start.validator
    def _validate_start(self, *payload: Any) -> None:
        self._request(protocol.START, payload, StartRequest)

    @workflow.update(name=protocol.TIE, description="Tie signatures to tasks; used by mageflow's own client.")
    async def _tie(self, *payload: Any) -> dict[str, Any]:
        request = self._request(protocol.TIE, payload, TieRequest)
        try:
            return (await self._lifecycle.tie(request)).to_wire()
        except errors.UnknownMemberError as error:
            raise refusal(error) from None

    @_tie.validator
    def _validate_tie(self, *payload: Any) -> None:
        self._request(protocol.TIE, payload, TieRequest)

    @workflow.query(
        name=protocol.STATUS,
        description=_HELP[protocol.STATUS],
    )
    def _status(self, *payload: Any) -> dict[str, Any] | None:
        request = protocol.parse_request(protocol.STATUS, self._machine.key, payload, LifecycleRequest)
        node = self._look(request)
        report = (
            story.report(self._machine, node, None if request.target else self._machine.progress.last_verb)
            if node
            else None
        )
        return to_json(report) if report else None

    def _look(self, request: LifecycleRequest) -> Node | None:
        path = parse_path(request.target)
        return self._machine.root.look(path) if path is not None else None

    def _check(self, name: str, payload: tuple[Any, ...]) -> None:
        self._request(name, payload, protocol.REQUESTS[name])

    def _request(self, name: str, payload: tuple[Any, ...], form: type[_RequestT]) -> _RequestT:
        try:
            return protocol.parse_request(name, self._machine.key, payload, form)
        except errors.MageflowError as error:
            raise refusal(error) from None

    async def _answered(self, name: str, payload: tuple[Any, ...]) -> Any:
        request = LifecycleRequest()
        try:
            request = protocol.parse_request(name, self._machine.key, payload, protocol.REQUESTS[name])
            applied = await self._lifecycle.apply(name, request)
        except errors.MageflowError as error:
            self._record(name, request, str(error), accepted=False)
            raise refusal(error) from None
        self._record(name, request, applied.verdict, accepted=True)
        return applied.answer

    async def _signalled(self, name: str, payload: tuple[Any, ...]) -> None:
        async with self._turnstile:
            self._signals += 1
            if self._signals % _SIGNALS_AT_ONCE == 0:
                await workflow.sleep(NEXT_TASK)
        self._succession.signalled()
        try:
            await self._answered(name, payload)
        except ApplicationError as error:
            # A signal has nobody to answer to: the log and the status are where its sender can look.
            workflow.logger.warning("signal %s refused: %s", name, error.message, extra={"key": self._machine.key})
        self._leave_a_mark()

    def _record(self, name: str, request: LifecycleRequest, verdict: str, *, accepted: bool) -> None:
        self._succession.worked()
        self._machine.progress.last_verb = VerbRecord(
            verb=name,
            target=request.target,
            reason=request.reason,
            at=workflow.now(),
            accepted=accepted,
            verdict=verdict,
        )
        self._publish()


class _Container(_Engine):
    """What chains and swarms have besides: each may have a swarm in it, at any depth."""

    @workflow.signal(name=protocol.CONFIGURE, description=_HELP[protocol.CONFIGURE])
    async def _configure_signal(self, *payload: Any) -> None:
        await self._signalled(protocol.CONFIGURE, payload)

    @workflow.signal(name=protocol.RETRY_FAILED, description=_HELP[protocol.RETRY_FAILED])
    async def _retry_failed_signal(self, *payload: Any) -> None:
        await self._signalled(protocol.RETRY_FAILED, payload)

    @workflow.update(name=protocol.CONFIGURE, description=_HELP[protocol.CONFIGURE])
    async def _configure_update(self, *payload: Any) -> Any:
        return await self._answered(protocol.CONFIGURE, payload)

    @workflow.update(name=protocol.RETRY_FAILED, description=_HELP[protocol.RETRY_FAILED])
    async def _retry_failed_update(self, *payload: Any) -> Any:
        return await self._answered(protocol.RETRY_FAILED, payload)

    @_configure_update.validator
    def _validate_configure(self, *payload: Any) -> None:
        self._check(protocol.CONFIGURE, payload)

    @_retry_failed_update.validator
    def _validate_retry_failed(self, *payload: Any) -> None:
        self._check(protocol.RETRY_FAILED, payload)

    @workflow.query(
        name=protocol.OUTCOMES,
        description=_HELP[protocol.OUTCOMES],
    )
    def _outcomes(self, *payload: Any) -> dict[str, Any] | None:
        request = protocol.parse_request(protocol.OUTCOMES, self._machine.key, payload, protocol.OutcomesRequest)
        swarm = self._look(request)
        if swarm is None or not isinstance(swarm.plan, SwarmNode):
            return None
        page = protocol.OutcomesPage(outcomes=[], returns=[], total=swarm.size(), pages=tuple(swarm.state.pages))
        size = 0
        for item in map(swarm.peek, range(request.first, swarm.size())):
            outcome = story.outcome(self._machine, item)
            size += wire_size(to_json(outcome))
            if page.outcomes and size > BYTES_AT_ONCE:
                break
            page.outcomes.append(outcome)
            page.returns.append(story.returned(item))
        return page.to_wire()

    @workflow.query(name=protocol.RERUN, description="A plan of a swarm's failed items; used by mageflow's own client.")
    def _rerun(self, *_payload: Any) -> dict[str, Any]:
        own, late = workflow.info().priority, self._machine.progress.priority
        priority = Priority(
            priority=late.priority or own.priority_key,
            fairness_key=late.fairness_key or own.fairness_key,
            fairness_weight=late.fairness_weight or own.fairness_weight,
        )
        return self._machine.rerun(self._machine.root).model_copy(update={"priority": priority}).to_wire()


def _indexes(indexes: range) -> Added:
    return Added(first=indexes.start, count=len(indexes))


@workflow.defn(name=protocol.WORKFLOW_TYPES["task"], sandboxed=False)
class TaskWorkflow(_Engine):
    """Runs one task."""

    @workflow.init
    def __init__(self, order: Any = None, *_more: Any) -> None:
        super().__init__(order)

    @workflow.run
    async def run(self, _order: Any = None, *_more: Any) -> Any:
        """Return the task's result."""
        return await self._run()


@workflow.defn(name=protocol.WORKFLOW_TYPES["chain"], sandboxed=False)
class ChainWorkflow(_Container):
    """Runs a chain and all that is nested in it."""

    @workflow.init
    def __init__(self, order: Any = None, *_more: Any) -> None:
        super().__init__(order)

    @workflow.run
    async def run(self, _order: Any = None, *_more: Any) -> Any:
        """Return the last step's result."""
        return await self._run()


@workflow.defn(name=protocol.WORKFLOW_TYPES["swarm"], sandboxed=False)
class SwarmWorkflow(_Container):
    """Runs a swarm and all that is nested in it."""

    @workflow.update(name=protocol.ADD, description="Add items; used by mageflow's own client.")
    async def _add(self, *payload: Any) -> dict[str, Any]:
        request = self._request(protocol.ADD, payload, AddsRequest)
        self._succession.worked()
        return AddsAnswer(added=tuple(map(self._added, request.adds))).to_wire()

    def _added(self, request: AddRequest) -> Added:
        try:
            indexes = self._machine.add(self._machine.root, request)
        except errors.MageflowError as error:
            attributes = errors.attributes(error)
            return Added(refused=NotAdded(type=type(error).__name__, message=str(error), attributes=attributes))
        return _indexes(indexes)

    @_add.validator
    def _validate_add(self, *payload: Any) -> None:
        self._request(protocol.ADD, payload, AddsRequest)

    @workflow.query(name=protocol.ADDED, description="What a named add has added; used by mageflow's own client.")
    def _added_before(self, *payload: Any) -> dict[str, Any]:
        request = protocol.parse_request(protocol.ADDED, self._machine.key, payload, AddedRequest)
        return _indexes(self._machine.added(request.id) or range(0)).to_wire()

    @workflow.update(name=protocol.CLOSE, description="Take no more items: the swarm ends when all it has have ended.")
    async def _close_update(self, *_payload: Any) -> None:
        self._machine.close(self._machine.root)

    @workflow.signal(name=protocol.CLOSE, description="Take no more items: the swarm ends when all it has have ended.")
    async def _close_signal(self, *_payload: Any) -> None:
        self._machine.close(self._machine.root)
        self._leave_a_mark()

    @workflow.init
    def __init__(self, order: Any = None, *_more: Any) -> None:
        super().__init__(order)

    @workflow.run
    async def run(self, _order: Any = None, *_more: Any) -> Any:
        """Return the successful results, in the order of submission."""
        return await self._run()


WORKFLOWS = [TaskWorkflow, ChainWorkflow, SwarmWorkflow, PageWorkflow]
