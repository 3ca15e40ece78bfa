"""Reading the small files of ``/proc``."""

from __future__ import annotations

import errno
import os

__all__ = ["PROC", "forbidden", "link", "names", "out_of_resources", "read", "vanished"]

PROC = "/proc"

_VANISHED = frozenset({errno.ENOENT, errno.ESRCH})
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


def read(path: str, size: int = 4096) -> bytes:
    """The whole file; ``size`` is what one read usually gets. Raises ``OSError``."""
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
    """The names in a directory. Raises ``OSError``."""
    return os.listdir(path)  # noqa: PTH208  a Path for each name costs more than to read the file


def link(path: str) -> str:
    """The text of a link. Raises ``OSError``."""
    return os.readlink(path)  # noqa: PTH115  as above


def vanished(error: OSError) -> bool:
    """There is no such process any more. Of an environment also: it has none."""
    return error.errno in _VANISHED


def forbidden(error: OSError) -> bool:
    """This user may not read it."""
    return error.errno in _FORBIDDEN


def out_of_resources(error: OSError) -> bool:
    """The trouble is our own: too many open files, say. It tells nothing of the process."""
    return error.errno in _OUT_OF_RESOURCES
