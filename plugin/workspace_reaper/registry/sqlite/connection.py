"""Read-only connections to an SQLite file, and what SQLite itself reports about it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from urllib.parse import quote

from sqlalchemy.engine import Connection


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
    if sys.version_info >= (3, 12):
        # Otherwise SQLite takes a quoted name of no column for a text. `strict` does the same for expressions in every version.
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DQS_DML, False)
    return connection


def raw(connection: Connection) -> sqlite3.Connection:
    """Return the underlying connection of sqlite3: SQLAlchemy's rows take three times as long."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Read one state of the database. In ``journal_mode=DELETE`` the host cannot commit until the block ends."""
    connection.execute("BEGIN")
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
