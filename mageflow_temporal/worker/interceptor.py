"""What `temporalio.activity` answers in a task's code, so that code that was an activity can become a task as it is.

Each attempt of a task is an activity of its own, and the worker heartbeats by itself. So the attempt would always be 1,
there would be no heartbeat details, and a heartbeat from a thread would fail.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from temporalio.activity import Info
from temporalio.worker import ActivityInboundInterceptor, ActivityOutboundInterceptor, Interceptor

from mageflow_temporal.errors import HeartbeatDetailsError
from mageflow_temporal.protocol import KINDS
from mageflow_temporal.worker.context import running_task


class TaskInterceptor(Interceptor):
    """Makes `activity.info()` and `activity.heartbeat()` speak of the task, in the code of tasks only.

    A heartbeat's detail is the task's checkpoint, `info().heartbeat_details` has that of the run before, and
    `info().attempt` is the task's. What goes to the server is the runner's business.
    """

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(ActivityOutboundInterceptor):
    def info(self) -> Info:
        info, task = super().info(), running_task()
        if task is None:
            return info
        checkpoint = task.resumed_from()
        details = [] if checkpoint is None else [checkpoint]
        # The server is told to make one attempt of each activity, which would seem to be the task's last.
        policy = None if info.workflow_type in KINDS else info.retry_policy
        return replace(info, attempt=task.attempt, heartbeat_details=details, retry_policy=policy)

    def heartbeat(self, *details: Any) -> None:
        task = running_task()
        if task is None:
            super().heartbeat(*details)
        elif len(details) > 1:
            raise HeartbeatDetailsError(key=task.key, given=len(details))
        elif details:
            task.checkpoint(details[0])
