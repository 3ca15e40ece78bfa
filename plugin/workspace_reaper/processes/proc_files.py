"""Reading the small files of ``/proc``."""

from __future__ import annotations

import errno
import os

PROC = "/proc"

# The process does not exist any more. Of an environment also: it has none.
VANISHED = frozenset({errno.ENOENT, errno.ESRCH})
# This user may not read it.
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
# This process has too many open files, for example. It says nothing about the process that was read.
OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def read(path: str, size: int = 4096) -> bytes:
    """Return the whole file. ``size`` is what one read usually returns. Raise ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        data = os.read(descriptor, size)
        if len(data) < size:
            return data
        pieces = [data]
        while piece := os.read(descriptor, size):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def names(path: str) -> list[str]:
    """Return the names in a directory. Raise ``OSError``."""
    return os.listdir(path)


def link(path: str) -> str:
    """Return the target of a symbolic link. Raise ``OSError``."""
    return os.readlink(path)
