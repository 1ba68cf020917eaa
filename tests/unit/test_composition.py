"""What cannot be composed is refused where it is written, with the culprit and its place. No server is asked."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pydantic
import pytest

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, MageflowConfig, SwarmConfig, TaskOptions


@pytest.fixture
def mf() -> Mageflow:
    mf = Mageflow("no-server-is-asked.invalid:7233")

    @mf.task(name="one")
    async def one() -> int:
        return 1

    @mf.task(name="two")
    def two(msg: dict[str, Any]) -> int:
        return 2

    return mf


async def plain_function() -> None: ...


# Chains and swarms.


@pytest.mark.parametrize("steps", [[], ["one"]])
async def test_a_chain_has_at_least_two_steps(mf: Mageflow, steps: list[str]) -> None:
    with pytest.raises(mageflow.InvalidContainerError, match=rf"{len(steps)} steps.*: for a single task use sign\(\)"):
        await mf.chain(steps)


async def test_a_step_that_cannot_take_the_result_before_it_is_refused(mf: Mageflow) -> None:
    @mf.task(name="shout")
    async def shout(text: str) -> str:
        return text.upper()

    assert await mf.chain([shout, "two"]), "the first step is given the start message"
    for steps in (["one", shout], [shout, await mf.swarm([shout])], [shout, await mf.chain([shout, "two"])]):
        with pytest.raises(mageflow.CompositionError, match="task 'shout' of chain 'sound' is given the result"):
            await mf.chain(steps, name="sound")


@pytest.mark.parametrize("things", ["one", "callback"])
async def test_one_thing_in_the_place_of_a_list_is_named(mf: Mageflow, things: str) -> None:
    task = mf.tasks.get("one")
    with pytest.raises(mageflow.InvalidContainerError, match="got .*: give a list of tasks and signatures"):
        await (mf.chain("one") if things == "one" else mf.sign("two", success_callbacks=task))  # type: ignore[arg-type]


@pytest.mark.parametrize("thing", [plain_function, 3, None, {"task": "one"}, ["one"], object])
async def test_a_thing_that_is_no_task_is_named_with_its_place(mf: Mageflow, thing: Any) -> None:
    compositions: dict[str, Callable[[], Any]] = {
        "sign": lambda: mf.sign(thing),
        "chain[2]": lambda: mf.chain(["one", "two", thing]),
        "swarm[0]": lambda: mf.swarm([thing, "one"]),
    }
    for where, compose in compositions.items():
        with pytest.raises(mageflow.NotATaskError) as caught:
            await compose()
        assert (caught.value.value, caught.value.where) == (repr(thing), where)
        assert str(caught.value) == (
            f"{where} got {thing!r}, which is no task: give a function decorated with @mf.task, a signature, or a name"
        )


async def test_an_unknown_name_is_told_with_the_known_ones(mf: Mageflow) -> None:
    for compose in (lambda: mf.sign("oen"), lambda: mf.chain(["one", "oen"]), lambda: mf.swarm(["oen"])):
        with pytest.raises(mageflow.UnknownTaskError) as caught:
            await compose()
        assert (caught.value.name, caught.value.known) == ("oen", ["one", "two"])
        assert str(caught.value) == (
            "no task named 'oen'; known here: 'one', 'two'. Import the module that defines it, or declare a task that "
            "lives elsewhere with mf.declare('oen')"
        )
    with pytest.raises(mageflow.UnknownTaskError, match="known here: none"):
        await Mageflow("nowhere:1").sign("one")


async def test_a_task_or_signature_of_another_app_is_no_part_of_this_one(mf: Mageflow) -> None:
    other = Mageflow("nowhere:1")

    @other.task(name="one")
    async def one() -> int:
        return 2

    for compose in (lambda: mf.sign(one), lambda: mf.chain(["one", one]), lambda: mf.swarm([one])):
        with pytest.raises(mageflow.UnknownTaskError, match="no task named 'one'"):
            await compose()
    foreign = await other.sign(one)
    with pytest.raises(mageflow.InvalidContainerError, match=r"chain\[1\] is <TaskSignature 'one-.*'>, of another app"):
        await mf.chain(["one", foreign])


async def test_a_signature_that_runs_by_itself_is_no_part_of_another(mf: Mageflow) -> None:
    from mageflow_temporal.protocol import Memo
    from mageflow_temporal.handle import LoadedSignature

    loaded = LoadedSignature(mf, "one-4f2c", "task", Memo(name="one"))
    with pytest.raises(
        mageflow.InvalidContainerError, match=r"chain\[1\] is <LoadedSignature 'one-4f2c'>, which runs by itself"
    ):
        await mf.chain(["one", loaded])


async def test_more_tasks_than_a_swarm_allows_are_refused(mf: Mageflow) -> None:
    config = SwarmConfig(max_task_allowed=2)
    with pytest.raises(mageflow.TooManyTasksError) as caught:
        await mf.swarm(["one", "two", "one"], name="small", config=config)
    assert (caught.value.swarm, caught.value.limit, caught.value.asked) == ("small", 2, 3)
    assert str(caught.value) == "swarm 'small' allows 2 tasks; there would be 3"
    swarm = await mf.swarm(["one", "two"], name="small", config=config)
    swarm.tasks.append(await mf.sign("one"))
    with pytest.raises(mageflow.TooManyTasksError):
        await swarm.start()


@pytest.mark.parametrize("name", ["", "x" * 256, "é" * 128, "\ud800"], ids=ascii)
async def test_a_name_that_cannot_be_one_is_refused(mf: Mageflow, name: str) -> None:
    with pytest.raises(mageflow.CompositionError, match="1 to 255 bytes"):
        mf.declare(name)
    if name:  # an empty name of a container means: none
        with pytest.raises(mageflow.CompositionError, match="1 to 255 bytes"):
            await mf.chain(["one", "two"], name=name)


# Definitions.


def test_a_name_is_taken_once_in_an_app(mf: Mageflow) -> None:
    def one() -> None: ...

    with pytest.raises(mageflow.DuplicateTaskError) as caught:
        mf.task()(one)
    error = caught.value
    assert error.name == "one"
    assert error.first.endswith("mf.<locals>.one")
    assert error.second.endswith("test_a_name_is_taken_once_in_an_app.<locals>.one")
    assert str(error) == (
        f"task name 'one' is taken by {error.first}; {error.second} needs a name of its own: @mf.task(name='...')"
    )
    with pytest.raises(mageflow.DuplicateTaskError, match="a declaration needs a name of its own"):
        mf.declare("two")
    assert Mageflow("nowhere:1").task(name="one")(one).name == "one", "another app has names of its own"


def takes_two(first: int, second: int) -> None: ...


def takes_by_keyword(first: int, *, second: int) -> None: ...


def yields() -> Any:
    yield 1


async def yields_later() -> Any:
    yield 1


def local_function() -> Any:
    def local() -> None: ...

    return local


def takes_what_is_unknown(msg: "Nowhere") -> None: ...  # noqa: F821, UP037


@pytest.mark.parametrize(
    ("function", "options", "problem"),
    [
        (takes_two, {}, "takes 2 parameters: a task takes one message, or nothing"),
        (takes_what_is_unknown, {}, "an annotation of .* names something that does not exist there: .*Nowhere"),
        (takes_by_keyword, {}, "takes 2 parameters: a task takes one message, or nothing"),
        (yields, {}, "cannot be a task: a task is made of a def or an async def that returns its result"),
        (yields_later, {}, "cannot be a task"),
        (functools.partial(takes_two, 1), {}, "cannot be a task"),
        (dict, {}, "cannot be a task"),
        (
            lambda: None,
            {"isolation": "process"},
            "where another process cannot find it: make it a function of a module",
        ),
        (local_function(), {"isolation": "process"}, "where another process cannot find it"),
        (plain_function, {"isolation": "thread"}, "has isolation='thread': leave it out for the loop or a thread"),
        (plain_function, {"name": "__temporal_x"}, "names that begin with __temporal or mageflow. are taken"),
        (plain_function, {"name": "mageflow.take_back"}, "names that begin with __temporal or mageflow. are taken"),
    ],
)
def test_a_function_that_cannot_be_a_task_is_refused_at_its_definition(
    mf: Mageflow, function: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(mageflow.CompositionError, match=problem):
        mf.task(**options)(function)
    assert [task.name for task in mf.tasks] == ["one", "two"]


def test_a_declared_task_is_signed_and_not_called(mf: Mageflow) -> None:
    with pytest.raises(
        TypeError, match="'elsewhere' is declared here and implemented elsewhere: it can be signed, not called"
    ):
        mf.declare("elsewhere")()


# Drafts.


async def test_a_draft_has_no_result_yet_and_cannot_be_removed(mf: Mageflow) -> None:
    signature = await mf.sign("one")
    for call in (signature.result, signature.remove):
        with pytest.raises(mageflow.SignatureNotStartedError) as caught:
            await call()
        assert caught.value.key == signature.key
        assert str(caught.value) == f"'{signature.key}' has not been started: await signature.start(...) first"
    assert (await signature.status()).status == "pending"
    assert (await signature.resume()).status == "pending"


# Apps.


async def test_a_module_function_that_could_mean_several_apps_says_so(mf: Mageflow) -> None:
    other = Mageflow("nowhere:1")

    @other.task(name="theirs")
    async def theirs() -> None: ...

    for call in (lambda: mageflow.sign("one"), lambda: mageflow.load_signature("key"), lambda: mageflow.suspend("key")):
        with pytest.raises(mageflow.AmbiguousAppError) as caught:
            await call()
        assert caught.value.apps >= 2
        assert "mf.chain([...]) instead of mageflow.chain([...])" in str(caught.value)
    one = mf.tasks.get("one")
    with pytest.raises(mageflow.AmbiguousAppError) as mixed:
        await mageflow.chain([one, theirs])
    assert mixed.value.apps == 2
    assert (await mageflow.chain([one, "two"])).owner is mf, "the tasks say which app is meant"
    assert (await mageflow.sign(theirs)).owner is other


SCRIPT = """
import asyncio
import mageflow_temporal as mageflow
{apps}
async def main():
    await mageflow.{call}
try:
    asyncio.run(main())
except mageflow.MageflowError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("apps", "answer"),
    [
        (
            "",
            "AppNotFoundError this process has no Mageflow app: create one first, for example mf = mageflow.Mageflow()\n",
        ),
        (
            "first, second = mageflow.Mageflow(), mageflow.Mageflow()",
            "AmbiguousAppError this call could mean any of 2 Mageflow apps in this process: call the method of the app "
            "that you mean, for example mf.chain([...]) instead of mageflow.chain([...])\n",
        ),
    ],
    ids=["no app", "two apps"],
)
def test_a_fresh_process_without_one_certain_app_is_told_so(apps: str, answer: str) -> None:
    script = SCRIPT.format(apps=apps, call="suspend('key')")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ})
    assert (done.stdout, done.stderr) == (answer, "")
