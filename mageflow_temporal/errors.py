"""Everything that can go wrong, as one tree. Pure: both sides of the workflow boundary raise and rebuild these.

    MageflowError
      ConfigurationError
        AppNotFoundError
        AmbiguousAppError
        MissingExtraError
        MissingPluginError
        ServerStartError
        ServerRefusedError
        NotInLocalExecutionError
        HealthPortError
      CompositionError
        DuplicateTaskError
        UnknownTaskError
        NotATaskError
        InvalidContainerError
        TaskAndMsgsDontMatchForSwarmError
        TooManyTasksError
        InvalidKeyError
        InvalidScheduleError
        InvalidQueryError
      InvalidMessageError
      NotSerializableError
      ServerUnavailableError
      ServerBusyError
      WorkerUnavailableError
      PayloadTooLargeError
      UnreadablePayloadError
      NewerVersionError
      SignatureError
        MissingSignatureError
        SignatureNotStartedError
        SignatureAlreadyStartedError
        SignatureEndedError
        TaskAlreadyRunningError
        WhereaboutsUnknownError
        UnknownMemberError
        InvalidRequestError
        SwarmIsClosedError
          SwarmIsCanceledError
        SwarmIsFullError
      ScheduleError
        MissingScheduleError
        ScheduleExistsError
      OutcomeError
        TaskFailedError
        SwarmFailedError
        NotAListError
        SignatureCanceledError
      ResultTimeoutError
      CallTimeoutError
      NotInTaskError
      HeartbeatDetailsError
      NotAnAsyncTaskError
      InWorkflowError

An error's attributes are its constructor's keyword arguments: that is how one that is raised inside a workflow
crosses the wire and is raised again, whole, in the process that asked (see `protocol.py`).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

_SHOWN: Final = 100
"""Characters of a key that a message shows: one that cannot be a key may be of any length."""


class MageflowError(Exception):
    """The root: `except MageflowError` catches whatever this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled by their positional arguments, and ours are made of keyword arguments.
        given = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        added = {name: value for name, value in vars(self).items() if name not in given}  # such as notes
        return (_made_again, (type(self), self.args, given), added or None)


class ConfigurationError(MageflowError):
    """The app, the server or the installation is not set up as the call needs it."""


class AppNotFoundError(ConfigurationError):
    """A module function was called, and there is no app that it could mean."""

    def __init__(self) -> None:
        super().__init__("this process has no Mageflow app: create one first, for example mf = mageflow.Mageflow()")


class AmbiguousAppError(ConfigurationError):
    """A module function was called, and several apps could be meant.

    Attributes:
        apps: how many there are.
    """

    def __init__(self, *, apps: int) -> None:
        self.apps = apps
        super().__init__(
            f"this call could mean any of {apps} Mageflow apps in this process: call the method of the app that you "
            "mean, for example mf.chain([...]) instead of mageflow.chain([...])"
        )


class MissingExtraError(ConfigurationError):
    """An optional part of the package was used and is not installed.

    Attributes:
        extra: the extra that has it.
        needed_for: what was used.
    """

    def __init__(self, *, extra: str, needed_for: str) -> None:
        self.extra = extra
        self.needed_for = needed_for
        super().__init__(f"{needed_for} needs an extra: pip install 'mageflow-temporal[{extra}]'")


class MissingPluginError(ConfigurationError):
    """A workflow starts a signature, and its worker does not have the plugin.

    Attributes:
        workflow: the type of the workflow.
    """

    def __init__(self, *, workflow: str) -> None:
        self.workflow = workflow
        super().__init__(
            f"workflow {workflow!r} starts a signature, and its worker cannot tell it how: give the worker, or its "
            "client, plugins=[mf.plugin()]"
        )


class ServerStartError(ConfigurationError):
    """The embedded Temporal server did not start."""


class ServerRefusedError(ConfigurationError):
    """The Temporal server answers, but not for this app: its namespace is unknown, or its credentials are denied.

    Attributes:
        target: the server's address.
        namespace: the namespace that was asked for.
        cause: what the server says.
    """

    def __init__(self, *, target: str, namespace: str, cause: str) -> None:
        self.target = target
        self.namespace = namespace
        self.cause = cause
        super().__init__(
            f"the Temporal server at {target} refuses namespace {namespace!r}: {cause.rstrip('.')}. Check "
            "TEMPORAL_NAMESPACE and TEMPORAL_API_KEY, or the profile that they come from"
        )


