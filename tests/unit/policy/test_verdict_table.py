"""The verdict table itself: each reason, each cell of what protects from it, each threshold on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tools import reasons
from tests.tools.builders import DAY, DEFAULTS, HOUR, NOW, facts, idle_for, of_session, pane, row, session, session_key
from tests.tools.reasons import REASONS, Reason, active, stranger
from workspace_reaper.model.events import WorkspaceEvent as Said  # a name that pytest does not take for a test
from workspace_reaper.model.session import Window
from workspace_reaper.model.state import UNDONE
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy import name_protections, protections, rules
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.idle import AgeClock
from workspace_reaper.policy.protection import Protection
from workspace_reaper.policy.protections import ALWAYS
from workspace_reaper.policy.rules import RULES, Rule
from workspace_reaper.policy.verdict import Judgement, is_selected, is_to_be_announced, judge

ANNOUNCED = [rule for rule in RULES if protections.ANNOUNCED in rule.protections]
BY_NAME: dict[str, Protection] = {one.name: one for rule in RULES for one in (*ALWAYS, *rule.protections, protections.RETRYING)}

DELETED = rules.DELETED
BY_HOOK = rules.ARCHIVED_BY_HOOK
WORKTREE = rules.WORKTREE_DELETED
ORPHAN = rules.ORPHAN
ARCHIVED = rules.ARCHIVED
IDLE = rules.IDLE
DEAD = rules.DEAD

RULE = {rule.name: rule for rule in RULES}
EXPECTED = {RULE[reason.name]: reason for reason in REASONS}
PROTECTS = {rule: f"{reasons.ALWAYS} {reason.protected_by}".split() for rule, reason in EXPECTED.items()}
CONDEMNED = {rule: reason.alone for rule, reason in EXPECTED.items()}
GONE_DEAD = CONDEMNED[DEAD].session


def decided(facts: Facts, rules: Thresholds = DEFAULTS) -> tuple[Verdict, Rule | None]:
    judgement = judge(facts, rules)
    return judgement.verdict, judgement.reason


def protecting(judgement: Judgement, reason: Rule) -> tuple[Protection, ...]:
    """What protects from this reason, also where an earlier one holds too."""
    return next(held.by for held in judgement.held if held.reason is reason)


def of_row(before: Facts, **changes: Any) -> Facts:
    """A row that is gone for the table may still be there, flagged deleted, and say all else that it likes."""
    there = row(deleted=True) if before.row is None else before.row
    return replace(before, row=replace(there, **changes))


def young(before: Facts) -> Facts:
    return of_session(before, key=session_key(age=119))


def unconfirmed(before: Facts) -> Facts:
    """No full sweep has found it so far. What the daemon saw go needs none, so there it is a witness."""
    return replace(reasons.WITNESSED, witnessed=0) if before.reported is Said.REMOVED else replace(before, confirmations=0)


CIRCUMSTANCES = {
    "kept": lambda before: of_session(before, kept=True),
    "veto": lambda before: replace(before, veto="another plugin"),
    "home": lambda before: replace(before, home=True),
    "unknown": lambda before: of_row(before, unreadable="archived is 'maybe'"),
    "renamed": lambda before: replace(before, renamed=True, named_row=row(2)),
    "claimed": lambda before: replace(before, named_row=row(2, deleted=before.row is not None and not before.row.deleted)),
    "attached": lambda before: of_session(before, attached=1, has_client=True),
    "running": lambda before: of_row(before, running=True),
    "pinned": lambda before: of_row(before, pinned=True),
    "young": young,
    "active": active,
    "unproven": lambda before: replace(before, proven=False),
    "breaker": lambda before: replace(before, latched=True),
    "unconfirmed": unconfirmed,
    "budget": lambda before: replace(before, over_budget=True),
    "group": lambda before: replace(before, shared=True),
    "undone": lambda before: replace(before, undone=frozenset(UNDONE)),
    "announced": lambda before: before,
    "clock": lambda before: replace(before, age_clock=AgeClock(stepped=28_800.0)),
    "retrying": lambda before: replace(before, failures=3, retry_at=NOW + 1),
}

CELLS = [
    pytest.param(reason, name, name in [*PROTECTS[reason], "retrying"], id=f"{reason.name}-{name}")
    for reason in RULES
    for name in CIRCUMSTANCES
    if name not in EXPECTED[reason].excludes.split()  # then it does not even hold: see the boundaries
]


@pytest.mark.parametrize("reason", RULES, ids=lambda reason: reason.name)
def test_each_reason_condemns_where_nothing_protects(reason: Rule) -> None:
    judgement = judge(CONDEMNED[reason], DEFAULTS)
    assert (judgement.verdict, judgement.reason, judgement.protected_by) == (Verdict.REAP, reason, ())
    assert protecting(judgement, reason) == ()


@pytest.mark.parametrize(("reason", "name", "protects"), CELLS)
def test_each_cell_of_the_table(reason: Rule, name: str, protects: bool) -> None:
    rules = replace(DEFAULTS, undo_window=600) if name == "announced" else DEFAULTS
    of = CIRCUMSTANCES[name](CONDEMNED[reason])
    judgement = judge(of, rules)
    if protects:
        first = next(rule for rule in RULES if EXPECTED[rule].holding(of, rules) is not None)
        assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, first)
        assert protecting(judgement, reason) == (BY_NAME[name],)
    else:
        assert (judgement.verdict, judgement.reason) == (Verdict.REAP, reason)


def test_the_published_table_is_this_one() -> None:
    assert [reason.name for reason in REASONS] == [rule.name for rule in RULES]
    for reason in RULES:
        assert {check.name for check in ALWAYS + reason.protections} == set(PROTECTS[reason])


@pytest.mark.parametrize(
    "client", [{"attached": 1}, {"has_client": True}, {"group_has_client": True}], ids=["watching", "suspended", "group peer"]
)
@pytest.mark.parametrize("reason", [reason for reason in RULES if reason is not DELETED], ids=lambda reason: reason.name)
def test_a_client_of_any_kind_counts_as_attached(reason: Rule, client: dict[str, object]) -> None:
    judgement = judge(of_session(CONDEMNED[reason], **client), DEFAULTS)
    assert judgement.verdict is Verdict.HOLD
    assert protecting(judgement, reason) == (protections.ATTACHED,)


@pytest.mark.parametrize("reason", RULES, ids=lambda reason: reason.name)
def test_i67_what_the_host_says_of_a_workspace_applies_to_its_renamed_session(reason: Rule) -> None:
    renamed = replace(CONDEMNED[reason], renamed=True)
    reaped = reason.name in {"deleted", "archived by hook", "archived", "worktree-deleted"}
    assert (judge(renamed, DEFAULTS).verdict is Verdict.REAP) is reaped


def test_i83_a_witness_applies_to_a_renamed_session_and_an_absence_alone_does_not() -> None:
    witnessed, seen_to_go = (replace(one, renamed=True) for one in (reasons.WITNESSED, reasons.SEEN_TO_GO))
    assert judge(witnessed, DEFAULTS).reason is rules.REMOVED
    assert judge(witnessed, DEFAULTS).verdict is Verdict.REAP
    assert protecting(judge(seen_to_go, DEFAULTS), rules.REMOVED) == (name_protections.RENAMED,)
    assert protecting(judge(replace(witnessed, named_row=row(2)), DEFAULTS), rules.REMOVED) == (name_protections.RENAMED,)


@pytest.mark.parametrize(
    ("reason", "named_row", "reaped"),
    [
        (rules.DELETED, row(2), False),
        (rules.DELETED, row(2, deleted=True), True),
        (rules.ARCHIVED, row(2), False),
        (rules.ARCHIVED, row(2, archived=True), True),
        (rules.ARCHIVED, row(2, archived=True, deleted=True), False),
        (rules.ARCHIVED_BY_HOOK, row(2), False),
        (rules.ARCHIVED_BY_HOOK, row(2, archived=True), True),
        (rules.WORKTREE_DELETED, row(2, worktree_deleted=True), True),
        (rules.WORKTREE_DELETED, row(2), False),
    ],
)
def test_i67_a_session_with_the_name_of_another_workspace_is_reaped_for_what_holds_for_both(
    reason: Rule, named_row: Workspace, reaped: bool
) -> None:
    renamed = replace(CONDEMNED[reason], renamed=True, named_row=named_row)
    judgement = judge(renamed, DEFAULTS)
    assert (judgement.verdict is Verdict.REAP) is reaped
    assert protecting(judgement, reason) == (() if reaped else (name_protections.RENAMED,))


@pytest.mark.parametrize("reason", [rules.ARCHIVED, rules.ARCHIVED_BY_HOOK], ids=lambda reason: reason.name)
def test_i67_i92_a_session_with_the_name_of_a_workspace_that_runs_is_held(reason: Rule) -> None:
    renamed = replace(CONDEMNED[reason], renamed=True, named_row=row(2, archived=True, running=True))
    assert protecting(judge(renamed, DEFAULTS), reason) == (protections.RUNNING,)


@pytest.mark.parametrize("name", ["kept", "veto", "home"])
def test_what_always_spares_does_so_when_every_reason_holds(name: str) -> None:
    everything = facts(
        row(archived=True, worktree_deleted=True),
        reported=Said.ARCHIVED,
        session=replace(GONE_DEAD, windows=(Window("@1", NOW - 49 * HOUR, linked=False),)),
    )
    of = CIRCUMSTANCES[name](everything)
    judgement = judge(of, DEFAULTS)
    assert judgement.verdict is Verdict.HOLD
    assert {BY_HOOK, WORKTREE, ARCHIVED, IDLE, DEAD} <= {held.reason for held in judgement.held}
    assert [held.reason for held in judgement.held] == [
        rule for rule in RULES if EXPECTED[rule].holding(of, DEFAULTS) is not None
    ]
    assert all(BY_NAME[name] in held.by for held in judgement.held)


def test_all_that_protects_is_told() -> None:
    orphan = facts(session=session(age=60, idle=5, attached=2, kept=True), latched=True, over_budget=True)
    judgement = judge(orphan, DEFAULTS)
    assert [by.name for by in judgement.protected_by] == [
        "kept",
        "attached",
        "young",
        "active",
        "unproven",
        "breaker",
        "unconfirmed",
        "budget",
    ]


BOUNDARIES = {f"{reason.name}: {name}": example for reason in REASONS for name, example in reason.examples.items()}


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
def test_each_reason_has_examples_on_both_sides(reason: Reason) -> None:
    decisions = {expected for _of, expected in reason.examples.values()}
    assert f"reap {reason.name}" in decisions
    assert decisions - {f"reap {reason.name}"}


@pytest.mark.parametrize(("of", "expected"), BOUNDARIES.values(), ids=BOUNDARIES.keys())
def test_each_threshold_on_both_sides(of: Facts, expected: str) -> None:
    verdict, reason = decided(of)
    assert " ".join([verdict.value, *([reason.name] if reason else [])]) == expected


@pytest.mark.parametrize(
    ("needed", "proven", "confirmations", "verdict"),
    [
        pytest.param(1, True, 0, Verdict.HOLD, id="one needed, none there"),
        pytest.param(1, True, 1, Verdict.REAP, id="one needed, one there"),
        pytest.param(1, False, 1, Verdict.HOLD, id="one needed, a stranger's takes two"),
        pytest.param(1, False, 2, Verdict.REAP, id="one needed, a stranger has two"),
        pytest.param(3, True, 2, Verdict.HOLD, id="three needed, two there"),
        pytest.param(3, True, 3, Verdict.REAP, id="three needed, three there"),
        pytest.param(3, False, 2, Verdict.HOLD, id="three needed, a stranger has two"),
        pytest.param(3, False, 3, Verdict.REAP, id="three needed, a stranger has three"),
    ],
)
def test_the_number_of_confirmations_is_a_setting(needed: int, proven: bool, confirmations: int, verdict: Verdict) -> None:
    of = stranger(13 * HOUR, proven=proven, confirmations=confirmations)
    assert decided(of, replace(DEFAULTS, orphan_confirmations=needed)) == (verdict, ORPHAN)


def test_a_proven_orphan_needs_neither_other_sessions_nor_the_strangers_idleness() -> None:
    assert decided(idle_for(60, replace(CONDEMNED[ORPHAN], knows_other_sessions=False))) == (Verdict.REAP, ORPHAN)


@pytest.mark.parametrize(
    ("latched", "approved", "verdict"),
    [(True, False, Verdict.HOLD), (True, True, Verdict.REAP), (False, True, Verdict.REAP), (False, False, Verdict.REAP)],
    ids=["latched", "latched, approved", "closed, approved", "closed"],
)
def test_the_breaker_holds_all_but_what_was_approved(latched: bool, approved: bool, verdict: Verdict) -> None:
    assert decided(replace(CONDEMNED[ORPHAN], latched=latched, approved=approved)) == (verdict, ORPHAN)


@pytest.mark.parametrize("protection", ["attached", "young", "active", "unproven", "unconfirmed", "budget", "kept"])
def test_an_approval_lifts_nothing_but_the_breaker(protection: str) -> None:
    approved = replace(CONDEMNED[ORPHAN], latched=True, approved=True)
    assert decided(CIRCUMSTANCES[protection](approved)) == (Verdict.HOLD, ORPHAN)


NO_REASON = {
    "a hook says deleted, its row is there": facts(row(), reported=Said.DELETED),
    "a hook says archived, its row does not": facts(row(), reported=Said.ARCHIVED),
    "a row that says nothing": facts(row(running=True, pinned=True)),
}


@pytest.mark.parametrize("of", NO_REASON.values(), ids=NO_REASON.keys())
def test_without_a_reason_it_is_kept(of: Facts) -> None:
    judgement = judge(of, DEFAULTS)
    assert (judgement.verdict, judgement.reason, judgement.held, judgement.protected_by) == (Verdict.KEEP, None, (), ())


def test_a_hook_that_says_deleted_is_no_report_of_archiving() -> None:
    assert decided(active(facts(row(archived=True), reported=Said.DELETED))) == (Verdict.HOLD, ARCHIVED)


def test_a_hook_that_says_archived_is_no_report_of_deletion() -> None:
    assert decided(facts(reported=Said.ARCHIVED)) == (Verdict.HOLD, ORPHAN)


def test_a_row_flagged_deleted_is_as_good_as_gone() -> None:
    flagged = row(deleted=True, archived=True, worktree_deleted=True)
    assert decided(facts(flagged, reported=Said.DELETED)) == (Verdict.REAP, DELETED)
    assert decided(facts(flagged, reported=Said.ARCHIVED)) == (Verdict.HOLD, ORPHAN)
    assert decided(facts(flagged, proven=True, confirmations=2)) == (Verdict.REAP, ORPHAN)


@pytest.mark.parametrize(
    ("of", "gone"), [(None, True), (row(deleted=True), True), (row(), False)], ids=["no row", "flagged", "there"]
)
def test_what_is_gone(of: Workspace | None, gone: bool) -> None:
    assert facts(of).gone is gone


def test_without_a_row_nothing_but_its_absence_condemns() -> None:
    """An empty database, or a stranger's, must not kill by the idle clock what it could not kill as an orphan."""
    forgotten = replace(GONE_DEAD, windows=(Window("@1", NOW - 9 * DAY, linked=False),))
    judgement = judge(facts(session=forgotten, dead_since=NOW - 9.0 * DAY), DEFAULTS)
    assert judgement.verdict is Verdict.HOLD
    assert [held.reason for held in judgement.held] == [ORPHAN]


