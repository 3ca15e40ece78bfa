"""Examines database files without opening them.

A process that closes a descriptor of a file drops all POSIX locks that it holds on the file, including those of SQLite
(https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_). So only SQLite itself
opens and closes a database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from workspace_reaper.registry.location import DatabaseNotFound

_COUNTER_AT, _COUNTER_SIZE = 24, 4

# Seconds within which two writes may get the same time of modification. The kernel's clock moves every 1 to 10 ms.
TICK = 0.05


class Pin:
    """A pin on a file. While it is held, no other file can get the same inode, even after the file was removed.

    This needs descriptors whose close does not drop locks (``O_PATH``), which only Linux has. On other systems it does nothing.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def hold(self, path: str) -> None:
        """Pin the file at this path instead of the last one. Raises ``DatabaseNotFound`` if it cannot be examined."""
        self.release()
        if hasattr(os, "O_PATH"):
            with _looking():
                self._descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)

    def release(self) -> None:
        """Release the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def change_counter(path: str) -> int | None:
    """Return the file change counter in the header of the database, or None if SQLite has no descriptor of it open.

    It is read through a descriptor that SQLite has open in this process. In WAL mode only some checkpoints increase it
    (https://sqlite.org/fileformat2.html).
    """
    try:
        there = Path(path).stat()
        descriptors = [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208
    except OSError:
        return None
    for descriptor in descriptors:
        try:
            if os.path.samestat(os.fstat(descriptor), there):
                counter = os.pread(descriptor, _COUNTER_SIZE, _COUNTER_AT)
                # Another thread may have closed the descriptor, and its number may belong to another file now.
                if len(counter) == _COUNTER_SIZE and os.path.samestat(os.fstat(descriptor), there):
                    return int.from_bytes(counter, "big")
        except OSError:  # it was closed, or it is a pin, which cannot be read
            continue
    return None


class FileStamp(NamedTuple):
    """The attributes of a file that a write changes. ``modified`` is in nanoseconds.

    A second write within the same tick of the kernel's clock may leave them unchanged.
    """

    inode: int
    size: int
    modified: int


Stamps = tuple["FileStamp | None", "FileStamp | None"]


class DatabaseFiles:
    """A database and its write-ahead log. For a symbolic link, the log lies next to the target."""

    def __init__(self, path: str) -> None:
        self._database = Path(path)
        self._log = Path(os.path.realpath(path) + "-wal")

    def stamps(self) -> Stamps:
        """Return the stamps of both, None for one that is missing. Raises ``DatabaseNotFound`` if they cannot be examined."""
        with _looking():
            return _stamp(self._database), _stamp(self._log)


def is_settled(stamped: Stamps, now: float) -> bool:
    """Return whether each write after ``now`` (Unix seconds) changes the stamps."""
    return all(abs(now - stamp.modified / 1e9) > TICK for stamp in stamped if stamp)


def lost_its_log(before: Stamps, now: Stamps) -> bool:
    """Return whether a write-ahead log was removed without a checkpoint: then its commits are lost."""
    (file, log), (file_now, log_now) = before, now
    return bool(log and log.size and file == file_now and (log_now is None or log_now.inode != log.inode))


def _stamp(file: Path) -> FileStamp | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return FileStamp(status.st_ino, status.st_size, status.st_mtime_ns)


@contextmanager
def _looking() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatabaseNotFound(
            f"cannot be inspected ({error.strerror}): run as the host's user, or correct database_url"
        ) from error
