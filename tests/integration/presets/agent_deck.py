"""agent-deck: a database for each profile, and the name of the session in a column that is empty until it has one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.integration.presets.host import DatabaseHost


class Host(DatabaseHost):
    """Two profiles below the data directory of Linux."""

    schema = "agent-deck"
    record = ".local/share/agent-deck/profiles/default/state.db"
    stays = ("rename",)
    others = ("agentdeck", "agentdeck_Fix-login", "agent-deck_x_0123abcd", "work")
    tables = """
        CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE instances (id TEXT PRIMARY KEY, title TEXT NOT NULL, project_path TEXT NOT NULL,
            status TEXT NOT NULL DEFAULT 'error', tmux_session TEXT NOT NULL DEFAULT '',
            tmux_socket_name TEXT NOT NULL DEFAULT '',
            created_at INTEGER NOT NULL, worktree_path TEXT NOT NULL DEFAULT '', archived_at INTEGER NOT NULL DEFAULT 0,
            pin TEXT NOT NULL DEFAULT '');
        INSERT INTO instances (id, title, project_path, created_at) VALUES ('0a1b2c3d-1764000000', 'new', '/srv', 1764000000);
    """

    def create(self) -> None:
        super().create()
        self.new_database(self.file.parents[1] / "other" / "state.db")

    def new_id(self, number: int) -> str:
        return f"agentdeck_Fix-login_{number:08x}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        assert not archived
        self.insert_into(self.file, ids, pin="top" if pinned else "", worktree=worktree or "")

    def insert_into(self, profile: Path, ids: Sequence[str], *, pin: str = "", worktree: str = "") -> None:
        """Make sessions in a profile."""
        self.write(
            "INSERT INTO instances (id, title, project_path, status, tmux_session, created_at, worktree_path, pin)"
            " VALUES (?, 'Fix login', '/srv', 'idle', ?, 1764000000, ?, ?)",
            *[(f"{one[-8:]}-1764000000", one, worktree, pin) for one in ids],
            file=profile,
        )

    def delete(self, *ids: str) -> None:
        self.delete_from(self.file, *ids)

    def delete_from(self, profile: Path, *ids: str) -> None:
        """Remove sessions from a profile."""
        self.write("DELETE FROM instances WHERE tmux_session = ?", *[(one,) for one in ids], file=profile)

    def archive(self, workspace_id: str) -> None:
        self.write("UPDATE instances SET archived_at = 1764000000 WHERE tmux_session = ?", (workspace_id,))

    def rename(self, workspace_id: str) -> None:
        self.write("UPDATE instances SET title = 'other' WHERE tmux_session = ?", (workspace_id,))
