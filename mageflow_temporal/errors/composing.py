"""What cannot be composed, scheduled or asked for."""

from __future__ import annotations

from typing import Final

from mageflow_temporal.errors.base import MageflowError

_SHOWN: Final = 100
"""Characters of a key that a message shows: one that cannot be a key may be of any length."""


class CompositionError(MageflowError):
    """A task or a graph of tasks is not one that can run; refused before anything starts."""


class DuplicateTaskError(CompositionError):
    """Two functions were defined as tasks of one name in one app.

    Attributes:
        name: the name.
        first: the function that has it, with its module.
        second: the other one.
    """

    def __init__(self, *, name: str, first: str, second: str) -> None:
        self.name = name
        self.first = first
        self.second = second
        super().__init__(
            f"task name {name!r} is taken by {first}; {second} needs a name of its own: @mf.task(name='...')"
        )


class UnknownTaskError(CompositionError):
    """A task was given by a name that its app does not know.

    Attributes:
        name: the name.
        known: the names that the app knows, sorted.
    """

    def __init__(self, *, name: str, known: list[str]) -> None:
        self.name = name
        self.known = known
        names = ", ".join(repr(known_name) for known_name in known) or "none"
        super().__init__(
            f"no task named {name!r}; known here: {names}. Import the module that defines it, or declare a task that "
            f"lives elsewhere with mf.declare({name!r})"
        )


class NotATaskError(CompositionError):
    """Something that is neither a task, a signature nor a task's name was given as one.

    Attributes:
        value: what was given, as text.
        where: where it was given, such as "chain[1]".
    """

    def __init__(self, *, value: str, where: str) -> None:
        self.value = value
        self.where = where
        super().__init__(
            f"{where} got {value}, which is no task: give a function decorated with @mf.task, a signature, or a name"
        )


class InvalidContainerError(CompositionError):
    """A chain or a swarm cannot be built from what was given."""


class TaskAndMsgsDontMatchForSwarmError(CompositionError):
    """Tasks and messages were given for a swarm in lists of different lengths.

    Attributes:
        tasks: how many tasks there are.
        messages: how many messages there are.
    """

    def __init__(self, *, tasks: int, messages: int) -> None:
        self.tasks = tasks
        self.messages = messages
        super().__init__(f"{tasks} tasks and {messages} messages: give each task one message, or one for all")


class TooManyTasksError(CompositionError):
    """A swarm has a limit (`SwarmConfig.max_task_allowed`), and the tasks would exceed it.

    Attributes:
        swarm: the swarm's name or key.
        limit: the swarm's limit.
        asked: how many tasks there would be.
    """

    def __init__(self, *, swarm: str, limit: int, asked: int) -> None:
        self.swarm = swarm
        self.limit = limit
        self.asked = asked
        super().__init__(f"swarm {swarm!r} allows {limit} tasks; there would be {asked}")


class InvalidKeyError(CompositionError):
    """An `id=` or a key that cannot be one, or not here.

    Attributes:
        key: what was given.
        problem: what is wrong with it.
    """

    def __init__(self, *, key: str, problem: str) -> None:
        self.key = key
        self.problem = problem
        shown = key if len(key) <= _SHOWN else f"{key[:_SHOWN]}…"
        super().__init__(f"{shown!r} {problem}")


class InvalidScheduleError(CompositionError):
    """A schedule was asked for that cannot be: no time, two kinds of time, or one that the server cannot read.

    Attributes:
        id: the schedule's ID.
        problem: what is wrong with it.
    """

    def __init__(self, *, id: str, problem: str) -> None:
        self.id = id
        self.problem = problem
        super().__init__(f"schedule {id!r} cannot be: {problem}")


class InvalidQueryError(CompositionError):
    """The server refuses a visibility query: its words are wrong, or it names a search attribute that is not there.

    Attributes:
        query: the query.
        cause: what the server says.
    """

    def __init__(self, *, query: str, cause: str) -> None:
        self.query = query
        self.cause = cause
        super().__init__(
            f"the server refuses the query {query!r}: {cause}; `mageflow doctor` shows whether it has the search "
            "attributes MageflowStatus, MageflowName and MageflowKind"
        )
