"""Sessions that are held because something that their verdict needs could not be read."""

from __future__ import annotations

from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.report import SessionReport


def hold_all(context: SweepContext, seen: Observation, unknown: Unknown) -> None:
    """Hold every session that would be reaped, because something that all verdicts need could not be read."""
    context.add_unknown(unknown)
    sessions = context.report.sessions
    for entry in sessions:
        if entry.verdict is Verdict.REAP and entry.outcome is Outcome.NONE:
            entry.verdict, entry.protected_by = Verdict.HOLD, unknown.source.value
    judged = {entry.key for entry in sessions}
    for session, workspace_id in seen.sessions:
        if session.key not in judged:
            sessions.append(_unknown_entry(context, session.key.socket, session.name, session.key, workspace_id))


def hold_unreadable(context: SweepContext, seen: Observation) -> None:
    """Report the sessions that match by name and cannot be read."""
    for socket, name, workspace_id in seen.unreadable:
        context.report.sessions.append(_unknown_entry(context, socket, name, None, workspace_id))


def _unknown_entry(context: SweepContext, socket: str, name: str, key: SessionKey | None, workspace_id: str) -> SessionReport:
    session_id, host = key.session_id if key else None, context.host
    return SessionReport(socket, name, session_id, workspace_id, Verdict.HOLD, protected_by="unknown", key=key, host=host)
