"""When a run has become so long that a new one is to go on with the work."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import workflow

PATIENCE: Final = timedelta(seconds=5)
"""How long nothing begins because tasks have yet to end before a run can. Then the run works on for a while."""
_POSTPONED_BY: Final = 4_096
"""Events until it is tried again; the server suggests a new run after so many."""
_MOST_EVENTS: Final = 40_000
_MOST_BYTES: Final = 40 * 1024 * 1024
"""Here the run has to end, however long its tasks take: at 51,200 events or 50 MiB the server terminates it."""

_MANY_SIGNALS: Final = 8_000
"""After 10,000 the server refuses them. Of updates it takes 2,000, and suggests a new run in time."""


class Succession:
    """Knows when a run is to end.

    Args:
        events_per_run: the length of history at which it is. `None`: where the server suggests it.
    """

    def __init__(self, events_per_run: int | None) -> None:
        self._limit = events_per_run
        self._postponed_to = 0
        self._given_up = False
        self._has_worked = False
        self._signals = 0

    def worked(self) -> None:
        """Take note that the run has done something: one that has not would only be followed by one like itself."""
        self._has_worked = True

    def signalled(self) -> None:
        """Take note of a signal: the server counts those of a run, and says nothing before it refuses them all."""
        self._signals += 1

    def is_due(self, *, idle: bool) -> bool:
        """Return whether the run is to end: then nothing begins, as if it were held, until a new run goes on.

        Where it is `idle`, and so could end at once, nothing postpones that.
        """
        info = workflow.info()
        length = info.get_current_history_length()
        if not self._has_worked or self._given_up or (length < self._postponed_to and not idle):
            return False
        if self._signals >= _MANY_SIGNALS:
            return True
        return info.is_continue_as_new_suggested() if self._limit is None else length >= self._limit

    @property
    def can_be_postponed(self) -> bool:
        """Whether the run can become any longer. If not, what is under way is waited for, however long it takes."""
        info = workflow.info()
        return info.get_current_history_length() < _MOST_EVENTS and info.get_current_history_size() < _MOST_BYTES

    def postpone(self) -> None:
        """Work on for a while, if the run can become any longer: what is under way takes too long to wait for."""
        if self.can_be_postponed:
            length = workflow.info().get_current_history_length()
            self._postponed_to = min(length + (self._limit or _POSTPONED_BY), _MOST_EVENTS)

    def give_up(self) -> None:
        """Work on to the end: the work cannot be handed over."""
        self._given_up = True
