"""Taking over sessions that match by name and carry a stamp that nobody serves: another registry's, or one of a lost ledger.

That nobody serves it can't be seen from here: it is the operator's word. So a wrong one must cost nothing. Where our registry
has the workspace's row the session gets our stamp, as in a full sweep. Where it has none the stamp is only taken off: ours
would say that this registry has known the workspace, and make an orphan of a stranger. A reaper that serves the stamp after
all marks what it knows again in its next full sweep.
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
from workspace_reaper.operations.sessions import own_owner_id, sockets_meant
from workspace_reaper.operations.wiring import Reaper
from workspace_reaper.policy.registry_identity import recognise
from workspace_reaper.sweep.report import printable

__all__ = ["Adoptable", "Found", "adopt", "find"]


@dataclass(frozen=True, slots=True)
class Adoptable:
    """A session with a stamp that is not ours. ``owner`` is that stamp; None: what it carries is no stamp of a reaper's, and it
    is left alone. ``has_row``: our registry has its workspace now; ``was_known``: it has known it."""

    session: Session
    workspace_id: str
    owner: str | None
    has_row: bool
    was_known: bool

    @property
    def key(self) -> SessionKey:
        """The session's identity."""
        return self.session.key


@dataclass(frozen=True, slots=True)
class Found:
    """What was looked for. ``unknown`` is what could not be read, where there may be more; ``registry`` is which
    one was asked, None where it could not be."""

    sessions: tuple[Adoptable, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    registry: tuple[object, ...] | None = None


@dataclass(slots=True)
class _SeenSession:
    sessions: list[tuple[Session, str]] = field(default_factory=list)
    owners: dict[SessionKey, str | None] = field(default_factory=dict)
    unknown: list[Unknown] = field(default_factory=list)


def find(reaper: Reaper, names: Collection[str] = (), socket: str | None = None) -> Found:
    """The sessions that may be adopted; with ``names`` (whole names, or ids such as ``$3``) those alone. Changes nothing.

    Raises ``LedgerError``, ``ConfigurationError`` for a ``socket`` that is not configured, and, with names, ``NoSuchSession``,
    ``AmbiguousSession``, and ``UnreadableSocket`` where not everything could be read.
    """
    terminals, owner_id = sockets_meant(reaper, socket), own_owner_id(reaper)
    seen = _SeenSession()
    for terminal in terminals:
        _look(reaper, terminal, owner_id, seen)
    if names:
        seen.sessions = _named(seen, names)
    ids = sorted({workspace_id for _, workspace_id in seen.sessions})
    with reaper.reading() as ledger:
        known = ledger.load_state(ids, reaper.parts.clock.now())
    rows = _ask(reaper, known, ids)
    if isinstance(rows, Unknown):
        return Found(unknown=(*seen.unknown, rows))
    _read_owners(terminals, seen)
    generation = recognise(known.registry, rows).generation
    found = (
        Adoptable(session, one, seen.owners[session.key], _has(rows, one), known.seen.get(one) == generation)
        for session, one in seen.sessions
        if session.key in seen.owners
    )
    return Found(tuple(found), tuple(seen.unknown), _identity(known, rows))


def adopt(reaper: Reaper, found: Found) -> frozenset[SessionKey]:
    """Take over exactly these sessions, each by its identity and with the stamp that was seen; which were. One of which the
    registry says something else by now is left, and so are all of them where it is another registry.

    The intent is in the ledger before the act, and what came of it afterwards. Raises ``LedgerError`` and ``SweepLocked``.
    """
    wanted = [one for one in found.sessions if one.owner is not None]
    if not wanted:
        return frozenset()
    now, ids = reaper.parts.clock.now(), sorted({one.workspace_id for one in wanted})
    with reaper.writing() as ledger:
        known = ledger.load_state(ids, now)
        rows = _ask(reaper, known, ids)
        if isinstance(rows, Unknown) or _identity(known, rows) != found.registry:
            return frozenset()
        same = [one for one in wanted if _has(rows, one.workspace_id) is one.has_row]
        _note(ledger, now, "adopting", same)
        owner_id = ledger.registry().owner_id
        taken: set[SessionKey] = set()
        for terminal in reaper.terminals:
            taken |= _take(terminal, [one for one in same if one.has_row], owner_id)
            taken |= _take(terminal, [one for one in same if not one.has_row], None)
        _note(ledger, now, "adopted", [one for one in same if one.key in taken])
    return frozenset(taken)


def _look(reaper: Reaper, terminal: Terminal, owner_id: str, seen: _SeenSession) -> None:
    listing = terminal.observe(owner_id, panes=False)
    if isinstance(listing, Unknown):
        seen.unknown.append(listing)
        return
    seen.unknown.extend(listing.unreadable)
    for session in listing.sessions:
        workspace_id = reaper.parts.names.workspace_id(terminal.socket, session.name)
        if workspace_id is not None and session.owner is Owner.FOREIGN:
            seen.sessions.append((session, workspace_id))


def _named(seen: _SeenSession, names: Collection[str]) -> list[tuple[Session, str]]:
    if seen.unknown:
        # What can't be read may have one of that name too.
        raise UnreadableSocket("; ".join(printable(one.reason) for one in seen.unknown))
    chosen: dict[SessionKey, tuple[Session, str]] = {}
    for name in names:
        meant = [one for one in seen.sessions if name in (one[0].name, printable(one[0].name), one[0].key.session_id)]
        if len(meant) > 1:
            places = ", ".join(f"{session.key.socket} ({session.key.session_id})" for session, _ in meant)
            raise AmbiguousSession(f"{printable(name)} names several sessions: {places}; say which with --socket, or by its id")
        if not meant:
            raise NoSuchSession(
                f"{printable(name)} is no session with another registry's stamp; 'adopt' alone shows all of them"
            )
        chosen[meant[0][0].key] = meant[0]
    return list(chosen.values())


def _ask(reaper: Reaper, known: LedgerState, ids: Sequence[str]) -> LookupResult | Unknown:
    return reaper.registry.look_up(ids, known.registry.identity.sentinels)


def _identity(known: LedgerState, rows: LookupResult) -> tuple[object, ...]:
    return (recognise(known.registry, rows).generation, rows.identity.location, rows.identity.schema)


def _has(rows: LookupResult, workspace_id: str) -> bool:
    row = rows.found.get(workspace_id)
    return row is not None and not row.deleted


def _read_owners(terminals: Sequence[Terminal], seen: _SeenSession) -> None:
    for terminal in terminals:
        owners = terminal.owners([session.key for session, _ in seen.sessions if session.key.socket == terminal.socket])
        if isinstance(owners, Unknown):
            seen.unknown.append(owners)
        else:
            seen.owners.update(owners)


def _take(terminal: Terminal, sessions: Sequence[Adoptable], owner_id: str | None) -> frozenset[SessionKey]:
    here = {one.key: one.owner for one in sessions if one.owner is not None and one.key.socket == terminal.socket}
    return terminal.adopt(here, owner_id)


def _note(ledger: Ledger, now: float, kind: str, sessions: Sequence[Adoptable]) -> None:
    """An event. What was seen of these while another owned them is forgotten: their confirmations begin anew."""
    told = ", ".join(f"{printable(one.session.name)} ({one.key.session_id}, stamp {one.owner})" for one in sessions) or "none"
    forgotten = frozenset((one.key, Finding.ORPHAN) for one in sessions)
    ledger.save(StateChanges(events=(Event(now, kind, told),), forgotten=forgotten))
