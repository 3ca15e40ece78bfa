"""Looks up one session, explains it, and keeps it; reads the history; releases the breaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from workspace_reaper.model.errors import AmbiguousSession, ConfigurationError, NoSuchSession, UnreadableSocket
from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.session import Listing, Owner, Session
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.policy.marks import LONGEST, is_marked
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.explain import Explanation, explain, explain_unmanaged
from workspace_reaper.sweep.observe import listed_names, with_record
from workspace_reaper.sweep.report import SessionReport, printable
from workspace_reaper.tmux.sockets import socket_path


@dataclass(frozen=True, slots=True)
class _Match:
    terminal: Terminal
    session: Session
    workspace_id: str | None


@dataclass(slots=True)
class _Search:
    """One search for a session. ``unknown`` is what could not be read, and may be or hide the session."""

    name: str
    matches: list[_Match] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)

    @property
    def unreadable_row(self) -> Unknown | None:
        """The row of the one session of that name, if a field of it cannot be read."""
        if self.matches or len(self.unknown) != 1:
            return None
        [row] = self.unknown
        return row if row.session is not None and self.name in (row.session, printable(row.session)) else None


def explain_session(reaper: Reaper, name: str, socket: str | None = None) -> Explanation:
    """Explain why this session is kept, held or reaped, by a dry sweep.

    Args:
        reaper: The reaper that is asked.
        name: The whole name of a session, or its id (``$3``).
        socket: A configured socket: its name or its path.

    Raises:
        NoSuchSession: There is no such session.
        AmbiguousSession: Sessions on several sockets match.
        UnreadableSocket: What could not be read may be the session.
        LedgerError: The ledger cannot be read.
        ConfigurationError: The socket is not configured.
    """
    search = _search(reaper, name, socket)
    row = search.unreadable_row
    if row is not None and row.socket is not None and row.session is not None:
        return _explain(reaper, row.socket, row.session, None)
    match = _only_match(reaper, search)
    if match.workspace_id is None:
        return explain_unmanaged(match.session, _why_unmanaged(match.session))
    return _explain(reaper, match.terminal.socket, match.session.name, match)


def _explain(reaper: Reaper, socket: str, name: str, match: _Match | None) -> Explanation:
    """Explain by a whole dry sweep. ``match`` is what the search has read, if it could read the row."""
    with reaper.reading() as ledger:
        report = reaper.run(SweepRequest(dry_run=True), ledger)
    unknown = [one for one in report.unknown if one.socket in (None, socket)]
    session = match.session if match else None
    entry = next((entry for entry in report.sessions if _is_same(entry, socket, name, session)), None)
    if entry is None and match and match.workspace_id and any(one.source is Source.LEDGER for one in unknown):
        # The sweep ended before it listed the sessions.
        key = match.session.key
        entry = SessionReport(
            socket, name, key.session_id, match.workspace_id, Verdict.HOLD, protected_by=Source.LEDGER.value, key=key
        )
    if entry is None and unknown:
        raise UnreadableSocket(_reasons(unknown))
    if entry is None:
        raise NoSuchSession(f"the session {printable(name)} ended while it was looked at")
    return explain(entry, reaper.sweep_settings.thresholds, session, unknown)


def _is_same(entry: SessionReport, socket: str, name: str, session: Session | None) -> bool:
    if session is not None and entry.key is not None:
        return entry.key == session.key
    return (entry.socket, entry.session) == (socket, name)


def keep_session(reaper: Reaper, name: str, socket: str | None = None, *, on: bool) -> Session:
    """Keep this session whatever happens to its workspace (``on``), or stop keeping it.

    Raises as ``explain_session`` does. An unmanaged session raises ``NoSuchSession``: its options are not changed.
    """
    match = _only_match(reaper, _search(reaper, name, socket))
    if match.workspace_id is None:
        why = _why_unmanaged(match.session)
        raise NoSuchSession(f"{printable(name)} is not managed ({why}): it is never reaped, and its options are not changed")
    if not match.terminal.keep(match.session.key, on=on):
        raise NoSuchSession(f"the session {printable(name)} has ended, or tmux did not answer: try again")
    return match.session


def _why_unmanaged(session: Session) -> str:
    if session.owner is Owner.FOREIGN:
        return "it carries another reaper's owner mark"
    if is_marked(session):
        return "the workspace of its marks is unknown"
    return "its name matches no configured pattern on this socket, and it carries no marks of this reaper"


def _search(reaper: Reaper, name: str, socket: str | None) -> _Search:
    """Search one configured socket, or all, for a session."""
    search, mark = _Search(name), own_owner_id(reaper)
    for terminal in selected_terminals(reaper, socket):
        listing = terminal.observe(mark)
        if isinstance(listing, Unknown):
            search.unknown.append(listing)
            continue
        matcher = matcher_for(reaper, listing)
        here = [
            _Match(terminal, session, matcher.manages(session))
            for session in listing.sessions
            if name in (session.name, printable(session.name), session.key.session_id)
        ]
        search.matches.extend(here)
        if not here:
            search.unknown.extend(listing.unreadable)
    return search


def _only_match(reaper: Reaper, search: _Search) -> _Match:
    """Return the one match. What could not be read may be another match, so it is an error and not an absence."""
    name = printable(search.name)
    if search.unknown:
        hint = "; another socket has a session of that name: use --socket to choose it" if search.matches else ""
        raise UnreadableSocket(_reasons(search.unknown) + hint)
    if len(search.matches) > 1:
        places = ", ".join(f"{one.session.key.socket} ({one.session.key.session_id})" for one in search.matches)
        raise AmbiguousSession(f"{name} matches several sessions: {places}; use --socket, or the session's id")
    if not search.matches:
        sockets = ", ".join(terminal.socket for terminal in reaper.terminals)
        raise NoSuchSession(f"no session {name} on {sockets}; 'status' lists the managed sessions")
    return search.matches[0]


def _reasons(unknown: Sequence[Unknown]) -> str:
    return "; ".join(printable(one.reason) for one in unknown)


def selected_terminals(reaper: Reaper, socket: str | None) -> Sequence[Terminal]:
    """Return all terminals, or the one of ``socket``: its path, its name as for ``tmux -L``, or the name of its file.

    Raises ``ConfigurationError`` if it is not configured.
    """
    if socket is None:
        return reaper.terminals
    try:
        path = socket_path(socket)
    except ConfigurationError:  # The name of the file may contain the escapes that our tables print.
        path = socket
    exact = [terminal for terminal in reaper.terminals if terminal.socket == path or printable(terminal.socket) == socket]
    named = [terminal for terminal in reaper.terminals if printable(PurePath(terminal.socket).name) == printable(socket)]
    chosen = exact or named
    if len(chosen) != 1:
        what = "matches several configured sockets" if chosen else "is not a configured socket"
        sockets = ", ".join(printable(terminal.socket) for terminal in reaper.terminals)
        raise ConfigurationError(f"--socket {printable(socket)} {what}; configured: {sockets}")
    return chosen


def matcher_for(reaper: Reaper, listing: Listing) -> SessionMatcher:
    """Return the matcher that knows which of the listed sessions the rows name. While the registry cannot be read, only marks
    and patterns count."""
    matcher = reaper.dependencies.matcher
    extended = with_record(matcher, reaper.registry, listed_names(listing))
    return matcher if isinstance(extended, Unknown) else extended


def own_owner_id(reaper: Reaper) -> str:
    """Return the owner mark of this reaper's registry, and let the matcher learn the ids that it cannot read from marks.

    Raises ``LedgerError``: without the ledger, our own mark is unknown. Before the first sweep no session carries it.
    """
    with reaper.reading() as ledger:
        reaper.dependencies.matcher.learn(ledger.longer_ids(LONGEST))
        return ledger.registry().owner_id
