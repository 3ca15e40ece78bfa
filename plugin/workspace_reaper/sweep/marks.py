"""The session options that a sweep sets in tmux: the owner mark, and the deadline of an announcement."""

from __future__ import annotations

from workspace_reaper.model.session import Owner
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.judge import Announcements
from workspace_reaper.sweep.observe import Observation

__all__ = ["mark_announced", "mark_recognised"]


def mark_recognised(context: SweepContext, seen: Observation, builder: FactsBuilder) -> None:
    """Set our owner mark on the sessions that the registry has recognised, so that other reapers leave them alone."""
    # A session that is about to be killed needs no mark: its guard does not ask for one.
    selected = {entry.key for entry in context.report.sessions if entry.verdict is Verdict.REAP}
    for terminal in context.dependencies.terminals:
        unmarked = [
            session.key
            for session, workspace_id in seen.sessions
            if session.owner is Owner.NONE
            and workspace_id in builder.recognised
            and session.key.socket == terminal.socket
            and session.key not in selected
        ]
        if unmarked:
            terminal.mark(unmarked, builder.memory.registry.owner_id)


def mark_announced(context: SweepContext, announcements: Announcements) -> None:
    """Set the deadline on the sessions that were announced, and unset it on those that no longer are."""
    for terminal in context.dependencies.terminals:
        made = {key: at for key, at in announcements.made.items() if key.socket == terminal.socket}
        withdrawn = [key for key in announcements.withdrawn if key.socket == terminal.socket]
        if made or withdrawn:
            terminal.announce(made, withdrawn)
