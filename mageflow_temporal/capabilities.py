"""What a server and a client can do: asked once for each connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from mageflow_temporal import protocol

_SAMPLE: Final = "x" * 65_536
_COMPRESSED: Final = 0.5
"""A codec that makes this little of the sample compresses."""


@dataclass(frozen=True)
class Capabilities:
    """What a server and namespace can do; nothing fails because one is missing."""

    search_attributes: bool
    """It has `MageflowStatus`, `MageflowName` and `MageflowKind`."""
    cancel_push: bool
    """It tells workers of a cancellation at once; otherwise they learn of it with a heartbeat."""


async def capabilities(client: Client) -> Capabilities:
    """Ask the server what it can do."""
    namespace = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace), retry=True
    )
    try:
        attributes = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), retry=True
        )
        known = set(attributes.custom_attributes)
    except RPCError as error:
        # A cloud account may not be allowed to ask, and the time-skipping test server cannot answer.
        if error.status not in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise
        known = set[str]()
    able = namespace.namespace_info.capabilities
    return Capabilities(
        search_attributes=known.issuperset(protocol.SEARCH_ATTRIBUTES),
        cancel_push=able.worker_heartbeats and able.worker_commands,
    )


async def payload_limit(converter: DataConverter) -> int:
    """Return how many bytes of JSON surely leave in one payload; 0 where only the sending can tell.

    A codec that encrypts is tried, for what it adds. What one that compresses makes of a payload, nobody knows before.
    """
    if converter.external_storage:
        return 0
    if converter.payload_codec is None:
        return protocol.PAYLOAD_LIMIT
    [coded] = await converter.encode([_SAMPLE])
    growth = coded.ByteSize() / len(_SAMPLE)
    return 0 if growth < _COMPRESSED else int(protocol.PAYLOAD_LIMIT / max(growth, 1))
