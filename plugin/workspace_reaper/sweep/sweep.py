"""One sweep: the nine steps in their order. Each step has a module of its own."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from functools import partial
from operator import attrgetter
from time import perf_counter

from ulid import ULID

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.state import LedgerState, StateChanges
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import IdleClock, Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import breaker
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.marks import LONGEST
from workspace_reaper.policy.registry_identity import identified, recognise
from workspace_reaper.sweep import record
from workspace_reaper.sweep.conclude import conclude
from workspace_reaper.sweep.confirm import approved_sessions, confirm
from workspace_reaper.sweep.context import Dependencies, ReapCandidate, ReaperState, SweepContext, SweepRequest, SweepSettings
from workspace_reaper.sweep.judge import Announcements, Judge, build_facts, hold_all, hold_unreadable
from workspace_reaper.sweep.kill import BatchKiller
from workspace_reaper.sweep.leftovers import known_worktrees
from workspace_reaper.sweep.look_up import look_up
from workspace_reaper.sweep.observe import Observation, observe, reject_unlinked_sockets, server_changes
from workspace_reaper.sweep.prepare import read_processes
from workspace_reaper.sweep.recheck import Recheck
from workspace_reaper.sweep.recovery import recover
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.sweep.witnesses import Witnesses


class Sweep:
    """One sweep. ``run`` is called once."""

    def __init__(
        self, dependencies: Dependencies, settings: SweepSettings, state: ReaperState, ledger: Ledger, request: SweepRequest
    ) -> None:
        now = dependencies.clock.now()
        self.report = SweepReport(str(ULID.from_timestamp(now)), now, dry_run=request.dry_run, full=request.full)
        self._context = SweepContext(dependencies, settings, state, ledger, request, self.report)
        self._dependencies = dependencies
        self._request = request
        self._seen = Observation()
        self._sampled_at = 0.0
        self._looked_at = 0.0
        self._refuted: Set[str] = frozenset()

    def run(self) -> SweepReport:
        """Run the nine steps. Raises no error of tmux, the registry or the ledger: what could not be read is in the report."""
        started = perf_counter()
        try:
            self._run()
        except LedgerError as error:
            self._hold_all(Unknown(Source.LEDGER, str(error)))
        self.report.sessions.sort(key=attrgetter("socket", "session"))
        self.report.seconds.total = perf_counter() - started
        if self._request.counts:
            try:
                self._context.state.last_report.save(self._context.ledger, self.report)
            except LedgerError as error:
                self._hold_all(Unknown(Source.LEDGER, str(error)))
        return self.report

    def _run(self) -> None:
        started = perf_counter()
        ledger_state = self._observe()
        self.report.seconds.observe = perf_counter() - started
        if self._request.counts:
            ledger_state = record.record_unrecorded_alarms(self._context, ledger_state)
        started, self._looked_at = perf_counter(), self._dependencies.clock.read().elapsed
        rows = look_up(self._context, self._seen, ledger_state)
        self.report.seconds.look_up = perf_counter() - started
        if isinstance(rows, Unknown):
            self._hold_all(rows)
            self._record_without_registry(ledger_state)
            return
        if not self._request.dry_run and ledger_state.open_intents:
            recover(self._context, ledger_state, self._seen, rows)
        started = perf_counter()
        witnesses = Witnesses(self._context, self._seen, ledger_state, rows)
        builder, announcements = self._judge(ledger_state, rows, witnesses)
        candidates = self._select(builder)
        self.report.seconds.judge = perf_counter() - started
        if self._request.dry_run:
            for candidate in candidates:
                candidate.entry.outcome = Outcome.WOULD_REAP
            return
        self._record_before_kills(builder, announcements, rows, witnesses)
        started = perf_counter()
        if candidates:
            self._reap(candidates, builder, rows, witnesses)
        self.report.seconds.kill = perf_counter() - started
        self._record_after_kills(builder)

    # 1 observe

    def _observe(self) -> LedgerState:
        dependencies, ledger = self._dependencies, self._context.ledger
        counts_cpu = self._request.full and IdleClock.CPU in self._context.settings.thresholds.idle_clocks
        self._sampled_at = dependencies.clock.monotonic()
        is_due = counts_cpu and self._context.state.sample_interval.is_due(self._sampled_at)
        table = dependencies.processes.glance if is_due else None
        owner_id = ledger.registry().owner_id
        own_options, only = self._context.state.own_options, self._request.suspects
        later = dependencies.in_background(table, "workspace-reaper processes") if table else None
        long_ids = partial(ledger.longer_ids, LONGEST)
        self._seen = seen = observe(
            dependencies.terminals,
            dependencies.matcher,
            owner_id,
            only,
            own_options,
            long_ids,
            later,
            registry=dependencies.registry,
        )
        # A list of its own: what else is unknown in a sweep, such as a row, hides no session.
        self.report.unmanaged, self.report.unknown = seen.unmanaged, [*seen.unknown]
        self.report.other_owner = len(seen.other_owners)
        self.report.inherited = seen.inherited
        hold_unreadable(self._context, seen)
        ledger_state = ledger.load_state(seen.all_workspace_ids, dependencies.clock.now())
        for unknown in reject_unlinked_sockets(seen, ledger_state.servers, dependencies.processes):
            self._context.add_unknown(unknown)
        return ledger_state

    # 3 judge, 4 confirm

    def _judge(self, ledger_state: LedgerState, rows: LookupResult, witnesses: Witnesses) -> tuple[FactsBuilder, Announcements]:
        context, settings, seen = self._context, self._context.settings, self._seen
        builder, now = build_facts(context, seen, ledger_state, rows, witnesses)
        if self._request.full:
            delay = self._dependencies.clock.read().elapsed - self._looked_at
            builder = confirm(builder, seen, rows, settings.thresholds, now, delay)
        judged_with = builder
        if approved := approved_sessions(context, seen, ledger_state, rows):
            builder = replace(builder, breaker=breaker.approve(builder.breaker, approved))
            # The approval may release the breaker. Orphans that the operator was not shown must still be held in this sweep.
            judged_with = replace(builder, breaker=replace(builder.breaker, latched=judged_with.breaker.latched))
        self.report.latched = builder.breaker.latched
        judging = Judge(judged_with, settings.thresholds, now)
        judging.judge_each(seen, rows)
        judging.hold_strangers()
        judging.hold_over_budget(max(0, settings.max_orphans_per_hour - ledger_state.orphans_last_hour))
        judging.hold_groups(seen.listings)
        self.report.vetoes.extend(judging.hold_vetoed(self._dependencies.plugins))
        judging.hold_groups(seen.listings)
        self.report.sessions.extend(judging.entries)
        if isinstance(seen.table, Unknown):
            self._hold_all(seen.table)
        return builder, judging.announce()

    def _select(self, builder: FactsBuilder) -> list[ReapCandidate]:
        candidates = []
        for entry in self.report.sessions:
            facts, judgement, reap_id = entry.facts, entry.judgement, entry.reap_id
            # The entry has a reap id again once the intent is committed.
            entry.reap_id = None
            if entry.verdict is Verdict.REAP and entry.key and facts and judgement and judgement.reason:
                worktree = facts.row.worktree if facts.row else None
                worktree = worktree or builder.state.worktrees.get(entry.workspace_id)
                candidates.append(ReapCandidate(entry, entry.key, facts, judgement.reason, str(reap_id), worktree=worktree))
        return candidates

    # 5 prepare, 6 recheck, 7 kill, 8 terminate

    def _reap(self, candidates: list[ReapCandidate], builder: FactsBuilder, rows: LookupResult, witnesses: Witnesses) -> None:
        def look_at_processes(some: Sequence[ReapCandidate], first: ProcessTable | Unknown | None = None) -> Unknown | None:
            unknown = read_processes(self._context, self._seen, some, first, self._sampled_at)
            record.record_work(self._context, builder, candidates)
            return unknown

        with self.report.seconds.step("prepare"):
            unknown = look_at_processes(candidates, self._seen.table)
        if unknown is not None:
            self._hold_all(unknown)
            return
        recheck = Recheck(self._context, builder, recognise(builder.state.registry, rows), witnesses, candidates)
        self._refuted = recheck.refuted
        killer = BatchKiller(self._context, recheck, look_at_processes)
        for terminal in self._dependencies.terminals:
            here = [one for one in candidates if one.key.socket == terminal.socket and not one.is_concluded]
            killer.run(terminal, here)
        conclude(self._context, recheck, self._seen, known_worktrees(builder.state, rows), candidates)

    # 9 record

    def _record_before_kills(
        self, builder: FactsBuilder, announcements: Announcements, rows: LookupResult, witnesses: Witnesses
    ) -> None:
        now, confirmations = self._dependencies.clock.now(), builder.confirmations
        # An announcement that the ledger has was shown to the session's user, also if this process ends in between.
        record.mark_announced(self._context, made=announcements.made)
        if self._request.full:
            servers = server_changes(self._seen, builder.state.servers, self._dependencies.processes)
            doubts = self._lasting_doubts(builder.state)
            changes = record.before_kills(builder, self._seen, rows, servers, now, doubts, witnesses.changes)
            record.save(self._context, changes)
            if isinstance(self._seen.table, ProcessTable):
                self._context.state.sample_interval.stored(self._sampled_at)
            record.mark_recognised(self._context, self._seen, builder)
        else:
            known = builder.state.registry
            registry = identified(known, rows)
            changes = StateChanges(
                registry=registry if registry != known else None,
                confirmations=dict(confirmations.changed),
                forgotten=frozenset(confirmations.forgotten),
                directories=witnesses.changes,
            )
            record.save(self._context, changes)
        confirmations.saved()
        record.mark_announced(self._context, withdrawn=announcements.withdrawn)

    def _record_after_kills(self, builder: FactsBuilder) -> None:
        before = builder.state
        if self._request.full:
            now, limits = self._dependencies.clock.now(), record.alarm_limits(self._context)
            changes = replace(record.after_kills(builder, self.report, limits, now), settled=frozenset(self._refuted))
            record.save(self._context, changes, before)
            record.prune_snapshots(self._context, before)
        elif self.report.complete:
            left = {entry.workspace_id for entry in self.report.sessions if entry.outcome is not Outcome.REAPED}
            reported = before.reported.keys() | before.removals.keys()
            unseen = self._lasting_doubts(before) - {entry.workspace_id for entry in self.report.sessions}
            settled = reported & (self._request.suspects or {}).keys() - left - unseen
            record.save(self._context, StateChanges(settled=frozenset(settled | self._refuted)))

    def _lasting_doubts(self, state: LedgerState) -> frozenset[str]:
        longest = self._context.settings.thresholds.stranger_ttl
        return record.lasting_doubts(state, longest, self._dependencies.clock.now())

    def _record_without_registry(self, before: LedgerState) -> None:
        if self._request.counts:
            now, limits = self._dependencies.clock.now(), record.alarm_limits(self._context)
            changes = record.without_registry(before, self._seen, self.report, limits, now)
            record.save(self._context, changes, before)

    def _hold_all(self, unknown: Unknown) -> None:
        hold_all(self._context, self._seen, unknown)
