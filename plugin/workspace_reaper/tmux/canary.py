"""A throwaway session of the canary test, on a socket that sessions of others use.

All commands are sent through the standard input of ``source-file -``. That never starts a server where none runs, and what a
client was given that was killed at the time limit never runs later. The session's program ignores the hangup, so that there is
a process for the reaper to end, and ends by itself after ``LIFETIME``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workspace_reaper.model.session import NO_OWNER, Listing, Session, SessionKey
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.tmux.client import LIMIT
from workspace_reaper.tmux.commands import OWN_IDENTITY, check_owner_id, end_line
from workspace_reaper.tmux.responses import advice
from workspace_reaper.tmux.terminal import TmuxTerminal

PREFIX = "workspace-reaper-canary-"
# Seconds after which the session ends by itself.
LIFETIME = 300

# How long to look for a session whose creation was interrupted: the server may not have run the command yet.
_SEARCH_SECONDS = 1.0

_NAME = re.compile(rf"{PREFIX}[0-9A-Za-z-]+")
_CREATED_FORMAT = "#{session_id} #{pid} #{start_time} #{session_created} #{pane_pid}"
_CREATED = re.compile(r"(\$[0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+)\n")
_PROGRAM = f"""/bin/sh -c 'trap "" HUP; exec sleep {LIFETIME}'"""


class CanaryTerminal(TmuxTerminal):
    """The socket at an absolute path, with one session of a unique name. Changes to any other session are refused.

    Args:
        socket: The absolute path.
        name: The session's name, unique for all time.
        may_live: Return whether a process with that pid may exist.
        runs: Called with the pid of its pane as soon as that is known.
        limit: The time limit of each command in seconds.
    """

    def __init__(
        self, socket: str, name: str, *, may_live: Callable[[int], bool], runs: Callable[[int], None], limit: float = LIMIT
    ) -> None:
        super().__init__(socket, limit=limit)
        if not _NAME.fullmatch(name):
            raise ValueError(f"invalid name of a canary session: {name!r}")
        self.name = name
        self._may_live = may_live
        self._runs = runs
        # Whether the session may still exist: its creation was requested, and its end was not observed.
        self.is_left = False
        # Its identity, once tmux has reported it.
        self.key: SessionKey | None = None

    @contextmanager
    def session(self, owner_id: str, mark: str) -> Iterator[Unknown | None]:
        """Create the session with our marks, so that no other reaper manages it. Give the reason if that failed.

        ``mark`` is that of its workspace.

        At the end of the block it is killed if it still exists. ``is_left`` says whether that failed.
        """
        try:
            yield self._create(owner_id, mark)
        finally:
            self.is_left = self.is_left and not self._end()

    def find(self) -> Session | Unknown | None:
        """Return the session as it is now; None if it certainly does not exist."""
        listing = self.observe(NO_OWNER)
        if isinstance(listing, Unknown):
            return listing
        for session in listing.sessions:
            if session.name == self.name if self.key is None else session.key == self.key:
                if self.key is None:
                    self._remember(session.key, next((pane.pid for pane in session.panes if not pane.dead), None))
                return session
        return self._why_hidden(listing)

    def _why_hidden(self, listing: Listing) -> Unknown | None:
        own = (self.name, self.key.session_id if self.key else None)
        for unreadable in listing.unreadable:
            # A row without a readable name is identified by its id: before the session's own id is known, it may be that row.
            if unreadable.session in own or (self.key is None and (unreadable.session or "$").startswith("$")):
                return unreadable
        if not listing.answered and self.key is not None and self._may_live(self.key.server_pid):
            return self._unknown(f"{self.socket} refuses connections, but the tmux server may be running.")
        return None

    def _create(self, owner_id: str, mark: str) -> Unknown | None:
        target = f"'={self.name}:'"  # the id is not known before, and the name is unique
        lines = (
            f"new-session -d -P -F '{_CREATED_FORMAT}' -s {self.name} -n canary -x 80 -y 24 -c / -- {_PROGRAM}",
            f"set-option -t {target} @workspace_owner {check_owner_id(owner_id)}",
            f"set-option -t {target} @reaper_workspace {check_owner_id(mark)}",
            f"set-option -F -t {target} @reaper_self '{OWN_IDENTITY}'",
            # With other values in the user's configuration it would outlive its program, or end before it.
            f"set-option -w -t {target} remain-on-exit off",
            f"set-option -t {target} destroy-unattached off",
        )
        self.is_left = True
        completed = self._run("source-file", "-", stdin="".join(f"{line}\n" for line in lines))
        created = _CREATED.match(completed.stdout)
        if created is not None:
            session_id, *numbers = created.groups()
            pid, start, created_at, pane_pid = map(int, numbers)
            self._remember(SessionKey(self.socket, pid, start, session_id, created_at), pane_pid)
        if created is None or completed.failure is not None or completed.exit_code != 0 or completed.stderr:
            return self._unknown(f"{self.socket}: {advice(completed)}")
        return None

    def _remember(self, key: SessionKey, pid: int | None) -> None:
        self.key = key
        if pid is not None:
            self._runs(pid)

    def _end(self) -> bool:
        """Kill the session by its identity, whatever its state. Return whether it certainly is gone."""
        seen = self.key is not None
        deadline = time.monotonic() + _SEARCH_SECONDS
        while True:
            found = self.find()
            is_late = time.monotonic() > deadline
            if found is None and (seen or is_late):
                return True
            if is_late:
                return False
            if isinstance(found, Session):
                seen = True
                self._send([found.key], [end_line(found.key)])
            else:
                time.sleep(0.02)

    def _check_socket(self, key: SessionKey) -> None:
        super()._check_socket(key)
        if key != self.key:
            raise ValueError(f"The session {key.session_id} is not the canary's.")
