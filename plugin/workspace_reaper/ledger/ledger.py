"""The ledger: the port ``Ledger`` over one SQLite file."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

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
from workspace_reaper.model.ports import Ledger
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

_EVERY_REGISTRY = " ".join(("SELECT configured_name, configured_location, id,", ", ".join(REGISTRY_COLUMNS), "FROM registry"))
_FIND_REGISTRY = f"{_EVERY_REGISTRY} WHERE configured_name = ? AND configured_location = ?"
_FIND_NUMBER = "SELECT id FROM registry WHERE configured_name = ? AND configured_location = ?"
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
_LATEST_OF_ALL = "SELECT coalesce(max(id), 0) FROM event"
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

    def beside(self, registries: Sequence[tuple[str, str]]) -> list[SqliteLedger]:
        """Return the states of other configured registries in the same file, which this one opens and closes.

        ``registries`` are their names and locations. Raises ``LedgerError``.
        """
        others = []
        for name, location in registries:
            other = object.__new__(SqliteLedger)
            other._configure(name, location)
            other._file = self._file
            others.append(other)
        if others:
            self._file.prepare_also([other._add_registry for other in others])
        return others

    def read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``read`` reads in one transaction. Raises ``LedgerError``."""
        try:
            with self._file.reading() as connection:
                return read(connection)
        except (ValueError, KeyError, TypeError) as error:  # raised for rows that this version did not write
            path = shown(self._file.path)
            raise LedgerError(f"The ledger {path} contains invalid data ({error!r}): move the file away.") from error

    def found(self, connection: sqlite3.Connection) -> tuple[int, RegistryState]:
        """Return the number and the state of the registry in the file."""
        return self.found_in(registries_in(connection.execute(_FIND_REGISTRY, self._configured)))

    def found_in(self, registries: Mapping[tuple[str, str], tuple[int, RegistryState]]) -> tuple[int, RegistryState]:
        """Return the same from those that were read (see ``registries_in``)."""
        # In a read-only ledger without this registry, the owner id is a new one that is not stored.
        return registries.get(self._configured) or (_NO_ROW, RegistryState(self._new_owner_id))

    def _number(self, connection: sqlite3.Connection) -> int:
        """Return the number of the registry in the file, which has it since it was opened for writing."""
        number: int = connection.execute(_FIND_NUMBER, self._configured).fetchone()[0]
        return number

    def together(self) -> AbstractContextManager[None]:
        """All that is written to the file in the block, for any registry, is committed together, or not at all."""
        return self._file.together()

    def latest_event(self) -> int:
        """Return the number of the latest event of any registry."""
        latest: int = self.read(lambda connection: connection.execute(_LATEST_OF_ALL).fetchone()[0])
        return latest

    def __enter__(self) -> SqliteLedger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file for good; every later call raises ``LedgerError``."""
        self._file.close()

    def registry(self) -> RegistryState:
        return self.read(lambda connection: self.found(connection)[1])

    def registries(self) -> list[RecordedRegistry]:
        """Return all registries of which the file has a record, the one that was swept last first. Raises ``LedgerError``."""
        return self.read(lambda connection: from_rows(RecordedRegistry, connection.execute(_REGISTRIES).fetchall()))

    def load_state(self, ids: Collection[str], now: float) -> LedgerState:
        return self.read(lambda connection: read_states(connection, [self.found(connection)], [ids], now)[0])

    def longer_ids(self, length: int) -> Collection[str]:
        def ids(connection: sqlite3.Connection) -> Collection[str]:
            registry_id, _ = self.found(connection)
            found = tables.WORKSPACE.select(connection, registry_id, "AND length(workspace_id) > ?", length)
            # An escaped id is longer.
            return [row.workspace_id for row in found if len(row.workspace_id) > length]

        return self.read(ids)

    def save(self, changes: StateChanges) -> None:
        self._file.check_writable()
        if changes:
            with self._file.writing() as connection:
                write_changes(connection, self._number(connection), changes)

    def record_deletion(self, workspace_id: str, now: float) -> None:
        with self._file.writing() as connection:
            registry_id = self._record_named(connection, workspace_id, now)
            write_rows(connection, registry_id, tables.DELETION.upsert, [DeletionRow(workspace_id, now)])

    def record_removal(self, workspace_id: str, event: WorkspaceEvent, now: float) -> None:
        with self._file.writing() as connection:
            registry_id, state = self.found(connection)
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
                write_rows(connection, self._number(connection), tables.REAP.insert, reaps)

    def record_results(self, outcomes: Sequence[ReapResult]) -> None:
        self._file.check_writable()
        if outcomes:
            with self._file.writing() as connection:
                registry_id = self._number(connection)
                rows = [(*row[1:], registry_id, row[0]) for row in map(to_row, outcomes)]
                if connection.executemany(_CONCLUDE, rows).rowcount != len(rows):
                    connection.rollback()
                    raise LedgerError(_why_not_recorded(connection, registry_id, outcomes))

    def save_report(self, head: str, sessions: str, *, sweep: str, at: float, complete: bool) -> None:
        with self._file.writing() as connection:
            registry_id = self._number(connection)
            row = (registry_id, at, at if complete else None, head.encode(), sweep, sessions.encode())
            connection.execute(_SAVE_REPORT, row)

    def touch_report(self, head: str, *, same: str, at: float, complete: bool) -> bool:
        with self._file.writing() as connection:
            row = (at, at if complete else None, head.encode(), self._number(connection), same)
            return bool(connection.execute(_TOUCH_REPORT, row).rowcount)

    def last_report(self) -> tuple[str, str] | None:
        def read(connection: sqlite3.Connection) -> tuple[str, str] | None:
            row = connection.execute(_LAST_REPORT, (self.found(connection)[0],)).fetchone()
            return (row[0].decode(), row[1].decode()) if row else None

        return self.read(read)

    def history(self, limit: int) -> list[Reap]:
        return self._select(tables.REAP, "ORDER BY seq DESC LIMIT ?", limit)

    def find(self, reap_id: str) -> Reap | None:
        return next(iter(self._select(tables.REAP, "AND reap_id = ?", escape(reap_id.upper()))), None)

    def events(self, limit: int) -> list[Event]:
        return self._select(tables.EVENT, "ORDER BY id DESC LIMIT ?", limit)

    def events_after(self, number: int | None) -> tuple[int, list[Event]]:
        def read(connection: sqlite3.Connection) -> tuple[int, list[Event]]:
            registry_id = self.found(connection)[0]
            ((latest,),) = connection.execute(_LATEST_EVENT, (registry_id,)).fetchall()
            if number is None or latest == number:
                return latest, []
            return latest, tables.EVENT.select(connection, registry_id, "AND id > ? ORDER BY id", number)

        return self.read(read)

    def _select(self, table: Table[T], condition: str, parameter: object) -> list[T]:
        return self.read(lambda connection: table.select(connection, self.found(connection)[0], condition, parameter))

    def _add_registry(self, connection: sqlite3.Connection) -> None:
        if not self._file.read_only and self.found(connection)[0] == _NO_ROW:
            connection.execute(_ADD_REGISTRY, [*self._configured, *to_row(RegistryState(self._new_owner_id))])

    def _record_named(self, connection: sqlite3.Connection, workspace_id: str, now: float) -> int:
        registry_id, state = self.found(connection)
        # Before the first full sweep there is no generation yet: the first is the one that this sweep will find.
        row = SeenWorkspaceRow(workspace_id, named_at=now, named_generation=max(1, state.generation))
        write_rows(connection, registry_id, _NAME, [row])
        return registry_id


def every_registry(connection: sqlite3.Connection) -> Mapping[tuple[str, str], tuple[int, RegistryState]]:
    """Return all registries of the file by their configured name and location, with their numbers."""
    return registries_in(connection.execute(_EVERY_REGISTRY))


def registries_in(rows: Iterable[Sequence[Any]]) -> Mapping[tuple[str, str], tuple[int, RegistryState]]:
    """Return the registries in these rows by their configured name and location, with their numbers."""
    found = list(rows)
    states = from_rows(RegistryState, [row[3:] for row in found])
    for state in states:
        if not _OWNER_ID.fullmatch(state.owner_id):
            raise ValueError(f"{state.owner_id!r} is not an owner id")
    return {(row[0], row[1]): (row[2], state) for row, state in zip(found, states, strict=True)}


def _why_not_recorded(connection: sqlite3.Connection, registry_id: int, results: Sequence[ReapResult]) -> str:
    for one in results:
        found = tables.REAP.select(connection, registry_id, "AND reap_id = ?", escape(one.reap_id))
        if not found:
            return f"The outcome of reap {one.reap_id} cannot be recorded: no intent has this id."
        if found[0].outcome is not Outcome.OPEN:
            return f"The outcome of reap {one.reap_id} cannot be recorded: it is already {found[0].outcome.value}."
    return "Cannot record two outcomes of one reap."
