"""Starts the embedded server so that it does not hear the terminal's Ctrl-C, and does not outlive its embedder.

A program of its own, which the SDK starts in the place of the server (see `server.py`). It runs on a bare interpreter:
standard library only, nothing of this package.
"""

from __future__ import annotations

import os
import select
import signal
import sys

_LOOK = 1.0
"""Seconds between two looks at the embedder."""


def main(command: list[str]) -> None:
    """Become the server, watched by a second process."""
    # A terminal sends Ctrl-C to a whole group. A server that ends by it leaves the worker beside it alone, which then
    # tries for ten seconds to take its leave of it.
    os.setpgid(0, 0)
    embedder, server = os.getppid(), os.getpid()
    ended, held = os.pipe()
    if os.fork():
        # The server keeps the process ID that the SDK knows, and holds one end of the pipe for as long as it lives.
        os.set_inheritable(held, True)
        os.execv(command[0], command)  # noqa: S606 - the binary that server.py found
    os.close(held)
    os.closerange(0, 3)  # whoever reads our output to its end is not to wait for the watcher
    while not select.select([ended], [], [], _LOOK)[0]:
        try:
            os.kill(embedder, 0)
        except ProcessLookupError:  # killed, and could not stop it any more
            os.kill(server, signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])
