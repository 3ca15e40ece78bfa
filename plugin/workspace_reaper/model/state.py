"""The state of the reaper between sweeps, as values: the ledger stores them, and the pure rules read and change them.

Times are Unix seconds (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from workspace_reaper.model.directory import DirectoryRecord
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.reap import Intent
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.workspace import RegistryIdentity


class Finding(str, Enum):
    """What full sweeps have found about a session. It is stored until it does not apply any more."""

    # It had no row. count is the number of confirmations.
    ORPHAN = "orphan"
    ARCHIVED = "archived"
    DEAD = "dead"
    ATTACHED = "attached"
    # It had a client in an earlier sweep and has none since first_at.
    DETACHED = "detached"
    # It was selected for reaping, and still exists.
    CONDEMNED = "condemned"
    # It was selected and still exists, or nothing but the reaper's own doubt protects it.
    DOUBTED = "doubted"
    # Row and directory of its workspace went together. count is the number of confirmations.
    WITNESSED = "witnessed"
    # A kill of it failed; count times in a row.
    FAILED = "failed"
    # Its name does not yield the workspace of its marks any more.
    RENAMED = "renamed"
    # Its row named it, by the name in the confirmation.
    NAMED = "named"
    # Its reap was announced at first_at.
    ANNOUNCED = "announced"
    # An operator cancelled the announcement: it is not reaped as archived until its row was once not archived.
    UNDONE_ARCHIVED = "undone archived"
    # The same for idle.
    UNDONE_IDLE = "undone idle"


# Findings that apply to the session only as that of one workspace.
OF_A_WORKSPACE = frozenset({Finding.ORPHAN, Finding.ARCHIVED, Finding.WITNESSED})

# By the public name of the reason.
UNDONE: Mapping[str, Finding] = {"archived": Finding.UNDONE_ARCHIVED, "idle": Finding.UNDONE_IDLE}

FindingKey = tuple[SessionKey, Finding]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The first and last time that counted, and how often a finding counted.

    ``workspace_id`` is the workspace about which it was found, where that matters and is known, and ``name`` the name that the
    session had, where that matters.
    """

    first_at: float
    last_at: float
    count: int = 1
    workspace_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class RegistryState:
    """What the ledger stores about the configured registry.

    Attributes:
        owner_id: The value of ``@workspace_owner`` that marks this registry's sessions. The ledger creates it once.
        generation: 0 until a full sweep has read the registry, which begins generation 1. It grows by one whenever the identity
            changes. What is recorded under 0 belongs to 1. If the identity changes before the first full sweep, 2 follows 0.
        identity: The registry as the last full sweep found it. Before the first one: as the first sweep of any kind found it.
        total: Its number of rows then, counted up to a limit.
        capped: Whether that limit was reached.
    """

    owner_id: str
    generation: int = 0
    identity: RegistryIdentity = field(default_factory=RegistryIdentity)
    total: int = 0
    capped: bool = False


class RecordedRegistry(NamedTuple):
    """A configured registry of which a ledger has a record: its name, its location, and when its last full sweep began (Unix
    seconds; 0 if none did)."""

    name: str
    location: str
    swept_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ServerState:
    """A tmux server that had sessions in the last full sweep. ``process_start`` is in the units of the process table, or None
    if it could not be read.
    """

    pid: int
    start: int
    process_start: float | None


@dataclass(frozen=True, slots=True)
class CpuSample:
    """The CPU time of a session's processes so far, in seconds, and when they were last busy (Unix seconds; None if never)."""

    seconds: float
    busy_at: float | None = None


@dataclass(frozen=True, slots=True)
class CpuState:
    """The CPU samples of the last full sweep that took any, and when it took them (Unix seconds; None if none did)."""

    at: float | None = None
    samples: Mapping[SessionKey, CpuSample] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """An excess of the wall clock over the time that the machine was awake: it slept, or the clock was stepped.

    Until ``at`` (Unix seconds) the wall clock moved ``seconds`` too far. What is dated before ``at`` happened that much later,
    but not after ``at``.
    """

    at: float
    seconds: float


