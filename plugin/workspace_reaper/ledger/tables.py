"""The tables of the ledger: which class the rows of each hold, and the statements that follow from it.

Every row belongs to one configured registry. Times are Unix seconds (UTC). ``migrations`` creates the tables; a test compares
their columns with these classes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from workspace_reaper.ledger.rows import columns_of, from_rows
from workspace_reaper.model.directory import DirectoryRecord
from workspace_reaper.model.reap import Intent, Reap
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import (
    Alarm,
    BreakerState,
    ClockState,
    Confirmation,
    CpuState,
    Event,
    Finding,
    RegistryState,
    Removal,
    ServerState,
)

T = TypeVar("T")

# The columns of the table registry, which has an id and the configured name and location in addition.
REGISTRY_COLUMNS = columns_of(RegistryState)


class SeenWorkspaceRow(NamedTuple):
    """A workspace that the registry has known: the generation that last recognised it; when a hook last named it, and the
    generation then; the directory that its row last named."""

    workspace_id: str
    generation: int | None = None
    named_at: float | None = None
    named_generation: int | None = None
    worktree: str | None = None


class DeletionRow(NamedTuple):
    """A workspace that a hook reported as deleted, until that is settled."""

    workspace_id: str
    at: float


class FindingRow(NamedTuple):
    """What full sweeps have found about a session so far."""

    key: SessionKey
    finding: Finding
    confirmation: Confirmation


class ServerRow(NamedTuple):
    """A tmux server that had sessions in the last full sweep."""

    socket: str
    server: ServerState


class ReapedRow(NamedTuple):
    """The part of a reap that names its session, and when it ended."""

    socket: str
    session: str
    concluded_at: float


class CompleteRow(NamedTuple):
    """The part of the last report that says when the last full sweep ended that saw everything."""

    complete_at: float | None


class Table(Generic[T]):
    """A table whose rows hold values of one class, at most one row of a registry with the same ``key``.

    The parameters of ``insert`` and ``upsert`` are the registry's id and the columns of the row, those of ``delete`` the
    registry's id and the columns of the key.
    """

    def __init__(self, name: str, kind: type[T], key: str = "") -> None:
        self.name = name
        self.kind = kind
        self.columns = columns_of(kind)
        self._key = key.split()
        names = ", ".join(map(_quoted, self.columns))
        self._select = " ".join(("SELECT", names, "FROM", name, "WHERE registry_id = ?"))
        every = "registry_id IN (SELECT value FROM json_each(?))"
        self._select_all = " ".join(("SELECT registry_id,", names, "FROM", name, "WHERE", every))
        marks = ", ".join("?" * (len(self.columns) + 1))
        self.insert = " ".join(("INSERT INTO", name, f"(registry_id, {names}) VALUES ({marks})"))
        self.upsert = self.upsert_of(*(column for column in self.columns if column not in self._key))
        self.delete = " ".join(("DELETE FROM", name, "WHERE registry_id = ?", *(f"AND {column} = ?" for column in self._key)))

    def upsert_of(self, *columns: str) -> str:
        """Return a statement with the parameters of ``insert`` that, where the row exists, changes these columns alone."""
        changes = ", ".join(f"{_quoted(column)} = excluded.{_quoted(column)}" for column in columns)
        return f"{self.insert} ON CONFLICT ({', '.join(['registry_id', *self._key])}) DO UPDATE SET {changes}"

    def select(self, connection: sqlite3.Connection, registry_id: int, condition: str = "", *parameters: object) -> list[T]:
        """Return the values of this registry that satisfy the condition, which continues the WHERE clause."""
        return from_rows(self.kind, connection.execute(f"{self._select} {condition}", (registry_id, *parameters)).fetchall())

    def select_all(
        self, connection: sqlite3.Connection, registry_ids: str, condition: str = "", *parameters: object
    ) -> dict[int, list[T]]:
        """Return the values of several registries that satisfy the condition, by registry. ``registry_ids`` is a JSON list."""
        rows = connection.execute(f"{self._select_all} {condition}", (registry_ids, *parameters)).fetchall()
        return self.by_registry(rows)

    def by_registry(self, rows: Sequence[Sequence[Any]]) -> dict[int, list[T]]:
        """Return the values in rows that have the registry's id in front, by registry."""
        found: dict[int, list[T]] = {}
        if rows:
            for row, value in zip(rows, from_rows(self.kind, [row[1:] for row in rows]), strict=True):
                found.setdefault(row[0], []).append(value)
        return found


def assignments(columns: tuple[str, ...]) -> str:
    """Return the SET clause that assigns a parameter to each column."""
    return ", ".join(f"{_quoted(column)} = ?" for column in columns)


def _quoted(column: str) -> str:
    return f'"{column}"'


WORKSPACE = Table("workspace", SeenWorkspaceRow, key="workspace_id")
DELETION = Table("deletion", DeletionRow, key="workspace_id")
DIRECTORY = Table("directory", DirectoryRecord, key="workspace_id")
REMOVAL = Table("removal", Removal, key="workspace_id")
FINDING = Table("finding", FindingRow, key="socket server_pid server_start session_id created finding")
SERVER = Table("server", ServerRow, key="socket")
BREAKER = Table("breaker", BreakerState)
CPU = Table("cpu", CpuState)
CLOCK = Table("clock", ClockState)
ALARM = Table("alarm", Alarm)
EVENT = Table("event", Event)
REAP = Table("reap", Reap)
INTENT = Table("reap", Intent)
REAPED = Table("reap", ReapedRow)
COMPLETE = Table("report", CompleteRow)
