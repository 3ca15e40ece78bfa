"""The file of the ledger: create, open and migrate it."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from workspace_reaper.ledger import migrations
from workspace_reaper.ledger.errors import shown
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.util.files import create_private_file, make_private
from workspace_reaper.util.permissions import check_permissions

# Device and inode.
FileIdentity = tuple[int, int]

_creating = threading.Lock()


def file_identity(path: Path) -> FileIdentity | None:
    """Return which file is there now, or None if there is none. Raises ``OSError`` if that is unknown."""
    try:
        status = os.stat(path)  # noqa: PTH116  called for each transaction, at half the cost of Path.stat
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def open_for_writing(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Return a connection in WAL mode and in autocommit mode. Creates and migrates the file where needed."""
    refuse_unsafe("state directory", path.parent)
    _create(path)
    refuse_unsafe("ledger", path)
    connection = _connect(path, "rw", busy_seconds)
    try:
        migrations.version_of(connection, shown(path))  # before anything is written: a foreign file stays as it is
        _use_wal(connection, busy_seconds)
        # A commit survives the end of this process, but not a power failure: no tmux session survives that either.
        connection.execute("PRAGMA synchronous = NORMAL")
        migrations.migrate(connection, shown(path))
    except BaseException:  # the caller has no connection to close
        connection.close()
        raise
    return connection


def open_for_reading(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Return a connection that cannot write; if there is no ledger yet, one to an empty ledger in memory."""
    refuse_unsafe("state directory", path.parent)
    if file_identity(path) is not None:
        refuse_unsafe("ledger", path)
        connection = _connect(path, _mode_for_reading(path), busy_seconds)
        try:
            connection.execute("PRAGMA query_only = 1")
            version = migrations.version_of(connection, shown(path))
            if version == len(migrations.MIGRATIONS):
                return connection
            if version:
                raise LedgerError(
                    f"The ledger {shown(path)} was written by an older version of workspace-reaper: sweep once to migrate it."
                )
        except BaseException:  # the caller has no connection to close
            connection.close()
            raise
        connection.close()
    empty = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrations.migrate(empty, shown(path))
    empty.execute("PRAGMA query_only = 1")
    return empty


def refuse_unsafe(what: str, path: Path) -> None:
    """Raise ``LedgerError`` if another user can write there: who can write the ledger can have any session killed."""
    if unsafe := check_permissions(path):
        raise LedgerError(unsafe.message(f"The {what}", path))


def _mode_for_reading(path: Path) -> str:
    """Return SQLite's open mode. A reader with mode "ro" leaves ``-wal`` and ``-shm`` behind where the ledger was closed
    cleanly; one with mode "rw" removes them."""
    is_closed = not path.with_name(f"{path.name}-wal").exists()
    return "rw" if is_closed and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"


def _create(path: Path) -> None:
    """Create the directory and an empty file where they are missing."""
    make_private(path.parent)
    # Closing any descriptor of a database releases all locks that this process has on it, also those of other connections.
    # So the file is opened by hand only to create it, and no connection of this process is opened before that is done.
    with _creating, suppress(FileExistsError):
        os.close(create_private_file(path))


def _connect(path: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))  # SQLite says "disk I/O error"
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)


def _use_wal(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch to WAL mode. SQLite ignores its busy timeout when two processes switch at once, so wait here."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return
