"""What is the same for all sessions of one sweep, and makes the facts of one session from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from math import floor
from typing import Any

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.ports import OwnLocation
from workspace_reaper.model.session import Owner, Session, SessionKey
from workspace_reaper.model.state import (
    UNDONE,
    BreakerState,
    ClockReading,
    ClockState,
    Confirmation,
    CpuState,
    Finding,
    LedgerState,
)
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy.confirmations import Confirmations, has_left, retry_at
from workspace_reaper.policy.facts import Facts
from workspace_reaper.policy.idle import AgeClock, notice
from workspace_reaper.policy.registry_identity import is_proven, known_under

__all__ = ["FactsBuilder", "lives_in"]

_NOTHING: Mapping[str, Any] = {}


def lives_in(session: Session, whereabouts: OwnLocation) -> bool:
    """Whether the reaper runs in this session: below one of its panes, or started from one (as its environment tells)."""
    key = session.key
    for pane in session.panes:
        if not pane.dead and pane.pid in whereabouts.pids:
            return True
        if whereabouts.tmux == (key.server_pid, pane.pane_id):
            return True
    return False


@dataclass(frozen=True, slots=True)
class FactsBuilder:
    """``generation`` is the registry's as of this sweep, ``reported`` what hooks said, ``recognised`` the workspaces among
    the sessions' that the registry has, ``cpu`` what the process trees have used. ``reuses_ids``: an id may name another
    workspace than it did, so only our stamp tells that a session belongs to the one that is known. ``retry_after`` seconds is
    the first wait after kills that failed (see ``confirmations.retry_at``); ``insisted`` are sessions that an operator wants
    to be tried at once. ``clock`` is how the clocks are in this sweep, and ``times`` how it tells ages."""

    memory: LedgerState
    sightings: Confirmations
    generation: int
    reported: Mapping[str, WorkspaceEvent]
    recognised: Set[str]
    breaker: BreakerState
    whereabouts: OwnLocation
    cpu: CpuState = field(default_factory=CpuState)
    reuses_ids: bool = False
    retry_after: float = 0.0
    insisted: Set[SessionKey] = frozenset()
    clock: ClockState = field(default_factory=ClockState)
    times: AgeClock = field(default_factory=AgeClock)

    def at(self, boot: str, reading: ClockReading, keep: float) -> FactsBuilder:
        """The same with the clocks as they are at this moment, since the start ``boot`` of the machine. ``keep``: see
        ``clocks.notice``."""
        noticed = notice(self.clock, boot, reading, keep)
        if noticed.memory is self.clock:
            return self
        # A clock that was set since the last full sweep stays so for this sweep.
        times = replace(self.times, lapses=noticed.memory.lapses, jumped=noticed.jumped or self.times.jumped)
        return replace(self, clock=noticed.memory, times=times)

    def said(self, session: Session, workspace_id: str) -> WorkspaceEvent | None:
        """What a hook said of this session's workspace. A deletion says nothing of a session that was made after it: the id
        may have been given out again."""
        said, at = self.reported.get(workspace_id), self.memory.reported.get(workspace_id)
        if said is not WorkspaceEvent.DELETED:
            return said
        return None if self._is_another(session) or (at is not None and self._is_newer(session, at)) else said

    def _is_newer(self, session: Session, at: float) -> bool:
        """Whether it was made after that moment. tmux tells whole seconds: one of the same second may have been, which counts
        where it may belong to another workspace."""
        created = session.key.created
        return created >= floor(at) if self.reuses_ids else created > at

    def _is_another(self, session: Session) -> bool:
        """Whether it may belong to a later workspace with the same id: the host makes the session before the row."""
        return self.reuses_ids and session.owner is not Owner.OURS

    def _is_proven(self, session: Session, workspace_id: str) -> bool:
        return not self._is_another(session) and is_proven(workspace_id, session, self.memory, self.generation)

    def facts(self, session: Session, workspace_id: str, row: Workspace | None, now: float) -> Facts:
        """All that is known of this session at this moment (Unix seconds)."""
        key = session.key
        seen = self.sightings.of(key)
        # Of most sessions nothing is remembered: for them this is what a sweep spends most of its own time on.
        remembered: Mapping[str, Any] = self._remembered(key, seen, now) if seen else _NOTHING
        if has_left(session, seen, self.memory.last_complete):
            remembered = {**remembered, "detached_at": now}
        return Facts(
            session=session,
            workspace_id=workspace_id,
            row=row,
            now=now,
            reported=self.said(session, workspace_id),
            proven=row is not None or self._is_proven(session, workspace_id),
            recognises_others=len(self.recognised) > (workspace_id in self.recognised),
            latched=self.breaker.latched,
            approved=key in self.breaker.approved,
            generation=self.generation,
            known_under=None if row is not None else known_under(workspace_id, self.memory),
            home=lives_in(session, self.whereabouts),
            times=self.times,
            busy_at=sample.busy_at if (sample := self.cpu.samples.get(key)) else None,
            **remembered,
        )

    def _remembered(self, key: SessionKey, seen: Mapping[Finding, Confirmation], now: float) -> dict[str, Any]:
        """The facts that rest on what earlier sweeps have seen."""
        orphan, failed = seen.get(Finding.ORPHAN), seen.get(Finding.FAILED)
        return {
            "detached_at": _first(seen, Finding.DETACHED),
            "archived_since": _first(seen, Finding.ARCHIVED),
            "dead_since": _first(seen, Finding.DEAD),
            "confirmations": orphan.count if orphan else 0,
            "announced_at": _first(seen, Finding.ANNOUNCED),
            "undone": frozenset(cause for cause, sight in UNDONE.items() if sight in seen),
            "failures": failed.count if failed else 0,
            "retry_at": None if failed is None or key in self.insisted else retry_at(failed, now, self.retry_after),
        }


def _first(seen: Mapping[Finding, Confirmation], sight: Finding) -> float | None:
    sighting = seen.get(sight)
    return sighting.first_at if sighting else None
