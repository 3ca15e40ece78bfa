"""The witness: whether the directory of a workspace went together with its row. Pure.

A host that deletes a workspace removes its directory too. A database that was swapped, restored or emptied leaves it there. So
a directory that has gone speaks for the deletion, and one that is still there speaks against it, unless the absence has another
cause: a disk that was unmounted, a directory that was moved, a path that says nothing.
"""

from __future__ import annotations

import os.path
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from workspace_reaper.model.directory import Directory, DirectoryRecord, Sight, Workplace

# One of many rows that were deleted together may be the newest by chance.
_BY_NO_CHANCE = 2


class Presence(Enum):
    """Whether a directory has gone, is there, or neither is certain."""

    GONE = "gone"
    THERE = "there"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Witness:
    """What the directory of a workspace says about an absent row, and why, as a clause."""

    presence: Presence
    why: str

    @property
    def confirms(self) -> bool:
        """Whether row and directory went together."""
        return self.presence is Presence.GONE


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is the same for all directories of one look.

    Attributes:
        generation: The generation of the registry now.
        homes: The paths of the home directories of this user, as they are written and as they resolve.
        named: The directories that living rows name.
        records: The files of the registry and of the ledger. Wildcards stand for names.
    """

    generation: int
    homes: Collection[str]
    named: Collection[str] | None
    records: Collection[str]


def ask(record: DirectoryRecord, sight: Sight, around: Surroundings, workplaces: Collection[Workplace] | None = ()) -> Witness:
    """Return what the directory says about the absence of its workspace's row.

    Args:
        record: What was seen while the row was there.
        sight: What is there now.
        around: What is the same for all directories.
        workplaces: The working directories of the session's processes, or None if they are unknown.
    """
    there = record.directory
    if sight.error is None and (sight.written is not None or sight.resolved is not None):
        return Witness(Presence.THERE, f"its directory {there.path} is still there")
    doubts = _doubts(record, sight, around, workplaces)
    if (doubt := next(doubts, None)) is not None:
        return Witness(Presence.UNKNOWN, doubt)
    return Witness(Presence.GONE, f"its directory {there.path} went together with its row")


def _doubts(
    record: DirectoryRecord, sight: Sight, around: Surroundings, workplaces: Collection[Workplace] | None
) -> Iterator[str]:
    """Yield why the absence of the directory proves nothing."""
    there = record.directory
    if record.generation != around.generation:
        yield "its row was seen in another registry than this one"
    if sight.error is not None:
        yield f"whether its directory {there.path} is there is unknown: {sight.error}"
    if sight.parent != there.parent:
        yield f"the directory that contained {there.resolved} is not the same any more: a disk may be missing"
    if there.is_below_mount and not sight.has_neighbour:
        yield f"nothing else is left of what {os.path.dirname(there.resolved)} contained: a disk may be missing"  # noqa: PTH120
    if workplaces is None:
        yield f"whether its directory {there.path} was moved is unknown: its processes cannot be read"
    elif any(place.is_in(there.inode) for place in workplaces):
        yield f"its directory {there.path} was moved, and a process of the session works in it"
    yield from _unusable(there, around)


def _unusable(there: Directory, around: Surroundings) -> Iterator[str]:
    """Yield why this directory says nothing about one workspace."""
    paths = {os.path.normpath(there.path), there.resolved}
    if not is_usable(there.path, around.homes) or not is_usable(there.resolved, around.homes):
        yield f"{there.path!r} cannot be the directory of one workspace"
    if around.named is None:
        yield "the directories of the other workspaces cannot be read"
    elif any(is_inside(os.path.normpath(name), path) for name in around.named for path in paths):
        yield f"the row of another workspace names {there.path}, or a directory in it"
    if any(_may_lie_in(record, path) for record in around.records for path in paths):
        yield f"the record of the workspace lay in {there.path}"


def is_usable(path: str, homes: Iterable[str]) -> bool:
    """Return whether this can be the directory of one workspace: absolute, and neither a home nor above one."""
    return path.startswith("/") and os.path.normpath(path) != "/" and not any(is_inside(home, path) for home in homes)


def is_inside(path: str, directory: str) -> bool:
    """Return whether the path is the directory or in it, by their texts."""
    top = os.path.normpath(directory)
    return path == top or path.startswith(top.rstrip("/") + "/")


def _may_lie_in(record: str, directory: str) -> bool:
    """Return whether a file with this path may be the directory or in it. Wildcards in ``record`` stand for names."""
    names, there = record.split("/"), os.path.normpath(directory).split("/")
    return len(there) <= len(names) and all(map(fnmatchcase, there, names))


def restored(records: Collection[DirectoryRecord], generation: int, deleted: Collection[str] = ()) -> frozenset[str]:
    """Return the workspaces whose rows vanished as if an older copy of the registry had been restored.

    Such a copy lacks the newest rows. Rows that a sweep found missing together are compared: those that are newer than each row
    that is left are returned, if they are two or more, or at least half. A host may have deleted others in the same moment.

    Args:
        records: All workspaces that the ledger knows.
        generation: The generation of the registry now. Others say nothing.
        deleted: Workspaces whose directories went together with their rows, which no restore does.
    """
    known = [record for record in records if record.generation == generation]
    order = _place if all(record.place is not None for record in known) else _first_sight
    missing: dict[float, list[DirectoryRecord]] = {}
    for record in known:
        if record.missing_since is not None and not record.outlived and record.workspace_id not in deleted:
            missing.setdefault(record.missing_since, []).append(record)
    found: set[str] = set()
    for since, batch in missing.items():
        # Those that were there at that time: what vanished later, and nothing that was made later.
        left = [order(one) for one in known if one.seen_at < since and (one.missing_since is None or one.missing_since > since)]
        newest = max(left, default=None)
        newer = [one.workspace_id for one in batch if newest is None or order(one) > newest]
        if len(newer) >= _BY_NO_CHANCE or 2 * len(newer) >= len(batch):
            found.update(newer)
    return frozenset(found)


def _place(record: DirectoryRecord) -> tuple[float, ...]:
    return (record.place or 0,)


def _first_sight(record: DirectoryRecord) -> tuple[float, ...]:
    return record.first_sight