class ClockReading(NamedTuple):
    """The clocks of this machine at one moment, in seconds.

    ``wall`` is Unix time. ``elapsed`` counts since the boot (on some systems since another fixed time) and cannot be set.
    ``awake`` stops while the machine sleeps.
    """

    wall: float
    elapsed: float
    awake: float


@dataclass(frozen=True, slots=True)
class ClockState:
    """The machine's clocks as the last full sweep stored them, since the boot ``boot`` (empty if the system does not report
    it).

    ``offset`` is the wall clock minus the time since boot in seconds, or None before the first sweep. ``slept`` is how much of
    that time the machine slept. ``skews`` are ordered, oldest first.
    """

    boot: str = ""
    offset: float | None = None
    slept: float = 0.0
    skews: tuple[ClockSkew, ...] = ()


@dataclass(frozen=True, slots=True)
class BreakerState:
    """The breaker.

    ``tripped`` are the sessions that tripped it. ``clear_sweeps`` counts full sweeps in a row in which none of them was an
    orphan. ``since`` is None while it is closed. ``approved`` are sessions that an operator approved: they do not trip it
    again.
    """

    latched: bool = False
    since: float | None = None
    cause: str = ""
    tripped: frozenset[SessionKey] = frozenset()
    clear_sweeps: int = 0
    approved: frozenset[SessionKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Alarm:
    """A condition that an operator must know about. ``name`` is stable, so that programs can rely on it."""

    name: str
    since: float
    detail: str
    clears_when: str


class Removal(NamedTuple):
    """A row that the daemon saw go, until that is settled.

    ``event`` is one of ``DERIVED_EVENTS``, ``generation`` that of the registry at that time, ``at`` is in Unix seconds.
    """

    workspace_id: str
    event: WorkspaceEvent
    generation: int
    at: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the reaper itself, such as a tripped breaker, a changed registry or the start of an alarm."""

    at: float
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The stored state that one sweep needs. Maps by workspace id contain the workspaces that were asked for.

    Attributes:
        seen: The generation of the registry that last had a row for the workspace.
        named: The generation under which a hook named the workspace.
        reported: When a hook reported the workspace as deleted, while that is not settled.
        reaped_lately: When a session of that (socket, session name) was reaped, within the last 24 hours.
        last_complete: When the last full sweep began that could read everything.
        worktrees: The directory of the workspace, if its row ever named one.
        directories: What is known of the directories of all workspaces, also of those that were not asked for.
        removals: Rows that the daemon saw go.
    """

    registry: RegistryState
    seen: Mapping[str, int] = field(default_factory=dict)
    confirmations: Mapping[FindingKey, Confirmation] = field(default_factory=dict)
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
    directories: Mapping[str, DirectoryRecord] = field(default_factory=dict)
    removals: Mapping[str, Removal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StateChanges:
    """What one sweep writes to the ledger, in one transaction. Empty fields write nothing.

    Attributes:
        seen: Workspaces for which the present generation of the registry has a row.
        servers: The new server of a socket, or None if it has none any more.
        alarms: The complete new set of alarms, if not None.
        cpu: The complete new CPU state.
        worktrees: Directories that rows name, if new or changed.
        clock: The complete new state of the clocks.
        directories: Records of directories that are new or have changed, or None where one is dropped.
    """

    registry: RegistryState | None = None
    seen: frozenset[str] = frozenset()
    confirmations: Mapping[FindingKey, Confirmation] = field(default_factory=dict)
    forgotten: frozenset[FindingKey] = frozenset()
    servers: Mapping[str, ServerState | None] = field(default_factory=dict)
    breaker: BreakerState | None = None
    settled: frozenset[str] = frozenset()
    alarms: Mapping[str, Alarm] | None = None
    events: tuple[Event, ...] = ()
    cpu: CpuState | None = None
    worktrees: Mapping[str, str] = field(default_factory=dict)
    clock: ClockState | None = None
    directories: Mapping[str, DirectoryRecord | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self != _NOTHING


_NOTHING = StateChanges()
