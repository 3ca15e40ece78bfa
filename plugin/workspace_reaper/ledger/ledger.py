"""The ledger: the port ``Ledger`` over one SQLite file."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from workspace_reaper.ledger import tables
from workspace_reaper.ledger.connection import LedgerConnection
from workspace_reaper.ledger.errors import shown
from workspace_reaper.ledger.rows import columns_of, escape, from_rows, to_row
from workspace_reaper.ledger.state_rows import read_states, write_changes, write_rows
from workspace_reaper.ledger.tables import (
    REGISTRY_COLUMNS,
    DeletionRow,
    SeenWorkspaceRow,
    Table,
    assignments,
)
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.events import WorkspaceEvent, strongest
from workspace_reaper.model.ports import Ledger, Ledgers
from workspace_reaper.model.reap import Intent, Outcome, Reap, ReapResult
from workspace_reaper.model.state import (
    Event,
    LedgerState,
    RecordedRegistry,
    RegistryState,
    Removal,
    StateChanges,
)

_NO_ROW = 0

T = TypeVar("T")

_RESULT = tuple(column for column in columns_of(ReapResult) if column not in ("reap_id", "at"))
_OWNER_ID = re.compile("[0-9a-f]+")

_FIND_REGISTRY = " ".join(
    ("SELECT id,", ", ".join(REGISTRY_COLUMNS), "FROM registry WHERE configured_name = ? AND configured_location = ?")
)
_ADD_REGISTRY = " ".join(
    (
        f"INSERT INTO registry (configured_name, configured_location, {', '.join(REGISTRY_COLUMNS)})",
        f"VALUES ({', '.join('?' * (len(REGISTRY_COLUMNS) + 2))}) ON CONFLICT DO NOTHING",
    )
)
_REGISTRIES = """
    SELECT configured_name, configured_location, coalesce(at, 0.0) AS swept_at
    FROM registry LEFT JOIN report ON registry_id = id ORDER BY swept_at DESC, id DESC"""
_NAME = tables.WORKSPACE.upsert_of("named_at", "named_generation")
_CONCLUDE = " ".join(
    ("UPDATE reap SET concluded_at = ?,", assignments(_RESULT), "WHERE registry_id = ? AND reap_id = ? AND outcome = 'open'")
)
_SAVE_REPORT = """
    INSERT INTO report (registry_id, at, complete_at, head, sessions_of, sessions) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (registry_id) DO UPDATE SET at = excluded.at, complete_at = coalesce(excluded.complete_at, complete_at),
        head = excluded.head, sessions_of = excluded.sessions_of, sessions = excluded.sessions"""
_TOUCH_REPORT = """
    UPDATE report SET at = ?, complete_at = coalesce(?, complete_at), head = ? WHERE registry_id = ? AND sessions_of = ?"""
_LATEST_EVENT = "SELECT coalesce(max(id), 0) FROM event WHERE registry_id = ?"
# Of a number, bytes() would make as many bytes.
_LAST_REPORT = "SELECT CAST(head AS BLOB), CAST(sessions AS BLOB) FROM report WHERE registry_id = ?"


class SqliteLedger(Ledger):
    """The state of one configured registry. ``open_ledger`` creates it.

    Any thread may call it; calls run one after another. After a fork both processes may use it. After an error the next call
    opens the file again.
    """

    def __init__(self, path: Path, *, registry_name: str, location: str, read_only: bool, busy_seconds: float) -> None:
        self._configure(registry_name, location)
        self._file = LedgerConnection(path, read_only=read_only, busy_seconds=busy_seconds, prepare=self._add_registry)
        try:
            self.registry()
        except BaseException:  # the caller has no ledger to close
            self.close()
            raise

    def _configure(self, registry_name: str, location: str) -> None:
        self._configured = escape(registry_name), escape(location)
        self._new_owner_id = os.urandom(8).hex()

    def beside(self, registry_name: str, location: str) -> SqliteLedger:
        """Return the state of another configured registry in the same file, which this one opens and closes."""
        other = object.__new__(SqliteLedger)
        other._configure(registry_name, location)
        other._file = self._file
        self._file.prepare_also(other._add_registry)
        return other

    def __enter__(self) -> SqliteLedger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file for good; every later call raises ``LedgerError``."""
        self._file.close()

    def registry(self) -> RegistryState:
        # In a read-only ledger without this registry, the owner id is a new one that is not stored.
        return self._read(lambda connection: self._registry(connection)[1])

    def registries(self) -> list[RecordedRegistry]:
        """Return all registries of which the file has a record, the one that was swept last first. Raises ``LedgerError``."""
        return self._read(lambda connection: from_rows(RecordedRegistry, connection.execute(_REGISTRIES).fetchall()))

    def load_state(self, ids: Collection[str], now: float) -> LedgerState:
        return self._read(lambda connection: read_states(connection, [self._registry(connection)], [ids], now)[0])

    def longer_ids(self, length: int) -> Collection[str]:
        def ids(connection: sqlite3.Connection) -> Collection[str]:
            registry_id, _ = self._registry(connection)
            found = tables.WORKSPACE.select(connection, registry_id, "AND length(workspace_id) > ?", length)
            # An escaped id is longer.
            return [row.workspace_id for row in found if len(row.workspace_id) > length]

        return self._read(ids)

    def save(self, changes: StateChanges) -> None:
        self._file.check_writable()
        if changes:
            with self._file.writing() as connection:
                write_changes(connection, self._registry(connection)[0], changes)

    def record_deletion(self, workspace_id: str, now: float) -> None:
        with self._file.writing() as connection:
            registry_id = self._record_named(connection, workspace_id, now)
            write_rows(connection, registry_id, tables.DELETION.upsert, [DeletionRow(workspace_id, now)])

    def record_removal(self, workspace_id: str, event: WorkspaceEvent, now: float) -> None:
        with self._file.writing() as connection:
            registry_id, state = self._registry(connection)
            generation = max(1, state.generation)
            known = tables.REMOVAL.select(connection, registry_id, "AND workspace_id = ?", escape(workspace_id))
            if any(one.generation == generation and strongest(one.event, event) is one.event for one in known):
                return
            if event is WorkspaceEvent.REMOVED:
                self._record_named(connection, workspace_id, now)
            write_rows(connection, registry_id, tables.REMOVAL.upsert, [Removal(workspace_id, event, generation, now)])

    def record_named(self, workspace_id: str, now: float) -> None:
        with self._file.writing() as connection:
            self._record_named(connection, workspace_id, now)

    def record_intents(self, intents: Sequence[Intent]) -> None:
        self._file.check_writable()
        if intents:
            with self._file.writing() as connection:
                reaps = (Reap(intent, Outcome.OPEN) for intent in intents)
                write_rows(connection, self._registry(connection)[0], tables.REAP.insert, reaps)

    def record_results(self, outcomes: Sequence[ReapResult]) -> None:
        self._file.check_writable()
        if outcomes:
            with self._file.writing() as connection:
                registry_id = self._registry(connection)[0]
                rows = [(*row[1:], registry_id, row[0]) for row in map(to_row, outcomes)]
                if connection.executemany(_CONCLUDE, rows).rowcount != len(rows):
                    connection.rollback()
                    raise LedgerError(_why_not_recorded(connection, registry_id, outcomes))

    def save_report(self, head: str, sessions: str, *, sweep: str, at: float, complete: bool) -> None:
        with self._file.writing() as connection:
            registry_id = self._registry(connection)[0]
            row = (registry_id, at, at if complete else None, head.encode(), sweep, sessions.encode())
            connection.execute(_SAVE_REPORT, row)

    def touch_report(self, head: str, *, same: str, at: float, complete: bool) -> bool:
        with self._file.writing() as connection:
            row = (at, at if complete else None, head.encode(), self._registry(connection)[0], same)
            return bool(connection.execute(_TOUCH_REPORT, row).rowcount)

    def last_report(self) -> tuple[str, str] | None:
        def read(connection: sqlite3.Connection) -> tuple[str, str] | None:
            row = connection.execute(_LAST_REPORT, (self._registry(connection)[0],)).fetchone()
            return (row[0].decode(), row[1].decode()) if row else None

        return self._read(read)

    def history(self, limit: int) -> list[Reap]:
        return self._select(tables.REAP, "ORDER BY seq DESC LIMIT ?", limit)

    def find(self, reap_id: str) -> Reap | None:
        return next(iter(self._select(tables.REAP, "AND reap_id = ?", escape(reap_id.upper()))), None)

    def events(self, limit: int) -> list[Event]:
        return self._select(tables.EVENT, "ORDER BY id DESC LIMIT ?", limit)

    def events_after(self, number: int | None) -> tuple[int, list[Event]]:
        def read(connection: sqlite3.Connection) -> tuple[int, list[Event]]:
            registry_id = self._registry(connection)[0]
            ((latest,),) = connection.execute(_LATEST_EVENT, (registry_id,)).fetchall()
            if number is None or latest == number:
                return latest, []
            return latest, tables.EVENT.select(connection, registry_id, "AND id > ? ORDER BY id", number)

        return self._read(read)

    def _select(self, table: Table[T], condition: str, parameter: object) -> list[T]:
        return self._read(lambda connection: table.select(connection, self._registry(connection)[0], condition, parameter))

    def _add_registry(self, connection: sqlite3.Connection) -> None:
        if not self._file.read_only and self._registry(connection)[0] == _NO_ROW:
            connection.execute(_ADD_REGISTRY, [*self._configured, *to_row(RegistryState(self._new_owner_id))])

    def _registry(self, connection: sqlite3.Connection) -> tuple[int, RegistryState]:
        rows = connection.execute(_FIND_REGISTRY, self._configured).fetchall()
        if not rows:
            return _NO_ROW, RegistryState(self._new_owner_id)
        (state,) = from_rows(RegistryState, [rows[0][1:]])
        if not _OWNER_ID.fullmatch(state.owner_id):
            raise ValueError(f"{state.owner_id!r} is not an owner id")
        return rows[0][0], state

    def _record_named(self, connection: sqlite3.Connection, workspace_id: str, now: float) -> int:
        registry_id, state = self._registry(connection)
        # Before the first full sweep there is no generation yet: the first is the one that this sweep will find.
        row = SeenWorkspaceRow(workspace_id, named_at=now, named_generation=max(1, state.generation))
        write_rows(connection, registry_id, _NAME, [row])
        return registry_id

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with self._file.reading() as connection:
                return read(connection)
        except (ValueError, KeyError, TypeError) as error:  # raised for rows that this version did not write
            path = shown(self._file.path)
            raise LedgerError(f"The ledger {path} contains invalid data ({error!r}): move the file away.") from error


