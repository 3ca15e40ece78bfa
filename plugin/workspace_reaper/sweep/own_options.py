"""Which options of ours a session has itself, and which it only seems to have.

In a format, an option of the server, a pane, a window or all sessions takes the place of the session's own: a careless
``set -g @workspace_owner x`` seems to give every session to another reaper, and an empty ``@reaper_keep`` of a window hides
that a session is kept. No format tells them apart, so tmux is asked about the sessions where it matters: those that are kept,
that another reaper owns, whose name and marks disagree or yield no workspace, or that are about to be killed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.session import Listing, Owner, Session, SessionKey
from workspace_reaper.policy.session_names import SessionMatcher

_KEEP, _OWNER, _WORKSPACE, _SELF = "@reaper_keep", "@workspace_owner", "@reaper_workspace", "@reaper_self"

# A listing shows a dot for each such character.
_ODD = re.compile("[^0-9a-f]")

# What a listing shows of the options. The answer about a session is asked for again once this changes.
_Shown: TypeAlias = "tuple[bool, str, str, bool]"

# The sessions that one listing asks about. One takes 0.1 ms on tmux 3.3a, and 5 ms on 3.8.
ASKED_AT_ONCE = 50


@dataclass(slots=True)
class OwnOptions:
    """What tmux has said about the sessions, from one listing to the next."""

    _known: dict[SessionKey, tuple[_Shown, Mapping[str, str]]] = field(default_factory=dict)

    def ask(self, terminal: Terminal, listing: Listing, matcher: SessionMatcher) -> None:
        """Ask about the sessions of which this matters and is not known. Until then, what the listing shows counts.

        Those that only seem to have an option are asked about again, the one that was asked about first before the others: the
        answer may have been garbled, and the alarm must end.
        """
        doubtful = [session for session in listing.sessions if _matters(session, matcher) or self._inherited(session)]
        listed = {session.key for session in doubtful}
        for gone in [key for key in self._known if key.socket == listing.socket and key not in listed]:
            del self._known[gone]
        shown = {session.key: _shown(session) for session in doubtful}
        unknown = [session.key for session in doubtful if self._answer(session) is None]
        wrong = {session.key for session in doubtful if self._inherited(session)}
        self._ask(terminal, shown, [*unknown, *(key for key in self._known if key in wrong)][:ASKED_AT_ONCE])

    def ask_about(self, terminal: Terminal, sessions: Collection[Session]) -> None:
        """Ask about these sessions, as a listing showed them, unless their own options are known."""
        shown = {session.key: _shown(session) for session in sessions if not session.inherited}
        self._ask(terminal, shown, [session.key for session in sessions if not self.knows(session)])

    def knows(self, session: Session) -> bool:
        """Return whether it is known which options this session of a corrected listing has itself."""
        return bool(session.inherited) or self._answer(session) is not None

    def _ask(self, terminal: Terminal, shown: Mapping[SessionKey, _Shown], keys: Collection[SessionKey]) -> None:
        if keys:
            for key, options in terminal.own_options(keys).items():
                self._known.pop(key, None)
                self._known[key] = shown[key], options

    def correct(self, listing: Listing, owner_id: str) -> Listing:
        """Return the listing with the session's own options. ``owner_id`` is ours."""
        if not self._known:
            return listing
        return replace(listing, sessions=tuple(self._corrected(session, owner_id) for session in listing.sessions))

    def _corrected(self, session: Session, owner_id: str) -> Session:
        inherited, options = self._inherited(session), self._answer(session)
        if not inherited or options is None:
            return session
        owner, mark = options.get(_OWNER, ""), options.get(_WORKSPACE, "")
        return replace(
            session,
            owner=Owner.OURS if owner == owner_id else Owner.FOREIGN if owner else Owner.NONE,
            owner_id=owner,
            workspace_mark=mark,
            is_self_marked=_SELF in options,
            # What is inherited keeps it, too: that is the safe side.
            kept=session.kept or bool(options.get(_KEEP)),
            inherited=inherited,
        )

    def _inherited(self, session: Session) -> frozenset[str]:
        """Return the options that the session only seems to have, or whose values are not its own. Empty if that is unknown."""
        options = self._answer(session)
        if options is None:
            return frozenset()
        own = {name: _ODD.sub(".", options.get(name, "")) for name in (_OWNER, _WORKSPACE)}
        shown = {_OWNER: session.owner_id, _WORKSPACE: session.workspace_mark}
        differing = {name for name, value in own.items() if shown[name] != value}
        differing |= {_SELF} if session.is_self_marked != (_SELF in options) else set()
        return frozenset(differing | ({_KEEP} if session.kept != bool(options.get(_KEEP)) else set()))

    def _answer(self, session: Session) -> Mapping[str, str] | None:
        known = self._known.get(session.key)
        return known[1] if known is not None and known[0] == _shown(session) else None


def with_own_options(terminal: Terminal, listing: Listing, owner_id: str, matcher: SessionMatcher) -> Listing:
    """Return the listing with the sessions' own options, for a caller that lists once: tmux is asked about all that matter."""
    own = OwnOptions()
    for _ in range(0, len(listing.sessions), ASKED_AT_ONCE):
        own.ask(terminal, listing, matcher)
    return own.correct(listing, owner_id)


def _shown(session: Session) -> _Shown:
    return (session.kept, session.owner_id, session.workspace_mark, session.is_self_marked)


def _matters(session: Session, matcher: SessionMatcher) -> bool:
    if session.owner is Owner.FOREIGN:
        return bool(matcher.named(session))
    belongs_to = matcher.belongs_to(session)
    if belongs_to is None:
        return matcher.is_lost(session)
    return session.kept or belongs_to not in matcher.named(session)
