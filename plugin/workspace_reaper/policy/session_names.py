"""Which sessions are managed: those on a configured socket that carry our marks, or whose name yields a workspace id. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from workspace_reaper.model.session import Owner, Session
from workspace_reaper.policy.marks import is_marked, mark_of, marked_workspace

# The number of names whose result is cached (3 MB).
_KNOWN = 10_000


class SessionMatcher:
    """The configured sockets with their session patterns (regular expressions with a group ``id``).

    ``canonical`` returns the canonical workspace id for what the group matched, or None if it is not an id.
    """

    def __init__(self, patterns: Mapping[str, Sequence[str]], canonical: Callable[[str], str | None]) -> None:
        self._patterns = {socket: [re.compile(pattern) for pattern in some] for socket, some in patterns.items()}
        self._canonical = canonical
        self._known: dict[tuple[str, str], str | None] = {}
        self._digests: dict[str, str] = {}

    def workspace_id(self, socket: str, name: str) -> str | None:
        """Return the workspace that a session of this name on this socket belongs to, or None."""
        at = (socket, name)
        if at not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[at] = self._match(socket, name)
        return self._known[at]

    def manages(self, session: Session) -> str | None:
        """Return the workspace of a managed session; None for all others and for those of another registry."""
        return None if session.owner is Owner.FOREIGN else self.belongs_to(session)

    def belongs_to(self, session: Session) -> str | None:
        """Return the workspace of the session, of any owner: that of its marks, or else the one that its name yields.

        A renamed session keeps its workspace. None for a renamed one whose mark is the digest of an id that was not learned.
        """
        named = self.named(session)
        if not is_marked(session) or (named is not None and session.workspace_mark == mark_of(named)):
            return named
        marked = marked_workspace(session) or self._digests.get(session.workspace_mark)
        if session.key.socket not in self._patterns or marked is None:
            return None
        return marked if self._canonical(marked) == marked else named

    def learn(self, long_ids: Collection[str]) -> None:
        """From now on, recognise these ids in marks that are digests."""
        self._digests.update((mark_of(one), one) for one in long_ids)

    def is_lost(self, session: Session) -> bool:
        """Return whether our registry marked the session, and the workspace of its marks is unknown."""
        return session.owner is Owner.OURS and is_marked(session) and self.belongs_to(session) is None

    def named(self, session: Session) -> str | None:
        """Return the workspace that the session's name yields, or None."""
        return self.workspace_id(session.key.socket, session.name)

    def _match(self, socket: str, name: str) -> str | None:
        for pattern in self._patterns.get(socket, ()):
            match = pattern.fullmatch(name)
            workspace_id = self._canonical(match["id"]) if match and match["id"] else None
            if workspace_id is not None:
                return workspace_id
        return None
