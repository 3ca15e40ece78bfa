"""What the directory of a workspace says about an absent row: each condition by itself makes it say nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workspace_reaper.model.directory import Directory, DirectoryRecord, Sight, Workplace
from workspace_reaper.policy.witness import Presence, Surroundings, ask, is_usable, restored

THERE = Directory("/home/u/link/w1", "/srv/trees/w1", "8:11", "8:1")
RECORD = DirectoryRecord("w1", 3, THERE, 1000.0, 900, 1)
ABSENT = Sight(parent="8:1")
AROUND = Surroundings(
    generation=3, homes={"/home/u", "/mnt/home/u"}, named={"/srv/trees/w2"}, records=("/home/u/state", "/home/u/db.sqlite")
)


def of(path: str, resolved: str | None = None) -> DirectoryRecord:
    return replace(RECORD, directory=replace(THERE, path=path, resolved=resolved or path))


MOUNTED = replace(RECORD, directory=replace(THERE, is_below_mount=True, neighbours=("lost+found",)))
DOUBTS = {
    "a: seen in another registry": (RECORD, ABSENT, replace(AROUND, generation=4), (), "another registry"),
    "c: no answer": (RECORD, Sight(error="there is no answer"), AROUND, (), "is unknown: there is no answer"),
    "d: another parent": (RECORD, Sight(parent="8:2"), AROUND, (), "a disk may be missing"),
    "d: the same inode of another device": (RECORD, Sight(parent="9:1"), AROUND, (), "a disk may be missing"),
    "d: no parent": (RECORD, Sight(), AROUND, (), "is not the same any more"),
    "d: below a mount, and nothing is left": (MOUNTED, ABSENT, AROUND, (), "nothing else is left of what /srv/trees contained"),
    "e: it was moved": (RECORD, ABSENT, AROUND, [Workplace("8:11", 2)], "was moved, and a process of the session works in it"),
    "e: the processes are unknown": (RECORD, ABSENT, AROUND, None, "its processes cannot be read"),
    "f: relative": (of("trees/w1", "/srv/trees/w1"), ABSENT, AROUND, (), "cannot be the directory of one workspace"),
    "f: empty": (of("", "/srv"), ABSENT, AROUND, (), "cannot be the directory of one workspace"),
    "f: the root": (of("/", "/"), ABSENT, AROUND, (), "cannot be the directory of one workspace"),
    "f: HOME": (of("/home/u"), ABSENT, AROUND, (), "cannot be the directory of one workspace"),
    "f: HOME through a link": (of("/mine", "/mnt/home/u"), ABSENT, AROUND, (), "cannot be the directory of one workspace"),
    "f: above HOME": (of("/home/"), ABSENT, AROUND, (), "cannot be the directory of one workspace"),
    "f: another row names it": (
        RECORD, ABSENT, replace(AROUND, named={"/srv/trees//w1/"}), (), "the row of another workspace names"
    ),
    "f: another row names it through the link": (
        RECORD, ABSENT, replace(AROUND, named={"/home/u/link/w1"}), (), "the row of another workspace names"
    ),
    "f: another row names a directory in it": (
        RECORD, ABSENT, replace(AROUND, named={"/srv/trees/w1/sub"}), (), "the row of another workspace names"
    ),
    "f: the other rows are unknown": (RECORD, ABSENT, replace(AROUND, named=None), (), "cannot be read"),
    "g: the ledger lay in it": (
        RECORD, ABSENT, replace(AROUND, records=("/srv/trees/w1/state",)), (), "the record of the workspace lay in"
    ),
    "g: its own file lay in it": (
        RECORD, ABSENT, replace(AROUND, records=("/srv/trees/*/.app/w.json",)), (), "the record of the workspace lay in"
    ),
    "g: its own file was it": (
        RECORD, ABSENT, replace(AROUND, records=("/srv/trees/w?",)), (), "the record of the workspace lay in"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("record", "sight", "around", "places", "why"), DOUBTS.values(), ids=DOUBTS)
def test_i83_each_condition_alone_makes_it_say_nothing(
    record: DirectoryRecord, sight: Sight, around: Surroundings, places: list[Workplace] | None, why: str
) -> None:
    witness = ask(record, sight, around, places)
    assert (witness.presence, witness.confirms) == (Presence.UNKNOWN, False)
    assert why in witness.why


@pytest.mark.parametrize(
    ("record", "sight", "around", "places"),
    [
        pytest.param(RECORD, ABSENT, AROUND, (), id="nothing else"),
        pytest.param(MOUNTED, replace(ABSENT, has_neighbour=True), AROUND, (), id="below a mount that is there"),
        pytest.param(RECORD, ABSENT, AROUND, [Workplace("8:11", 0), Workplace("8:99", 2)], id="processes in what was removed"),
        pytest.param(RECORD, ABSENT, replace(AROUND, named={"/srv/trees/w10", "/srv/trees"}), (), id="rows that name others"),
        pytest.param(RECORD, ABSENT, replace(AROUND, records=("/srv/trees/x*/w.json", "/srv/*")), (), id="files elsewhere"),
    ],
)
def test_i83_row_and_directory_went_together(
    record: DirectoryRecord, sight: Sight, around: Surroundings, places: list[Workplace]
) -> None:
    witness = ask(record, sight, around, places)
    assert (witness.presence, witness.confirms) == (Presence.GONE, True)
    assert witness.why == "its directory /home/u/link/w1 went together with its row"


@pytest.mark.parametrize("sight", [Sight(written="8:11"), Sight(resolved="8:11"), Sight("8:12", "8:12", "8:2")])
def test_c_what_is_at_either_path_is_there(sight: Sight) -> None:
    witness = ask(RECORD, sight, AROUND, ())
    assert (witness.presence, witness.confirms) == (Presence.THERE, False)
    assert witness.why == "its directory /home/u/link/w1 is still there"


@pytest.mark.parametrize(("path", "usable"), [("/w", True), ("/home/user", True), ("w", False), ("", False), ("/x/..", False)])
def test_which_paths_may_be_the_directory_of_one_workspace(path: str, usable: bool) -> None:
    assert is_usable(path, ["/home/u"]) is usable


# The witness against


def known(*missing: tuple[int, float | None], generation: int = 3) -> list[DirectoryRecord]:
    """Workspaces w0, w1, …, the oldest first; those that are ``missing`` since that time."""
    since = dict(missing)
    return [
        replace(RECORD, workspace_id=f"w{n}", number=n, missing_since=since.get(n), generation=generation) for n in range(6)
    ]


@pytest.mark.parametrize(
    ("missing", "doubted"),
    [
        pytest.param([], "", id="none"),
        pytest.param([5], "w5", id="the newest"),
        pytest.param([4, 5], "w4 w5", id="the two newest"),
        pytest.param([0, 1, 2, 3, 4, 5], "w0 w1 w2 w3 w4 w5", id="all"),
        pytest.param([0, 1], "", id="the oldest"),
        pytest.param([0, 3, 5], "", id="any, with the newest among them"),
        pytest.param([1, 4, 5], "w4 w5", id="the newest, and one that was deleted in the same moment"),
    ],
)
def test_i82_the_newest_rows_vanish_when_an_older_copy_is_restored(missing: list[int], doubted: str) -> None:
    assert restored(known(*((n, 2000.0) for n in missing)), 3) == set(doubted.split())


def test_i82_two_newest_rows_do_not_vanish_by_chance_with_older_ones() -> None:
    many = [
        replace(RECORD, workspace_id=f"w{n}", number=n, missing_since=2000.0 if n in (0, 1, 2, 8, 9) else None)
        for n in range(10)
    ]
    assert restored(many, 3) == {"w8", "w9"}


def test_i82_rows_that_went_with_their_directories_say_nothing_about_the_others() -> None:
    records = known((0, 2000.0), (1, 2000.0), (5, 2000.0))
    assert restored(records, 3) == frozenset()
    assert restored(records, 3, {"w0", "w1"}) == {"w5"}


def test_i82_a_row_whose_directory_is_no_witness_says_nothing_but_its_place() -> None:
    records = [replace(one, outlived=one.number != 5) for one in known((0, 2000.0), (1, 2000.0), (5, 2000.0))]
    assert restored(records, 3) == {"w5"}
    newer = replace(RECORD, workspace_id="newer", number=6, outlived=True)
    assert restored([*records, newer], 3) == frozenset()


def test_i82_the_number_of_the_row_counts_before_its_first_sight() -> None:
    """A user may open the terminal of an old workspace late."""
    lost = replace(RECORD, workspace_id="lost", place=8, missing_since=3000.0)
    late = replace(RECORD, workspace_id="late", place=7, seen_at=2000.0)
    assert restored([lost, late], 3) == {"lost"}
    assert restored([replace(lost, missing_since=None), replace(late, missing_since=3000.0)], 3) == frozenset()
    # Where one has no number, none counts.
    assert restored([lost, replace(late, place=None)], 3) == frozenset()


def test_i82_what_vanished_before_says_nothing_about_what_vanishes_now() -> None:
    assert restored(known((5, 2000.0), (0, 3000.0)), 3) == {"w5"}
    assert restored(known((5, 2000.0), (4, 3000.0)), 3) == {"w4", "w5"}
    assert restored(known((0, 2000.0), (5, 3000.0), (4, 3000.0)), 3) == {"w4", "w5"}


def test_i82_a_workspace_that_is_made_after_the_restore_ends_no_doubt() -> None:
    later = replace(RECORD, workspace_id="later", seen_at=2500.0)
    assert restored([*known((4, 2000.0), (5, 2000.0)), later], 3) == {"w4", "w5"}


def test_i82_another_registry_says_nothing() -> None:
    assert restored(known((5, 2000.0), generation=2), 3) == frozenset()


def test_i82_first_seen_counts_before_the_age_of_the_session() -> None:
    """A host may start the session of an old workspace again."""
    old, new = replace(RECORD, workspace_id="old", created=5000), replace(RECORD, workspace_id="new", seen_at=2000.0)
    assert restored([old, replace(new, missing_since=3000.0)], 3) == {"new"}
    assert restored([replace(old, missing_since=3000.0), new], 3) == frozenset()
