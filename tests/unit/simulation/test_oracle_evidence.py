"""The evidence of a deletion: witness, daemon, confirmations and proof."""

from __future__ import annotations

import pytest

from tests.simulation.oracle import judge_kill
from tests.simulation.oracle.truth import Absence, FullSweep, Hook, HookKind, KillTruth, Reason, Row, RowState
from tests.unit.simulation.truths import (
    DAY,
    HOUR,
    NOW,
    Change,
    activity,
    both,
    directory,
    history,
    limits,
    reaper,
    right,
    rows,
    session,
    workspace,
)

LIVING = (Row(),)


def rules(each: KillTruth, reason: Reason) -> set[str]:
    return {violation.rule for violation in judge_kill(each, reason)}


def sweeps(*agos: float) -> Change:
    return reaper(full_sweeps=tuple(FullSweep(NOW - ago, NOW - ago) for ago in agos))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(history((5 * DAY, LIVING), (100, ()), absence=Absence.LOST), id="a: an older copy"),
        pytest.param(history((5 * DAY, ()), absence=Absence.NEVER), id="a: never a row"),
        pytest.param(directory(seen_with_row=None), id="b: never seen together"),
        pytest.param(directory(gone=False), id="c: still there"),
        pytest.param(directory(parent_intact=False), id="d: the parent went too"),
        pytest.param(directory(session_inside=True), id="e: moved, with the session in it"),
        pytest.param(directory(shared=True), id="f: shared"),
        pytest.param(directory(proper=False), id="f: a home"),
        pytest.param(directory(holds_records=True), id="g: the ledger lay in it"),
        pytest.param(workspace(directory=()), id="no directory"),
        pytest.param(limits(removes_worktree=False), id="a host that keeps directories"),
    ],
)
def test_a_witness_needs_each_of_its_conditions(change: Change) -> None:
    assert "witness" in rules(change(right(Reason.REMOVED)), Reason.REMOVED)


def looked(*agos: tuple[float, float]) -> Change:
    """Sweeps that looked at the rows and at the directories so many seconds ago."""
    return reaper(full_sweeps=tuple(FullSweep(NOW - ago, NOW - ago, NOW - later) for ago, later in agos))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(sweeps(60, 0), set(), id="two sweeps"),
        pytest.param(looked((99.5, 98.0), (0, 0)), set(), id="the directory went between two looks of one sweep"),
        pytest.param(looked((101.0, 98.0), (0, 0)), {"unconfirmed"}, id="the row went between two looks of one sweep"),
        pytest.param(looked((99.5, 99.2), (0, 0)), {"unconfirmed"}, id="the directory went after both looks"),
        pytest.param(sweeps(0), {"unconfirmed"}, id="one sweep"),
        pytest.param(sweeps(20, 0), {"unconfirmed"}, id="two sweeps, too close"),
        pytest.param(sweeps(120, 0), {"unconfirmed"}, id="the first looked before it went"),
        pytest.param(both(sweeps(0), workspace(daemon_saw_it_go=NOW - 99)), set(), id="the daemon saw it go"),
        pytest.param(workspace(by_name=False), set(), id="renamed"),
    ],
)
def test_a_witness_needs_two_sweeps_or_the_daemon(change: Change, found: set[str]) -> None:
    assert rules(change(right(Reason.REMOVED)), Reason.REMOVED) == found


