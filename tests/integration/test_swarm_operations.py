"""What a swarm can be asked and told while it runs and after: outcomes, failed items again, its width."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import mageflow_temporal as mageflow
from mageflow_temporal import Mageflow, SwarmConfig
from tests.support import Ledger, eventually, reaches


class Item(BaseModel):
    n: int = 0
    mageflow_results: int | None = None


class Counted(BaseModel):
    n: int


def counting(mf: Mageflow, ledger: Ledger, broken: set[int], gate: asyncio.Event | None = None) -> Any:
    """A task that fails for what is in `broken` when it runs."""

    @mf.task(name="count", retries=1, backoff_max_seconds=0.01)
    async def count(msg: Item) -> Counted:
        n = msg.n if msg.mageflow_results is None else msg.mageflow_results
        await ledger.work(str(n), gate)
        if n in broken:
            problem = f"{n} is broken"
            raise ValueError(problem)
        return Counted(n=n)

    return count


async def test_there_is_an_outcome_per_item_in_the_order_of_submission(mf: Mageflow, ledger: Ledger) -> None:
    count, gate = counting(mf, ledger, {1}), asyncio.Event()

    @mf.task(name="wait")
    async def wait(msg: dict[str, Any]) -> None:
        await ledger.work("wait", gate)

    async with mf.worker():
        chain = await mf.chain([await mf.sign(count, n=1), count], name="broken chain")
        items = [await mf.sign(count, n=1), await mf.sign(count, n=2), chain, wait]
        swarm = await mf.swarm(items, config=SwarmConfig(max_concurrency=4))
        await swarm.start()
        await swarm.add(count, {"n": 5})
        await reaches(swarm, "failed", "2")
        await reaches(swarm, "done", "4")
        await reaches(swarm, "failed", "0")
        outcomes = await swarm.outcomes()
        assert [outcome.key for outcome in outcomes] == [f"{swarm.key}#{index}" for index in range(5)]
        assert [outcome.name for outcome in outcomes] == ["count", "count", "broken chain", "wait", "count"]
        assert [outcome.status for outcome in outcomes] == ["failed", "done", "failed", "active", "done"]
        assert [outcome.result for outcome in outcomes] == [None, Counted(n=2), None, None, Counted(n=5)]
        assert [outcome.error and outcome.error.message for outcome in outcomes] == [
            "1 is broken",
            None,
            "1 is broken",
            None,
            None,
        ]
        assert [outcome.attempts for outcome in outcomes] == [2, 1, None, 1, 1]
        gate.set()
        await swarm.close()
        assert await swarm.result(timeout=20) == [{"n": 2}, None, {"n": 5}], "successful results only"
        loaded = await mf.load_signature(swarm.key)
        assert isinstance(loaded, mageflow.LoadedSwarm)
        assert [outcome.status for outcome in await loaded.outcomes()] == ["failed", "done", "failed", "done", "done"]


async def test_outcomes_of_more_than_one_answer_carries_come_all(mf: Mageflow, ledger: Ledger) -> None:
    @mf.task(name="large")
    async def large(msg: Item) -> str:
        return str(msg.mageflow_results) * 100_000

    async with mf.worker():
        mapped = await mf.map(large, range(25))
        assert len(await mapped.run(timeout=30)) == 25
        loaded = await mf.load_signature(mapped.key)
        assert isinstance(loaded, mageflow.LoadedSwarm)
        outcomes = await loaded.outcomes()
        assert [outcome.result[0] for outcome in outcomes] == [str(n)[0] for n in range(25)]


async def test_failed_items_run_again_in_their_places_while_the_swarm_goes_on(mf: Mageflow, ledger: Ledger) -> None:
    broken = {1, 3}
    count = counting(mf, ledger, broken)
    async with mf.worker():
        swarm = await mf.swarm([await mf.sign(count, n=n) for n in range(5)])
        await swarm.start()
        await reaches(swarm, "failed", "1")
        await reaches(swarm, "failed", "3")
        await reaches(swarm, "done", "4")
        broken.remove(3)
        again = await swarm.retry_failed()
        assert again.key == swarm.key
        await reaches(swarm, "done", "3")
        await reaches(swarm, "failed", "1")
        broken.clear()
        await swarm.retry_failed()
        await reaches(swarm, "done", "1")
        await swarm.close()
        assert await swarm.result(timeout=20) == [Counted(n=n) for n in range(5)]
    assert [ledger.begun[str(n)] for n in range(5)] == [1, 5, 1, 3, 1]


async def test_failed_items_of_an_ended_swarm_run_in_a_new_one_started_once(mf: Mageflow, ledger: Ledger) -> None:
    broken = {1, 2}
    count = counting(mf, ledger, broken)

    @mf.task(name="pass on")
    async def pass_on(msg: dict[str, Any]) -> Any:
        return msg["mageflow_results"]

    async with mf.worker():
        config = SwarmConfig(max_concurrency=1, stop_after_n_failures=2)
        items = [count, await mf.sign(count, n=1), await mf.chain([await mf.sign(count, n=2), pass_on])]
        swarm = await mf.swarm(items, name="batch", config=config, is_swarm_closed=True)
        await swarm.start({"n": 7})
        with pytest.raises(mageflow.SwarmFailedError):
            await swarm.result(timeout=20)
        broken.clear()
        again, same = await asyncio.gather(swarm.retry_failed(), swarm.retry_failed())
        assert again.key == same.key == f"{swarm.key}.retry"
        assert await again.result(timeout=20) == [{"n": 1}, {"n": 2}]
        assert (await again.status()).name == "batch"
        assert (await again.retry_failed()).key == again.key, "nothing has failed: there is nothing to run"
    assert ledger.begun == {"7": 1, "1": 3, "2": 3}


async def test_failed_elements_of_a_map_run_again_too(mf: Mageflow, ledger: Ledger) -> None:
    broken = {11}
    count = counting(mf, ledger, broken)
    async with mf.worker():
        mapped = await mf.map(count, [10, 11, 12])
        assert await mapped.run(timeout=20) == [Counted(n=10), Counted(n=12)]
        broken.clear()
        loaded = await mf.load_signature(mapped.key)
        assert isinstance(loaded, mageflow.LoadedSwarm)
        again = await loaded.retry_failed()
        assert await again.result(timeout=20) == [Counted(n=11)]


async def test_how_many_run_at_once_can_be_changed_while_it_runs(mf: Mageflow, ledger: Ledger) -> None:
    gate = asyncio.Event()

    @mf.task(name="wait")
    async def wait(msg: dict[str, Any]) -> None:
        await ledger.work("wait", gate)

    async with mf.worker():
        swarm = await mf.swarm([wait] * 8, config=SwarmConfig(max_concurrency=1), is_swarm_closed=True)
        await swarm.start()
        await ledger.has_begun("wait")
        await swarm.configure(max_concurrency=3)
        await eventually(lambda: ledger.running == 3, "three run")
        await swarm.configure(max_concurrency=1)  # what runs goes on
        assert ledger.running == 3
        loaded = await mf.load_signature(swarm.key)
        assert isinstance(loaded, mageflow.LoadedSwarm)
        with pytest.raises(ValidationError):
            await loaded.configure(max_concurrency=0)
        gate.set()
        await swarm.result(timeout=20)
        with pytest.raises(mageflow.SignatureEndedError):
            await swarm.configure(max_concurrency=2)
    assert ledger.most_at_once == 3


async def test_a_draft_is_configured_where_it_is(mf: Mageflow, ledger: Ledger) -> None:
    swarm = await mf.swarm([counting(mf, ledger, set())], config=SwarmConfig(stop_after_n_failures=2))
    await swarm.configure(max_concurrency=7)
    assert swarm.config == SwarmConfig(max_concurrency=7, stop_after_n_failures=2)
    with pytest.raises(ValidationError):
        await swarm.configure(max_concurrency=0)
    with pytest.raises(mageflow.SignatureNotStartedError):
        await swarm.outcomes()
    with pytest.raises(mageflow.SignatureNotStartedError):
        await swarm.retry_failed()


async def test_what_only_a_swarm_can_do_is_refused_elsewhere(mf: Mageflow, ledger: Ledger) -> None:
    count, gate = counting(mf, ledger, set()), asyncio.Event()

    @mf.task(name="wait")
    async def wait() -> None:
        await ledger.work("wait", gate)

    async with mf.worker():
        chain = await mf.chain([wait, count])
        await chain.start()
        await ledger.has_begun("wait")
        handle = (await mf.client()).get_workflow_handle(chain.key)
        await handle.signal("configure", {"max_concurrency": 2})
        refused = await eventually(lambda: _last_verb(chain), "the signal is on record")
        assert not refused.accepted
        assert "its target is a chain, and only a swarm can do that" in refused.verdict
        gate.set()
        await chain.result(timeout=20)


async def _last_verb(chain: Any) -> Any:
    return (await chain.status()).last_verb


@pytest.mark.parametrize("whose", ["item", "swarm"])
@pytest.mark.parametrize("ended", [False, True])
async def test_what_is_retried_keeps_its_corrections_and_its_width(
    mf: Mageflow, ledger: Ledger, whose: str, *, ended: bool
) -> None:
    @mf.task(name="load")
    async def load(msg: dict[str, str]) -> str:
        await ledger.work(msg["path"])
        if ledger.most_at_once > 1 or ledger.begun[msg["path"]] == 1:
            raise ValueError
        return msg["path"]

    async with mf.worker():
        config = SwarmConfig(max_concurrency=3)
        swarm = await mf.swarm([load, load], config=config, path="of the swarm, which wins over an item's own")
        await swarm.suspend()
        await swarm.start()
        await swarm.configure(max_concurrency=1)
        for index in range(2):
            if whose == "item":
                await mf.resume(f"{swarm.key}#{index}", {"path": f"corrected {index}"})
        await swarm.resume({} if whose == "item" else {"path": "corrected"})
        await eventually(lambda: ledger.ended.total() == 2, "both have failed, or only the first")
        if ended:
            await swarm.close()
            await swarm.result(timeout=20)
            again = await swarm.retry_failed()
        else:
            await eventually(lambda: has_failed(swarm), "they have failed")
            await swarm.retry_failed()
            await swarm.close()
            again = swarm
        expected = ["corrected 0", "corrected 1"] if whose == "item" else ["corrected"] * (1 if ended else 2)
        assert await again.result(timeout=20) == expected
        assert ledger.most_at_once == 1


async def has_failed(swarm: Any) -> bool:
    counts = (await swarm.status()).counts
    return counts.pending == counts.active == 0
