"""The policy against a second opinion, over random sessions whose times lie close around every threshold."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.tools.builders import property_settings
from tests.tools.oracle import opinion, passes, terms
from tests.tools.reasons import REASONS
from workspace_reaper.model.events import WorkspaceEvent as Said  # a name that pytest does not take for a test
from workspace_reaper.model.session import Owner, Pane, Session, SessionKey, Window
from workspace_reaper.model.state import ClockSkew
from workspace_reaper.model.verdict import IdleClock, Verdict
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.idle import AgeClock
from workspace_reaper.policy.rules import RULES, Rule
from workspace_reaper.policy.verdict import judge
from workspace_reaper.policy.witness import Presence, Witness

pytestmark = pytest.mark.once

NOW = 100
T = TypeVar("T")


class Dice:
    """Choices read off one string of bytes, of which each decides one: far quicker to draw than so many values are. It shrinks
    towards the first option of each choice; when the string is used up, that is taken."""

    def __init__(self, thrown: bytes) -> None:
        self._thrown = iter(thrown)

    def of(self, options: Sequence[T]) -> T:
        return options[next(self._thrown, 0) % len(options)]

    def rarely(self) -> bool:
        return self.of((False,) * 15 + (True,))

    def often(self) -> bool:
        return not self.of((False,) * 3 + (True,))

    def either(self) -> bool:
        return self.of((False, True))

    def limit(self) -> int:
        return self.of(range(7))

    def moment(self) -> int:
        return NOW - self.of((9, 8, 7, 6, 5, 4, 3, 2, 1, 0, -1))

    def early(self) -> int:
        """Most sessions are quiet, or hardly any would ever die."""
        return NOW - self.of((9, 9, 9, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0, -1))

    def maybe(self) -> float | None:
        return float(self.moment()) if self.either() else None


def some_session(dice: Dice) -> Session:
    panes = [Pane("%1", "@1", 7, dice.either(), dice.of((None, dice.moment()))) for _ in range(dice.of((0, 1, 1, 2, 2, 3, 4)))]
    return Session(
        key=SessionKey("/s", 1, 1, "$1", dice.early()),
        name="ws_w1",
        activity=dice.early(),
        last_attached=dice.of((None, dice.early())),
        attached=dice.of((0,) * 15 + (1, 2)),
        has_client=dice.rarely(),
        group_has_client=dice.rarely(),
        grouped=dice.either(),
        kept=dice.rarely(),
        all_panes_dead=dice.either(),
        owner=dice.of(tuple(Owner)),
        version="3.3a",
        windows=tuple(Window("@1", dice.early(), dice.either()) for _ in range(dice.of((1, 2)))),
        panes=tuple(panes),
    )


def some_row(dice: Dice) -> Workspace:
    return Workspace(
        "w1",
        archived=dice.either(),
        pinned=dice.rarely(),
        running=dice.rarely(),
        deleted=dice.rarely(),
        worktree_deleted=not dice.often(),
        unreadable=dice.of((None,) * 15 + ("archived is 'maybe'",)),
    )


def some_times(dice: Dice) -> AgeClock:
    """Hardly ever more than one skew, and mostly none. They follow each other, and none is in the future."""
    ends = sorted(dice.moment() for _ in range(dice.of((0, 0, 0, 0, 1, 2)))) if dice.either() else []
    clocks = frozenset(clock for clock in IdleClock if not dice.rarely()) or frozenset({IdleClock.OUTPUT})
    return AgeClock(
        skews=tuple(ClockSkew(float(min(end, NOW)), float(dice.of((1, 2, 4, 7, 1000)))) for end in ends),
        stepped=dice.of((0.0,) * 15 + (8.0, -8.0)),
        counted=clocks,
    )


def some_facts(dice: Dice) -> Facts:
    renamed = dice.rarely()
    return Facts(
        session=some_session(dice),
        workspace_id="w1",
        row=some_row(dice) if dice.often() else None,
        now=dice.of((NOW, NOW + 0.5)),
        reported=dice.of((None, None, None, Said.DELETED, Said.ARCHIVED, Said.REMOVED, Said.VANISHED, Said.DOUBTED)),
        detached_at=dice.maybe() if dice.rarely() else None,
        archived_since=dice.maybe(),
        dead_since=dice.maybe(),
        confirmations=dice.of((4, 3, 2, 1, 0)),
        proven=dice.either(),
        knows_other_sessions=dice.often(),
        latched=dice.rarely(),
        approved=dice.either(),
        over_budget=dice.rarely(),
        home=dice.rarely(),
        veto=dice.of((None,) * 15 + ("another plugin",)),
        busy_at=dice.maybe() if dice.rarely() else None,
        shared=dice.rarely(),
        announced_at=dice.maybe(),
        age_clock=some_times(dice),
        retry_at=dice.maybe() if dice.rarely() else None,
        renamed=renamed,
        named_row=some_row(dice) if (renamed or dice.rarely()) and dice.either() else None,
        undone=dice.of((frozenset(),) * 13 + (frozenset({"archived"}), frozenset({"idle"}), frozenset({"archived", "idle"}))),
        witness=dice.of((None, None, None, *(Witness(presence, "it says so") for presence in Presence))),
        witnessed=dice.of((0, 1, 2)),
        doubtful=dice.rarely(),
    )


def some_rules(dice: Dice) -> Thresholds:
    return Thresholds(
        idle_ttl=dice.limit(),
        min_age=dice.limit(),
        activity_grace=dice.limit(),
        archived_ttl=dice.limit(),
        stranger_ttl=dice.limit(),
        dead_ttl=dice.limit(),
        confirmation_gap=dice.limit(),
        orphan_confirmations=dice.of((1, 2, 3, 4)),
        undo_window=dice.of((0, 0, 0, 1, 4)),
    )


# A fixed size: what varies is what was thrown, not how often.
THROWS = st.binary(min_size=120, max_size=120).map(Dice)


@property_settings(2000)
@given(THROWS)
def test_the_policy_and_the_oracle_agree(dice: Dice) -> None:
    facts, rules = some_facts(dice), some_rules(dice)
    judgement, second = judge(facts, rules), opinion(facts, rules)
    event(f"{second.verdict} {second.reason}")
    assert judgement.verdict.value == second.verdict
    assert (judgement.reason.name if judgement.reason else None) == second.reason
    assert {by.name for by in judgement.protected_by} == second.protected_by
    assert [(held.reason.name, {by.name for by in held.by}) for held in judgement.held] == list(second.holding)


def test_random_sessions_are_reaped_for_each_reason() -> None:
    """Or the comparison would say nothing of a reason whose circumstances are never drawn."""
    throws = random.Random(0)
    decided = [opinion(some_facts(dice), some_rules(dice)) for dice in (Dice(throws.randbytes(120)) for _ in range(2000))]
    assert {one.reason for one in decided if one.verdict == "reap"} == {reason.name for reason in REASONS}
    assert ("hold", None) in {(one.verdict, one.reason) for one in decided}, "an odd row, and no reason"


@property_settings(500)
@given(st.sampled_from(RULES), THROWS)
def test_the_guard_and_the_oracle_agree(reason: Rule, dice: Dice) -> None:
    facts, rules = some_facts(dice), some_rules(dice)
    rules = replace(rules, idle_ttl=max(1, rules.idle_ttl))
    assert reason.guard(facts, rules) == terms(reason.name, facts, rules)


def meanwhile(dice: Dice, before: Session) -> Session:
    """The session a moment later, at the kill. What tmux's clocks tell of the moment is never before it; an attach moves the
    clock of input too."""
    came = dice.rarely()
    return replace(
        before,
        key=SessionKey("/s", 1, 1, dice.of(("$1",) * 15 + ("$2",)), before.key.created),
        activity=NOW + 1 if came or dice.rarely() else before.activity,
        last_attached=NOW + 1 if came else before.last_attached,
        attached=dice.of((0,) * 15 + (1,)),
        has_client=dice.rarely(),
        group_has_client=dice.rarely(),
        kept=dice.rarely(),
        all_panes_dead=before.all_panes_dead and not dice.rarely(),
        windows=tuple(replace(window, activity=NOW + 1) if dice.rarely() else window for window in before.windows),
    )


@property_settings(2000)
@given(THROWS)
def test_what_the_guard_lets_die_the_policy_condemns(dice: Dice) -> None:
    """The guard is the last to ask. It must see all that came between the recheck and the kill, and stop nothing else."""
    rules, facts = replace(some_rules(dice), idle_ttl=dice.of((1, 2, 3))), some_facts(dice)
    judgement = judge(facts, rules)
    if judgement.verdict is not Verdict.REAP or judgement.reason is None:
        return
    event(judgement.reason.name)
    asked = judgement.reason.guard(facts, rules)
    assert passes(asked, facts.session)
    later = meanwhile(dice, facts.session)
    if passes(asked, later):
        assert later.key == facts.session.key
        again = judge(replace(facts, session=later), rules)
        assert judgement.reason in [held.reason for held in again.held if not held.by]
