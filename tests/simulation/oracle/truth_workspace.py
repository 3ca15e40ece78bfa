"""The truth about a workspace: its rows, its directory, and what the host called. Times are true times (``truth.py``)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["ALWAYS", "Absence", "Directory", "Hook", "HookKind", "Row", "RowState", "Workspace"]

ALWAYS = float("-inf")


class Absence(Enum):
    """Why a registry has no row for a workspace."""

    # It was deleted by ordinary commits. This is also said of a row that was lost in a way of which the design gives the reaper
    # no sign: same location, schema and version, a counter that went forward, and not the newest rows with their directories.
    DELETED = "deleted"
    # Another database or an older copy was put in place, the row is not in it, and the workspace was not deleted.
    LOST = "lost"
    # This registry has never had a row for it.
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Row:
    """A row in the host's table, in whatever spelling of the id. ``readable`` is false if one of its fields is not."""

    archived: bool = False
    running: bool = False
    pinned: bool = False
    deleted: bool = False
    worktree_deleted: bool = False
    readable: bool = True


@dataclass(frozen=True, slots=True)
class RowState:
    """The rows of a workspace from ``since`` on. No rows: ``absence`` says why. A hidden row is one that exists.

    ``counted``: a full sweep has read it, or it is the last state. What only a look at this workspace has read ends a hook, and
    no confirmation.
    """

    since: float
    rows: tuple[Row, ...] = ()
    absence: Absence = Absence.DELETED
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Directory:
    """The directory of a workspace from ``since`` on.

    Attributes:
        gone: ``lstat`` of the path, as written and as resolved, says ENOENT. False for every other answer and for none.
        parent_intact: The parent is the same (device, inode) and readable; if a mount begins there, something else is in it.
        session_inside: A process of the session works in it, wherever it was moved.
        shared: A living row of another workspace names it or something inside it.
        proper: The path is absolute, and neither ``/`` nor HOME nor above HOME.
        holds_records: The reaper's ledger or the host's database lay in it.
        seen_with_row: The last time that the reaper saw row and directory in one look that it recorded; None if never.
    """

    since: float = ALWAYS
    gone: bool = False
    parent_intact: bool = True
    session_inside: bool = False
    shared: bool = False
    proper: bool = True
    holds_records: bool = False
    seen_with_row: float | None = None


class HookKind(Enum):
    DELETED = "deleted"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Hook:
    """A call of the host's own, true or not. What the daemon derives from rows that went is none."""

    kind: HookKind
    at: float


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace to which the session belongs.

    Attributes:
        by_marks: The session's own marks name it, with ``@reaper_self`` true for the session and our owner mark.
        by_name: The session's name yields it.
        belongs_since: Since when; the time of the rename if that brought it here.
        rows: What the configured registry says now and said before; at least since the session and the oldest hook.
        hooks: All hooks that named it.
        directory: The directory that its row names or named; empty if none.
        known_at: When the reaper last read its row; None if never, or if neither marks nor ledger remember.
        daemon_saw_it_go: When the daemon saw that the row was gone, one look after it had seen it; None if it did not.
        vanished: How many rows with sessions went within a minute around this one, and how many had sessions in that minute.
        row_elsewhere_since: Since when the registry of another configured host has a row for it.
    """

    workspace_id: str
    rows: tuple[RowState, ...]
    by_marks: bool = True
    by_name: bool = True
    belongs_since: float = ALWAYS
    hooks: tuple[Hook, ...] = ()
    directory: tuple[Directory, ...] = ()
    known_at: float | None = None
    daemon_saw_it_go: float | None = None
    vanished: tuple[int, int] = (1, 1)
    row_elsewhere_since: float | None = None
