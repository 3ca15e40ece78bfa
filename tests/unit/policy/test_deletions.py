"""Which absences may be told as deletions, and which are left to the orphan rules."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from tests.tools.builders import changed
from workspace_reaper.model.workspace import LookupResult, RegistryIdentity, Workspace, WorkspaceList
from workspace_reaper.policy.deletions import WINDOW, Comparison, Past, compare, confirm, vanished

NO_SESSIONS: frozenset[str] = frozenset()


def ids(count: int, first: int = 0) -> frozenset[str]:
    return frozenset(f"w{number:03}" for number in range(first, first + count))


def workspace_list(workspaces: Collection[str], archived: Collection[str] = (), **changes: object) -> WorkspaceList:
    identity = RegistryIdentity("/srv/db (inode 1)", "standard", "1", 10, tuple(sorted(workspaces)[:32]))
    return changed(WorkspaceList(identity, frozenset(workspaces), frozenset(archived)), **changes)


def rows(
    of: WorkspaceList, found: Collection[Workspace] = (), sentinels_found: Collection[str] | None = None, **changes: object
) -> LookupResult:
    """What a look-up says of the same database."""
    answer = LookupResult(
        found={workspace.workspace_id: workspace for workspace in found},
        identity=replace(of.identity, schema_version=None, change_counter=None),
        total=len(of.workspaces),
        capped=False,
        sentinels_found=frozenset(of.identity.sentinels if sentinels_found is None else sentinels_found),
    )
    return changed(answer, **changes)


def after(before: WorkspaceList, now: WorkspaceList, sessions: Collection[str] | None = NO_SESSIONS) -> Comparison:
    return compare(Past(before), now, sessions, 100.0)


def test_the_first_census_is_a_baseline() -> None:
    now = workspace_list(ids(5), archived=ids(2))
    comparison = compare(None, now, None, 0.0)
    assert comparison == Comparison(Past(now))
    assert vanished(None, now) == frozenset()


def test_what_vanished_was_deleted() -> None:
    before, now = workspace_list(ids(5)), workspace_list(ids(5) - {"w001", "w003"})
    comparison = after(before, now)
    assert comparison.deleted == ("w001", "w003")
    assert (comparison.archived, comparison.suppressed, comparison.why) == ((), frozenset(), None)
    assert comparison.past.workspace_list == now


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        pytest.param(workspace_list(ids(3)), workspace_list(ids(3), ["w000"]), ("w000",), id="was not archived"),
        pytest.param(workspace_list(ids(3)), workspace_list(ids(4), ["w003"]), ("w003",), id="new and archived"),
        pytest.param(workspace_list(ids(3), ["w000"]), workspace_list(ids(3), ["w000"]), (), id="was archived"),
        pytest.param(workspace_list(ids(3), ["w000"]), workspace_list(ids(3)), (), id="archived no more"),
        pytest.param(workspace_list(ids(3)), workspace_list(ids(2)), (), id="deleted"),
        pytest.param(
            workspace_list(ids(9)), workspace_list(ids(9), ids(9)), tuple(sorted(ids(9))), id="all at once: it rests on rows"
        ),
    ],
)
def test_archived(before: WorkspaceList, now: WorkspaceList, told: tuple[str, ...]) -> None:
    assert after(before, now).archived == told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"location": "/srv/db (inode 2)"}, "the database was"),
        ({"schema": "cao"}, "its schema was"),
        ({"schema_version": "2"}, "replaced as a whole"),
        ({"schema_version": None}, "replaced as a whole"),
        ({"change_counter": 9}, "count of changes went back"),
    ],
)
def test_another_identity_is_a_new_baseline(change: dict[str, object], words: str) -> None:
    before, now = workspace_list(ids(9)), workspace_list(ids(8), ["w000"], **change)
    comparison = compare(Past(before, gone=("old",)), now, NO_SESSIONS, 0.0)
    assert (comparison.deleted, comparison.archived) == ((), ())
    assert comparison.suppressed == {"w008"}
    assert words in (comparison.why or "")
    assert (comparison.past.workspace_list, comparison.past.gone) == (now, ())
    assert compare(comparison.past, replace(now, workspaces=ids(7)), NO_SESSIONS, 0.0).deleted == ("w007",)


def test_i109_what_vanished_before_a_change_of_identity_counts_for_a_minute() -> None:
    """Four of five sessions lose their rows within a minute, and the tables are changed in between."""
    lists = [workspace_list(ids(20, first)) for first in (0, 2, 2, 4)]
    lists[2:] = [changed(one, schema_version="2") for one in lists[2:]]
    past = compare(Past(lists[0]), lists[1], ids(5), 100.0).past
    past = compare(past, lists[2], ids(3, first=2), 110.0).past
    assert compare(past, lists[3], ids(3, first=2), 159.0).deleted == ()
    assert compare(past, lists[3], ids(3, first=2), 161.0).deleted == ("w002", "w003")


def test_i109_what_vanishes_together_with_a_change_of_identity_counts_for_a_minute() -> None:
    lists = [workspace_list(ids(20, first)) for first in (0, 2, 4)]
    lists[1:] = [changed(one, schema_version="2") for one in lists[1:]]
    past = compare(Past(lists[0]), lists[1], ids(5), 100.0).past
    assert compare(past, lists[2], ids(3, first=2), 159.0).deleted == ()
    assert compare(past, lists[2], ids(3, first=2), 161.0).deleted == ("w002", "w003")


def test_a_schema_version_that_was_not_there_before_is_a_new_baseline() -> None:
    comparison = after(workspace_list(ids(9), schema_version=None), workspace_list(ids(8)))
    assert (comparison.deleted, comparison.suppressed) == ((), {"w008"})


@pytest.mark.parametrize("clocks", [(10, 10), (10, 11), (None, 1), (10, None), (None, None)])
def test_a_clock_that_did_not_go_back(clocks: tuple[int | None, int | None]) -> None:
    before, now = (workspace_list(some, change_counter=clock) for some, clock in zip((ids(9), ids(8)), clocks, strict=True))
    assert after(before, now).deleted == ("w008",)


def test_i83_which_rows_went_is_no_change_of_identity() -> None:
    before = workspace_list(ids(100), sentinels=tuple(sorted(ids(3))))
    for gone in (ids(3), ids(2, first=98)):
        comparison = after(before, replace(before, workspaces=before.workspaces - gone))
        assert (comparison.deleted, comparison.why) == (tuple(sorted(gone)), None)
    others = after(before, workspace_list(ids(97, first=3)))
    assert (others.deleted, others.why) == (("w000", "w001", "w002"), None)


def test_what_the_watcher_saw_to_be_replaced_is_a_new_baseline() -> None:
    comparison = after(workspace_list(ids(9)), replace(workspace_list(ids(8)), replaced="its log was removed"))
    assert (comparison.deleted, comparison.suppressed, comparison.vanished) == ((), {"w008"}, ())
    assert (comparison.why, comparison.uncertain) == ("its log was removed", True)


def test_an_oldest_row_that_is_only_flagged_as_deleted_is_left() -> None:
    before = workspace_list(ids(100), sentinels=tuple(sorted(ids(3))))
    now = workspace_list(ids(97, first=3), sentinels=before.identity.sentinels)
    assert after(before, now).deleted == ("w000", "w001", "w002")


@pytest.mark.parametrize("count", [1, 2])
def test_the_last_workspaces_of_a_small_server_may_go(count: int) -> None:
    assert after(workspace_list(ids(count)), workspace_list(())).deleted == tuple(sorted(ids(count)))


@pytest.mark.parametrize(("gone", "later", "uncertain"), [(5, 1.0, True), (2, 1.0, False), (5, WINDOW, False)])
def test_what_vanished_right_before_the_identity_is_doubtful_too_if_it_is_much(
    gone: int, later: float, uncertain: bool
) -> None:
    """A workspace_list of several transactions may see the rows go before their order."""
    before = workspace_list(ids(5))
    emptied = workspace_list(ids(5) - ids(gone), sentinels=before.identity.sentinels)
    first = compare(Past(before), emptied, NO_SESSIONS, 100.0)
    second = compare(first.past, changed(emptied, sentinels=(), schema_version="2"), NO_SESSIONS, 100.0 + later)
    assert (second.suppressed, second.why is not None, second.uncertain) == (NO_SESSIONS, True, uncertain)


def test_only_what_vanished_with_the_identity_is_doubtful() -> None:
    before = workspace_list(ids(9))
    assert after(before, workspace_list(ids(8), schema_version="2")).uncertain
    assert not after(before, workspace_list(ids(9), schema_version="2")).uncertain
    assert not after(before, workspace_list(ids(8))).uncertain
    too_many = after(before, workspace_list(ids(2)))
    assert (too_many.suppressed, too_many.uncertain) == (ids(7, first=2), False)
    swapped = confirm(
        after(before, workspace_list(ids(7))),
        before,
        rows(workspace_list(ids(7)), [Workspace("w007"), Workspace("w008")], location="x"),
    )
    assert (swapped.suppressed, swapped.uncertain) == (NO_SESSIONS, False)


@pytest.mark.parametrize(
    ("lost", "of", "told"), [(2, 2, True), (3, 5, False), (3, 6, True), (4, 8, True), (5, 9, False), (3, 3, False)]
)
def test_the_threshold_of_the_breaker(lost: int, of: int, told: bool) -> None:
    before, now = workspace_list(ids(of)), workspace_list(ids(of) - ids(lost))
    comparison = after(before, changed(now, sentinels=before.identity.sentinels))
    assert bool(comparison.deleted) is told
    assert (comparison.why is None) is told
    assert comparison.deleted or comparison.suppressed == ids(lost)
    assert comparison.past.workspace_list.workspaces == now.workspaces


def test_archived_has_no_threshold() -> None:
    comparison = after(workspace_list(ids(5)), workspace_list(ids(2, first=3), ["w004"], sentinels=("w003",)))
    assert comparison.suppressed == ids(3)
    comparison = after(workspace_list(ids(5), sentinels=("w003",)), workspace_list(ids(2, first=3), ["w004"]))
    assert (comparison.suppressed, comparison.archived) == (ids(3), ("w004",))


@pytest.mark.parametrize(
    ("lost", "living", "told"),
    [
        pytest.param(ids(3), ids(5), False, id="most of those with a session"),
        pytest.param(ids(3), ids(6), True, id="half of those with a session"),
        pytest.param(ids(3), ids(5, first=1), True, id="two of them had one"),
        pytest.param(ids(3), ids(3) | {"no workspace"}, False, id="others do not count"),
        pytest.param(ids(3), None, False, id="the sessions can't be told"),
        pytest.param(ids(2), None, True, id="and few are gone"),
    ],
)
def test_the_threshold_of_those_with_a_session(lost: frozenset[str], living: frozenset[str] | None, told: bool) -> None:
    before = workspace_list(ids(1000), sentinels=("w999",))
    comparison = after(before, workspace_list(ids(1000) - lost, sentinels=("w999",)), living)
    assert bool(comparison.deleted) is told
    assert told or "with a session" in (comparison.why or "")


def row_by_row(count: int, of: int, every: float, sessions: Collection[str] = NO_SESSIONS) -> list[str]:
    """How many deletions are told where rows go one by one, so many seconds apart."""
    left, told = ids(of), []
    past = Past(workspace_list(left, sentinels=("w999",)))
    for number in range(count):
        left -= {f"w{number:03}"}
        comparison = compare(past, workspace_list(left, sentinels=("w999",)), sessions, number * every)
        told += comparison.deleted
        past = comparison.past
    return told


def test_rows_that_go_one_by_one_are_counted_together() -> None:
    assert row_by_row(8, of=8, every=0.3) == ["w000", "w001", "w002", "w003"]
    assert row_by_row(8, of=900, every=0.3, sessions=ids(6)) == ["w000", "w001", "w002", "w006", "w007"][:3]


def test_the_window_ends() -> None:
    assert len(row_by_row(8, of=8, every=WINDOW)) == 8


def test_rows_that_come_back_mean_a_restore() -> None:
    deletion = after(workspace_list(ids(9)), workspace_list(ids(8)))
    assert deletion.deleted == ("w008",)
    restored = compare(deletion.past, workspace_list(ids(9) - {"w007"}), NO_SESSIONS, 101.0)
    assert restored.suppressed == {"w007"}
    assert "there again" in (restored.why or "")
    assert restored.past.gone == ()


def test_a_row_that_only_comes_back_is_known_again() -> None:
    deletion = after(workspace_list(ids(9)), workspace_list(ids(8)))
    again = compare(deletion.past, workspace_list(ids(9)), NO_SESSIONS, 101.0)
    assert (again.deleted, again.why, again.past.gone, again.past.recent) == ((), None, (), ())
    assert compare(again.past, workspace_list(ids(8)), NO_SESSIONS, 102.0).deleted == ("w008",)


def test_what_vanished_is_remembered_up_to_a_bound() -> None:
    before = workspace_list(ids(30_000), sentinels=("x",))
    comparison = after(before, workspace_list(ids(16_000), sentinels=("x",)))
    assert comparison.deleted
    assert len(comparison.past.gone) == 10_000


def test_confirmed() -> None:
    before, now = workspace_list(ids(9)), workspace_list(ids(7))
    comparison = after(before, now)
    assert confirm(comparison, before, rows(now)) == comparison


def test_a_row_that_is_there_after_all_is_known_again() -> None:
    before, now = workspace_list(ids(9)), workspace_list(ids(7), ["w000"])
    comparison = confirm(after(before, now), before, rows(now, [Workspace("w007"), Workspace("w008", deleted=True)]))
    assert (comparison.deleted, comparison.archived) == (("w008",), ("w000",))
    assert comparison.past.workspace_list.workspaces == ids(8)
    assert [absent.workspace_id for absent in comparison.past.recent] == ["w008"]
    assert comparison.past.gone == ("w008",)
    assert compare(comparison.past, workspace_list(ids(7), ["w000"]), NO_SESSIONS, 101.0).deleted == ("w007",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"location": "/srv/db (inode 2)"}, "inode 2"),
        ({"schema": "cao"}, "its schema was"),
        ({"schema_version": "2"}, "replaced as a whole"),
        ({"change_counter": 9}, "count of changes went back"),
    ],
)
def test_another_database_by_the_time_of_the_look_up(change: dict[str, object], words: str) -> None:
    before, now = workspace_list(ids(9)), workspace_list(ids(7), ["w000"])
    comparison = confirm(after(before, now), before, rows(now, **change))
    assert (comparison.deleted, comparison.archived) == ((), ())
    assert comparison.suppressed == {"w007", "w008"}
    assert words in (comparison.why or "")


def test_i82_rows_that_vanish_as_after_a_restore_are_left_to_their_directories_and_stay_in_doubt() -> None:
    before, now = workspace_list(ids(9)), workspace_list(ids(8))
    comparison = compare(Past(before), replace(now, looks_restored="the newest rows are gone"), NO_SESSIONS, 100.0)
    assert (comparison.deleted, comparison.vanished, comparison.as_by_restore) == ((), ("w008",), True)
    assert not comparison.uncertain
    assert compare(comparison.past, workspace_list(ids(7)), NO_SESSIONS, 101.0).deleted == ("w007",)


def test_i82_a_flag_that_comes_with_an_older_copy_is_no_event() -> None:
    before, now = workspace_list(ids(9)), workspace_list(ids(8), ids(2))
    looks_restored = replace(now, looks_restored="the newest rows are gone")
    assert compare(Past(before), looks_restored, NO_SESSIONS, 100.0).archived == ()
    assert compare(Past(before), now, NO_SESSIONS, 100.0).archived == ("w000", "w001")


def test_i82_rows_of_which_the_newest_are_unknown_are_left_to_their_directories_without_a_doubt() -> None:
    before, now = workspace_list(ids(9)), workspace_list(ids(8), ids(2))
    may_be_restored = replace(now, may_be_restored="the numbers of its rows do not exclude it")
    comparison = compare(Past(before), may_be_restored, NO_SESSIONS, 100.0)
    assert (comparison.deleted, comparison.archived, comparison.vanished) == ((), (), ("w008",))
    assert (comparison.as_by_restore, comparison.uncertain, comparison.why) == (False, False, may_be_restored.may_be_restored)
