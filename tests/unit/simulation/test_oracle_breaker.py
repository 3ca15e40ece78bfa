"""The breaker as the truth has it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import pytest

from tests.simulation.oracle import BreakerTruth, Count, advance, approve, counts, reset
from tests.simulation.oracle.truth import Absence, Hook, HookKind, Limits, Reason, Row, RowState, Workspace
from tests.unit.simulation.truths import NOW, Change, both, right, rows, truth, workspace


def count(orphans: str = "", managed: int = 8, lost: int = 0, before: int = 8) -> Count:
    return Count(frozenset(orphans), managed, before, lost)


@pytest.mark.parametrize(
    ("counts", "latched"),
    [
        pytest.param([count("ab", 2)], False, id="two of two"),
        pytest.param([count("abc", 3)], True, id="three of three"),
        pytest.param([count("abc", 5)], True, id="three of five"),
        pytest.param([count("abc", 6)], False, id="three of six"),
        pytest.param([count(lost=2, before=2)], False, id="two rows of two"),
        pytest.param([count(lost=3, before=5)], True, id="three rows of five"),
        pytest.param([count(lost=3, before=6)], False, id="three rows of six"),
        pytest.param([count("abc", 5), count(), count()], True, id="two clean sweeps"),
        pytest.param([count("abc", 5), count(), count(), count()], False, id="three clean sweeps"),
        pytest.param([count("abc", 5), count(), count(), count("a"), count(), count()], True, id="not in a row"),
        pytest.param([count("abc", 5), count("d"), count("d"), count("d")], False, id="another orphan does not hold it"),
        pytest.param([count("abc", 5), *[count("a")] * 99], True, id="it never expires"),
        pytest.param([count("abc", 5), count("def", 5), *[count("a")] * 3], True, id="the first ones hold it still"),
    ],
)
def test_it_latches_and_is_released_by_three_clean_sweeps(counts: Sequence[Count], latched: bool) -> None:
    assert reduce(lambda breaker, each: advance(breaker, each, Limits()), counts, BreakerTruth()).latched is latched


LATCHED = BreakerTruth(latched=True, tripped_by=frozenset("abc"))


def after(breaker: BreakerTruth, *those: Count) -> BreakerTruth:
    return reduce(lambda one, each: advance(one, each, Limits()), those, breaker)


def test_an_approval_lets_go_what_was_shown_and_no_more() -> None:
    assert not approve(LATCHED, "abcd").latched
    assert approve(LATCHED, "ab") == BreakerTruth(latched=True, tripped_by=frozenset("c"), approved=frozenset("ab"))
    assert not after(approve(LATCHED, "abc"), count("abc", 3)).latched
    assert after(approve(LATCHED, "abc"), count("abcdef", 6)).latched is False
    assert after(approve(LATCHED, "abc"), count("abcdefg", 7)).latched


def test_an_approval_does_not_release_what_lost_rows_have_latched() -> None:
    assert approve(BreakerTruth(latched=True), "a").latched


def test_an_approval_ends_when_the_row_is_back() -> None:
    approved = approve(LATCHED, "abc")
    assert after(approved, count(managed=3), count("abc", 3)).latched
    assert not after(approved, Count(frozenset(), 3, gone=frozenset("abc")), count("abc", 3)).latched


def test_a_reset_lets_go_what_tripped_it_and_has_no_row() -> None:
    assert reset(LATCHED, "abd") == BreakerTruth(approved=frozenset("ab"))
    assert not after(reset(LATCHED, "abc"), count("abc", 3)).latched
    assert after(reset(LATCHED, ""), count("abc", 3)).latched


LIVING = Workspace("b", (RowState(NOW - 9.0, (Row(),)),), by_marks=False)


@pytest.mark.parametrize(
    ("reason", "change", "counted"),
    [
        pytest.param(Reason.ORPHAN, both(), True, id="an orphan"),
        pytest.param(Reason.ORPHAN, workspace(by_name=False), True, id="a renamed one"),
        pytest.param(Reason.ORPHAN, truth(workspaces=()), False, id="no workspace"),
        pytest.param(Reason.ORPHAN, rows(9, Row()), False, id="its row is back"),
        pytest.param(Reason.ORPHAN, rows(9, Row(deleted=True)), True, id="flagged deleted"),
        pytest.param(Reason.ORPHAN, workspace(known_at=None), False, id="a stranger"),
        pytest.param(Reason.ORPHAN, rows(9, absence=Absence.LOST), False, id="lost with an older copy"),
        pytest.param(Reason.ORPHAN, workspace(daemon_saw_it_go=NOW - 9.0), False, id="the daemon saw it go"),
        pytest.param(Reason.DELETED, both(), False, id="a hook named it"),
        pytest.param(Reason.DELETED, workspace(hooks=(Hook(HookKind.ARCHIVED, NOW - 99.0),)), True, id="another hook"),
        pytest.param(Reason.REMOVED, both(), False, id="a witness"),
        pytest.param(
            Reason.ORPHAN, lambda each: truth(workspaces=(*each.workspaces, LIVING))(each), False, id="its name has a row"
        ),
    ],
)
def test_what_counts_as_an_orphan(reason: Reason, change: Change, counted: bool) -> None:
    assert counts(change(right(reason))) is counted