class SqliteLedgers(Ledgers):
    """The port ``Ledgers`` over several registries in one file. The first ledger is that of ``open_ledger``, and the others are
    ``beside`` it."""

    def __init__(self, ledgers: Sequence[SqliteLedger]) -> None:
        self._ledgers = ledgers
        self._first = ledgers[0]

    def registries(self) -> Sequence[RegistryState]:
        return self._first._read(lambda connection: [state for _, state in self._found(connection)])

    def load_states(self, ids: Sequence[Collection[str]], now: float) -> Sequence[LedgerState]:
        return self._first._read(lambda connection: read_states(connection, self._found(connection), ids, now))

    def together(self) -> AbstractContextManager[None]:
        return self._first._file.together()

    def _found(self, connection: sqlite3.Connection) -> Sequence[tuple[int, RegistryState]]:
        return [ledger._registry(connection) for ledger in self._ledgers]


def _why_not_recorded(connection: sqlite3.Connection, registry_id: int, results: Sequence[ReapResult]) -> str:
    for one in results:
        found = tables.REAP.select(connection, registry_id, "AND reap_id = ?", escape(one.reap_id))
        if not found:
            return f"The outcome of reap {one.reap_id} cannot be recorded: no intent has this id."
        if found[0].outcome is not Outcome.OPEN:
            return f"The outcome of reap {one.reap_id} cannot be recorded: it is already {found[0].outcome.value}."
    return "Cannot record two outcomes of one reap."
