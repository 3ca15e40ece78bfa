"""Watches an SQLite file for commits and reads all its workspaces, without a lock between two calls."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice, takewhile

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.registry.location import DatabaseNotFound, identity
from workspace_reaper.registry.rows import OLDEST, readable
from workspace_reaper.registry.sqlite.connection import is_wal, raw, schema_version, transaction
from workspace_reaper.registry.sqlite.files import DatabaseFiles, Pin, Stamps, change_counter, is_settled, lost_its_log
from workspace_reaper.registry.sqlite.registry import SqliteRegistry
from workspace_reaper.registry.sqlite.scan import ContentReplaced, Scan, read_rows

# Seconds between two looks at the files' sizes and times: 0.1 % of a core when nothing changes.
_STEP = 0.1

# Seconds between two full checks, which also ask SQLite, where sizes and times do not change; and from a failed read to the
# next.
_FULL_CHECK = 0.4

# Seconds between two chunks of a scan, in which the host's busy handler gets its turn.
_PAUSE = 0.001

# A scan is followed by a rest of this many times the CPU time it took: 5 % of a core under constant writing.
_REST = 19

_TRIES = 3


@dataclass(frozen=True, slots=True)
class _LastRead:
    """The state at the last read.

    Attributes:
        location: The identity of the file.
        data_version: The data version of the connection that was kept.
        stamps: The stamps of the files.
        commits: The change counter, which each commit in a rollback mode increases. None in WAL mode, or if it is unknown.
        newest: The ids of the last two rows and the numbers of these, the last one first. Empty if rows have no numbers.
        arrived: The workspaces that the first read did not find, in the order in which later reads did.
        content: All workspaces, and the archived ones.
    """

    location: str
    data_version: int
    stamps: Stamps
    commits: int | None
    newest: tuple[tuple[str, int], ...]
    arrived: tuple[str, ...]
    content: tuple[frozenset[str], frozenset[str]]


class SqliteWatcher:
    """The port ``ChangeWatcher`` over one file.

    An older copy that is written into the same file leaves no certain mark: in WAL mode the change counter hardly moves, and
    in a rollback mode later writes may have raised it again by the next look. But the copy lacks the rows with the highest
    numbers. In a rollback mode a restore is likely if the two newest rows are gone and the number of commits is not that of
    deletions. In WAL mode, or after a read that failed, it is likely if the newest row is gone and the file itself was
    written to.

    A restore cannot be excluded if as many of the rows are gone whose order is unknown because they have no numbers. Nor can
    it if as many of those are gone that appeared last, or if the newest rows have lower numbers than before: a row that the
    host saves with ``REPLACE`` gets the highest number, and an older copy has it with the number that it had.

    In a rollback mode one connection is kept, because ``PRAGMA data_version`` only compares with earlier values of the same
    connection. In WAL mode none is kept: an open connection keeps the host from folding its log into the file when it stops,
    and from leaving that mode. There the files' sizes and times of modification show a commit.
    """

    def __init__(self, registry: SqliteRegistry) -> None:
        self._registry = registry
        self._path = registry.location
        self._files = DatabaseFiles(self._path)
        self._closed = threading.Event()
        # Held by a wait or a read; only close comes from another thread. Reentrant, because an interrupt at the entry of a
        # "with" block can leave it held by this thread.
        self._using = threading.RLock()
        self._pin = Pin()
        self._connection: Connection | None = None
        self._scan: Scan | None = None
        self._last: _LastRead | None = None
        self._failed = True
        self._unchanged: Stamps | None = None  # the files when they were last read or fully checked; None: a write may hide
        self._full_check_at = 0.0
        self._rest_until = 0.0

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._using:
            while not self._closed.is_set():
                now = time.monotonic()
                if now >= self._rest_until and self._has_changed(now):
                    return True
                if now >= deadline:
                    return False
                # Not an event's wait, which would cost as much again as the step.
                time.sleep(min(_STEP, deadline - now))
            return False

    def read(self) -> WorkspaceList | Unknown:
        with self._using:
            result = self._registry.or_unknown(self._read)
            self._failed = isinstance(result, Unknown)
            if self._failed:
                self._disconnect()
                self._rest_until = time.monotonic() + _FULL_CHECK
            return result

    def close(self) -> None:
        self._closed.set()
        with self._using:
            self._disconnect()
            self._pin.release()

    def _has_changed(self, now: float) -> bool:
        last = self._last
        if last is None or self._failed:
            return True
        try:
            stamped = self._files.stamps()
            if stamped == self._unchanged and now < self._full_check_at:
                return False
            self._full_check_at = now + _FULL_CHECK
            if self._connection is None:
                return stamped != self._unchanged or identity(self._path) != last.location
            has_commit = self._has_commit(raw(self._connection), last.data_version)
            if has_commit or identity(self._path) != last.location or self._is_overwritten(stamped, last.stamps):
                return True
            self._unchanged = stamped if is_settled(stamped, time.time()) else None
            return False
        except (SQLAlchemyError, sqlite3.Error, DatabaseNotFound):
            return True  # the read that follows reports the cause

    def _is_overwritten(self, now: Stamps, before: Stamps) -> bool:
        """Return whether the file was written to without a commit, as by a copy with as many commits.

        The connection is closed then: it may show pages of before.
        """
        if now[0] == before[0]:
            return False
        self._disconnect()
        return True

    def _has_commit(self, connection: sqlite3.Connection, data_version: int) -> bool:
        if _data_version(connection) == data_version:
            return False
        if is_wal(connection):
            self._disconnect()  # the host has just changed to it, which is a commit
        return True

    def _read(self) -> WorkspaceList:
        for _ in range(_TRIES):
            try:
                return self._read_all()
            except ContentReplaced:
                continue
        raise DatabaseNotFound("is being replaced again and again: it is read once that ends")

    def _read_all(self) -> WorkspaceList:
        if self._closed.is_set():
            raise DatabaseNotFound("is not read any more: the watcher was closed")
        self._files = DatabaseFiles(self._path)
        location, stamped, began = identity(self._path), self._files.stamps(), time.time()
        connection = self._connected(location)
        sqlite = raw(connection)
        with transaction(sqlite):
            scan = self._prepared(connection)
            cpu = time.thread_time()
            data_version, wal = _data_version(sqlite), is_wal(sqlite)
            found = self._registry.identity_in(connection, location)
            oldest = dict.fromkeys(readable(scan.id_text(value) for (value,) in sqlite.execute(scan.oldest).fetchall()))
        ids, archived = read_rows(sqlite, scan, lambda: self._closed.wait(_PAUSE))
        if identity(self._path) != location:
            raise DatabaseNotFound("was replaced by another file while it was read: the next read uses the new one")
        self._rest_until = time.monotonic() + _REST * (time.thread_time() - cpu)
        if wal:
            self._disconnect()
        commits = None if wal else change_counter(self._path)
        newest = tuple(islice(reversed(ids.items()), 2 * scan.paged))
        last = self._last if self._last is not None and self._last.location == location else None
        arrived = _arrived(last, ids) if last else ()
        read = self._last = _LastRead(location, data_version, stamped, commits, newest, arrived, (frozenset(ids), archived))
        replaced = restored = unclear = None
        if last is not None:
            replaced = _log_was_removed(last, read)
            # Compared with the file as it is now: a copy may have been written after the scan began.
            if self._files.stamps()[0] != last.stamps[0]:
                restored = _looks_restored(last, read, failed=self._failed)
                unclear = _may_be_restored(last, read, ids, failed=self._failed)
        self._unchanged = stamped if is_settled(stamped, began) else None
        found = replace(found, sentinels=tuple(islice(oldest, OLDEST)))
        return WorkspaceList(found, *read.content, replaced, restored, unclear)

    def _connected(self, location: str) -> Connection:
        if self._last is None or self._last.location != location:
            self._disconnect()
            self._pin.hold(self._path)
            self._scan = None
        if self._connection is None:
            self._connection = self._registry.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepared(self, connection: Connection) -> Scan:
        if self._scan is None or self._scan.version != schema_version(raw(connection)):
            read = self._registry.statements_in(connection)
            self._scan = Scan.prepare(connection, read, self._registry.schema.tables[0].name)
        return self._scan


def _log_was_removed(last: _LastRead, now: _LastRead) -> str | None:
    is_lost = lost_its_log(last.stamps, now.stamps)
    return "its write-ahead log was removed, and the commits in it are lost" if is_lost else None


def _arrived(last: _LastRead, ids: Mapping[str, int]) -> tuple[str, ...]:
    """Return the workspaces that appeared since the first read, the last one last."""
    new = ids.keys() - last.content[0]
    return (*(one for one in last.arrived if one in ids), *(one for one in ids if one in new))


def _looks_restored(last: _LastRead, now: _LastRead, *, failed: bool) -> str | None:
    """Return why an older copy may have been written into the file between these reads, or None. ``failed``: another read
    between them failed."""
    lost = _leading(one not in now.content[0] for one, _ in last.newest)
    if not _is_likely(lost, last, now, failed=failed):
        return None
    return "the newest rows are gone, as if an older copy had been put in its place"


def _may_be_restored(last: _LastRead, now: _LastRead, ids: Mapping[str, int], *, failed: bool) -> str | None:
    """Return why that cannot be excluded, or None. ``ids`` are those of the present read, with the numbers of their rows."""
    missing = last.content[0] - now.content[0]
    if last.newest:
        moved = _leading(one in missing or ids[one] < number for one, number in last.newest)
        lost = max(moved, _leading(one in missing for one in reversed(last.arrived)))
    else:
        lost = len(missing)
    if not missing or not _is_likely(lost, last, now, failed=failed):
        return None
    return "an older copy may have been put in its place, and the numbers of its rows do not exclude it"


def _leading(conditions: Iterable[bool]) -> int:
    """Return how many of them hold before the first one that does not."""
    return sum(1 for _ in takewhile(bool, conditions))


def _is_likely(lost: int, last: _LastRead, now: _LastRead, *, failed: bool) -> bool:
    """Return whether a restore is likely where ``lost`` of the newest rows are gone and the file itself was written to."""
    # In WAL mode, where the commits are unknown, one writes to the log. The file itself is written to when the log is folded
    # into it, or by a copy.
    if failed or last.commits is None or now.commits is None:
        return lost >= 1
    return lost >= 2 and not _are_deletions(last, now, now.commits - last.commits)


def _are_deletions(last: _LastRead, now: _LastRead, commits: int) -> bool:
    """Return whether the number of commits is that of deletions: one for all, or one for each and no other change."""
    changed = bool(now.content[0] - last.content[0]) or now.content[1] != (last.content[1] & now.content[0])
    return commits == 1 or (commits == len(last.content[0] - now.content[0]) and not changed)


def _data_version(connection: sqlite3.Connection) -> int:
    """Return a number that differs from the last one of this connection if another one has committed."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version
