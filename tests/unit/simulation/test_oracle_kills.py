"""What always spares a session, how old a fact may be, groups and renames; and when a session is due."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.oracle import due, judge_kill
from tests.simulation.oracle.truth import KillTruth, Limits, Peer, Reason, Row, RowState, Veto, Work, Workspace
from tests.unit.simulation.truths import (
    DAY,
    NOW,
    Change,
    activity,
    both,
    clock,
    limits,
    reaper,
    right,
    rows,
    session,
    truth,
    workspace,
)

EVERY_REASON = pytest.mark.parametrize("reason", list(Reason))
LIVING = Workspace("b", (RowState(NOW - 9 * DAY, (Row(),)),), by_marks=False)


def rules(each: KillTruth, reason: Reason) -> set[str]:
    return {violation.rule for violation in judge_kill(each, reason)}


@EVERY_REASON
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param(session(kept_since=NOW), "kept", id="kept, this very moment"),
        pytest.param(session(home=True), "home", id="the reaper's own"),
        pytest.param(session(foreign=True), "unmanaged", id="another owner"),
        pytest.param(session(socket_configured=False), "unmanaged", id="another socket"),
        pytest.param(truth(workspaces=()), "unmanaged", id="neither name nor marks"),
        pytest.param(workspace(row_elsewhere_since=NOW - 6), "unmanaged", id="another host's"),
        pytest.param(session(veto=Veto.VETOED), "veto", id="vetoed"),
        pytest.param(session(veto=Veto.UNANSWERED), "veto", id="a veto without an answer"),
        pytest.param(reaper(registry_unreadable_since=NOW - 5), "unknown", id="an unreadable registry"),
        pytest.param(reaper(dry_run=True), "disabled", id="a dry run"),
        pytest.param(reaper(enabled=False), "disabled", id="switched off"),
    ],
)
def test_some_things_spare_a_session_from_every_reason(reason: Reason, change: Change, rule: str) -> None:
    assert rules(change(right(reason)), reason) == {rule}


@EVERY_REASON
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(workspace(row_elsewhere_since=NOW - 4), id="another host's since 4 s"),
        pytest.param(reaper(registry_unreadable_since=NOW - 4), id="a registry that is unreadable since 4 s"),
        pytest.param(both(truth(workspaces=()), session(renamed_at=NOW - 4)), id="a name that yields nothing since 4 s"),
        pytest.param(both(session(panes_kept=False), limits(snapshots=False)), id="snapshots are off"),
    ],
)
def test_what_the_recheck_could_not_know_spares_from_none(reason: Reason, change: Change) -> None:
    assert rules(change(right(reason)), reason) == set()


@EVERY_REASON
def test_a_row_that_cannot_be_read_is_there(reason: Reason) -> None:
    assert "unknown" in rules(rows(6, Row(readable=False))(right(reason)), reason)


@EVERY_REASON
def test_panes_that_could_not_be_kept_spare_all_but_the_deleted(reason: Reason) -> None:
    found = rules(session(panes_kept=False)(right(reason)), reason)
    assert found == (set() if reason is Reason.DELETED else {"snapshot"})


@pytest.mark.parametrize(
    ("ago", "change", "found"),
    [
        pytest.param(4.9, limits(), set(), id="younger than the guard's validity"),
        pytest.param(5.0, limits(), {"reason"}, id="as old"),
        pytest.param(7.0, clock(set_back=3.0), set(), id="the guard's clock was set back"),
        pytest.param(9.0, clock(set_back=3.0), {"reason"}, id="it was set back by less"),
    ],
)
def test_a_row_may_have_changed_while_the_guard_was_valid(ago: float, change: Change, found: set[str]) -> None:
    assert rules(both(rows(ago, Row()), change)(right(Reason.ORPHAN)), Reason.ORPHAN) == found


def test_a_row_that_flickers_counts_as_the_recheck_may_have_read_it() -> None:
    flicker = both(rows(4, Row(archived=True)), rows(2, Row()))
    assert rules(flicker(right(Reason.IDLE)), Reason.ARCHIVED) == set()


def with_peer(peer: KillTruth, *, linked: bool = False) -> Change:
    other = replace(peer, session=replace(peer.session, session_id="$2", name="peer"))
    return truth(peers=(Peer(other, linked),))


@pytest.mark.parametrize(
    ("peer", "linked", "found"),
    [
        pytest.param(right(Reason.IDLE), False, set(), id="due for another reason"),
        pytest.param(session(kept_since=NOW - 6)(right(Reason.IDLE)), False, {"group"}, id="kept"),
        pytest.param(session(kept_since=NOW - 4)(right(Reason.IDLE)), False, set(), id="kept since 4 s"),
        pytest.param(session(foreign=True)(right(Reason.IDLE)), False, {"group"}, id="not ours"),
        pytest.param(activity(output=NOW - 9)(right(Reason.IDLE)), False, {"group"}, id="not idle"),
        pytest.param(activity(output=NOW - 4)(right(Reason.IDLE)), False, set(), id="not idle since 4 s"),
        pytest.param(session(attached_since=NOW - 4)(right(Reason.IDLE)), False, {"group"}, id="attached since 4 s"),
        pytest.param(session(attached_since=NOW - 4)(right(Reason.IDLE)), True, set(), id="linked, attached since 4 s"),
        pytest.param(session(attached_since=NOW - 6)(right(Reason.IDLE)), True, {"group"}, id="linked, attached since 6 s"),
        pytest.param(rows(4, Row())(right(Reason.ARCHIVED)), False, set(), id="un-archived since 4 s"),
        pytest.param(reaper(full_sweeps=())(right(Reason.ORPHAN)), False, set(), id="unconfirmed only"),
    ],
)
def test_a_group_is_reaped_as_a_whole(peer: KillTruth, linked: bool, found: set[str]) -> None:
    assert rules(with_peer(peer, linked=linked)(right(Reason.ARCHIVED)), Reason.ARCHIVED) == found


def named(other: Workspace) -> Change:
    """Rename the session: its marks keep their workspace, and the name yields the other."""
    return lambda each: replace(each, workspaces=(replace(each.workspaces[0], by_name=False), other))


ARCHIVED_TOO = replace(LIVING, rows=(RowState(NOW - DAY, (Row(archived=True),)),))


@pytest.mark.parametrize(
    ("other", "found"),
    [
        pytest.param(LIVING, {"reason"}, id="a living one"),
        pytest.param(ARCHIVED_TOO, set(), id="an archived one"),
        pytest.param(replace(LIVING, rows=(RowState(NOW - DAY),)), set(), id="one without a row"),
        pytest.param(replace(LIVING, belongs_since=NOW - 4), set(), id="a living one since 4 s"),
        pytest.param(replace(LIVING, belongs_since=NOW - 6), {"reason"}, id="a living one since 6 s"),
    ],
)
def test_a_session_with_the_name_of_another_workspace_belongs_to_both(other: Workspace, found: set[str]) -> None:
    assert rules(named(other)(right(Reason.ARCHIVED)), Reason.ARCHIVED) == found


def test_a_session_without_marks_belongs_to_the_workspace_of_its_name() -> None:
    assert rules(truth(workspaces=(LIVING,))(right(Reason.ORPHAN)), Reason.ORPHAN) == {"reason"}


@pytest.mark.parametrize(
    ("each", "reasons"),
    [
        pytest.param(right(Reason.ORPHAN), (Reason.ORPHAN,), id="an orphan"),
        pytest.param(right(Reason.DELETED), (Reason.DELETED, Reason.ORPHAN), id="a deleted one"),
        pytest.param(right(Reason.REMOVED), (Reason.REMOVED, Reason.ORPHAN), id="a removed one"),
        pytest.param(right(Reason.IDLE), (Reason.IDLE,), id="an idle one"),
        pytest.param(rows(9, Row())(right(Reason.ORPHAN)), (), id="a living one"),
        pytest.param(session(attached_since=NOW)(right(Reason.DELETED)), (Reason.DELETED,), id="a deleted one, attached"),
        pytest.param(session(kept_since=NOW)(right(Reason.DELETED)), (), id="a kept one"),
        pytest.param(session(veto=Veto.VETOED)(right(Reason.ORPHAN)), (), id="a veto"),
        pytest.param(reaper(enabled=False)(right(Reason.ORPHAN)), (), id="switched off"),
        pytest.param(session(veto=Veto.UNANSWERED)(right(Reason.ORPHAN)), (Reason.ORPHAN,), id="a doubt: no answer"),
        pytest.param(reaper(breaker_latched=True)(right(Reason.ORPHAN)), (Reason.ORPHAN,), id="a doubt: the breaker"),
        pytest.param(reaper(orphans_reaped=99)(right(Reason.ORPHAN)), (Reason.ORPHAN,), id="a doubt: the budget"),
        pytest.param(reaper(full_sweeps=())(right(Reason.ORPHAN)), (Reason.ORPHAN,), id="a doubt: unconfirmed"),
        pytest.param(session(panes_kept=False)(right(Reason.ORPHAN)), (Reason.ORPHAN,), id="a doubt: the snapshot"),
        pytest.param(clock(stepped=True)(right(Reason.IDLE)), (Reason.IDLE,), id="a doubt: the clock"),
        pytest.param(
            both(reaper(full_sweeps=()), workspace(by_name=False))(right(Reason.REMOVED)),
            (Reason.REMOVED,),
            id="a doubt: a renamed one with an unconfirmed witness",
        ),
        pytest.param(activity(work=Work(NOW - DAY, NOW))(right(Reason.ORPHAN)), (), id="at work"),
    ],
)
def test_a_session_is_due_that_no_fact_protects(each: KillTruth, reasons: tuple[Reason, ...]) -> None:
    assert due(each) == reasons


def test_a_violation_says_which_session_and_why() -> None:
    (violation,) = judge_kill(session(home=True)(right(Reason.DEAD)), "dead")
    assert str(violation) == "8640000.000 home: ws-a ($1), reaped as dead: the reaper itself runs in it"


def test_the_limits_are_those_of_the_configuration() -> None:
    assert rules(truth(limits=Limits(dead_ttl=900.0))(right(Reason.DEAD)), Reason.DEAD) == {"reason"}
