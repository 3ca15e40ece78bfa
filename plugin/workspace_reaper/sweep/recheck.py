"""The second look at what was condemned, and at what the kill has left."""

from __future__ import annotations

from collections.abc import Collection

from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.session import Listing
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Reason
from workspace_reaper.policy.facts import Facts
from workspace_reaper.policy.verdict import Judgement, Protection
from workspace_reaper.sweep.report import SweepReport

__all__ = ["look_again", "saving"]


def look_again(
    terminal: Terminal, owner_id: str, report: SweepReport, *, panes: bool, only: Collection[str] = ()
) -> Listing | Unknown:
    """List once more. A row that can't be read now is as loud as one that could not at the beginning."""
    listing = terminal.observe(owner_id, panes=panes, only=only)
    if isinstance(listing, Listing):
        report.unknown.extend(row for row in listing.unreadable if row not in report.unknown)
    return listing


def saving(reason: Reason, facts: Facts, judgement: Judgement) -> str | None:
    """What saves a session that was condemned for this reason; None if the reason holds and nothing protects it."""
    for held in judgement.held:
        if held.reason is reason:
            return held.by[0].value if held.by else None
    if facts.row is not None and reason in {Reason.IDLE, Reason.DEAD}:
        # The row is not what it rested on: somebody or something came back to life in it.
        return Protection.ATTACHED.value if facts.session.is_attached else Protection.ACTIVE.value
    return "workspace"
