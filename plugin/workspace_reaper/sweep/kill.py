"""Steps 5 to 7: prepare, recheck, kill. For the condemned of one sweep on one socket, batch by batch.

tmux serves nobody else while it works off a batch, so a batch is small; and a recheck is worth only as much as it is fresh,
so each batch has its own, right before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from time import perf_counter

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.reap import Intent
from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.snapshot import SnapshotOrder
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Guard, KillResult, KillResults, Reason, Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import registry_identity as proof
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.process_tree import foreground
from workspace_reaper.policy.verdict import guard, judge
from workspace_reaper.sweep.context import ReapCandidate, SweepContext
from workspace_reaper.sweep.observe import unlinked
from workspace_reaper.sweep.prepare import describe
from workspace_reaper.sweep.recheck import look_again, saving
from workspace_reaper.sweep.report import evidence

__all__ = ["ATTEMPTS", "BatchKiller"]

ATTEMPTS = 3
"""So often a kill without an answer is tried, each time after a new recheck; and so often panes are kept that change."""

PATIENCE = 60.0
"""Seconds that kills without an answer may take on one socket: then a sweep tries none again of those that gave none."""


class BatchKiller:
    """The kills of one sweep."""

    def __init__(self, context: SweepContext) -> None:
        self._context = context
        self._asking = 0.0

    def run(self, terminal: Terminal, cases: Sequence[ReapCandidate], stopping: Callable[[], bool]) -> None:
        """Try to reap each case on this socket. What is known of it then is in the case."""
        try:
            self._run(terminal, cases, stopping)
        finally:
            terminal.stand_down()

    def _run(self, terminal: Terminal, cases: Sequence[ReapCandidate], stopping: Callable[[], bool]) -> None:
        # In the order of their ids, so that a batch is narrow. Those that failed before come last, and alone.
        queue = deque(sorted(cases, key=lambda case: (self._is_doubtful(case), int(case.key.session_id[1:]))))
        unanswered = 0.0
        terminal.get_ready()
        while queue:
            if stopping():
                _give_up(queue, "stopping")
                return
            if self._is_doubtful(queue[0]) and unanswered > PATIENCE:
                _give_up(queue, "unanswered")
                return
            batch, began = self._next(queue), perf_counter()
            blocked = self._batch(terminal, batch, queue)
            if any(case.answer is KillResult.NONE for case in batch):
                unanswered += perf_counter() - began
            queue.extend(case for case in batch if case.answer is KillResult.NONE and not case.ended)
            if blocked is not None:
                self._context.report.unknown.append(blocked)
                _give_up([*batch, *queue], blocked.source.value)
                return

    def _is_doubtful(self, case: ReapCandidate) -> bool:
        """A kill of it got no answer, now or in an earlier sweep: in a batch it could take the others' answers with it."""
        return case.attempts > 0 or case.facts.failures > 0

    def _next(self, queue: deque[ReapCandidate]) -> list[ReapCandidate]:
        batch = [queue.popleft()]
        while queue and len(batch) < self._context.parts.pace.size and not any(map(self._is_doubtful, (batch[0], queue[0]))):
            batch.append(queue.popleft())
        return batch

    def _batch(self, terminal: Terminal, batch: Sequence[ReapCandidate], later: Sequence[ReapCandidate]) -> Unknown | None:
        """Prepare, recheck and kill one batch; what stood in the way, if anything did."""
        seconds = self._context.report.seconds
        with seconds.step("prepare"):
            blocked = self._prepare(terminal, batch)
        if blocked is not None:
            return blocked
        with seconds.step("recheck"):
            guards = self._recheck(terminal, batch)
        if isinstance(guards, Unknown):
            return guards
        if guards:
            with seconds.step("kill"):
                answers = terminal.kill(list(guards.values()), lambda: self._look_ahead(terminal, later))
            self._context.parts.pace.learn(len(guards), answers.seconds, nothing=self._asking)
            for case in batch:
                if case.key in guards:
                    _take(case, answers)
        return None

    # 5 prepare. What the plugins say of it, and which processes are its own, is known already.

    def _prepare(self, terminal: Terminal, batch: Sequence[ReapCandidate]) -> Unknown | None:
        """Commit the intents, and keep the panes. Without the intents nothing dies."""
        cases = [case for case in batch if case.intent is None]
        if not cases:
            return None
        describe(self._context.parts, cases)
        intents = [self._intent(case) for case in cases]
        try:
            self._context.ledger.record_intents(intents)
        except LedgerError as error:
            return Unknown(Source.LEDGER, str(error))
        for case, intent in zip(cases, intents, strict=True):
            case.intent, case.entry.reap_id = intent, case.reap_id
        self._keep_panes(terminal, cases)
        return None

    def _look_ahead(self, terminal: Terminal, later: Sequence[ReapCandidate]) -> None:
        """What the next batch needs and tmux has no part in, while tmux works off this one."""
        if later:
            terminal.get_ready()
            describe(self._context.parts, list(islice(later, self._context.parts.pace.size)))

    def _intent(self, case: ReapCandidate) -> Intent:
        return Intent(
            reap_id=case.reap_id,
            sweep_id=self._context.report.sweep,
            at=self._context.parts.clock.now(),
            key=case.key,
            session=case.entry.session,
            workspace_id=case.entry.workspace_id,
            reason=case.reason.public,
            evidence=evidence(case.facts),
            boot=self._context.parts.processes.boot,
            worktree=case.worktree,
            processes=case.relatives,
        )

    def _keep_panes(self, terminal: Terminal, cases: Sequence[ReapCandidate]) -> None:
        """Why a session has no snapshot is weighed at the recheck: it may be gone."""
        snapshots = self._context.parts.snapshots
        if snapshots is None:
            for case in cases:
                case.snapshot = "switched off"
            return
        orders = [_order(case) for case in cases]
        failures = snapshots.take(terminal, orders)
        for _ in range(ATTEMPTS - 1):
            # Whoever attaches meanwhile changes the size of the panes: the recheck must see that, and not this.
            if failures:
                failures = snapshots.take(terminal, [order for order in orders if order.reap_id in failures])
        for case in cases:
            case.snapshot = failures.get(case.reap_id)

    # 6 recheck

    def _recheck(self, terminal: Terminal, batch: Sequence[ReapCandidate]) -> dict[SessionKey, Guard] | Unknown:
        """List again, look up again, ask the same predicate again. Only what it condemns anew, for the same reason, gets a
        guard."""
        started = perf_counter()
        panes, only = any(case.reason is Reason.DEAD for case in batch), [case.key.session_id for case in batch]
        listing = look_again(terminal, self._context.registry.owner_id, self._context.report, panes=panes, only=only)
        self._asking = perf_counter() - started
        if isinstance(listing, Unknown):
            return listing
        server = batch[0].key.server_pid
        if not listing.answered and self._context.parts.processes.may_live(server, None):
            return unlinked(listing.socket, server)
        ids = sorted({case.entry.workspace_id for case in batch})
        rows = self._context.parts.registry.look_up(ids, self._context.registry.identity.sentinels)
        if isinstance(rows, Unknown):
            return rows
        changed = proof.change_of_identity(self._context.registry, rows)
        if changed:
            return Unknown(Source.REGISTRY, f"the registry changed during the sweep: {changed}")
        moment = self._context.anew()
        present = {session.key: session for session in listing.sessions}
        guards = {}
        for case in batch:
            session = present.get(case.key)
            if session is None:
                _missing(case, listing)
            elif self._context.parts.names.manages(session) != case.entry.workspace_id:
                # Renamed, or marked by another registry's reaper, since the first listing: no longer ours to judge.
                case.spare("unmanaged")
            elif self._may_go_without_panes(case):
                accepted = self._ask_again(case, session, rows, *moment)
                if accepted is not None:
                    guards[case.key] = accepted
        return guards

    def _may_go_without_panes(self, case: ReapCandidate) -> bool:
        """Without a snapshot only what was deleted goes: nobody will ask for it again. That there is none is said of all."""
        if case.snapshot is None or self._context.parts.snapshots is None:
            return True
        unknown = Unknown(Source.SNAPSHOT, case.snapshot, case.key.socket, case.entry.session)
        if unknown not in self._context.report.unknown:
            self._context.report.unknown.append(unknown)
        if case.reason is Reason.DELETED:
            return True
        case.spare("snapshot")
        return False

    def _ask_again(
        self, case: ReapCandidate, session: Session, rows: LookupResult, scene: FactsBuilder, now: float
    ) -> Guard | None:
        workspace_id, rules = case.entry.workspace_id, self._context.parts.rules
        facts = scene.facts(session, workspace_id, rows.found.get(workspace_id), now)
        # Where the reaper lives was seen in the first listing, which has the panes.
        facts = replace(facts, home=facts.home or case.facts.home)
        judgement = judge(facts, rules)
        if judgement.verdict is Verdict.REAP and judgement.reason is case.reason:
            return guard(case.reason, facts, rules)
        case.spare(saving(case.reason, facts, judgement) or "workspace")
        return None