def long_idle(before: Facts) -> Facts:
    return idle_for(49 * HOUR, before)


def both_dead(before: Facts) -> Facts:
    return of_session(before, all_panes_dead=True, panes=(pane(dead=True, dead_for=601),))


ORDER = {
    "deleted before orphan": (replace(CONDEMNED[ORPHAN], reported=Said.DELETED), DELETED),
    "archived by hook before archived": (CONDEMNED[BY_HOOK], BY_HOOK),
    "archived by hook before worktree-deleted": (of_row(CONDEMNED[BY_HOOK], worktree_deleted=True), BY_HOOK),
    "worktree-deleted before archived": (of_row(CONDEMNED[WORKTREE], archived=True), WORKTREE),
    "worktree-deleted before idle": (long_idle(CONDEMNED[WORKTREE]), WORKTREE),
    "archived before idle": (long_idle(CONDEMNED[ARCHIVED]), ARCHIVED),
    "archived before dead": (both_dead(CONDEMNED[ARCHIVED]), ARCHIVED),
    "idle before dead": (both_dead(CONDEMNED[IDLE]), IDLE),
    "archived by hook, held by running: worktree-deleted": (
        of_row(CONDEMNED[BY_HOOK], worktree_deleted=True, running=True),
        WORKTREE,
    ),
    "worktree-deleted, held by activity: dead": (active(both_dead(CONDEMNED[WORKTREE])), DEAD),
    "archived and idle, held by running: dead": (
        of_row(both_dead(long_idle(CONDEMNED[ARCHIVED])), running=True, pinned=True),
        DEAD,
    ),
    "idle, held by the pin: dead": (of_row(both_dead(CONDEMNED[IDLE]), pinned=True), DEAD),
    "archived for long, while worktree-deleted is held by activity": (
        active(facts(row(archived=True, worktree_deleted=True), archived_since=NOW - 2.0 * DAY)),
        ARCHIVED,
    ),
}


