"""The events that a host's hooks report. A module of its own, because the plugin imports nothing else of the model at import
time.
"""

from __future__ import annotations

from enum import Enum


class WorkspaceEvent(str, Enum):
    """What a host's hook reported about a workspace. Never sufficient for a kill: the database must confirm it."""

    # In this order one outweighs another.
    DELETED = "deleted"
    # The daemon saw the row go as after the restore of an older copy.
    DOUBTED = "doubted"
    # The daemon saw the row go. It is no event of the host.
    REMOVED = "removed"
    ARCHIVED = "archived"
    # The daemon saw the row go, together with so many others, or in such a way, that this proves nothing by itself.
    VANISHED = "vanished"


# What the daemon derives from rows that went.
DERIVED_EVENTS = frozenset({WorkspaceEvent.REMOVED, WorkspaceEvent.VANISHED, WorkspaceEvent.DOUBTED})

# Those of them after which only the directory can prove the deletion.
WITHOUT_PROOF = DERIVED_EVENTS - {WorkspaceEvent.REMOVED}

# The events after which there is no row.
GONE_EVENTS = DERIVED_EVENTS | {WorkspaceEvent.DELETED}


def strongest(*events: WorkspaceEvent) -> WorkspaceEvent:
    """Return which of the events of one workspace counts: a deletion outweighs a doubt, and a doubt the rest."""
    return min(events, key=list(WorkspaceEvent).index)


def key_of(host: str | None, workspace_id: str) -> str:
    """Return what names a workspace among those of several hosts; ``host`` None is the only one. No id looks like that."""
    return workspace_id if host is None else f"\0{host}\0{workspace_id}"
