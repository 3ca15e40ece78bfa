"""Build the facts of each session from the inputs that are common to a sweep. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from math import floor
from typing import Any

from workspace_reaper.model.events import GONE_EVENTS, WorkspaceEvent, strongest
from workspace_reaper.model.process import OwnLocation
from workspace_reaper.model.session import Session, SessionKey
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
from workspace_reaper.policy.idle import AgeClock, notice, worked_until
from workspace_reaper.policy.marks import is_marked_as
from workspace_reaper.policy.registry_identity import is_proven, known_in_generation
from workspace_reaper.policy.witness import Witness

_NOTHING: Mapping[str, Any] = {}


def lives_in(session: Session, own_location: OwnLocation) -> bool:
    """Return whether the reaper runs in this session: below one of its panes, or started from one."""
    key = session.key
    for pane in session.panes:
        if not pane.dead and pane.pid in own_location.pids:
            return True
        if own_location.tmux == (key.server_pid, pane.pane_id):
            return True
    return False


@dataclass(frozen=True, slots=True)
class FactsBuilder:
    """Sweep-wide inputs from which the facts of each session are built.

    Attributes:
        state: The stored state.
        generation: The registry's generation in this sweep.
        reported: What hooks reported, by workspace.
        recognised: The sessions' workspaces for which the registry has a row.
        cpu: The CPU time that the sessions' processes have used.
        reuses_ids: The host assigns ids again, so only our marks connect a session with the known workspace.
        retry_after: The first wait after failed kills, in seconds (see ``confirmations.retry_at``).
        insisted: Sessions whose kill an operator wants to attempt at once.
        clock: The clocks in this sweep.
        age_clock: How ages are counted in this sweep.
        witnesses: What the directories of workspaces without a row say.
        doubtful: Workspaces whose directory speaks against the deletion of their row.
        lost: Workspaces whose row went together with the directory since the last full sweep.
    """

    state: LedgerState
    confirmations: Confirmations
    generation: int
    reported: Mapping[str, WorkspaceEvent]
    recognised: Set[str]
    breaker: BreakerState
    own_location: OwnLocation
    cpu: CpuState = field(default_factory=CpuState)
    reuses_ids: bool = False
    retry_after: float = 0.0
    insisted: Set[SessionKey] = frozenset()
    clock: ClockState = field(default_factory=ClockState)
    age_clock: AgeClock = field(default_factory=AgeClock)
    witnesses: Mapping[str, Witness] = field(default_factory=dict)
    doubtful: Set[str] = frozenset()
    lost: Set[str] = frozenset()

    def at(self, boot: str, reading: ClockReading, keep: float) -> FactsBuilder:
        """Return the same builder with the clocks at this moment, since the boot ``boot``. ``keep``: see ``idle.notice``."""
        noticed = notice(self.clock, boot, reading, keep)
        if noticed.state is self.clock:
            return self
        # A clock step since the last full sweep applies to all of this sweep.
        age_clock = replace(self.age_clock, skews=noticed.state.skews, stepped=noticed.stepped or self.age_clock.stepped)
        return replace(self, clock=noticed.state, age_clock=age_clock)

    def doubting(self, workspace_ids: Set[str]) -> FactsBuilder:
        """Return a builder to which the rows of these workspaces have vanished as after a restore."""
        doubt = WorkspaceEvent.DOUBTED
        doubted = {one: strongest(doubt, self.reported.get(one, doubt)) for one in workspace_ids}
        return replace(self, reported={**self.reported, **doubted}) if doubted else self

    def said(self, session: Session, workspace_id: str) -> WorkspaceEvent | None:
        """Return what a hook reported about this session's workspace.

        A deletion says nothing about a session that was created after it, because the id may have been assigned again.
        """
        said, at = self.reported.get(workspace_id), self.state.reported.get(workspace_id)
        if said not in GONE_EVENTS:
            return said
        if said is not WorkspaceEvent.DELETED:
            removal = self.state.removals.get(workspace_id)
            at = removal.at if removal else None
        is_another = self._is_another(session, workspace_id)
        return None if is_another or (at is not None and self._is_newer(session, at)) else said

    def witness(self, session: Session, workspace_id: str) -> Witness | None:
        """Return what the directory of this session's workspace says about its absent row.

        It says nothing about a session that was created after the row had gone.
        """
        record = self.state.directories.get(workspace_id)
        since = record.missing_since if record else None
        if self._is_another(session, workspace_id) or (since is not None and self._is_newer(session, since)):
            return None
        return self.witnesses.get(workspace_id)

    def _is_newer(self, session: Session, at: float) -> bool:
        """Return whether the session was created after that moment.

        tmux reports whole seconds. A session of the same second may be newer, which counts if it may belong to another
        workspace.
        """
        created = session.key.created
        return created >= floor(at) if self.reuses_ids else created > at

    def _is_another(self, session: Session, workspace_id: str) -> bool:
        """Return whether it may belong to a later workspace with the same id: the host creates the session before the row."""
        return self.reuses_ids and not is_marked_as(session, workspace_id)

    def knows(self, session: Session, workspace_id: str) -> bool:
        """Return whether the registry is known to have known the session's workspace, without regard to its row now."""
        is_another = self._is_another(session, workspace_id)
        return not is_another and is_proven(workspace_id, session, self.state, self.generation)

    def is_proven(self, session: Session, workspace_id: str, row: Workspace | None) -> bool:
        """Return whether the registry knows the session's workspace, or has known it. A row marked deleted proves it too."""
        return row is not None or self.knows(session, workspace_id)

    def facts(
        self,
        session: Session,
        workspace_id: str,
        row: Workspace | None,
        now: float,
        *,
        renamed: bool = False,
        named_row: Workspace | None = None,
    ) -> Facts:
        """Return the facts of this session at this moment (Unix seconds).

        ``renamed``: its name does not yield the workspace of its marks any more. ``named_row`` is the row of the workspace
        that the name yields instead.
        """
        key, reported = session.key, self.said(session, workspace_id)
        witness = None if row is not None and not row.deleted else self.witness(session, workspace_id)
        is_confirmed = witness is not None and witness.confirms
        seen = self.confirmations.of(key)
        # Most sessions have no findings. For them this is where a sweep spends most of its own time.
        remembered: Mapping[str, Any] = self._remembered(key, seen, now) if seen else _NOTHING
        if has_left(session, seen, self.state.last_complete):
            remembered = {**remembered, "detached_at": now}
        return Facts(
            session=session,
            workspace_id=workspace_id,
            row=row,
            renamed=renamed,
            named_row=named_row,
            now=now,
            reported=reported,
            proven=self.is_proven(session, workspace_id, row),
            knows_other_sessions=len(self.recognised) > (workspace_id in self.recognised),
            latched=self.breaker.latched,
            approved=key in self.breaker.approved,
            generation=self.generation,
            known_in_generation=None if row is not None and not row.deleted else known_in_generation(workspace_id, self.state),
            witness=witness,
            doubtful=workspace_id in self.doubtful or (reported is WorkspaceEvent.DOUBTED and not is_confirmed),
            home=lives_in(session, self.own_location),
            age_clock=self.age_clock,
            busy_at=worked_until(session, sample.busy_at if (sample := self.cpu.samples.get(key)) else None, now),
            **remembered,
        )

    def _remembered(self, key: SessionKey, seen: Mapping[Finding, Confirmation], now: float) -> dict[str, Any]:
        """Return the facts that rest on what earlier sweeps have found."""
        since, count = self.confirmations.since, self.confirmations.count
        return {
            "detached_at": since(key, Finding.DETACHED),
            "archived_since": since(key, Finding.ARCHIVED),
            "dead_since": since(key, Finding.DEAD),
            "confirmations": count(key, Finding.ORPHAN),
            "witnessed": count(key, Finding.WITNESSED),
            "announced_at": since(key, Finding.ANNOUNCED),
            "undone": frozenset(cause for cause, finding in UNDONE.items() if finding in seen),
            "failures": count(key, Finding.FAILED),
            "retry_at": None if key in self.insisted else retry_at(seen.get(Finding.FAILED), now, self.retry_after),
        }
