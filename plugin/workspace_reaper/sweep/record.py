"""Step 9, record: what a full sweep changes in the ledger, and which alarms begin and end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import replace
from itertools import islice
from types import MappingProxyType

from workspace_reaper.model.directory import DirectoryRecord
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import UNDONE, CpuSample, Event, Finding, LedgerState, ServerState, StateChanges
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.confirmations import Confirmations
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.idle import describe_clock_step, used
from workspace_reaper.policy.marks import is_marked, kill_command, mark_of
from workspace_reaper.policy.registry_identity import change_of_identity, identified, recognise
from workspace_reaper.policy.verdict import is_doubted, is_selected
from workspace_reaper.sweep import alarms
from workspace_reaper.sweep.alarm_kind import AlarmLimits, SweepResult
from workspace_reaper.sweep.context import ReapCandidate, SweepContext
from workspace_reaper.sweep.look_up import recognised_others, unknown_sessions
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.other_plugins import notify_alarms
from workspace_reaper.sweep.report import SweepReport, printable

# Seconds.
PRUNE_EVERY = 3600.0


def before_kills(
    builder: FactsBuilder,
    observation: Observation,
    rows: LookupResult,
    servers: Mapping[str, ServerState | None],
    now: float,
    doubts: Set[str] = frozenset(),
    directories: Mapping[str, DirectoryRecord | None] = MappingProxyType({}),
) -> StateChanges:
    """Return what must be committed before any kill. Facts that did not change are left out. Pure.

    ``doubts``: see ``lasting_doubts``. ``directories``: see ``StateChanges``.
    """
    before = builder.state
    registry = recognise(before.registry, rows)
    if not observation.everything:
        # The breaker made no step. What the registry lost must still show in the next sweep that sees everything.
        was, is_same = before.registry, registry.generation == before.registry.generation
        registry = identified(was, rows) if is_same else replace(registry, total=was.total, capped=was.capped)
    known = builder.recognised | recognised_others(observation, rows)
    return StateChanges(
        registry=registry if registry != before.registry else None,
        seen=frozenset(one for one in known if before.seen.get(one) != registry.generation),
        confirmations=dict(builder.confirmations.changed),
        forgotten=frozenset(builder.confirmations.forgotten),
        servers=servers,
        breaker=builder.breaker if builder.breaker != before.breaker else None,
        settled=_settled(builder, observation, doubts),
        events=(*_events(builder, observation, rows, now), *_renames(builder, observation, now)),
        cpu=builder.cpu if builder.cpu != before.cpu else None,
        clock=builder.clock if builder.clock != before.clock else None,
        worktrees={
            workspace_id: row.worktree
            for workspace_id, row in rows.found.items()
            if row.worktree and before.worktrees.get(workspace_id) != row.worktree
        },
        directories=directories,
    )


def lasting_doubts(state: LedgerState, longest: float, now: float) -> frozenset[str]:
    """Return the workspaces whose rows the daemon saw go as after a restore, at most ``longest`` seconds ago.

    Their sessions may be out of sight for a moment, such as those whose marks were changed.
    """
    return frozenset(
        workspace_id
        for workspace_id, removal in state.removals.items()
        if removal.event is WorkspaceEvent.DOUBTED and now - removal.at <= longest
    )


def _settled(builder: FactsBuilder, observation: Observation, doubts: Set[str]) -> frozenset[str]:
    """Return the reported workspaces that are there after all, or of which no session is left and no doubt lasts."""
    left = {workspace_id for _, workspace_id in observation.sessions} | doubts
    return frozenset(
        workspace_id
        for workspace_id in builder.state.reported.keys() | builder.state.removals.keys()
        if workspace_id in builder.recognised or (not observation.unknown and workspace_id not in left)
    )


def _events(builder: FactsBuilder, observation: Observation, rows: LookupResult, now: float) -> tuple[Event, ...]:
    events, before, after = [], builder.state.breaker, builder.breaker
    if builder.age_clock.stepped:
        events.append(Event(now, "clock set", describe_clock_step(builder.age_clock.stepped)))
    changed = change_of_identity(builder.state.registry, rows)
    if changed:
        events.append(Event(now, "registry changed", changed))
    if builder.state.registry.generation == 0 and (text := unknown_sessions(observation, rows)):
        events.append(Event(now, "first sweep", text))
    if after.latched and not before.latched:
        events.append(Event(now, "breaker latched", after.cause))
    approved = after.approved - before.approved
    if approved:
        events.append(Event(now, "breaker approved", f"an operator approved {len(approved)} sessions"))
    if before.latched and not after.latched:
        events.append(Event(now, "breaker released", before.cause))
    return tuple(events)


def record_work(context: SweepContext, builder: FactsBuilder, candidates: Collection[ReapCandidate]) -> None:
    """Store which of these sessions were found at work, so that they count as idle only from now on.

    Their CPU time does not show that: they may have waited for a CPU, or this is the first look at them.
    """
    samples = {one.key: CpuSample(used(one.processes), one.busy_at) for one in candidates if one.busy_at is not None}
    if samples:
        save(context, StateChanges(cpu=replace(builder.cpu, samples={**builder.cpu.samples, **samples})))


def _renames(builder: FactsBuilder, observation: Observation, now: float) -> Iterator[Event]:
    """Yield an event for each session that was renamed since the last full sweep."""
    for session, workspace_id in observation.sessions:
        if (session.key, Finding.RENAMED) in builder.confirmations.changed:
            by_hand = kill_command(session.key.socket, session.key.session_id)
            what = f"{printable(session.name)} belongs to the workspace {printable(workspace_id)}; to end it by hand: {by_hand}"
            yield Event(now, "session renamed", what)


def after_kills(builder: FactsBuilder, report: SweepReport, limits: AlarmLimits, now: float) -> StateChanges:
    """Return what the kills changed, and the alarms. Pure."""
    confirmations = builder.confirmations
    for entry in report.sessions:
        # A session that could not be judged in this sweep keeps its findings.
        if entry.key is None or entry.judgement is None or (entry.verdict is Verdict.KEEP and not confirmations.of(entry.key)):
            continue
        # The verdict of the entry is "hold" as well where something could not be read, so the judgement counts.
        is_alive = is_selected(entry.judgement) and entry.outcome is not Outcome.REAPED
        confirmations.set(entry.key, Finding.CONDEMNED, holds=is_alive)
        # Whether it is held by a doubt or selected in vain: a session may be in turn, and each must not end the other.
        confirmations.set(entry.key, Finding.DOUBTED, holds=is_alive or is_doubted(entry.judgement))
        if entry.outcome is Outcome.FAILED:
            confirmations.bump(entry.key, Finding.FAILED)
        elif not is_alive:
            confirmations.set(entry.key, Finding.FAILED, holds=False)
    return _changes(
        SweepResult(
            report.sessions,
            report.unknown,
            confirmations,
            builder.breaker,
            builder.state,
            limits,
            now,
            report.vetoes,
            report.disowned,
            report.inherited,
        )
    )


def without_registry(
    ledger_state: LedgerState, observation: Observation, report: SweepReport, limits: AlarmLimits, now: float
) -> StateChanges:
    """Return what changes although the registry could not be read: the clients of sessions, which announcements their users
    cancelled by keeping them, and which sessions are gone. Pure."""
    confirmations = Confirmations(ledger_state.confirmations, now)
    for session, _ in observation.sessions:
        confirmations.note_clients(session, ledger_state.last_complete)
        if session.kept and Finding.ANNOUNCED in confirmations.of(session.key):
            # By the next sweep it may not be kept any more. Which cause holds is unknown without its row: that sweep knows.
            for undone in UNDONE.values():
                confirmations.set(session.key, undone, holds=True)
    for socket, alive in observation.clear.items():
        confirmations.forget_gone(socket, alive)
    return _changes(
        SweepResult(report.sessions, report.unknown, confirmations, ledger_state.breaker, ledger_state, limits, now)
    )


def _changes(result: SweepResult) -> StateChanges:
    kept, events = alarms.changes(result.state.alarms, alarms.raised(result), result.now)
    return StateChanges(
        confirmations=dict(result.confirmations.changed),
        forgotten=frozenset(result.confirmations.forgotten),
        alarms=kept if kept != result.state.alarms else None,
        events=events,
    )


def alarm_limits(context: SweepContext) -> AlarmLimits:
    """Return the limits of this sweep's alarms."""
    return AlarmLimits(context.settings.abstain_alarm, context.settings.tick, context.state.refused_reload)


