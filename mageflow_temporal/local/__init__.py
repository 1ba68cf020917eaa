"""Local execution: what a Temporal server and its client library do for our work, played in this process.

The engine's workflows and the worker's activities are those of production, line for line. Only what lies between them
is another: the part of Temporal that moves workflow tasks, activities, timers, signals, updates and queries. So what
holds for composition and lifecycle here holds on a server, too. Nothing is kept: when the context is left, all is gone.

clock.py       time that can be put forward, so that nobody waits for a pause of hours
activities.py  runs activities, and says of each whether it was taken up
execution.py   one run of a workflow: what it is told, and what it asks for
world.py       all executions, and the time that they share
service.py     the requests of Temporal's client, answered by the world
"""

from mageflow_temporal.local.world import World

__all__ = ["World"]
