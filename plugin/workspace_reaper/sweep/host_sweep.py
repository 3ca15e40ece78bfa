"""The steps of one sweep for one host. ``Sweep`` calls them in their order."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import replace
from time import perf_counter
from typing import cast

from workspace_reaper.model.process import OwnLocation, ProcessTable
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.state import LedgerState, StateChanges
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import breaker
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.registry_identity import identified, recognise
from workspace_reaper.sweep import record
from workspace_reaper.sweep.conclude import conclude
from workspace_reaper.sweep.confirm import approved_sessions, confirm
from workspace_reaper.sweep.context import ReapCandidate, SweepContext, SweptHost
from workspace_reaper.sweep.judge import Announcements, Judge, build_facts
from workspace_reaper.sweep.kill import BatchKiller
from workspace_reaper.sweep.leftovers import known_worktrees
from workspace_reaper.sweep.look_up import look_up
from workspace_reaper.sweep.observe import Observation, reject_unlinked_sockets, server_changes
from workspace_reaper.sweep.prepare import read_processes
from workspace_reaper.sweep.recheck import Recheck
from workspace_reaper.sweep.recovery import recover
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.sweep.rivals import NO_RIVALS, Rivals
from workspace_reaper.sweep.unjudged import hold_all, hold_unreadable
from workspace_reaper.sweep.witnesses import Witnesses


class HostSweep:
    """One host in one sweep. ``state`` is what its ledger has, and ``rows`` what its registry says."""

    state: LedgerState
    rows: LookupResult | Unknown
    judge: Judge
    _builder: FactsBuilder
    _witnesses: Witnesses
    _announcements: Announcements

    def __init__(
        self, host: SweptHost, report: SweepReport, own_location: Callable[[], OwnLocation], rivals: Rivals = NO_RIVALS
    ) -> None:
        self.host = host
        self.report = report
        self.seen = Observation()
        self.candidates: Sequence[ReapCandidate] = ()
        self._context = SweepContext(
            host.dependencies, host.settings, host.state, host.ledger, host.request, report, own_location, rivals, host.name
        )
        self._request = host.request
        self._dependencies = host.dependencies
        self._sampled_at = 0.0
        self._looked_at = 0.0
        self._refuted: Set[str] = frozenset()
        self._changes = StateChanges()

    # 1 observe, 2 look up

    def has_seen(self, seen: Observation, sampled_at: float) -> None:
        """Take what was observed. ``sampled_at`` is before the process table was taken (monotonic seconds)."""
        self.seen, self._sampled_at = seen, sampled_at
        # A list of its own: what else is unknown in a sweep, such as a row, hides no session.
        self.report.unmanaged, self.report.unknown = seen.unmanaged, [*seen.unknown]
        self.report.other_owner = len(seen.other_owners)
        self.report.inherited = seen.inherited
        hold_unreadable(self._context, seen)

    def has_loaded(self, state: LedgerState) -> None:
        """Take the state of the ledger."""
        self.state = state
        for unknown in reject_unlinked_sockets(self.seen, state.servers, self._dependencies.processes):
            self._context.add_unknown(unknown)

    def record_unrecorded_alarms(self) -> None:
        """Write the alarms that no ledger could record before. Raises ``LedgerError``."""
        if self._request.counts:
            self.state = record.record_unrecorded_alarms(self._context, self.state)

    def look_up(self, disputed: Collection[str]) -> None:
        """Ask the registry, also about workspaces whose sessions another host claims too."""
        self._looked_at = self._dependencies.clock.read().elapsed
        self.rows = look_up(self._context, self.seen, self.state, disputed)

    def recover(self) -> None:
        """Close the intents that a crash left open. Raises ``LedgerError``."""
        if isinstance(self.rows, LookupResult) and not self._request.dry_run and self.state.open_intents:
            recover(self._context, self.state, self.seen, self.rows)

    # 3 judge, 4 confirm

    def judge_each(self) -> None:
        """Judge each session by itself, then what depends on the other sessions of this host, and on other hosts."""
        rows = self._known_rows
        context, settings, seen = self._context, self._context.settings, self.seen
        self._witnesses = Witnesses(context, seen, self.state, rows)
        builder, now = build_facts(context, seen, self.state, rows, self._witnesses)
        if self._request.full:
            delay = self._dependencies.clock.read().elapsed - self._looked_at
            builder = confirm(builder, seen, rows, settings.thresholds, now, delay)
        judged_with = builder
        if approved := approved_sessions(context, seen, self.state, rows):
            builder = replace(builder, breaker=breaker.approve(builder.breaker, approved))
            # The approval may release the breaker. Orphans that the operator was not shown must still be held in this sweep.
            judged_with = replace(builder, breaker=replace(builder.breaker, latched=judged_with.breaker.latched))
        self.report.latched = builder.breaker.latched
        self._builder = builder
        self.judge = judging = Judge(judged_with, settings.thresholds, now, self.host.name)
        judging.judge_each(seen, rows)
        judging.hold_strangers()
        judging.hold_over_budget(max(0, settings.max_orphans_per_hour - self.state.orphans_last_hour))
        judging.hold_groups(seen.listings)
        judging.hold_contested(context.rivals)

    def select(self) -> None:
        """Announce and select, once the other plugins were asked."""
        judging, seen = self.judge, self.seen
        judging.hold_groups(seen.listings)
        self.report.sessions.extend(judging.entries)
        if isinstance(seen.table, Unknown):
            self.hold_all(seen.table)
        self._announcements = judging.announce()
        self.candidates = self._selected()
        if self._request.dry_run:
            for candidate in self.candidates:
                candidate.entry.outcome = Outcome.WOULD_REAP

    def _selected(self) -> list[ReapCandidate]:
        candidates = []
        for entry in self.report.sessions:
            facts, judgement, reap_id = entry.facts, entry.judgement, entry.reap_id
            # The entry has a reap id again once the intent is committed.
            entry.reap_id = None
            if entry.verdict is Verdict.REAP and entry.key and facts and judgement and judgement.reason:
                worktree = facts.row.worktree if facts.row else None
                worktree = worktree or self.state.worktrees.get(entry.workspace_id)
                candidates.append(ReapCandidate(entry, entry.key, facts, judgement.reason, str(reap_id), worktree=worktree))
        return candidates

    # 5 prepare, 6 recheck, 7 kill, 8 terminate

    def reap(self, elsewhere: Mapping[str, str]) -> None:
        """Reap the selected sessions. What became of each is in the report.

        ``elsewhere`` are the directories in which sessions of other hosts live.
        """
        started = perf_counter()
        if self.candidates:
            self._reap(self.candidates, elsewhere)
        self.report.seconds.kill = perf_counter() - started

    def _reap(self, candidates: Sequence[ReapCandidate], elsewhere: Mapping[str, str]) -> None:
        builder, rows = self._builder, self._known_rows

        def look_at_processes(some: Sequence[ReapCandidate], first: ProcessTable | Unknown | None = None) -> Unknown | None:
            unknown = read_processes(self._context, self.seen, some, first, self._sampled_at)
            record.record_work(self._context, builder, candidates)
            return unknown

        with self.report.seconds.step("prepare"):
            unknown = look_at_processes(candidates, self.seen.table)
        if unknown is not None:
            self.hold_all(unknown)
            return
        recheck = Recheck(self._context, builder, recognise(builder.state.registry, rows), self._witnesses, candidates)
        self._refuted = recheck.refuted
        killer = BatchKiller(self._context, recheck, look_at_processes)
        for terminal in self._dependencies.terminals:
            here = [one for one in candidates if one.key.socket == terminal.socket and not one.is_concluded]
            killer.run(terminal, here)
        conclude(self._context, recheck, self.seen, known_worktrees(builder.state, rows), candidates, elsewhere)

    def lived_in(self) -> Mapping[str, str]:
        """Return the known directories of the workspaces that have a session, by host and workspace."""
        rows = self.rows if isinstance(self.rows, LookupResult) else None
        worktrees = self.state.worktrees if rows is None else known_worktrees(self.state, rows)
        lived_in = self.seen.workspace_ids
        return {f"{self.host.name}: {one}": os.path.realpath(path) for one, path in worktrees.items() if one in lived_in}

    # 9 record

    def show_announcements(self) -> None:
        """Set the deadline on the sessions that are announced.

        An announcement that the ledger has was shown to the session's user, also if this process ends in between.
        """
        record.mark_announced(self._context, made=self._announcements.made)

    def record_before_kills(self) -> None:
        """Write what must be known before any kill. Raises ``LedgerError``."""
        builder, rows = self._builder, self._known_rows
        if self._request.full:
            now = self._dependencies.clock.now()
            servers = server_changes(self.seen, builder.state.servers, self._dependencies.processes)
            doubts = self._lasting_doubts()
            changes = record.before_kills(builder, self.seen, rows, servers, now, doubts, self._witnesses.changes)
        else:
            known = builder.state.registry
            registry = identified(known, rows)
            changes = StateChanges(
                registry=registry if registry != known else None,
                confirmations=dict(builder.confirmations.changed),
                forgotten=frozenset(builder.confirmations.forgotten),
                directories=self._witnesses.changes,
            )
        record.save(self._context, changes)

    def is_recorded(self, marked: dict[str, int]) -> None:
        """Carry out what follows from what was written. ``marked`` counts the sessions marked in this sweep on each socket."""
        if self._request.full:
            if isinstance(self.seen.table, ProcessTable):
                self._context.state.sample_interval.stored(self._sampled_at)
            record.mark_recognised(self._context, self.seen, self._builder, marked)
        self._builder.confirmations.saved()
        record.mark_announced(self._context, withdrawn=self._announcements.withdrawn)

    def record_after_kills(self) -> None:
        """Write what the kills changed, and the alarms. Raises ``LedgerError``."""
        before = self.state
        if isinstance(self.rows, Unknown):
            if not self._request.counts:
                return
            now, limits = self._dependencies.clock.now(), record.alarm_limits(self._context)
            self._changes = record.without_registry(before, self.seen, self.report, limits, now)
        elif self._request.full:
            now, limits = self._dependencies.clock.now(), record.alarm_limits(self._context)
            changes = record.after_kills(self._builder, self.report, limits, now)
            self._changes = replace(changes, settled=frozenset(self._refuted))
        elif self.report.complete:
            left = {entry.workspace_id for entry in self.report.sessions if entry.outcome is not Outcome.REAPED}
            reported = before.reported.keys() | before.removals.keys()
            unseen = self._lasting_doubts() - {entry.workspace_id for entry in self.report.sessions}
            settled = reported & (self._request.suspects or {}).keys() - left - unseen
            self._changes = StateChanges(settled=frozenset(settled | self._refuted))
        record.save(self._context, self._changes)

    def notify_alarms(self) -> None:
        """Notify the plugins of the alarms that the ledger has by now."""
        if self._request.full:
            record.notify_alarms_of(self._context, self._changes, self.state)

    def save_report(self) -> None:
        """Keep the report of a full sweep. Raises ``LedgerError``."""
        if self._request.counts:
            self._context.state.last_report.save(self._context.ledger, self.report)

    def prune_snapshots(self) -> None:
        """Remove the snapshots that are too old."""
        if self._request.full and isinstance(self.rows, LookupResult):
            record.prune_snapshots(self._context, self.state)

    def hold_all(self, unknown: Unknown) -> None:
        """Hold every session that would be reaped, because something that all verdicts need could not be read."""
        hold_all(self._context, self.seen, unknown)

    @property
    def _known_rows(self) -> LookupResult:
        # Hosts without rows take no further step.
        return cast("LookupResult", self.rows)

    def _lasting_doubts(self) -> frozenset[str]:
        longest = self._context.settings.thresholds.stranger_ttl
        return record.lasting_doubts(self.state, longest, self._dependencies.clock.now())
