"""Exit codes."""

from __future__ import annotations

from typing import Final

FAILED: Final = 1
"""Of a command that could not do what it was asked for, or of work that failed."""
WRONG_USAGE: Final = 2
"""Of a command that was not understood."""
