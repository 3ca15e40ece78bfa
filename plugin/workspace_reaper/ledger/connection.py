"""One connection to the ledger's file, its transactions, and what a fork does to it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import Connection, create_engine
from sqlalchemy.pool import NullPool

from workspace_reaper.ledger.errors import FAULTS, fault, shown
from workspace_reaper.ledger.file import Identity, identity, open_for_reading, open_for_writing
from workspace_reaper.model.errors import LedgerError

__all__ = ["BUSY_SECONDS", "LedgerConnection"]

BUSY_SECONDS = 5.0
"""How long to wait for a lock that another process holds."""

_stores: weakref.WeakSet[LedgerConnection] = weakref.WeakSet()
_inherited: list[Connection] = []
"""Connections of a parent process. Closing them here could remove the WAL under it: they are kept for ever instead."""


class LedgerConnection:
    """The file, kept open. Any thread may use it; one transaction at a time.

    ``prepare`` is called with each new connection. After an error, after a fork, and when another file has taken the
    place of ours, the next transaction opens anew.
    """

    def __init__(self, path: Path, *, read_only: bool, busy_seconds: float, prepare: Callable[[Connection], None]) -> None:
        self.path = path
        self.read_only = read_only
        self._busy_seconds = busy_seconds
        self._prepare = prepare
        self._lock = threading.Lock()
        self._forking_thread: int | None = None
        self._connection: Connection | None = None
        self._identity: Identity | None = None
        self._pid = 0
        self._closed = False
        opener = open_for_reading if read_only else open_for_writing
        self._engine = create_engine("sqlite://", creator=lambda: opener(path, busy_seconds), poolclass=NullPool)
        _stores.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """All reads in it see one state of the file. It waits for no writer."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """All or nothing is written. Raises ``LedgerError`` if this store is read-only."""
        self.check_writable()
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def check_writable(self) -> None:
        """Raise ``LedgerError`` if this store is read-only."""
        if self.read_only:
            raise LedgerError(f"The ledger {shown(self.path)} is open for reading only: nothing can be written.")

    def close(self) -> None:
        """Close the file for good. Safe to call twice."""
        with self._lock:
            self._closed = True
            self._disconnect()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with self._lock:
            try:
                connection = self._connect()
                connection.exec_driver_sql(begin)
                try:
                    yield connection
                    connection.commit()
                except BaseException:
                    connection.rollback()
                    raise
            except FAULTS as error:
                self._disconnect()
                raise fault(self.path, error) from error

    def _connect(self) -> Connection:
        if self._closed:
            raise LedgerError(f"The ledger {shown(self.path)} is closed.")
        if self._pid != os.getpid():
            self._abandon()
        there = identity(self.path)
        if self._connection is not None and there == self._identity:
            return self._connection
        self._disconnect()
        connection = self._engine.connect()
        try:
            self._prepare(connection)
            self._identity = identity(self.path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _abandon(self) -> None:
        """Let go of a connection that the parent process opened, without closing it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _inherited.append(connection)
        self._pid = os.getpid()

    # SQLite keeps its locks in a table inside the process, and a forked child inherits the table without the locks. So a
    # connection that the child opens beside an inherited one holds no lock at all, and the parent removes the WAL under
    # it when it closes: a committed row of the child was lost that way (seen with SQLite 3.40.1). Hence no connection is
    # open while the process forks. A fork past Python's own is caught by its pid, which is all that can be done then.

    def before_fork(self) -> None:
        """Wait for the transaction that runs in another thread, and close."""
        if self._lock.acquire(timeout=self._busy_seconds + 1):
            self._forking_thread = threading.get_ident()
            self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Go on; the next transaction opens anew."""
        if self._forking_thread == threading.get_ident():
            self._forking_thread = None
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start afresh: the lock may be held by a thread that does not exist here."""
        self._forking_thread = None
        self._lock = threading.Lock()
        self._abandon()


def _each(step: Callable[[LedgerConnection], None]) -> Callable[[], None]:
    def run() -> None:
        for store in list(_stores):
            step(store)

    return run


os.register_at_fork(
    before=_each(LedgerConnection.before_fork),
    after_in_parent=_each(LedgerConnection.after_fork_in_parent),
    after_in_child=_each(LedgerConnection.after_fork_in_child),
)
