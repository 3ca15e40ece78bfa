"""Databases as the hosts make them, and what their servers do to them: plain SQL, nothing of the product but `HostTable`.

The tables and indexes of vibe-kanban are those that its published migrations lead to; the table of CAO is the one that
``cli-agent-orchestrator`` 2.5.4 creates. Times are stated by the inserts: their default uses SQLite's ``subsec``, which
needs 3.42.
"""

from __future__ import annotations

import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workspace_reaper.model.workspace import HostTable

__all__ = ["EVERY_HOST", "HOSTS", "CaoHost", "Host", "StandardHost", "TableHost", "VibeKanbanHost", "connected"]

_NOW = "2026-11-22 10:00:00.000"


@contextmanager
def connected(path: Path, **options: object) -> Iterator[sqlite3.Connection]:
    """A connection that commits at the end and is closed."""
    connection = sqlite3.connect(path, **options)  # type: ignore[call-overload]
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = OFF")
        yield connection
        connection.commit()
    finally:
        connection.close()


@dataclass
class Host(ABC):
    """A host with a database of its own: the file ``path``, or what is at the PostgreSQL URL ``server``.

    ``workspaces`` is its table of workspaces, as SQL names it.
    """

    path: Path
    server: str | None = None
    schema: str = field(init=False)
    workspaces: str = field(init=False)

    @property
    def place(self) -> str:
        """What ``database_url`` has to say."""
        return self.server or str(self.path)

    @property
    def settings(self) -> dict[str, object]:
        """What names this host in a configuration."""
        return {"registry": self.schema, "database_url": f"sqlite:///{self.path}"}

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """A connection that commits at the end and is closed. It takes ``?`` for a parameter."""
        if self.server is None:
            with connected(self.path) as connection:
                yield connection
        else:
            from tests.tools.postgres import writing

            with writing(self.server) as connection:
                yield connection

    @abstractmethod
    def create(self) -> None:
        """Make the database with its tables."""

    @abstractmethod
    def new_id(self, number: int) -> str:
        """A canonical workspace id, the same for the same number."""

    @staticmethod
    def session_name(workspace_id: str) -> str:
        """The name that the host gives a workspace's session."""
        return workspace_id

    @abstractmethod
    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        """The server makes workspaces, in one transaction."""

    @abstractmethod
    def delete(self, *ids: str) -> None:
        """The server deletes workspaces."""