class NotInLocalExecutionError(ConfigurationError):
    """Something was asked of local execution that only a Temporal server can do."""

    def __init__(self, *, what: str) -> None:
        self.what = what
        super().__init__(f"local execution has no {what}: run the app on a server, such as that of `mf.local()`")


class HealthPortError(ConfigurationError):
    """The worker's health endpoint cannot be opened: its port is taken, or this process may not use it."""

    def __init__(self, *, port: int, cause: str) -> None:
        self.port = port
        self.cause = cause
        super().__init__(f"the health endpoint cannot listen on port {port}: {cause}; choose another port")


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


class ServerUnavailableError(MageflowError):
    """The Temporal server did not answer.

    Attributes:
        target: its address.
        cause: what the connection says.
    """

    def __init__(self, *, target: str, cause: str) -> None:
        self.target = target
        self.cause = cause
        super().__init__(
            f"no Temporal server answers at {target} ({self.problem}); start one with `temporal server start-dev`, or "
            "use `async with mf.local()`, or set TEMPORAL_ADDRESS"
        )

    @property
    def problem(self) -> str:
        """What is wrong, in a few words: "connection refused"."""
        # The SDK's core prints an error of its transport as nested Rust; the innermost string is what happened.
        words = re.findall(r'"([^"]+)"', self.cause) if "transport::Error" in self.cause else []
        return words[-1].lower() if words else self.cause


class ServerBusyError(MageflowError):
    """The Temporal server turned a call away, and went on to do so for as long as it was repeated.

    Attributes:
        target: its address.
        cause: what it says.
    """

    def __init__(self, *, target: str, cause: str) -> None:
        self.target = target
        self.cause = cause
        super().__init__(f"the Temporal server at {target} has too much to do for this call ({cause}): repeat it later")


class WorkerUnavailableError(MageflowError):
    """A question that only a worker can answer was asked, and none listens, or none that can.

    Attributes:
        key: the key of the signature that was asked.
        task_queue: where workers would have to listen.
        cause: what kept workers that do listen from answering; `None` if none does.
    """

    def __init__(self, *, key: str, task_queue: str, cause: str | None = None) -> None:
        self.key = key
        self.task_queue = task_queue
        self.cause = cause
        nobody = f"no worker listens on task queue {task_queue!r}; start one with mf.run_worker()"
        super().__init__(f"nobody can answer for {key!r}: {cause or nobody}")


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


class SignatureError(MageflowError):
    """A call on a signature that its present state does not allow.

    Attributes:
        key: the signature's key, or its member's.
    """

    key: str


class MissingSignatureError(SignatureError):
    """There is no signature of that key."""

    def __init__(self, *, key: str) -> None:
        self.key = key
        super().__init__(f"no signature has the key {key!r} (it was never started, or its retention has passed)")


class SignatureNotStartedError(SignatureError):
    """The call needs a signature that has been started."""

    def __init__(self, *, key: str) -> None:
        self.key = key
        super().__init__(f"{key!r} has not been started: await signature.start(...) first")


class SignatureAlreadyStartedError(SignatureError):
    """A signature is single-use, and this one has been started."""

    def __init__(self, *, key: str) -> None:
        self.key = key
        super().__init__(f"{key!r} has been started already: a signature runs once, so sign the task again")


class SignatureEndedError(SignatureError):
    """The signature has ended, so there is nothing left to suspend, interrupt, resume or add to.

    Attributes:
        status: how it ended: `done`, `failed` or `canceled`.
    """

    def __init__(self, *, key: str, status: str) -> None:
        self.key = key
        self.status = status
        super().__init__(f"{key!r} is {status}: what has ended cannot be suspended, interrupted, resumed or changed")


