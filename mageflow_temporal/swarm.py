"""Swarms and maps: drafts of them, and the control that a swarm has while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast

from mageflow_temporal import errors, message
from mageflow_temporal.config import SwarmConfig
from mageflow_temporal.handle import App, LoadedSignature, Member, as_json
from mageflow_temporal.plan import SwarmNode
from mageflow_temporal.protocol import AddRequest
from mageflow_temporal.signature import Draft, nested, resolve, specs

ItemT = TypeVar("ItemT")


class SwarmControl(Member):
    async def add(
        self, task: Any, message: Any = None, *, id: str | None = None, close_on_max_task: bool = True
    ) -> Member:
        """Add an item, also while the swarm runs, and return it. An unstarted swarm is started by it.

        Args:
            task: a task, a signature, or a task's name.
            message: the item's message; it wins over the swarm's start message, and the item's kwargs win over it.
            id: a name for this request. Repeated with the same name, after a lost answer, it adds nothing again.
            close_on_max_task: whether the swarm closes when it has as many items as it takes.

        Raises:
            SwarmIsClosedError: it is closed, or has ended (`SwarmIsCanceledError` if it was cancelled).
            TooManyTasksError: it has as many items as it takes.
            InvalidMessageError: JSON has no form for the message.
        """
        [item] = await self.add_many([task], [message], id=id, close_on_max_task=close_on_max_task)
        return item

    async def add_many(
        self, tasks: Sequence[Any], messages: Any = None, *, id: str | None = None, close_on_max_task: bool = True
    ) -> list[Member]:
        """Add items, all or none of them. See `add`.

        Args:
            tasks: tasks, signatures, or names of tasks.
            messages: a list with a message for each, or one message for all.
            id: a name for this request.
            close_on_max_task: whether the swarm closes when it has as many items as it takes.

        Raises:
            TaskAndMsgsDontMatchForSwarmError: the lists are of different lengths.
            MageflowError: whatever `add` raises.
        """
        drafts = resolve(self.owner, tasks, "add")
        each = cast("list[Any]", messages if isinstance(messages, list) else [messages] * len(drafts))
        if len(each) != len(drafts):
            raise errors.TaskAndMsgsDontMatchForSwarmError(tasks=len(drafts), messages=len(each))
        items = tuple(
            node
            if own is None
            else node.model_copy(update={"kwargs": message.bind(as_json(own, node.name), node.kwargs)})
            for node, own in zip(nested(drafts), each, strict=True)
        )
        request = AddRequest(items=items, tasks=specs(self.owner, items), close_on_max_task=close_on_max_task)
        indexes = await (await self.owner.control()).add(self.key, request, id)
        return [Member(self.owner, f"{self.key}#{index}") for index in indexes]

    async def close(self) -> None:
        """Take no more items: the swarm is done when all that it has have ended.

        Raises:
            SignatureEndedError: it has ended.
        """
        await (await self.owner.control()).close(self.key)


class LoadedSwarm(LoadedSignature, SwarmControl):
    """A swarm that was found by its key."""


class Swarm(Draft[list[ItemT]], SwarmControl, Generic[ItemT]):
    """Signatures side by side, a bounded number at once; make it with `swarm`.

    Attributes:
        tasks: its items.
        config: how it works through them.
        is_swarm_closed: whether it takes no items after its start. It is done when it is closed and all have ended.
    """

    kind = "swarm"

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
        super().__init__(app, name, kwargs)
        self.tasks = tasks
        self.config = config
        self.is_swarm_closed = is_swarm_closed

    async def run(
        self,
        message: Any = None,
        *,
        id: str | None = None,
        timeout: timedelta | float | None = None,
    ) -> list[ItemT]:
        """Close it, start it, wait for its end, and return the results of the items that succeeded, in their order.

        Raises:
            MageflowError: whatever `start` and `result` raise.
        """
        self.is_swarm_closed = True
        return await super().run(message, id=id, timeout=timeout)

    async def add_many(
        self, tasks: Sequence[Any], messages: Any = None, *, id: str | None = None, close_on_max_task: bool = True
    ) -> list[Member]:
        if not self._started:
            await self.start()
        return await super().add_many(tasks, messages, id=id, close_on_max_task=close_on_max_task)

    async def close(self) -> None:
        self.is_swarm_closed = True
        if self._known_to_server:
            await super().close()

    def node(self) -> SwarmNode:
        limit = self.config.max_task_allowed
        if limit is not None and len(self.tasks) > limit:
            raise errors.TooManyTasksError(swarm=self.name, limit=limit, asked=len(self.tasks))
        return SwarmNode(
            name=self.name,
            kwargs=self._bound(),
            members=nested(self.tasks),
            config=self.config,
            closed=self.is_swarm_closed,
            **self._callbacks(),
        )


class Map(Draft[list[ItemT]], Generic[ItemT]):
    """A signature for each element of a list; make it with `map`.

    Attributes:
        task: what runs for each element.
        items: the elements; `None` for those of the previous result.
        config: how it works through them.
    """

    kind = "swarm"

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
        super().__init__(app, name, kwargs)
        self.task = task
        self.items = items
        self.config = config

    def node(self) -> SwarmNode:
        [template] = nested([self.task])
        return SwarmNode(
            name=self.name,
            kwargs=self._bound(),
            members=(),
            config=self.config,
            closed=True,
            template=template,
            over=None if self.items is None else tuple(as_json(self.items, self.name)),
            **self._callbacks(),
        )
