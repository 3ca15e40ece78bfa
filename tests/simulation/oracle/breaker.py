"""The breaker as the truth has it: whether it must be latched."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.oracle.truth import Limits

__all__ = ["BreakerTruth", "Count", "advance"]

_CLEAN = 3


@dataclass(frozen=True, slots=True)
class Count:
    """What is true in one complete full sweep, at its look-up.

    Attributes:
        orphans: The sessions, by identity, whose row is gone and that the registry has known: no strangers, none that a hook
            named, none with a witness.
        managed: The managed sessions.
        rows_before: The rows at the look-up of the last complete full sweep.
        rows_lost: Those of them that are gone, without those that went together with their directories.
    """

    orphans: frozenset[str]
    managed: int
    rows_before: int = 0
    rows_lost: int = 0


@dataclass(frozen=True, slots=True)
class BreakerTruth:
    """Whether the breaker must hold. ``BreakerTruth()`` is what an operator's reset leaves."""

    latched: bool = False
    tripped_by: frozenset[str] = frozenset()
    clean: int = 0


def advance(breaker: BreakerTruth, count: Count, limits: Limits) -> BreakerTruth:
    """Return the breaker after the look-up of a complete full sweep, before its kills. It never expires."""
    if _trips(count, limits):
        return BreakerTruth(latched=True, tripped_by=breaker.tripped_by | count.orphans)
    if not breaker.latched or breaker.tripped_by & count.orphans:
        return BreakerTruth(breaker.latched, breaker.tripped_by)
    clean = breaker.clean + 1
    return BreakerTruth() if clean >= _CLEAN else BreakerTruth(latched=True, tripped_by=breaker.tripped_by, clean=clean)


def _trips(count: Count, limits: Limits) -> bool:
    orphans = len(count.orphans)
    of_sessions = orphans >= limits.vanish and 2 * orphans > count.managed
    return of_sessions or (count.rows_lost >= limits.vanish and 2 * count.rows_lost > count.rows_before)