def _order(case: ReapCandidate) -> SnapshotOrder:
    session = case.facts.session
    front = foreground([kin.process for kin in case.family], session)
    commands = {pane: case.details[key].argv for pane, key in front.items() if key in case.details}
    return SnapshotOrder(
        reap_id=case.reap_id,
        key=case.key,
        session=session.name,
        workspace_id=case.entry.workspace_id,
        activity=session.activity,
        version=session.version,
        commands=commands,
    )


def _missing(case: ReapCandidate, listing: Listing) -> None:
    """It is not among the sessions: gone, unless its row is there and can't be read."""
    if case.key.session_id in listing.unreadable_ids:
        case.spare("unknown")
    elif case.attempts:
        case.answer = KillResult.KILLED
    else:
        case.spare("gone")


def _take(case: ReapCandidate, answers: KillResults) -> None:
    case.answer = answers.answers[case.key.session_id]
    if case.answer is KillResult.GONE:
        case.spare("gone")
    elif case.answer is KillResult.NONE:
        case.attempts += 1
        if case.attempts == ATTEMPTS:
            case.fail(f"no answer from tmux in {ATTEMPTS} attempts: {answers.error or 'its output was cut'}")


def _give_up(cases: Iterable[ReapCandidate], why: str) -> None:
    """Nothing more is tried on this socket. What was tried without an answer has failed; all else was spared."""
    for case in cases:
        if case.ended or case.answer is KillResult.KILLED:
            continue
        if case.attempts:
            case.fail("no answer from tmux, and it can't be looked at again")
        else:
            case.spare(why)
