"""Step 3, judge: each session by itself, then what depends on others: the budget, groups, announcements and vetoes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ulid import ULID

from workspace_reaper.model.events import GONE_EVENTS, WorkspaceEvent
from workspace_reaper.model.ports import Plugins
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.state import UNDONE, CpuState, Finding, LedgerState
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import idle
from workspace_reaper.policy.confirmations import Confirmations
from workspace_reaper.policy.escaped_processes import remember, with_escaped
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.idle import AgeClock, notice
from workspace_reaper.policy.process_tree import is_hidden, processes_by_session
from workspace_reaper.policy.protections import MANY_STRANGERS
from workspace_reaper.policy.registry_identity import is_another, recognise
from workspace_reaper.policy.rules import ORPHAN
from workspace_reaper.policy.verdict import causes_to_undo, held_by_their_group, is_selected, is_to_be_announced, judge
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.explain import released_when
from workspace_reaper.sweep.observe import Observation, stepped_ahead
from workspace_reaper.sweep.other_plugins import as_candidate
from workspace_reaper.sweep.report import SessionReport
from workspace_reaper.sweep.witnesses import Witnesses

# Ticks before the next attempt after repeated failed kills.
RETRY_AFTER = 3

# The events that say that a row was deleted. A doubt does not.
_DELETIONS = GONE_EVENTS - {WorkspaceEvent.DOUBTED}


def build_facts(
    context: SweepContext, seen: Observation, ledger_state: LedgerState, rows: LookupResult, witnesses: Witnesses
) -> tuple[FactsBuilder, float]:
    """Return the builder of the sessions' facts, before this sweep is counted, and its moment (Unix seconds)."""
    dependencies, request, thresholds = context.dependencies, context.request, context.settings.thresholds
    reading, boot = dependencies.clock.read(), dependencies.processes.boot
    is_first = idle.is_first_since_boot(ledger_state.clock, boot)
    ahead = stepped_ahead(seen, dependencies.processes, reading) if is_first else 0.0
    noticed = notice(ledger_state.clock, boot, reading, thresholds.longest, ahead=ahead)
    age_clock = AgeClock(noticed.state.skews, noticed.stepped, thresholds.idle_clocks)
    context.report.stepped = noticed.stepped
    generation = recognise(ledger_state.registry, rows).generation
    witnesses.look(reading.wall)
    known = {*seen.workspace_ids, *(request.suspects or {})}
    builder = FactsBuilder(
        state=ledger_state,
        confirmations=Confirmations(
            ledger_state.confirmations, reading.wall, {session.key: one for session, one in seen.sessions}
        ),
        generation=generation,
        reported=_reported(context, ledger_state, rows, generation),
        recognised=frozenset(one for one, row in rows.found.items() if not row.deleted and one in known),
        breaker=ledger_state.breaker,
        own_location=dependencies.processes.own_location(),
        cpu=_measure(context, ledger_state, seen, age_clock),
        clock=noticed.state,
        age_clock=age_clock,
        reuses_ids=context.settings.reuses_ids,
        retry_after=RETRY_AFTER * context.settings.tick,
        insisted=request.approve,
        witnesses=witnesses.by_workspace,
        doubtful=witnesses.doubtful,
        lost=witnesses.lost,
    )
    return builder, reading.wall


def _reported(
    context: SweepContext, ledger_state: LedgerState, rows: LookupResult, generation: int
) -> Mapping[str, WorkspaceEvent]:
    """Return what hooks reported that applies to this registry.

    A deletion that was reported under another registry proves nothing under this one, also while it is looked at again. Neither
    does one that is reported before a full sweep has read a database that is another one.
    """
    suspects = context.request.suspects
    if suspects is not None:
        another = is_another(ledger_state.registry, rows)
        recorded = _recorded(ledger_state, max(1, ledger_state.registry.generation))
        return {one: event for one, event in suspects.items() if event not in _DELETIONS or (one in recorded and not another)}
    return _recorded(ledger_state, generation)


def _recorded(ledger_state: LedgerState, generation: int) -> Mapping[str, WorkspaceEvent]:
    """Return the reports that were recorded under this generation of the registry."""
    deleted = [one for one in ledger_state.reported if ledger_state.named.get(one) == generation]
    removed = {one: removal.event for one, removal in ledger_state.removals.items() if removal.generation == generation}
    return {**removed, **dict.fromkeys(deleted, WorkspaceEvent.DELETED)}


