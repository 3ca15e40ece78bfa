"""Format times."""

from __future__ import annotations

from datetime import datetime, timezone


def iso(moment: float | None) -> str | None:
    """Return Unix seconds as ISO 8601 in UTC, to the second, with ``Z``."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
