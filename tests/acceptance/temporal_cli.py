"""The real `temporal` command line, as an operator types it."""

from __future__ import annotations

from typing import Any

from mageflow_temporal import EmbeddedServer
from mageflow_temporal.server import binary
from tests import processes
from tests.processes import Said


class TemporalCli:
    """Runs `temporal` against one server."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._address = server.target

    async def __call__(self, *words: str) -> Said:
        # Nothing of the machine's own Temporal profile, and no colours.
        plain = ("--address", self._address, "--disable-config-file", "--color", "never")
        return await processes.run(binary(), *words, *plain, environment=processes.own_environment())

    async def ok(self, *words: str) -> Said:
        """Run a command that must succeed."""
        said = await self(*words)
        assert said.code == 0, f"temporal {' '.join(words)}: {said.out}{said.err}"
        return said

    async def signal(self, key: str, name: str, *payloads: str, meta: str | None = None) -> None:
        """Send a signal, each payload as the text of an --input."""
        inputs = [word for payload in payloads for word in ("--input", payload)]
        metadata = ["--input-meta", meta] if meta else []
        await self.ok("workflow", "signal", "--workflow-id", key, "--name", name, *inputs, *metadata)

    async def status(self, key: str) -> dict[str, Any]:
        """Ask for the status, and return the tree."""
        said = await self.ok("workflow", "query", "--workflow-id", key, "--name", "status", "--output", "json")
        [tree] = said.json()["queryResult"]
        return tree

    async def events(self, key: str) -> list[str]:
        """Return the types of the events of a workflow's history."""
        said = await self.ok("workflow", "show", "--workflow-id", key, "--output", "json")
        return [event["eventType"] for event in said.json()["events"]]