def _measure(context: SweepContext, ledger_state: LedgerState, seen: Observation, age_clock: AgeClock) -> CpuState:
    """Return the CPU samples with those of this sweep, or the old ones if this sweep has no process table.

    Remembers which processes are below the panes.
    """
    table = seen.table
    if not isinstance(table, ProcessTable):
        return ledger_state.cpu
    found = processes_by_session(table, [session for listing in seen.listings for session in listing.sessions])
    context.state.seen_below = remember(context.state.seen_below, found, table)
    complete = with_escaped(found, context.state.seen_below, table)
    managed = {session.key: complete[session.key] for session, _ in seen.sessions}
    hidden = {session.key for session, _ in seen.sessions if is_hidden(table, session)}
    quiet = {session.key: age_clock.since(session.last_activity, table.at) for session, _ in seen.sessions}
    after = idle.advance(ledger_state.cpu, table.at, managed, age_clock, hidden, quiet)
    if seen.everything and not seen.unknown:
        return after
    # A session that could not be read in this sweep is not gone: its sample stays.
    return replace(after, samples={**ledger_state.cpu.samples, **after.samples})


@dataclass(slots=True)
class Announcements:
    """The announcements that change in this sweep: ``made`` (with the deadline, Unix seconds) and ``withdrawn``."""

    made: dict[SessionKey, float] = field(default_factory=dict)
    withdrawn: set[SessionKey] = field(default_factory=set)


