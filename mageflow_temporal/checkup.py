"""Whether a server, a namespace and a queue have what our work needs. Outside the workflow; no worker is asked."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, GetSystemInfoRequest
from temporalio.service import RPCError

from mageflow_temporal import protocol
from mageflow_temporal.control import Control

_logger = logging.getLogger(__name__)

_WORKFLOWS: Final = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
_TASKS: Final = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY


class ListeningWorker(BaseModel):
    """A worker that has asked the queue for work in the last minutes."""

    model_config = ConfigDict(frozen=True)

    identity: str
    seen_at: datetime
    """When it last asked, in UTC. Each asks at least once a minute; one that has gone is listed for five."""
    workflows: bool
    """Whether it runs signatures' workflows."""
    tasks: bool
    """Whether it runs tasks."""


class Checkup(BaseModel):
    """What a server, a namespace and a queue have of what our work needs."""

    model_config = ConfigDict(frozen=True)

    target: str
    namespace: str
    server_version: str
    cancel_push: bool
    """The server tells workers of an interrupt at once; otherwise they learn of it with a heartbeat."""
    search_attributes: bool
    """The namespace has all of `wanted_attributes`: signatures can be listed by status and name."""
    wanted_attributes: list[str]
    """The search attributes that we use, each of type Keyword."""
    task_queue: str
    workers: list[ListeningWorker]
    """Those that listen on the queue."""


def warn(control: Control) -> None:
    """Log what the server lacks, for whoever starts a worker. Work goes on without it."""
    where = f"namespace {control.client.namespace!r} at {control.client.service_client.config.target_host}"
    if not control.able.search_attributes:
        _logger.warning(
            "%s lacks the search attributes %s: signatures cannot be listed or counted by status or name",
            where,
            ", ".join(protocol.SEARCH_ATTRIBUTES),
        )
    if not control.able.cancel_push:
        _logger.info("%s has no cancel push: an interrupt reaches running code with its next heartbeat", where)


async def checkup(control: Control, task_queue: str) -> Checkup:
    """Ask the server.

    Raises:
        ServerUnavailableError: it does not answer.
    """
    service, namespace = control.client.workflow_service, control.client.namespace
    seen: dict[str, datetime] = {}
    kinds: dict[str, set[int]] = {}
    try:
        system = await service.get_system_info(GetSystemInfoRequest(), retry=True)
        for kind in (_WORKFLOWS, _TASKS):
            queue = await service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
                ),
                retry=True,
            )
            for poller in queue.pollers:
                at = poller.last_access_time.ToDatetime(UTC)
                seen[poller.identity] = max(at, seen.get(poller.identity, at))
                kinds.setdefault(poller.identity, set()).add(kind)
    except RPCError as error:
        raise control.line.translated(error, None) from error
    return Checkup(
        target=control.client.service_client.config.target_host,
        namespace=namespace,
        server_version=system.server_version,
        cancel_push=control.able.cancel_push,
        search_attributes=control.able.search_attributes,
        wanted_attributes=list(protocol.SEARCH_ATTRIBUTES),
        task_queue=task_queue,
        workers=[
            ListeningWorker(
                identity=identity, seen_at=at, workflows=_WORKFLOWS in kinds[identity], tasks=_TASKS in kinds[identity]
            )
            for identity, at in sorted(seen.items())
        ],
    )
