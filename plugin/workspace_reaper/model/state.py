"""What the reaper remembers between sweeps, as values: the ledger stores them, the pure rules read and change them.

Times are Unix seconds (UTC). Nothing here touches a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from workspace_reaper.model.reap import Intent
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.workspace import RegistryIdentity

__all__ = [
    "OF_A_WORKSPACE",
    "UNDONE",
    "Alarm",
    "BreakerState",
    "ClockReading",
    "ClockSkew",
    "ClockState",
    "Confirmation",
    "CpuSample",
    "CpuState",
    "Event",
    "Finding",
    "FindingKey",
    "LedgerState",
    "RegistryState",
    "ServerState",
    "StateChanges",
]


class Finding(str, Enum):
    """What was seen of a session in full sweeps, and is remembered until it is no longer so."""

    ORPHAN = "orphan"
    """It had no row. ``count`` is the number of confirmations."""
    ARCHIVED = "archived"
    DEAD = "dead"
    ATTACHED = "attached"
    DETACHED = "detached"
    """It had a client in an earlier sweep and has none since ``first_at``."""
    CONDEMNED = "condemned"
    """It was condemned, and lives."""
    FAILED = "failed"
    """A kill of it failed; ``count`` times in a row."""
    ANNOUNCED = "announced"
    """It was told that it will go, at ``first_at``."""
    UNDONE_ARCHIVED = "undone archived"
    """An operator took the announcement back: it does not go as archived while it is archived without a break."""
    UNDONE_IDLE = "undone idle"
    """The same of being idle."""


OF_A_WORKSPACE = frozenset({Finding.ORPHAN, Finding.ARCHIVED})
"""What was seen of the session as that of one workspace, and says nothing of it under another one's name."""

UNDONE: Mapping[str, Finding] = {"archived": Finding.UNDONE_ARCHIVED, "idle": Finding.UNDONE_IDLE}
"""By the public name of the reason."""

FindingKey = tuple[SessionKey, Finding]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """First and last time that counted, and how often. ``workspace_id`` is the workspace of which it was seen, where that
    matters and is known."""

    first_at: float
    last_at: float
    count: int = 1
    workspace_id: str | None = None


@dataclass(frozen=True, slots=True)
class RegistryState:
    """What the ledger stores about the configured registry.

    Attributes:
        owner_id: The value of ``@workspace_owner`` that marks this registry's sessions. The ledger creates it once.
        generation: 0 until a full sweep has read the registry; then it grows by one whenever the identity changes.
        identity: The registry as the last full sweep found it.
        total: Its number of rows then, counted up to a limit.
        capped: Whether that limit was reached.
    """

    owner_id: str
    generation: int = 0
    identity: RegistryIdentity = field(default_factory=RegistryIdentity)
    total: int = 0
    capped: bool = False


@dataclass(frozen=True, slots=True)
class ServerState:
    """A tmux server that had sessions in the last full sweep. ``process_start`` is the process's own start time, in the
    units of the process table, or None where that could not be read."""

    pid: int
    start: int
    process_start: float | None


@dataclass(frozen=True, slots=True)
class CpuSample:
    """CPU time that a session's process tree has used so far, in seconds, and when it was last seen to be busy (Unix seconds;
    None if never)."""

    seconds: float
    busy_at: float | None = None


@dataclass(frozen=True, slots=True)
class CpuState:
    """The samples of the last full sweep that took any, and when (Unix seconds; None if there was none)."""

    at: float | None = None
    samples: Mapping[SessionKey, CpuSample] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """Until ``at`` (Unix seconds) the wall clock went so many ``seconds`` further than the machine was awake: it slept, or the
    clock was set. What is dated before ``at`` happened so much later than it seems, yet not after ``at``."""

    at: float
    seconds: float


class ClockReading(NamedTuple):
    """The clocks of this machine at one moment, in seconds: ``wall`` is Unix time; ``elapsed`` counts since the machine's start
    (on some systems since another moment that stays the same), and nobody sets it; ``awake`` does not count while the machine
    sleeps."""

    wall: float
    elapsed: float
    awake: float


