"""Reads one file: without blocking, up to a limit, and only if it did not change meanwhile."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from workspace_reaper.registry.files.errors import IncompleteFile, UnreadableFiles
from workspace_reaper.registry.sqlite.files import TICK

# The largest size of one file, in bytes.
MOST_BYTES = 32 << 20


class RecordStamp(NamedTuple):
    """What a write to a file changes. ``modified`` and ``changed`` are in nanoseconds; no program can set ``changed``.

    A second write within the same tick of the kernel's clock may leave them unchanged.
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    def is_settled(self, now: float) -> bool:
        """Return whether each write after ``now`` (Unix seconds) changes the stamp."""
        return all(abs(now - at / 1e9) > TICK for at in (self.modified, self.changed))


def look_at(path: str) -> RecordStamp:
    """Return the stamp of the file. Nothing is opened.

    Raises:
        FileNotFoundError: It does not exist.
        UnreadableFiles: It cannot be examined, or reading it may block.
    """
    try:
        return _stamp(path, os.stat(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(path) from error
    except OSError as error:
        raise _cannot_read(path, error) from error


def read_bytes(path: str) -> tuple[bytes, RecordStamp]:
    """Return the content of the file, and its stamp.

    Raises:
        FileNotFoundError: It does not exist.
        IncompleteFile: It changed while it was read.
        UnreadableFiles: It cannot be read, is not a regular file, or is too large.
    """
    look_at(path)  # opening a device may have an effect
    try:
        # O_NONBLOCK: a FIFO may have been put in its place since.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            before = _stamp(path, os.fstat(descriptor))
            content = file.read(MOST_BYTES + 1)
            after = _stamp(path, os.fstat(descriptor))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _cannot_read(path, error) from error
    if before != after or len(content) != after.size:
        raise IncompleteFile(f"{path} was written to while it was read: it is read again.")
    return content, after


def _stamp(path: str, status: os.stat_result) -> RecordStamp:
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise UnreadableFiles(f"{path} is {kind}: correct files.paths, or remove it.")
    if status.st_size > MOST_BYTES:
        raise UnreadableFiles(f"{path} has {status.st_size} bytes, and the limit for one file is {MOST_BYTES}.")
    return RecordStamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _cannot_read(path: str, error: OSError) -> UnreadableFiles:
    return UnreadableFiles(
        f"{path} cannot be read ({error.strerror}): run the reaper as the host's user, or correct files.paths."
    )
