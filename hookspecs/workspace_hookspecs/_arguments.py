"""What a host may pass, judged without raising."""

from __future__ import annotations

from datetime import datetime, timezone


def is_id(workspace_id: object) -> bool:
    """Whether it can be a workspace's id: text, and not blank."""
    return isinstance(workspace_id, str) and bool(workspace_id) and not workspace_id.isspace()


def utc(now: object) -> datetime | None:
    """The moment in UTC, or None where that can't be told: no datetime, a naive one, or one that UTC can't express."""
    if not isinstance(now, datetime) or now.tzinfo is None:
        return None
    try:
        return now.astimezone(timezone.utc) if now.utcoffset() is not None else None
    except Exception:  # noqa: BLE001  (boundary: a host's tzinfo may raise anything)
        return None
