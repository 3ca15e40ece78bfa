"""The events that a host's hooks report. A module of its own, because the plugin imports nothing else of the model at import
time.
"""

from __future__ import annotations

from enum import Enum


class WorkspaceEvent(str, Enum):
    """What a host's hook reported about a workspace. Never sufficient for a kill: the database must confirm it."""

    DELETED = "deleted"
    ARCHIVED = "archived"
