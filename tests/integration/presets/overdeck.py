"""Overdeck: agents whose id is the name of their session, in a database with the conversations."""

from __future__ import annotations

from collections.abc import Sequence

from tests.integration.presets.host import DatabaseHost


class Host(DatabaseHost):
    """The agents of the server."""

    schema = "overdeck"
    record = ".overdeck/overdeck.db"
    ends = ("delete",)
    stays = ("stop",)
    others = ("planning-pan-1", "inspect-pan-1", "conv-20261122-1", "strike-pan-1", "overdeck-init")
    tables = """
        CREATE TABLE agents (id text PRIMARY KEY NOT NULL, issue_id text NOT NULL, role text NOT NULL, status text NOT NULL,
            workspace text NOT NULL, harness text NOT NULL, model text NOT NULL, stopped_by_user integer, paused integer,
            updated_at integer NOT NULL);
        CREATE TABLE conversations (id text PRIMARY KEY NOT NULL, name text NOT NULL, cwd text NOT NULL,
            created_at integer NOT NULL, archived_at integer, tmux_session text, status text NOT NULL DEFAULT 'active');
        CREATE UNIQUE INDEX conversations_name_unique ON conversations (name);
    """

    def new_id(self, number: int) -> str:
        return f"agent-pan-{number}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        assert not archived
        self.write(
            "INSERT INTO agents (id, issue_id, role, status, workspace, harness, model, paused, updated_at)"
            " VALUES (?, 'PAN-1', 'work', 'stopped', ?, 'claude-code', 'm', ?, 1764000000)",
            *[(one, worktree or "/srv/workspace", 1 if pinned else None) for one in ids],
        )

    def delete(self, *ids: str) -> None:
        self.write("DELETE FROM agents WHERE id = ?", *[(one,) for one in ids])

    def stop(self, workspace_id: str) -> None:
        """The user stops an agent, and the server fails to end its session."""
        self.write("UPDATE agents SET status = 'stopped', stopped_by_user = 1 WHERE id = ?", (workspace_id,))
