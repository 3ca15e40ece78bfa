"""Steps 3 and 4 of a sweep: judge each session by itself, then what depends on others: a budget, a group, an announcement, a
veto. What a plugin says is asked for; nothing else here touches anything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.state import UNDONE, Finding
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.rules import ORPHAN
from workspace_reaper.policy.verdict import Judgement, held_by_their_group, is_selected, is_to_be_announced, judge
from workspace_reaper.sweep.explain import released_when
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.report import SessionReport

__all__ = ["Announcements", "Judge"]


@dataclass(slots=True)
class Announcements:
    """Which announcements changed in this sweep: ``made`` (with the deadline, Unix seconds) and ``withdrawn``."""

    made: dict[SessionKey, float] = field(default_factory=dict)
    withdrawn: set[SessionKey] = field(default_factory=set)


class Judge:
    """``entries`` are the lines of the report, one for each managed session."""

    def __init__(self, scene: FactsBuilder, rules: Thresholds, now: float) -> None:
        self._scene = scene
        self._rules = rules
        self._now = now
        self.entries: list[SessionReport] = []

    def judge_each(self, seen: Observation, rows: LookupResult, budget: int) -> None:
        """Every session by itself; ``budget`` orphans may still go this hour."""
        for session, workspace_id in seen.sessions:
            facts = self._scene.facts(session, workspace_id, rows.found.get(workspace_id), self._now)
            judgement = judge(facts, self._rules)
            if judgement.verdict is Verdict.REAP and judgement.reason is ORPHAN:
                if not budget:
                    facts = replace(facts, over_budget=True)
                    judgement = judge(facts, self._rules)
                budget = max(0, budget - 1)
            self.entries.append(self._entry(session, workspace_id, facts, judgement))

    @property
    def condemned(self) -> list[SessionReport]:
        """Those that go in this sweep."""
        return [entry for entry in self.entries if entry.verdict is Verdict.REAP]

    @property
    def waiting(self) -> list[SessionReport]:
        """Those that go once they have been told in time."""
        return [entry for entry in self.entries if entry.judgement is not None and is_to_be_announced(entry.judgement)]

    def hold_groups(self, listings: Collection[Listing]) -> None:
        """A group goes as a whole, or not at all."""
        for some in (self.condemned, self.waiting):
            shared = held_by_their_group(listings, {entry.key for entry in some if entry.key})
            self._again((entry for entry in some if entry.key in shared), lambda facts: replace(facts, shared=True))

    def hold_vetoed(self, veto_of: Callable[[str, str], str | None]) -> None:
        """``veto_of`` a socket and a session's name: why a plugin wants it to stay, or None."""
        for entry in [*self.condemned, *self.waiting]:
            why = veto_of(entry.socket, entry.session)
            if why is not None:
                self._again([entry], lambda facts, why=why: replace(facts, veto=why))  # type: ignore[misc]

    def announce(self) -> Announcements:
        """Remember who is to be told, and who no longer."""
        found, sightings = Announcements(), self._scene.sightings
        if not self._rules.undo_window and not sightings.has_any(Finding.ANNOUNCED, *UNDONE.values()):
            return found
        waiting = {entry.key for entry in self.waiting}
        for entry in self.entries:
            if entry.key is None or entry.facts is None or entry.judgement is None:
                continue
            told = Finding.ANNOUNCED in sightings.of(entry.key)
            if entry.key in waiting and not told:
                found.made[entry.key] = self._now + self._rules.undo_window
                self._again([entry], lambda facts: replace(facts, announced_at=self._now))
            elif told and entry.key not in waiting and not is_selected(entry.judgement):
                found.withdrawn.add(entry.key)
                self._again([entry], lambda facts: replace(facts, announced_at=None))
            entry.deadline = entry.facts.deadline(self._rules) if entry.key in waiting else None
            sightings.set(
                entry.key, Finding.ANNOUNCED, holds=entry.key in waiting or (told and entry.key not in found.withdrawn)
            )
            going_on = {held.reason.reported_as for held in entry.judgement.held}
            for cause, sight in UNDONE.items():
                if cause not in going_on:
                    sightings.set(entry.key, sight, holds=False)
        return found

    def deadline_of(self, entry: SessionReport) -> float | None:
        """When it goes: None where it goes at once."""
        if entry.verdict is Verdict.REAP or entry.facts is None:
            return None
        return entry.facts.deadline(self._rules) or self._now + self._rules.undo_window

    def _again(self, entries: Iterable[SessionReport], change: Callable[[Facts], Facts]) -> None:
        for entry in list(entries):
            if entry.facts is None:
                continue
            entry.facts = change(entry.facts)
            self._decide(entry, entry.facts, judge(entry.facts, self._rules))

    def _entry(self, session: Session, workspace_id: str, facts: Facts, judgement: Judgement) -> SessionReport:
        entry = SessionReport(
            socket=session.key.socket,
            session=session.name,
            session_id=session.key.session_id,
            workspace_id=workspace_id,
            verdict=judgement.verdict,
            key=session.key,
            facts=facts,
        )
        self._decide(entry, facts, judgement)
        return entry

    def _decide(self, entry: SessionReport, facts: Facts, judgement: Judgement) -> None:
        by = judgement.protected_by
        entry.judgement = judgement
        entry.verdict = judgement.verdict
        entry.reason = judgement.reason.reported_as if judgement.reason else None
        entry.protected_by = by[0].name if by else None
        entry.released_when = released_when(judgement, facts, self._rules, self._scene.breaker) if by else None
