"""The directories of workspaces: what a sweep has seen of one, and what is there now. Frozen values.

The identity of a directory is ``device:inode`` as text: an inode of a network file system does not fit into a signed integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that was there.

    Attributes:
        path: Its path, as the row names it.
        resolved: Its absolute path without symbolic links.
        inode: Its identity.
        parent: The identity of the directory that contains ``resolved``.
        is_below_mount: Whether that directory is the root of a mount.
        neighbours: Names of other entries that were seen in it. They are read only below the root of a mount.
    """

    path: str
    resolved: str
    inode: str
    parent: str
    is_below_mount: bool = False
    neighbours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DirectoryRecord:
    """What the ledger knows of the directory of a workspace that had a row and a session.

    Attributes:
        workspace_id: The workspace.
        generation: The generation of the registry that had the row.
        directory: The directory, as the last look found it there.
        seen_at: When a full sweep first saw the row (Unix seconds).
        created: When the session was created then (Unix seconds). Together with ``number`` it orders what one sweep saw first.
        number: The number in the session's id.
        missing_since: When a sweep first found no row (Unix seconds), or None while there is one.
        counted: Whether a full sweep has counted the row among those that the registry lost.
        place: The lowest number of its row that was seen, or None where rows have no numbers.
        outlived: Whether a full sweep has seen the row without the directory, or come back. Until the directory is found
            again it is no witness, and nothing but the place of the row counts.
        doubted: Whether the row vanished as after a restore. Later changes of the others do not end it.
        out_of_sight_since: Since when full sweeps see no session while there is no row (Unix seconds), or None.
    """

    workspace_id: str
    generation: int
    directory: Directory
    seen_at: float
    created: int
    number: int
    missing_since: float | None = None
    counted: bool = False
    place: int | None = None
    outlived: bool = False
    doubted: bool = False
    out_of_sight_since: float | None = None

    @property
    def first_sight(self) -> tuple[float, int, int]:
        """Return what orders the workspaces where their rows have no numbers, the newest last."""
        return self.seen_at, self.created, self.number


@dataclass(frozen=True, slots=True)
class Sight:
    """What is where a directory was. An identity is None where nothing is.

    Attributes:
        written: What is at the path as the row names it. A symbolic link is not followed.
        resolved: What is at the resolved path.
        parent: What is where the parent was.
        has_neighbour: Whether one of the neighbours is still there.
        error: Why this is unknown, as a clause; then nothing else counts.
    """

    written: str | None = None
    resolved: str | None = None
    parent: str | None = None
    has_neighbour: bool = False
    error: str | None = None


class Workplace(NamedTuple):
    """The working directory of a process: its identity, its number of links, which is 0 once it was removed, and the identities
    of the directories above it that are still there."""

    inode: str
    links: int
    above: frozenset[str] = frozenset()

    def is_in(self, inode: str) -> bool:
        """Return whether it is that directory or below it, and that directory is still there."""
        return inode in self.above or (self.inode == inode and self.links > 0)
