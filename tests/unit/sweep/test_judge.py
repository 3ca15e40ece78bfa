"""What a verdict takes from other sessions, from plugins and from announcements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.tools.builders import (
    DAY,
    DEFAULTS,
    HOUR,
    NOW,
    circumstances,
    ledger_state,
    listing,
    observation,
    row,
    rows,
    session,
    session_key,
)
from workspace_hookspecs import Candidate
from workspace_reaper.model.reap import Vetoes
from workspace_reaper.model.session import Session
from workspace_reaper.model.state import BreakerState, Confirmation, Finding, LedgerState
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy.facts import Thresholds
from workspace_reaper.sweep.judge import Judge, ask_vetoes
from workspace_reaper.sweep.other_plugins import NoPlugins
from workspace_reaper.sweep.report import SessionReport

LATER = replace(DEFAULTS, undo_window=HOUR)


def judging(
    *sessions: Session,
    found: Sequence[Workspace] = (),
    known: LedgerState | None = None,
    thresholds: Thresholds = DEFAULTS,
    budget: int = 50,
) -> Judge:
    builder = circumstances(known, recognised=["other", *(one.workspace_id for one in found)])
    judge = Judge(builder, thresholds, NOW)
    judge.judge_each(observation(listing(*sessions)), rows(*found))
    judge.hold_strangers()
    judge.hold_over_budget(budget)
    return judge


def proven(*numbers: int) -> LedgerState:
    """Orphans of workspaces that the registry has known, confirmed twice."""
    twice = Confirmation(NOW - HOUR, NOW - HOUR, 2)
    confirmations = {(session_key(number), Finding.ORPHAN): twice for number in numbers}
    return ledger_state(seen={f"w{number}": 1 for number in numbers}, confirmations=confirmations)


def archived(*numbers: int) -> list[Workspace]:
    return [row(number, archived=True) for number in numbers]


def verdicts(judge: Judge) -> list[tuple[Verdict, str | None]]:
    return [(entry.verdict, entry.protected_by) for entry in judge.entries]


def test_orphans_beyond_the_budget_are_held_and_others_do_not_use_it() -> None:
    sessions = [session(number) for number in (1, 2, 3)]
    judge = judging(*sessions, found=archived(2), known=proven(1, 3), budget=1)
    assert verdicts(judge) == [(Verdict.REAP, None), (Verdict.REAP, None), (Verdict.HOLD, "budget")]


@pytest.mark.parametrize(
    ("strangers", "others", "held"),
    [(2, 0, False), (3, 0, True), (3, 3, True), (3, 4, False), (4, 4, True)],
)
def test_i84_strangers_that_are_half_of_all_sessions_wait_for_an_operator(strangers: int, others: int, held: bool) -> None:
    numbers = range(1, strangers + others + 1)
    sessions = [session(number, idle=2 * DAY) for number in numbers]
    twice = Confirmation(NOW - HOUR, NOW - HOUR, 2)
    state = ledger_state(confirmations={(session_key(number), Finding.ORPHAN): twice for number in numbers[:strangers]})
    judge = judging(*sessions, found=[row(number) for number in numbers[strangers:]], known=state)
    assert verdicts(judge)[:strangers] == [(Verdict.HOLD, "unproven") if held else (Verdict.REAP, None)] * strangers
    assert all(entry.judgement and entry.judgement.held[0].may_be_approved is held for entry in judge.entries[:strangers])


def test_i84_a_stranger_that_an_operator_approved_is_reaped_and_the_others_wait() -> None:
    sessions, twice = [session(number, idle=2 * DAY) for number in (1, 2, 3)], Confirmation(NOW - HOUR, NOW - HOUR, 2)
    confirmations = {(one.key, Finding.ORPHAN): twice for one in sessions}
    known = ledger_state(confirmations=confirmations, breaker=BreakerState(approved=frozenset({session_key(2)})))
    assert verdicts(judging(*sessions, known=known)) == [
        (Verdict.HOLD, "unproven"),
        (Verdict.REAP, None),
        (Verdict.HOLD, "unproven"),
    ]


def test_a_group_with_a_session_that_stays_is_held() -> None:
    one, peer, other = session(1, grouped=True), session(2, grouped=True), session(3)
    judge = judging(one, peer, other, found=[*archived(1, 3), row(2)])
    judge.hold_groups([listing(one, peer, other)])
    assert verdicts(judge) == [(Verdict.HOLD, "group"), (Verdict.KEEP, None), (Verdict.REAP, None)]


class Guarding(NoPlugins):
    """Another plugin, which vetoes one session."""

    def __init__(self, session: str) -> None:
        self._session = session
        self.asked: list[Candidate] = []

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:
        self.asked.extend(candidates)
        held = {(one.socket, one.session): "veto of guard: busy" for one in candidates if one.session == self._session}
        return Vetoes(held, None, ("guard is slow",))


def test_a_vetoed_session_is_held_and_only_what_would_be_reaped_is_asked_about() -> None:
    plugins = Guarding("ws_w1")
    judge = judging(session(1), session(2), session(3), found=[*archived(1, 2), row(3)])
    assert ask_vetoes([judge], plugins) == ("guard is slow",)
    assert [(one.session, one.deadline) for one in plugins.asked] == [("ws_w1", None), ("ws_w2", None)]
    assert verdicts(judge) == [(Verdict.HOLD, "veto"), (Verdict.REAP, None), (Verdict.KEEP, None)]
    assert judge.entries[0].facts is not None
    assert judge.entries[0].facts.veto == "veto of guard: busy"
    assert len({entry.reap_id for entry in judge.entries[:2]}) == 2


def test_nobody_is_asked_where_nothing_would_be_reaped() -> None:
    plugins = Guarding("ws_w1")
    assert ask_vetoes([judging(session(1), found=[row(1)])], plugins) == ()
    assert plugins.asked == []


def test_plugins_are_asked_about_what_waits_with_its_deadline() -> None:
    plugins = Guarding("ws_w1")
    judge = judging(session(1), found=archived(1), thresholds=LATER)
    ask_vetoes([judge], plugins)
    assert plugins.asked[0].deadline is not None
    assert plugins.asked[0].deadline.timestamp() == NOW + HOUR
    assert judge.announce().made == {}, "a vetoed session is not announced"


def test_what_waits_is_announced_once_with_its_deadline() -> None:
    judge = judging(session(1), found=archived(1), thresholds=LATER)
    changes = judge.announce()
    assert (changes.made, changes.withdrawn) == ({session_key(1): NOW + HOUR}, set())
    assert (judge.entries[0].verdict, judge.entries[0].deadline) == (Verdict.HOLD, NOW + HOUR)
    known = ledger_state(confirmations={(session_key(1), Finding.ANNOUNCED): Confirmation(NOW - 60, NOW - 60)})
    again = judging(session(1), found=archived(1), thresholds=LATER, known=known)
    assert again.announce().made == {}
    assert again.entries[0].deadline == NOW - 60 + HOUR


@pytest.mark.parametrize("now", [row(1), row(1, archived=True, running=True)], ids=["no reason holds", "it is in use again"])
def test_an_announcement_is_withdrawn_when_the_session_no_longer_waits(now: Workspace) -> None:
    known = ledger_state(confirmations={(session_key(1), Finding.ANNOUNCED): Confirmation(NOW - 60, NOW - 60)})
    judge = judging(session(1), found=[now], thresholds=LATER, known=known)
    changes = judge.announce()
    assert (changes.made, changes.withdrawn) == ({}, {session_key(1)})
    assert judge.entries[0].deadline is None
    assert judge.entries[0].facts is not None
    assert judge.entries[0].facts.announced_at is None


def test_an_announcement_that_is_due_is_not_withdrawn() -> None:
    known = ledger_state(confirmations={(session_key(1), Finding.ANNOUNCED): Confirmation(NOW - 2 * HOUR, NOW - 2 * HOUR)})
    judge = judging(session(1), found=archived(1), thresholds=LATER, known=known)
    assert judge.announce().withdrawn == set()
    assert verdicts(judge) == [(Verdict.REAP, None)]


def test_an_announcement_that_the_user_cancels_is_withdrawn_and_not_made_again_for_this_cause() -> None:
    known = ledger_state(confirmations={(session_key(1), Finding.ANNOUNCED): Confirmation(NOW - 60, NOW - 60)})
    builder = circumstances(known, recognised=["w1"])
    judge = Judge(builder, LATER, NOW)
    judge.judge_each(observation(listing(session(1, kept=True))), rows(row(1, archived=True)))
    changes = judge.announce()
    assert (changes.made, changes.withdrawn) == ({}, {session_key(1)})
    assert set(builder.confirmations.of(session_key(1))) == {Finding.UNDONE_ARCHIVED}
    facts = judge.entries[0].facts
    assert facts is not None
    assert (facts.announced_at, facts.undone) == (None, {"archived"})
    again = judging(
        session(1), found=archived(1), thresholds=LATER, known=ledger_state(confirmations=builder.confirmations.changed)
    )
    assert again.announce().made == {}
    assert verdicts(again) == [(Verdict.HOLD, "undone")]


def test_a_cancelled_announcement_is_forgotten_once_its_cause_has_ended() -> None:
    cancelled = ledger_state(confirmations={(session_key(1), Finding.UNDONE_ARCHIVED): Confirmation(NOW - 60, NOW - 60)})
    builder = circumstances(cancelled, recognised=["w1"])
    judge = Judge(builder, LATER, NOW)
    judge.judge_each(observation(listing(session(1))), rows(row(1)))
    judge.announce()
    assert builder.confirmations.forgotten == {(session_key(1), Finding.UNDONE_ARCHIVED)}


@pytest.mark.parametrize(
    "found", [[], [row(1, deleted=True)], [row(1, unreadable="odd")]], ids=["no row", "marked deleted", "unreadable"]
)
def test_a_cancelled_announcement_is_kept_while_the_row_does_not_say_that_its_cause_has_ended(found: list[Workspace]) -> None:
    key = (session_key(1), Finding.UNDONE_ARCHIVED)
    builder = circumstances(ledger_state(confirmations={key: Confirmation(NOW - 60, NOW - 60)}), recognised=["w1"])
    judge = Judge(builder, LATER, NOW)
    judge.judge_each(observation(listing(session(1))), rows(*found))
    judge.announce()
    assert builder.confirmations.forgotten == set()


def test_a_session_that_could_not_be_read_is_not_announced() -> None:
    judge = judging(session(1), found=archived(1), thresholds=LATER)
    judge.entries.append(SessionReport(session_key(2).socket, "ws_w2", None, "w2", Verdict.HOLD))
    assert judge.announce().made == {session_key(1): NOW + HOUR}
