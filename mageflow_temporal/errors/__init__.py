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
      PayloadTooLargeError
      UnreadablePayloadError
      NewerVersionError
      ServerUnavailableError
      ServerBusyError
      WorkerUnavailableError
      ResultTimeoutError
      CallTimeoutError
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
      NotInTaskError
      HeartbeatDetailsError
      AsyncCompletionError
      NotAnAsyncTaskError
      InWorkflowError

An error's attributes are its constructor's keyword arguments: that is how one that is raised inside a workflow
crosses the wire and is raised again, whole, in the process that asked (see `protocol.py`).

Where they are defined:

base.py         what all errors have in common
setup.py        the app, the server or the installation has to be set right first
composing.py    what cannot be composed, scheduled or asked for
messages.py     what is sent does not fit, or cannot be sent or read
unanswered.py   nobody answers, or not in time
signatures.py   calls that the state of a signature does not allow
schedules.py    calls that there is no schedule for, or one already
outcomes.py     ends without a result
places.py       calls from where they cannot be made
"""

from mageflow_temporal.errors.base import (
    MageflowError,
    attributes,
)
from mageflow_temporal.errors.composing import (
    CompositionError,
    DuplicateTaskError,
    InvalidContainerError,
    InvalidKeyError,
    InvalidQueryError,
    InvalidScheduleError,
    NotATaskError,
    TaskAndMsgsDontMatchForSwarmError,
    TooManyTasksError,
    UnknownTaskError,
)
from mageflow_temporal.errors.messages import (
    InvalidMessageError,
    NewerVersionError,
    NotSerializableError,
    PayloadTooLargeError,
    UnreadablePayloadError,
)
from mageflow_temporal.errors.outcomes import (
    NotAListError,
    OutcomeError,
    SignatureCanceledError,
    SwarmFailedError,
    TaskFailedError,
)
from mageflow_temporal.errors.places import (
    AsyncCompletionError,
    HeartbeatDetailsError,
    InWorkflowError,
    NotAnAsyncTaskError,
    NotInTaskError,
)
from mageflow_temporal.errors.schedules import (
    MissingScheduleError,
    ScheduleError,
    ScheduleExistsError,
)
from mageflow_temporal.errors.setup import (
    AmbiguousAppError,
    AppNotFoundError,
    ConfigurationError,
    HealthPortError,
    MissingExtraError,
    MissingPluginError,
    NotInLocalExecutionError,
    ServerRefusedError,
    ServerStartError,
)
from mageflow_temporal.errors.signatures import (
    InvalidRequestError,
    MissingSignatureError,
    SignatureAlreadyStartedError,
    SignatureEndedError,
    SignatureError,
    SignatureNotStartedError,
    SwarmIsCanceledError,
    SwarmIsClosedError,
    SwarmIsFullError,
    TaskAlreadyRunningError,
    UnknownMemberError,
    WhereaboutsUnknownError,
)
from mageflow_temporal.errors.unanswered import (
    CallTimeoutError,
    NoWorkerWarning,
    ResultTimeoutError,
    ServerBusyError,
    ServerUnavailableError,
    WorkerUnavailableError,
)

__all__ = [
    "AmbiguousAppError",
    "AppNotFoundError",
    "AsyncCompletionError",
    "CallTimeoutError",
    "CompositionError",
    "ConfigurationError",
    "DuplicateTaskError",
    "HealthPortError",
    "HeartbeatDetailsError",
    "InWorkflowError",
    "InvalidContainerError",
    "InvalidKeyError",
    "InvalidMessageError",
    "InvalidQueryError",
    "InvalidRequestError",
    "InvalidScheduleError",
    "MageflowError",
    "MissingExtraError",
    "MissingPluginError",
    "MissingScheduleError",
    "MissingSignatureError",
    "NewerVersionError",
    "NoWorkerWarning",
    "NotAListError",
    "NotATaskError",
    "NotAnAsyncTaskError",
    "NotInLocalExecutionError",
    "NotInTaskError",
    "NotSerializableError",
    "OutcomeError",
    "PayloadTooLargeError",
    "ResultTimeoutError",
    "ScheduleError",
    "ScheduleExistsError",
    "ServerBusyError",
    "ServerRefusedError",
    "ServerStartError",
    "ServerUnavailableError",
    "SignatureAlreadyStartedError",
    "SignatureCanceledError",
    "SignatureEndedError",
    "SignatureError",
    "SignatureNotStartedError",
    "SwarmFailedError",
    "SwarmIsCanceledError",
    "SwarmIsClosedError",
    "SwarmIsFullError",
    "TaskAlreadyRunningError",
    "TaskAndMsgsDontMatchForSwarmError",
    "TaskFailedError",
    "TooManyTasksError",
    "UnknownMemberError",
    "UnknownTaskError",
    "UnreadablePayloadError",
    "WhereaboutsUnknownError",
    "WorkerUnavailableError",
    "attributes",
]
