"""What a task's code has raised, in a form in which it can leave its process, and the worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from mageflow_temporal.errors import (
    AsyncCompletionError,
    HeartbeatDetailsError,
    InvalidMessageError,
    NotSerializableError,
)
from mageflow_temporal.message import Json, to_json

_TEXT_LIMIT: Final = 10_000
"""Characters of an error's message that are kept. The server refuses a failure of more than 2 MiB, and gRPC drops one
of more than 4 MiB: then the worker would seem lost."""
_COMPLETE_ASYNC: Final = "_CompleteAsyncError"
"""The private class by which the SDK says that somebody else will complete an activity."""
_FINAL: Final = (AsyncCompletionError, HeartbeatDetailsError, InvalidMessageError)
"""What no later attempt would do better."""


@dataclass(frozen=True, slots=True)
class Raised:
    """What an error says. All of it can be pickled."""

    type: str
    message: str
    details: tuple[Json, ...] = ()
    non_retryable: bool = False
    next_retry_delay: timedelta | None = None
    category: ApplicationErrorCategory = ApplicationErrorCategory.UNSPECIFIED

    @classmethod
    def of(cls, error: BaseException) -> Raised:
        """Take from an error what is to be told of it."""
        if isinstance(error, ApplicationError):
            return cls(
                type=error.type or type(error).__name__,
                message=readable(error.message),
                details=tuple(map(_plain, error.details)),
                non_retryable=error.non_retryable,
                next_retry_delay=error.next_retry_delay,
                category=error.category,
            )
        if type(error).__name__ == _COMPLETE_ASYNC:
            error = AsyncCompletionError()
        return cls(type=type(error).__name__, message=readable(told(error)), non_retryable=isinstance(error, _FINAL))

    def as_error(self, *handover: Any, final: bool = False) -> ApplicationError:
        """Return it as the SDK's own error.

        Args:
            handover: goes behind the details.
            final: whether the server is not to repeat the attempt, whatever the error says.
        """
        return ApplicationError(
            self.message,
            *self.details,
            *handover,
            type=self.type,
            non_retryable=final or self.non_retryable,
            next_retry_delay=self.next_retry_delay,
            category=self.category,
        )


def _plain(detail: Any) -> Json:
    """Return a detail of an error as plain JSON types; of what has no such form, why: the error comes first."""
    try:
        return to_json(detail)
    except NotSerializableError as error:
        return f"({error})"


def told(error: BaseException) -> str:
    """Return an error's message; of a group those of its errors, which say what has happened."""
    if isinstance(error, SystemExit):
        return f"the task called sys.exit({error.code!r})"
    if isinstance(error, BaseExceptionGroup):
        parts = [f"{type(part).__name__}: {told(part)}" for part in error.exceptions]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType] - of any errors
        return f"{error}: {'; '.join(parts)}"
    return str(error) or "(without a message)"


def readable(text: str) -> str:
    """Return an error's message as it can be sent: not too long, and without characters that UTF-8 has no form for."""
    cut = text if len(text) <= _TEXT_LIMIT else f"{text[:_TEXT_LIMIT]}… ({len(text):,} characters)"
    return cut.encode(errors="backslashreplace").decode()


def can_cross(error: BaseException | None) -> bool:
    """Return whether an error and all that caused it can be sent as they are."""
    while error is not None:
        if readable(str(error)) != str(error):
            return False
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return True
