"""What the reaper is configured to do, and what it could see: the part of the truth that is about itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Clock", "FullSweep", "Limits", "Reaper", "Reason"]

_CLOCKS = frozenset({"input", "attach", "detach", "output", "cpu"})


class Reason(str, Enum):
    """Why a session is reaped, in the order of the table."""

    DELETED = "deleted"
    REMOVED = "removed"
    ARCHIVED_BY_HOOK = "archived by hook"
    WORKTREE_DELETED = "worktree-deleted"
    ORPHAN = "orphan"
    ARCHIVED = "archived"
    IDLE = "idle"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Limits:
    """The configuration, in seconds, and what the design fixes.

    ``guard_validity`` is the age that the facts of a recheck may have when tmux kills, and ``processes_validity`` the age that
    the look at the processes may have when the recheck begins. ``look_at_processes`` is how long that look takes.
    ``resolution`` is that of the clocks of tmux. ``vanish`` is the number of orphans or lost rows from which on they can trip
    the breaker.
    """

    tick: float = 60.0
    idle_ttl: float = 48 * 3600.0
    min_age: float = 120.0
    activity_grace: float = 60.0
    archived_ttl: float = 24 * 3600.0
    stranger_ttl: float = 12 * 3600.0
    dead_ttl: float = 600.0
    confirmation_gap: float = 30.0
    orphan_confirmations: int = 2
    abstain_alarm: float = 1800.0
    undo_window: float = 0.0
    kill_grace: float = 5.0
    max_orphans_per_hour: int = 50
    idle_clocks: frozenset[str] = _CLOCKS
    snapshots: bool = True
    removes_worktree: bool = True
    all_survivors: bool = False
    guard_validity: float = 5.0
    processes_validity: float = 4.0
    look_at_processes: float = 0.3
    resolution: float = 1.0
    vanish: int = 3


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks of the machine.

    Attributes:
        slept: When the machine slept: pairs of begin and end.
        stepped: The wall clock was stepped by more than 5 s between the reaper's last complete full sweep and the start of this
            one, and the reaper still has its ledger.
        unnoticed: The sum of the forward steps of at most 5 s each since the session's last activity. The reaper may miss them.
        set_back: By how much the wall clock was set back in the last minute. The guard's expiry is on that clock.
    """

    slept: tuple[tuple[float, float], ...] = ()
    stepped: bool = False
    unnoticed: float = 0.0
    set_back: float = 0.0


@dataclass(frozen=True, slots=True)
class FullSweep:
    """A full sweep that wrote its state and could read the session's socket and the registry: its begin, and its look-up.

    ``directories`` is when it looked at the directories after that; None if it did not.
    """

    began: float
    looked: float
    directories: float | None = None


@dataclass(frozen=True, slots=True)
class Reaper:
    """What the reaper has been able to see, and what bounds it.

    Attributes:
        enabled: It is not switched off.
        dry_run: This sweep is a dry run.
        full_sweeps: The complete full sweeps that this ledger remembers, oldest first, and this one if it is full.
        approved: ``sweep --approve`` showed this very session in this sweep.
        breaker_latched: As ``breaker.advance`` says.
        managed: The managed sessions of this sweep.
        strangers_due: Those of them that the registry has never known and that would be reaped, with this one.
        recognised: Those other sessions that have a row.
        orphans_reaped: Orphans reaped within the last hour, by true time and by the wall clock, whichever is less.
        processes_read_at: When it last looked at the processes.
        rechecked_at: When its last recheck began. None: as early as it may.
        registry_unreadable_since: Since when no look-up could have succeeded.
    """

    full_sweeps: tuple[FullSweep, ...]
    enabled: bool = True
    dry_run: bool = False
    approved: bool = False
    breaker_latched: bool = False
    managed: int = 1
    strangers_due: int = 0
    recognised: int = 1
    orphans_reaped: int = 0
    processes_read_at: float = float("-inf")
    rechecked_at: float | None = None
    registry_unreadable_since: float | None = None
