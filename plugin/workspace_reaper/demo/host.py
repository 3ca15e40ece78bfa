"""A minimal workspace server: one table, and a hook call after each commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.demo.processes import DemoFailed
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.registry.standard import create_tables

Load = Callable[[], WorkspacePlugins]


def load_reaper_alone() -> WorkspacePlugins:
    """Load the reaper as a host does, but no other plugin: those must not be notified about the demo's workspaces."""
    return WorkspacePlugins.load(name="reaper")


class Host:
    """The server. ``plugins`` is all that a host knows of its plugins; ``reaper`` serves to check what the reaper did.

    Raises:
        DemoFailed: The reaper could not be loaded.
    """

    def __init__(self, database: Path, load: Load) -> None:
        create_tables(database)
        self._database = database
        self.plugins = load()
        plugin = self.plugins.manager.get_plugin("reaper")
        if not isinstance(plugin, ReaperPlugin):
            self.plugins.close()
            why = self.plugins.problems.get("reaper", "the group workspace_server has no entry point of that name")
            raise DemoFailed(f"the plugin 'reaper' could not be loaded from its entry point: {why}; install it with pip")
        self._plugin = plugin

    @property
    def reaper(self) -> Reaper:
        """The reaper behind the plugin."""
        return self._plugin.reaper()

    def create(self, workspace_id: str, worktree: Path, *, pinned: bool, running: bool) -> None:
        """Create a workspace."""
        now = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(" ")
        self.write(
            "INSERT INTO workspaces (id, archived, pinned, running, worktree, worktree_deleted, created_at)"
            " VALUES (?, 0, ?, ?, ?, 0, ?)",
            *(workspace_id, pinned, running, str(worktree), now),
        )

    def delete(self, workspace_id: str) -> None:
        """Delete the row of a workspace."""
        self.write("DELETE FROM workspaces WHERE id = ?", workspace_id)

    def archive(self, workspace_id: str) -> None:
        """Mark a workspace as archived."""
        self.write("UPDATE workspaces SET archived = 1 WHERE id = ?", workspace_id)

    def write(self, statement: str, *values: object) -> None:
        """Run and commit one SQL statement."""
        with closing(sqlite3.connect(self._database)) as connection, connection:
            connection.execute(statement, values)
