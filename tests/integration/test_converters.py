"""A payload codec and an external storage that a user has configured on the Temporal client."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    ExternalStorage,
    PayloadCodec,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

import mageflow_temporal as mageflow
from mageflow_temporal import EmbeddedServer, Mageflow, MageflowConfig, SwarmConfig
from tests.support import DEADLINE, Ledger, eventually, reaches

MIB = 1024 * 1024
SECRET = "xyzzy-plugh"
KEY = bytes(byte ^ 0x55 for byte in range(256))


class Scrambled(PayloadCodec):
    """Makes it unreadable, as encryption does, and compresses it unless the level is 0."""

    def __init__(self, level: int = -1) -> None:
        self.level = level

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"binary/scrambled"}, data=packed.translate(KEY))
            for payload in payloads
            for packed in [zlib.compress(payload.SerializeToString(), self.level)]
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload.FromString(zlib.decompress(payload.data.translate(KEY)))
            if payload.metadata["encoding"] == b"binary/scrambled"
            else payload
            for payload in payloads
        ]


class Folder(StorageDriver):
    """Keeps payloads as files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def name(self) -> str:
        return "folder"

    async def store(
        self,
        context: StorageDriverStoreContext,  # noqa: ARG002 - the driver's interface
        payloads: Sequence[Payload],
    ) -> list[StorageDriverClaim]:
        claims: list[StorageDriverClaim] = []
        for payload in payloads:
            data = payload.SerializeToString()
            name = hashlib.sha256(data).hexdigest()
            (self.path / name).write_bytes(data)
            claims.append(StorageDriverClaim(claim_data={"name": name}))
        return claims

    async def retrieve(
        self,
        context: StorageDriverRetrieveContext,  # noqa: ARG002 - the driver's interface
        claims: Sequence[StorageDriverClaim],
    ) -> list[Payload]:
        return [Payload.FromString((self.path / claim.claim_data["name"]).read_bytes()) for claim in claims]


async def app_with(server: EmbeddedServer, converter: DataConverter) -> Mageflow:
    client = await Client.connect(server.target, data_converter=converter)
    return Mageflow(client, config=MageflowConfig(task_queue=f"test-{uuid.uuid4().hex[:8]}"))


@pytest.fixture
async def scrambled(server: EmbeddedServer) -> AsyncIterator[Mageflow]:
    """An app whose payloads are unreadable to all others."""
    yield await app_with(
        server,
        DataConverter(payload_codec=Scrambled(), failure_converter_class=DefaultFailureConverterWithEncodedAttributes),
    )


@pytest.fixture
async def stored(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Mageflow]:
    """An app whose large payloads are kept in a folder."""
    yield await app_with(server, DataConverter(external_storage=ExternalStorage([Folder(tmp_path)])))


async def everything_written_by(mf: Mageflow) -> bytes:
    """Return all that the server keeps of an app's workflows, as bytes."""
    client = await mf.client()
    written = b""
    async for execution in client.list_workflows(f"TaskQueue = '{mf.config.task_queue}'"):
        history = await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
        written += b"".join(event.SerializeToString() for event in history.events)
        written += execution.raw_info.SerializeToString()
    return written


