"""The other side: what a good Temporal developer writes with `temporalio` alone.

The default sandbox with its recommended pass-through of imports, default worker and client options, activities in a
module of their own, a semaphore that bounds the swarm, activities that heartbeat where they are to be cancelled.
"""

UNSANDBOXED = "hand-written, unsandboxed"
"""Name of the side whose worker gives up the sandbox, as our library's workflows do."""
