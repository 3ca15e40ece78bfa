"""Shows the sessions that are announced and not reaped yet, and cancels the latest announcement."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from workspace_reaper.model.ports import Ledger, Terminal
from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.state import UNDONE, Confirmation, Event, Finding, StateChanges
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.sweep.report import printable


def announced(reaper: Reaper) -> dict[SessionKey, float]:
    """Return the announced sessions, with the time of the announcement (Unix seconds). Raises ``LedgerError``."""
    with reaper.reading() as ledger:
        return _announced(ledger, reaper.clock.now())


def cancel_announcement(reaper: Reaper) -> Sequence[str]:
    """Cancel the latest announcement, and return the names of its sessions; empty if nothing is announced.

    These sessions stay for as long as the cause lasts. No signal was sent to their processes. Raises ``LedgerError`` and
    ``SweepLocked``.
    """
    if not announced(reaper):
        # Then nothing is written, and there is no need to wait for a running sweep.
        return ()
    now = reaper.clock.now()
    with reaper.writing() as ledger:
        found, owner_id = _announced(ledger, now), ledger.registry().owner_id
        names: dict[SessionKey, str] = {}
        for terminal in reaper.terminals:
            names |= _living_names(terminal, owner_id, [key for key in found if key.socket == terminal.socket])
        if not names:
            return ()
        at = max(found[key] for key in names)
        latest = {key: name for key, name in names.items() if found[key] == at}
        ledger.save(
            StateChanges(
                confirmations={(key, cause): Confirmation(now, now) for key in latest for cause in UNDONE.values()},
                forgotten=frozenset((key, Finding.ANNOUNCED) for key in latest),
                events=(Event(now, "announcement cancelled", ", ".join(latest.values())),),
            )
        )
    for terminal in reaper.terminals:
        here = [key for key in latest if key.socket == terminal.socket]
        if here:
            terminal.announce({}, here)
    return list(latest.values())


def _announced(ledger: Ledger, now: float) -> dict[SessionKey, float]:
    confirmations = ledger.load_state((), now).confirmations
    return {key: sighting.first_at for (key, finding), sighting in confirmations.items() if finding is Finding.ANNOUNCED}


def _living_names(terminal: Terminal, owner_id: str, keys: Collection[SessionKey]) -> dict[SessionKey, str]:
    """Return the printable names of the sessions that may be alive. The ledger also has those that have ended since the last
    full sweep."""
    if not keys:
        return {}
    names = {key: printable(f"{key.session_id} on {key.socket}") for key in keys}
    listing = terminal.observe(owner_id, panes=False)
    if not isinstance(listing, Listing):
        return names
    there = {session.key: printable(session.name) for session in listing.sessions}
    return {
        key: there.get(key, name) for key, name in names.items() if key in there or key.session_id in listing.unreadable_ids
    }
