"""What is sent does not fit, or cannot be sent or read."""

from __future__ import annotations

from mageflow_temporal.errors.base import MageflowError


class InvalidMessageError(MageflowError):
    """A message does not fit the task that is to get it.

    Attributes:
        task: the task's name.
        problems: one line for each field that does not fit.
    """

    def __init__(self, *, task: str, problems: list[str]) -> None:
        self.task = task
        self.problems = problems
        super().__init__(f"the message does not fit task {task!r}: {'; '.join(problems)}")


class NotSerializableError(MageflowError):
    """A message, a bound kwarg, a checkpoint or a result holds something that JSON has no form for.

    Attributes:
        type: the class name of the whole value.
        problem: what is wrong with it.
    """

    def __init__(self, *, type: str, problem: str) -> None:
        self.type = type
        self.problem = problem
        super().__init__(
            f"a value of type {type!r} cannot be made JSON: {problem}; use pydantic models, dataclasses or plain data"
        )


class PayloadTooLargeError(MageflowError):
    """A message is larger than the Temporal server takes (2 MiB by default).

    Attributes:
        what: what is too large.
        cause: what the server says, or by how much.
    """

    def __init__(self, *, what: str, cause: str) -> None:
        self.what = what
        self.cause = cause
        super().__init__(
            f"{what} is larger than the server accepts ({cause}); pass a reference (a path, a URL, a row's key) instead"
        )


class UnreadablePayloadError(MageflowError):
    """What the server holds of a signature is encoded in a way that this process does not know.

    Attributes:
        key: of the signature.
        cause: what the payload's encoding is.
    """

    def __init__(self, *, key: str, cause: str) -> None:
        self.key = key
        self.cause = cause
        super().__init__(
            f"{key} cannot be read here: {cause}; connect with the codec that its app uses, on the command line with "
            "--app MODULE"
        )


class NewerVersionError(MageflowError):
    """A newer mageflow_temporal made something that this one could misread.

    Attributes:
        what: what it made.
        version: the version of its form.
        known: the newest version that is known here.
    """

    def __init__(self, *, what: str, version: int, known: int) -> None:
        self.what = what
        self.version = version
        self.known = known
        super().__init__(
            f"this {what} was made by a newer mageflow_temporal ({what} version {version}; this process knows "
            f"{known}): upgrade this process"
        )
