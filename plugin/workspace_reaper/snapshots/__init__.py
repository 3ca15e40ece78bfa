"""What is kept of sessions before they are reaped: ``state_dir/snapshots/<reap id>/``, for this user alone."""

from workspace_reaper.snapshots.store import SnapshotStore

__all__ = ["SnapshotStore"]
