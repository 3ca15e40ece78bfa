"""Whether a process works inside a directory: by inode, since a path can be written in many ways (links, bind mounts)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

__all__ = ["DELETED", "inside_of"]

DELETED = " (deleted)"
"""What Linux writes behind the path of a directory that is gone."""

_Inode = tuple[int, int]
_LEVELS = 1024
_SAME = 8


def inside_of(directory: str, homes: Collection[str], cwd: str, deleted: Callable[[], str | None]) -> bool:
    """Whether ``cwd`` is ``directory`` or below it; False where that can't be told.

    A directory that is the root, or that holds one of ``homes`` (or is it), or is no absolute path, has nothing inside: a
    workspace's directory lies below a home or beside it, and whatever else a login runs works in its home. So a wrong path in
    a host's table (empty, ``/``, ``/home``) can't make everything a part of the workspace.

    ``cwd`` is a path that leads to the working directory. Where ``directory`` is gone from the disk, the path that ``deleted``
    tells counts: that of the working directory before it was deleted, None if it was not. Not seen: a working directory
    below a bind mount of only a part of ``directory``.
    """
    if not directory.startswith("/"):
        return False
    try:
        try:
            wanted = _inode(directory)
        except FileNotFoundError:
            return _is_below_deleted(directory, homes, deleted)
        if wanted == _inode("/") or any(wanted in _upwards(home) for home in homes if Path(home).is_dir()):
            return False
        # Each step is a proof by itself: should the process change its directory meanwhile, it was inside at that moment.
        return wanted in _upwards(cwd)
    except (OSError, ValueError):  # ValueError: a NUL, or text that no path can be made of
        return False


def _is_below_deleted(directory: str, homes: Collection[str], deleted: Callable[[], str | None]) -> bool:
    path = os.path.realpath(directory)
    if os.path.lexists(path):
        return False  # such as "/srv/gone/..": it does not lead there, and must not be taken for "/srv"
    if any(_is_below(os.path.realpath(home), path) for home in homes):
        return False
    was = deleted()
    return was is not None and _is_below(was, path)


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")


def _upwards(path: str) -> Iterator[_Inode]:
    """The directory, and all above it up to the root.

    The root is its own parent, but not it alone: a directory that is mounted below itself has the inode of the one above.
    """
    before, times = None, 0
    for _ in range(_LEVELS):
        now = _inode(path)
        times = times + 1 if now == before else 0
        if times == _SAME:
            return
        yield now
        before, path = now, path + "/.."


def _inode(path: str) -> _Inode:
    status = os.stat(path)  # noqa: PTH116  a Path would make another text of it
    return status.st_dev, status.st_ino
