"""What is done, as an app has it: its tasks, and the signatures that are composed of them."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Never, TypeVar, get_args, overload

from mageflow_temporal import errors
from mageflow_temporal.config import Duration, MageflowConfig, SwarmConfig, TaskOptions
from mageflow_temporal.control import Control
from mageflow_temporal.decorators import Decorators, TaskDecorator
from mageflow_temporal.familiar import FamiliarApp, from_default_priority
from mageflow_temporal.plan import OnFailure
from mageflow_temporal.signature import Chain, Draft, TaskLike, TaskSignature, find_task, resolve
from mageflow_temporal.swarm import Map, Swarm
from mageflow_temporal.task import MessageT, Registry, ResultT, Task, define

_DraftT = TypeVar("_DraftT", bound=Draft[Any])


class Composition(Decorators, FamiliarApp[Chain[Any], Swarm[Any]]):
    """The part of an app that makes tasks of functions and signatures of tasks."""

    tasks: Registry
    config: MageflowConfig

    @abstractmethod
    async def control(self) -> Control: ...

    def task(
        self,
        *bare: Never,
        name: str | None = None,
        retries: int = 0,
        execution_timeout: Duration | None = None,
        schedule_timeout: Duration | None = None,
        backoff_factor: float = 2.0,
        backoff_max_seconds: float = 60.0,
        heartbeat_timeout: Duration | None = None,
        task_queue: str | None = None,
        isolation: Literal["process"] | None = None,
        input_validator: type[Any] | None = None,
        at_most_once: bool = False,
        priority: int | None = None,
        fairness_key: str | None = None,
        fairness_weight: float | None = None,
        on_crons: Sequence[str] = (),
        default_priority: int | None = None,
    ) -> TaskDecorator:
        """Make a task of a function that takes one message, or nothing.

        An `async def` runs on the worker's event loop, a `def` in a thread.

        Args:
            bare: nothing can be given here.
            name: the task's name. `None`: the function's.
            retries: how often a failed attempt is repeated (3: four attempts in all).
            execution_timeout: the longest that one attempt may take. `None`: no limit.
            schedule_timeout: the longest that it may wait in its queue; then it fails. `None`: no limit.
            backoff_factor: the pause before retry n (from 0) is `backoff_factor ** n` seconds.
            backoff_max_seconds: the longest pause before a retry, in seconds.
            heartbeat_timeout: how long its worker may be silent before it is handed to another. `None`: the app's.
            task_queue: the queue whose workers run it. `None`: the app's.
            isolation: "process" runs it in a process of its own, which an interrupt kills.
            input_validator: the type of its message, where the function's annotation does not say it.
            at_most_once: a lost worker fails the task, instead of another running it again.
            priority: from 1, which goes first, to 5. `None`: that of the start, else 3.
            fairness_key: whose work it is: the keys of one priority take turns. `None`: that of the start.
            fairness_weight: how many turns the key gets, from 0.001 to 1000. `None`: that of the start, else 1.
            on_crons: cron lines, in UTC: a worker that has the task schedules it so when it starts, without a message.
                The schedule's ID is "cron/{task queue}/{name}", and it goes on until it is deleted. See `schedule`.
            default_priority: the priority in Hatchet's numbers, where 3 goes first; instead of `priority`.

        Raises:
            DuplicateTaskError: the app has a task of that name.
            CompositionError: the function cannot be a task; or the parentheses of `@mf.task()` are missing.
            pydantic.ValidationError: an option is out of its range.
        """
        if bare:
            msg = f"write @mf.task() with parentheses, not @mf.task, above {getattr(bare[0], '__name__', bare[0])}"
            raise errors.CompositionError(msg)
        if default_priority is not None:
            if priority is not None:
                msg = f"priority={priority} and default_priority={default_priority} are two words for one thing"
                raise errors.CompositionError(msg)
            priority = from_default_priority(default_priority)
        options = TaskOptions(
            retries=retries,
            execution_timeout=execution_timeout,
            schedule_timeout=schedule_timeout,
            backoff_factor=backoff_factor,
            backoff_max_seconds=backoff_max_seconds,
            heartbeat_timeout=heartbeat_timeout,
            task_queue=task_queue,
            at_most_once=at_most_once,
            priority=priority,
            fairness_key=fairness_key,
            fairness_weight=fairness_weight,
        )

        def decorate(function: Callable[..., Any]) -> Task[Any, Any]:
            task = define(
                function,
                name=name,
                owner=self,
                options=options,
                isolation=isolation,
                input_validator=input_validator,
                accepts=self.config.param_config,
                on_crons=on_crons,
                namespace=sys._getframe(2).f_locals,  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - annotations may mean local names
            )
            self.tasks.add(task)
            return task

        return TaskDecorator(decorate)

    durable_task = task

    def declare(
        self, name: str, *, message: Any = Any, result: Any = Any, options: TaskOptions | None = None
    ) -> Task[Any, Any]:
        """Declare a task that is implemented elsewhere: in another service, or in another language.

        Args:
            name: its name, which is its Temporal activity type.
            message: the type of its message.
            result: the type of its result.
            options: how it may run; `task_queue` says whose workers have it.

        Raises:
            DuplicateTaskError: the app has a task of that name.
        """
        task = Task[Any, Any](
            name=name,
            function=None,
            options=options or TaskOptions(),
            owner=self,
            message_type=message,
            result_type=result,
        )
        self.tasks.add(task)
        return task

    @overload
    async def sign(
        self,
        task: Task[MessageT, ResultT],
        *,
        success_callbacks: Sequence[TaskLike] = (),
        error_callbacks: Sequence[TaskLike] = (),
        on_failure: OnFailure = "fail",
        **kwargs: Any,
    ) -> TaskSignature[MessageT, ResultT]: ...
    @overload
    async def sign(
        self,
        task: str,
        *,
        success_callbacks: Sequence[TaskLike] = (),
        error_callbacks: Sequence[TaskLike] = (),
        on_failure: OnFailure = "fail",
        **kwargs: Any,
    ) -> TaskSignature[Any, Any]: ...
    async def sign(
        self,
        task: Task[Any, Any] | str,
        *,
        success_callbacks: Sequence[TaskLike] = (),
        error_callbacks: Sequence[TaskLike] = (),
        on_failure: OnFailure = "fail",
        **kwargs: Any,
    ) -> TaskSignature[Any, Any]:
        """Return a signature of a task, with kwargs that are laid over its message.

        Args:
            task: the task, or its name.
            success_callbacks: what begins when it is done; each gets its result.
            error_callbacks: what begins when it has failed for good; each gets its message.
            on_failure: "suspend" suspends it where it would fail; a resume, perhaps with corrected kwargs, runs
                what failed again.
            kwargs: laid over its message.

        Raises:
            UnknownTaskError: it is not a task of this app.
            NotATaskError: it is no task at all.
        """
        signature = TaskSignature(self, find_task(self, task, "sign"), kwargs)
        return self._finished(signature, success_callbacks, error_callbacks, on_failure)

    asign = sign

    async def chain(
        self,
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
        """Return a chain: its steps run in order, each with the result of the one before.

        Args:
            tasks: at least two tasks, signatures or task names.
            name: what it is called. `None`: its first step's name.
            success: one success callback.
            error: one error callback.
            success_callbacks: what begins when it is done; each gets the last result.
            error_callbacks: what begins when it has failed; each gets the message of the step that failed.
            on_failure: "suspend" suspends it where it would fail; a resume, perhaps with corrected kwargs, runs
                what failed again.
            kwargs: laid over the message of every step.

        Raises:
            InvalidContainerError: there are fewer than two steps.
            UnknownTaskError: a step is not a task of this app.
            NotATaskError: a step is no task at all.
        """
        steps = resolve(self, tasks, "chain")
        made = Chain[Any](self, name or (steps[0].name if steps else "chain"), steps, kwargs)
        made.node()
        successes = [*success_callbacks, *([] if success is None else [success])]
        failures = [*error_callbacks, *([] if error is None else [error])]
        return self._finished(made, successes, failures, on_failure)

    @overload
    async def swarm(
        self,
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
        self,
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
    async def swarm(
        self,
        tasks: Sequence[TaskLike] = (),
        name: str | None = None,
        *,
        config: SwarmConfig | None = None,
        is_swarm_closed: bool = False,
        success_callbacks: Sequence[TaskLike] = (),
        error_callbacks: Sequence[TaskLike] = (),
        on_failure: OnFailure = "fail",
        **kwargs: Any,
    ) -> Swarm[Any]:
        """Return a swarm: its items run side by side.

        Args:
            tasks: tasks, signatures or task names.
            name: what it is called. `None`: "swarm".
            config: how it works through its items.
            is_swarm_closed: whether it takes no items after its start. An open swarm is done only after `close()`.
            success_callbacks: what begins when it is done; each gets the list of successful results.
            error_callbacks: what begins when it has failed; each gets the message of the item that failed first.
            on_failure: "suspend" suspends it where it would fail; a resume, perhaps with corrected kwargs, runs
                what failed again.
            kwargs: laid over the message of every item.

        Raises:
            UnknownTaskError: an item is not a task of this app.
            NotATaskError: an item is no task at all.
            TooManyTasksError: there are more than `config.max_task_allowed`.
        """
        items = resolve(self, tasks, "swarm")
        made = Swarm[Any](
            self, name or "swarm", items, kwargs, config=config or SwarmConfig(), is_swarm_closed=is_swarm_closed
        )
        made.node()
        return self._finished(made, success_callbacks, error_callbacks, on_failure)

    async def map(
        self,
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
        """Return a map: a swarm with an item for each element of a list. Its results are in the order of the elements.

        Each item gets its element as a step of a chain gets the previous result: in the field that is annotated
        `ReturnValue`, or as `mageflow_results`.

        Args:
            task: what runs for each element: a task, a signature, or a task's name.
            items: the elements. `None`: those of the previous step's result, or of a list given to `start`.
            name: what it is called. `None`: the task's name.
            config: how it works through the elements.
            success_callbacks: what begins when it is done; each gets the list of successful results.
            error_callbacks: what begins when it has failed.
            on_failure: "suspend" suspends it where it would fail; a resume, perhaps with corrected kwargs, runs
                what failed again.
            kwargs: laid over the message of every item.

        Raises:
            UnknownTaskError: it is not a task of this app.
            NotATaskError: it is no task at all.
        """
        [each] = resolve(self, [task], "map")
        elements = None if items is None else list(items)
        made = Map[ResultT](self, name or each.name, each, elements, kwargs, config=config or SwarmConfig())
        return self._finished(made, success_callbacks, error_callbacks, on_failure)

    def _finished(
        self, made: _DraftT, success: Sequence[TaskLike], error: Sequence[TaskLike], on_failure: OnFailure
    ) -> _DraftT:
        if on_failure not in get_args(OnFailure):
            msg = f"on_failure={on_failure!r} of {made.name!r} is none of: {', '.join(get_args(OnFailure))}"
            raise errors.CompositionError(msg)
        made.on_failure = on_failure
        made.success_callbacks = resolve(self, success, "success_callbacks")
        made.error_callbacks = resolve(self, error, "error_callbacks")
        return made
