"""Inside the workflow: deterministic. No clock, no randomness, no I/O, no client, no task's code.

tree.py        nodes: the plan and its progress, side by side
calls.py       a call of a task, and what may become of it
wiring.py      what a node is given
machine.py     what may begin next, what follows from an outcome, holds (no Temporal in it)
shelf.py       what a run keeps of items that are done, and what of it goes into pages
page.py        a workflow that keeps what another could not carry
dispatch.py    calls become activities, and activities outcomes
lifecycle.py   suspend, interrupt, resume: the machine's holds and the server's answers
succession.py  when a run is so long that a new one has to go on
story.py       the tree for people: reports and summaries
details.py     the tree as the Web UI shows it
loop.py        what has happened goes into the machine, and what it wants done is done
workflows.py   the three workflow types, and their handlers
"""

from mageflow_temporal.engine.workflows import WORKFLOWS

__all__ = ["WORKFLOWS"]
