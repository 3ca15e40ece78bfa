"""Which sessions are managed: whose whole name, on whose socket, yields a workspace id. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from workspace_reaper.model.session import Owner, Session

__all__ = ["SessionMatcher"]

_KNOWN = 10_000
"""So many names are remembered with what they yield, which takes 3 MB: of those that come and go nobody asks again."""


class SessionMatcher:
    """The configured sockets with their session patterns (regular expressions with a group ``id``).

    ``canonical`` turns what the group caught into the canonical text of a workspace id, or None if it can't be one.
    """

    def __init__(self, patterns: Mapping[str, Sequence[str]], canonical: Callable[[str], str | None]) -> None:
        self._patterns = {socket: [re.compile(pattern) for pattern in some] for socket, some in patterns.items()}
        self._canonical = canonical
        self._known: dict[tuple[str, str], str | None] = {}

    def workspace_id(self, socket: str, name: str) -> str | None:
        """The workspace that a session of this name on this socket belongs to, or None."""
        at = (socket, name)
        if at not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[at] = self._match(socket, name)
        return self._known[at]

    def manages(self, session: Session) -> str | None:
        """The workspace of a session that is ours to judge; None for every other session, and for another registry's."""
        return None if session.owner is Owner.FOREIGN else self.workspace_id(session.key.socket, session.name)

    def _match(self, socket: str, name: str) -> str | None:
        for pattern in self._patterns.get(socket, ()):
            match = pattern.fullmatch(name)
            workspace_id = self._canonical(match["id"]) if match and match["id"] else None
            if workspace_id is not None:
                return workspace_id
        return None
