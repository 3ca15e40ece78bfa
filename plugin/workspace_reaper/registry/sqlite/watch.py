"""Notices commits to an SQLite file, and takes a census of it, without ever holding a lock between two calls."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, cast
from urllib.parse import quote

from sqlalchemy import ColumnElement, Executable, Select, create_engine, literal_column
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import RegistryIdentity, WorkspaceList
from workspace_reaper.registry.location import DatabaseNotFound, identity
from workspace_reaper.registry.queries import OLDEST, Statements, flag
from workspace_reaper.registry.schema import Schema
from workspace_reaper.registry.sqlite.feed import FileEvents
from workspace_reaper.registry.sqlite.files import Pin, Stamps, change_counter, lost_its_log, stamps
from workspace_reaper.registry.sqlite.registry import SqliteRegistry, statements_in

__all__ = ["SqliteWatcher"]

_POLL = 0.4
"""Seconds between two looks at the database where no event tells of a commit."""

_CHUNK = 2_000
"""Rows that are read in one transaction: about a millisecond, for which a commit may have to wait."""

_PAUSE = 0.001
"""Seconds between two of these, in which the host's busy handler gets its turn."""

_REST = 19
"""A scan is followed by a rest so many times as long as the CPU time it took: 5 % of a core under constant writing."""

_TICK = 0.05
"""Seconds in which two writes may get the same time of modification. The kernel's clock moves every 1 to 10 ms."""

_TRIES = 3


class _Anew(Exception):
    """The content was put there as a whole between two chunks, so that the rows may have other numbers."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The statements in SQLite's own words, for one version of the schema, and what makes an id's text of its value.
    ``paged`` False: there are no row numbers by which to go on, and the first chunk is all."""

    version: int
    chunk: str
    paged: bool
    oldest: str
    text: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class _LastRead:
    """What the last read saw. Whether there was a commit since is told by ``version`` of the connection that was kept, or by
    the ``stamps`` of the files where none is; not ``settled``: another write may leave these as they are. ``newest``: the ids
    of the last two rows, the last one first; none where rows have no number."""

    place: str
    version: int
    stamps: Stamps
    settled: bool
    newest: tuple[str, ...]


