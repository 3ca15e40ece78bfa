"""Takes over sessions that match by name and carry an owner mark that no reaper serves any more.

Whether a reaper serves a mark cannot be seen from here: the operator decides that. A wrong decision must cost nothing. If our
registry has the session's row, the session gets our marks, as in a full sweep. Otherwise the marks are only removed: ours would
say that our registry has known the workspace, and make the session an orphan. A reaper that does serve the removed marks sets
them again in its next full sweep.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from workspace_reaper.model.errors import AmbiguousSession, NoSuchSession, UnreadableSocket
from workspace_reaper.model.ports import Ledger, Terminal
from workspace_reaper.model.session import Owner, Session, SessionKey
from workspace_reaper.model.state import Event, Finding, LedgerState, StateChanges
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.sessions import matcher_for, own_owner_id, selected_terminals
from workspace_reaper.policy.marks import mark_of
from workspace_reaper.policy.registry_identity import recognise
from workspace_reaper.sweep.report import printable


@dataclass(frozen=True, slots=True)
class Adoptable:
    """A session with another owner mark.

    ``owner`` is the mark, or None if no reaper can have set it: then the session is left alone. ``has_row``: our registry has
    the workspace now. ``was_known``: our registry has known the workspace.
    """

    session: Session
    workspace_id: str
    owner: str | None
    has_row: bool
    was_known: bool

    @property
    def key(self) -> SessionKey:
        """The identity of the session."""
        return self.session.key


@dataclass(frozen=True, slots=True)
class AdoptableSessions:
    """The sessions that were found. ``unknown`` is what could not be read. ``registry`` identifies the registry that was asked,
    None if it could not be read."""

    sessions: tuple[Adoptable, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    registry: tuple[object, ...] | None = None


@dataclass(slots=True)
class _AdoptSearch:
    sessions: list[tuple[Session, str]] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)


def find(reaper: Reaper, names: Collection[str] = (), socket: str | None = None) -> AdoptableSessions:
    """Return the sessions that may be adopted. Changes nothing.

    Args:
        reaper: The reaper that would take them over.
        names: Only these sessions: whole names, or ids such as ``$3``.
        socket: Only this configured socket.

    Raises:
        LedgerError: The ledger cannot be read.
        ConfigurationError: The socket is not configured.
        NoSuchSession: A name matches no such session.
        AmbiguousSession: A name matches several sessions.
        UnreadableSocket: Names were given, and something could not be read.
    """
    terminals, mark = selected_terminals(reaper, socket), own_owner_id(reaper)
    search = _AdoptSearch()
    for terminal in terminals:
        _list(reaper, terminal, mark, search)
    if names:
        search.sessions = _named(search, names)
    ids = sorted({workspace_id for _, workspace_id in search.sessions})
    with reaper.reading() as ledger:
        known = ledger.load_state(ids, reaper.clock.now())
    rows = reaper.registry.look_up(ids, known.registry.identity.sentinels)
    if isinstance(rows, Unknown):
        return AdoptableSessions(unknown=(*search.unknown, rows))
    generation = recognise(known.registry, rows).generation
    found = (
        Adoptable(session, one, _owner(session), _has_row(rows, one), known.seen.get(one) == generation)
        for session, one in search.sessions
    )
    return AdoptableSessions(tuple(found), tuple(search.unknown), _identity(known, rows))


def adopt(reaper: Reaper, found: AdoptableSessions) -> frozenset[SessionKey]:
    """Take over exactly these sessions, and return those that were taken over.

    A session is left alone if its identity, its mark or its row has changed since ``find``. All are left alone if the registry
    has changed. The intent is in the ledger before the act, and the result afterwards. Raises ``LedgerError`` and
    ``SweepLocked``.
    """
    wanted = [one for one in found.sessions if one.owner is not None]
    if not wanted:
        return frozenset()
    now, ids = reaper.clock.now(), sorted({one.workspace_id for one in wanted})
    with reaper.writing() as ledger:
        known = ledger.load_state(ids, now)
        rows = reaper.registry.look_up(ids, known.registry.identity.sentinels)
        if isinstance(rows, Unknown) or _identity(known, rows) != found.registry:
            return frozenset()
        same = [one for one in wanted if _has_row(rows, one.workspace_id) is one.has_row]
        _record(ledger, now, "adopting", same)
        taken: set[SessionKey] = set()
        for terminal in reaper.terminals:
            taken |= _take(terminal, [one for one in same if one.key.socket == terminal.socket], known.registry.owner_id)
        _record(ledger, now, "adopted", [one for one in same if one.key in taken])
    return frozenset(taken)


def _list(reaper: Reaper, terminal: Terminal, mark: str, search: _AdoptSearch) -> None:
    listing = terminal.observe(mark, panes=False)
    if isinstance(listing, Unknown):
        search.unknown.append(listing)
        return
    search.unknown.extend(listing.unreadable)
    matcher = matcher_for(reaper, listing)
    for session in listing.sessions:
        workspace_id = matcher.belongs_to(session)
        if workspace_id is not None and session.owner is Owner.FOREIGN:
            search.sessions.append((session, workspace_id))


def _named(search: _AdoptSearch, names: Collection[str]) -> list[tuple[Session, str]]:
    if search.unknown:
        # What could not be read may contain a session of that name.
        raise UnreadableSocket("; ".join(printable(one.reason) for one in search.unknown))
    chosen: dict[SessionKey, tuple[Session, str]] = {}
    for name in names:
        meant = [one for one in search.sessions if name in (one[0].name, printable(one[0].name), one[0].key.session_id)]
        if len(meant) > 1:
            places = ", ".join(f"{session.key.socket} ({session.key.session_id})" for session, _ in meant)
            raise AmbiguousSession(f"{printable(name)} matches several sessions: {places}; use --socket, or the session's id")
        if not meant:
            raise NoSuchSession(
                f"no session {printable(name)} carries another reaper's owner mark; 'adopt' without a name lists all that do"
            )
        chosen[meant[0][0].key] = meant[0]
    return list(chosen.values())


def _identity(known: LedgerState, rows: LookupResult) -> tuple[object, ...]:
    return (recognise(known.registry, rows).generation, rows.identity.location, rows.identity.schema)


def _has_row(rows: LookupResult, workspace_id: str) -> bool:
    row = rows.found.get(workspace_id)
    return row is not None and not row.deleted


def _owner(session: Session) -> str | None:
    """Return the owner mark, or None for a value that no reaper sets."""
    return None if "." in session.owner_id else session.owner_id


def _take(terminal: Terminal, sessions: Sequence[Adoptable], owner_id: str) -> frozenset[SessionKey]:
    taken: set[SessionKey] = set()
    for seen in {one.owner for one in sessions if one.owner is not None}:
        theirs = [one for one in sessions if one.owner == seen]
        taken |= terminal.adopt({one.key: mark_of(one.workspace_id) for one in theirs if one.has_row}, seen, owner_id)
        taken |= terminal.release([one.key for one in theirs if not one.has_row], seen)
    return frozenset(taken)


def _record(ledger: Ledger, now: float, kind: str, sessions: Sequence[Adoptable]) -> None:
    """Record an event, and forget what was found while another reaper owned the sessions: their confirmations start again."""
    names = ", ".join(f"{printable(one.session.name)} ({one.key.session_id}, owner {one.owner})" for one in sessions)
    forgotten = frozenset((one.key, Finding.ORPHAN) for one in sessions)
    ledger.save(StateChanges(events=(Event(now, kind, names or "none"),), forgotten=forgotten))
