"""Step 5, prepare: read the processes of the selected sessions, commit the intents, and keep the contents of the panes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.process import Details, ProcessKey, ProcessTable, Scheduling
from workspace_reaper.model.reap import Intent
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.snapshot import SnapshotOrder
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.policy.escaped_processes import with_escaped
from workspace_reaper.policy.idle import is_busy, is_starved, used
from workspace_reaper.policy.process_tree import SessionProcess, foreground, is_hidden, processes_by_session
from workspace_reaper.sweep.context import ReapCandidate, SweepContext
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.report import evidence

# Seconds between two readings of the CPU time, at least: a program that computes uses 20 ticks in them. Without this, a
# session that is seen for the first time would have no clock but those of its terminal.
CPU_WINDOW = 0.2

SNAPSHOT_ATTEMPTS = 3


def read_processes(
    context: SweepContext,
    seen: Observation,
    candidates: Sequence[ReapCandidate],
    first: ProcessTable | Unknown | None,
    first_at: float = 0.0,
) -> Unknown | None:
    """Give each candidate its processes, and spare those that must be idle and whose processes use the CPU.

    One whose intent is recorded is spared by its recheck.
    ``first`` is a table of just now, None if there is none, and ``first_at`` is before it was taken (monotonic seconds).
    Returns what could not be read: then no session may be killed.
    """
    processes, thresholds = context.dependencies.processes, context.settings.thresholds
    must_be_idle = [
        candidate
        for candidate in candidates
        if IdleClock.CPU in thresholds.idle_clocks and candidate.reason.rests_on_idleness(candidate.facts, thresholds)
    ]
    clock = context.dependencies.clock
    if must_be_idle and first is None:
        first_at, first = clock.monotonic(), processes.table()
    if isinstance(first, Unknown):
        return first
    before: Mapping[SessionKey, Sequence[SessionProcess]] = {}
    details: Mapping[ProcessKey, Details] = {}
    waited: Mapping[ProcessKey, Scheduling] = {}
    if must_be_idle and first is not None:
        before = _by_session(context, first, seen)
        waited = processes.scheduling([one.process.key for candidate in must_be_idle for one in before[candidate.key]])
        began = clock.monotonic()
        # Reading the details fills the time between the two readings, or a part of it.
        details = processes.details([one.process.key for candidate in candidates for one in before[candidate.key]])
        clock.sleep(min(CPU_WINDOW, max(0.0, began + CPU_WINDOW - clock.monotonic())))
    looked_at = clock.read().elapsed
    second = processes.table()
    if isinstance(second, Unknown):
        return second
    now = _by_session(context, second, seen)
    # A kill without an answer may have ended the session. Then only what was found before it shows its processes.
    unclear = {one.key for one in candidates if one.attempts and is_hidden(second, one.facts.session)}
    for candidate in candidates:
        candidate.looked_at = looked_at
    for candidate in (one for one in candidates if one.key not in unclear):
        candidate.processes = now[candidate.key]
        candidate.is_hidden = is_hidden(second, candidate.facts.session)
        _add_details(candidate, details)
    # While the machine slept between the two, nothing computed.
    seconds = 0.0 if first is None else min(second.at - first.at, clock.monotonic() - first_at)
    for candidate in (one for one in must_be_idle if one.key not in unclear):
        if first is not None and _is_at_work(context, candidate, before[candidate.key], waited, seconds):
            candidate.busy_at = second.at
            # Its processes are also gone if the session has ended, which the recheck of one with an intent sees.
            if candidate.intent is None:
                candidate.spare("active")
    return None


def _is_at_work(
    context: SweepContext,
    candidate: ReapCandidate,
    before: Sequence[SessionProcess],
    waited: Mapping[ProcessKey, Scheduling],
    seconds: float,
) -> bool:
    """Return whether the candidate's processes computed meanwhile, waited for a CPU, or cannot be seen."""
    if candidate.is_hidden or is_busy(used(before), used(candidate.processes), seconds):
        return True
    keys = [one.process.key for one in before if one.process.key in waited]
    now = context.dependencies.processes.scheduling(keys)
    return is_starved({key: waited[key] for key in keys}, now, seconds)


