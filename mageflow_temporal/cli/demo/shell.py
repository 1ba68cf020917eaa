"""The `temporal` commands that do what the demo does, ready to be pasted into another terminal."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from mageflow_temporal import Verb


@dataclass(frozen=True)
class Shell:
    """Writes commands for one workflow.

    Attributes:
        target: the server's address.
        namespace: the workflow's namespace.
        workflow_id: its ID.
    """

    target: str
    namespace: str
    workflow_id: str

    def signal(self, verb: Verb, member: str = "") -> str:
        """Return the command that suspends, interrupts or resumes the workflow, or the member at that path."""
        given = ["--input", json.dumps({"target": member}, separators=(",", ":"))] if member else []
        return self._command("signal", "--name", verb, *given)

    def status(self) -> str:
        """Return the command that asks for the status."""
        return self._command("query", "--type", "status")

    def _command(self, what: str, *arguments: str) -> str:
        namespace = [] if self.namespace == "default" else ["--namespace", self.namespace]
        where = ["--address", self.target, *namespace, "--workflow-id", self.workflow_id]
        return shlex.join([_binary(), "workflow", what, *where, *arguments])


def _binary() -> str:
    """Return "temporal" if a shell finds it, else the path of the one that came with the extra "server"."""
    if shutil.which("temporal"):
        return "temporal"
    beside = Path(sys.executable).with_name("temporal")
    if not beside.exists():
        return "temporal"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