def record_unrecorded_alarms(context: SweepContext, ledger_state: LedgerState) -> LedgerState:
    """Write the alarms of which plugins were notified while the ledger could not be written, and return the new state.

    Raises ``LedgerError``.
    """
    unrecorded = context.state.unrecorded_alarms.unrecorded(ledger_state, context.dependencies.clock.now())
    if unrecorded is None:
        return ledger_state
    changes, after = unrecorded
    context.ledger.save(changes)
    context.state.unrecorded_alarms.recorded()
    return after


def save(context: SweepContext, changes: StateChanges, before: LedgerState | None = None) -> None:
    """Write the changes. With ``before``, also notify the plugins of the alarms that have begun or ended since then.

    Raises ``LedgerError``.
    """
    if changes:
        context.ledger.save(changes)
        context.report.events.extend(changes.events)
    if before is not None and changes.alarms is not None:
        begun, ended = alarms.turns(before.alarms, changes.alarms)
        notify_alarms(context.dependencies.plugins, begun, ended, context.dependencies.clock.now())


def prune_snapshots(context: SweepContext, ledger_state: LedgerState) -> None:
    """Prune once an hour and after each reap: pruning reads every snapshot."""
    snapshots, last, now = context.dependencies.snapshots, ledger_state.last_complete, context.dependencies.clock.now()
    reaped = [entry.reap_id for entry in context.report.sessions if entry.reap_id]
    is_due = last is None or now // PRUNE_EVERY != last // PRUNE_EVERY
    if snapshots is not None and (is_due or reaped):
        snapshots.prune(now, [*(intent.reap_id for intent in ledger_state.open_intents), *reaped])


