"""What a sweep works with, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workspace_reaper.model.ports import Clock, Plugins, Processes, Registry, Snapshots, Terminal
from workspace_reaper.model.session import SessionKey, Testimony
from workspace_reaper.policy.cpu import Sampling
from workspace_reaper.policy.facts import Rules
from workspace_reaper.policy.session_names import Names
from workspace_reaper.sweep.last_report import Journal
from workspace_reaper.sweep.other_plugins import NoPlugins
from workspace_reaper.sweep.recollection import Recollection
from workspace_reaper.sweep.watch import Watch
from workspace_reaper.util.batch_size import Pace

__all__ = ["Parts", "Request"]


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
