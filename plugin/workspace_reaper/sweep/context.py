"""What a sweep works with, and what a caller asks of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.machine_ports import Clock, Directories, Processes
from workspace_reaper.model.ports import Ledger, Plugins, Registry, Snapshots, Terminal
from workspace_reaper.model.process import Details, OwnLocation, ProcessKey
from workspace_reaper.model.reap import Intent, Outcome, ProcessCleanup, RecordedProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import KillResult
from workspace_reaper.policy.escaped_processes import SeenBelow
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.idle import SampleInterval
from workspace_reaper.policy.process_tree import SessionProcess
from workspace_reaper.policy.rules import Rule
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.sweep.last_report import LastReport
from workspace_reaper.sweep.other_plugins import NoPlugins
from workspace_reaper.sweep.own_options import OwnOptions
from workspace_reaper.sweep.report import SessionReport, SweepReport
from workspace_reaper.sweep.rivals import NO_RIVALS, Rivals
from workspace_reaper.sweep.unrecorded_alarms import UnrecordedAlarms
from workspace_reaper.util.batch_size import BatchSize
from workspace_reaper.util.threads import InBackground, run_in_background

# Characters of a command line that the ledger keeps: one may have megabytes.
LONGEST_COMMAND = 1000


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The adapters of a sweep. ``snapshots`` is None where snapshots are switched off.

    ``in_background`` starts some work, under a name, and returns a function that waits for its result.
    """

    terminals: Sequence[Terminal]
    registry: Registry
    processes: Processes
    directories: Directories
    clock: Clock
    matcher: SessionMatcher
    snapshots: Snapshots | None = None
    plugins: Plugins = field(default_factory=NoPlugins)
    in_background: InBackground = run_in_background


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """The numbers and switches of a sweep. ``abstain_alarm``, ``tick`` and ``kill_grace`` are in seconds.

    ``recheck_validity``: a recheck that began longer ago kills nothing, and processes that were looked at longer ago are looked
    at again before a recheck (seconds). ``guard_validity``: nor does a guard kill that tmux evaluates so long after the
    recheck's listing (whole seconds).
    ``end_everywhere``: end surviving processes wherever they work. ``reuses_ids``: the host reuses the ids of deleted
    workspaces. ``removes_worktree``: the host removes the directory of a workspace that it deletes. ``records`` are the files
    of the registry and of the ledger, with wildcards.
    """

    thresholds: Thresholds
    max_orphans_per_hour: int
    abstain_alarm: float
    tick: float = 60.0
    kill_grace: float = 5.0
    recheck_validity: float = 4.0
    guard_validity: int = 5
    end_everywhere: bool = False
    reuses_ids: bool = False
    removes_worktree: bool = True
    records: tuple[str, ...] = ()


# What a hook reported of a workspace, and when (monotonic seconds).
Report = tuple[WorkspaceEvent, float]


