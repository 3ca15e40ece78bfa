"""Remove old snapshots. Only directories of this user with a ULID as name are touched; symbolic links are not followed."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from workspace_reaper.snapshots.files import is_reap_id, remove_stale_directories, staging_directory
from workspace_reaper.util.log import log_event

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class _Kept:
    reap_id: str
    taken_at: float
    size: int


def _own_directory(path: Path) -> bool:
    """Return whether it is a directory of this user, not a symbolic link to one. False if that cannot be determined."""
    try:
        info = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid()


def is_kept(root: Path, reap_id: str) -> bool:
    """Return whether a snapshot with that id exists."""
    return is_reap_id(reap_id) and _own_directory(root) and _own_directory(root / reap_id)


def discard(root: Path, reap_ids: Collection[str]) -> int:
    """Remove those of these snapshots that exist, and return their number. Failures are logged."""
    there = [reap_id for reap_id in reap_ids if is_kept(root, reap_id)]
    removed = 0
    if not there:
        return removed
    try:
        # First the name, then the content: a snapshot with its own name is always complete.
        with staging_directory(root) as work:
            for name in there:
                (root / name).rename(work / name)
                removed += 1
    except OSError as error:
        log_event(logging.WARNING, f"cannot remove snapshots in {root}: {error}")
    return removed


def prune(root: Path, now: float, *, days: int, max_bytes: int, spare: Collection[str]) -> int:
    """Remove old snapshots, and return how many. Failures are logged.

    Args:
        root: The directory of all snapshots.
        now: The time, in Unix seconds.
        days: Snapshots that are older are removed.
        max_bytes: Then the oldest are removed while all of them are larger than this.
        spare: The ids of snapshots that stay in any case.
    """
    if not _own_directory(root):
        return 0
    try:
        remove_stale_directories(root)
    except OSError as error:
        log_event(logging.WARNING, f"cannot remove what a crash left in {root}: {error}")
    try:
        kept = sorted(_kept(root), key=lambda one: one.reap_id)
    except OSError as error:
        log_event(logging.WARNING, f"cannot prune the snapshots in {root}: {error}")
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
    """Yield all snapshots. A ULID begins with its time: no file is opened, and the ids are in the order of age."""
    for path in root.iterdir():
        if is_reap_id(path.name) and _own_directory(path):
            yield _Kept(path.name, _time_of(path.name), sum(file.lstat().st_size for file in path.iterdir()))


def _time_of(reap_id: str) -> float:
    """Return the time in a ULID, in Unix seconds."""
    milliseconds = 0
    for letter in reap_id[:10]:
        milliseconds = milliseconds * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    return milliseconds / 1000
