"""Hosts whose rows name their sessions: a table and a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.tools.file_hosts import FilesHost
from tests.tools.hosts import Host
from workspace_reaper.model.workspace import HostFiles, HostTable

__all__ = ["RECORDING_HOSTS", "NamingFilesHost", "RecordingHost"]


class RecordingHost(Host):
    """A host with a table. Its ids are numbers that it assigns again, and each row has the name of its session, or NULL."""

    schema = "table"
    workspaces = "jobs"
    table = HostTable(
        name="jobs",
        id="id",
        id_type="integer",
        where="kind = 'agent'",
        session="tmux_session",
        archived="state = 'archived'",
        deleted="removed",
        pinned="pinned",
        running="state = 'busy'",
        worktree="folder",
    )

    @property
    def settings(self) -> dict[str, object]:
        described = {key: getattr(self.table, key) for key in self.table.__dataclass_fields__}
        return {
            "registry": "table",
            "database_url": f"sqlite:///{self.path}",
            "table": {key: value for key, value in described.items() if value is not None},
        }

    def create(self) -> None:
        with self.writing() as connection:
            connection.execute(
                "CREATE TABLE jobs (id INTEGER PRIMARY KEY, kind TEXT DEFAULT 'agent', tmux_session TEXT, state TEXT,"
                " removed INTEGER DEFAULT 0, pinned INTEGER DEFAULT 0, folder TEXT, tmux_socket TEXT)"
            )

    def new_id(self, number: int) -> str:
        return str(number)

    @staticmethod
    def session_name(workspace_id: str) -> str:
        return f"Agent-{workspace_id}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        rows = [(int(one), self.session_name(one), "archived" if archived else "open", int(pinned), worktree) for one in ids]
        with self.writing() as connection:
            connection.executemany("INSERT INTO jobs (id, tmux_session, state, pinned, folder) VALUES (?, ?, ?, ?, ?)", rows)

    def delete(self, *ids: str) -> None:
        with self.writing() as connection:
            connection.executemany("DELETE FROM jobs WHERE id = ?", [(int(one),) for one in ids])

    def archive(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("state", workspace_id, "archived" if on else "open")

    def pin(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("pinned", workspace_id, int(on))

    def run(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("state", workspace_id, "busy" if on else "open")

    def flag_deleted(self, workspace_id: str) -> None:
        self._set("removed", workspace_id, 1)

    def record_session(self, workspace_id: str, name: object) -> None:
        """Write the name of its session into the row."""
        self._set("tmux_session", workspace_id, name)

    def _set(self, column: str, workspace_id: str, value: object) -> None:
        with self.writing() as connection:
            connection.execute(f"UPDATE jobs SET {column} = ? WHERE id = ?", (value, int(workspace_id)))


class NamingFilesHost(FilesHost):
    """A host with one file, in which each item has the name of its session."""

    @property
    def files(self) -> HostFiles:
        described = super().files
        told = {key: getattr(described, key) for key in described.__dataclass_fields__}
        return HostFiles(**{**told, "session": "value->>'tmux'"})

    @property
    def settings(self) -> dict[str, object]:
        return {key: value for key, value in super().settings.items() if key != "session_patterns"}

    @staticmethod
    def session_name(workspace_id: str) -> str:
        return f"Agent-{workspace_id}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        super().insert(ids, archived=archived, pinned=pinned, worktree=worktree)
        for one in ids:
            self.rows[one]["tmux"] = self.session_name(one)
        self.write()

    def record_session(self, workspace_id: str, name: object) -> None:
        """Write the name of its session into the item."""
        self._set(workspace_id, "tmux", name)


RECORDING_HOSTS: dict[str, type[Any]] = {"recording": RecordingHost, "recording-files": NamingFilesHost}
