"""One condemned session on its way through steps 5 to 9, and what these steps share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.process import Details, ProcessKey
from workspace_reaper.model.reap import Aftermath, Intent, Relative
from workspace_reaper.model.session import Answer, Reason, SessionKey
from workspace_reaper.model.state import RegistryMemory
from workspace_reaper.policy.facts import Facts
from workspace_reaper.policy.facts_builder import Circumstances
from workspace_reaper.policy.process_tree import Kin
from workspace_reaper.sweep.context import Parts
from workspace_reaper.sweep.report import SessionReport, SweepReport

__all__ = ["Case", "Context"]

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