@dataclass(frozen=True, slots=True)
class ClockState:
    """The machine's clocks as the last full sweep that noted them saw them, since the start ``boot`` of the machine (empty
    where the system does not tell).

    ``offset`` is the wall clock less the time since that start, in seconds; None: nobody has looked yet. ``slept`` is how much
    of that time the machine slept. ``lapses`` are the oldest first.
    """

    boot: str = ""
    offset: float | None = None
    slept: float = 0.0
    lapses: tuple[ClockSkew, ...] = ()


@dataclass(frozen=True, slots=True)
class BreakerState:
    """The breaker. ``tripped`` are the sessions that tripped it; ``clear_sweeps`` counts full sweeps in a row in which none
    of them was an orphan. ``since`` is None while it is closed. ``approved`` are sessions that an operator let go: they do
    not trip it again."""

    latched: bool = False
    since: float | None = None
    cause: str = ""
    tripped: frozenset[SessionKey] = frozenset()
    clear_sweeps: int = 0
    approved: frozenset[SessionKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that an operator must know. ``name`` is stable and fit for a program."""

    name: str
    since: float
    detail: str
    clears_when: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the reaper itself: a breaker tripped or freed, a registry changed, an alarm begun or over."""

    at: float
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class LedgerState:
    """All that one sweep needs to remember. ``seen`` maps workspace ids, of those asked for, to the registry's generation
    under which they were last recognised, and ``named`` to the one under which a hook named them. ``reported`` are the
    workspaces that a hook named as deleted and that are not settled yet, with the time. ``reaped_lately`` are (socket,
    session name) of sessions reaped in the last 24 hours, of the workspaces asked for, with the time. ``last_complete`` is
    when the last full sweep began that saw all. ``worktrees`` are the directories of those workspaces asked for that ever had
    one in their row."""

    registry: RegistryState
    seen: Mapping[str, int] = field(default_factory=dict)
    sightings: Mapping[FindingKey, Confirmation] = field(default_factory=dict)
    servers: Mapping[str, ServerState] = field(default_factory=dict)
    breaker: BreakerState = field(default_factory=BreakerState)
    reported: Mapping[str, float] = field(default_factory=dict)
    named: Mapping[str, int] = field(default_factory=dict)
    orphans_last_hour: int = 0
    reaped_lately: Mapping[tuple[str, str], float] = field(default_factory=dict)
    open_intents: tuple[Intent, ...] = ()
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    last_complete: float | None = None
    cpu: CpuState = field(default_factory=CpuState)
    worktrees: Mapping[str, str] = field(default_factory=dict)
    clock: ClockState = field(default_factory=ClockState)


@dataclass(frozen=True, slots=True)
class StateChanges:
    """What one sweep has to write into memory, in one transaction. Empty fields write nothing.

    ``seen`` are ids recognised under the registry's present generation. ``servers`` maps a socket to its server, or to None
    where there is none any more. ``alarms`` is the whole new set where it is not None. ``cpu`` is the whole new state of the
    samples. ``worktrees`` are directories that a workspace's row names, where they are new or changed. ``clock`` is the whole
    new state of the clocks.
    """

    registry: RegistryState | None = None
    seen: frozenset[str] = frozenset()
    sightings: Mapping[FindingKey, Confirmation] = field(default_factory=dict)
    forgotten: frozenset[FindingKey] = frozenset()
    servers: Mapping[str, ServerState | None] = field(default_factory=dict)
    breaker: BreakerState | None = None
    settled: frozenset[str] = frozenset()
    alarms: Mapping[str, Alarm] | None = None
    events: tuple[Event, ...] = ()
    cpu: CpuState | None = None
    worktrees: Mapping[str, str] = field(default_factory=dict)
    clock: ClockState | None = None

    def __bool__(self) -> bool:
        return any(
            (
                self.registry,
                self.seen,
                self.sightings,
                self.forgotten,
                self.servers,
                self.breaker,
                self.settled,
                self.alarms is not None,
                self.events,
                self.cpu,
                self.worktrees,
                self.clock,
            )
        )
