"""`mageflow demo` and `mageflow dev`, run as a user runs them: a process of its own, in a pipe or on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support import eventually

MAGEFLOW = str(Path(sys.executable).with_name("mageflow"))
PATIENCE = 120.0
"""Seconds: the demo takes half a minute on a machine that has nothing else to do."""

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Process:
    """A command that runs, and what it has printed so far."""

    def __init__(
        self,
        command: list[str],
        *,
        terminal: bool = False,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.raw = ""
        self._mark = uuid.uuid4().hex
        output, into = pty.openpty() if terminal else os.pipe()
        if terminal:
            fcntl.ioctl(into, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._terminal = output if terminal else None
        self._popen = subprocess.Popen(
            command,
            stdin=into if terminal else subprocess.DEVNULL,
            stdout=into,
            stderr=into,
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", **(environment or {}), "MAGEFLOW_TEST_MARK": self._mark},
            # A session with a terminal of its own: only then does Ctrl-C reach the processes that it would reach.
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if terminal else None,
        )
        os.close(into)
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def _read(self, output: int) -> None:
        while True:
            try:
                chunk = os.read(output, 65536)
            except OSError:  # what a terminal says when nobody is there any more
                chunk = b""
            if not chunk:
                return
            self.raw += chunk.decode(errors="replace")

    @property
    def text(self) -> str:
        return _ESCAPE.sub("", self.raw).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def press_ctrl_c(self) -> None:
        assert self._terminal is not None
        os.write(self._terminal, b"\x03")

    async def says(self, what: str) -> str:
        """Wait until a line that has `what` in it is complete, and return that line."""

        def probe() -> str | None:
            complete = self.text.rpartition("\n")[0].splitlines()
            found = next((line.strip() for line in complete if what in line), None)
            assert found or self._popen.poll() is None, f"ended without saying {what!r}:\n{self.text}"
            return found

        return await eventually(probe, f"it says {what!r}", PATIENCE)

    async def ends(self) -> int:
        """Wait until it has ended, and return its exit code."""
        await eventually(lambda: self._popen.poll() is not None and not self._reader.is_alive(), "it ends", PATIENCE)
        return self._popen.returncode

    def left_behind(self) -> list[psutil.Process]:
        """Return the processes that it has started, directly or not, and that still run."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("MAGEFLOW_TEST_MARK") == self._mark and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        """Leave nothing, whatever the test has found."""
        for process in self.left_behind():
            process.kill()
        self._popen.wait()


@contextmanager
def running(
    *arguments: str | Path,
    terminal: bool = False,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Process]:
    """Run `mageflow` with these arguments."""
    process = Process([MAGEFLOW, *map(str, arguments)], terminal=terminal, environment=environment, folder=folder)
    try:
        yield process
    finally:
        process.kill()
