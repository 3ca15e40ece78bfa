"""Step 6, recheck: list again, look up again, and ask the same predicate again, right before each batch of kills."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.state import UNDONE, Finding, RegistryState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Guard, KillResult, Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.facts import Facts
from workspace_reaper.policy.facts_builder import FactsBuilder, together
from workspace_reaper.policy.protections import GROUP
from workspace_reaper.policy.registry_identity import change_of_identity
from workspace_reaper.policy.rules import DELETED, REMOVED
from workspace_reaper.policy.verdict import Judgement, causes_to_undo, held_by_their_group, judge, saved_by
from workspace_reaper.sweep.context import ReapCandidate, SweepContext
from workspace_reaper.sweep.observe import missed_server
from workspace_reaper.sweep.witnesses import Witnesses


class Recheck:
    """The rechecks of one sweep.

    ``registry`` is the registry as the sweep found it: if a recheck finds another one, no more session is killed.
    ``candidates`` are all sessions that the sweep is to reap. ``refuted`` are the workspaces that are there although they were
    reported as deleted: another deletion needs a report of its own.
    """

    def __init__(
        self,
        context: SweepContext,
        builder: FactsBuilder,
        registry: RegistryState,
        witnesses: Witnesses,
        candidates: Sequence[ReapCandidate],
    ) -> None:
        self._context = context
        self._candidates = candidates
        self._dependencies = context.dependencies
        self._thresholds = context.settings.thresholds
        self._builder = builder
        self._registry = registry
        self._witnesses = witnesses
        self._matcher = context.dependencies.matcher
        self.refuted: set[str] = set()

    def list_again(self, terminal: Terminal, *, panes: bool, only: Collection[str] = ()) -> Listing | Unknown:
        """List the sessions of the socket once more. See ``list_again``.

        If one of ``only`` is in a group, all sessions are listed: the others of its group have any ids.
        """
        listing = list_again(self._context, terminal, self._registry.owner_id, panes=panes, only=only)
        if isinstance(listing, Unknown) or not any(one.grouped and one.key.session_id in only for one in listing.sessions):
            return listing
        return list_again(self._context, terminal, self._registry.owner_id, panes=panes)

    def guards(self, listing: Listing | Unknown, batch: Sequence[ReapCandidate]) -> dict[SessionKey, Guard] | Unknown:
        """Return a guard for each candidate that is selected again for the same reason, or what could not be read."""
        if isinstance(listing, Unknown):
            return listing
        server_pid = batch[0].key.server_pid
        if missed := missed_server(listing, server_pid, self._dependencies.processes):
            return missed
        present = {session.key: session for session in listing.sessions}
        ids, names = self._workspaces(batch, present), self._names(batch, present)
        sentinels = self._registry.identity.sentinels
        rows = self._dependencies.registry.look_up(ids, sentinels, every_spelling=True, sessions=names)
        if isinstance(rows, Unknown):
            return rows
        self._matcher = self._dependencies.matcher.with_record(rows.of)
        changed = self._context.state.doubt or change_of_identity(self._registry, rows)
        if changed:
            return Unknown(Source.REGISTRY, f"the registry changed during the sweep: {changed}")
        # The clock may have been set since the first look.
        reading = self._dependencies.clock.read()
        builder = self._builder.at(self._builder.clock.boot, reading, self._thresholds.longest)
        builder = builder.doubting(self._context.request.doubted())
        removed = [candidate.entry.workspace_id for candidate in batch if candidate.reason is REMOVED]
        if removed:
            builder = replace(builder, witnesses=self._witnesses.look_again(removed))
        guards = {}
        for candidate in batch:
            session = present.get(candidate.key)
            if session is None:
                _conclude_missing(candidate, listing)
            elif self._matcher.manages(session) != candidate.entry.workspace_id:
                # The session was renamed, or another reaper marked it, since the first listing.
                candidate.spare("unmanaged")
            elif candidate.busy_at is not None:
                candidate.spare("active")
            elif self._has_required_snapshot(candidate):
                accepted = self._judge_again(candidate, session, rows, builder, reading.wall)
                if accepted is not None and self._shows_own_options(candidate, session):
                    guards[candidate.key] = accepted
        return self._without_groups(listing, batch, guards)

    def _without_groups(
        self, listing: Listing, batch: Sequence[ReapCandidate], guards: Mapping[SessionKey, Guard]
    ) -> dict[SessionKey, Guard]:
        """Spare each session of a group in which another one stays: that one may have joined since the first listing."""
        shared = held_by_their_group([listing], {one.key for one in self._candidates if not one.is_concluded})
        for candidate in batch:
            if candidate.key in shared:
                candidate.spare(GROUP.name)
        return {key: guard for key, guard in guards.items() if key not in shared}

    def _workspaces(self, batch: Sequence[ReapCandidate], present: Mapping[SessionKey, Session]) -> Sequence[str]:
        """Return the workspaces of the batch, and those that the names of its sessions yield now."""
        ids = {candidate.entry.workspace_id for candidate in batch}
        named = (self._dependencies.matcher.named(present[one.key]) for one in batch if one.key in present)
        return sorted(ids.union(*named))

    def _names(self, batch: Sequence[ReapCandidate], present: Mapping[SessionKey, Session]) -> Sequence[str]:
        """Return the names of the sessions of the batch: since the first look, a row may have got one of them."""
        if not self._dependencies.matcher.records_sessions:
            return ()
        return sorted({present[one.key].name for one in batch if one.key in present})

    def _shows_own_options(self, candidate: ReapCandidate, session: Session) -> bool:
        """Spare the session, and report it, if tmux did not say which options it has itself: one of them may be hidden."""
        if self._context.state.own_options.knows(session):
            return True
        why = "tmux did not show the options of the session itself"
        self._context.add_unknown(Unknown(Source.SESSION, why, candidate.key.socket, candidate.entry.session))
        candidate.spare("unknown")
        return False

    def _has_required_snapshot(self, candidate: ReapCandidate) -> bool:
        """Report a missing snapshot, and spare the session unless its workspace was deleted: no user needs that one again."""
        if candidate.snapshot is None or self._dependencies.snapshots is None:
            return True
        session = candidate.entry.session
        self._context.add_unknown(Unknown(Source.SNAPSHOT, candidate.snapshot, candidate.key.socket, session))
        if candidate.reason is DELETED:
            return True
        candidate.spare("snapshot")
        return False

    def _judge_again(
        self, candidate: ReapCandidate, session: Session, rows: LookupResult, builder: FactsBuilder, now: float
    ) -> Guard | None:
        workspace_id = candidate.entry.workspace_id
        naming, row = self._matcher.naming(session, workspace_id), rows.found.get(workspace_id)
        named_row = together(rows.found[one] for one in naming.others if one in rows.found)
        facts = builder.facts(session, workspace_id, row, now, naming=naming, named_row=named_row)
        # Only the first listing has the panes in which the reaper may run.
        facts = replace(facts, home=facts.home or candidate.facts.home)
        judgement = judge(facts, self._thresholds)
        if judgement.verdict is Verdict.REAP and judgement.reason is candidate.reason:
            return candidate.reason.guard(facts, self._thresholds)
        self._forget_refuted(candidate.key, facts)
        self._note_objection(candidate.key, facts, judgement)
        candidate.spare(saved_by(candidate.reason, facts, judgement) or "workspace")
        return None

    def _forget_refuted(self, key: SessionKey, facts: Facts) -> None:
        """Forget the confirmations of an absence that this look refutes: it must be found again as often as at first."""
        confirmations = self._builder.confirmations
        if not facts.gone:
            self.refuted.add(facts.workspace_id)
            confirmations.set(key, Finding.ORPHAN, holds=False)
        if not facts.is_witnessed:
            confirmations.set(key, Finding.WITNESSED, holds=False)

    def _note_objection(self, key: SessionKey, facts: Facts, judgement: Judgement) -> None:
        """Note that its user cancelled the announcement after the verdict: by the next sweep, the client may have left."""
        if facts.is_objected_to:
            for cause in causes_to_undo(judgement):
                self._builder.confirmations.set(key, UNDONE[cause], holds=True)

    def spared_by(self, candidate: ReapCandidate, session: Session | None) -> str:
        """Return why the guard spared the session. The guard gives no reason, so the predicate is asked once more."""
        if session is None:
            return "gone"
        workspace_id = candidate.entry.workspace_id
        if self._matcher.manages(session) != workspace_id:
            return "unmanaged"
        was, now, naming = candidate.facts, self._dependencies.clock.now(), self._matcher.naming(session, workspace_id)
        facts = self._builder.facts(session, workspace_id, was.row, now, naming=naming, named_row=was.named_row)
        judgement = judge(facts, self._thresholds)
        self._note_objection(candidate.key, facts, judgement)
        why = saved_by(candidate.reason, facts, judgement)
        if why is None and session.grouped and not was.session.grouped:
            return GROUP.name
        # If the predicate finds no protection, the one that the guard found is over already.
        return why or "active"


def list_again(
    context: SweepContext, terminal: Terminal, owner_id: str, *, panes: bool, only: Collection[str] = ()
) -> Listing | Unknown:
    """List the sessions of the socket once more. Rows that cannot be read are reported like those of the first listing."""
    listing = terminal.observe(owner_id, panes=panes, only=only)
    if isinstance(listing, Unknown):
        return listing
    for row in listing.unreadable:
        context.add_unknown(row)
    return context.state.own_options.correct(listing, owner_id)


def _conclude_missing(candidate: ReapCandidate, listing: Listing) -> None:
    """Conclude a candidate that is not listed: it is gone, unless its row cannot be read."""
    if candidate.key.session_id in listing.unreadable_ids:
        candidate.spare("unknown")
    elif candidate.attempts:
        candidate.kill_result = KillResult.KILLED
    else:
        candidate.spare("gone")
