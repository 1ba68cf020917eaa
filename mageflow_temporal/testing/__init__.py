"""Tests of one's own tasks, on a real server. Outside the workflow, and a user of the package like any other.

plugin.py      the pytest plugin: fixtures; the only file that needs pytest
stage.py       `Stage`: an app runs on a test's own queue; `LocalStage`: it runs without a server; what it is there
process.py     a worker in a process of its own, which a test can kill; serve.py is that process
skipping.py    `SkippingStage`: an app runs on a server that skips time
session.py     a server that serves the tests of a session, on whatever event loops they run
dispatched.py  `Dispatched`: what was dispatched, read from the server's own record, and assertions about it
watch.py       what the client and the worker of a test report, and where a test may hold a task
"""

from mageflow_temporal.testing.dispatched import Call, Dispatched
from mageflow_temporal.testing.skipping import SkippingStage
from mageflow_temporal.testing.stage import KillableRun, LocalStage, Run, Stage

__all__ = ["Call", "Dispatched", "KillableRun", "LocalStage", "Run", "SkippingStage", "Stage"]
