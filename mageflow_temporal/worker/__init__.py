"""Inside the worker process: run the task's code, cancel it, keep it alive on the server, settle it.

code.py         a task's code under way, which can be cancelled
context.py      what a task's code can ask: attempt, key, checkpoint
failure.py      what the code has raised, as it can leave the worker
health.py       answers a supervisor: does it live, is it at work
interceptor.py  what temporalio.activity answers in the code of a task
is_open.py      "does it still go on?", asked of the server for a page
isolation.py    where the code runs: on the event loop, in a thread, in a process
meter.py        what is counted, for metrics
runner.py       a task as a Temporal activity
take_back.py    "was it running?", asked of the server
service.py      the worker itself
"""

from mageflow_temporal.worker.context import TaskContext, current_task
from mageflow_temporal.worker.interceptor import TaskInterceptor
from mageflow_temporal.worker.service import MageflowWorker, activities

__all__ = ["MageflowWorker", "TaskContext", "TaskInterceptor", "activities", "current_task"]
