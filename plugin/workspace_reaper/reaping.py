"""Steps 5 to 9: prepare, recheck, kill, terminate, record. For the condemned of one sweep on one socket, batch by batch.

tmux serves nobody else while it works off a batch, so a batch is small; and a recheck is worth only as much as it is fresh,
so each batch has its own, right before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from ulid import ULID

from workspace_reaper import proof
from workspace_reaper.circumstances import Circumstances
from workspace_reaper.errors import LedgerError
from workspace_reaper.memory import Intent, Outcome, RegistryMemory
from workspace_reaper.model import (
    Answer,
    Guard,
    KillAnswers,
    Listing,
    Reason,
    Rows,
    Session,
    SessionKey,
    Source,
    Unknown,
    Verdict,
)
from workspace_reaper.observation import unlinked
from workspace_reaper.parts import Parts
from workspace_reaper.policy import Facts, Judgement, Protection, guard, judge
from workspace_reaper.ports import Ledger, Terminal
from workspace_reaper.report import SessionReport, SweepReport, evidence

__all__ = ["ATTEMPTS", "Case", "Reaping"]

ATTEMPTS = 3
"""So often a kill without an answer is tried, each time after a new recheck."""


@dataclass(slots=True, eq=False)
class Case:
    """One condemned session on its way. ``entry`` is its line in the report; ``answer`` the guard's last one."""

    entry: SessionReport
    key: SessionKey
    facts: Facts
    reason: Reason
    reap_id: str | None = None
    attempts: int = 0
    answer: Answer | None = None
    freed_bytes: int | None = None

    @property
    def ended(self) -> bool:
        """Its outcome is known."""
        return self.entry.outcome != "none"

    def spare(self, why: str) -> None:
        """It lives on, and why."""
        self.freed_bytes = None
        self.entry.outcome, self.entry.protected_by = "spared", why

    def fail(self, why: str) -> None:
        """It should be gone and is not, or nobody knows; and why."""
        self.freed_bytes = None
        self.entry.outcome, self.entry.protected_by = "failed", why


