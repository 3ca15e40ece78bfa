"""What an operator does by hand: look at one session, keep it, read the history, free the breaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from workspace_reaper.model.errors import AmbiguousSession, ConfigurationError, NoSuchSession, UnreadableSocket
from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.reap import Reap
from workspace_reaper.model.session import Owner, Session
from workspace_reaper.model.state import BreakerState, Event, StateChanges
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.operations.status import Status, read_status
from workspace_reaper.operations.wiring import Reaper
from workspace_reaper.policy import breaker
from workspace_reaper.sweep.alarms import changes
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.explain import Explanation, explain, explain_unmanaged
from workspace_reaper.sweep.record import tell
from workspace_reaper.sweep.report import SessionReport, SweepReport, printable
from workspace_reaper.tmux import socket_path

__all__ = [
    "breaker_state",
    "explain_session",
    "history",
    "keep_session",
    "own_owner_id",
    "reset_breaker",
    "sockets_meant",
    "status",
]


@dataclass(frozen=True, slots=True)
class _Found:
    terminal: Terminal
    session: Session
    workspace_id: str | None


@dataclass(slots=True)
class _Look:
    """One look for a session. ``unknown`` is all that could not be read and may be the session, or hide it."""

    name: str
    found: list[_Found] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)

    @property
    def unreadable_row(self) -> Unknown | None:
        """The row of the one session of that name, where a field of it can't be read."""
        if self.found or len(self.unknown) != 1:
            return None
        [row] = self.unknown
        return row if row.session is not None and self.name in (row.session, printable(row.session)) else None


def status(reaper: Reaper) -> Status:
    """How the reaper is, by its ledger. Raises ``LedgerError``."""
    settings = reaper.settings
    with reaper.reading() as ledger:
        now = reaper.parts.clock.now()
        return read_status(
            ledger,
            tick=settings.tick,
            enabled=settings.enabled,
            now=now,
            configured=settings.configured,
            undo_window=settings.undo_window,
        )


def history(reaper: Reaper, limit: int) -> list[Reap]:
    """The latest reaps, newest first. Raises ``LedgerError``."""
    with reaper.reading() as ledger:
        return ledger.history(limit)


def explain_session(reaper: Reaper, name: str, socket: str | None = None) -> Explanation:
    """Why this session lives or goes, as a dry sweep has it now. ``name`` is a session's whole name or its id (``$3``),
    ``socket`` a configured socket: its name, or its path.

    Raises ``NoSuchSession``, ``AmbiguousSession`` (sessions on several sockets), ``UnreadableSocket``, ``LedgerError``, and
    ``ConfigurationError`` for a socket that is not configured.
    """
    look = _look(reaper, name, socket)
    row = look.unreadable_row
    if row is not None and row.socket is not None and row.session is not None:
        return _explain(reaper, row.socket, row.session, None)
    found = _the_one(reaper, look)
    if found.workspace_id is None:
        return explain_unmanaged(found.session, _why_unmanaged(found.session))
    return _explain(reaper, found.terminal.socket, found.session.name, found)


def _explain(reaper: Reaper, socket: str, name: str, found: _Found | None) -> Explanation:
    """By a second look, which is a whole dry sweep. ``found`` is what the first one read, if it could read it."""
    report = _dry_sweep(reaper)
    unknown = [one for one in report.unknown if one.socket in (None, socket)]
    session = found.session if found else None
    entry = next((entry for entry in report.sessions if _is_the_same(entry, socket, name, session)), None)
    if entry is None and found and found.workspace_id and any(one.source is Source.LEDGER for one in unknown):
        # The sweep ended before it looked: what the first look read is all there is.
        key = found.session.key
        entry = SessionReport(
            socket, name, key.session_id, found.workspace_id, Verdict.HOLD, protected_by=Source.LEDGER.value, key=key
        )
    if entry is None and unknown:
        raise UnreadableSocket(_reasons(unknown))
    if entry is None:
        raise NoSuchSession(f"the session {printable(name)} went away while it was looked at")
    return explain(entry, reaper.parts.rules, session, unknown)


def _is_the_same(entry: SessionReport, socket: str, name: str, session: Session | None) -> bool:
    if session is not None and entry.key is not None:
        return entry.key == session.key
    return (entry.socket, entry.session) == (socket, name)


