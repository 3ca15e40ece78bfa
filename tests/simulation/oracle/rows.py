"""What the rows of a workspace say. Several rows are one workspace."""

from __future__ import annotations

from tests.simulation.oracle.history import since_when
from tests.simulation.oracle.truth import Absence, KillTruth, RowState, Workspace

__all__ = [
    "archived",
    "confirmed_since",
    "given_up",
    "gone",
    "gone_since",
    "judged_workspaces",
    "lost",
    "readable",
    "renamed",
    "running_or_pinned",
]


def gone(state: RowState) -> bool:
    """Return whether there is no row, or all of them are flagged deleted. A row that cannot be read is there."""
    return all(row.deleted and row.readable for row in state.rows)


def archived(state: RowState) -> bool:
    """Return whether all rows that are not deleted are archived."""
    living = [row for row in state.rows if not row.deleted]
    return bool(living) and all(row.archived for row in living)


def given_up(state: RowState) -> bool:
    """Return whether all rows that are not deleted say that the worktree is deleted."""
    living = [row for row in state.rows if not row.deleted]
    return bool(living) and all(row.worktree_deleted for row in living)


def running_or_pinned(workspace: Workspace) -> tuple[bool, bool]:
    """Return whether any row says that a process runs, and whether any is pinned."""
    rows = workspace.rows[-1].rows
    return any(row.running for row in rows), any(row.pinned for row in rows)


def readable(workspace: Workspace) -> bool:
    return all(row.readable for row in workspace.rows[-1].rows)


def gone_since(workspace: Workspace) -> float | None:
    """Return since when its row is gone; None if it is there."""
    return since_when(workspace.rows, gone)


def confirmed_since(workspace: Workspace) -> float | None:
    """Return since when no full sweep can have read a row; None if it is there. Only full sweeps count for confirmations."""
    is_gone = gone(workspace.rows[-1])
    return since_when(workspace.rows, lambda state: gone(state) or not state.counted) if is_gone else None


def lost(workspace: Workspace) -> bool:
    """Return whether the row vanished only because another database or an older copy was put in place."""
    state = workspace.rows[-1]
    return not state.rows and state.absence is Absence.LOST


def renamed(truth: KillTruth) -> bool:
    """Return whether the marks name a workspace that the name does not yield."""
    return any(workspace.by_marks and not workspace.by_name for workspace in truth.workspaces)


def judged_workspaces(truth: KillTruth) -> tuple[Workspace, ...]:
    """Return the workspaces for which a reason must hold: that of the marks, and that of the name if it has a row that counts.

    Without marks, that of the name.
    """
    if len(truth.workspaces) < 2:
        return truth.workspaces
    marked = any(workspace.by_marks for workspace in truth.workspaces)
    return tuple(each for each in truth.workspaces if each.by_marks or not marked or not gone(each.rows[-1]))
