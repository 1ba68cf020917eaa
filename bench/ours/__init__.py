"""Our side, through the public API."""
