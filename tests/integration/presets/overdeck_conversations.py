"""Overdeck: conversations, several of which may share a session, in the database of the agents."""

from __future__ import annotations

from collections.abc import Sequence

from tests.integration.presets import overdeck


class Host(overdeck.Host):
    """The conversations of the server. Each has been cleared once, so that it has two rows."""

    schema = "overdeck-conversations"
    ends = ("delete", "archive")
    stays = ("archive_one_row",)
    others = ("planning-pan-1", "agent-pan-1", "overdeck-init")

    def new_id(self, number: int) -> str:
        return f"conv-20261122-{number}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        assert not archived
        assert not pinned
        # The first row is older than the column with the session.
        self.write(
            "INSERT INTO conversations (id, name, cwd, created_at, tmux_session) VALUES (?, ?, '/home/me', 1764000000, ?)",
            *[row for one in ids for row in ((one, one.removeprefix("conv-"), None), (f"{one}b", f"{one}-cleared", one))],
        )

    def delete(self, *ids: str) -> None:
        self.write("DELETE FROM conversations WHERE id IN (?, ?)", *[(one, f"{one}b") for one in ids])

    def archive(self, workspace_id: str) -> None:
        self.archive_one_row(workspace_id)
        self.archive_one_row(f"{workspace_id}b")

    def archive_one_row(self, row: str) -> None:
        """The user archives one of the conversations of a session."""
        self.write("UPDATE conversations SET archived_at = 1764000000 WHERE id = ?", (row,))