async def test_with_a_codec_everything_works_and_nothing_can_be_read_on_the_server(
    scrambled: Mageflow, ledger: Ledger
) -> None:
    mf, gate = scrambled, asyncio.Event()

    @mf.task(name="echo")
    async def echo(msg: dict[str, Any]) -> dict[str, Any]:
        await ledger.work("echo")
        return {"said": SECRET, "was": msg}

    @mf.task(name="hold", retries=1)
    async def hold(msg: dict[str, Any]) -> str:
        mageflow.current_task().checkpoint(SECRET)
        await ledger.work("hold", gate)
        return SECRET

    @mf.task(name="bad")
    async def bad(msg: dict[str, Any]) -> None:
        raise ValueError(SECRET)

    async with mf.worker(shutdown_grace=timedelta(0)):
        chain = await mf.chain([echo, hold, await mf.sign(echo, bound=SECRET)], error_callbacks=[echo])
        await chain.start({"text": SECRET})
        await ledger.has_begun("hold")
        assert (await chain.interrupt(SECRET)).cancelled == [f"{chain.key}#1"]
        assert (await chain.status()).reason == SECRET
        await chain.resume({"more": SECRET})
        gate.set()
        result = await chain.result(timeout=DEADLINE)
        assert result["said"] == SECRET
        assert result["was"]["bound"] == SECRET
        loaded = await mf.load_signature(chain.key)
        assert isinstance(loaded, mageflow.Signature)
        assert await loaded.result(timeout=DEADLINE) == result

        swarm = await mf.swarm([echo, bad], config=SwarmConfig(max_concurrency=1))
        await swarm.start({"text": SECRET})
        await swarm.add(echo, {"text": SECRET}, id="added")
        await swarm.close()
        assert [item["said"] for item in await swarm.result(timeout=DEADLINE)] == [SECRET, SECRET]
        outcomes = await swarm.outcomes()
        assert outcomes[0].result["said"] == SECRET
        assert outcomes[1].error
        assert outcomes[1].error.message == SECRET

        failed = await mf.sign(bad, success_callbacks=[echo])
        with pytest.raises(mageflow.TaskFailedError) as caught:
            await failed.run({"text": SECRET})
        assert (caught.value.type, caught.value.error) == ("ValueError", SECRET)

        early = await mf.sign(echo)
        await early.suspend(SECRET)
        await early.start({"text": SECRET})
        assert (await early.status()).status == "suspended"
        await mf.skip(early.key, {"text": SECRET})
        assert await early.result(timeout=DEADLINE) == {"text": SECRET}

        schedule = await (await mf.sign(echo, bound=SECRET)).schedule(
            f"{mf.config.task_queue}-schedule", every=timedelta(days=1), message={"text": SECRET}
        )
        await schedule.trigger()
        key = (await eventually(lambda: _recent(schedule), "the schedule has started one"))[0]
        run = await mf.load_signature(key)
        assert isinstance(run, mageflow.Signature)
        assert (await run.result(timeout=DEADLINE))["was"] == {"text": SECRET, "bound": SECRET}
        assert (await schedule.describe()).name == "echo"
        await schedule.delete()
    assert SECRET.encode() not in await everything_written_by(mf)


async def _recent(schedule: mageflow.Schedule) -> list[str]:
    return (await schedule.describe()).recent


async def test_with_external_storage_messages_and_results_of_megabytes_pass(stored: Mageflow, ledger: Ledger) -> None:
    mf, text = stored, "x" * 5 * MIB

    @mf.task(name="double")
    async def double(msg: dict[str, Any]) -> str:
        ledger.begun["double"] += 1
        return msg["text"]

    @mf.task(name="length")
    async def length(msg: dict[str, Any]) -> int:
        return len(msg["mageflow_results"])

    async with mf.worker():
        assert await (await mf.sign(double)).run({"text": text}) == text
        chain = await mf.chain([double, length])
        assert await chain.run({"text": text}) == len(text)
        swarm = await mf.swarm([double, double], success_callbacks=[length])
        await swarm.start()
        await swarm.add(double, {"text": text})
        await swarm.configure(max_concurrency=2)
        await swarm.close()
        assert (await reaches(swarm, "done")).counts.failed == 2, "they were given no text"
        assert await swarm.result(timeout=DEADLINE) == [text]
        [callback] = (await swarm.status()).callbacks
        assert callback.status == "done"
        outcome = (await swarm.outcomes())[2]
        assert outcome.result == text


async def test_with_external_storage_a_new_run_takes_over_more_than_a_payload_carries(stored: Mageflow) -> None:
    mf = stored
    mf.config = mf.config.model_copy(update={"events_per_run": 20})

    @mf.task(name="large")
    async def large() -> str:
        return uuid.uuid4().hex * 20_000

    async with mf.worker():
        swarm = await mf.swarm([large] * 8, config=SwarmConfig(max_concurrency=2))
        results = await swarm.run(timeout=DEADLINE)
        assert sum(map(len, results)) == 8 * 32 * 20_000 > 2 * MIB
        runs = [run async for run in (await mf.client()).list_workflows(f"WorkflowId = '{swarm.key}'")]
        assert len(runs) > 1


async def test_with_a_codec_that_only_encrypts_what_is_over_the_limit_fails_and_nothing_hangs(
    server: EmbeddedServer,
) -> None:
    mf = await app_with(server, DataConverter(payload_codec=Scrambled(level=0)))

    @mf.task(name="noise")
    async def noise() -> str:
        return "".join(uuid.uuid4().hex for _ in range(2 * MIB // 32 - 1000))

    @mf.task(name="take")
    async def take(msg: dict[str, Any]) -> int:
        return len(msg["mageflow_results"])

    async with mf.worker():
        assert await (await mf.chain([noise, take])).run(timeout=DEADLINE) > MIB
        with pytest.raises(mageflow.TaskFailedError, match="larger than"):
            await (await mf.chain([noise, await mf.sign(take, more="x" * MIB)])).run(timeout=DEADLINE)
        assert len(await (await mf.swarm([noise] * 4)).run(timeout=DEADLINE)) == 4, "together they may be larger"
