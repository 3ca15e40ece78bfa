"""The second listing: of the sessions that were selected, and of what the kill left."""

from __future__ import annotations

from collections.abc import Collection

from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.session import Listing
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.sweep.report import SweepReport

__all__ = ["look_again"]


def look_again(
    terminal: Terminal, owner_id: str, report: SweepReport, *, panes: bool, only: Collection[str] = ()
) -> Listing | Unknown:
    """List once more. A row that can't be read now is as loud as one that could not at the beginning."""
    listing = terminal.observe(owner_id, panes=panes, only=only)
    if isinstance(listing, Listing):
        report.unknown.extend(row for row in listing.unreadable if row not in report.unknown)
    return listing
