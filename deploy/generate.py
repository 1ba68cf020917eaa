"""Write dynamic-config.yaml: the settings of the embedded server, for a server of one's own.

    python deploy/generate.py > deploy/dynamic-config.yaml

The settings and the reasons for each are in `mageflow_temporal/server.py`; a test compares the file with them.
"""  # noqa: INP001 - a program, not a part of a package

from __future__ import annotations

import sys

from mageflow_temporal.server import DYNAMIC_CONFIG

HEAD = """\
# Made by deploy/generate.py from mageflow_temporal/server.py, where the reason for each setting stands. Do not edit.
"""


def main() -> None:
    """Print the file in the form that a Temporal server reads: a list of values, here without constraints."""
    sys.stdout.write(HEAD)
    for name, value in DYNAMIC_CONFIG.items():
        sys.stdout.write(f"{name}:\n  - value: {value}\n")


if __name__ == "__main__":
    main()
