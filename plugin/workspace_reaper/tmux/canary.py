"""A throwaway session of our own on a socket where other people's sessions live.

All commands go through standard input of ``source-file -``: that never starts a server where none runs, in any version, and
what a client that was killed by our time limit was told never happens later (measured on tmux 3.3a). Its pane ignores the
hangup, so that there is something for the reaper to end, and ends by itself whatever becomes of us.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workspace_reaper.model.session import NO_OWNER, Listing, Session, SessionKey
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.tmux.client import LIMIT
from workspace_reaper.tmux.commands import check_owner_id, end_line
from workspace_reaper.tmux.responses import advice
from workspace_reaper.tmux.terminal import TmuxTerminal

__all__ = ["LIFETIME", "PREFIX", "CanaryTerminal"]

PREFIX = "workspace-reaper-canary-"
LIFETIME = 300
"""Seconds after which the session ends by itself."""

_LOOKS_FOR = 1.0
"""Seconds to look for a session whose making was interrupted: the server may not have got to it yet."""
_GLANCE = 0.02

_NAME = re.compile(rf"{PREFIX}[0-9A-Za-z-]+")
_MADE_FORMAT = "#{session_id} #{pid} #{start_time} #{session_created} #{pane_pid}"
_MADE = re.compile(r"(\$[0-9]+) ([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+)\n")
_PROGRAM = f"""/bin/sh -c 'trap "" HUP; exec sleep {LIFETIME}'"""


class CanaryTerminal(TmuxTerminal):
    """The socket at an absolute path, and on it one session with a name that nobody ever had. What changes anything is refused
    for every other session. ``may_live`` tells whether there may be a process with that pid; ``runs`` is called with the pid of
    its pane as soon as that is known."""

    def __init__(
        self, socket: str, name: str, *, may_live: Callable[[int], bool], runs: Callable[[int], None], limit: float = LIMIT
    ) -> None:
        super().__init__(socket, limit=limit)
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a canary.")
        self._name = name
        self._may_live = may_live
        self._runs = runs
        self._asked = False
        self.key: SessionKey | None = None
        """Its identity, once tmux has told it."""

    @property
    def name(self) -> str:
        """The session's name."""
        return self._name

    @contextmanager
    def session(self, owner_id: str) -> Iterator[Unknown | None]:
        """Make the session, already owned by ``owner_id``: from its first instant on nobody else may judge it. Gives why that
        failed, if it did. Whatever is left of it at the end of the block is ended, and then ``is_left`` says whether that
        worked."""
        try:
            yield self._make(owner_id)
        finally:
            self._asked = self._asked and not self._end()

    @property
    def is_left(self) -> bool:
        """It was made, and nobody has seen it gone."""
        return self._asked

    def find(self) -> Session | Unknown | None:
        """The session as it is now; None if it certainly is not there."""
        listing = self.observe(NO_OWNER)
        if isinstance(listing, Unknown):
            return listing
        found = next((one for one in listing.sessions if self._is_it(one)), None)
        if found is not None:
            if self.key is None:
                self._remember(found.key, next((pane.pid for pane in found.panes if not pane.dead), None))
            return found
        return self._why_hidden(listing)

    def _why_hidden(self, listing: Listing) -> Unknown | None:
        own = (self._name, self.key.session_id if self.key else None)
        for unreadable in listing.unreadable:
            # A row without a readable name is called by its id: before ours is known it may be ours.
            if unreadable.session in own or (self.key is None and (unreadable.session or "$").startswith("$")):
                return unreadable
        if not listing.answered and self.key is not None and self._may_live(self.key.server_pid):
            return Unknown(Source.SOCKET, f"Nobody listens on {self.socket} any more, yet its server lives.", self.socket)
        return None

    def _is_it(self, session: Session) -> bool:
        return session.name == self._name if self.key is None else session.key == self.key

    def _make(self, owner_id: str) -> Unknown | None:
        mine = f"'={self._name}:'"  # the id is not known before, and this name is ours alone
        lines = (
            f"new-session -d -P -F '{_MADE_FORMAT}' -s {self._name} -n canary -x 80 -y 24 -c / -- {_PROGRAM}",
            f"set-option -t {mine} @workspace_owner {check_owner_id(owner_id)}",
            # Where the user's own options say otherwise it would outlive its program, or not even wait for it.
            f"set-option -w -t {mine} remain-on-exit off",
            f"set-option -t {mine} destroy-unattached off",
        )
        self._asked = True
        completed = self._source([f"{line}\n" for line in lines]).completed
        made = _MADE.match(completed.stdout)
        if made is not None:
            self._remember(SessionKey(self.socket, int(made[2]), int(made[3]), made[1], int(made[4])), int(made[5]))
        if made is None or completed.failure is not None or completed.exit_code != 0 or completed.stderr:
            return self._unknown(advice(completed))
        return None

    def _remember(self, key: SessionKey, pid: int | None) -> None:
        self.key = key
        if pid is not None:
            self._runs(pid)

    def _end(self) -> bool:
        """End it by its identity, whatever was done to it; whether it certainly is gone."""
        was_told = self.key is not None
        until = time.monotonic() + _LOOKS_FOR
        while True:
            found = self.find()
            is_late = time.monotonic() > until
            if found is None and (was_told or is_late):
                return True
            if is_late:
                return False
            if isinstance(found, Session):
                was_told = True
                self._source([end_line(found.key)])
            else:
                time.sleep(_GLANCE)

    def _check_socket(self, key: SessionKey) -> None:
        super()._check_socket(key)
        if key != self.key:
            raise ValueError(f"The session {key.session_id} is not ours to touch.")
