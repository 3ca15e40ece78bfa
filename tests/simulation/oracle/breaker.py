"""The breaker as the truth has it: whether it must be latched."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from tests.simulation.oracle.evidence import has_witness, hook, stranger
from tests.simulation.oracle.rows import gone, judged_workspaces, lost
from tests.simulation.oracle.truth import HookKind, KillTruth, Limits, Workspace

__all__ = ["BreakerTruth", "Count", "advance", "approve", "counts", "is_of_lost_row", "reset"]

_CLEAN = 3


@dataclass(frozen=True, slots=True)
class Count:
    """What is true in one complete full sweep, at its look-up.

    Attributes:
        orphans: The sessions, by identity, whose row is gone and that the registry has known: no strangers, none that a hook
            named, none with a witness, none that the daemon saw go. See ``counts``.
        gone: All sessions, by identity, whose row is gone.
        lost: Those of them that had a row until another database, or an older copy, was put in place: see ``is_of_lost_row``.
        managed: The managed sessions.
        rows_before: The rows at the look-up of the last complete full sweep.
        rows_lost: Those of them that are gone, without those that went together with their directories.
    """

    orphans: frozenset[str]
    managed: int
    rows_before: int = 0
    rows_lost: int = 0
    gone: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BreakerTruth:
    """Whether the breaker must hold. ``approved`` are the sessions that an operator let go: they trip it no more."""

    latched: bool = False
    tripped_by: frozenset[str] = frozenset()
    clean: int = 0
    approved: frozenset[str] = frozenset()


def counts(truth: KillTruth) -> bool:
    """Return whether the session is an orphan that counts: its absence is all that speaks for an end, and it is proven."""
    judged = judged_workspaces(truth)
    return bool(judged) and all(_is_absent_alone(truth, workspace) for workspace in judged)


def is_of_lost_row(truth: KillTruth) -> bool:
    """Return whether the session is one of those that an operator lets go with a breaker that lost rows tripped."""
    return any(lost(workspace) for workspace in judged_workspaces(truth))


def _is_absent_alone(truth: KillTruth, workspace: Workspace) -> bool:
    is_named = not list(hook(workspace, HookKind.DELETED, lambda state: not gone(state)))
    count, of = workspace.vanished
    # While many go, the daemon reports nothing.
    is_reported = workspace.daemon_saw_it_go is not None and not (count >= truth.limits.vanish and 2 * count > of)
    is_otherwise_known = is_named or has_witness(truth.limits, workspace) or is_reported
    return gone(workspace.rows[-1]) and not stranger(workspace) and not is_otherwise_known


def advance(breaker: BreakerTruth, count: Count, limits: Limits) -> BreakerTruth:
    """Return the breaker after the look-up of a complete full sweep, before its kills. It never expires.

    A session whose row is back is approved no more.
    """
    approved = breaker.approved & (count.gone | count.orphans)
    orphans = count.orphans - approved
    if _trips(replace(count, orphans=orphans), limits):
        lost_ones = count.lost - approved if _loses_rows(count, limits) else frozenset()
        return BreakerTruth(latched=True, tripped_by=breaker.tripped_by | orphans | lost_ones, approved=approved)
    if not breaker.latched or breaker.tripped_by & (orphans | count.lost):
        return BreakerTruth(breaker.latched, breaker.tripped_by, approved=approved)
    clean = breaker.clean + 1
    if clean >= _CLEAN:
        return BreakerTruth(approved=approved)
    return BreakerTruth(latched=True, tripped_by=breaker.tripped_by, clean=clean, approved=approved)


def approve(breaker: BreakerTruth, shown: Collection[str]) -> BreakerTruth:
    """Return the breaker after ``sweep --approve``. It is released if all that tripped it was shown."""
    left = breaker.tripped_by - frozenset(shown)
    approved = breaker.approved | frozenset(shown)
    if breaker.tripped_by and not left:
        return BreakerTruth(approved=approved)
    return replace(breaker, tripped_by=left, approved=approved)


def reset(breaker: BreakerTruth, gone_now: Collection[str]) -> BreakerTruth:
    """Return the breaker after an operator's reset: of what tripped it, all that has no row now is let go."""
    return BreakerTruth(approved=breaker.approved | (breaker.tripped_by & frozenset(gone_now)))


def _trips(count: Count, limits: Limits) -> bool:
    orphans = len(count.orphans)
    of_sessions = orphans >= limits.vanish and 2 * orphans > count.managed
    return of_sessions or _loses_rows(count, limits)


def _loses_rows(count: Count, limits: Limits) -> bool:
    return count.rows_lost >= limits.vanish and 2 * count.rows_lost > count.rows_before