def keep_session(reaper: Reaper, name: str, socket: str | None = None, *, on: bool) -> Session:
    """Keep this session whatever happens to its workspace (``on``), or no longer. Raises as ``explain_session`` does, and
    ``NoSuchSession`` for one that is not managed: its options are none of our business."""
    found = _the_one(reaper, _look(reaper, name, socket))
    if found.workspace_id is None:
        raise NoSuchSession(f"{printable(name)} is not managed ({_why_unmanaged(found.session)}): it is never touched anyway")
    if not found.terminal.keep(found.session.key, on=on):
        raise NoSuchSession(f"the session {printable(name)} went away, or tmux did not answer: look again")
    return found.session


def breaker_state(reaper: Reaper) -> BreakerState:
    """The breaker as the last full sweep left it. Raises ``LedgerError``."""
    with reaper.reading() as ledger:
        return ledger.load_state((), reaper.parts.clock.now()).breaker


def reset_breaker(reaper: Reaper) -> BreakerState:
    """Free the breaker, and let go the sessions that tripped it; the state before. Raises ``LedgerError``, ``SweepLocked``."""
    now = reaper.parts.clock.now()
    with reaper.writing() as ledger:
        memory = ledger.load_state((), now)
        if memory.breaker.latched:
            event = Event(now, "breaker released", f"by an operator; {memory.breaker.cause}")
            left, over = changes(memory.alarms, {name: one for name, one in memory.alarms.items() if name != "breaker"}, now)
            freed = StateChanges(breaker=breaker.excuse(memory.breaker), alarms=left, events=(event, *over))
            ledger.save(freed)
            tell(reaper.parts, memory, freed)
        return memory.breaker


def _dry_sweep(reaper: Reaper) -> SweepReport:
    with reaper.reading() as ledger:
        return reaper.run(SweepRequest(dry_run=True), ledger)


def _why_unmanaged(session: Session) -> str:
    if session.owner is Owner.FOREIGN:
        return "it carries another registry's stamp"
    return "its name matches no configured pattern on this socket"


def _look(reaper: Reaper, name: str, socket: str | None) -> _Look:
    """Look for a session on one configured socket, or on all."""
    look, owner_id = _Look(name), own_owner_id(reaper)
    for terminal in sockets_meant(reaper, socket):
        listing = terminal.observe(owner_id)
        if isinstance(listing, Unknown):
            look.unknown.append(listing)
            continue
        here = [
            _Found(terminal, session, reaper.parts.names.manages(session))
            for session in listing.sessions
            if name in (session.name, printable(session.name), session.key.session_id)
        ]
        look.found.extend(here)
        if not here:
            look.unknown.extend(listing.unreadable)
    return look


def _the_one(reaper: Reaper, look: _Look) -> _Found:
    """The one session that was looked for. What can't be read may hold another: it is an error, not an absence."""
    name = printable(look.name)
    if look.unknown:
        seen = "; what can be read has one: say which socket is meant with --socket" if look.found else ""
        raise UnreadableSocket(_reasons(look.unknown) + seen)
    if len(look.found) > 1:
        places = ", ".join(f"{item.session.key.socket} ({item.session.key.session_id})" for item in look.found)
        raise AmbiguousSession(f"{name} names several sessions: {places}; say which with --socket, or by its id")
    if not look.found:
        sockets = ", ".join(terminal.socket for terminal in reaper.terminals)
        raise NoSuchSession(f"no session {name} on {sockets}; 'status' lists the managed ones")
    return look.found[0]


def _reasons(unknown: Sequence[Unknown]) -> str:
    return "; ".join(printable(one.reason) for one in unknown)


def sockets_meant(reaper: Reaper, socket: str | None) -> Sequence[Terminal]:
    """All, or the one that ``socket`` means: by its path, by its name as for ``tmux -L``, or by its file's name alone."""
    if socket is None:
        return reaper.terminals
    try:
        path = socket_path(socket)
    except ConfigurationError:  # No name, no path; a file's name may still have escapes in our tables.
        path = socket
    exact = [terminal for terminal in reaper.terminals if terminal.socket == path or printable(terminal.socket) == socket]
    named = [terminal for terminal in reaper.terminals if printable(PurePath(terminal.socket).name) == printable(socket)]
    chosen = exact or named
    if len(chosen) != 1:
        what = "names several configured sockets" if chosen else "is no configured socket"
        sockets = ", ".join(printable(terminal.socket) for terminal in reaper.terminals)
        raise ConfigurationError(f"--socket {printable(socket)} {what}; configured: {sockets}")
    return chosen


def own_owner_id(reaper: Reaper) -> str:
    """The stamp that counts as ours. A look mints none: before the first sweep no session carries it. Raises ``LedgerError``:
    without the ledger nobody can say whose stamp a session carries."""
    with reaper.reading() as ledger:
        return ledger.registry().owner_id