class TaskAlreadyRunningError(SignatureError):
    """A task is being executed, so a suspend cannot stop it; it was left as it is.

    Attributes:
        attempt: the attempt that runs, from 1.
        started_at: when a worker took it up (server time, UTC), where the server knows.
        worker: the identity of that worker, where the server knows.
    """

    def __init__(self, *, key: str, attempt: int, started_at: datetime | str | None, worker: str | None) -> None:
        self.key = key
        self.attempt = attempt
        self.started_at = datetime.fromisoformat(started_at) if isinstance(started_at, str) else started_at
        self.worker = worker
        since = f" since {self.started_at.isoformat()}" if self.started_at else ""
        super().__init__(
            f"task {key!r} is already running (attempt {attempt}{since} on worker {worker or 'unknown'}) and was left "
            "untouched; interrupt() stops code that runs"
        )


class WhereaboutsUnknownError(SignatureError):
    """The server did not answer whether tasks run, so a suspend could not be carried out; it was taken off again.

    Attributes:
        key: the key of what was to be suspended.
        cause: what the server says.
    """

    def __init__(self, *, key: str, cause: str) -> None:
        self.key = key
        self.cause = cause
        super().__init__(f"{key!r} was not suspended: the server did not say what runs ({cause}); try again")


class UnknownMemberError(SignatureError):
    """A key or target names a member that the signature does not have.

    Attributes:
        key: the signature's key.
        target: the path that it has no member at.
    """

    def __init__(self, *, key: str, target: str) -> None:
        self.key = key
        self.target = target
        super().__init__(f"{key!r} has no member {target!r}: members are numbered from 0, as in '2' or '2.1'")


class InvalidRequestError(SignatureError):
    """A signal's, update's or query's payload is not one that its handler takes.

    Attributes:
        key: the signature's key.
        verb: the name of the signal, update or query.
        problems: one line for each thing that is wrong with it.
        expected: a payload as it should be.
    """

    def __init__(self, *, key: str, verb: str, problems: list[str], expected: str) -> None:
        self.key = key
        self.verb = verb
        self.problems = problems
        self.expected = expected
        super().__init__(
            f"{verb} of {key!r} was refused and changed nothing: {'; '.join(problems)}. A right payload: {expected}"
        )


class SwarmIsClosedError(SignatureError):
    """A swarm that is closed, or has ended, takes no more tasks.

    Attributes:
        key: the swarm's key.
        how: "closed", or how it has ended.
    """

    def __init__(self, *, key: str, how: str) -> None:
        self.key = key
        self.how = how
        super().__init__(f"swarm {key!r} is {how} and takes no more tasks")


class SwarmIsCanceledError(SwarmIsClosedError):
    """A swarm that was cancelled takes no more tasks."""


class SwarmIsFullError(SignatureError):
    """A swarm holds as many items that have yet to begin as it can carry; none was added.

    Attributes:
        waiting: how many items it holds that have yet to begin.
    """

    def __init__(self, *, key: str, waiting: int) -> None:
        self.key = key
        self.waiting = waiting
        super().__init__(
            f"swarm {key!r} holds {waiting} items that have yet to begin, as many as it can carry: add more when some "
            "of them have begun"
        )


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


class OutcomeError(MageflowError):
    """What was awaited ended without a result.

    Attributes:
        key: the key of what was awaited.
    """

    key: str


class TaskFailedError(OutcomeError):
    """A task failed for good, and what was awaited failed with it.

    Attributes:
        key: the key of the task that failed, a member's key within a chain or swarm.
        task: the task's name.
        attempts: how many attempts were made.
        type: the class name of the task's own error.
        error: the message of the task's own error.
        traceback: the worker's traceback, where there is one.
    """

    def __init__(
        self, *, key: str, task: str, attempts: int, type: str, error: str, traceback: str | None = None
    ) -> None:
        self.key = key
        self.task = task
        self.attempts = attempts
        self.type = type
        self.error = error
        self.traceback = traceback
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"task {task!r} ({key}) failed after {tries}: {type}: {error}")


class SwarmFailedError(OutcomeError):
    """As many items of a swarm failed as `SwarmConfig.stop_after_n_failures` allows.

    Attributes:
        key: the swarm's key.
        failures: how many items failed.
        first: the message of the first failure.
    """

    def __init__(self, *, key: str, failures: int, first: str) -> None:
        self.key = key
        self.failures = failures
        self.first = first
        super().__init__(f"swarm {key!r} stopped after {failures} failed items; the first: {first}")


