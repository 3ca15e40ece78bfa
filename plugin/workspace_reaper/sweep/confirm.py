"""Step 4, confirm: count absences over several sweeps, check that the registry is the right one, and step the breaker."""

from __future__ import annotations

from dataclasses import replace

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import Finding, LedgerState
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import breaker
from workspace_reaper.policy.confirmations import Confirmations
from workspace_reaper.policy.facts import Thresholds
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.registry_identity import change_of_identity, known_in_generation
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.observe import Observation


def confirm(
    builder: FactsBuilder,
    observation: Observation,
    rows: LookupResult,
    thresholds: Thresholds,
    now: float,
    delay: float = 0.0,
) -> FactsBuilder:
    """Return the builder with the findings of this full sweep and the next state of the breaker. Pure.

    An absence counts only if every socket answered. ``delay`` is how long ago the rows were read, in seconds: the process may
    have been stopped since then, and the gap is between two readings.
    """
    confirmations = builder.confirmations
    if change_of_identity(builder.state.registry, rows):
        confirmations.forget_all(Finding.ORPHAN)
        confirmations.forget_all(Finding.WITNESSED)
        builder = replace(builder, breaker=breaker.revoke_approvals(builder.breaker))
    orphans: set[SessionKey] = set()
    strangers: set[SessionKey] = set()
    for session, workspace_id in observation.sessions:
        key, row = session.key, rows.found.get(workspace_id)
        confirmations.set(key, Finding.RENAMED, holds=key in observation.renamed)
        is_alive = row is not None and not row.deleted and not row.archived
        if is_alive and confirmations.is_unremarkable(session, builder.state.last_complete):
            continue
        confirmations.note_clients(session, builder.state.last_complete)
        confirmations.set(key, Finding.DEAD, holds=session.all_panes_dead)
        confirmations.set(key, Finding.ARCHIVED, holds=row is not None and row.archived)
        if row is not None and not row.deleted:
            confirmations.set(key, Finding.ORPHAN, holds=False)
            confirmations.set(key, Finding.WITNESSED, holds=False)
            continue
        if observation.everything:
            gap = thresholds.confirmation_gap + delay + _skipped_seconds(builder, key, Finding.ORPHAN)
            confirmations.confirm(key, Finding.ORPHAN, gap=gap, enough=thresholds.needed_confirmations(proven=False))
        witness = builder.witness(session, workspace_id)
        is_witnessed = witness is not None and witness.confirms
        if is_witnessed and observation.everything:
            gap = thresholds.confirmation_gap + delay + _skipped_seconds(builder, key, Finding.WITNESSED)
            confirmations.confirm(key, Finding.WITNESSED, gap=gap, enough=2)
        elif not is_witnessed:
            confirmations.set(key, Finding.WITNESSED, holds=False)
        if not is_witnessed and builder.said(session, workspace_id) not in (WorkspaceEvent.DELETED, WorkspaceEvent.REMOVED):
            (orphans if builder.is_proven(session, workspace_id, row) else strangers).add(key)
    for socket, alive in observation.clear.items():
        confirmations.forget_gone(socket, alive)
    _forget_refuted(confirmations, rows)
    if not observation.everything:
        # An approval was for another absence if the workspace is there again.
        known = {session.key for session, workspace_id in observation.sessions if _is_there(rows, workspace_id)}
        return replace(builder, breaker=breaker.revoke_approvals(builder.breaker, known))
    loss = breaker.rows_lost(builder.state.registry, rows, builder.lost)
    known_before = {
        session.key
        for session, workspace_id in observation.sessions
        if session.key in strangers and known_in_generation(workspace_id, builder.state) is not None
    }
    after = breaker.step(builder.breaker, orphans, len(observation.sessions), loss, now, strangers, known_before)
    is_freer = not after.latched or after.clear_sweeps > builder.breaker.clear_sweeps
    # A session that cannot be read may be one of those that tripped the breaker: such a sweep releases nothing.
    releases_nothing = builder.breaker.latched and observation.unknown and is_freer
    return builder if after is builder.breaker or releases_nothing else replace(builder, breaker=after)


def _forget_refuted(confirmations: Confirmations, rows: LookupResult) -> None:
    """Forget the absences of workspaces that are there, also of sessions that this sweep did not see.

    Two absences with a row in between do not confirm each other.
    """
    for finding in (Finding.ORPHAN, Finding.WITNESSED):
        for key, found in list(confirmations.having(finding)):
            if found.workspace_id is not None and _is_there(rows, found.workspace_id):
                confirmations.set(key, finding, holds=False)


def _skipped_seconds(builder: FactsBuilder, key: SessionKey, finding: Finding) -> float:
    """Return the seconds since the last confirmation of the finding that do not count, because the machine slept."""
    last = builder.confirmations.of(key).get(finding)
    return builder.age_clock.moved(last.last_at) - last.last_at if last else 0.0


def approved_sessions(
    context: SweepContext, observation: Observation, ledger_state: LedgerState, rows: LookupResult
) -> frozenset[SessionKey]:
    """Return the sessions that may pass the breaker. Empty if the registry is not the one that the operator was shown."""
    request, report = context.request, context.report
    if not request.full or not request.approve:
        return frozenset()
    is_shown = request.shown is None or all(
        request.shown.get(part) == report.registry[part] for part in ("identity", "generation")
    )
    if is_shown and change_of_identity(ledger_state.registry, rows) is None:
        # A workspace that the registry has again gets no approval: its session would pass when it vanishes the next time.
        absent = {session.key for session, workspace_id in observation.sessions if not _is_there(rows, workspace_id)}
        return request.approve & absent
    report.refused = "no session was approved: the registry has changed since the sessions were shown"
    return frozenset()


def _is_there(rows: LookupResult, workspace_id: str) -> bool:
    row = rows.found.get(workspace_id)
    return row is not None and not row.deleted
