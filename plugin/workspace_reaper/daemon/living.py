"""Which workspaces have a living session at this moment."""

from __future__ import annotations

from collections.abc import Iterable

from workspace_reaper.model.session import Unknown
from workspace_reaper.policy.session_names import Names
from workspace_reaper.tmux import TmuxTerminal

__all__ = ["LivingSessions"]

_NO_STAMP = "0"


class LivingSessions:
    """Asks these sockets (absolute paths) with terminals of its own: one is for one thread at a time."""

    def __init__(self, sockets: Iterable[str], names: Names) -> None:
        self._terminals = [TmuxTerminal(socket) for socket in sockets]
        self._names = names

    def __call__(self) -> frozenset[str] | None:
        """The ids that sessions are named for, whoever owns these; None if a socket could not be read."""
        found: set[str | None] = set()
        for terminal in self._terminals:
            listing = terminal.observe(_NO_STAMP, panes=False)
            if isinstance(listing, Unknown):
                return None
            named = [session.name for session in listing.sessions] + [unknown.session or "" for unknown in listing.unreadable]
            found |= {self._names.workspace_id(terminal.socket, name) for name in named}
        return frozenset(one for one in found if one is not None)