@dataclass(slots=True)
class ReaperState:
    """What a reaper keeps in memory from one sweep to the next.

    ``doubt`` is why the registry proves nothing any more, until the ledger has it. ``last_event`` is the number of the latest
    event in the ledger after the last sweep. ``seen_below`` are the processes that full sweeps have seen below the panes of
    each session. It is not stored: after a restart, those that have left the tree with a cleaned environment are reported, and
    not ended. ``looked_at`` is at which path the directory of a workspace was looked at, and when (monotonic seconds).
    ``notified`` are the workspaces of which the other plugins were notified while more looks at them follow, and ``recorded``
    those whose reports are in the ledger meanwhile.
    ``refused_reload`` is why the daemon refused a newer configuration than the one in force, until it has accepted one.
    """

    sample_interval: SampleInterval
    batch_size: BatchSize = field(default_factory=BatchSize)
    marks_at_once: BatchSize = field(default_factory=BatchSize)
    own_options: OwnOptions = field(default_factory=OwnOptions)
    last_report: LastReport = field(default_factory=LastReport)
    unrecorded_alarms: UnrecordedAlarms = field(default_factory=UnrecordedAlarms)
    doubt: str | None = None
    last_event: int | None = None
    seen_below: SeenBelow = field(default_factory=dict)
    looked_at: dict[str, tuple[str, float]] = field(default_factory=dict)
    notified: set[str] = field(default_factory=set)
    recorded: dict[str, Report] = field(default_factory=dict)
    refused_reload: str | None = None

    def for_another_host(self) -> ReaperState:
        """Return a new state for another host of the same reaper. It shares what is known of tmux and of the machine."""
        return ReaperState(self.sample_interval, self.batch_size, self.marks_at_once, self.own_options)


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What a caller asks of a sweep.

    ``suspects`` None asks for a full sweep. Otherwise only these workspaces are looked at, each with what a hook reported.
    ``approve`` are the sessions that an operator lets pass the breaker, and for which failed kills cause no wait. They pass
    only while the registry is the one in ``shown``, which is the ``registry`` of the report that showed them. ``stopping`` is
    asked before each batch of kills. ``doubted`` is asked in each recheck: workspaces whose rows have vanished as after a
    restore, which the daemon may have seen since the sweep began.
    """

    suspects: Mapping[str, WorkspaceEvent] | None = None
    dry_run: bool = False
    approve: frozenset[SessionKey] = frozenset()
    shown: Mapping[str, Any] | None = None
    stopping: Callable[[], bool] = lambda: False
    doubted: Callable[[], Set[str]] = frozenset

    @property
    def full(self) -> bool:
        """Whether every socket and every managed session is looked at."""
        return self.suspects is None

    @property
    def counts(self) -> bool:
        """Whether the sweep counts for confirmations, breaker and alarms: it is full, and no dry run."""
        return self.full and not self.dry_run


@dataclass(frozen=True, slots=True)
class SweptHost:
    """One host in a sweep.

    ``name`` is None if it is the only one. ``is_asked`` is False for a host that is not swept: only its patterns count, and its
    record is asked where it claims a session of another host.
    """

    dependencies: Dependencies
    settings: SweepSettings
    state: ReaperState
    ledger: Ledger
    request: SweepRequest
    name: str | None = None
    is_asked: bool = True


@dataclass(frozen=True, slots=True)
class SweepContext:
    """Everything that is the same for all steps of one sweep of one host. ``own_location`` returns
    where the reaper itself runs. ``rivals`` are the other hosts, and ``host`` is
    the name of this one if there are any."""

    dependencies: Dependencies
    settings: SweepSettings
    state: ReaperState
    ledger: Ledger
    request: SweepRequest
    report: SweepReport
    own_location: Callable[[], OwnLocation]
    rivals: Rivals = NO_RIVALS
    host: str | None = None

    def add_unknown(self, unknown: Unknown) -> None:
        """Report what could not be read, once."""
        if unknown not in self.report.unknown:
            self.report.unknown.append(unknown)


@dataclass(slots=True, eq=False)
class ReapCandidate:
    """A session that was selected for reaping, from preparation to outcome.

    ``entry`` is its line in the report, ``kill_result`` the last answer of its guard, ``busy_at`` when its processes were found
    at work (Unix seconds). ``processes`` are its processes before the kill, with their ``details``, and ``looked_at`` is when
    they were last looked at (``ClockReading.elapsed``); ``is_hidden`` if some of its panes' processes cannot be seen.
    ``intent`` is None until it is committed. ``snapshot`` is None once the panes are kept, otherwise the reason why they are
    not. ``attempts`` counts the kills without an answer, ``late`` those that came too late after their recheck;
    ``largest_batch`` limits the batch of the next.
    """

    entry: SessionReport
    key: SessionKey
    facts: Facts
    reason: Rule
    reap_id: str
    intent: Intent | None = None
    attempts: int = 0
    late: int = 0
    largest_batch: int = sys.maxsize
    kill_result: KillResult | None = None
    worktree: str | None = None
    processes: Sequence[SessionProcess] = ()
    details: Mapping[ProcessKey, Details] = field(default_factory=dict)
    looked_at: float = 0.0
    is_hidden: bool = False
    busy_at: float | None = None
    snapshot: str | None = "not taken"
    cleanup: ProcessCleanup = field(default_factory=ProcessCleanup)

    @property
    def is_concluded(self) -> bool:
        """Whether the outcome is known."""
        return self.entry.outcome is not Outcome.NONE

    @property
    def recorded_processes(self) -> tuple[RecordedProcess, ...]:
        """The processes as the ledger keeps them."""
        return tuple(
            RecordedProcess(one.process.key, self._command(one), one.pane, one.descendant)
            for one in self.processes
            if not one.process.zombie
        )

    def spare(self, why: str) -> None:
        """Mark the session as spared, with the reason."""
        self.entry.outcome, self.entry.protected_by = Outcome.SPARED, why

    def fail(self, why: str) -> None:
        """Mark the kill as failed, with the reason."""
        self.entry.outcome, self.entry.protected_by = Outcome.FAILED, why

    def _command(self, one: SessionProcess) -> str:
        known = self.details.get(one.process.key)
        return known.command[:LONGEST_COMMAND] if known else one.process.name
