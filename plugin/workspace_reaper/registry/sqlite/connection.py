"""Read-only connections to an SQLite file, and what SQLite itself reports about it."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast
from urllib.parse import quote

from sqlalchemy.engine import Connection

from workspace_reaper.registry.sqlite.files import change_counter

# Seconds between two attempts to take the lock.
_RETRY = 0.001


def open_readonly(path: str, busy_limit: float) -> sqlite3.Connection:
    """Return a connection to the file at ``path`` that cannot write and waits at most ``busy_limit`` seconds for a lock.

    It may be closed by another thread than the one that opened it.
    """
    # The path is quoted: otherwise "?", "#" or "%" in it would name, and create, another file.
    # isolation_level None: the caller begins transactions. Otherwise each statement would read in a transaction of its own.
    connection = sqlite3.connect(
        f"file://{quote(os.fsencode(path))}?mode=ro",
        uri=True,
        timeout=busy_limit,
        isolation_level=None,
        check_same_thread=False,
    )
    # One text that is not UTF-8 must not make every row unreadable. A path of Linux may be any bytes.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    if sys.version_info >= (3, 12):
        # Otherwise SQLite takes a quoted name of no column for a text. `strict` does the same for expressions in every version.
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DQS_DML, False)
    return connection


def raw(connection: Connection) -> sqlite3.Connection:
    """Return the underlying connection of sqlite3: SQLAlchemy's rows take three times as long."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def begin(connection: sqlite3.Connection) -> None:
    """Begin a transaction, and take its lock for reading. It waits for the lock as long as the connection's limit says.

    Raises:
        sqlite3.OperationalError: The database is still locked after that time, or cannot be read.
    """
    limit = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    until = time.monotonic() + limit / 1000
    connection.execute("BEGIN")
    # SQLite's own handler sleeps for up to 100 ms between two tries: it would miss the moments between the commits of a host
    # that writes all the time.
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while not _has_lock(connection, until):
            time.sleep(_RETRY)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {limit}")


def _has_lock(connection: sqlite3.Connection, until: float) -> bool:
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error) or time.monotonic() >= until:
            raise
        return False
    return True


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Read one state of the database. In ``journal_mode=DELETE`` the host cannot commit until the block ends."""
    begin(connection)
    try:
        yield
    finally:
        connection.rollback()


def schema_version(connection: sqlite3.Connection) -> int:
    """Return a number that grows when tables change, with VACUUM and with the backup API, and at no other time."""
    version: int = connection.execute("PRAGMA schema_version").fetchone()[0]
    return version


def is_wal(connection: sqlite3.Connection) -> bool:
    """Return whether the database is in WAL mode."""
    return bool(connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal")


def is_table(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether this is a table and not a view. In some versions of SQLite each row of a view has the number NULL."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE"
    return connection.execute(query, (name,)).fetchone() is not None


def count_of_changes(connection: sqlite3.Connection, path: str) -> int | None:
    """Return the change counter, followed by the size in pages, which only a vacuum reduces: in WAL mode the counter hardly
    moves. None if the counter cannot be read."""
    counter = change_counter(path)
    if counter is None:
        return None
    shrinks = connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 0
    return counter << 32 | (0 if shrinks else connection.execute("PRAGMA page_count").fetchone()[0])
