"""How long snapshots stay. Only directories of ours, named by a ULID, are ever touched, and no symbolic link is followed."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from workspace_reaper.snapshots.files import is_reap_id, sweep_workplaces, workplace

__all__ = ["discard", "is_kept", "prune"]

_log = logging.getLogger("workspace_reaper")
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class _Kept:
    reap_id: str
    taken_at: float
    size: int


def _own_directory(path: Path) -> bool:
    """A directory of this user, and no symbolic link to one. False also where that can't be told."""
    try:
        info = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid()


def is_kept(root: Path, reap_id: str) -> bool:
    """Whether there is a snapshot of ours with that id."""
    return is_reap_id(reap_id) and _own_directory(root) and _own_directory(root / reap_id)


def discard(root: Path, reap_ids: Collection[str]) -> int:
    """Remove these snapshots, those of them that are there; how many there were. What can't be removed is in the log."""
    there = [reap_id for reap_id in reap_ids if is_kept(root, reap_id)]
    removed = 0
    if not there:
        return removed
    try:
        # First the name, then the content: what is found under its own name is always whole.
        with workplace(root) as work:
            for name in there:
                (root / name).rename(work / name)
                removed += 1
    except OSError as error:
        _log.warning("snapshots in %s can't be removed: %s", root, error)
    return removed


def prune(root: Path, now: float, *, days: int, max_bytes: int, spare: Collection[str]) -> int:
    """Remove what is older than ``days``, then the oldest while all together are larger than ``max_bytes``; never one of
    ``spare``. How many were removed. What can't be is in the log."""
    if not _own_directory(root):
        return 0
    try:
        sweep_workplaces(root)
    except OSError as error:
        _log.warning("what was left behind in %s can't be removed: %s", root, error)
    try:
        kept = sorted(_kept(root), key=lambda one: one.reap_id)
    except OSError as error:
        _log.warning("snapshots in %s can't be pruned: %s", root, error)
        return 0
    total = sum(one.size for one in kept)
    leaving: list[str] = []
    for one in kept:
        if one.reap_id in spare:
            continue
        if one.taken_at < now - days * _DAY or total > max_bytes:
            leaving.append(one.reap_id)
            total -= one.size
    return discard(root, leaving)


def _kept(root: Path) -> Iterator[_Kept]:
    """All snapshots. A ULID begins with its time, so that nothing needs to be opened, and their order is that of their age."""
    for path in root.iterdir():
        if is_reap_id(path.name) and _own_directory(path):
            yield _Kept(path.name, _time_of(path.name), sum(file.lstat().st_size for file in path.iterdir()))


def _time_of(reap_id: str) -> float:
    """Unix seconds."""
    milliseconds = 0
    for letter in reap_id[:10]:
        milliseconds = milliseconds * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    return milliseconds / 1000
