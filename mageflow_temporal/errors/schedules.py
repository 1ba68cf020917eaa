"""Calls that there is no schedule for, or one already."""

from __future__ import annotations

from mageflow_temporal.errors.base import MageflowError


class ScheduleError(MageflowError):
    """A call on a schedule that its present state does not allow.

    Attributes:
        id: the schedule's ID.
    """

    id: str


class MissingScheduleError(ScheduleError):
    """There is no schedule of that ID."""

    def __init__(self, *, id: str) -> None:
        self.id = id
        super().__init__(f"no schedule has the ID {id!r}")


class ScheduleExistsError(ScheduleError):
    """The ID is taken by another schedule.

    Attributes:
        id: the ID.
        ours: whether the other one is a schedule of ours: then `replace=True` replaces it.
    """

    def __init__(self, *, id: str, ours: bool = True) -> None:
        self.id = id
        self.ours = ours
        way = (
            "give it this form with replace=True, or choose another ID" if ours else "it is not ours: choose another ID"
        )
        super().__init__(f"there is a schedule {id!r} already: {way}")
