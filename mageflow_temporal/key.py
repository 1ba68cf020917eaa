"""Keys: what names a signature, or a member of one."""

from __future__ import annotations

from dataclasses import dataclass

from mageflow_temporal import errors, plan


@dataclass(frozen=True)
class Key:
    """A key, taken apart: the workflow's ID, and the path of a member in it."""

    workflow_id: str
    path: str = ""

    @classmethod
    def parse(cls, key: str) -> Key:
        """Take a key apart; IDs have no "#", so the first one ends the workflow's.

        Raises:
            InvalidKeyError: it is none.
        """
        workflow_id, mark, path = key.partition("#")
        if not workflow_id or (mark and not plan.parse_path(path)):
            problem = "is no key: a key is that of a signature, as in 'etl-4f2c', or of a member, as in 'etl-4f2c#2.1'"
            raise errors.InvalidKeyError(key=key, problem=problem)
        return cls(workflow_id, plan.format_path(plan.parse_path(path) or ()))

    @classmethod
    def of_activity(cls, workflow_id: str, activity_id: str) -> Key:
        """Return the key of the task that an activity of one of our workflows runs."""
        path = activity_id.partition("~")[0]
        return cls(workflow_id, "" if path == "task" else path)

    def __str__(self) -> str:
        return f"{self.workflow_id}#{self.path}" if self.path else self.workflow_id
