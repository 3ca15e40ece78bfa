"""Each row of the table of reasons: what must hold, and what protects."""

from __future__ import annotations

import pytest

from tests.simulation.oracle import judge_kill
from tests.simulation.oracle.truth import Absence, FullSweep, Hook, HookKind, Reason, Row, Work
from tests.unit.simulation.truths import (
    DAY,
    HOUR,
    NOW,
    Change,
    activity,
    both,
    clock,
    history,
    limits,
    reaper,
    right,
    rows,
    session,
    workspace,
)

LIVING = (Row(),)
GONE = ()
HELD_DELETED = Hook(HookKind.DELETED, NOW - DAY)
HELD_ARCHIVED = Hook(HookKind.ARCHIVED, NOW - DAY)


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_has_a_right_kill(reason: Reason) -> None:
    assert judge_kill(right(reason), reason.value) == []


def test_an_unknown_reason_is_an_error() -> None:
    with pytest.raises(ValueError, match="boredom"):
        judge_kill(right(Reason.IDLE), "boredom")


@pytest.mark.parametrize(
    ("reason", "change", "rule"),
    [
        pytest.param(Reason.DELETED, rows(60, Row()), "reason", id="deleted, row back for a minute"),
        pytest.param(Reason.DELETED, workspace(hooks=()), "event", id="deleted, no hook"),
        pytest.param(
            Reason.DELETED, workspace(hooks=(Hook(HookKind.ARCHIVED, NOW - 99),)), "event", id="deleted, another hook"
        ),
        pytest.param(
            Reason.DELETED,
            both(history((5 * DAY, LIVING), (DAY, GONE), (HOUR, LIVING), (90, GONE)), workspace(hooks=(HELD_DELETED,))),
            "event",
            id="deleted, the hook is of an earlier life of the row",
        ),
        pytest.param(
            Reason.DELETED, workspace(rows=(right(Reason.IDLE).workspaces[0].rows)), "reason", id="deleted, row there"
        ),
        pytest.param(
            Reason.DELETED,
            both(
                reaper(full_sweeps=(FullSweep(NOW - 60, NOW - 60),)),
                history((5 * DAY, LIVING), (50, GONE), absence=Absence.LOST),
            ),
            "event",
            id="deleted, a false hook and a replaced database that no sweep has read",
        ),
        pytest.param(Reason.REMOVED, session(attached_since=NOW), "attached", id="removed, attached"),
        pytest.param(Reason.REMOVED, rows(60, Row()), "reason", id="removed, row back"),
        pytest.param(Reason.ARCHIVED_BY_HOOK, session(attached_since=NOW), "attached", id="archived by hook, attached"),
        pytest.param(
            Reason.ARCHIVED_BY_HOOK, rows(6, Row(archived=True, running=True)), "running", id="archived by hook, running"
        ),
        pytest.param(Reason.ARCHIVED_BY_HOOK, rows(6, Row()), "reason", id="archived by hook, un-archived"),
        pytest.param(Reason.ARCHIVED_BY_HOOK, workspace(hooks=()), "event", id="archived by hook, no hook"),
        pytest.param(
            Reason.ARCHIVED_BY_HOOK,
            both(
                history((5 * DAY, (Row(archived=True),)), (HOUR, LIVING), (10, (Row(archived=True),))),
                workspace(hooks=(HELD_ARCHIVED,)),
            ),
            "event",
            id="archived by hook, un-archived since the hook",
        ),
        pytest.param(Reason.ARCHIVED_BY_HOOK, rows(6), "reason", id="archived by hook, row gone"),
        pytest.param(Reason.WORKTREE_DELETED, rows(6, Row()), "reason", id="worktree-deleted, not so any more"),
        pytest.param(Reason.WORKTREE_DELETED, session(attached_since=NOW), "attached", id="worktree-deleted, attached"),
        pytest.param(Reason.WORKTREE_DELETED, activity(output=NOW - 30), "active", id="worktree-deleted, active"),
        pytest.param(
            Reason.WORKTREE_DELETED, rows(6, Row(worktree_deleted=True), Row()), "reason", id="worktree-deleted, one of two"
        ),
        pytest.param(Reason.ORPHAN, rows(6, Row()), "reason", id="orphan, row there"),
        pytest.param(Reason.ORPHAN, rows(6, Row(), Row(deleted=True)), "reason", id="orphan, one of two rows is deleted"),
        pytest.param(Reason.ORPHAN, session(attached_since=NOW), "attached", id="orphan, attached"),
        pytest.param(Reason.ORPHAN, session(created=NOW - 100), "young", id="orphan, young"),
        pytest.param(Reason.ORPHAN, activity(input=NOW - 50), "active", id="orphan, input"),
        pytest.param(Reason.ORPHAN, activity(attach=NOW - 50), "active", id="orphan, attach"),
        pytest.param(Reason.ORPHAN, activity(seen_attached=NOW - 50), "active", id="orphan, seen attached"),
        pytest.param(Reason.ORPHAN, activity(output=NOW - 0.5), "active", id="orphan, output"),
        pytest.param(Reason.ORPHAN, activity(work=Work(NOW - DAY, NOW)), "active", id="orphan, at work"),
        pytest.param(Reason.ORPHAN, clock(slept=((NOW - HOUR, NOW - 30),)), "active", id="orphan, output and then sleep"),
        pytest.param(Reason.ORPHAN, workspace(by_name=False), "renamed", id="orphan, renamed"),
        pytest.param(Reason.ORPHAN, reaper(breaker_latched=True), "breaker", id="orphan, breaker"),
        pytest.param(Reason.ORPHAN, reaper(orphans_reaped=50), "budget", id="orphan, budget"),
        pytest.param(Reason.ARCHIVED, rows(6, Row()), "reason", id="archived, un-archived"),
        pytest.param(Reason.ARCHIVED, rows(6, Row(archived=True), Row()), "reason", id="archived, one of two rows"),
        pytest.param(Reason.ARCHIVED, rows(6, Row(archived=True, running=True)), "running", id="archived, running"),
        pytest.param(Reason.ARCHIVED, session(attached_since=NOW), "attached", id="archived, attached"),
        pytest.param(Reason.ARCHIVED, activity(output=NOW - 30), "active", id="archived, active"),
        pytest.param(
            Reason.ARCHIVED,
            both(history((5 * DAY, LIVING), (DAY - 60, (Row(archived=True),))), activity(output=NOW - 30)),
            "active",
            id="archived, active, not quite for the time",
        ),
        pytest.param(
            Reason.ARCHIVED,
            both(
                history((5 * DAY, (Row(archived=True),)), (HOUR, LIVING), (60, (Row(archived=True),))),
                activity(output=NOW - 30),
            ),
            "active",
            id="archived, active, archived for long with a break",
        ),
        pytest.param(Reason.IDLE, activity(output=NOW - 47 * HOUR), "reason", id="idle, not for so long"),
        pytest.param(Reason.IDLE, activity(work=Work(NOW - DAY, NOW - HOUR)), "reason", id="idle, it worked"),
        pytest.param(Reason.IDLE, session(created=NOW - DAY), "reason", id="idle, younger than that"),
        pytest.param(Reason.IDLE, clock(slept=((NOW - 3 * DAY, NOW - DAY),)), "reason", id="idle, the machine slept"),
        pytest.param(Reason.IDLE, clock(stepped=True), "clock", id="idle, clock stepped"),
        pytest.param(Reason.IDLE, session(processes_visible=False), "clock", id="idle, processes out of sight"),
        pytest.param(Reason.IDLE, rows(6, Row(running=True)), "running", id="idle, running"),
        pytest.param(Reason.IDLE, rows(6, Row(pinned=True)), "pinned", id="idle, pinned"),
        pytest.param(Reason.IDLE, rows(6, Row(), Row(pinned=True)), "pinned", id="idle, one of two rows is pinned"),
        pytest.param(Reason.IDLE, session(attached_since=NOW), "attached", id="idle, attached"),
        pytest.param(Reason.IDLE, workspace(by_name=False), "renamed", id="idle, renamed"),
        pytest.param(Reason.DEAD, session(panes=(NOW - 700, None)), "reason", id="dead, one pane lives"),
        pytest.param(Reason.DEAD, session(panes=(NOW - 700, NOW - 500)), "reason", id="dead, one pane not for so long"),
        pytest.param(Reason.DEAD, session(attached_since=NOW), "attached", id="dead, attached"),
        pytest.param(Reason.DEAD, workspace(by_name=False), "renamed", id="dead, renamed"),
    ],
)
def test_a_kill_is_wrong_by_one_fact(reason: Reason, change: Change, rule: str) -> None:
    assert {violation.rule for violation in judge_kill(change(right(reason)), reason)} == {rule}


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        pytest.param(Reason.DELETED, session(attached_since=NOW), id="deleted, attached"),
        pytest.param(Reason.DELETED, workspace(by_name=False), id="deleted, renamed"),
        pytest.param(Reason.DELETED, rows(60, Row(deleted=True)), id="deleted, flagged"),
        pytest.param(Reason.DELETED, rows(4, Row()), id="deleted, row back 4 s ago"),
        pytest.param(Reason.DELETED, rows(60, absence=Absence.LOST), id="deleted, a sweep has read the new database"),
        pytest.param(Reason.ARCHIVED_BY_HOOK, activity(output=NOW), id="archived by hook, active"),
        pytest.param(Reason.ARCHIVED_BY_HOOK, workspace(by_name=False), id="archived by hook, renamed"),
        pytest.param(
            Reason.ARCHIVED_BY_HOOK, rows(4, Row(archived=True, running=True)), id="archived by hook, running for 4 s"
        ),
        pytest.param(Reason.WORKTREE_DELETED, workspace(by_name=False), id="worktree-deleted, renamed"),
        pytest.param(
            Reason.WORKTREE_DELETED, rows(6, Row(worktree_deleted=True, running=True)), id="worktree-deleted, running"
        ),
        pytest.param(Reason.ORPHAN, session(created=NOW - 120), id="orphan, just old enough"),
        pytest.param(Reason.ORPHAN, activity(output=NOW - 60), id="orphan, just idle enough"),
        pytest.param(Reason.ORPHAN, activity(work=Work(NOW - 4, NOW)), id="orphan, at work for 4 s"),
        pytest.param(Reason.ORPHAN, both(workspace(by_name=False), session(renamed_at=NOW - 4)), id="orphan, renamed 4 s ago"),
        pytest.param(Reason.ORPHAN, both(reaper(breaker_latched=True), reaper(approved=True)), id="orphan, approved"),
        pytest.param(Reason.ORPHAN, rows(60, Row(deleted=True)), id="orphan, flagged deleted"),
        pytest.param(Reason.ARCHIVED, workspace(by_name=False), id="archived, renamed"),
        pytest.param(Reason.ARCHIVED, rows(6, Row(archived=True), Row(deleted=True)), id="archived, the other row is deleted"),
        pytest.param(
            Reason.ARCHIVED,
            both(history((5 * DAY, LIVING), (DAY, (Row(archived=True),))), activity(output=NOW)),
            id="archived, active, for long enough",
        ),
        pytest.param(Reason.ARCHIVED, rows(6, Row(archived=True, pinned=True)), id="archived, pinned"),
        pytest.param(
            Reason.IDLE, both(activity(output=NOW), limits(idle_clocks=frozenset({"input"}))), id="idle, output is off"
        ),
        pytest.param(Reason.DEAD, rows(6, Row(running=True, pinned=True)), id="dead, running and pinned"),
        pytest.param(Reason.DEAD, activity(output=NOW), id="dead, active"),
    ],
)
def test_a_fact_that_does_not_protect(reason: Reason, change: Change) -> None:
    assert judge_kill(change(right(reason)), reason) == []


UNDO = both(limits(undo_window=300.0), session(announced_at=NOW - 300))


@pytest.mark.parametrize("reason", [Reason.ARCHIVED, Reason.ARCHIVED_BY_HOOK, Reason.IDLE])
@pytest.mark.parametrize(
    ("change", "rules"),
    [
        pytest.param(UNDO, set(), id="at the deadline"),
        pytest.param(both(UNDO, session(announced_at=None)), {"announced"}, id="never announced"),
        pytest.param(both(UNDO, session(announced_at=NOW - 200)), {"announced"}, id="too early"),
        pytest.param(both(UNDO, session(taken_back_at=NOW - 5)), {"undone"}, id="taken back"),
        pytest.param(both(UNDO, session(taken_back_at=NOW - 4 * DAY)), set(), id="taken back, for an earlier cause"),
    ],
)
def test_an_announcement_comes_first(reason: Reason, change: Change, rules: set[str]) -> None:
    assert {violation.rule for violation in judge_kill(change(right(reason)), reason)} == rules