class VibeKanbanHost(Host):
    """bettercoding or vibe-kanban. ``worktree_deleted`` False is a database from before 2026-03-02."""

    schema = "vibe-kanban"
    workspaces = "workspaces"

    def __init__(self, path: Path, server: str | None = None, *, worktree_deleted: bool = True) -> None:
        super().__init__(path, server)
        self.worktree_deleted = worktree_deleted

    def create(self) -> None:
        with self.writing() as connection:
            if self.server is None:
                connection.execute("PRAGMA journal_mode = DELETE")
            connection.executescript(_VIBE_KANBAN)
            if self.worktree_deleted:
                self.migrate(connection)

    def migrate(self, connection: Any) -> None:
        """What the server's migration of 2026-03-02 does."""
        connection.execute("ALTER TABLE workspaces ADD COLUMN worktree_deleted BOOLEAN NOT NULL DEFAULT FALSE")

    def new_id(self, number: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))

    @staticmethod
    def session_name(workspace_id: str) -> str:
        return "vk_" + uuid.UUID(workspace_id).hex

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        with self.writing() as connection:
            connection.executemany(
                "INSERT INTO workspaces (id, container_ref, branch, archived, pinned, name, created_at, updated_at)"
                " VALUES (?, ?, 'vk/branch', ?, ?, 'a workspace', ?, ?)",
                [(blob(one), worktree, int(archived), int(pinned), _NOW, _NOW) for one in ids],
            )

    def delete(self, *ids: str) -> None:
        with self.writing() as connection:
            connection.executemany("DELETE FROM workspaces WHERE id = ?", [(blob(one),) for one in ids])

    def archive(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("archived", workspace_id, int(on))

    def pin(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("pinned", workspace_id, int(on))

    def delete_worktree(self, workspace_id: str) -> None:
        self._set("worktree_deleted", workspace_id, True)

    def start(self, workspace_id: str, *, run_reason: str = "codingagent", status: str = "running") -> bytes:
        """Start a process in a new session of the workspace; its id, for `finish`."""
        session, process = uuid.uuid4().bytes, uuid.uuid4().bytes
        with self.writing() as connection:
            connection.execute(
                "INSERT INTO sessions (id, workspace_id, executor, created_at, updated_at) VALUES (?, ?, 'CLAUDE_CODE', ?, ?)",
                (session, blob(workspace_id), _NOW, _NOW),
            )
            connection.execute(
                "INSERT INTO execution_processes (id, session_id, run_reason, status, started_at, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (process, session, run_reason, status, _NOW, _NOW, _NOW),
            )
        return process

    def run(self, workspace_id: str) -> None:
        """Start a process that counts as work."""
        self.start(workspace_id)

    def finish(self, process: bytes, *, status: str = "completed") -> None:
        with self.writing() as connection:
            connection.execute("UPDATE execution_processes SET status = ? WHERE id = ?", (status, process))

    def _set(self, column: str, workspace_id: str, value: object) -> None:
        with self.writing() as connection:
            connection.execute(f"UPDATE workspaces SET {column} = ? WHERE id = ?", (value, blob(workspace_id)))


class CaoHost(Host):
    """CLI Agent Orchestrator. An inserted workspace is a session with one terminal."""

    schema = "cao"
    workspaces = "terminals"

    def create(self) -> None:
        with self.writing() as connection:
            connection.executescript(_CAO)

    def new_id(self, number: int) -> str:
        return f"cao-session-{number}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        if archived or pinned:
            raise ValueError("this host has no such thing")
        with self.writing() as connection:
            connection.executemany(
                "INSERT INTO terminals (id, tmux_session, tmux_window, provider, agent_profile, working_directory, last_active)"
                " VALUES (?, ?, 'developer-1', 'mock_cli', 'developer', ?, ?)",
                [(uuid.uuid4().hex, one, worktree, _NOW) for one in ids],
            )

    def delete(self, *ids: str) -> None:
        with self.writing() as connection:
            connection.executemany("DELETE FROM terminals WHERE tmux_session = ?", [(one,) for one in ids])

    def pin(self, workspace_id: str) -> None:
        """A program outside of the host has to settle an initialisation."""
        self._set("deferred_init_external_owner", workspace_id, True)

    def run(self, workspace_id: str) -> None:
        """The agent is starting."""
        self._set("initial_delivery", workspace_id, '{"state": "pending"}')

    def _set(self, column: str, workspace_id: str, value: object) -> None:
        with self.writing() as connection:
            connection.execute(f"UPDATE terminals SET {column} = ? WHERE tmux_session = ?", (value, workspace_id))


class StandardHost(Host):
    """A host that uses the table of the ``standard`` schema, and writes it with SQL of its own."""

    schema = "standard"
    workspaces = "workspaces"

    def create(self) -> None:
        with self.writing() as connection:
            connection.executescript(_STANDARD)

    def new_id(self, number: int) -> str:
        return f"w{number}"

    @staticmethod
    def session_name(workspace_id: str) -> str:
        return f"ws-{workspace_id}"

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        with self.writing() as connection:
            connection.executemany(
                "INSERT INTO workspaces (id, name, archived, pinned, running, worktree, created_at)"
                " VALUES (?, 'a', ?, ?, FALSE, ?, ?)",
                [(one, archived, pinned, worktree, _NOW) for one in ids],
            )

    def delete(self, *ids: str) -> None:
        with self.writing() as connection:
            connection.executemany("DELETE FROM workspaces WHERE id = ?", [(one,) for one in ids])

    def archive(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("archived", workspace_id, on)

    def pin(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("pinned", workspace_id, on)

    def run(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("running", workspace_id, on)

    def delete_worktree(self, workspace_id: str) -> None:
        self._set("worktree_deleted", workspace_id, True)

    def flag_deleted(self, workspace_id: str) -> None:
        self._set("deleted_at", workspace_id, _NOW)

    def _set(self, column: str, workspace_id: str, value: object) -> None:
        with self.writing() as connection:
            connection.execute(f"UPDATE workspaces SET {column} = ? WHERE id = ?", (value, workspace_id))


class TableHost(Host):
    """A host of its own kind: projects with a UUID, as PostgreSQL has it or as text, and a state in words."""

    schema = "table"
    workspaces = '"Projects"'
    table = HostTable(
        name="Projects",
        id="key",
        id_type="uuid",
        id_in_session="hex",
        archived="state = 'archived'",
        deleted="removed_at IS NOT NULL",
        pinned="starred",
        running="state = 'busy'",
        worktree_deleted="directory IS NULL AND state = 'bare'",
        worktree="directory",
    )

    def create(self) -> None:
        with self.writing() as connection:
            connection.executescript(_PROJECTS)

    def new_id(self, number: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))

    def insert(self, ids: Sequence[str], *, archived: bool = False, pinned: bool = False, worktree: str | None = None) -> None:
        with self.writing() as connection:
            connection.executemany(
                'INSERT INTO "Projects" (key, state, starred, directory) VALUES (?, ?, ?, ?)',
                [(one, "archived" if archived else "open", pinned, worktree) for one in ids],
            )

    def delete(self, *ids: str) -> None:
        with self.writing() as connection:
            connection.executemany('DELETE FROM "Projects" WHERE key = ?', [(one,) for one in ids])

    def archive(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("state", workspace_id, "archived" if on else "open")

    def pin(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("starred", workspace_id, on)

    def run(self, workspace_id: str, *, on: bool = True) -> None:
        self._set("state", workspace_id, "busy" if on else "open")

    def delete_worktree(self, workspace_id: str) -> None:
        self._set("state", workspace_id, "bare")

    def flag_deleted(self, workspace_id: str) -> None:
        self._set("removed_at", workspace_id, _NOW)

    def _set(self, column: str, workspace_id: str, value: object) -> None:
        with self.writing() as connection:
            connection.execute(f'UPDATE "Projects" SET {column} = ? WHERE key = ?', (value, workspace_id))


HOSTS: dict[str, type[VibeKanbanHost] | type[CaoHost] | type[StandardHost]] = {
    "vibe-kanban": VibeKanbanHost,
    "cao": CaoHost,
    "standard": StandardHost,
}
EVERY_HOST: dict[str, type[Host]] = {**HOSTS, "table": TableHost}


def blob(workspace_id: str) -> bytes:
    """The id as vibe-kanban stores it."""
    return uuid.UUID(workspace_id).bytes


_VIBE_KANBAN = """
CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, success BOOLEAN NOT NULL);
CREATE TABLE workspaces (
    id BLOB PRIMARY KEY, task_id BLOB, container_ref TEXT, branch TEXT NOT NULL, setup_completed_at DATETIME,
    created_at TEXT NOT NULL DEFAULT (datetime('now', 'subsec')), updated_at TEXT NOT NULL DEFAULT (datetime('now', 'subsec')),
    archived INTEGER NOT NULL DEFAULT 0, pinned INTEGER NOT NULL DEFAULT 0, name TEXT
);
CREATE INDEX idx_workspaces_id ON workspaces(id);
CREATE INDEX idx_workspaces_container_ref ON workspaces(container_ref) WHERE container_ref IS NOT NULL;
CREATE TABLE sessions (
    id BLOB PRIMARY KEY, workspace_id BLOB NOT NULL REFERENCES workspaces(id) ON DELETE CASCADE, executor TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now', 'subsec')), updated_at TEXT NOT NULL DEFAULT (datetime('now', 'subsec'))
);
CREATE INDEX idx_sessions_workspace_id ON sessions(workspace_id);
CREATE INDEX idx_sessions_workspace_id_created_at ON sessions(workspace_id, created_at DESC);
CREATE TABLE execution_processes (
    id BLOB PRIMARY KEY, session_id BLOB NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    run_reason TEXT NOT NULL DEFAULT 'setupscript'
        CHECK (run_reason IN ('setupscript', 'cleanupscript', 'archivescript', 'codingagent', 'devserver')),
    executor_action TEXT NOT NULL DEFAULT '{}',
    status TEXT NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'completed', 'failed', 'killed')),
    exit_code INTEGER, dropped INTEGER NOT NULL DEFAULT 0,
    started_at TEXT NOT NULL DEFAULT (datetime('now', 'subsec')), completed_at TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now', 'subsec')), updated_at TEXT NOT NULL DEFAULT (datetime('now', 'subsec'))
);
CREATE INDEX idx_execution_processes_session_id ON execution_processes(session_id);
CREATE INDEX idx_execution_processes_status ON execution_processes(status);
CREATE INDEX idx_execution_processes_run_reason ON execution_processes(run_reason);
"""

_CAO = """
CREATE TABLE terminals (
    id VARCHAR NOT NULL PRIMARY KEY, description TEXT, tmux_session VARCHAR NOT NULL, tmux_window VARCHAR NOT NULL,
    provider VARCHAR NOT NULL, agent_profile VARCHAR, model VARCHAR, model_honored BOOLEAN, working_directory VARCHAR,
    allowed_tools VARCHAR, shell_command VARCHAR, caller_id VARCHAR, engine VARCHAR, provider_variant VARCHAR, "group" TEXT,
    metadata TEXT, deferred_init_failure TEXT, initial_delivery TEXT,
    deferred_init_external_owner BOOLEAN NOT NULL DEFAULT 0, deferred_init_runtime_reclaimed BOOLEAN NOT NULL DEFAULT 0,
    session_incarnation_id VARCHAR, last_active DATETIME
);
"""

_STANDARD = """
CREATE TABLE workspaces (
    id TEXT NOT NULL PRIMARY KEY, name TEXT, archived BOOLEAN NOT NULL, pinned BOOLEAN NOT NULL, running BOOLEAN NOT NULL,
    deleted_at DATETIME, worktree TEXT, worktree_deleted BOOLEAN NOT NULL DEFAULT 0, created_at DATETIME NOT NULL
);
"""

_PROJECTS = """
CREATE TABLE "Projects" (
    key UUID NOT NULL PRIMARY KEY, state TEXT NOT NULL, starred BOOLEAN NOT NULL, removed_at DATETIME, directory TEXT
);
"""
