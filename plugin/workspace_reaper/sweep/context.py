"""What a sweep works with, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.ports import Clock, Ledger, Plugins, Processes, Registry, Snapshots, Terminal
from workspace_reaper.model.process import Details, ProcessKey
from workspace_reaper.model.reap import Intent, Outcome, ProcessCleanup, RecordedProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import RegistryState
from workspace_reaper.model.verdict import KillResult, Reason
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.idle import SampleInterval
from workspace_reaper.policy.process_tree import SessionProcess
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.sweep.alarms import UnrecordedAlarms
from workspace_reaper.sweep.last_report import LastReport
from workspace_reaper.sweep.observe import StatePrefetch
from workspace_reaper.sweep.other_plugins import NoPlugins
from workspace_reaper.sweep.report import SessionReport, SweepReport
from workspace_reaper.util.batch_size import BatchSize

__all__ = ["Dependencies", "ReapCandidate", "SweepContext", "SweepRequest"]


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The edges and the thresholds. ``abstain_alarm``, ``tick`` and ``kill_grace`` are in seconds. ``end_everywhere``: wherever
    a survivor works. ``snapshots`` None: no panes are kept. ``reuses_ids``: the host gives a workspace's id out again."""

    terminals: Sequence[Terminal]
    registry: Registry
    processes: Processes
    clock: Clock
    names: SessionMatcher
    rules: Thresholds
    pace: BatchSize
    journal: LastReport
    max_orphans_per_hour: int
    abstain_alarm: float
    sampling: SampleInterval
    tick: float = 60.0
    kill_grace: float = 5.0
    end_everywhere: bool = False
    snapshots: Snapshots | None = None
    reuses_ids: bool = False
    plugins: Plugins = field(default_factory=NoPlugins)
    watch: UnrecordedAlarms = field(default_factory=UnrecordedAlarms)
    recollection: StatePrefetch = field(default_factory=StatePrefetch)


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What is asked of a sweep. ``suspects`` None: a full one; else only these workspaces, with what a hook said of each.

    ``approve`` are the sessions that an operator lets pass the breaker, and does not let wait after kills that failed;
    ``shown`` is the registry under which alone they pass, as the report names it that has shown them. ``stopping`` is asked
    before each batch of kills.
    """

    suspects: Mapping[str, WorkspaceEvent] | None = None
    dry_run: bool = False
    approve: frozenset[SessionKey] = frozenset()
    shown: Mapping[str, Any] | None = None
    stopping: Callable[[], bool] = lambda: False

    @property
    def full(self) -> bool:
        """Every socket and every managed session."""
        return self.suspects is None


LONGEST = 1000

"""Characters of a command line that are remembered: one may have megabytes."""


@dataclass(frozen=True, slots=True)
class SweepContext:
    """``registry`` is what the sweep found the registry to be: if a recheck finds another one, nothing more dies."""

    parts: Dependencies
    ledger: Ledger
    scene: FactsBuilder
    registry: RegistryState
    report: SweepReport

    def anew(self) -> tuple[FactsBuilder, float]:
        """The circumstances at this moment, and the moment (Unix seconds): the clock may have been set since the first look."""
        reading = self.parts.clock.read()
        return self.scene.at(self.scene.clock.boot, reading, self.parts.rules.longest), reading.wall


@dataclass(slots=True, eq=False)
class ReapCandidate:
    """``entry`` is its line in the report; ``answer`` the guard's last one. ``family`` are its processes as they were before
    the kill, and ``details`` what was read of them. ``intent`` is None until it is in the ledger. ``snapshot`` is None where
    its panes are kept, else why they are not."""

    entry: SessionReport
    key: SessionKey
    facts: Facts
    reason: Reason
    reap_id: str
    intent: Intent | None = None
    attempts: int = 0
    answer: KillResult | None = None
    worktree: str | None = None
    family: Sequence[SessionProcess] = ()
    details: Mapping[ProcessKey, Details] = field(default_factory=dict)
    snapshot: str | None = "not taken"
    aftermath: ProcessCleanup = field(default_factory=ProcessCleanup)

    @property
    def ended(self) -> bool:
        """Its outcome is known."""
        return self.entry.outcome is not Outcome.NONE

    @property
    def relatives(self) -> tuple[RecordedProcess, ...]:
        """Its processes, as they are remembered."""
        return tuple(
            RecordedProcess(kin.process.key, self._command(kin), kin.pane, kin.descendant)
            for kin in self.family
            if not kin.process.zombie
        )

    def spare(self, why: str) -> None:
        """It lives on, and why."""
        self.entry.outcome, self.entry.protected_by = Outcome.SPARED, why

    def fail(self, why: str) -> None:
        """It should be gone and is not, or nobody knows; and why."""
        self.entry.outcome, self.entry.protected_by = Outcome.FAILED, why

    def _command(self, kin: SessionProcess) -> str:
        known = self.details.get(kin.process.key)
        return known.command[:LONGEST] if known else kin.process.name
