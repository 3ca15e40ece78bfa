"""What the reaper remembers between sweeps, as values: the ledger stores them, the pure rules read and change them.

Times are Unix seconds (UTC). Nothing here touches a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from workspace_reaper.model import SessionKey

__all__ = [
    "Alarm",
    "BreakerState",
    "Changes",
    "Event",
    "Intent",
    "Memory",
    "Outcome",
    "Reap",
    "RegistryMemory",
    "ServerMemory",
    "Sight",
    "SightKey",
    "Sighting",
]


class Sight(str, Enum):
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


SightKey = tuple[SessionKey, Sight]


@dataclass(frozen=True, slots=True)
class Sighting:
    """First and last time that counted, and how often."""

    first_at: float
    last_at: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class RegistryMemory:
    """What is remembered of the configured registry itself.

    ``stamp`` is minted once by the ledger for each configured registry. ``generation`` is 0 until the registry was first
    read in a full sweep and grows by one whenever its identity (place, schema, oldest rows) changes.
    """

    stamp: str
    generation: int = 0
    place: str = ""
    schema: str = ""
    oldest: frozenset[str] = frozenset()
    total: int = 0
    capped: bool = False


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """A tmux server that had sessions in the last full sweep. ``process_start`` is the process's own start time, in the
    units of the process table, or None where that could not be read."""

    pid: int
    start: int
    process_start: float | None


@dataclass(frozen=True, slots=True)
class BreakerState:
    """The breaker. ``tripped`` are the sessions that tripped it; ``clear_sweeps`` counts full sweeps in a row in which none
    of them was an orphan. ``since`` is None while it is closed. ``excused`` are sessions that an operator let go: they do
    not trip it again."""

    latched: bool = False
    since: float | None = None
    cause: str = ""
    tripped: frozenset[SessionKey] = frozenset()
    clear_sweeps: int = 0
    excused: frozenset[SessionKey] = frozenset()


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
class Memory:
    """All that one sweep needs to remember. ``seen`` maps workspace ids, of those asked for, to the registry's generation
    under which they were last recognised, and ``named`` to the one under which a hook named them. ``testimony`` are the
    workspaces that a hook named as deleted and that are not settled yet, with the time. ``reaped_lately`` are (socket,
    session name) of sessions reaped in the last 24 hours, with the time. ``last_complete`` is when the last full sweep began
    that saw all."""

    registry: RegistryMemory
    seen: Mapping[str, int] = field(default_factory=dict)
    sightings: Mapping[SightKey, Sighting] = field(default_factory=dict)
    servers: Mapping[str, ServerMemory] = field(default_factory=dict)
    breaker: BreakerState = field(default_factory=BreakerState)
    testimony: Mapping[str, float] = field(default_factory=dict)
    named: Mapping[str, int] = field(default_factory=dict)
    orphans_last_hour: int = 0
    reaped_lately: Mapping[tuple[str, str], float] = field(default_factory=dict)
    open_intents: tuple[Intent, ...] = ()
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    last_complete: float | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What one sweep has to write into memory, in one transaction. Empty fields write nothing.

    ``seen`` are ids recognised under the registry's present generation. ``servers`` maps a socket to its server, or to None
    where there is none any more. ``alarms`` is the whole new set where it is not None.
    """

    registry: RegistryMemory | None = None
    seen: frozenset[str] = frozenset()
    sightings: Mapping[SightKey, Sighting] = field(default_factory=dict)
    forgotten: frozenset[SightKey] = frozenset()
    servers: Mapping[str, ServerMemory | None] = field(default_factory=dict)
    breaker: BreakerState | None = None
    settled: frozenset[str] = frozenset()
    alarms: Mapping[str, Alarm] | None = None
    events: tuple[Event, ...] = ()

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
            )
        )


@dataclass(frozen=True, slots=True)
class Intent:
    """A kill about to be tried: written, and committed, before it. ``reap_id`` is a ULID, ``evidence`` plain JSON."""

    reap_id: str
    sweep_id: str
    at: float
    key: SessionKey
    session: str
    workspace_id: str
    reason: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an intent ended: ``reaped``, ``spared`` or ``failed``; ``why`` says by what it was spared, or what failed."""

    reap_id: str
    at: float
    outcome: str
    why: str | None = None
    freed_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Reap:
    """One line of the history: an intent with its outcome (``open`` while there is none)."""

    intent: Intent
    outcome: str
    why: str | None = None
    freed_bytes: int | None = None
    survivors: tuple[Mapping[str, Any], ...] = ()
    restorable: bool = False
