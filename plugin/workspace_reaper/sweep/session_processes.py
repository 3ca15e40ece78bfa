"""The processes of all sessions in one table, sorted once for all hosts of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.policy.escaped_processes import remember, with_escaped
from workspace_reaper.policy.process_tree import SessionProcess, processes_by_session

if TYPE_CHECKING:
    from workspace_reaper.sweep.context import ReaperState


class SessionProcesses:
    """The processes by session, those included that have left the tree of their session.

    Args:
        table: The processes of a moment.
        listings: All sessions of that moment.
    """

    def __init__(self, table: ProcessTable, listings: Sequence[Listing]) -> None:
        self._table = table
        self._listings = listings
        self._complete: Mapping[SessionKey, Sequence[SessionProcess]] | None = None

    def remembered_in(self, state: ReaperState) -> Mapping[SessionKey, Sequence[SessionProcess]]:
        """Return them, and keep in the state of a host which processes are below the panes. All hosts keep the same."""
        if self._complete is None:
            found = processes_by_session(self._table, [session for one in self._listings for session in one.sessions])
            self._seen_below = remember(state.seen_below, found, self._table)
            self._complete = with_escaped(found, self._seen_below, self._table)
        state.seen_below = self._seen_below
        return self._complete