class NotAListError(OutcomeError):
    """A map was given something that has no elements.

    Attributes:
        key: the map's key.
        got: the type of what it was given, as JSON.
    """

    def __init__(self, *, key: str, got: str) -> None:
        self.key = key
        self.got = got
        super().__init__(f"map {key!r} was given a {got}: the step before it, or its start message, must be a list")


class SignatureCanceledError(OutcomeError):
    """The signature was cancelled, terminated or timed out on the Temporal server.

    Attributes:
        key: the signature's key.
        how: "canceled", "terminated" or "timed out".
    """

    def __init__(self, *, key: str, how: str) -> None:
        self.key = key
        self.how = how
        super().__init__(f"{key!r} has no result: it was {how}")


class ResultTimeoutError(MageflowError, TimeoutError):
    """The caller's own timeout passed; what was awaited goes on undisturbed.

    Attributes:
        key: the key of what was awaited.
        timeout: how long the caller waited.
        status: its status then.
    """

    def __init__(self, *, key: str, timeout: timedelta, status: str) -> None:
        self.key = key
        self.timeout = timeout
        self.status = status
        goes_on = "it waits for a resume" if status in ("suspended", "interrupted") else "it goes on"
        super().__init__(f"{key!r} had not ended after {timeout.total_seconds():g} s (it is {status}); {goes_on}")


class CallTimeoutError(MageflowError, TimeoutError):
    """The caller's own timeout passed before a call was answered. The server may have it, and may yet carry it out.

    Attributes:
        call: what was called, such as "suspend".
        key: the key of the signature or member.
        timeout: how long the caller waited.
    """

    def __init__(self, *, call: str, key: str, timeout: timedelta) -> None:
        self.call = call
        self.key = key
        self.timeout = timeout
        super().__init__(
            f"{call} of {key!r} was not answered within {timeout.total_seconds():g} s; it may yet take effect: look at "
            "the status, or call it again"
        )


class NotInTaskError(MageflowError):
    """Something that belongs to a running task was used outside one.

    Attributes:
        what: what was used.
    """

    def __init__(self, *, what: str) -> None:
        self.what = what
        super().__init__(f"there is no task here: {what} works inside a task's own code")


class HeartbeatDetailsError(MageflowError):
    """A task's code called `temporalio.activity.heartbeat` with several details.

    Attributes:
        key: the key of the task.
        given: how many details.
    """

    def __init__(self, *, key: str, given: int) -> None:
        self.key = key
        self.given = given
        super().__init__(
            f"activity.heartbeat() was given {given} details by {key!r}: the detail is the task's checkpoint, which is "
            "one value; give it a list, a dict or a model that holds them all"
        )


class NotAnAsyncTaskError(MageflowError):
    """A task whose code does not run on the worker's event loop made a signature.

    Attributes:
        key: the key of the task.
        where: where its code runs: "a thread" or "a process of its own".
    """

    def __init__(self, *, key: str, where: str) -> None:
        self.key = key
        self.where = where
        super().__init__(
            f"the code of {key!r} runs in {where}, where no signatures are made: make the task an async def on the "
            "worker's event loop, and call what blocks with asyncio.to_thread"
        )


class InWorkflowError(MageflowError):
    """Something that needs a connection was used in the code of a workflow."""

    def __init__(self) -> None:
        super().__init__(
            "the code of a workflow has no connection: there you can make signatures (sign, chain, swarm, map), start "
            "them and wait for them (start, run, result); do all else in an activity, or in a task"
        )


class NoWorkerWarning(UserWarning):
    """Somebody waits for work that no worker listens for."""


def _made_again(kind: type[MageflowError], args: tuple[Any, ...], given: dict[str, Any]) -> MageflowError:
    return kind(**given) if given else kind(*args)


def attributes(error: MageflowError) -> dict[str, Any]:
    """Return what `type(error)(**attributes(error))` needs to build the error again, as JSON types."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in vars(error).items()
        if not name.startswith("_")
    }
