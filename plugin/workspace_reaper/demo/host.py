"""A workspace server in miniature: one table, and a hook after each commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.demo.processes import DemoFailed
from workspace_reaper.plugin import ReaperPlugin

if TYPE_CHECKING:
    from workspace_reaper.operations.reaper import Reaper

__all__ = ["Host", "Load", "load_reaper_alone"]

Load = Callable[[], WorkspacePlugins]


def load_reaper_alone() -> WorkspacePlugins:
    """The plugins as a host loads them, but for those of others: the demo must not tell them about workspaces of its own."""
    return WorkspacePlugins.load(name="reaper")


class Host:
    """``plugins`` is what a host needs to know of any plugin; ``reaper`` is for looking behind the scenes afterwards."""

    def __init__(self, database: Path, load: Load) -> None:
        from workspace_reaper.registry.schemas.standard import create_tables

        create_tables(database)
        self._database = database
        self.plugins = load()
        plugin = self.plugins.manager.get_plugin("reaper")
        if not isinstance(plugin, ReaperPlugin):
            self.plugins.close()
            why = self.plugins.problems.get("reaper", "the group workspace_server has none of that name")
            raise DemoFailed(f"the plugin 'reaper' could not be loaded from its entry point: {why}; install it with pip")
        self._plugin = plugin

    @property
    def reaper(self) -> Reaper:
        """The reaper behind the plugin."""
        return self._plugin.reaper()

    def create(self, workspace_id: str, worktree: Path, *, pinned: bool, running: bool) -> None:
        """A new workspace."""
        now = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(" ")
        self._write(
            "INSERT INTO workspaces (id, archived, pinned, running, worktree, worktree_deleted, created_at)"
            " VALUES (?, 0, ?, ?, ?, 0, ?)",
            (workspace_id, pinned, running, str(worktree), now),
        )

    def delete(self, workspace_id: str, *, tell: bool) -> None:
        """Delete a workspace, and fire the hook if it is to ``tell``."""
        self._write("DELETE FROM workspaces WHERE id = ?", (workspace_id,))
        if tell:
            self.plugins.workspace_deleted(workspace_id)

    def archive(self, workspace_id: str, *, tell: bool) -> None:
        """Archive a workspace, and fire the hook if it is to ``tell``."""
        self._write("UPDATE workspaces SET archived = 1 WHERE id = ?", (workspace_id,))
        if tell:
            self.plugins.workspace_archived(workspace_id)

    def delete_worktree(self, workspace_id: str) -> None:
        """Delete the worktree of a workspace, and note that."""
        self._write("UPDATE workspaces SET worktree_deleted = 1 WHERE id = ?", (workspace_id,))

    def forget_all_but(self, workspace_id: str) -> None:
        """An accident: all other rows are gone."""
        self._write("DELETE FROM workspaces WHERE id <> ?", (workspace_id,))

    def close(self) -> None:
        """End the plugin."""
        self.plugins.close()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with closing(sqlite3.connect(self._database)) as connection, connection:
            connection.execute(statement, values)
