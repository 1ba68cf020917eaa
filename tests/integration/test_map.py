"""Map: a swarm whose items are the elements of a list, known when it is composed or only when it runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, ReturnValue, SwarmConfig
from tests.support import Ledger, reaches


class File(BaseModel):
    path: str


class Open(BaseModel):
    file: ReturnValue[File]
    mode: str = "r"


class Size(BaseModel):
    path: str
    size: int


class Sizes(BaseModel):
    sizes: ReturnValue[list[Size]]


def define(mf: Mageflow) -> tuple[Any, Any, Any]:
    @mf.task(name="list files")
    async def list_files() -> list[File]:
        return [File(path="a" * number) for number in range(1, 6)]

    @mf.task(name="measure")
    async def measure(msg: Open) -> Size:
        await asyncio.sleep(0.02 * (6 - len(msg.file.path)))  # the last is the first to end
        return Size(path=msg.file.path, size=len(msg.file.path))

    @mf.task(name="add up")
    async def add_up(msg: Sizes) -> int:
        return sum(size.size for size in msg.sizes)

    return list_files, measure, add_up


async def test_its_items_are_the_elements_of_the_previous_result(mf: Mageflow) -> None:
    list_files, measure, add_up = define(mf)
    async with mf.worker():
        chain = await mf.chain([list_files, await mf.map(measure), add_up])
        assert await chain.run() == 15
        report = await chain.status()
    assert report.find("1").counts.done == 5
    assert report.find("1.4").status == "done"


async def test_results_are_typed_and_in_the_order_of_the_elements(mf: Mageflow) -> None:
    _, measure, _ = define(mf)
    async with mf.worker():
        mapped = await mageflow.map(measure, (File(path="x" * number) for number in (3, 1, 2)), name="sizes")
        assert await mapped.run() == [Size(path="xxx", size=3), Size(path="x", size=1), Size(path="xx", size=2)]


async def test_a_list_can_be_its_start_message(mf: Mageflow) -> None:
    _, measure, _ = define(mf)
    async with mf.worker():
        mapped = await mf.map(measure)
        assert [size.size for size in await mapped.run([File(path="12"), File(path="1")])] == [2, 1]


async def test_no_elements_give_no_results(mf: Mageflow) -> None:
    _, measure, add_up = define(mf)
    async with mf.worker():
        assert await (await mf.chain([await mf.map(measure, []), add_up])).run() == 0


async def test_any_signature_can_be_mapped(mf: Mageflow) -> None:
    @mf.task(name="plus")
    async def plus(msg: dict[str, Any]) -> int:
        return msg["mageflow_results"] + msg.get("by", 1)

    async with mf.worker():
        each = await mf.chain([plus, await mf.sign(plus, by=10)], name="twice")
        mapped = await mf.map(each, [1, 2, 3])
        assert await mapped.run() == [12, 13, 14]
        nested = await mf.chain([await mf.map(await mf.map(plus), [[1, 2], [3]]), await mf.map(await mf.map(plus))])
        assert await nested.run() == [[3, 4], [5]]


async def test_what_is_no_list_fails_and_says_what_it_was(mf: Mageflow) -> None:
    _, measure, _ = define(mf)

    @mf.task(name="one file")
    async def one_file() -> File:
        return File(path="x")

    async with mf.worker():
        chain = await mf.chain([one_file, await mf.map(measure)])
        with pytest.raises(mageflow.NotAListError, match="was given a dict") as caught:
            await chain.run()
    assert caught.value.key == f"{chain.key}#1"


async def test_error_callbacks_are_told_what_was_given_in_the_place_of_a_list(mf: Mageflow) -> None:
    _, measure, _ = define(mf)
    told: list[Any] = []

    @mf.task(name="one file")
    async def one_file() -> File:
        return File(path="x")

    @mf.task(name="tell")
    async def tell(msg: dict[str, Any]) -> None:
        told.append(msg)

    async with mf.worker():
        mapped = await mf.map(measure, error_callbacks=[await mf.sign(tell, who="map")], mode="w")
        chain = await mf.chain([one_file, mapped], error=await mf.sign(tell, who="chain"))
        with pytest.raises(mageflow.NotAListError):
            await chain.run()
    message = {"mageflow_results": {"path": "x"}, "mode": "w"}
    assert sorted(told, key=str) == [{**message, "who": "chain"}, {**message, "who": "map"}]


async def test_it_is_bounded_and_obeys_the_lifecycle(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="held")
    async def held(msg: dict[str, Any]) -> int:
        await ledger.work("held", gate)
        return msg["mageflow_results"]

    async with mf.worker():
        mapped = await mf.map(held, range(6), config=SwarmConfig(max_concurrency=2))
        await mapped.start()
        await ledger.has_begun("held", 2)
        await mf.interrupt(f"{mapped.key}#0")
        await ledger.has_begun("held", 3)  # its place goes to another
        await mapped.suspend()
        gate.set()
        await reaches(mapped, "done", "1")
        await reaches(mapped, "done", "2")
        await mapped.resume()
        await mf.resume(f"{mapped.key}#0")
        assert await mapped.result(timeout=20) == list(range(6))
    assert ledger.most_at_once == 2


async def test_a_map_has_its_items_as_a_swarm_has(mf: Mageflow, ledger: Ledger) -> None:
    broken = True

    @mf.task(name="half")
    async def half(msg: dict[str, int]) -> float:
        if broken and not msg["mageflow_results"]:
            raise ValueError
        return msg["mageflow_results"] / 2

    async with mf.worker():
        each = await mf.map(half, [0, 2, 4])
        await each.configure(max_concurrency=1)
        await each.run(timeout=20)
        assert [outcome.result for outcome in await each.outcomes()] == [None, 1.0, 2.0]
        broken = False
        again = await each.retry_failed()
        assert await again.result(timeout=20) == [0.0]


async def test_elements_that_would_be_lost_are_refused(mf: Mageflow) -> None:
    @mf.task(name="close file")
    async def close_file(msg: File) -> str:
        return msg.path

    @mf.task(name="double")
    async def double(n: int) -> int:
        return 2 * n

    for task in (close_file, double):
        each = await mf.map(await mf.chain([task, close_file]), [1, 2])
        with pytest.raises(mageflow.CompositionError, match=f"of task '{task.name}', .* has no place for one"):
            await each.start()
