"""What one full sweep adds to what earlier ones have seen, and what of it is written. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import Alarm, CpuState, Event, Finding, LedgerState, ServerState, StateChanges
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import breaker, idle
from workspace_reaper.policy import registry_identity as proof
from workspace_reaper.policy.confirmations import Confirmations
from workspace_reaper.policy.facts import Thresholds
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.idle import AgeClock, how_set
from workspace_reaper.policy.process_tree import processes_by_session
from workspace_reaper.policy.verdict import is_condemned
from workspace_reaper.sweep import alarms
from workspace_reaper.sweep.alarms import AlarmLimits, turns
from workspace_reaper.sweep.context import Dependencies
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.other_plugins import tell_alarms
from workspace_reaper.sweep.report import SessionReport, SweepReport

__all__ = ["after_kills", "before_kills", "catch_up", "confirm", "limits", "measure", "tell", "when_blind"]


def confirm(scene: FactsBuilder, observation: Observation, rows: LookupResult, rules: Thresholds, now: float) -> FactsBuilder:
    """The circumstances with this sweep's sightings and the breaker's next state. An absence counts only if every socket
    was seen."""
    sightings = scene.sightings
    if proof.change_of_identity(scene.memory.registry, rows):
        sightings.forget_all(Finding.ORPHAN)
        scene = replace(scene, breaker=breaker.inexcusable(scene.breaker))
    orphans: set[SessionKey] = set()
    gap = rules.confirmation_gap
    for session, workspace_id in observation.sessions:
        key, row = session.key, rows.found.get(workspace_id)
        lives_on = row is not None and not row.deleted and not row.archived
        if lives_on and sightings.is_unremarkable(session, scene.memory.last_complete):
            continue
        sightings.note_clients(session, scene.memory.last_complete)
        sightings.set(key, Finding.DEAD, holds=session.all_panes_dead)
        sightings.set(key, Finding.ARCHIVED, holds=row is not None and row.archived)
        if row is not None and not row.deleted:
            sightings.set(key, Finding.ORPHAN, holds=False)
            continue
        if observation.everything:
            sightings.confirm(key, Finding.ORPHAN, gap=gap + _left_out(scene, key), enough=max(2, rules.orphan_confirmations))
        if scene.said(session, workspace_id) is not WorkspaceEvent.DELETED:
            orphans.add(key)
    for socket, alive in observation.clear.items():
        sightings.forget_gone(socket, alive)
    if not observation.everything:
        return _seen_in_part(scene, observation, rows)
    loss = breaker.rows_lost(scene.memory.registry, rows)
    after = breaker.step(scene.breaker, orphans, len(observation.sessions), loss, now)
    freer = not after.latched or after.clear_sweeps > scene.breaker.clear_sweeps
    if scene.breaker.latched and observation.unknown and freer:
        # A session that can't be read may be one of those that tripped it: such a sweep frees nothing.
        return scene
    return replace(scene, breaker=after)


def _left_out(scene: FactsBuilder, key: SessionKey) -> float:
    """Seconds since the last confirmation that do not count: one before the machine slept and one right after are no two."""
    if not scene.times.lapses:
        return 0.0
    last = scene.sightings.of(key).get(Finding.ORPHAN)
    return scene.times.moved(last.last_at) - last.last_at if last else 0.0


def _seen_in_part(scene: FactsBuilder, observation: Observation, rows: LookupResult) -> FactsBuilder:
    """The breaker does not step; but what is known again was let go as another orphan."""
    if not scene.breaker.excused:
        return scene
    there = {workspace_id for workspace_id, row in rows.found.items() if not row.deleted}
    known = {session.key for session, workspace_id in observation.sessions if workspace_id in there}
    return replace(scene, breaker=breaker.inexcusable(scene.breaker, known))


def measure(memory: LedgerState, observation: Observation, times: AgeClock) -> CpuState:
    """The CPU clock with this sweep's table of processes; as it was where there is none."""
    table = observation.table
    if not isinstance(table, ProcessTable):
        return memory.cpu
    sessions = [session for listing in observation.listings for session in listing.sessions]
    ours = processes_by_session(table, sessions)
    after = idle.advance(memory.cpu, table.at, {session.key: ours[session.key] for session, _ in observation.sessions}, times)
    if observation.everything and not observation.unknown:
        return after
    # What could not be seen in this sweep is not gone.
    return replace(after, samples={**memory.cpu.samples, **after.samples})


def _settled(scene: FactsBuilder, observation: Observation) -> frozenset[str]:
    """Testimony that is done with: the workspace is there after all, or nothing of it is left to reap."""
    left = {workspace_id for _, workspace_id in observation.sessions}
    complete = not observation.unknown
    return frozenset(
        workspace_id
        for workspace_id in scene.memory.testimony
        if workspace_id in scene.recognised or (complete and workspace_id not in left)
    )