@pytest.mark.parametrize(("of", "reason"), ORDER.values(), ids=ORDER.keys())
def test_the_first_reason_that_is_not_held_decides(of: Facts, reason: Rule) -> None:
    assert decided(of) == (Verdict.REAP, reason)


def test_where_all_are_held_the_first_is_told() -> None:
    judgement = judge(of_session(of_row(CONDEMNED[WORKTREE], archived=True), attached=1), DEFAULTS)
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, WORKTREE)
    assert judgement.protected_by == (protections.ATTACHED,)
    assert [held.reason for held in judgement.held] == [WORKTREE, ARCHIVED]


def test_both_kinds_of_archived_have_one_public_name() -> None:
    assert {rule.reported_as for rule in (BY_HOOK, ARCHIVED)} == {"archived"}
    assert [rule.reported_as for rule in RULES] == [reason.reported_as or reason.name for reason in REASONS]


# What tmux itself is asked at the kill. Columns: input of a client, a client, the last second without output, all panes dead.

GUARDS = {
    "deleted": (DELETED, CONDEMNED[DELETED], (False, False, None, False)),
    "archived by hook": (BY_HOOK, CONDEMNED[BY_HOOK], (True, True, None, False)),
    "worktree-deleted": (WORKTREE, CONDEMNED[WORKTREE], (True, True, NOW - 60, False)),
    "orphan": (ORPHAN, CONDEMNED[ORPHAN], (True, True, NOW - 60, False)),
    "orphan, a stranger's": (ORPHAN, stranger(13 * HOUR), (True, True, NOW - 12 * HOUR, False)),
    "archived": (ARCHIVED, CONDEMNED[ARCHIVED], (True, True, NOW - 60, False)),
    "archived for long": (ARCHIVED, facts(row(archived=True), archived_since=float(NOW - DAY)), (True, True, None, False)),
    "idle": (IDLE, CONDEMNED[IDLE], (True, True, NOW - 48 * HOUR, False)),
    "idle, between two seconds": (IDLE, replace(CONDEMNED[IDLE], now=NOW + 0.9), (True, True, NOW - 48 * HOUR, False)),
    "dead": (DEAD, CONDEMNED[DEAD], (True, True, None, True)),
}


