"""Sessions that are held without a verdict."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.tools.builders import NOW, SOCKET, listing, observation, session, unreadable
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.sweep.unjudged import hold_unreadable


def test_a_session_whose_row_cannot_be_read_is_reported_as_held() -> None:
    """Otherwise a session that should be reaped would be missing in the report."""
    context: Any = SimpleNamespace(report=SweepReport("sweep", NOW), host=None)
    hold_unreadable(context, observation(listing(session(1), unreadable=(unreadable("ws_w2"), unreadable("notes")))))
    [entry] = context.report.sessions
    assert (entry.socket, entry.session, entry.session_id, entry.workspace_id) == (SOCKET, "ws_w2", None, "w2")
    assert (entry.verdict, entry.protected_by, entry.key) == (Verdict.HOLD, "unknown", None)
