"""What a host's hook said of a workspace. Alone in its module: the plugin needs it at import, and nothing else of the model."""

from __future__ import annotations

from enum import Enum

__all__ = ["WorkspaceEvent"]


class WorkspaceEvent(str, Enum):
    """A hook names a suspect. It convicts nobody: the database must agree."""

    DELETED = "deleted"
    ARCHIVED = "archived"
