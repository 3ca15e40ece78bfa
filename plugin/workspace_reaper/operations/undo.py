"""What an operator does with sessions that are announced and not reaped yet: see them, and take the announcement back."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from workspace_reaper.model.ports import Ledger, Terminal
from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.state import UNDONE, Confirmation, Event, Finding, StateChanges
from workspace_reaper.operations.wiring import Reaper
from workspace_reaper.sweep.report import printable

__all__ = ["announced", "take_back"]


def announced(reaper: Reaper) -> dict[SessionKey, float]:
    """The sessions that are announced now, with the time at which they were (Unix seconds). Raises ``LedgerError``."""
    with reaper.reading() as ledger:
        return _announced(ledger, reaper.parts.clock.now())


def take_back(reaper: Reaper) -> Sequence[str]:
    """Take back the latest announcement: the names of its sessions, which stay for as long as the cause goes on. Nothing was
    sent to their processes, so all of them are as they were. Empty if nothing is announced.

    Raises ``LedgerError`` and ``SweepLocked``.
    """
    if not announced(reaper):
        # Nothing is written then, and no sweep that is on has to be waited for.
        return ()
    now = reaper.parts.clock.now()
    with reaper.writing() as ledger:
        found, owner_id = _announced(ledger, now), ledger.registry().owner_id
        names: dict[SessionKey, str] = {}
        for terminal in reaper.terminals:
            names |= _names(terminal, owner_id, [key for key in found if key.socket == terminal.socket])
        if not names:
            return ()
        at = max(found[key] for key in names)
        latest = {key: name for key, name in names.items() if found[key] == at}
        ledger.save(
            StateChanges(
                sightings={(key, cause): Confirmation(now, now) for key in latest for cause in UNDONE.values()},
                forgotten=frozenset((key, Finding.ANNOUNCED) for key in latest),
                events=(Event(now, "announcement undone", ", ".join(latest.values())),),
            )
        )
    for terminal in reaper.terminals:
        here = [key for key in latest if key.socket == terminal.socket]
        if here:
            terminal.announce({}, here)
    return list(latest.values())


def _announced(ledger: Ledger, now: float) -> dict[SessionKey, float]:
    sightings = ledger.load_state((), now).sightings
    return {key: sighting.first_at for (key, sight), sighting in sightings.items() if sight is Finding.ANNOUNCED}


def _names(terminal: Terminal, owner_id: str, keys: Collection[SessionKey]) -> dict[SessionKey, str]:
    """Those that are not certainly gone, with their names, fit to be shown. Until the next full sweep the ledger has those too
    that went, also by a reap."""
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