class Judge:
    """The verdicts of one sweep. ``entries`` are the lines of the report, one for each managed session."""

    def __init__(self, builder: FactsBuilder, thresholds: Thresholds, now: float) -> None:
        self._builder = builder
        self._thresholds = thresholds
        self._now = now
        self.entries: list[SessionReport] = []

    def judge_each(self, seen: Observation, rows: LookupResult) -> None:
        """Judge every session by itself."""
        for session, workspace_id in seen.sessions:
            renamed, named = session.key in seen.renamed, rows.found.get(seen.renamed.get(session.key) or "")
            row = rows.found.get(workspace_id)
            facts = self._builder.facts(session, workspace_id, row, self._now, renamed=renamed, named_row=named)
            entry = SessionReport(
                socket=session.key.socket,
                session=session.name,
                session_id=session.key.session_id,
                workspace_id=workspace_id,
                verdict=Verdict.KEEP,
                key=session.key,
            )
            self._judge(entry, facts)
            self.entries.append(entry)

    def hold_strangers(self) -> None:
        """Hold the sessions that this registry has never known if many of them would be reaped together."""
        strangers = [(entry, facts) for entry, facts in self._selected_orphans if not facts.proven]
        if len(strangers) >= MANY_STRANGERS and 2 * len(strangers) >= len(self.entries):
            for entry, facts in strangers:
                if not facts.approved:
                    self._judge(entry, replace(facts, many_strangers=True))

    def hold_over_budget(self, budget: int) -> None:
        """Hold all orphans but ``budget``, which may still be reaped in this hour."""
        for entry, facts in self._selected_orphans[budget:]:
            self._judge(entry, replace(facts, over_budget=True))

    @property
    def _selected_orphans(self) -> list[tuple[SessionReport, Facts]]:
        orphans = (entry for entry in self.selected if entry.judgement and entry.judgement.reason is ORPHAN)
        return [(entry, entry.facts) for entry in orphans if entry.facts]

    @property
    def selected(self) -> list[SessionReport]:
        """The sessions to be reaped in this sweep."""
        return [entry for entry in self.entries if entry.verdict is Verdict.REAP]

    @property
    def waiting(self) -> list[SessionReport]:
        """The sessions to be reaped at the deadline of their announcement."""
        return [entry for entry in self.entries if entry.judgement is not None and is_to_be_announced(entry.judgement)]

    def hold_groups(self, listings: Collection[Listing]) -> None:
        """Hold each group that is not selected as a whole."""
        for some in (self.selected, self.waiting):
            shared = held_by_their_group(listings, {entry.key for entry in some if entry.key})
            for entry in some:
                if entry.key in shared and entry.facts is not None:
                    self._judge(entry, replace(entry.facts, shared=True))

    def hold_vetoed(self, plugins: Plugins) -> Sequence[str]:
        """Ask the plugins, and hold what they veto. Returns a sentence for each plugin that gave no usable answer."""
        for entry in self.selected:
            entry.reap_id = str(ULID.from_timestamp(self._now))
        asked = [*self.selected, *self.waiting]
        if not asked:
            return ()
        vetoes = plugins.vetoes([as_candidate(entry, self._deadline_of(entry)) for entry in asked])
        for entry in asked:
            veto = vetoes.of(entry.socket, entry.session)
            if veto is not None and entry.facts is not None:
                self._judge(entry, replace(entry.facts, veto=veto))
        return vetoes.failures

    def announce(self) -> Announcements:
        """Record which sessions are announced from now on, and which no longer."""
        changes, confirmations = Announcements(), self._builder.confirmations
        if not self._thresholds.undo_window and not confirmations.has_any(Finding.ANNOUNCED, *UNDONE.values()):
            return changes
        for entry in self.entries:
            if entry.key is None or entry.facts is None or entry.judgement is None:
                continue
            was_announced = Finding.ANNOUNCED in confirmations.of(entry.key)
            if entry.facts.is_objected_to:
                undone = causes_to_undo(entry.judgement)
                for cause in undone:
                    confirmations.set(entry.key, UNDONE[cause], holds=True)
                # It is not announced any more, and must not look as if its user had objected for another cause.
                self._judge(entry, replace(entry.facts, announced_at=None, undone=entry.facts.undone | undone))
            is_waiting = is_to_be_announced(entry.judgement)
            is_withdrawn = was_announced and not is_waiting and not is_selected(entry.judgement)
            # One that was announced while the clock was ahead is announced again: its deadline was too late.
            is_new = not was_announced or (entry.facts.announced_at or 0.0) >= self._now
            if is_waiting and is_new:
                changes.made[entry.key] = self._now + self._thresholds.undo_window
                self._judge(entry, replace(entry.facts, announced_at=self._now))
            elif is_withdrawn:
                changes.withdrawn.add(entry.key)
                self._judge(entry, replace(entry.facts, announced_at=None))
            entry.deadline = entry.facts.deadline(self._thresholds) if is_waiting else None
            confirmations.set(entry.key, Finding.ANNOUNCED, holds=is_waiting or (was_announced and not is_withdrawn))
            # A row that is absent or cannot be read does not say that the cause has ended.
            if entry.facts.is_read:
                causes = {held.reason.reported_as for held in entry.judgement.held}
                for cause, finding in UNDONE.items():
                    if cause not in causes:
                        confirmations.set(entry.key, finding, holds=False)
        return changes

    def _deadline_of(self, entry: SessionReport) -> float | None:
        """Return when the session is reaped (Unix seconds), or None if that is in this sweep."""
        if entry.verdict is Verdict.REAP or entry.facts is None:
            return None
        return entry.facts.deadline(self._thresholds) or self._now + self._thresholds.undo_window

    def _judge(self, entry: SessionReport, facts: Facts) -> None:
        judgement = judge(facts, self._thresholds)
        by = judgement.protected_by
        entry.facts = facts
        entry.judgement = judgement
        entry.verdict = judgement.verdict
        entry.reason = judgement.reason.reported_as if judgement.reason else None
        entry.protected_by = by[0].name if by else None
        entry.released_when = (
            released_when(judgement, facts, self._thresholds, self._builder.breaker) if judgement.held and by else None
        )


def hold_all(context: SweepContext, seen: Observation, unknown: Unknown) -> None:
    """Hold every session that would be reaped, because something that all verdicts need could not be read."""
    context.add_unknown(unknown)
    sessions = context.report.sessions
    for entry in sessions:
        if entry.verdict is Verdict.REAP and entry.outcome is Outcome.NONE:
            entry.verdict, entry.protected_by = Verdict.HOLD, unknown.source.value
    judged = {entry.key for entry in sessions}
    for session, workspace_id in seen.sessions:
        if session.key not in judged:
            sessions.append(_unknown_entry(session.key.socket, session.name, session.key, workspace_id))


def hold_unreadable(context: SweepContext, seen: Observation) -> None:
    """Report the sessions that match by name and cannot be read."""
    for socket, name, workspace_id in seen.unreadable:
        context.report.sessions.append(_unknown_entry(socket, name, None, workspace_id))


def _unknown_entry(socket: str, name: str, key: SessionKey | None, workspace_id: str) -> SessionReport:
    session_id = key.session_id if key else None
    return SessionReport(socket, name, session_id, workspace_id, Verdict.HOLD, protected_by="unknown", key=key)