class Reaping:
    """``registry`` is what the sweep found the registry to be: if a recheck finds another one, nothing more dies."""

    def __init__(
        self, parts: Parts, ledger: Ledger, *, scene: Circumstances, registry: RegistryMemory, report: SweepReport
    ) -> None:
        self._parts = parts
        self._ledger = ledger
        self._scene = scene
        self._registry = registry
        self._report = report
        self._asking = 0.0

    def run(self, terminal: Terminal, cases: Sequence[Case], stopping: Callable[[], bool]) -> None:
        """Try to reap each case on this socket. What became of it is written into its entry, and into the ledger."""
        # In the order of their ids, so that a batch is narrow.
        queue = deque(sorted(cases, key=lambda case: int(case.key.session_id[1:])))
        while queue:
            if stopping():
                _give_up(queue, "stopping")
                break
            batch = [queue.popleft() for _ in range(min(self._parts.pace.size, len(queue)))]
            blocked = self._batch(terminal, batch)
            queue.extend(case for case in batch if case.answer is Answer.NONE and not case.ended)
            if blocked is not None:
                self._report.unknown.append(blocked)
                _give_up([*batch, *queue], blocked.source.value)
                break
        terminal.stand_down()
        self._verify(terminal, cases)
        self._conclude(cases)

    def _batch(self, terminal: Terminal, batch: Sequence[Case]) -> Unknown | None:
        """Prepare, recheck and kill one batch; what stood in the way, if anything did."""
        blocked = self._prepare([case for case in batch if case.reap_id is None])
        if blocked is not None:
            return blocked
        terminal.get_ready()
        guards = self._recheck(terminal, batch)
        if isinstance(guards, Unknown):
            return guards
        if guards:
            answers = terminal.kill(list(guards.values()))
            self._parts.pace.learn(len(guards), answers.seconds, nothing=self._asking)
            for case in batch:
                if case.key in guards:
                    _take(case, answers)
        return None

    # 5 prepare. Vetoes and pane snapshots have their place here, before the intent.

    def _prepare(self, cases: Sequence[Case]) -> Unknown | None:
        """Commit the intents. Without them nothing dies."""
        intents = [
            Intent(
                reap_id=str(ULID()),
                sweep_id=self._report.sweep,
                at=self._parts.clock.now(),
                key=case.key,
                session=case.entry.session,
                workspace_id=case.entry.workspace_id,
                reason=case.reason.public,
                evidence=evidence(case.facts),
            )
            for case in cases
        ]
        try:
            self._ledger.intend(intents)
        except LedgerError as error:
            return Unknown(Source.LEDGER, str(error))
        for case, intent in zip(cases, intents, strict=True):
            case.reap_id = case.entry.reap_id = intent.reap_id
        return None

    # 6 recheck

    def _recheck(self, terminal: Terminal, batch: Sequence[Case]) -> dict[SessionKey, Guard] | Unknown:
        """List again, look up again, ask the same predicate again. Only what it condemns anew, for the same reason, gets a
        guard."""
        listing = self._look(terminal, batch, panes=any(case.reason is Reason.DEAD for case in batch))
        if isinstance(listing, Unknown):
            return listing
        server = batch[0].key.server_pid
        if not listing.answered and self._parts.processes.may_live(server, None):
            return unlinked(listing.socket, server)
        rows = self._parts.registry.look_up(sorted({case.entry.workspace_id for case in batch}), self._registry.oldest)
        if isinstance(rows, Unknown):
            return rows
        changed = proof.change_of_identity(self._registry, rows)
        if changed:
            return Unknown(Source.REGISTRY, f"the registry changed during the sweep: {changed}")
        present = {session.key: session for session in listing.sessions}
        guards = {}
        for case in batch:
            session = present.get(case.key)
            if session is None:
                _missing(case, listing)
            elif self._parts.names.manages(session) != case.entry.workspace_id:
                # Renamed, or marked by another registry's reaper, since the first listing: no longer ours to judge.
                case.spare("unmanaged")
            else:
                accepted = self._ask_again(case, session, rows)
                if accepted is not None:
                    guards[case.key] = accepted
        return guards

    def _look(self, terminal: Terminal, cases: Sequence[Case], *, panes: bool) -> Listing | Unknown:
        """List once more. A row that can't be read now is as loud as one that could not at the beginning."""
        started = perf_counter()
        listing = terminal.observe(self._registry.stamp, panes=panes, only=[case.key.session_id for case in cases])
        self._asking = perf_counter() - started
        if isinstance(listing, Listing):
            self._report.unknown.extend(row for row in listing.unreadable if row not in self._report.unknown)
        return listing

    def _ask_again(self, case: Case, session: Session, rows: Rows) -> Guard | None:
        workspace_id, rules = case.entry.workspace_id, self._parts.rules
        facts = self._scene.facts(session, workspace_id, rows.found.get(workspace_id), self._parts.clock.now())
        # Where the reaper lives was seen in the first listing, which has the panes.
        facts = replace(facts, home=facts.home or case.facts.home)
        judgement = judge(facts, rules)
        if judgement.verdict is Verdict.REAP and judgement.reason is case.reason:
            # Measured before the kill: afterwards there is nothing left to measure.
            living = [pane.pid for pane in case.facts.session.panes if not pane.dead]
            case.freed_bytes = self._parts.processes.resident_bytes(living)
            return guard(case.reason, facts, rules)
        case.spare(_saving(case.reason, facts, judgement) or "workspace")
        return None

    # 8 terminate has its place here: what outlives its session. Then a last listing.

    def _verify(self, terminal: Terminal, cases: Sequence[Case]) -> None:
        """Are the dead dead, and what saved the spared?"""
        pending = [case for case in cases if not case.ended]
        if not pending:
            return
        listing = self._look(terminal, (), panes=True)
        if isinstance(listing, Unknown):
            self._report.unknown.append(listing)
            present: dict[SessionKey, Session] = {}
            whole = False
        else:
            present = {session.key: session for session in listing.sessions}
            whole = not listing.unreadable
        for case in pending:
            session = present.get(case.key)
            if case.answer is Answer.SPARED:
                case.spare(self._saved_by(case, session, whole=whole))
            elif session is None:
                case.entry.outcome = "reaped"
                self._report.freed_bytes += case.freed_bytes or 0
            else:
                case.fail("tmux said that it was killed, and still lists it")

    def _saved_by(self, case: Case, session: Session | None, *, whole: bool) -> str:
        """The guard gives no reason: ask the predicate once more. Where it sees none, what saved it is over already. It is
        gone only if the ``whole`` listing could be read."""
        if session is None:
            return "gone" if whole else "unknown"
        if self._parts.names.manages(session) != case.entry.workspace_id:
            return "unmanaged"
        facts = self._scene.facts(session, case.entry.workspace_id, case.facts.row, self._parts.clock.now())
        return _saving(case.reason, facts, judge(facts, self._parts.rules)) or "active"

    # 9 record

    def _conclude(self, cases: Iterable[Case]) -> None:
        """Commit the outcomes. What can't be written, and a kill of which nobody knows, is closed by the next sweep, from what
        it sees."""
        now = self._parts.clock.now()
        outcomes = [
            Outcome(case.reap_id, now, case.entry.outcome, case.entry.protected_by, case.freed_bytes)
            for case in cases
            if case.reap_id is not None and case.answer is not Answer.NONE
        ]
        try:
            self._ledger.conclude(outcomes)
        except LedgerError as error:
            self._report.unknown.append(Unknown(Source.LEDGER, str(error)))


def _saving(reason: Reason, facts: Facts, judgement: Judgement) -> str | None:
    """What saves a session that was condemned for this reason; None if the reason holds and nothing protects it."""
    for held in judgement.held:
        if held.reason is reason:
            return held.by[0].value if held.by else None
    if facts.row is not None and reason in {Reason.IDLE, Reason.DEAD}:
        # The row is not what it rested on: somebody or something came back to life in it.
        return Protection.ATTACHED.value if facts.session.is_attached else Protection.ACTIVE.value
    return "workspace"


def _missing(case: Case, listing: Listing) -> None:
    """It is not in the listing: gone, unless a row can't be read, which then may be its own."""
    if listing.unreadable:
        case.spare("unknown")
    elif case.attempts:
        case.answer = Answer.KILLED
    else:
        case.spare("gone")


def _take(case: Case, answers: KillAnswers) -> None:
    case.answer = answers.answers[case.key.session_id]
    if case.answer is Answer.GONE:
        case.spare("gone")
    elif case.answer is Answer.NONE:
        case.attempts += 1
        if case.attempts == ATTEMPTS:
            case.fail(f"no answer from tmux in {ATTEMPTS} attempts: {answers.error or 'its output was cut'}")


def _give_up(cases: Iterable[Case], why: str) -> None:
    """Nothing more is tried on this socket. What was tried without an answer has failed; all else was spared."""
    for case in cases:
        if case.ended or case.answer is Answer.KILLED:
            continue
        if case.attempts:
            case.fail("no answer from tmux, and it can't be looked at again")
        else:
            case.spare(why)