class SqliteWatcher:
    """The port ``ChangeWatcher`` over one file.

    An older copy that is written into the same file leaves no certain mark: the change counter hardly moves in WAL mode, and in
    a rollback mode the writes that follow may have made up for it by the next look. But what it lacks are the rows with the
    highest numbers. So the epoch changes where the file was written to and the newest row is gone; in a rollback mode, where
    each commit writes to the file, only if the two newest are, or the look before failed. What is taken for it: that the
    newest workspace is deleted and the log folded into the file, or the two newest are deleted, between two looks. What is
    not found out: in a rollback mode a copy that lacks one workspace, if as many writes follow before the next look as there
    were since it was made; and one of a table whose rows have no numbers, or none that grow.

    In a rollback mode it keeps a connection, for ``PRAGMA data_version`` means something only to one that stays. In WAL mode
    it does not: a connection that is open keeps the host from folding its log back into the file when it stops, and from
    leaving that mode. There the files' sizes and times of modification tell.
    """

    def __init__(self, schema: Schema, path: str, *, busy_limit: float) -> None:
        """``path`` is absolute; ``busy_limit`` is in seconds."""
        self._schema = schema
        self._path = path
        self._busy_limit = busy_limit
        self._registry = SqliteRegistry(schema, path, busy_limit=busy_limit)
        self._engine = create_engine("sqlite://", creator=self._open, poolclass=NullPool)
        self._closed = threading.Event()
        self._using = threading.Lock()  # by a wait or a read; only close comes from another thread
        self._events = FileEvents(self._closed)
        self._pin = Pin()
        self._connection: Connection | None = None
        self._plan: _Plan | None = None
        self._texts: dict[Any, str] = {}
        self._seen: _LastRead | None = None
        self._failed = True
        self._lost_logs = 0
        self._set_back = 0
        self._rest_until = 0.0

    def wait(self, timeout: float) -> bool:
        """See the port. After a read that was Unknown it is True in half a second, whatever happens."""
        deadline = time.monotonic() + timeout
        heard = False
        with self._using:
            while not self._closed.is_set():
                now = time.monotonic()
                resting = self._rest_until - now
                if resting <= 0 and self._has_changed(heard):
                    return True
                if now >= deadline:
                    return False
                if resting > 0:
                    self._closed.wait(min(resting, deadline - now))
                else:
                    heard = self._events.wait({self._path, os.path.realpath(self._path)}, min(_POLL, deadline - now))
            return False

    def read(self) -> WorkspaceList | Unknown:
        """See the port. Rows are read a few thousand at a time, so that a census of more is of no single moment."""
        with self._using:
            answer = self._registry.or_unknown(self._read)
            self._failed = isinstance(answer, Unknown)
            if self._failed:
                self._disconnect()
                self._rest_until = time.monotonic() + _POLL
            return answer

    def close(self) -> None:
        """See the port. A read that is on ends with its chunk."""
        self._closed.set()
        with self._using:
            self._disconnect()
            self._events.close()
            self._pin.release()

    # Whether anything has changed

    def _has_changed(self, heard: bool) -> bool:
        seen = self._seen
        if seen is None or self._failed:
            return True
        try:
            if identity(self._path) != seen.place:
                return True
            if self._connection is None:
                return heard or not seen.settled or stamps(self._path) != seen.stamps
            raw = _raw(self._connection)
            changed: bool = raw.execute("PRAGMA data_version").fetchone()[0] != seen.version
            if raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                self._disconnect()  # the host has just begun with it
                return True
            return changed
        except (SQLAlchemyError, sqlite3.Error, DatabaseNotFound):
            return True  # the read that follows says what it is

    # Reading

    def _open(self) -> sqlite3.Connection:
        # Not bound to its thread: another one may close it.
        uri = f"file://{quote(os.fsencode(self._path))}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=self._busy_limit, isolation_level=None, check_same_thread=False)

    def _read(self) -> WorkspaceList:
        for _ in range(_TRIES):
            try:
                return self._scan()
            except _Anew:
                continue
        raise DatabaseNotFound("is put there anew again and again: it is read once that ends")

    def _scan(self) -> WorkspaceList:
        if self._closed.is_set():
            raise DatabaseNotFound("is not read any more: the reader was closed")
        place, stamped, began = identity(self._path), stamps(self._path), time.time()
        connection = self._connected(place)
        raw = _raw(connection)
        with _transaction(raw):
            plan = self._planned(connection)
            cpu = time.thread_time()
            version = raw.execute("PRAGMA data_version").fetchone()[0]
            wal = raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            counter = self._change_counter(raw)
            oldest = dict.fromkeys(plan.text(value) for (value,) in raw.execute(plan.oldest).fetchall())
        workspaces, archived = self._rows(raw, plan)
        if identity(self._path) != place:
            raise DatabaseNotFound("was replaced by another file while it was read: the next look reads the new one")
        now = time.monotonic()
        self._rest_until = now + _REST * (time.thread_time() - cpu)
        if wal:
            self._disconnect()
        if self._seen is not None and self._seen.place == place:
            self._lost_logs += lost_its_log(self._seen.stamps, stamped)
            if stamps(self._path)[0] != self._seen.stamps[0]:  # by the end of the scan, lest it happened after its beginning
                missing = sum(1 for _ in takewhile(lambda one: one not in workspaces, self._seen.newest))
                self._set_back += missing >= (1 if wal or self._failed else 2)
        settled = all(abs(began - stamp.modified / 1e9) > _TICK for stamp in stamped if stamp)
        self._seen = _LastRead(place, version, stamped, settled, tuple(islice(reversed(self._texts.values()), 2 * plan.paged)))
        found = RegistryIdentity(
            location=place,
            schema=self._schema.identity,
            schema_version=f"schema version {plan.version}, {self._lost_logs} logs lost, {self._set_back} times set back",
            change_counter=counter,
            sentinels=tuple(islice(oldest, OLDEST)),
        )
        return WorkspaceList(found, workspaces, archived)

    def _connected(self, place: str) -> Connection:
        if self._seen is None or self._seen.place != place:
            self._disconnect()
            self._pin.hold(self._path)
            self._plan = None
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _planned(self, connection: Connection) -> _Plan:
        version = _schema_version(_raw(connection))
        if self._plan is None or self._plan.version != version:
            cache: dict[tuple[frozenset[str], bool], Statements] = {}
            read = statements_in(connection, self._schema, cache)
            ((absent, by_rowid),) = cache
            paged = by_rowid and _is_table(_raw(connection), self._schema.tables[0].name)
            census = cast("Select[Any]", read.census)
            row: ColumnElement[Any] = literal_column("rowid" if paged else "NULL")
            chunk = census.add_columns(row)
            if paged:
                chunk = chunk.where(row > literal_column(":after")).order_by(row).limit(_CHUNK)
            dialect = self._engine.dialect
            text = self._schema.facts(absent).id.type.dialect_impl(dialect).result_processor(dialect, None)
            self._texts = {}
            self._plan = _Plan(
                version, self._sql(chunk), paged, self._sql(read.oldest), cast("Callable[[Any], str]", text or _as_it_is)
            )
        return self._plan

    def _sql(self, statement: Executable) -> str:
        # For sqlite3 itself: SQLAlchemy's rows cost three times as much.
        compiled = cast("Select[Any]", statement).compile(dialect=self._engine.dialect, compile_kwargs={"literal_binds": True})
        return str(compiled)

    def _change_counter(self, raw: sqlite3.Connection) -> int | None:
        """The change counter, and then the size in pages, which only a vacuum makes smaller: the counter hardly moves in WAL
        mode."""
        counter = change_counter(self._path)
        if counter is None:
            return None
        shrinks = raw.execute("PRAGMA auto_vacuum").fetchone()[0] != 0
        return counter << 32 | (0 if shrinks else raw.execute("PRAGMA page_count").fetchone()[0])

    def _rows(self, raw: sqlite3.Connection, plan: _Plan) -> tuple[frozenset[str], frozenset[str]]:
        """The ids of all workspaces, and of the archived ones."""
        texts: dict[Any, str] = {}
        archived: set[str] = set()
        after = -(2**63)
        while True:
            with _transaction(raw):
                if _schema_version(raw) != plan.version:
                    raise _Anew
                rows = raw.execute(plan.chunk, {"after": after}).fetchall()
            for value, is_archived, after in rows:  # noqa: B007 - the last row's number is where the next chunk begins
                text = texts[value] = self._texts.get(value) or plan.text(value)
                # Not zero alone: what is neither 0 nor 1 is an error.
                if is_archived != 0 and flag(is_archived, "archived", text):
                    archived.add(text)
            if len(rows) < _CHUNK or not plan.paged:
                self._texts = texts
                return frozenset(texts.values()), frozenset(archived)
            if self._closed.wait(_PAUSE):
                raise DatabaseNotFound("is not read any more: the reader was closed")


def _raw(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


@contextmanager
def _transaction(raw: sqlite3.Connection) -> Iterator[None]:
    """One moment of the database. In journal_mode=DELETE it keeps the host from committing."""
    raw.execute("BEGIN")
    try:
        yield
    finally:
        raw.rollback()


def _schema_version(raw: sqlite3.Connection) -> int:
    """It is raised by a change of the tables, by VACUUM and by the backup API, and by nothing else."""
    version: int = raw.execute("PRAGMA schema_version").fetchone()[0]
    return version


def _is_table(raw: sqlite3.Connection, name: str) -> bool:
    """Whether it is no view: some versions of SQLite give each row of one the number NULL."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE"
    return raw.execute(query, (name,)).fetchone() is not None


def _as_it_is(value: Any) -> Any:
    return value