def read_details(processes: Processes, candidates: Sequence[ReapCandidate]) -> None:
    """Read the missing details of the candidates' processes: after the kill there is nothing left to measure."""
    missing = [
        one.process.key for candidate in candidates for one in candidate.processes if one.process.key not in candidate.details
    ]
    if missing:
        details = processes.details(missing)
        for candidate in candidates:
            _add_details(candidate, details)


def prepare_batch(context: SweepContext, terminal: Terminal, batch: Sequence[ReapCandidate]) -> Unknown | None:
    """Commit the intents of the batch, then keep the panes. Returns the error if the intents could not be committed."""
    candidates = [candidate for candidate in batch if candidate.intent is None]
    if not candidates:
        return None
    read_details(context.dependencies.processes, candidates)
    intents = [_intent(context, candidate) for candidate in candidates]
    try:
        context.ledger.record_intents(intents)
    except LedgerError as error:
        return Unknown(Source.LEDGER, str(error))
    for candidate, intent in zip(candidates, intents, strict=True):
        candidate.intent, candidate.entry.reap_id = intent, candidate.reap_id
    _take_snapshots(context, terminal, candidates)
    return None


def _intent(context: SweepContext, candidate: ReapCandidate) -> Intent:
    return Intent(
        reap_id=candidate.reap_id,
        sweep_id=context.report.sweep,
        at=context.dependencies.clock.now(),
        key=candidate.key,
        session=candidate.entry.session,
        workspace_id=candidate.entry.workspace_id,
        reason=candidate.reason.reported_as,
        evidence=evidence(candidate.facts),
        boot=context.dependencies.processes.boot,
        worktree=candidate.worktree,
        processes=candidate.recorded_processes,
    )


def _take_snapshots(context: SweepContext, terminal: Terminal, candidates: Sequence[ReapCandidate]) -> None:
    """Keep the panes. The recheck decides what a missing snapshot means: the session may be gone by then."""
    snapshots = context.dependencies.snapshots
    if snapshots is None:
        for candidate in candidates:
            candidate.snapshot = "switched off"
        return
    orders = [_order(candidate) for candidate in candidates]
    failures = snapshots.take(terminal, orders)
    for _ in range(SNAPSHOT_ATTEMPTS - 1):
        # A client that attaches meanwhile resizes the panes. The recheck must find that, and not this step.
        if failures:
            failures = snapshots.take(terminal, [order for order in orders if order.reap_id in failures])
    for candidate in candidates:
        candidate.snapshot = failures.get(candidate.reap_id)


def _order(candidate: ReapCandidate) -> SnapshotOrder:
    session = candidate.facts.session
    front = foreground([one.process for one in candidate.processes], session)
    commands = {pane: candidate.details[key].argv for pane, key in front.items() if key in candidate.details}
    return SnapshotOrder(
        reap_id=candidate.reap_id,
        key=candidate.key,
        session=session.name,
        workspace_id=candidate.entry.workspace_id,
        activity=session.activity,
        version=session.version,
        commands=commands,
    )


def _add_details(candidate: ReapCandidate, details: Mapping[ProcessKey, Details]) -> None:
    keys = [one.process.key for one in candidate.processes]
    candidate.details = {**candidate.details, **{key: details[key] for key in keys if key in details}}


def _by_session(context: SweepContext, table: ProcessTable, seen: Observation) -> Mapping[SessionKey, Sequence[SessionProcess]]:
    found = processes_by_session(
        table, (session for listing in (*seen.listings, *seen.elsewhere) for session in listing.sessions)
    )
    return with_escaped(found, context.state.seen_below, table)