@pytest.mark.parametrize(("reason", "of", "expected"), GUARDS.values(), ids=GUARDS.keys())
def test_the_guard_carries_the_terms_of_its_reason(
    reason: Rule, of: Facts, expected: tuple[bool, bool, int | None, bool]
) -> None:
    asked = reason.guard(of, DEFAULTS)
    assert asked.key == of.session.key
    assert asked.activity == (of.session.activity if expected[0] else None)
    assert (asked.unattached, asked.quiet_since, asked.all_panes_dead) == expected[1:]


def test_a_stranger_is_guarded_by_the_longer_of_both_limits() -> None:
    rules = replace(DEFAULTS, stranger_ttl=10, activity_grace=60)
    assert ORPHAN.guard(stranger(13 * HOUR), rules).quiet_since == NOW - 60


@pytest.mark.parametrize("reason", ANNOUNCED, ids=lambda reason: reason.name)
@pytest.mark.parametrize(
    ("told", "verdict"),
    [(None, Verdict.HOLD), (0, Verdict.HOLD), (599, Verdict.HOLD), (600, Verdict.REAP), (601, Verdict.REAP)],
    ids=["not told", "just told", "a second before the deadline", "at the deadline", "after it"],
)
def test_what_is_announced_goes_at_its_deadline(reason: Rule, told: int | None, verdict: Verdict) -> None:
    announced_at = None if told is None else NOW - told
    judgement = judge(replace(CONDEMNED[reason], announced_at=announced_at), replace(DEFAULTS, undo_window=600))
    assert judgement.verdict is verdict
    assert is_to_be_announced(judgement) is (verdict is Verdict.HOLD)


