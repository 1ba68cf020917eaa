"""The demo's worker, as a process to deploy. To deploy your own tasks, put your app in the place of the demo's.

Where the server is, and how to get in, it takes from Temporal's own environment variables and profile:
TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_..., TEMPORAL_PROFILE.
It ends on SIGTERM or SIGINT: it takes up nothing new, and running tasks have some seconds to finish. What is not
finished then goes on in another worker, from its checkpoint.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import timedelta

import mageflow_temporal as mageflow
from mageflow_temporal.cli.demo.pipeline import mf

GRACE = timedelta(seconds=8)
"""Less than the 10 seconds that Docker waits, and the 30 of Kubernetes, between SIGTERM and SIGKILL."""


def main() -> None:
    """Work until told to stop. Exit code 1 where no server answers or lets it in, so that a supervisor tries again."""
    logging.basicConfig(
        stream=sys.stderr,
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    port = os.environ.get("HEALTH_PORT")
    try:
        mf.run_worker(shutdown_grace=GRACE, health=int(port) if port else None)
    except (mageflow.ServerUnavailableError, mageflow.ConfigurationError) as error:
        sys.exit(f"demo_worker: {error}")


if __name__ == "__main__":
    main()
