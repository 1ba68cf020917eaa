"""The app, the server or the installation has to be set right first."""

from __future__ import annotations

from mageflow_temporal.errors.base import MageflowError


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
