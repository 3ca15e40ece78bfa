"""Row and directory that went together are a deletion, however many; a directory that is still there speaks against it."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.steps import alarms
from tests.tools.daemons import PATIENCE, Daemon
from tests.tools.hosts import connected
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.operations.sessions import explain_session
from workspace_reaper.operations.status import read_history, read_status

pytestmark = pytest.mark.once

Worlds = Callable[..., World]
Chosen = Callable[[Sequence[str], int], list[str]]


def oldest(ids: Sequence[str], count: int) -> list[str]:
    return list(ids[:count])


def newest(ids: Sequence[str], count: int) -> list[str]:
    return list(ids[-count:])


def at_random(ids: Sequence[str], count: int) -> list[str]:
    # Never the newest: that it vanished with others may look like a restore.
    return random.Random(83).sample(list(ids[:-1]), count)


def directory_of(world: World, workspace_id: str) -> Path:
    return world.tmp / "worktrees" / workspace_id


def with_directories(world: World, count: int, journal: str = "DELETE") -> list[str]:
    """Workspaces with a session and a directory each, the oldest first."""
    with connected(world.host.path) as server:
        server.execute(f"PRAGMA journal_mode = {journal}")
    return add_with_directories(world, count)


def add_with_directories(world: World, count: int, first: int = 1000) -> list[str]:
    ids = [world.host.new_id(number) for number in range(first, first + count)]
    for one in ids:
        directory_of(world, one).mkdir(parents=True)
        world.host.insert([one], worktree=str(directory_of(world, one)))
    world.server.new_sessions([session_name(world.schema, one) for one in ids])
    return ids


def delete(world: World, ids: Sequence[str], *, at_once: bool = True) -> None:
    if at_once:
        world.host.delete(*ids)
    else:
        for one in ids:
            world.host.delete(one)


def remove_directories(world: World, ids: Sequence[str]) -> None:
    for one in ids:
        shutil.rmtree(directory_of(world, one))


def reasons(world: World) -> list[tuple[str, str]]:
    """Workspace and reason of each reap."""
    return [(reap.intent.workspace_id, reap.intent.reason) for reap in read_history(world.plugin.reaper(), 1000)]


FEW = [
    pytest.param(4, 6, oldest, id="4 of 6"),
    pytest.param(2, 6, newest, id="the 2 newest of 6"),
    pytest.param(6, 6, newest, id="6 of 6"),
]
WHY_AND_WHAT_TO_DO = {
    "breaker": "('workspace-reaper breaker' shows the cause)",
    "doubtful": "its directory {} is still there. If a backup was restored, restore the missing rows. If the workspace was"
    " deleted, end the session: tmux -S ",
}
MANY = [
    pytest.param(50, 750, oldest, id="the 50 oldest of 750", marks=pytest.mark.storm),
    pytest.param(50, 750, newest, id="the 50 newest of 750", marks=pytest.mark.storm),
    pytest.param(50, 750, at_random, id="any 50 of 750", marks=pytest.mark.storm),
]


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize(("count", "of", "chosen"), [*FEW, *MANY])
def test_i83_row_and_directory_gone_are_reaped_in_two_sweeps(
    worlds: Worlds, journal: str, count: int, of: int, chosen: Chosen
) -> None:
    world = worlds(snapshots=False)
    ids = with_directories(world, of, journal)
    world.sweep()
    gone = chosen(ids, count)
    delete(world, gone)
    remove_directories(world, gone)

    first, second = world.sweep(), world.sweep()

    expected = {one: "reaped" if one in gone else "none" for one in ids}
    assert outcomes(second) == expected
    assert {world.entry(first, one).protected_by for one in gone} == {"unconfirmed"}
    assert {world.entry(second, one).reason for one in gone} == {"removed"}
    assert alarms(world) == set()
    assert not second.latched


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize(
    ("count", "chosen", "protection"),
    [
        pytest.param(4, oldest, "breaker", id="4 of 6"),
        pytest.param(2, newest, "doubtful", id="the 2 newest of 6"),
        pytest.param(6, newest, "doubtful", id="6 of 6"),
    ],
)
def test_i83_with_the_directories_still_there_they_are_held_and_the_text_says_why(
    worlds: Worlds, journal: str, count: int, chosen: Chosen, protection: str
) -> None:
    world = worlds(snapshots=False)
    ids = with_directories(world, 6, journal)
    world.sweep()
    gone = chosen(ids, count)
    delete(world, gone)

    reports = [world.sweep() for _ in range(4)]

    assert [one for one in ids if not world.lives(one)] == []
    assert {world.entry(reports[-1], one).protected_by for one in gone} == {protection}
    explained = explain_session(world.plugin.reaper(), session_name(world.schema, gone[0])).rules
    [rule] = [one for one in explained if one.reason == "orphan"]
    assert WHY_AND_WHAT_TO_DO[protection].format(directory_of(world, gone[0])) in rule.because


@pytest.mark.parametrize("chosen", [pytest.param(oldest, id="the oldest"), pytest.param(at_random, id="any")])
def test_old_rows_without_a_witness_follow_the_orphan_rules(worlds: Worlds, chosen: Chosen) -> None:
    world = worlds(snapshots=False)
    ids = with_directories(world, 8)
    world.sweep()
    gone = chosen(ids, 2)
    delete(world, gone)
    first, report = world.sweep(), world.sweep()
    assert {world.entry(first, one).protected_by for one in gone} == {"unconfirmed"}
    assert {world.entry(report, one).outcome for one in gone} == {"reaped"}
    assert {world.entry(report, one).reason for one in gone} == {"orphan"}


# With the daemon


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize("at_once", [True, False], ids=["one commit", "many"])
@pytest.mark.parametrize(("count", "of", "chosen"), FEW)
def test_i83_the_daemon_reaps_at_once_what_went_with_its_directory(
    worlds: Worlds, journal: str, at_once: bool, count: int, of: int, chosen: Chosen
) -> None:
    """The ticks are too rare to do it."""
    world = worlds(snapshots=False, tick=3600, confirmation_gap=3600, activity_grace=3600)
    ids = with_directories(world, of, journal)
    gone = chosen(ids, count)
    world.sweep()
    with Daemon(world) as daemon:
        delete(world, gone, at_once=at_once)
        remove_directories(world, gone)
        wait_until(lambda: not any(map(world.lives, gone)), PATIENCE)
        assert daemon.stop() == 0
    assert {reason for _, reason in reasons(world)} == {"removed"}
    assert {one for one, _ in reasons(world)} == set(gone)
    assert [one for one in ids if world.lives(one)] == [one for one in ids if one not in gone]


def last_held(world: World, workspace_id: str) -> str | None:
    """What protects it by the last full report, which another process has written."""
    report = read_status(world.plugin.reaper()).as_dict()
    return next((one["protected_by"] for one in report["sessions"] if one["workspace_id"] == workspace_id), None)


@pytest.mark.parametrize("witness", [True, False], ids=["a witness", "an absence alone"])
def test_a_client_saves_what_the_daemon_saw_go_until_it_detaches(worlds: Worlds, witness: bool) -> None:
    world = worlds(snapshots=False, tick=1, confirmation_gap=3600)
    ids = with_directories(world, 4)
    first = ids[0]
    client = world.server.attach(session_name(world.schema, first))
    world.sweep()
    with Daemon(world):
        world.host.delete(first)
        if witness:
            remove_directories(world, [first])
        wait_until(lambda: last_held(world, first) == "attached", PATIENCE)
        assert world.lives(first)
        client.detach()
        wait_until(lambda: not world.lives(first), PATIENCE)
    assert reasons(world) == [(first, "removed")]


def test_i83_the_daemon_finds_a_directory_that_is_removed_after_its_row(worlds: Worlds) -> None:
    """All of them, so that nothing but the directories proves it."""
    world = worlds(snapshots=False, tick=3600, confirmation_gap=3600)
    ids = with_directories(world, 4)
    world.sweep()
    with Daemon(world) as daemon:
        world.host.delete(*ids)
        daemon.wait_for_line("vanished")
        remove_directories(world, ids[:3])
        wait_until(lambda: not any(map(world.lives, ids[:3])), PATIENCE)
        assert world.lives(ids[3])
        remove_directories(world, ids[3:])
        wait_until(lambda: not world.lives(ids[3]), PATIENCE)
    assert {reason for _, reason in reasons(world)} == {"removed"}


# An older copy that is restored in its place


def copied(world: World) -> Path:
    """A copy of the file: one that SQLite makes has another schema version, and shows by that."""
    with connected(world.host.path) as server:
        server.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(shutil.copyfile(world.host.path, world.tmp / "backup.sqlite"))


def by_shell(world: World, backup: Path) -> None:
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(world.host.path)) as target:
        source.backup(target)


def by_copy(world: World, backup: Path) -> None:
    for name in ("-wal", "-shm"):
        world.host.path.with_name(world.host.path.name + name).unlink(missing_ok=True)
    shutil.copyfile(backup, world.host.path)


def by_copy_and_written_to(world: World, backup: Path) -> None:
    """So often that its count of changes is higher than before."""
    by_copy(world, backup)
    for number in range(200):
        world.host.insert([world.host.new_id(5000 + number)])


@pytest.mark.parametrize(
    ("restore", "journal", "protection"),
    [
        (by_shell, "DELETE", "unproven"),
        (by_shell, "WAL", "unproven"),
        (by_copy, "DELETE", "unproven"),
        # In WAL mode, the count of changes that the file contains is that of the last checkpoint.
        (by_copy, "WAL", "doubtful"),
        (by_copy_and_written_to, "DELETE", "doubtful"),
        (by_copy_and_written_to, "WAL", "doubtful"),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_i82_restored_in_place_while_only_a_timer_sweeps(
    worlds: Worlds, journal: str, restore: Callable[[World, Path], None], count: int, protection: str
) -> None:
    world = worlds(snapshots=False)
    # More than the rows by which a table is recognized, or their absence alone would show that it is another one.
    world.workspaces(50, sessions=False)
    ids = with_directories(world, 6, journal)
    world.sweep()
    backup = copied(world)
    lost = add_with_directories(world, count, first=2000)
    world.sweep()
    restore(world, backup)
    reports = [world.sweep() for _ in range(4)]
    # What is made after it ends no doubt.
    add_with_directories(world, 2, first=3000)
    reports += [world.sweep() for _ in range(3)]
    assert [one for one in [*ids, *lost] if not world.lives(one)] == []
    assert {world.entry(reports[-1], one).protected_by for one in lost} == {protection}


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_the_newest_rows_go_under_the_daemon(worlds: Worlds, journal: str) -> None:
    """Two are few, so their absence alone would count: it is their directories that save them."""
    world = worlds(snapshots=False, tick=1)
    ids = with_directories(world, 6, journal)
    world.sweep()
    with Daemon(world):
        world.host.delete(*ids[-2:])
        wait_until(lambda: last_held(world, ids[-1]) == "doubtful", PATIENCE)
        sweeps = {read_status(world.plugin.reaper()).as_dict()["sweep"]}
        while len(sweeps) < 4:
            sweeps.add(read_status(world.plugin.reaper()).as_dict()["sweep"])
        assert all(map(world.lives, ids))


@pytest.mark.parametrize("count", [2, 4])
def test_i83_without_any_directory_the_two_newest_are_no_restore(worlds: Worlds, count: int) -> None:
    world = worlds(snapshots=False, tick=3600, confirmation_gap=3600, activity_grace=3600)
    ids = world.workspaces(8)
    world.sweep()
    with Daemon(world) as daemon:
        delete(world, ids[-count:], at_once=count == 2)
        wait_until(lambda: not any(map(world.lives, ids[-count:])), PATIENCE)
        assert daemon.stop() == 0
    assert {reason for _, reason in reasons(world)} == {"removed"}
    assert all(map(world.lives, ids[:-count]))
