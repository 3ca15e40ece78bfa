"""The table of workspaces in SQLite that the three example servers share. It does not use plugins."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing

TABLE = "CREATE TABLE IF NOT EXISTS workspaces (id TEXT PRIMARY KEY, archived INTEGER NOT NULL DEFAULT 0)"
STATEMENTS = {
    "delete": "DELETE FROM workspaces WHERE id = ?",
    "archive": "UPDATE workspaces SET archived = 1 WHERE id = ?",
    "unarchive": "UPDATE workspaces SET archived = 0 WHERE id = ?",
}


class Store:
    """A table of workspaces. Each method is one transaction on a connection of its own: it returns after the commit, or raises
    ``sqlite3.Error`` and has changed nothing. It may be used from any thread and in a forked process."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._execute(TABLE)

    def create(self) -> str:
        """Create a workspace and return its id."""
        workspace_id = str(uuid.uuid4())
        self._execute("INSERT INTO workspaces (id) VALUES (?)", workspace_id)
        return workspace_id

    def change(self, verb: str, workspace_id: str) -> bool:
        """Delete, archive or unarchive the workspace. Return whether it existed."""
        return self._execute(STATEMENTS[verb], workspace_id) > 0

    def _execute(self, statement: str, *values: str) -> int:
        with closing(sqlite3.connect(self._database, timeout=10)) as connection, connection:
            return connection.execute(statement, values).rowcount
