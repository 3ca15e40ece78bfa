"""Says which sessions a reset of the breaker lets go, by a dry sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workspace_reaper.model.errors import UnsupportedTmux
from workspace_reaper.model.state import BreakerState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import ORPHAN_REASON, Verdict
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.sweep.context import SweepRequest


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