SEEN = both(workspace(daemon_saw_it_go=NOW - 99), workspace(directory=()))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(SEEN, set(), id="the daemon saw it go"),
        pytest.param(both(SEEN, sweeps()), set(), id="without a sweep"),
        pytest.param(both(SEEN, workspace(daemon_saw_it_go=None)), {"witness", "daemon"}, id="it did not"),
        pytest.param(both(SEEN, workspace(by_name=False)), {"witness", "renamed"}, id="renamed"),
        pytest.param(both(SEEN, workspace(vanished=(3, 5))), {"witness", "daemon"}, id="3 of 5 vanished"),
        pytest.param(both(SEEN, workspace(vanished=(3, 6))), set(), id="3 of 6 vanished"),
        pytest.param(both(SEEN, workspace(vanished=(2, 2))), set(), id="2 of 2 vanished"),
        pytest.param(
            both(SEEN, history((5 * DAY, LIVING), (200, ()), absence=Absence.LOST)), {"witness", "daemon"}, id="an older copy"
        ),
        pytest.param(
            both(SEEN, history((5 * DAY, LIVING), (100, ()), (80, LIVING), (70, ()))), {"witness", "daemon"}, id="it was back"
        ),
    ],
)
def test_the_daemon_may_see_a_row_go(change: Change, found: set[str]) -> None:
    assert rules(change(right(Reason.REMOVED)), Reason.REMOVED) == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(sweeps(60, 0), set(), id="two, a minute apart"),
        pytest.param(sweeps(30, 0), set(), id="two, just far enough apart"),
        pytest.param(sweeps(25, 0), {"unconfirmed"}, id="two, too close"),
        pytest.param(sweeps(180, 120, 0), {"unconfirmed"}, id="one since it went"),
        pytest.param(both(sweeps(60, 0), limits(orphan_confirmations=3)), {"unconfirmed"}, id="two of three"),
        pytest.param(both(sweeps(60, 30, 0), limits(orphan_confirmations=3)), set(), id="three of three"),
        pytest.param(both(sweeps(60, 0), rows(50, Row()), rows(40)), {"unconfirmed"}, id="it was back in between"),
        pytest.param(
            both(
                sweeps(60, 0),
                workspace(rows=(RowState(NOW - 99), RowState(NOW - 50, LIVING, counted=False), RowState(NOW - 40))),
            ),
            set(),
            id="it was back in between, and only a look at this workspace saw it",
        ),
        pytest.param(reaper(full_sweeps=(FullSweep(NOW - 101, NOW - 99), FullSweep(NOW, NOW))), set(), id="while it looked"),
    ],
)
def test_an_orphan_is_confirmed(change: Change, found: set[str]) -> None:
    assert rules(change(right(Reason.ORPHAN)), Reason.ORPHAN) == found


IDLE_12_H = both(
    session(created=NOW - 9 * DAY),
    activity(input=NOW - 13 * HOUR, seen_attached=NOW - 13 * HOUR, output=NOW - 13 * HOUR),
)
NEVER = workspace(rows=(RowState(NOW - 9 * DAY, absence=Absence.NEVER),), known_at=None)
LOST = history((5 * DAY, LIVING), (100, ()), absence=Absence.LOST)
HOOK = workspace(hooks=(Hook(HookKind.DELETED, NOW - 9),))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(NEVER, {"unproven"}, id="a stranger"),
        pytest.param(both(NEVER, IDLE_12_H), set(), id="a stranger, idle"),
        pytest.param(both(NEVER, IDLE_12_H, reaper(recognised=0)), {"unproven"}, id="a registry that knows none"),
        pytest.param(both(NEVER, IDLE_12_H, sweeps(0)), {"unproven", "unconfirmed"}, id="a stranger in the first sweep"),
        pytest.param(both(NEVER, IDLE_12_H, reaper(strangers_due=4)), {"strangers"}, id="four of eight are strangers"),
        pytest.param(both(NEVER, IDLE_12_H, reaper(strangers_due=4, approved=True)), set(), id="approved"),
        pytest.param(both(NEVER, IDLE_12_H, reaper(strangers_due=3)), set(), id="three of eight are strangers"),
        pytest.param(both(NEVER, IDLE_12_H, reaper(strangers_due=2, managed=2)), set(), id="two of two are strangers"),
        pytest.param(both(NEVER, HOOK), set(), id="a stranger that a hook named"),
        pytest.param(
            both(NEVER, workspace(hooks=(Hook(HookKind.ARCHIVED, NOW - 9),))), {"unproven"}, id="a stranger that was archived"
        ),
        pytest.param(workspace(known_at=None), {"unproven"}, id="a row that the reaper never read"),
        pytest.param(LOST, {"unproven"}, id="lost with an older copy"),
        pytest.param(both(LOST, IDLE_12_H), set(), id="lost with an older copy, idle"),
        pytest.param(both(LOST, HOOK), set(), id="lost, and then named by a hook"),
        pytest.param(
            both(LOST, workspace(hooks=(Hook(HookKind.DELETED, NOW - 200),))), {"unproven"}, id="named by a hook, and then lost"
        ),
    ],
)
def test_an_absence_alone_needs_proof(change: Change, found: set[str]) -> None:
    assert rules(change(right(Reason.ORPHAN)), Reason.ORPHAN) == found
