"""Runs one history: the plan of a seed, with the real sweep, in the simulated world."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.blindness import unreadable
from tests.simulation.closing import judge_end, report_of, returns
from tests.simulation.daemon import SimulatedDaemon
from tests.simulation.dues import note_due
from tests.simulation.floors import COUNTED
from tests.simulation.happenings import happen
from tests.simulation.judged_ports import JudgedDirectories, JudgedLedger, JudgedPlugins, JudgedRegistry, JudgedTerminal
from tests.simulation.judging import Judging
from tests.simulation.memory.kernel import INIT
from tests.simulation.memory.ledger import MemoryFile
from tests.simulation.oracle import judge_returns
from tests.simulation.oracle.rows import gone
from tests.simulation.oracle.truth import Limits
from tests.simulation.oracle.violation import Violation
from tests.simulation.ownership import Ownership
from tests.simulation.plan import (
    APPROVE,
    DAEMON,
    LOOK_ARCHIVED,
    LOOK_DELETED,
    LOSE_STATE,
    RESET,
    RESTART,
    RESTART_INSIDE,
    RUNS,
    SWEEP,
    Event,
    Interruption,
    Plan,
    Step,
)
from tests.simulation.points import Crash
from tests.simulation.reaper import Ports, SimulatedReaper
from tests.simulation.signals import JudgedProcesses
from tests.simulation.world import World
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.sweep.report import SweepReport

__all__ = ["History", "Result", "run"]


# Seconds after which a doubt is an alarm in the histories in which that is judged.
WATCHED_ALARM = 60.0


@dataclass(slots=True)
class Result:
    """What a history came to. ``counts`` are kills by reason, what protected or spared sessions, and signals."""

    violations: list[Violation]
    story: list[str]
    counts: Counter[str] = field(default_factory=Counter)


def run(plan: Plan) -> Result:
    """Run a plan to its end, or to the first violation."""
    return History(plan).run()


class History:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._counts: Counter[str] = Counter()
        self.world = world = World(plan.workspaces, plan.foreign, plan.rows_alone)
        limits = Limits(undo_window=plan.undo_window, abstain_alarm=WATCHED_ALARM if plan.is_watched else 1800.0)
        ports = Ports(world)
        self._ports = ports
        self.judging = Judging(world, limits, Ownership(world, ports.ledger.registry().owner_id))
        ports.terminal = JudgedTerminal(ports.terminal, self.judging)
        ports.directories = JudgedDirectories(world.directories, self.judging)
        ports.plugins = JudgedPlugins(ports.plugins, self.judging)
        ports.processes = JudgedProcesses(ports.processes, self.judging, self._counts)
        ports.registry = JudgedRegistry(ports.registry, self.judging)
        ports.ledger = JudgedLedger(ports.ledger, self.judging)
        self.ledger = ports.ledger
        self.reaper = SimulatedReaper(world, ports, limits, self._interrupt, self.judging.begin)
        self._start_daemon()

    def run(self) -> Result:
        try:
            for step in self._plan.steps:
                self._take(step)
                if self.judging.violations:
                    break
            else:
                self._close()
        except Exception as error:  # noqa: BLE001  whatever it is, the history shows how it came
            place = traceback.extract_tb(error.__traceback__)[-1]
            why = f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
            self.judging.violations.append(Violation("error", "the history", why, self.world.now))
        self._counts.update({f"kill {reason}": number for reason, number in self.judging.kills.items()})
        self._counts["foreign session lives"] += len(self.world.foreign)
        watch = self.judging.daemon
        self._counts.update({"few rows go before the daemon": watch.few, "many rows go before the daemon": watch.many})
        return Result(self.judging.violations, self.world.story, self._counts)

    def _close(self) -> None:
        """Let the reaper see everything once more, without an interruption, and judge what it leaves."""
        for what in ("unlock database", "unmute", "link socket", "allow"):
            happen(self.world, Event(what))
        for _ in range(2):
            self._take(Step(Event("wait", 0, 61.0)))
            self._take(Step(Event(SWEEP)))
        if not self.judging.violations:
            self.judging.violations += judge_end(self.judging, self.ledger.history(10_000))

    def _take(self, step: Step) -> None:
        what = step.event.what
        self._happen(step.event)
        self.world.tell(str(step.event))
        if what in (RESTART, RESTART_INSIDE, LOSE_STATE):
            if what != RESTART_INSIDE:
                self.world.move_reaper(INIT)
            self._restart(lost=what == LOSE_STATE)
        if what not in RUNS:
            return
        self.reaper.points.arm(step.during)
        before, blind = len(self.reaper.reports), unreadable(self.world)
        try:
            self._run(step)
        except Crash:
            self._counts["crash"] += 1
            if self.judging.is_saved:
                self._note_rows(full=True)
            self.reaper.points.arm(())
            self._start()
        self.reaper.points.arm(())
        self._note(before, blind & unreadable(self.world))
        self.judging.began = None

    def _run(self, step: Step) -> None:
        what, one = step.event.what, self.world.workspaces[step.event.who % len(self.world.workspaces)]
        if what == SWEEP:
            self.reaper.tick()
        elif what == DAEMON and self.reaper.daemon is not None:
            self.reaper.daemon.look()
        elif what == APPROVE:
            self.reaper.approve()
        elif what == RESET and self.reaper.reset_breaker():
            self.judging.reset_breaker()
        elif what == LOOK_DELETED:
            self.reaper.hook(one.workspace_id, WorkspaceEvent.DELETED)
            if not gone(one.rows[-1]):
                one.given_up_at = self.world.now
        elif what == LOOK_ARCHIVED:
            self.reaper.hook(one.workspace_id, WorkspaceEvent.ARCHIVED)

    def _interrupt(self, one: Interruption) -> None:
        self.world.tell(str(one))
        self._counts["event in a sweep"] += 1
        self._happen(one.event)

    def _happen(self, event: Event) -> None:
        if event.what in COUNTED:
            self._counts[f"event {event.what}"] += 1
        happen(self.world, event)

    def _restart(self, *, lost: bool) -> None:
        """Start the reaper again, with its state or without it."""
        if lost:
            self.world.file = MemoryFile(after=self.world.file)
            self._ports.ledger = self.ledger = JudgedLedger(self.world.file.open("standard", "memory"), self.judging)
            self.judging.forget(self.ledger.registry().owner_id)
        self._start()

    def _start(self) -> None:
        """Start the process of the reaper, which is that of the daemon."""
        self.reaper.start()
        self._start_daemon()

    def _start_daemon(self) -> None:
        if self._plan.has_daemon:
            self.judging.daemon.start()
            self.reaper.daemon = SimulatedDaemon(self.world, self.reaper, self.judging.saw)

    def _note(self, before: int, blind: frozenset[str]) -> None:
        """Take notes of the reports of a step."""
        for report in self.reaper.reports[before:]:
            for entry in report.sessions:
                if entry.protected_by is not None:
                    self._counts[f"by {entry.protected_by}"] += 1
            if not report.dry_run and report.registry:
                self._note_rows(full=report.full)
            if report.full and not report.dry_run:
                self._note_full(report, blind)

    def _note_rows(self, *, full: bool) -> None:
        """The reaper has read all rows, and looked at their directories. It remembers the rows only from a full sweep."""
        looked = self.judging.looked or 0.0
        at = self.judging.looked_at_directories or looked
        for one in self.world.workspaces:
            if full and one.had_row_at >= looked:
                one.known_at, one.is_recorded = self.world.now, True
            row = one.row_at(looked)
            if row is None or row.deleted or one.read_at < looked:
                continue
            directory = one.directory_at(at)
            if row.readable and not directory.gone:
                one.seen_with_row = looked
            elif full and directory.since <= one.looked_at and one.rows[-1].since <= looked:
                # The row has outlived the directory, so that they cannot go together any more.
                one.seen_with_row = None

    def _note_full(self, report: SweepReport, blind: frozenset[str]) -> None:
        world, judging = self.world, self.judging
        names = [(one.name, one.session_id) for one in world.tmux.sessions.values()]
        for life in world.lives.values():
            of = dict.fromkeys((life.of, judging.ownership.named(life)))
            names += [(f"the workspace {one.workspace_id} ", life.session_id) for one in of if one is not None]
        self._counts["breaker latched"] += judging.breaker.latched
        self._counts["clock stepped"] += judging.is_stepped
        began = judging.began or 0.0
        judging.reports.append(report_of(report, began, world.now, self.ledger.alarms, names, blind))
        back = list(returns(judging))
        self._counts["session came back"] += sum(one.is_due for one in back)
        judging.violations += judge_returns(back, judging.reports[-1])
        if self._plan.is_watched:
            note_due(judging)
        for life in world.lives.values():
            if life.is_listed_attached:
                life.seen_attached = world.now
