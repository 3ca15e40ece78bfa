"""The same as in ``test_witness`` with a host's workspaces in PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.faults.test_witness import add_with_directories, directory_of, last_held, reasons, remove_directories
from tests.tools.daemons import PATIENCE, Daemon
from tests.tools.hosts import VibeKanbanHost
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes

if TYPE_CHECKING:
    from tests.tools.postgres import PostgresServer

pytestmark = pytest.mark.postgres

Worlds = Callable[..., World]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    from tests.tools.postgres import PostgresServer

    server = PostgresServer()
    yield server
    server.close()


def world_of(worlds: Worlds, postgres: PostgresServer, **settings: object) -> tuple[World, str]:
    """A world whose host has a database of that server, and the name of the database."""
    world, name = worlds(snapshots=False, **settings), postgres.new_database()
    world.host = VibeKanbanHost(world.host.path, postgres.url(name))
    world.host.create()
    world.configure(database_url=postgres.url(name))
    return world, name


@pytest.mark.parametrize("count", [2, 4, 6])
def test_i83_row_and_directory_gone_are_reaped_in_two_sweeps(worlds: Worlds, postgres: PostgresServer, count: int) -> None:
    world, _name = world_of(worlds, postgres)
    ids = add_with_directories(world, 6)
    world.sweep()
    gone = ids[-count:]
    world.host.delete(*gone)
    remove_directories(world, gone)
    world.sweep()
    report = world.sweep()
    assert outcomes(report) == {one: "reaped" if one in gone else "none" for one in ids}
    assert {world.entry(report, one).reason for one in gone} == {"removed"}
    assert not report.latched


@pytest.mark.parametrize("count", [2, 4, 6])
def test_i83_the_daemon_reaps_at_once_what_went_with_its_directory(
    worlds: Worlds, postgres: PostgresServer, count: int
) -> None:
    world, _name = world_of(worlds, postgres, tick=3600, confirmation_gap=3600, activity_grace=3600)
    ids = add_with_directories(world, 6)
    gone = ids[-count:]
    world.sweep()
    with Daemon(world) as daemon:
        world.host.delete(*gone)
        remove_directories(world, gone)
        wait_until(lambda: not any(map(world.lives, gone)), PATIENCE)
        assert daemon.stop() == 0
    assert {reason for _, reason in reasons(world)} == {"removed"}
    assert all(map(world.lives, ids[:-count]))


RESTORES = {
    "truncated and filled": "CREATE TABLE lost AS SELECT * FROM workspaces LIMIT 0; INSERT INTO lost SELECT * FROM workspaces"
    " WHERE container_ref NOT LIKE '%{last}'; TRUNCATE workspaces CASCADE; INSERT INTO workspaces SELECT * FROM lost",
    "deleted and filled": "DELETE FROM workspaces WHERE container_ref LIKE '%{last}'",
}


@pytest.mark.parametrize(("restore", "protection"), [("truncated and filled", "unproven"), ("deleted and filled", "doubtful")])
def test_i82_restored_in_place_while_only_a_timer_sweeps(
    worlds: Worlds, postgres: PostgresServer, restore: str, protection: str
) -> None:
    world, name = world_of(worlds, postgres)
    ids = add_with_directories(world, 6)
    world.sweep()
    (lost,) = add_with_directories(world, 1, first=2000)
    world.sweep()
    for statement in RESTORES[restore].format(last=lost).split("; "):
        postgres.execute(statement, name)
    reports = [world.sweep() for _ in range(4)]
    assert [one for one in [*ids, lost] if not world.lives(one)] == []
    assert world.entry(reports[-1], lost).protected_by == protection


def test_i83_a_a_table_that_was_filled_again_is_another_registry(worlds: Worlds, postgres: PostgresServer) -> None:
    """The host has cleaned up the directory that it did not know."""
    world, name = world_of(worlds, postgres, min_age=3600)
    add_with_directories(world, 3)
    world.sweep()
    (lost,) = add_with_directories(world, 1, first=2000)
    world.sweep()
    for statement in RESTORES["truncated and filled"].format(last=lost).split("; "):
        postgres.execute(statement, name)
    shutil.rmtree(directory_of(world, lost))
    reports = [world.sweep() for _ in range(3)]
    assert world.lives(lost)
    entry = world.entry(reports[-1], lost).as_json()
    assert entry["evidence"]["directory_says"] == "its row was seen in another registry than this one"


def test_the_newest_rows_go_under_the_daemon(worlds: Worlds, postgres: PostgresServer) -> None:
    world, _name = world_of(worlds, postgres, tick=1)
    ids = add_with_directories(world, 6)
    world.sweep()
    with Daemon(world):
        world.host.delete(*ids[-2:])
        wait_until(lambda: last_held(world, ids[-1]) == "doubtful", PATIENCE)
        assert all(map(world.lives, ids))
