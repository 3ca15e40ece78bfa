"""Whether a process works inside a directory: by inode, since a path can be written in many ways (links, bind mounts)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

# What Linux appends to the path of a directory that was removed.
DELETED = " (deleted)"

_Inode = tuple[int, int]
_LEVELS = 1024
_SAME = 8


def inside_of(directory: str, homes: Collection[str], cwd: str, deleted: Callable[[], str | None]) -> bool:
    """Return whether ``cwd`` is ``directory`` or below it. False if that is unknown.

    Nothing is inside the root, a directory that is or contains one of ``homes``, or a relative path: a workspace's directory
    lies below a home or outside of it, and whatever else a login runs works in its home. So a wrong path in a host's table
    (empty, ``/``, ``/home``) cannot make every process a part of the workspace.

    Not detected: a working directory below a bind mount of only a part of ``directory``.

    Args:
        directory: The path to look for.
        homes: The home directories of this user.
        cwd: A path that leads to the working directory.
        deleted: Where ``directory`` does not exist: return the path of the working directory before it was deleted, or None
            if it was not.
    """
    if not directory.startswith("/"):
        return False
    try:
        try:
            wanted = _inode(os.stat(directory))
        except FileNotFoundError:
            return _is_below_deleted(directory, homes, deleted)
        if wanted == _inode(os.stat("/")) or any(_is_in(home, wanted) for home in homes if Path(home).is_dir()):
            return False
        # Each step is proof: if the process changes its directory meanwhile, it was inside at that instant.
        return _is_in(cwd, wanted)
    except (OSError, ValueError):  # ValueError: a NUL, or text that cannot be encoded as a path
        return False


def _is_below_deleted(directory: str, homes: Collection[str], deleted: Callable[[], str | None]) -> bool:
    path = os.path.realpath(directory)
    if os.path.lexists(path):
        return False  # such as "/srv/gone/..": it does not exist, and must not be taken for "/srv"
    if any(_is_below(os.path.realpath(home), path) for home in homes):
        return False
    before = deleted()
    return before is not None and _is_below(before, path)


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")


def _is_in(path: str, wanted: _Inode) -> bool:
    return any(_inode(status) == wanted for status in upwards(path))


def upwards(path: str) -> Iterator[os.stat_result]:
    """Yield the directory and all above it up to the root.

    The root is its own parent. It is not alone in that: a directory that is mounted below itself has its parent's inode.
    """
    before, times = None, 0
    for _ in range(_LEVELS):
        status = os.stat(path)
        now = _inode(status)
        times = times + 1 if now == before else 0
        if times == _SAME:
            return
        yield status
        before, path = now, path + "/.."


def _inode(status: os.stat_result) -> _Inode:
    return status.st_dev, status.st_ino
