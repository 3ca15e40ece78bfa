"""The port ``Ledger`` in memory. ``tests/contract/test_ledger*.py`` holds it to what the real one does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from workspace_reaper.model.directory import DirectoryRecord
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.events import WorkspaceEvent, strongest
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.reap import Intent, Outcome, Reap, ReapResult
from workspace_reaper.model.state import (
    Alarm,
    BreakerState,
    ClockState,
    Confirmation,
    CpuState,
    Event,
    FindingKey,
    LedgerState,
    RegistryState,
    Removal,
    ServerState,
    StateChanges,
)

__all__ = ["MemoryFile", "MemoryLedger"]

_HOUR = 3600.0
_DAY = 24 * _HOUR
_CONCLUSIONS = (Outcome.REAPED, Outcome.SPARED, Outcome.FAILED)


@dataclass(slots=True)
class _Report:
    head: str
    sessions: str
    sweep: str
    complete_at: float | None


@dataclass(slots=True)
class _Concluded:
    reap: Reap
    at: float | None = None


@dataclass(slots=True)
class _Registry:
    """All that is stored of one configured registry."""

    state: RegistryState
    seen: dict[str, int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    worktrees: dict[str, str] = field(default_factory=dict)
    confirmations: dict[FindingKey, Confirmation] = field(default_factory=dict)
    servers: dict[str, ServerState] = field(default_factory=dict)
    breaker: BreakerState = field(default_factory=BreakerState)
    reported: dict[str, float] = field(default_factory=dict)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    cpu: CpuState = field(default_factory=CpuState)
    clock: ClockState = field(default_factory=ClockState)
    directories: dict[str, DirectoryRecord] = field(default_factory=dict)
    removals: dict[str, Removal] = field(default_factory=dict)
    reaps: dict[str, _Concluded] = field(default_factory=dict)
    events: list[tuple[int, Event]] = field(default_factory=list)
    report: _Report | None = None


class MemoryFile:
    """What the ledgers of several registries share: a file that is not there."""

    def __init__(self, after: MemoryFile | None = None) -> None:
        """``after`` is one that was lost: the owner ids of the new one differ."""
        self.first_owner: int = 0xA11CE if after is None else after.first_owner + 1000
        self.registries: dict[tuple[str, str], _Registry] = {}
        self.last_event = 0

    def open(self, name: str, location: str) -> MemoryLedger:
        """Open it for one configured registry."""
        owner_id = f"{self.first_owner + len(self.registries):016x}"
        return MemoryLedger(self, self.registries.setdefault((name, location), _Registry(RegistryState(owner_id))))


class MemoryLedger(Ledger):
    """The state of one configured registry in memory."""

    def __init__(self, file: MemoryFile, own: _Registry) -> None:
        self._file = file
        self._own = own

    def close(self) -> None:
        """There is nothing to close."""

    def registry(self) -> RegistryState:
        return self._own.state

    def load_state(self, ids: Collection[str], now: float) -> LedgerState:
        own, asked = self._own, frozenset(ids)
        reaped = [one for one in own.reaps.values() if one.reap.outcome is Outcome.REAPED and one.at is not None]
        lately = [(one.at or 0.0, one.reap.intent) for one in reaped if abs((one.at or 0.0) - now) < _DAY]
        lately.sort(key=lambda one: one[0])
        return LedgerState(
            registry=own.state,
            seen={one: own.seen[one] for one in asked & own.seen.keys()},
            confirmations=dict(own.confirmations),
            servers=dict(own.servers),
            breaker=own.breaker,
            reported=dict(own.reported),
            named={one: own.named[one] for one in asked & own.named.keys()},
            orphans_last_hour=sum(one.reason == "orphan" and abs(at - now) < _HOUR for at, one in lately),
            reaped_lately={(one.key.socket, one.session): at for at, one in lately if one.workspace_id in asked},
            open_intents=tuple(one.reap.intent for one in own.reaps.values() if one.reap.outcome is Outcome.OPEN),
            alarms=dict(own.alarms),
            last_complete=own.report.complete_at if own.report else None,
            cpu=CpuState(own.cpu.at, dict(own.cpu.samples)),
            worktrees={one: own.worktrees[one] for one in asked & own.worktrees.keys()},
            clock=own.clock,
            directories=dict(own.directories),
            removals=dict(own.removals),
        )

    @property
    def alarms(self) -> Mapping[str, Alarm]:
        """The alarms that are on, by name. The port has them in the state."""
        return self._own.alarms

    def longer_ids(self, length: int) -> Collection[str]:
        return [one for one in {**self._own.seen, **self._own.named, **self._own.worktrees} if len(one) > length]

    def save(self, changes: StateChanges) -> None:
        own = self._own
        if changes.registry is not None:
            own.state = replace(changes.registry, owner_id=own.state.owner_id)
        own.seen.update(dict.fromkeys(changes.seen, own.state.generation))
        own.worktrees.update(changes.worktrees)
        for forgotten in changes.forgotten:
            own.confirmations.pop(forgotten, None)
        own.confirmations.update(changes.confirmations)
        for socket, server in changes.servers.items():
            own.servers.pop(socket, None)
            if server is not None:
                own.servers[socket] = server
        own.cpu = own.cpu if changes.cpu is None else CpuState(changes.cpu.at, dict(changes.cpu.samples))
        own.clock = changes.clock or own.clock
        own.breaker = own.breaker if changes.breaker is None else changes.breaker
        for workspace_id in changes.settled:
            own.reported.pop(workspace_id, None)
            own.removals.pop(workspace_id, None)
        for workspace_id, record in changes.directories.items():
            own.directories.pop(workspace_id, None)
            if record is not None:
                own.directories[workspace_id] = record
        own.alarms = own.alarms if changes.alarms is None else dict(changes.alarms)
        for event in changes.events:
            self._file.last_event += 1
            own.events.append((self._file.last_event, event))

    def record_deletion(self, workspace_id: str, now: float) -> None:
        self.record_named(workspace_id, now)
        self._own.reported[workspace_id] = now

    def record_removal(self, workspace_id: str, event: WorkspaceEvent, now: float) -> None:
        own, generation = self._own, max(1, self._own.state.generation)
        known = own.removals.get(workspace_id)
        if known is not None and known.generation == generation and strongest(known.event, event) is known.event:
            return
        if event is WorkspaceEvent.REMOVED:
            self.record_named(workspace_id, now)
        own.removals[workspace_id] = Removal(workspace_id, event, generation, now)

    def record_named(self, workspace_id: str, now: float) -> None:
        self._own.named[workspace_id] = max(1, self._own.state.generation)

    def record_intents(self, intents: Sequence[Intent]) -> None:
        ids = [one.reap_id for one in intents]
        if len({*ids}) < len(ids) or self._own.reaps.keys() & {*ids}:
            raise LedgerError("a reap_id is used once")
        self._own.reaps.update({one.reap_id: _Concluded(Reap(one, Outcome.OPEN)) for one in intents})

    def record_results(self, outcomes: Sequence[ReapResult]) -> None:
        reaps = self._own.reaps
        for one in outcomes:
            if one.reap_id not in reaps:
                raise LedgerError(f"The outcome of reap {one.reap_id} cannot be recorded: no intent has this id.")
            if (known := reaps[one.reap_id].reap.outcome) is not Outcome.OPEN:
                raise LedgerError(f"The outcome of reap {one.reap_id} cannot be recorded: it is already {known.value}.")
            if one.outcome not in _CONCLUSIONS:
                raise LedgerError(f"CHECK: {one.outcome} is no outcome")
        if len({one.reap_id for one in outcomes}) < len(outcomes):
            raise LedgerError("Cannot record two outcomes of one reap.")
        for one in outcomes:
            reap = Reap(reaps[one.reap_id].reap.intent, Outcome(one.outcome), one.why, one.cleanup, one.snapshot)
            reaps[one.reap_id] = _Concluded(reap, one.at)

    def save_report(self, head: str, sessions: str, *, sweep: str, at: float, complete: bool) -> None:
        before = self._own.report.complete_at if self._own.report else None
        self._own.report = _Report(head, sessions, sweep, at if complete else before)

    def touch_report(self, head: str, *, same: str, at: float, complete: bool) -> bool:
        report = self._own.report
        if report is None or report.sweep != same:
            return False
        report.head, report.complete_at = head, at if complete else report.complete_at
        return True

    def last_report(self) -> tuple[str, str] | None:
        report = self._own.report
        return (report.head, report.sessions) if report else None

    def history(self, limit: int) -> list[Reap]:
        return [one.reap for one in reversed(self._own.reaps.values())][:limit]

    def find(self, reap_id: str) -> Reap | None:
        found = self._own.reaps.get(reap_id.upper())
        return found.reap if found else None

    def events(self, limit: int) -> list[Event]:
        return [event for _, event in reversed(self._own.events)][:limit]

    def events_after(self, number: int | None) -> tuple[int, list[Event]]:
        latest = self._own.events[-1][0] if self._own.events else 0
        return latest, [] if number is None else [event for at, event in self._own.events if at > number]
