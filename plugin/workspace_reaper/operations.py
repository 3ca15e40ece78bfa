"""What an operator does by hand: look at one session, keep it, read the history, free the breaker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workspace_reaper import breaker
from workspace_reaper.errors import AmbiguousSession, LedgerError, NoSuchSession, UnreadableSocket
from workspace_reaper.explain import Explanation, explain, explain_unmanaged
from workspace_reaper.memory import BreakerState, Changes, Event, Reap
from workspace_reaper.model import Session, Stamp, Unknown
from workspace_reaper.parts import Request
from workspace_reaper.ports import Terminal
from workspace_reaper.report import SweepReport, printable
from workspace_reaper.status import Status, read_status
from workspace_reaper.wiring import Reaper

__all__ = [
    "breaker_state",
    "explain_session",
    "history",
    "keep_session",
    "own_stamp",
    "reset_breaker",
    "status",
]


@dataclass(frozen=True, slots=True)
class _Found:
    terminal: Terminal
    session: Session
    workspace_id: str | None


def status(reaper: Reaper) -> Status:
    """How the reaper is, by its ledger. Raises ``LedgerError``."""
    settings = reaper.settings
    with reaper.reading() as ledger:
        return read_status(ledger, tick=settings.tick, enabled=settings.enabled, now=reaper.parts.clock.now())


def history(reaper: Reaper, limit: int) -> list[Reap]:
    """The latest reaps, newest first. Raises ``LedgerError``."""
    with reaper.reading() as ledger:
        return ledger.history(limit)


def explain_session(reaper: Reaper, name: str, socket: str | None = None) -> Explanation:
    """Why this session lives or goes, as a dry sweep has it now. ``name`` is a session's whole name or its id (``$3``).

    Raises ``NoSuchSession``, ``AmbiguousSession`` (sessions on several sockets), ``UnreadableSocket`` and ``LedgerError``.
    """
    found = _find(reaper, name, socket)
    if found.workspace_id is None:
        return explain_unmanaged(found.session, _why_unmanaged(found.session))
    report = _dry_sweep(reaper)
    for entry in report.sessions:
        if entry.key == found.session.key:
            return explain(entry, reaper.parts.rules)
    raise NoSuchSession(f"the session {printable(name)} went away while it was looked at")


def keep_session(reaper: Reaper, name: str, socket: str | None = None, *, on: bool) -> Session:
    """Keep this session whatever happens to its workspace (``on``), or no longer. Raises as ``explain_session`` does."""
    found = _find(reaper, name, socket)
    if on and found.workspace_id is None:
        raise NoSuchSession(f"{printable(name)} is not managed ({_why_unmanaged(found.session)}): it is never touched anyway")
    if not found.terminal.keep(found.session.key, on=on):
        raise NoSuchSession(f"the session {printable(name)} went away, or tmux did not answer: look again")
    return found.session


def breaker_state(reaper: Reaper) -> BreakerState:
    """The breaker as the last full sweep left it. Raises ``LedgerError``."""
    with reaper.reading() as ledger:
        return ledger.recall((), reaper.parts.clock.now()).breaker


def reset_breaker(reaper: Reaper) -> BreakerState:
    """Free the breaker, and let go the sessions that tripped it; the state before. Raises ``LedgerError``, ``SweepLocked``."""
    now = reaper.parts.clock.now()
    with reaper.writing() as ledger:
        before = ledger.recall((), now).breaker
        if before.latched:
            event = Event(now, "breaker released", f"by an operator; {before.cause}")
            ledger.remember(Changes(breaker=breaker.excuse(before), events=(event,)))
        return before


def _dry_sweep(reaper: Reaper) -> SweepReport:
    with reaper.reading() as ledger:
        return reaper.run(Request(dry_run=True), ledger)


def _why_unmanaged(session: Session) -> str:
    if session.stamp is Stamp.FOREIGN:
        return "it carries another registry's stamp"
    return "its name matches no configured pattern on this socket"


def _find(reaper: Reaper, name: str, socket: str | None) -> _Found:
    """The one session of that name. A socket that can't be read may hold another: it is an error, not an absence."""
    found, unreadable = [], []
    for item in _everything(reaper, socket):
        if isinstance(item, Unknown):
            unreadable.append(item)
        elif name in (item.session.name, printable(item.session.name), item.session.key.session_id):
            found.append(item)
    if len(found) > 1:
        places = ", ".join(f"{item.session.key.socket} ({item.session.key.session_id})" for item in found)
        raise AmbiguousSession(f"{printable(name)} names sessions on several sockets: {places}; say which with --socket PATH")
    if not found and unreadable:
        raise UnreadableSocket("; ".join(item.reason for item in unreadable))
    if not found:
        sockets = ", ".join(terminal.socket for terminal in reaper.terminals)
        raise NoSuchSession(f"no session {printable(name)} on {sockets}; 'status' lists the managed ones")
    return found[0]


def _everything(reaper: Reaper, socket: str | None) -> Iterator[_Found | Unknown]:
    stamp = own_stamp(reaper)
    for terminal in reaper.terminals:
        if socket not in (None, terminal.socket):
            continue
        listing = terminal.observe(stamp)
        if isinstance(listing, Unknown):
            yield listing
            continue
        yield from listing.unreadable
        for session in listing.sessions:
            yield _Found(terminal, session, reaper.parts.names.manages(session))


def own_stamp(reaper: Reaper) -> str:
    """The stamp that counts as ours. A look mints none: before the first sweep no session carries it."""
    try:
        with reaper.reading() as ledger:
            return ledger.registry().stamp
    except LedgerError:
        # Without the ledger no stamp is ours: every stamped session counts as another registry's.
        return "0"
