"""The objects of the table: their texts, the guard, and what saves a session that was selected."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tests.tools.builders import DAY, DEFAULTS, HOUR, NOW, facts, pane, row, session
from tests.tools.reasons import REASONS, Reason
from workspace_reaper.model.events import WorkspaceEvent as Said
from workspace_reaper.model.state import UNDONE, BreakerState
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy import name_protections, protections, rules
from workspace_reaper.policy.facts import Facts
from workspace_reaper.policy.protection import Protection
from workspace_reaper.policy.protections import ALWAYS
from workspace_reaper.policy.rules import RULES, Rule
from workspace_reaper.policy.verdict import judge, saved_by, still_selected
from workspace_reaper.policy.witness import Presence, Witness

ALL = [*dict.fromkeys([*ALWAYS, *(one for rule in RULES for one in rule.protections), protections.RETRYING])]
DEAD = {"all_panes_dead": True, "panes": (pane(dead=True, dead_for=700),)}


def test_every_rule_and_protection_has_a_name_of_its_own_and_texts_for_the_documentation() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert len({one.name for one in ALL}) == len(ALL)
    assert all(rule.holds_when and rule.confirmations and repr(rule) == rule.name for rule in RULES)
    assert all(one.meaning and repr(one) == one.name for one in ALL)
    assert all(rule.row_flag in {None, *(field.name for field in fields(Workspace))} for rule in RULES)


def test_i67_what_holds_a_renamed_session_says_how_to_end_it_by_hand() -> None:
    orphan, archived = facts(renamed=True), facts(row(archived=True), renamed=True, named_row=row(2))
    by_hand = "to end it by hand: tmux -S /run/tmux-0/workspaces kill-session -t '$1'"
    text = name_protections.RENAMED.because(rules.ORPHAN.case(orphan, DEFAULTS))
    assert text == f"it was renamed, and belongs to the workspace w1; {by_hand}"
    assert "another one that the registry still has" in name_protections.RENAMED.because(
        rules.ARCHIVED.case(archived, DEFAULTS)
    )


def test_i84_many_strangers_are_held_with_what_releases_them() -> None:
    case = rules.ORPHAN.case(facts(many_strangers=True, knows_other_sessions=True), DEFAULTS)
    assert "they may be those of another database" in protections.UNPROVEN.because(case)
    assert protections.UNPROVEN.released_when is not None
    assert protections.UNPROVEN.released_when(case, BreakerState()).endswith("or an operator runs 'sweep --approve'")


def test_each_reason_that_undo_protects_from_has_a_finding_that_remembers_it() -> None:
    """Without one, ``undo`` would be accepted, and the session reaped all the same."""
    assert set(UNDONE) == {rule.reported_as for rule in RULES if protections.UNDONE in rule.protections}


def test_no_rule_compares_with_an_age_beyond_the_longest() -> None:
    """Steps of the wall clock are remembered as long as that."""
    for case in (facts(row()), facts(), facts(reported=Said.ARCHIVED, row=row(archived=True))):
        assert all(rule.idle_time(case, DEFAULTS) <= DEFAULTS.longest for rule in RULES)


EXPLAINED = {
    "no hook": (
        rules.DELETED,
        facts(row()),
        "no hook of the host reported the workspace as deleted, and the registry has a row",
    ),
    "a hook": (rules.DELETED, facts(reported=Said.DELETED), "a hook of the host reported the workspace as deleted, and the"),
    "seen to go": (
        rules.REMOVED,
        facts(reported=Said.REMOVED),
        "the daemon saw the row go, the registry has no row for the workspace, and nothing is known of its directory",
    ),
    "a witness": (
        rules.REMOVED,
        facts(witness=Witness(Presence.GONE, "its directory /w went together with its row")),
        "the daemon did not see the row go, the registry has no row for the workspace, and its directory /w went together",
    ),
    "archived by hook": (
        rules.ARCHIVED_BY_HOOK,
        facts(row(archived=True), reported=Said.ARCHIVED),
        "a hook of the host reported the workspace as archived and the row is marked archived",
    ),
    "a flag": (rules.WORKTREE_DELETED, facts(row(worktree_deleted=True)), "the row is marked worktree deleted"),
    "no flag": (rules.ARCHIVED, facts(row()), "the row is not marked archived"),
    "a flag without a row": (rules.ARCHIVED, facts(), "the row is not marked archived"),
    "no row": (rules.ORPHAN, facts(), "the registry has no row for the workspace"),
    "a row that is flagged": (rules.ORPHAN, facts(row(deleted=True)), "the row is marked deleted"),
    "idle": (rules.IDLE, facts(row(), session=session(idle=49 * HOUR)), "it has been idle for 49h, and idle_ttl is 48h"),
    "idle, without a row": (rules.IDLE, facts(), "and idle_ttl is 48h (the rule applies only to a workspace with a row)"),
    "idle, with a row that is flagged": (
        rules.IDLE,
        facts(row(deleted=True)),
        "(the rule applies only to a workspace with a row that is not marked deleted)",
    ),
    "dead": (rules.DEAD, facts(row(), session=session(**DEAD)), "its last pane died 700 s ago, and dead_ttl is 600 s"),
    "dead, not known since when": (rules.DEAD, facts(row(), session=session(all_panes_dead=True)), "but not known since when"),
    "alive, without a row": (rules.DEAD, facts(), "it has a living pane (the rule applies only to a workspace with a row)"),
}


@pytest.mark.parametrize(("rule", "of", "text"), EXPLAINED.values(), ids=EXPLAINED.keys())
def test_a_rule_explains_why_it_holds_or_not(rule: Rule, of: Facts, text: str) -> None:
    assert text in rule.explain(of, DEFAULTS)


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
def test_a_rule_explains_each_of_its_examples(reason: Reason) -> None:
    rule = next(rule for rule in RULES if rule.name == reason.name)
    assert all(rule.explain(of, DEFAULTS) for of, _decision in reason.examples.values())


def because(protection: Protection, of: Facts, **limits: float) -> str:
    return protection.because(rules.ORPHAN.case(of, replace(DEFAULTS, **limits)))


def test_a_protection_explains_itself_with_the_values_of_the_session() -> None:
    of = facts(session=session(age=45, idle=7), failures=4, retry_at=NOW + 60.0, veto="veto of guard: deploying")
    assert because(protections.HOME, of) == "the reaper itself runs in it"
    assert because(protections.VETO, of) == "veto of guard: deploying"
    assert because(protections.YOUNG, of) == "it was created 45 s ago, and min_age is 120 s"
    assert because(protections.ACTIVE, of) == "it has been idle for 7 s, and activity_grace is 60 s"
    assert "its kill failed 4 times in a row, and the next attempt is at 2026-09-21T" in because(protections.RETRYING, of)
    told = because(protections.ANNOUNCED, replace(of, announced_at=NOW - 60.0), undo_window=600)
    assert told == because(protections.ANNOUNCED, replace(of, now=NOW - 60.0), undo_window=600)
    assert because(protections.UNCONFIRMED, replace(of, proven=True), orphan_confirmations=1).endswith(
        "full sweeps that have found no row: 0 of 1"
    )
    assert because(protections.UNCONFIRMED, replace(of, row=row(deleted=True))).endswith(
        "full sweeps that have found the row marked deleted: 0 of 2"
    )


def test_an_unproven_session_is_explained_by_what_the_registry_knows() -> None:
    assert "is not known to have ever had a row for the workspace (this is registry generation 3)" in because(
        protections.UNPROVEN, facts(generation=3)
    )
    assert "(generation 2; this is registry generation 3)" in because(
        protections.UNPROVEN, facts(generation=3, known_in_generation=2, knows_other_sessions=True)
    )
    assert "before the session was marked, and the host assigns ids again" in because(
        protections.UNPROVEN, facts(generation=3, known_in_generation=3)
    )


def test_only_what_rests_on_an_absence_says_when_it_ends() -> None:
    breaker, case = BreakerState(latched=True, since=NOW), rules.ORPHAN.case(facts(), DEFAULTS)
    told = {one.name: one.released_when(case, breaker) for one in ALL if one.released_when}
    assert set(told) == {"unproven", "doubtful", "breaker", "unconfirmed", "budget"}
    assert all(told.values())
    assert protections.BREAKER.released_when is not None
    assert protections.BREAKER.released_when(case, BreakerState()) == ""


# What saves a session that was selected, at the recheck and after the kill.

SELECTED = {
    "it still holds": (rules.IDLE, facts(row(), session=session(idle=49 * HOUR)), None),
    "attached": (rules.ARCHIVED, facts(row(archived=True), session=session(attached=1)), "attached"),
    "the first protection of the table": (
        rules.ARCHIVED,
        facts(row(archived=True, running=True), session=session(attached=1, kept=True)),
        "kept",
    ),
    "no longer archived": (rules.ARCHIVED, facts(row()), "workspace"),
    "the row is back": (rules.ORPHAN, facts(row()), "workspace"),
    "the row of an idle session is gone": (rules.IDLE, facts(), "workspace"),
    "no longer idle": (rules.IDLE, facts(row()), "active"),
    "no longer idle, because a client came": (rules.IDLE, facts(row(), session=session(attached=1)), "attached"),
    "a pane was revived": (rules.DEAD, facts(row()), "active"),
    "it holds for another reason": (rules.IDLE, facts(row(archived=True)), "active"),
    "it holds for an earlier reason": (rules.ARCHIVED, facts(reported=Said.DELETED), "workspace"),
}


@pytest.mark.parametrize(("rule", "of", "saviour"), SELECTED.values(), ids=SELECTED.keys())
def test_what_saves_a_session_that_was_selected(rule: Rule, of: Facts, saviour: str | None) -> None:
    assert saved_by(rule, of, judge(of, DEFAULTS)) == saviour


@pytest.mark.parametrize("reason", ["deleted", "orphan", "archived", "worktree-deleted", "idle", "dead"])
@pytest.mark.parametrize(
    ("there", "selects"),
    [
        pytest.param(None, {"deleted", "orphan"}, id="no row"),
        pytest.param(row(deleted=True, archived=True, worktree_deleted=True), {"deleted", "orphan"}, id="flagged"),
        pytest.param(row(), set(), id="there"),
        pytest.param(row(archived=True), {"archived"}, id="archived"),
        pytest.param(
            row(worktree_deleted=True),
            {"deleted", "orphan", "archived", "worktree-deleted", "idle", "dead"},
            id="worktree deleted",
        ),
    ],
)
def test_after_a_crash_the_row_alone_decides_what_is_ended(reason: str, there: Workspace | None, selects: set[str]) -> None:
    assert still_selected(reason, there) is (reason in selects)


def test_the_guard_asks_for_clients_exactly_where_a_client_protects() -> None:
    for rule in RULES:
        asked = rule.guard(facts(archived_since=float(NOW - DAY)), DEFAULTS)
        assert asked.unattached is (asked.activity is not None) is (protections.ATTACHED in rule.protections)


def test_what_holds_a_session_that_two_rows_name_says_whose_they_are() -> None:
    case = rules.ARCHIVED.case(facts(row(archived=True), named_row=row(2)), DEFAULTS)
    assert name_protections.CLAIMED.holds(case)
    text = name_protections.CLAIMED.because(case)
    assert text.startswith("a row of w2 names it as well as that of w1: correct the record; to end it by hand: tmux -S ")
    assert not name_protections.CLAIMED.holds(rules.IDLE.case(facts(row(), named_row=row(2)), DEFAULTS)), "both are idle"
