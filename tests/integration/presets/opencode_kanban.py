"""opencode-kanban: a database for each project, and the name of the session in a column that may be NULL."""

from __future__ import annotations

from collections.abc import Sequence

from tests.integration.presets.host import NOW, DatabaseHost


class Host(DatabaseHost):
    """Two projects on Linux."""

    schema = "opencode-kanban"
    record = ".local/share/opencode-kanban/opencode-kanban.sqlite"
    stays = ("rename",)
    others = ("ok", "ok-alone", "okay-a-b", "work")
    tables = """
        CREATE TABLE repos (id TEXT PRIMARY KEY, path TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
        CREATE TABLE tasks (id TEXT PRIMARY KEY, title TEXT NOT NULL, repo_id TEXT NOT NULL REFERENCES repos(id),
            branch TEXT NOT NULL, category_id TEXT NOT NULL, position INTEGER NOT NULL, tmux_session_name TEXT,
            worktree_path TEXT, tmux_status TEXT DEFAULT 'unknown', archived INTEGER NOT NULL DEFAULT 0, archived_at TEXT,
            created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE(repo_id, branch));
        INSERT INTO repos VALUES ('r', '/srv/site', 'site');
        INSERT INTO tasks (id, title, repo_id, branch, category_id, position, created_at, updated_at)
            VALUES ('t', 'no session yet', 'r', 'later', 'c', 0, '2026-11-22', '2026-11-22');
    """

    def create(self) -> None:
        super().create()
        self.new_database(self.file.with_name("other.sqlite"))

    def new_id(self, number: int) -> str:
        return f"ok-opencode-kanban-site-fix-{number}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        assert not archived
        assert not pinned
        self.write(
            "INSERT INTO tasks (id, title, repo_id, branch, category_id, position, tmux_session_name, worktree_path,"
            " created_at, updated_at) VALUES (?, 'fix', 'r', ?, 'c', 0, ?, ?, ?, ?)",
            *[(f"task of {one}", one, one, worktree, NOW, NOW) for one in ids],
        )

    def delete(self, *ids: str) -> None:
        self.write("DELETE FROM tasks WHERE tmux_session_name = ?", *[(one,) for one in ids])

    def archive(self, workspace_id: str) -> None:
        self.write("UPDATE tasks SET archived = 1, archived_at = ? WHERE tmux_session_name = ?", (NOW, workspace_id))

    def rename(self, workspace_id: str) -> None:
        self.write("UPDATE tasks SET title = 'other' WHERE tmux_session_name = ?", (workspace_id,))
