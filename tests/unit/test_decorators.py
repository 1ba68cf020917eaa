"""What a function asks for before it is made a task: in any order below `@mf.task`, and checked where it is defined."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import AcceptParams, LoadedMember, LoadedSignature, Mageflow, MageflowConfig, Member, TaskContext


class Order(BaseModel):
    number: int


def app(accepts: AcceptParams = AcceptParams.NO_CTX) -> Mageflow:
    return Mageflow("no-server-is-asked.invalid:7233", config=MageflowConfig(param_config=accepts))


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_the_decorators_may_come_in_any_order(order: tuple[int, ...]) -> None:
    mf = app()
    decorators = [mf.with_ctx, mf.with_signature, mf.stagger_execution(timedelta(seconds=2))]

    async def function(msg: Order, ctx: TaskContext, signature: Member) -> int: ...

    for number in order:
        function = decorators[number](function)
    task = mf.task(name="both")(function)
    assert (task.wants.context, task.wants.stagger) == (True, timedelta(seconds=2))
    assert task.wants.signature is not None
    assert (task.message_type, task.result_type, task.takes_message) == (Order, int, True)


def test_a_function_that_asks_for_nothing_gets_its_message_only() -> None:
    @app().task()
    async def plain(msg: Order) -> int: ...

    assert (plain.wants.context, plain.wants.signature, plain.wants.stagger) == (False, None, None)


def test_what_all_tasks_get_and_what_one_asks_for() -> None:
    everything, message_only = app(AcceptParams.ALL), app(AcceptParams.JUST_MESSAGE)

    @everything.task()
    async def gets_context(msg: Order, ctx: TaskContext) -> None: ...

    @everything.task()
    @everything.with_signature
    async def gets_both(msg: Order, ctx: TaskContext, signature: Member) -> None: ...

    @message_only.task()
    @message_only.with_signature
    async def gets_no_signature(msg: Order, signature: Member | None = None) -> None: ...

    @message_only.task()
    @message_only.with_ctx
    @message_only.with_signature
    async def asks_for_all(msg: Order, ctx: TaskContext, signature: Member) -> None: ...

    assert gets_context.wants.context
    assert gets_both.wants.context
    assert gets_both.wants.signature
    assert not gets_no_signature.wants.signature
    assert asks_for_all.wants.context
    assert asks_for_all.wants.signature


async def only_message(msg: Order) -> None: ...
async def nothing() -> None: ...
async def no_signature(msg: Order, ctx: TaskContext) -> None: ...
async def three(msg: Order, ctx: TaskContext, more: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "asks", "accepts", "problem"),
    [
        (
            only_message,
            ["with_ctx"],
            AcceptParams.NO_CTX,
            "its message and a TaskContext: it needs a parameter for each",
        ),
        (nothing, [], AcceptParams.ALL, "its message and a TaskContext: it needs a parameter for each"),
        (no_signature, ["with_ctx", "with_signature"], AcceptParams.NO_CTX, "needs a parameter named 'signature'"),
        (
            no_signature,
            [],
            AcceptParams.NO_CTX,
            "takes 2 parameters: a task takes one message, or nothing; mf.with_ctx",
        ),
        (three, ["with_ctx"], AcceptParams.NO_CTX, "takes 3 parameters"),
    ],
)
def test_a_function_that_does_not_take_what_it_is_to_get_is_refused(
    function: Any, asks: list[str], accepts: AcceptParams, problem: str
) -> None:
    mf = app(accepts)

    def copy(*args: Any) -> None: ...

    copy.__signature__ = mageflow_signature(function)  # type: ignore[attr-defined]
    for decorator in asks:
        getattr(mf, decorator)(copy)
    with pytest.raises(mageflow.CompositionError, match=problem):
        mf.task(name="refused")(copy)


def mageflow_signature(function: Any) -> Any:
    import inspect

    return inspect.signature(function)


def test_a_decorator_above_the_task_is_refused() -> None:
    mf = app()
    with pytest.raises(mageflow.CompositionError, match="is a task already: @mf.task comes on top"):

        @mf.with_ctx
        @mf.task()
        async def upside_down(msg: Order, ctx: TaskContext | None = None) -> None: ...


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(seconds=-1)])
def test_a_stagger_of_no_time_is_refused(wait: timedelta) -> None:
    with pytest.raises(mageflow.CompositionError, match="must be longer than zero"):
        app().stagger_execution(wait)


def test_a_task_knows_itself_as_a_signature_or_as_a_member() -> None:
    mf = app()

    @mf.task(name="own")
    @mf.with_signature
    async def own(msg: Order, signature: Member) -> int: ...

    make = own.wants.signature
    assert make is not None
    whole, member = make(own, "own-1"), make(own, "etl-1#2.0")
    assert isinstance(whole, LoadedSignature)
    assert (whole.key, whole.kind, whole.name, whole.owner) == ("own-1", "task", "own", mf)
    assert isinstance(member, LoadedMember)
    assert member.key == "etl-1#2.0"


async def test_a_task_with_a_stagger_has_so_much_more_time() -> None:
    mf = app()

    @mf.task(name="limited", execution_timeout=timedelta(seconds=10))
    @mf.stagger_execution(timedelta(seconds=5))
    async def limited() -> None: ...

    @mf.task(name="unlimited")
    @mf.stagger_execution(timedelta(seconds=5))
    async def unlimited() -> None: ...

    from mageflow_temporal.signature import specs

    found = specs(mf, [(await mf.sign(task)).node() for task in (limited, unlimited)])
    assert found["limited"].options.execution_timeout == timedelta(seconds=15)
    assert found["unlimited"].options.execution_timeout is None
    assert limited.options.execution_timeout == timedelta(seconds=10)


def test_durable_task_is_task_by_another_name() -> None:
    mf = app()

    @mf.durable_task(name="durable", retries=3)
    async def durable(msg: Order) -> int: ...

    assert (durable.name, durable.options.retries, durable.message_type) == ("durable", 3, Order)
