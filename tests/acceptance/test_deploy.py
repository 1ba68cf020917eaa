"""What is deployed: the demo's worker, and the server that docker-compose.yml describes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus

from mageflow_temporal import EmbeddedServer
from mageflow_temporal.protocol import SEARCH_ATTRIBUTES
from mageflow_temporal.server import DYNAMIC_CONFIG
from tests.acceptance.demo_process import Process, running

ROOT = Path(__file__).parents[2]
WORKER = [sys.executable, str(ROOT / "workers/demo_worker.py")]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text("three short words\n" * 12)
    return folder


async def test_the_pipeline_survives_the_worker_that_runs_it(
    server: EmbeddedServer, texts: Path, tmp_path: Path
) -> None:
    environment = {"TEMPORAL_ADDRESS": server.target}
    report = tmp_path / "report.md"
    first, second = Process(WORKER, environment=environment), None
    try:
        await first.says("listens on mageflow for tasks check_files, count_words, write_report")
        with running("demo", texts, "--report", report, "--deployed", environment=environment) as demo:
            await demo.says("1.txt: active")
            first.signal(signal.SIGTERM)
            assert await first.ends() == 0
            second = Process(WORKER, environment=environment)
            assert await demo.ends() == 0
        assert "144 words in 48 lines of 4 files." in demo.text
        assert report.read_text().count("| 12 | 36 |") == 4
    finally:
        first.kill()
        if second:
            second.kill()


async def test_a_demo_that_is_stopped_leaves_no_pipeline_on_the_server(server: EmbeddedServer, texts: Path) -> None:
    with running("demo", texts, "--deployed", environment={"TEMPORAL_ADDRESS": server.target}) as demo:
        said = await demo.says("Waiting: nobody can answer for")
        assert re.search("no worker (of|listens on) task queue 'mageflow'", said)
        demo.signal(signal.SIGINT)
        assert await demo.ends() == 130
    [key] = re.findall(r"'(pipeline-\w+)'", said)
    client = await Client.connect(server.target)
    description = await client.get_workflow_handle(key).describe()
    assert description.status is WorkflowExecutionStatus.TERMINATED


@pytest.mark.parametrize("command", [WORKER, [str(Path(sys.executable).with_name("mageflow")), "demo", "--deployed"]])
def test_without_a_server_each_says_where_it_looked(command: list[str]) -> None:
    environment = {**os.environ, "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "no Temporal server answers at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_namespace_script_creates_what_the_package_uses_and_can_be_repeated(server: EmbeddedServer) -> None:
    namespace = f"fresh-{uuid.uuid4().hex[:8]}"
    beside = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}",
        "TEMPORAL_ADDRESS": server.target,
        "TEMPORAL_NAMESPACE": namespace,
    }
    for _ in range(2):
        subprocess.run(["sh", ROOT / "deploy/create-namespace.sh"], env=environment, check=True, timeout=120)
    client = await Client.connect(server.target)
    found = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    assert set(SEARCH_ATTRIBUTES) <= set(found.custom_attributes)


def test_the_dynamic_config_is_the_embedded_servers() -> None:
    text = (ROOT / "deploy/dynamic-config.yaml").read_text()
    made = subprocess.run([sys.executable, ROOT / "deploy/generate.py"], capture_output=True, text=True, check=True)
    assert text == made.stdout, "python deploy/generate.py > deploy/dynamic-config.yaml"
    read = {name: settings[0]["value"] for name, settings in yaml.safe_load(text).items()}
    assert read == {name: json.loads(value) for name, value in DYNAMIC_CONFIG.items()}


COMPOSE = [
    command
    for command in (["docker", "compose"], ["docker-compose"])
    if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode
]
"""Of this machine: the client's plugin, and its forerunner. Neither needs a running engine to read the file."""


@pytest.mark.skipif(not COMPOSE, reason="docker compose is not installed")
@pytest.mark.parametrize("command", COMPOSE, ids=" ".join)
def test_compose_accepts_the_file_and_gives_the_server_our_dynamic_config(command: list[str]) -> None:
    read = subprocess.run(
        [*command, "--file", str(ROOT / "docker-compose.yml"), "config"], capture_output=True, text=True, timeout=60
    )
    assert read.returncode == 0, read.stderr
    assert str(ROOT / "deploy/dynamic-config.yaml") in read.stdout


def test_every_image_is_pinned_and_the_schema_is_the_servers(compose: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in compose["services"].items() if "image" in service}
    for name, image in images.items():
        assert re.search(r":\d+\.\d+", image), f"{name}: {image}"
    server, _, version = images["temporal"].partition(":")
    assert server == "temporalio/server"
    assert images["schema"] == images["namespace"] == f"temporalio/admin-tools:{version}"


def test_each_service_waits_for_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    waits = {name: service.get("depends_on", {}) for name, service in services.items()}
    assert waits["schema"] == {"postgresql": {"condition": "service_healthy"}}
    assert waits["temporal"] == {"schema": {"condition": "service_completed_successfully"}}
    assert waits["namespace"] == waits["ui"] == {"temporal": {"condition": "service_healthy"}}
    assert waits["worker"] == {"namespace": {"condition": "service_completed_successfully"}}
    for name in {needed for needs in waits.values() for needed, how in needs.items() if "healthy" in how["condition"]}:
        assert "healthcheck" in services[name], name


def test_the_compose_file_refers_to_files_that_exist(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert (ROOT / services["worker"]["build"]["dockerfile"]).is_file()
    for name in ("schema", "namespace"):
        assert (ROOT / services[name]["command"][1].lstrip("/")).is_file()
    [mount] = services["temporal"]["volumes"]
    source, target, _ = mount.split(":")
    assert (ROOT / source).is_file()
    assert services["temporal"]["environment"]["DYNAMIC_CONFIG_FILE_PATH"] == target


def test_no_port_is_open_to_other_machines(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("script", sorted((ROOT / "deploy").glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_are_for_any_posix_shell(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