@pytest.mark.parametrize("reason", RULES, ids=lambda reason: reason.name)
def test_what_waits_for_the_next_try_of_its_kill_is_selected_all_the_same(reason: Rule) -> None:
    waits = CIRCUMSTANCES["retrying"](CONDEMNED[reason])
    assert is_selected(judge(CONDEMNED[reason], DEFAULTS))
    assert is_selected(judge(waits, DEFAULTS))
    assert not is_selected(judge(of_session(waits, kept=True), DEFAULTS))
    assert judge(replace(waits, retry_at=NOW), DEFAULTS).verdict is Verdict.REAP


def test_what_something_else_protects_is_not_to_be_announced() -> None:
    attached = of_session(CONDEMNED[ARCHIVED], attached=1, has_client=True)
    assert not is_to_be_announced(judge(attached, replace(DEFAULTS, undo_window=600)))


@pytest.mark.parametrize(("ago", "verdict"), [(59, Verdict.HOLD), (60, Verdict.REAP)])
def test_a_silent_process_that_computes_is_activity(ago: int, verdict: Verdict) -> None:
    assert judge(replace(CONDEMNED[ARCHIVED], busy_at=NOW - ago), DEFAULTS).verdict is verdict


def test_a_session_whose_processes_computed_within_the_limit_is_not_idle() -> None:
    assert judge(replace(CONDEMNED[IDLE], busy_at=NOW - 48 * HOUR), DEFAULTS).verdict is Verdict.KEEP


@pytest.mark.parametrize("reason", ANNOUNCED, ids=lambda reason: reason.name)
def test_what_was_undone_of_another_cause_protects_nothing(reason: Rule) -> None:
    others = frozenset(UNDONE) - {reason.reported_as}
    assert judge(replace(CONDEMNED[reason], undone=others), DEFAULTS).verdict is Verdict.REAP
