"""What protects a session whose name disagrees with its marks, or that rows of several workspaces name."""

from __future__ import annotations

from workspace_reaper.policy.marks import kill_command
from workspace_reaper.policy.protection import Case, Protection, always


def _by_hand(case: Case) -> str:
    return f"to end it by hand: {kill_command(case.facts.session.key.socket, case.facts.session.key.session_id)}"


def _renamed(case: Case) -> str:
    also = " and, by its name, to another one that the registry still has" if case.outlives_rename else ""
    return f"it was renamed, and belongs to the workspace {case.facts.workspace_id}{also}; {_by_hand(case)}"


RENAMED = Protection(
    "renamed",
    "it was renamed: its marks name its workspace, and its name does not, so only what the host says of that workspace counts",
    holds=lambda case: case.facts.renamed and not (case.outlives_rename and case.holds_for_named_row),
    detail=_renamed,
)
CLAIMED = Protection(
    "claimed",
    "rows of several workspaces name it, or may name it, and what holds for its own does not hold for all of them",
    holds=lambda case: not case.facts.renamed and not case.holds_for_named_row,
    detail=lambda case: (
        f"a row of {case.facts.named_row.workspace_id if case.facts.named_row else 'another one'} names it as well as that of "
        f"{case.facts.workspace_id}: correct the record; {_by_hand(case)}"
    ),
    doubts=always,
)
