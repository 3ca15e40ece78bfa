"""Resets the breaker, and says which sessions that lets go, by a dry sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workspace_reaper.model.errors import UnsupportedTmux
from workspace_reaper.model.state import BreakerState, Event, StateChanges
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import ORPHAN_REASON, Verdict
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.status import read_breaker
from workspace_reaper.policy import breaker
from workspace_reaper.sweep import alarms
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.other_plugins import notify_alarms


@dataclass(frozen=True, slots=True)
class Released:
    """What a reset of the breaker changed.

    ``orphans`` is the number of orphans that the next sweep would reap. Of the other sessions that tripped the breaker,
    ``held`` are protected by something else, and ``gone`` have ended or have a row again. ``unknown`` is what could not be
    read: then the numbers are None.
    """

    orphans: int | None = None
    held: int | None = None
    gone: int | None = None
    unknown: Sequence[Unknown] = ()


def reset_breaker(reaper: Reaper) -> BreakerState:
    """Release the breaker, approve those of the sessions that tripped it which have no row now, and return the state before.

    If something cannot be read, no session is approved. Raises ``LedgerError``, ``SweepLocked`` and ``UnsupportedTmux``.
    """
    if not read_breaker(reaper).latched:
        return BreakerState()
    report = reaper.sweep(SweepRequest(dry_run=True))
    gone = {entry.key for entry in report.sessions if entry.key and entry.facts and entry.facts.gone}
    now = reaper.clock.now()
    with reaper.writing() as ledger:
        state = ledger.load_state((), now)
        if state.breaker.latched:
            event = Event(now, "breaker released", f"by an operator; {state.breaker.cause}")
            others = {name: alarm for name, alarm in state.alarms.items() if name != "breaker"}
            left, ended = alarms.changes(state.alarms, others, now)
            after = breaker.reset(state.breaker, gone if report.complete else frozenset())
            ledger.save(StateChanges(breaker=after, alarms=left, events=(event, *ended)))
            notify_alarms(reaper.plugins, *alarms.turns(state.alarms, left), now)
        return state.breaker


def released(reaper: Reaper, before: BreakerState) -> Released:
    """Return what the reset of a breaker in this state changed. Writes nothing."""
    if not before.latched:
        return Released(0, 0, 0)
    try:
        report = reaper.sweep(SweepRequest(dry_run=True))
    except UnsupportedTmux as error:
        return Released(unknown=[Unknown(Source.SOCKET, str(error))])
    if not report.complete:
        return Released(unknown=report.unknown)
    orphans = [entry for entry in report.sessions if entry.reason == ORPHAN_REASON]
    reaped = {entry.key for entry in orphans if entry.verdict is Verdict.REAP}
    held = before.tripped & {entry.key for entry in orphans} - reaped
    return Released(len(reaped), len(held), len(before.tripped - held - reaped))
