"""What is read before a kill, and what follows when it cannot be read."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from tests.simulation.memory.machine import MemoryMachine
from tests.simulation.memory.processes import MemoryProcesses
from tests.tools.builders import DEFAULTS, HOUR, NOW, entry, facts, listing, observation, pane, process, row, session
from tests.tools.clocks import VirtualClock
from tests.tools.leftovers import OneChild
from tests.unit.sweep.scene import Scene, entry_of
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.unknown import Source
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy import rules
from workspace_reaper.policy.process_tree import SessionProcess
from workspace_reaper.sweep.context import ReapCandidate
from workspace_reaper.sweep.prepare import read_processes

IDLE = session(idle=49 * HOUR)


def test_without_a_table_of_processes_no_idle_session_may_be_killed() -> None:
    """A silent process that computes could not be told from an idle one."""
    candidate = ReapCandidate(entry(), IDLE.key, facts(row(), session=IDLE), rules.IDLE, "01J")
    context: Any = SimpleNamespace(
        dependencies=SimpleNamespace(processes=OneChild(blind=True), clock=VirtualClock(NOW)),
        settings=SimpleNamespace(thresholds=DEFAULTS),
    )
    unknown = read_processes(context, observation(listing(IDLE)), [candidate], None)
    assert unknown is not None
    assert unknown.source is Source.PROCESSES


def test_i96_what_was_found_before_a_kill_without_an_answer_stays_known() -> None:
    """The kill may have ended the session: what is visible now says neither that it is at work, nor what it has left."""
    was, clock = session(panes=(pane(1),), idle=49 * HOUR), VirtualClock(NOW)
    before = (SessionProcess(process(4711), "%1", descendant=True),)
    candidate = ReapCandidate(entry(), was.key, facts(row(), session=was), rules.IDLE, "01J", attempts=1, processes=before)
    machine = MemoryMachine(clock)
    context: Any = SimpleNamespace(
        dependencies=SimpleNamespace(processes=MemoryProcesses(machine, machine.spawn(["reaper"])), clock=clock),
        settings=SimpleNamespace(thresholds=DEFAULTS),
        state=SimpleNamespace(seen_below={}),
    )
    assert read_processes(context, observation(listing(was)), [candidate], None) is None
    assert candidate.processes == before
    assert not candidate.is_concluded


def test_where_snapshots_are_switched_off_a_session_is_reaped_and_cannot_be_restored() -> None:
    scene = Scene()
    scene.reaper.dependencies = replace(scene.reaper.dependencies, snapshots=None)
    scene.give_up()
    report = scene.sweep()
    assert (entry_of(report).outcome, entry_of(report).restorable, report.unknown) == (Outcome.REAPED, False, [])
    assert [reap.snapshot for reap in scene.history()] == ["switched off"]


def test_without_the_table_before_the_kill_nothing_is_reaped() -> None:
    """The first table could be read, but what runs now is unknown."""
    scene = Scene()
    scene.give_up()
    scene.during("processes.table", 1, lambda: setattr(scene.world.machine, "fault", "/proc is hidden"))
    report = scene.sweep()
    assert [one.source for one in report.unknown] == [Source.PROCESSES]
    assert (entry_of(report).verdict, entry_of(report).protected_by) == (Verdict.HOLD, "processes")
    assert scene.history() == []


def test_an_idle_session_that_computes_while_it_is_looked_at_is_spared_and_counts_as_idle_from_now_on() -> None:
    scene = Scene()
    scene.world.clock.go_on(49 * HOUR)
    scene.during("processes.table", 1, lambda: scene.world.machine.work(scene.pid(), 0.15))
    report = scene.sweep()
    assert [(one.reason, one.outcome, one.protected_by) for one in report.sessions] == [
        ("idle", Outcome.SPARED, "active"),
        ("idle", Outcome.REAPED, None),
    ]
    assert entry_of(scene.sweep()).verdict is Verdict.KEEP


def test_what_the_ledger_does_not_take_is_not_killed() -> None:
    """After a crash, nothing would show what the reaper was about to do."""
    scene = Scene()
    scene.give_up()
    scene.refuse("ledger.record_intents")
    report = scene.sweep()
    assert [one.source for one in report.unknown] == [Source.LEDGER]
    assert (entry_of(report).outcome, entry_of(report).protected_by) == (Outcome.SPARED, "ledger")
    assert (len(scene.world.tmux.sessions), scene.history()) == (2, [])
