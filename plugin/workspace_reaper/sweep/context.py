"""What a sweep works with, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workspace_reaper.model.ports import Clock, Ledger, Plugins, Processes, Registry, Snapshots, Terminal
from workspace_reaper.model.process import Details, ProcessKey
from workspace_reaper.model.reap import Aftermath, Intent, Relative
from workspace_reaper.model.session import Answer, Reason, SessionKey, Testimony
from workspace_reaper.model.state import RegistryMemory
from workspace_reaper.policy.facts import Facts, Rules
from workspace_reaper.policy.facts_builder import Circumstances
from workspace_reaper.policy.idle import Sampling
from workspace_reaper.policy.process_tree import Kin
from workspace_reaper.policy.session_names import Names
from workspace_reaper.sweep.alarms import Watch
from workspace_reaper.sweep.last_report import Journal
from workspace_reaper.sweep.observe import Recollection
from workspace_reaper.sweep.other_plugins import NoPlugins
from workspace_reaper.sweep.report import SessionReport, SweepReport
from workspace_reaper.util.batch_size import Pace

__all__ = ["Case", "Context", "Parts", "Request"]


@dataclass(frozen=True, slots=True)
class Parts:
    """The edges and the thresholds. ``abstain_alarm``, ``tick`` and ``kill_grace`` are in seconds. ``end_everywhere``: wherever
    a survivor works. ``snapshots`` None: no panes are kept. ``reuses_ids``: the host gives a workspace's id out again."""

    terminals: Sequence[Terminal]
    registry: Registry
    processes: Processes
    clock: Clock
    names: Names
    rules: Rules
    pace: Pace
    journal: Journal
    max_orphans_per_hour: int
    abstain_alarm: float
    sampling: Sampling
    tick: float = 60.0
    kill_grace: float = 5.0
    end_everywhere: bool = False
    snapshots: Snapshots | None = None
    reuses_ids: bool = False
    plugins: Plugins = field(default_factory=NoPlugins)
    watch: Watch = field(default_factory=Watch)
    recollection: Recollection = field(default_factory=Recollection)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a sweep. ``suspects`` None: a full one; else only these workspaces, with what a hook said of each.

    ``approve`` are the sessions that an operator lets pass the breaker, and does not let wait after kills that failed;
    ``shown`` is the registry under which alone they pass, as the report names it that has shown them. ``stopping`` is asked
    before each batch of kills.
    """

    suspects: Mapping[str, Testimony] | None = None
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
class Context:
    """``registry`` is what the sweep found the registry to be: if a recheck finds another one, nothing more dies."""

    parts: Parts
    ledger: Ledger
    scene: Circumstances
    registry: RegistryMemory
    report: SweepReport

    def anew(self) -> tuple[Circumstances, float]:
        """The circumstances at this moment, and the moment (Unix seconds): the clock may have been set since the first look."""
        reading = self.parts.clock.read()
        return self.scene.at(self.scene.clock.boot, reading, self.parts.rules.longest), reading.wall


@dataclass(slots=True, eq=False)
class Case:
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
    answer: Answer | None = None
    worktree: str | None = None
    family: Sequence[Kin] = ()
    details: Mapping[ProcessKey, Details] = field(default_factory=dict)
    snapshot: str | None = "not taken"
    aftermath: Aftermath = field(default_factory=Aftermath)

    @property
    def ended(self) -> bool:
        """Its outcome is known."""
        return self.entry.outcome != "none"

    @property
    def relatives(self) -> tuple[Relative, ...]:
        """Its processes, as they are remembered."""
        return tuple(
            Relative(kin.process.key, self._command(kin), kin.pane, kin.descendant)
            for kin in self.family
            if not kin.process.zombie
        )

    def spare(self, why: str) -> None:
        """It lives on, and why."""
        self.entry.outcome, self.entry.protected_by = "spared", why

    def fail(self, why: str) -> None:
        """It should be gone and is not, or nobody knows; and why."""
        self.entry.outcome, self.entry.protected_by = "failed", why

    def _command(self, kin: Kin) -> str:
        known = self.details.get(kin.process.key)
        return known.command[:LONGEST] if known else kin.process.name
