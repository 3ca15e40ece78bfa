"""Who may die in a storm, and when: written from the table of verdicts, by the kinds of sessions that a storm has.

Nothing here asks the product. Seconds are those of the table's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.tools.tmux import FOREVER
from workspace_reaper.model.events import WorkspaceEvent

__all__ = ["CONDEMNED", "DEAD", "GAP", "IDLE", "KINDS", "MIN_AGE", "NEEDS_PROOF", "STRANGER", "Kind", "Looks", "Member"]

MINUTE, HOUR = 60, 3600
GRACE, MIN_AGE, DEAD, GAP, STRANGER, IDLE = 60, 120, 10 * MINUTE, 30, 12 * HOUR, 48 * HOUR
"""The table's thresholds, as they are by default."""


@dataclass(frozen=True)
class Kind:
    """A kind of session. ``safe`` are the seconds without activity before which it can't die of what its row, or the lack of
    one, says (None: it never dies of that); ``idles``: it goes once nothing has moved for `IDLE`. ``row``: it has one."""

    safe: float | None = None
    row: bool = True
    idles: bool = True
    hooked: WorkspaceEvent | None = None
    command: str = FOREVER


KINDS: Mapping[str, Kind] = {
    "living": Kind(),
    "newcomer": Kind(),  # yesterday it had no row
    "pinned": Kind(idles=False),
    "running": Kind(idles=False),  # archived, and a process of it runs
    "kept": Kind(idles=False),  # archived, and an operator said so
    "lied about": Kind(hooked=WorkspaceEvent.DELETED),  # a hook calls it deleted, and its row is there
    "attached": Kind(row=False, idles=False),
    "stranger": Kind(safe=STRANGER, row=False),  # it never had a row
    "foreign": Kind(row=False, idles=False),  # another registry's stamp
    "unmanaged": Kind(row=False, idles=False),  # its name is no workspace's
    "archived": Kind(safe=GRACE),
    "archived by hook": Kind(safe=GRACE, hooked=WorkspaceEvent.ARCHIVED),
    "worktree-deleted": Kind(safe=GRACE),
    "orphan": Kind(safe=MIN_AGE, row=False),
    "deleted": Kind(safe=MIN_AGE, row=False, hooked=WorkspaceEvent.DELETED),
    "dead": Kind(safe=DEAD, command="exit 0"),
}

CONDEMNED = ("archived", "archived by hook", "worktree-deleted", "orphan", "deleted", "dead")
NEEDS_PROOF = ("orphan", "deleted", "stranger")


@dataclass
class Member:
    """A session of the storm. ``hooked``: a hook has named it, and was heard."""

    kind: str
    workspace_id: str
    name: str
    session_id: str = ""
    hooked: bool = False


@dataclass
class Looks:
    """What the reaper could know by now. ``made_at`` is when the sessions were made, and ``absent`` are the times of the full
    sweeps that may have seen that rows are gone, the one before they went included. All are Unix seconds of the storm."""

    made_at: float
    absent: list[float] = field(default_factory=list)

    def saves(self, member: Member, now: float) -> str | None:
        """What of the table protects this session; None if it may die."""
        kind = KINDS[member.kind]
        quiet = now - self.made_at + 1  # tmux tells whole seconds
        if kind.idles and kind.row and quiet > IDLE:
            return None
        if member.kind in ("archived by hook", "deleted") and member.hooked:
            return None
        if kind.safe is None:
            return "its kind"
        if quiet < kind.safe:
            return f"its age of {quiet:.0f} s"
        if not kind.row and (len(self.absent) < 3 or now - self.absent[1] < GAP):
            return "the want of a confirmation"
        return None