def mark_recognised(context: SweepContext, seen: Observation, builder: FactsBuilder) -> None:
    """Set our marks on sessions that the registry has recognised: other reapers leave them alone, and a rename changes nothing.

    tmux serves no other client meanwhile, so each sweep marks as many on each socket as take about 100 ms.
    """
    # A session that is about to be killed needs no mark, and its guard compares the marks of the recheck.
    selected = {entry.key for entry in context.report.sessions if entry.verdict is Verdict.REAP}
    pace, owner_id = context.state.marks_at_once, builder.state.registry.owner_id
    for terminal in context.dependencies.terminals:
        unmarked = {
            session.key: mark_of(workspace_id)
            for session, workspace_id in seen.sessions
            if not is_marked(session)
            and workspace_id in builder.recognised
            and session.key.socket == terminal.socket
            and session.key not in selected
            and not seen.named_by(session).others  # rows contradict each other: the marks would decide between them
        }
        now = dict(islice(unmarked.items(), pace.size))
        if now:
            seconds, server = terminal.mark(now, owner_id)
            pace.learn(len(now), seconds, server=server)


def mark_announced(
    context: SweepContext, made: Mapping[SessionKey, float] = MappingProxyType({}), withdrawn: Collection[SessionKey] = ()
) -> None:
    """Set the deadline on the sessions that were announced, and unset it on those that no longer are."""
    for terminal in context.dependencies.terminals:
        set_here = {key: at for key, at in made.items() if key.socket == terminal.socket}
        unset_here = [key for key in withdrawn if key.socket == terminal.socket]
        if set_here or unset_here:
            terminal.announce(set_here, unset_here)
