"""The workspaces that have a session, as the database watcher asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.ports import Ledger, Terminal
from workspace_reaper.policy.marks import LONGEST
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.sweep.observe import observe, reject_unlinked_sockets
from workspace_reaper.sweep.own_options import OwnOptions


class LivingSessions:
    """The workspaces that have a session, for one thread.

    Args:
        terminals: The tmux sockets. A terminal is for one thread at a time.
        matcher: Yields the workspace of a session, as in a sweep.
        reading: Opens the ledger, which has the owner id of our marks and the tmux servers that had sessions.
        processes: Shows whether such a server still runs although its socket was removed.
    """

    def __init__(
        self,
        terminals: Sequence[Terminal],
        matcher: SessionMatcher,
        reading: Callable[[], AbstractContextManager[Ledger]],
        processes: Processes,
    ) -> None:
        self._terminals = terminals
        self._matcher = matcher
        self._reading = reading
        self._processes = processes

    def __call__(self) -> frozenset[str] | None:
        """Return the workspaces of all sessions of any owner, or None if a socket or the ledger could not be read, or the
        sessions of a server are out of sight."""
        try:
            with self._reading() as ledger:
                seen = observe(
                    self._terminals,
                    self._matcher,
                    ledger.registry().owner_id,
                    None,
                    OwnOptions(),
                    partial(ledger.longer_ids, LONGEST),
                    panes=False,
                )
                servers = ledger.load_state((), 0.0).servers
        except LedgerError:
            return None
        if reject_unlinked_sockets(seen, servers, self._processes):
            return None
        unreadable = {workspace_id for _, _, workspace_id in seen.unreadable}
        return frozenset(seen.all_workspace_ids | unreadable) if seen.everything else None
