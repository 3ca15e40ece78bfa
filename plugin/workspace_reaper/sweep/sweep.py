"""The way of a session through the house, in nine steps. Steps 5 to 9, for what is condemned, are in ``reaping``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from time import perf_counter

from ulid import ULID

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.session import Owner, SessionKey
from workspace_reaper.model.state import LedgerState, RegistryState, StateChanges
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import IdleClock, Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import breaker
from workspace_reaper.policy import registry_identity as proof
from workspace_reaper.policy.confirmations import Confirmations
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.idle import AgeClock, notice
from workspace_reaper.sweep import record
from workspace_reaper.sweep.conclude import Conclusion
from workspace_reaper.sweep.context import Dependencies, ReapCandidate, SweepContext, SweepRequest
from workspace_reaper.sweep.judge import Announcements, Judge
from workspace_reaper.sweep.kill import BatchKiller
from workspace_reaper.sweep.observe import Observation, doubt_empty_sockets, observe, server_changes
from workspace_reaper.sweep.other_plugins import candidate, tell_plugins
from workspace_reaper.sweep.prepare import look_at_processes
from workspace_reaper.sweep.recovery import recover
from workspace_reaper.sweep.report import SessionReport, SweepReport

__all__ = ["Sweep"]

PRUNE_EVERY = 3600.0
"""Seconds."""

RETRY_AFTER = 3
"""Ticks that a kill that failed again and again waits before it is tried once more."""


class Sweep:
    """One sweep. ``run`` is called once."""

    def __init__(self, parts: Dependencies, ledger: Ledger, request: SweepRequest) -> None:
        self._parts = parts
        self._ledger = ledger
        self._request = request
        self._full = request.full
        self._writes = not request.dry_run
        self._seen = Observation()
        self.report = SweepReport(str(ULID()), parts.clock.now(), dry_run=request.dry_run, full=self._full)

    def run(self) -> SweepReport:
        """Observe, look up, judge, confirm; then prepare, recheck, kill, terminate and record. It raises for nothing that
        tmux, the registry or the ledger do or fail to do: what could not be seen is in the report."""
        started = perf_counter()
        try:
            self._run()
        except LedgerError as error:
            self._blind(Unknown(Source.LEDGER, str(error)))
        self.report.sessions.sort(key=attrgetter("socket", "session"))
        self.report.seconds.total = perf_counter() - started
        if self._full and self._writes:
            self._save()
        return self.report

    def _run(self) -> None:
        remembered = self._ledger.registry()
        memory = self._observe(remembered)
        if self._full and self._writes:
            memory = record.catch_up(self._parts, self._ledger, memory)
        rows = self._look_up(remembered, memory)
        if rows is None:
            if self._full and self._writes:
                limits, now = record.limits(self._parts), self._parts.clock.now()
                self._remember(record.when_blind(memory, self._seen, self.report.sessions, limits, now), memory)
            return
        if self._writes and memory.open_intents:
            owner_id = remembered.owner_id
            outcomes = recover(self._parts, memory.open_intents, self._seen, rows, owner_id=owner_id, report=self.report)
            self._ledger.record_results(outcomes)
            tell_plugins(self._parts.plugins, memory.open_intents, outcomes)
        scene, judging = self._judge(memory, rows)
        if isinstance(self._seen.table, Unknown):
            self._blind(self._seen.table)
        announcements = judging.announce()
        if self._full and self._writes:
            servers = server_changes(self._seen, memory.servers, self._parts.processes)
            self._remember(record.before_kills(scene, self._seen, rows, servers, self._parts.clock.now()))
            scene.sightings.saved()
            self._mark(scene, remembered.owner_id)
        if self._writes:
            self._tell_sessions(scene, announcements)
        self._reap(scene, rows)
        if self._full and self._writes:
            limits, now = record.limits(self._parts), self._parts.clock.now()
            self._remember(record.after_kills(scene, self.report, limits, now), memory)
            self._prune(memory, now)
        elif self._writes and self.report.complete:
            self._remember(StateChanges(settled=self._done(memory)))

    def _remember(self, changes: StateChanges, before: LedgerState | None = None) -> None:
        """``before``: these changes may begin or end alarms that were so."""
        if changes:
            self._ledger.save(changes)
            self.report.events.extend(changes.events)
        if before is not None:
            record.tell(self._parts, before, changes)

    def _done(self, memory: LedgerState) -> frozenset[str]:
        """What hooks said of these workspaces has been carried out: nothing of them is left."""
        left = {entry.workspace_id for entry in self.report.sessions if entry.outcome is not Outcome.REAPED}
        return frozenset(memory.testimony.keys() & (self._request.suspects or {}).keys() - left)

    # 1 observe

    def _observe(self, remembered: RegistryState) -> LedgerState:
        started = perf_counter()
        parts = self._parts
        counts = self._full and IdleClock.CPU in parts.rules.idle_clocks
        table = parts.processes.glance if counts and parts.sampling.is_due(started) else None
        recall = parts.recollection.ahead(self._ledger, parts.clock.now()) if self._full else None
        self._seen = seen = observe(parts.terminals, parts.names, remembered.owner_id, self._request.suspects, table)
        self.report.unmanaged = seen.unmanaged
        self.report.unknown = seen.unknown
        self.report.seconds.observe = perf_counter() - started
        for socket, name, workspace_id in seen.unreadable:
            self._hold_unknown(socket, name, None, workspace_id)
        ids = seen.workspace_ids
        memory = recall(ids) if recall else self._ledger.load_state(ids, parts.clock.now())
        doubt_empty_sockets(seen, memory.servers, parts.processes)
        return memory

    # 2 look up

    def _look_up(self, remembered: RegistryState, memory: LedgerState) -> LookupResult | None:
        started = perf_counter()
        suspects = self._request.suspects or {}
        interrupted = {intent.workspace_id for intent in memory.open_intents}
        ids = {*self._seen.workspace_ids, *suspects, *interrupted}
        rows = self._parts.registry.look_up(sorted(ids), remembered.identity.sentinels)
        self.report.seconds.look_up = perf_counter() - started
        if isinstance(rows, Unknown):
            self._blind(rows)
            return None
        self.report.registry = {
            "identity": f"{rows.identity.schema} {rows.identity.location}",
            "generation": proof.recognise(remembered, rows).generation,
            "rows": rows.total,
            "rows_capped": rows.capped,
        }
        self.report.contradicted = frozenset(
            workspace_id
            for workspace_id, said in suspects.items()
            if (row := rows.found.get(workspace_id)) and not (row.deleted if said is WorkspaceEvent.DELETED else row.archived)
        )
        return rows

    # 3 judge, 4 confirm

    def _judge(self, memory: LedgerState, rows: LookupResult) -> tuple[FactsBuilder, Judge]:
        started = perf_counter()
        reading = self._parts.clock.read()
        now, rules = reading.wall, self._parts.rules
        noticed = notice(memory.clock, self._parts.processes.boot, reading, rules.longest)
        times = AgeClock(noticed.memory.lapses, noticed.jumped, rules.idle_clocks)
        self.report.jumped = noticed.jumped
        generation = proof.recognise(memory.registry, rows).generation
        # What a hook said under another registry is remembered, and convicts nobody under this one.
        remembered = (one for one in memory.testimony if memory.named.get(one) == generation)
        known = {*self._seen.workspace_ids, *(self._request.suspects or {})}
        scene = FactsBuilder(
            memory=memory,
            sightings=Confirmations(memory.sightings, now, {session.key: one for session, one in self._seen.sessions}),
            generation=generation,
            testimony=self._request.suspects or dict.fromkeys(remembered, WorkspaceEvent.DELETED),
            recognised=frozenset(one for one, row in rows.found.items() if not row.deleted and one in known),
            breaker=memory.breaker,
            whereabouts=self._parts.processes.whereabouts(),
            cpu=record.measure(memory, self._seen, times),
            clock=noticed.memory,
            times=times,
            reuses_ids=self._parts.reuses_ids,
            retry_after=RETRY_AFTER * self._parts.tick,
            insisted=self._request.approve,
        )
        if self._full:
            scene = record.confirm(scene, self._seen, rows, self._parts.rules, now)
        looking = scene
        if approved := self._approved(memory, rows):
            scene = replace(scene, breaker=breaker.excuse(scene.breaker, approved))
            # It may open the breaker; what became an orphan since the operator looked must not go in the same sweep.
            looking = replace(scene, breaker=replace(scene.breaker, latched=looking.breaker.latched))
        self.report.latched = scene.breaker.latched
        judging = Judge(looking, self._parts.rules, now)
        judging.judge_each(self._seen, rows, max(0, self._parts.max_orphans_per_hour - memory.orphans_last_hour))
        judging.hold_groups(self._seen.listings)
        self._ask_plugins(judging)
        judging.hold_groups(self._seen.listings)
        self.report.sessions.extend(judging.entries)
        self.report.seconds.judge = perf_counter() - started
        return scene, judging

    def _approved(self, memory: LedgerState, rows: LookupResult) -> frozenset[SessionKey]:
        """What an operator lets go: nothing, where the registry is not the one of which that was shown."""
        if not self._full or not self._request.approve:
            return frozenset()
        shown, registry = self._request.shown, self.report.registry
        same = shown is None or all(shown.get(part) == registry[part] for part in ("identity", "generation"))
        if same and proof.change_of_identity(memory.registry, rows) is None:
            # One that the registry has again would else be let go when it vanishes the next time.
            there = {one for one, row in rows.found.items() if not row.deleted}
            return self._request.approve & {session.key for session, one in self._seen.sessions if one not in there}
        self.report.refused = "nothing was let go: the registry is another one than when the sessions were shown"
        return frozenset()

    def _ask_plugins(self, judging: Judge) -> None:
        for entry in judging.condemned:
            entry.reap_id = str(ULID())
        asked = [*judging.condemned, *judging.waiting]
        if not asked:
            return
        vetoes = self._parts.plugins.vetoes([candidate(entry, judging.deadline_of(entry)) for entry in asked])
        judging.hold_vetoed(vetoes.of)
        self.report.vetoes.extend(vetoes.failures)

    def _tell_sessions(self, scene: FactsBuilder, announcements: Announcements) -> None:
        """Write who goes later, and mark those sessions for whoever looks."""
        if not self._full and (scene.sightings.changed or scene.sightings.forgotten):
            changes = StateChanges(sightings=dict(scene.sightings.changed), forgotten=frozenset(scene.sightings.forgotten))
            self._remember(changes)
            scene.sightings.saved()
        for terminal in self._parts.terminals:
            made = {key: at for key, at in announcements.made.items() if key.socket == terminal.socket}
            withdrawn = [key for key in announcements.withdrawn if key.socket == terminal.socket]
            if made or withdrawn:
                terminal.announce(made, withdrawn)

    def _mark(self, scene: FactsBuilder, owner_id: str) -> None:
        """Mark what the registry has recognised as ours, so that another registry's reaper leaves it alone."""
        # What is about to go needs no mark: the guard of its kill asks for none.
        condemned = {entry.key for entry in self.report.sessions if entry.verdict is Verdict.REAP}
        for terminal in self._parts.terminals:
            bare = [
                session.key
                for session, workspace_id in self._seen.sessions
                if session.owner is Owner.NONE and workspace_id in scene.recognised and session.key.socket == terminal.socket
            ]
            bare = [key for key in bare if key not in condemned]
            if bare:
                terminal.mark(bare, owner_id)

    # 5 prepare, 6 recheck, 7 kill, 8 terminate, 9 record

    def _reap(self, scene: FactsBuilder, rows: LookupResult) -> None:
        started = perf_counter()
        cases = [
            ReapCandidate(entry, entry.key, entry.facts, entry.judgement.reason, str(entry.reap_id))
            for entry in self.report.sessions
            if entry.key and entry.facts and entry.judgement and entry.judgement.reason and entry.verdict is Verdict.REAP
        ]
        for entry in self.report.sessions:
            entry.reap_id = None
        if not self._writes:
            for case in cases:
                case.entry.outcome = Outcome.WOULD_REAP
            return
        if cases:
            self._reap_cases(cases, scene, rows)
        self.report.seconds.kill = perf_counter() - started

    def _reap_cases(self, cases: Sequence[ReapCandidate], scene: FactsBuilder, rows: LookupResult) -> None:
        for case in cases:
            row = case.facts.row
            case.worktree = row.worktree if row and row.worktree else scene.memory.worktrees.get(case.entry.workspace_id)
        with self.report.seconds.step("prepare"):
            blind = look_at_processes(self._parts, self._seen, cases)
        if blind is not None:
            self._blind(blind)
            return
        registry = proof.recognise(scene.memory.registry, rows)
        context = SweepContext(self._parts, self._ledger, scene, registry, self.report)
        reaping = BatchKiller(context)
        for terminal in self._parts.terminals:
            here = [case for case in cases if case.key.socket == terminal.socket and not case.ended]
            if here:
                reaping.run(terminal, here, self._request.stopping)
        Conclusion(context).run(cases)

    def _prune(self, memory: LedgerState, now: float) -> None:
        """Once an hour, and after each reap: it looks at every snapshot."""
        is_due = memory.last_complete is None or now // PRUNE_EVERY != memory.last_complete // PRUNE_EVERY
        if self._parts.snapshots is not None and (is_due or any(entry.reap_id for entry in self.report.sessions)):
            spared = [intent.reap_id for intent in memory.open_intents]
            self._parts.snapshots.prune(now, [*spared, *(entry.reap_id for entry in self.report.sessions if entry.reap_id)])

    def _save(self) -> None:
        try:
            self._parts.journal.save(self._ledger, self.report)
        except LedgerError as error:
            self._blind(Unknown(Source.LEDGER, str(error)))

    # what could not be seen

    def _blind(self, unknown: Unknown) -> None:
        """Nothing may die: hold every session that would."""
        if unknown not in self.report.unknown:
            self.report.unknown.append(unknown)
        for entry in self.report.sessions:
            if entry.verdict is Verdict.REAP and entry.outcome is Outcome.NONE:
                entry.verdict, entry.protected_by = Verdict.HOLD, unknown.source.value
        judged = {entry.key for entry in self.report.sessions}
        for session, workspace_id in self._seen.sessions:
            if session.key not in judged:
                self._hold_unknown(session.key.socket, session.name, session.key, workspace_id)

    def _hold_unknown(self, socket: str, name: str, key: SessionKey | None, workspace_id: str) -> None:
        session_id = key.session_id if key else None
        entry = SessionReport(socket, name, session_id, workspace_id, Verdict.HOLD, protected_by="unknown", key=key)
        self.report.sessions.append(entry)
