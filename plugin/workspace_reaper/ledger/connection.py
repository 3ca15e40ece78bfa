"""One connection to the ledger's file, its transactions, and its behaviour when the process forks."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workspace_reaper.ledger.errors import ERRORS, ledger_error, shown
from workspace_reaper.ledger.file import FileIdentity, file_identity, open_for_reading, open_for_writing
from workspace_reaper.model.errors import LedgerError

# How long to wait for a lock that another process holds.
BUSY_SECONDS = 5.0

_connections: weakref.WeakSet[LedgerConnection] = weakref.WeakSet()
# Connections of a parent process. Closing them here could remove the WAL that it uses, so they are never closed.
_inherited: list[sqlite3.Connection] = []


class LedgerConnection:
    """The file, kept open. Any thread may use it; one transaction runs at a time.

    The next transaction opens the file again after an error, after a fork, and when another file has replaced it.

    Args:
        path: The file, an absolute path.
        read_only: Whether nothing may be created or written.
        busy_seconds: How long to wait for a lock that another process holds.
        prepare: Called with each new connection, which is in autocommit mode.
    """

    def __init__(
        self, path: Path, *, read_only: bool, busy_seconds: float, prepare: Callable[[sqlite3.Connection], None]
    ) -> None:
        self.path = path
        self.read_only = read_only
        self._busy_seconds = busy_seconds
        self._preparations = [prepare]
        self._lock = threading.Lock()
        self._forking_thread: int | None = None
        self._joining_thread: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._identity: FileIdentity | None = None
        self._pid = 0
        self._closed = False
        _connections.add(self)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold a transaction in which all reads see one state of the file. It does not wait for writers."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold a transaction that is committed as a whole or not at all. Raises ``LedgerError`` if this is read-only."""
        self.check_writable()
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def check_writable(self) -> None:
        """Raise ``LedgerError`` if this is read-only."""
        if self.read_only:
            raise LedgerError(f"The ledger {shown(self.path)} is open for reading only: nothing can be written.")

    def close(self) -> None:
        """Close the file for good. Safe to call twice."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def prepare_also(self, prepare: Iterable[Callable[[sqlite3.Connection], None]]) -> None:
        """Call these with each new connection too. The next transaction has one."""
        with self._lock:
            self._preparations.extend(prepare)
            self._disconnect()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make one transaction of all that this thread reads and writes in the block. Other threads wait for its end."""
        with self._lock:
            self._joining_thread = threading.get_ident()
            try:
                try:
                    yield
                    self._end(sqlite3.Connection.commit)
                except BaseException:
                    self._end(sqlite3.Connection.rollback)
                    raise
            except ERRORS as error:
                self._disconnect()
                raise ledger_error(self.path, error) from error
            finally:
                self._joining_thread = None

    def _end(self, how: Callable[[sqlite3.Connection], None]) -> None:
        if self._connection is not None and self._connection.in_transaction:
            how(self._connection)

    @contextmanager
    def _joined(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        if connection is None or not connection.in_transaction:
            connection = self._connect()
            connection.execute("BEGIN" if self.read_only else "BEGIN IMMEDIATE")
        yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        if self._joining_thread == threading.get_ident():
            with self._joined() as connection:
                yield connection
            return
        with self._lock:
            try:
                connection = self._connect()
                connection.execute(begin)
                try:
                    yield connection
                    connection.commit()
                except BaseException:  # Ctrl-C too must leave no open transaction
                    connection.rollback()
                    raise
            except ERRORS as error:
                self._disconnect()
                raise ledger_error(self.path, error) from error

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise LedgerError(f"The ledger {shown(self.path)} is closed.")
        if self._pid != os.getpid():
            self._abandon()
        if self._connection is not None and file_identity(self.path) == self._identity:
            return self._connection
        self._disconnect()
        connection = (open_for_reading if self.read_only else open_for_writing)(self.path, self._busy_seconds)
        try:
            for prepare in self._preparations:
                prepare(connection)
            self._identity = file_identity(self.path)
        except BaseException:  # nothing else has the connection yet
            connection.close()
            raise
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _abandon(self) -> None:
        """Drop a connection that the parent process opened, without closing it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _inherited.append(connection)
        self._pid = os.getpid()

    # SQLite keeps its locks in a table inside the process, and a forked child inherits the table without the locks. So a
    # connection that the child opens while it has an inherited one holds no lock at all, and the parent removes the WAL that
    # the child uses when it closes: a committed row of the child was lost that way (seen with SQLite 3.40.1). Hence no
    # connection is open while the process forks. A fork that bypasses Python is detected by the pid, which is all that can be
    # done then.

    def before_fork(self) -> None:
        """Wait for the transaction of another thread, and close."""
        if self._lock.acquire(timeout=self._busy_seconds + 1):
            self._forking_thread = threading.get_ident()
            self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Release the lock; the next transaction opens the file again."""
        if self._forking_thread == threading.get_ident():
            self._forking_thread = None
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Replace the lock: a thread that does not exist here may hold it."""
        self._forking_thread = self._joining_thread = None
        self._lock = threading.Lock()
        self._abandon()


def _each(step: Callable[[LedgerConnection], None]) -> Callable[[], None]:
    def run() -> None:
        for connection in list(_connections):
            step(connection)

    return run


os.register_at_fork(
    before=_each(LedgerConnection.before_fork),
    after_in_parent=_each(LedgerConnection.after_fork_in_parent),
    after_in_child=_each(LedgerConnection.after_fork_in_child),
)
