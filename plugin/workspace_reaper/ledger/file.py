"""The file of the ledger: made, opened, brought up to date."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from pathlib import Path
from urllib.parse import quote

from workspace_reaper.ledger.errors import shown
from workspace_reaper.ledger.migrations import MIGRATIONS, migrate, version_of
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.util.permissions import check_permissions, make_private

__all__ = ["Identity", "identity", "open_for_reading", "open_for_writing"]

Identity = tuple[int, int]
"""Device and inode."""

_making = threading.Lock()


def identity(path: Path) -> Identity | None:
    """Which file is there now; None if there is none. Raises ``OSError`` where that can't be told."""
    try:
        status = os.stat(path)  # noqa: PTH116 (asked at each transaction: half the cost of Path.stat)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def open_for_writing(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open the ledger, made and migrated where needed, in WAL mode and in autocommit mode."""
    _refuse_shared("state directory", path.parent)
    _make(path)
    _refuse_shared("ledger", path)
    raw = _connect(path, "rw", busy_seconds)
    try:
        version_of(raw, shown(path))  # before anything is written: a file that is not ours stays as it is
        _use_wal(raw, busy_seconds)
        # A commit survives the end of this process, not a power failure; no tmux session survives that either.
        raw.execute("PRAGMA synchronous = NORMAL")
        migrate(raw, shown(path))
    except BaseException:
        raw.close()
        raise
    return raw


def open_for_reading(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open the ledger so that nothing can be written; where there is none yet, an empty one in memory."""
    _refuse_shared("state directory", path.parent)
    if identity(path) is not None:
        _refuse_shared("ledger", path)
        raw = _connect(path, _mode_for_reading(path), busy_seconds)
        try:
            raw.execute("PRAGMA query_only = 1")
            version = version_of(raw, shown(path))
            if version == len(MIGRATIONS):
                return raw
            if version:
                raise LedgerError(
                    f"The ledger {shown(path)} was written by an older version of workspace-reaper: sweep once to migrate it."
                )
        except BaseException:
            raw.close()
            raise
        raw.close()
    empty = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(empty, shown(path))
    empty.execute("PRAGMA query_only = 1")
    return empty


def _mode_for_reading(path: Path) -> str:
    """A reader that may not write leaves ``-wal`` and ``-shm`` beside a ledger that was closed cleanly; one that may takes them
    away with it."""
    is_closed = not path.with_name(f"{path.name}-wal").exists()
    return "rw" if is_closed and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"


def _refuse_shared(what: str, path: Path) -> None:
    """Whoever can write what we remember can have any session killed."""
    if distrusted := check_permissions(path):
        raise LedgerError(distrusted.told_of(f"The {what}", path))


def _make(path: Path) -> None:
    """Make the directory and an empty file, for this user alone whatever the umask. What is there is left as it is."""
    make_private(path.parent)
    # Closing any descriptor of a database drops all locks that this process has on it, other connections' included.
    # So the file is opened by hand only to make it, and nobody here connects to it before that is done.
    with _making:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


def _connect(path: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))  # SQLite says "disk I/O error"
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)


def _use_wal(raw: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch to WAL. SQLite does not wait for its busy limit where two processes switch at once: wait here."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return
