"""The port ``Plugins`` in memory. ``tests/contract/test_plugins.py`` holds it to that of a real host."""

from __future__ import annotations

from collections.abc import Sequence

from workspace_hookspecs import Candidate, Reaped, ReaperAlarm, Veto
from workspace_reaper.model.reap import Vetoes
from workspace_reaper.sweep.other_plugins import combine_vetoes

__all__ = ["MemoryPlugins"]


class MemoryPlugins:
    """One other plugin, and what it was asked and notified of.

    ``held`` are the names of the sessions that it holds back, each with its reason. ``silence`` is what it does instead of a
    usable answer (None: it answers).
    """

    def __init__(self, name: str = "guard") -> None:
        self.name = name
        self.held: dict[str, str] = {}
        self.silence: str | None = None
        self.asked: list[tuple[Candidate, ...]] = []
        self.deletions: list[str] = []
        self.reaps: list[Reaped] = []
        self.alarms: list[ReaperAlarm] = []

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:
        self.asked.append(tuple(candidates))
        if self.silence is not None:
            return combine_vetoes([Veto(self.name, None, self.silence)], candidates)
        return combine_vetoes([Veto(self.name, one, why) for one, why in self.held.items()], candidates)

    def deleted(self, workspace_id: str) -> None:
        self.deletions.append(workspace_id)

    def reaped(self, reap: Reaped) -> None:
        self.reaps.append(reap)

    def alarm(self, alarm: ReaperAlarm) -> None:
        self.alarms.append(alarm)