def _events(scene: FactsBuilder, rows: LookupResult, now: float) -> tuple[Event, ...]:
    events, memory, after = [], scene.memory, scene.breaker
    if scene.times.jumped:
        events.append(Event(now, "clock set", how_set(scene.times.jumped)))
    changed = proof.change_of_identity(memory.registry, rows)
    if changed:
        events.append(Event(now, "registry changed", changed))
    if after.latched and not memory.breaker.latched:
        events.append(Event(now, "breaker latched", after.cause))
    let_go = after.excused - memory.breaker.excused
    if let_go:
        events.append(Event(now, "breaker approved", f"{len(let_go)} sessions were let go by an operator"))
    if memory.breaker.latched and not after.latched:
        events.append(Event(now, "breaker released", memory.breaker.cause))
    return tuple(events)


def before_kills(
    scene: FactsBuilder,
    observation: Observation,
    rows: LookupResult,
    servers: Mapping[str, ServerState | None],
    now: float,
) -> StateChanges:
    """What must be committed before anything is killed. Facts that did not change are not in it."""
    memory = scene.memory
    registry = proof.recognise(memory.registry, rows)
    if not observation.everything and registry.generation == memory.registry.generation:
        # The breaker did not look: what the registry lost since must still show in the next sweep that sees everything.
        registry = memory.registry
    return StateChanges(
        registry=registry if registry != memory.registry else None,
        seen=frozenset(i for i in scene.recognised if memory.seen.get(i) != registry.generation),
        sightings=dict(scene.sightings.changed),
        forgotten=frozenset(scene.sightings.forgotten),
        servers=servers,
        breaker=scene.breaker if scene.breaker != memory.breaker else None,
        settled=_settled(scene, observation),
        events=_events(scene, rows, now),
        cpu=scene.cpu if scene.cpu != memory.cpu else None,
        clock=scene.clock if scene.clock != memory.clock else None,
        worktrees=_new_worktrees(memory, rows),
    )


def _new_worktrees(memory: LedgerState, rows: LookupResult) -> dict[str, str]:
    """Once the row is gone nobody else knows the directory."""
    named = {workspace_id: row.worktree for workspace_id, row in rows.found.items() if row.worktree}
    return {workspace_id: path for workspace_id, path in named.items() if memory.worktrees.get(workspace_id) != path}


def after_kills(scene: FactsBuilder, report: SweepReport, limits: AlarmLimits, now: float) -> StateChanges:
    """What the kills changed, and the alarms."""
    sessions, unknown = report.sessions, report.unknown
    sightings, memory = scene.sightings, scene.memory
    for entry in sessions:
        # What could not be judged in this sweep is as it was.
        if entry.key is None or entry.judgement is None or (entry.verdict is Verdict.KEEP and not sightings.of(entry.key)):
            continue
        # Not by the verdict of the entry: it is held, too, where something could not be seen, and is condemned all the same.
        lives = is_condemned(entry.judgement) and entry.outcome is not Outcome.REAPED
        sightings.set(entry.key, Finding.CONDEMNED, holds=lives)
        if entry.outcome is Outcome.FAILED:
            sightings.bump(entry.key, Finding.FAILED)
        elif not lives:
            sightings.set(entry.key, Finding.FAILED, holds=False)
    found = alarms.raised(sessions, unknown, sightings, scene.breaker, memory, limits=limits, now=now, vetoes=report.vetoes)
    return _alarm_changes(memory.alarms, found, sightings, now)


def when_blind(
    memory: LedgerState, observation: Observation, sessions: Sequence[SessionReport], limits: AlarmLimits, now: float
) -> StateChanges:
    """Without the registry nothing is known of the sessions but who looks at them, and who is gone. What was condemned is, as
    far as anybody knows. ``sessions`` are their entries in the report."""
    sightings = Confirmations(memory.sightings, now)
    for session, _ in observation.sessions:
        sightings.note_clients(session, memory.last_complete)
    for socket, alive in observation.clear.items():
        sightings.forget_gone(socket, alive)
    found = alarms.raised(sessions, observation.unknown, sightings, memory.breaker, memory, limits=limits, now=now)
    return _alarm_changes(memory.alarms, found, sightings, now)


def _alarm_changes(
    before: Mapping[str, Alarm], found: Mapping[str, Alarm], sightings: Confirmations, now: float
) -> StateChanges:
    kept, events = alarms.changes(before, found, now)
    return StateChanges(
        sightings=dict(sightings.changed),
        forgotten=frozenset(sightings.forgotten),
        alarms=kept if kept != before else None,
        events=events,
    )


def limits(parts: Dependencies) -> AlarmLimits:
    """What is too long."""
    return AlarmLimits(abstain=parts.abstain_alarm, tick=parts.tick)


def catch_up(parts: Dependencies, ledger: Ledger, memory: LedgerState) -> LedgerState:
    """Record the alarms that were told while there was no ledger to record them in; the memory with them. Nobody is told
    again. Raises ``LedgerError``."""
    unrecorded = parts.watch.unrecorded(memory, parts.clock.now())
    if unrecorded is None:
        return memory
    changes, after = unrecorded
    ledger.save(changes)
    parts.watch.recorded()
    return after


def tell(parts: Dependencies, memory: LedgerState, changes: StateChanges) -> None:
    """Tell the plugins what has begun and what is over by these changes, which are in the ledger."""
    if changes.alarms is not None:
        begun, ended = turns(memory.alarms, changes.alarms)
        tell_alarms(parts.plugins, begun, ended, parts.clock.now())
