"""Tells a server that does not answer from one that says no. Outside the workflow."""

from __future__ import annotations

from typing import Final

from temporalio.service import RPCError, RPCStatusCode

_NO_ANSWER: Final = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
"""What the SDK says of a server that did not answer, or not in time."""


def is_silence(error: RPCError) -> bool:
    """Return whether an error means that the server did not answer: it may be down, or about to go."""
    # A connection that breaks while it is made has no status of its own.
    broke = error.status is RPCStatusCode.UNKNOWN and "transport error" in str(error)
    return broke or error.status in _NO_ANSWER
