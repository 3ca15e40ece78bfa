"""Steps 8 and 9: what outlives its session is ended, and what became of each is recorded. Once for all sockets of a sweep."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.reap import Outcome, ProcessCleanup, ReapResult
from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import KillResult
from workspace_reaper.policy.verdict import judge
from workspace_reaper.sweep.context import Dependencies, ReapCandidate, SweepContext
from workspace_reaper.sweep.observe import shown_panes
from workspace_reaper.sweep.other_plugins import tell_plugins
from workspace_reaper.sweep.recheck import look_again, saving
from workspace_reaper.sweep.terminate import LeftoverProcesses, Termination

__all__ = ["Conclusion", "terminate"]

SETTLING = 1.0
POLL = 0.05
"""Seconds in which a server that ends has ended, and between two looks at it."""


def terminate(
    parts: Dependencies, shown: Mapping[int, frozenset[str] | None], estates: Sequence[LeftoverProcesses]
) -> Mapping[SessionKey, ProcessCleanup]:
    """End what is left of these sessions. ``shown`` are the panes of each server that are listed now."""
    termination = Termination(
        parts.processes,
        grace=parts.kill_grace,
        everywhere=parts.end_everywhere,
        own_uid=os.geteuid(),
        shown=shown,
    )
    return termination.run(estates)


class Conclusion:
    """What follows the kills of one sweep."""

    def __init__(self, context: SweepContext) -> None:
        self._context = context
        self._shown: dict[int, frozenset[str] | None] = {}

    def run(self, cases: Sequence[ReapCandidate]) -> None:
        """Verify, terminate, record. The outcomes are in the cases' entries, and in the ledger."""
        seconds = self._context.report.seconds
        with seconds.step("terminate"):
            for terminal in self._context.parts.terminals:
                self._verify(terminal, [case for case in cases if case.key.socket == terminal.socket])
            dead = [case for case in cases if case.entry.outcome is Outcome.REAPED]
            if dead:
                self._terminate(dead)
        with seconds.step("record"):
            self._conclude(cases)

    def _verify(self, terminal: Terminal, cases: Sequence[ReapCandidate]) -> None:
        """Are the dead dead, and what saved the spared?"""
        pending = [case for case in cases if not case.ended]
        if not pending:
            return
        listing = self._list(terminal)
        if isinstance(listing, Unknown):
            self._context.report.unknown.append(listing)
            present: dict[SessionKey, Session] = {}
        else:
            present = {session.key: session for session in listing.sessions}
        for server in {case.key.server_pid for case in pending}:
            self._shown[server] = shown_panes(listing, server, self._context.parts.processes)
        for case in pending:
            session = present.get(case.key)
            unread = isinstance(listing, Listing) and case.key.session_id in listing.unreadable_ids
            if case.answer is KillResult.SPARED:
                case.spare("unknown" if unread or isinstance(listing, Unknown) else self._saved_by(case, session))
            elif session is not None or unread:
                case.fail("tmux said that it was killed, and still lists it")
            else:
                # Where nothing can be read, the guard's own word is believed: it is given by the server, after the kill.
                case.entry.outcome = Outcome.REAPED

    def _list(self, terminal: Terminal) -> Listing | Unknown:
        """A server that ends with its last session answers nobody for a moment ("server exited unexpectedly")."""
        until = time.monotonic() + SETTLING
        while True:
            listing = look_again(terminal, self._context.registry.owner_id, self._context.report, panes=True)
            if isinstance(listing, Listing) or time.monotonic() >= until:
                return listing
            time.sleep(POLL)

    def _saved_by(self, case: ReapCandidate, session: Session | None) -> str:
        """The guard gives no reason: ask the predicate once more. Where it sees none, what saved it is over already."""
        if session is None:
            return "gone"
        if self._context.parts.names.manages(session) != case.entry.workspace_id:
            return "unmanaged"
        facts = self._context.scene.facts(session, case.entry.workspace_id, case.facts.row, self._context.parts.clock.now())
        return saving(case.reason, facts, judge(facts, self._context.parts.rules)) or "active"

    # 8 terminate

    def _terminate(self, dead: Sequence[ReapCandidate]) -> None:
        aftermaths = terminate(self._context.parts, self._shown, [_estate(case) for case in dead])
        for case in dead:
            case.aftermath = aftermaths[case.key]
            self._context.report.freed_bytes += case.aftermath.freed_bytes or 0
            case.entry.aftermath, case.entry.restorable = case.aftermath, case.snapshot is None

    # 9 record

    def _conclude(self, cases: Iterable[ReapCandidate]) -> None:
        """Commit the outcomes. What can't be written, and a kill of which nobody knows, is closed by the next sweep, from what
        it sees."""
        now = self._context.parts.clock.now()
        known = [case for case in cases if case.intent is not None and case.answer is not KillResult.NONE]
        outcomes = [
            ReapResult(case.reap_id, now, case.entry.outcome, case.entry.protected_by, case.aftermath, case.snapshot)
            for case in known
        ]
        try:
            self._context.ledger.record_results(outcomes)
        except LedgerError as error:
            self._context.report.unknown.append(Unknown(Source.LEDGER, str(error)))
            return
        tell_plugins(self._context.parts.plugins, [case.intent for case in known if case.intent], outcomes)
        alive = [case.reap_id for case in known if case.entry.outcome is not Outcome.REAPED and case.snapshot is None]
        if alive and self._context.parts.snapshots is not None:
            self._context.parts.snapshots.discard(alive)


def _estate(case: ReapCandidate) -> LeftoverProcesses:
    panes = frozenset(pane.pane_id for pane in case.facts.session.panes)
    return LeftoverProcesses(case.key, panes, case.worktree, case.relatives, case.details)
