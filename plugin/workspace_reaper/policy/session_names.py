"""Which sessions are managed: those on a configured socket that carry our marks, that a row names, or whose name yields a
workspace id. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from workspace_reaper.model.session import Owner, Session
from workspace_reaper.model.workspace import RecordedSession
from workspace_reaper.policy.marks import is_marked, mark_of, marked_workspace

# The number of names whose result is cached (3 MB).
_KNOWN = 10_000


class Naming(NamedTuple):
    """What the name of a session says about the workspace that it belongs to.

    Attributes:
        is_own: The name yields this workspace.
        is_recorded: The workspace's row names the session.
        others: The other workspaces that the name yields, or may yield.
        is_silent: The name yields none of the others for certain.
    """

    is_own: bool = True
    is_recorded: bool = False
    others: tuple[str, ...] = ()
    is_silent: bool = False


# Only the pattern yields the workspace, and no other one, as where the host does not record the names.
PLAIN = Naming()


class SessionMatcher:
    """The configured sockets with their session patterns (regular expressions with a group ``id``).

    ``canonical`` returns the canonical workspace id for what the group matched, or None if it is not an id.
    ``records_sessions``: the rows of the registry name sessions. Then `with_record` adds what they say, which comes before the
    patterns.
    """

    def __init__(
        self,
        patterns: Mapping[str, Sequence[str]],
        canonical: Callable[[str], str | None],
        *,
        records_sessions: bool = False,
    ) -> None:
        self.records_sessions = records_sessions
        self._record: Mapping[str, Sequence[RecordedSession]] = {}
        self._patterns = {socket: [re.compile(pattern) for pattern in some] for socket, some in patterns.items()}
        self._canonical = canonical
        self._known: dict[tuple[str, str], str | None] = {}
        self._digests: dict[str, str] = {}

    def with_record(self, of: Mapping[str, Sequence[RecordedSession]]) -> SessionMatcher:
        """Return a matcher that also knows which rows name these sessions (see ``LookupResult.of``)."""
        if not of:
            return self
        extended = copy.copy(self)  # with the same caches
        extended._record = {**self._record, **of}
        return extended

    def workspace_ids(self, socket: str, name: str) -> tuple[str, ...]:
        """Return the workspaces that a session of this name on this socket belongs to: those whose rows name it, several if
        these contradict each other, or else the one that a pattern yields."""
        recorded = self._recorded(socket, name)
        # A row that is marked deleted may have been left behind by one that has the session now.
        by_row = _certain(recorded) or {one.workspace_id for one in recorded if one.is_certain}
        if by_row:
            return tuple(sorted(by_row))
        by_pattern = self._by_pattern(socket, name)
        return () if by_pattern is None else (by_pattern,)

    def _recorded(self, socket: str, name: str) -> Sequence[RecordedSession]:
        return self._record.get(name, ()) if socket in self._patterns else ()

    def _by_pattern(self, socket: str, name: str) -> str | None:
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
        """Return the workspace of the session, of any owner: that of its marks, or else the first one that its name yields.

        A renamed session keeps its workspace. None for a renamed one whose mark is the digest of an id that was not learned.
        """
        all_named = self.named(session)
        named = next(iter(all_named), None)
        if not is_marked(session):
            return named
        for one in all_named:
            if session.workspace_mark == mark_of(one):
                return one
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

    def named(self, session: Session) -> tuple[str, ...]:
        """Return the workspaces that the session's name yields."""
        return self.workspace_ids(session.key.socket, session.name)

    def naming(self, session: Session, workspace_id: str) -> Naming:
        """Return what the session's name says about the workspace that it belongs to.

        A row with a similar name may mean the session, unless another one has the very name.
        """
        named, recorded = self.named(session), self._recorded(session.key.socket, session.name)
        if not recorded and named == (workspace_id,):
            return PLAIN
        by_row = {one.workspace_id for one in recorded if one.is_certain}
        others = _certain(recorded) if by_row else set(named)
        similar = set() if others else {one.workspace_id for one in recorded if not one.deleted}
        return Naming(
            is_own=workspace_id in named,
            is_recorded=workspace_id in by_row,
            others=tuple(sorted((others | similar) - {workspace_id})),
            is_silent=not others - {workspace_id},
        )

    def _match(self, socket: str, name: str) -> str | None:
        for pattern in self._patterns.get(socket, ()):
            match = pattern.fullmatch(name)
            workspace_id = self._canonical(match["id"]) if match and match["id"] else None
            if workspace_id is not None:
                return workspace_id
        return None


def _certain(recorded: Sequence[RecordedSession]) -> set[str]:
    """Return the workspaces whose rows have the very name and are not marked deleted."""
    return {one.workspace_id for one in recorded if one.is_certain and not one.deleted}
