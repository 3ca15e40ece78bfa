"""octomux: tasks in an SQLite database, with their worktrees in another table, and a trash."""

from __future__ import annotations

from collections.abc import Sequence

from tests.integration.presets.host import DatabaseHost


class Host(DatabaseHost):
    """The server of `octomux start`."""

    schema = "octomux"
    record = ".octomux/data/tasks.db"
    ends = ("delete", "flag_deleted")
    others = ("octomux-agent-short", "octomux-chat-V1StGXR8_Z5j", "octomux-orchestrator", "work")
    tables = """
        CREATE TABLE worktrees (id TEXT PRIMARY KEY, path TEXT NOT NULL, repo_path TEXT, branch TEXT, mode TEXT NOT NULL,
            status TEXT NOT NULL DEFAULT 'available', created_at TEXT NOT NULL DEFAULT (datetime('now')));
        CREATE TABLE tasks (id TEXT PRIMARY KEY, title TEXT NOT NULL, description TEXT NOT NULL,
            runtime_state TEXT NOT NULL DEFAULT 'idle', workflow_status TEXT NOT NULL DEFAULT 'backlog',
            worktree_id TEXT REFERENCES worktrees(id), tmux_session TEXT, deleted_at TEXT,
            created_at TEXT NOT NULL DEFAULT (datetime('now')), updated_at TEXT NOT NULL DEFAULT (datetime('now')));
    """

    def new_id(self, number: int) -> str:
        return f"V1StGXR8_Z{number:02}"

    @staticmethod
    def session_name(workspace_id: str) -> str:
        return f"octomux-agent-{workspace_id}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        assert not archived
        assert not pinned
        if worktree:
            rows = [(f"w-{one}", worktree) for one in ids]
            self.write("INSERT INTO worktrees (id, path, mode) VALUES (?, ?, 'worktree')", *rows)
        self.write(
            "INSERT INTO tasks (id, title, description, worktree_id, tmux_session) VALUES (?, 'fix', 'fix it', ?, ?)",
            *[(one, f"w-{one}" if worktree else None, self.session_name(one)) for one in ids],
        )

    def delete(self, *ids: str) -> None:
        self.write("DELETE FROM tasks WHERE id = ?", *[(one,) for one in ids])

    def flag_deleted(self, workspace_id: str) -> None:
        """Move a task into the trash."""
        self.write("UPDATE tasks SET deleted_at = datetime('now'), runtime_state = 'idle' WHERE id = ?", (workspace_id,))
