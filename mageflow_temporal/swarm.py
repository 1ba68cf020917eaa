"""Swarms and maps: drafts of them, and what they can be told and asked while they run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any, Generic, Self, TypeVar, Unpack, cast

from mageflow_temporal import errors, message, plan, protocol
from mageflow_temporal.config import SwarmConfig
from mageflow_temporal.familiar import FamiliarSwarm
from mageflow_temporal.handle import App, LoadedSignature, Member, checked_key, token, typed, within
from mageflow_temporal.key import Key
from mageflow_temporal.plan import PlanNode, SwarmNode
from mageflow_temporal.protocol import AddRequest, ConfigureRequest, LifecycleRequest, Memo
from mageflow_temporal.signature import Draft, StartOptions, TaskLike, duplicates, nested, resolve, specs
from mageflow_temporal.status import ItemOutcome

ItemT = TypeVar("ItemT")


class ItemsControl(Member):
    """What a swarm or a map can be told and asked while it runs, by the process that made it and by any other."""

    async def configure(self, *, max_concurrency: int, timeout: timedelta | float | None = None) -> None:
        """Change how many items run at once, also while it runs. What runs goes on to its end.

        Args:
            max_concurrency: at least 1.
            timeout: how long to wait for the answer, in seconds or as a `timedelta`. `None`: until there is one.

        Raises:
            pydantic.ValidationError: it is less than 1.
            SignatureEndedError: the swarm has ended.
            CallTimeoutError: the timeout passed.
        """
        request = ConfigureRequest(max_concurrency=max_concurrency)
        async with within(timeout, protocol.CONFIGURE, self.key):
            await (await self.owner.control()).tell(Key(self.key), protocol.CONFIGURE, request)

    async def outcomes(self) -> list[ItemOutcome]:
        """Return what became of each item so far, in the order of submission.

        Raises:
            MissingSignatureError: there is no such signature.
            WorkerUnavailableError: no worker is there to answer.
        """
        found = await (await self.owner.control()).outcomes(Key(self.key))
        return [
            outcome
            if outcome.result is None
            else outcome.model_copy(update={"result": typed(outcome.result, form, self.owner.tasks)})
            for outcome, form in found
        ]

    async def retry_failed(self, *, timeout: timedelta | float | None = None) -> LoadedSwarm:
        """Run the failed items again, and only those; return the swarm in which they run.

        That is this one while it goes on: their results take the places of the failures. A swarm that has ended stays
        as it is, and a new one gets them, whose key is this one's with ".retry": another call starts it no second time.
        The new one has the callbacks of this one.

        Args:
            timeout: how long to wait for the answer, in seconds or as a `timedelta`. `None`: until there is one.

        Raises:
            MissingSignatureError: there is no such signature.
            WorkerUnavailableError: no worker is there to answer.
            CallTimeoutError: the timeout passed.
        """
        async with within(timeout, protocol.RETRY_FAILED, self.key):
            return await self._retry_failed()

    async def _retry_failed(self) -> LoadedSwarm:
        control = await self.owner.control()
        key = self.key
        try:
            await control.tell(Key(key), protocol.RETRY_FAILED, LifecycleRequest())
        except errors.SignatureEndedError:
            again = await control.rerun(Key(key))
            if again.failed:
                key = checked_key(f"{key}.retry")
                memo = Memo(name=again.plan.root.name, returns=plan.returns(again.plan.root))
                await control.start(key, again.plan, memo, message=again.message, priority=again.priority)
        return await load_swarm(self.owner, key)


class SwarmControl(ItemsControl, FamiliarSwarm[Member]):
    """What only a swarm can be told: a map has the items that its list makes."""

    async def add(
        self,
        task: TaskLike,
        message: Any = None,
        *,
        id: str | None = None,
        close_on_max_task: bool = True,
        timeout: timedelta | float | None = None,
    ) -> Member:
        """Add an item, also while the swarm runs, and return it. An unstarted swarm is started by it.

        Args:
            task: a task, a signature, or a task's name.
            message: the item's message; it wins over the swarm's start message, and the item's kwargs win over it.
            id: a name for this request. Repeated with the same name, after a lost answer, it adds nothing again.
                `None`: inside a task, one that each run of the task gives it.
            close_on_max_task: whether the swarm closes when it has as many items as it takes.
            timeout: how long to wait for the answer, in seconds or as a `timedelta`. `None`: until there is one.

        Raises:
            SwarmIsClosedError: it is closed, or has ended (`SwarmIsCanceledError` if it was cancelled).
            TooManyTasksError: it has as many items as it takes.
            InvalidMessageError: the message has no fields.
            NotSerializableError: JSON has no form for it.
            WorkerUnavailableError: it has ended, and no worker is there to say what a request of that `id` has added.
            CallTimeoutError: the timeout passed. Only with an `id` can it be called again without adding twice.
        """
        [item] = await self.add_many([task], [message], id=id, close_on_max_task=close_on_max_task, timeout=timeout)
        return item

    async def add_many(
        self,
        tasks: Sequence[TaskLike],
        messages: Any = None,
        *,
        id: str | None = None,
        close_on_max_task: bool = True,
        timeout: timedelta | float | None = None,
    ) -> list[Member]:
        """Add items, all or none of them. See `add`.

        Args:
            tasks: tasks, signatures, or names of tasks.
            messages: a list with a message for each, or one message for all.
            id: a name for this request. See `add`.
            close_on_max_task: whether the swarm closes when it has as many items as it takes.
            timeout: how long to wait for the answer. See `add`.

        Raises:
            TaskAndMsgsDontMatchForSwarmError: the lists are of different lengths.
            MageflowError: whatever `add` raises.
        """
        drafts = resolve(self.owner, tasks, "add")
        each = cast("Sequence[Any]", messages if isinstance(messages, list | tuple) else [messages] * len(drafts))
        if len(each) != len(drafts):
            raise errors.TaskAndMsgsDontMatchForSwarmError(tasks=len(drafts), messages=len(each))
        items = tuple(
            node if own is None else _given(node, own) for node, own in zip(nested(drafts), each, strict=True)
        )
        request = AddRequest(
            items=items,
            tasks=specs(self.owner, items),
            close_on_max_task=close_on_max_task,
            id=token(f"add to {self.key}") if id is None else id,
        )
        async with within(timeout, protocol.ADD, self.key):
            indexes = await (await self.owner.control()).add(self.key, request)
        return [Member(self.owner, f"{self.key}#{index}") for index in indexes]

    async def close(self, *, timeout: timedelta | float | None = None) -> None:
        """Take no more items: the swarm is done when all that it has have ended.

        Args:
            timeout: how long to wait for the answer, in seconds or as a `timedelta`. `None`: until there is one.

        Raises:
            SignatureEndedError: it has ended.
            CallTimeoutError: the timeout passed.
        """
        async with within(timeout, protocol.CLOSE, self.key):
            await (await self.owner.control()).close(self.key, token(f"close {self.key}"))


def _given(node: PlanNode, own: Any) -> PlanNode:
    """Return an item with a message of its own."""
    fields = message.bind(message.given(own), node.kwargs)
    if not isinstance(fields, dict):
        problem = f"an item's message needs fields, as a model or a dict has them, and this is {own!r}"
        raise errors.InvalidMessageError(task=node.name, problems=[problem])
    return node.model_copy(update={"kwargs": fields})


async def load_swarm(app: App, key: str) -> LoadedSwarm:
    """Return the swarm of that key.

    Raises:
        MissingSignatureError: there is none.
    """
    control = await app.control()
    return LoadedSwarm(app, key, "swarm", await control.memo(await control.line.describe(key)))


class LoadedSwarm(LoadedSignature, SwarmControl):
    """A swarm that was found by its key."""


class _Items(Draft[list[ItemT]], ItemsControl, Generic[ItemT]):
    """A draft whose members run side by side."""

    kind = "swarm"

    def __init__(self, app: App, name: str, kwargs: dict[str, Any], config: SwarmConfig) -> None:
        super().__init__(app, name, kwargs)
        self.config = config

    async def configure(self, *, max_concurrency: int, timeout: timedelta | float | None = None) -> None:
        if self._known_to_server:
            await super().configure(max_concurrency=max_concurrency, timeout=timeout)
        else:
            self.config = SwarmConfig.model_validate({**self.config.model_dump(), "max_concurrency": max_concurrency})

    async def outcomes(self) -> list[ItemOutcome]:
        self._require_opened()
        return await super().outcomes()

    async def retry_failed(self, *, timeout: timedelta | float | None = None) -> LoadedSwarm:
        self._require_opened()
        return await super().retry_failed(timeout=timeout)


class Swarm(_Items[ItemT], SwarmControl):
    """Signatures side by side, a bounded number at once; make it with `swarm`.

    Attributes:
        tasks: its items.
        config: how it works through them.
        is_swarm_closed: whether it takes no items after its start. It is done when it is closed and all have ended.
    """

    def __init__(
        self,
        app: App,
        name: str,
        tasks: list[Draft[Any]],
        kwargs: dict[str, Any],
        *,
        config: SwarmConfig,
        is_swarm_closed: bool,
    ) -> None:
        super().__init__(app, name, kwargs, config)
        self.tasks = tasks
        self.is_swarm_closed = is_swarm_closed
        self._starting = asyncio.Lock()

    async def run(
        self,
        message: Any = None,
        *,
        timeout: timedelta | float | None = None,
        **options: Unpack[StartOptions],
    ) -> list[ItemT]:
        """Close it, start it, wait for its end, and return the results of the items that succeeded, in their order.

        Raises:
            MageflowError: whatever `start` and `result` raise.
        """
        if not self._started:
            await self.close(timeout=timeout)
        return await super().run(message, timeout=timeout, **options)

    async def add_many(
        self,
        tasks: Sequence[TaskLike],
        messages: Any = None,
        *,
        id: str | None = None,
        close_on_max_task: bool = True,
        timeout: timedelta | float | None = None,
    ) -> list[Member]:
        async with self._starting:  # of many adds at once the first one starts it
            if not self._started:
                await self.start(timeout=timeout)
        return await super().add_many(tasks, messages, id=id, close_on_max_task=close_on_max_task, timeout=timeout)

    async def add_tasks(self, tasks: Sequence[TaskLike], close_on_max_task: bool = True) -> list[Member]:  # noqa: FBT001, FBT002 - as it was
        if self._started:
            return await super().add_tasks(tasks, close_on_max_task)
        items = resolve(self.owner, tasks, "add")
        size, limit = len(self.tasks) + len(items), self.config.max_task_allowed
        if limit is not None and size > limit:
            raise errors.TooManyTasksError(swarm=self.name, limit=limit, asked=size)
        self.tasks += items
        self.is_swarm_closed = self.is_swarm_closed or (size == limit and close_on_max_task)
        return list(items)

    async def close(self, *, timeout: timedelta | float | None = None) -> None:
        if self._known_to_server:
            await super().close(timeout=timeout)
        if self._opened:  # as it is on the server now
            root = self._opened.root.model_copy(update={"closed": True})
            self._opened = self._opened.model_copy(update={"root": root})
        self.is_swarm_closed = True

    def node(self) -> SwarmNode:
        limit = self.config.max_task_allowed
        if limit is not None and len(self.tasks) > limit:
            raise errors.TooManyTasksError(swarm=self.name, limit=limit, asked=len(self.tasks))
        return SwarmNode(
            kwargs=self._bound(),
            members=nested(self.tasks),
            config=self.config,
            closed=self.is_swarm_closed,
            **self._common(),
        )

    def duplicate(self) -> Self:
        made = super().duplicate()
        made.tasks, made._starting = duplicates(self.tasks), asyncio.Lock()  # noqa: SLF001 - it is of this very class
        return made


class Map(_Items[ItemT]):
    """A signature for each element of a list; make it with `map`.

    Attributes:
        task: what runs for each element.
        items: the elements; `None` for those of the previous result.
        config: how it works through them.
    """

    def __init__(
        self,
        app: App,
        name: str,
        task: Draft[ItemT],
        items: list[Any] | None,
        kwargs: dict[str, Any],
        *,
        config: SwarmConfig,
    ) -> None:
        super().__init__(app, name, kwargs, config)
        self.task = task
        self.items = items

    def node(self) -> SwarmNode:
        [template] = nested([self.task])
        for leaf, _ in plan.entrances(template):
            task = self.owner.tasks.get(leaf.task)
            if task.takes_message and not message.takes_result(task.message_type):
                msg = (
                    f"the elements of map {self.name!r} would be lost: the message of task {task.name!r}, "
                    f"{task.message_type!r}, has no place for one; annotate a field of it: element: ReturnValue[...]"
                )
                raise errors.CompositionError(msg)
        return SwarmNode(
            kwargs=self._bound(),
            members=(),
            config=self.config,
            closed=True,
            template=template,
            over=None if self.items is None else tuple(message.to_json(self.items)),
            **self._common(),
        )

    def duplicate(self) -> Self:
        made = super().duplicate()
        made.task, made.items = self.task.duplicate(), deepcopy(self.items)
        return made
