"""The host daemon lives through what becomes of databases, terminals, disks, clocks and of itself: nobody dies of it, and what
should go afterwards goes."""

from __future__ import annotations

import itertools
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.tools.daemons import PATIENCE, Daemon
from tests.tools.disks import small_disk
from tests.tools.hosts import HOSTS, connected
from tests.tools.waiting import wait_until
from tests.tools.world import World, session_name
from workspace_reaper.operations.status import read_status

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(300)]

Worlds = Callable[..., World]

LIVELY = 3600
"""Seconds of grace: an absence alone ends nobody; what the daemon calls deleted is ended all the same."""


@pytest.fixture
def world(worlds: Worlds) -> World:
    return worlds(activity_grace=LIVELY, tick=0.5, snapshots=False, confirmation_gap=0.1)


def sweeps(world: World) -> str | None:
    """Which full sweep was the last one."""
    report = read_status(world.plugin.reaper()).report
    return report["sweep"] if report else None


def two_sweeps(world: World) -> None:
    """Wait until a full sweep has begun and ended from now on: the first one may be in the middle."""
    for _ in range(3):
        before = sweeps(world)
        wait_until(lambda before=before: sweeps(world) != before, PATIENCE)  # type: ignore[misc]


def stamped(world: World, workspace_id: str) -> bool:
    """A full sweep has found its row."""
    found = world.server.run("list-sessions", "-F", "#{session_name} #{@workspace_owner}")
    return any(
        line.startswith(f"{session_name(world.schema, workspace_id)} ") and not line.endswith(" ") for line in found.split("\n")
    )


def known(world: World, count: int) -> list[str]:
    """Workspaces with sessions, all of which the daemon knows."""
    ids = world.workspaces(count)
    wait_until(lambda: all(stamped(world, one) for one in ids), PATIENCE)
    return ids


def should_go_goes(world: World, daemon: Daemon) -> None:
    """Deleted and archived from now on. The daemon may doubt its registry for a while: the ticks decide then, by ages."""
    world.settings["activity_grace"] = 0
    world.write_config()
    daemon.signal(signal.SIGHUP)
    deleted, archived = known(world, 2)
    world.host.delete(deleted)
    world.host.archive(archived)
    wait_until(lambda: not world.lives(deleted) and not world.lives(archived), PATIENCE)


# The database

Fault = Callable[[World, list[str]], Callable[[], None]]
"""Does it, and returns what mends it."""


def replaced_by_rename(world: World, ids: list[str]) -> Callable[[], None]:
    """With the very same content, as some ways of making a backup do it."""
    copy = world.tmp / "copy.sqlite"
    shutil.copy(world.host.path, copy)
    copy.replace(world.host.path)
    return lambda: None


def older_copy(world: World, ids: list[str]) -> Path:
    """A backup from before the last two workspaces. It has fewer commits than the database now.

    A copy with one commit more could not be told from the deletion of both by the host.
    """
    copy = world.tmp / "backup.sqlite"
    shutil.copy(world.host.path, copy)
    with connected(copy) as connection:
        connection.executemany(
            "DELETE FROM workspaces WHERE id = ?", [(bytes.fromhex(one.replace("-", "")),) for one in ids[-2:]]
        )
    # The change counter in the header, and its copy, by which SQLite knows that the header is valid.
    content = bytearray(copy.read_bytes())
    commits = int.from_bytes(content[24:28], "big") - 2
    content[24:28] = content[92:96] = commits.to_bytes(4, "big")
    copy.write_bytes(content)
    return copy


def restored_by_rename(world: World, ids: list[str]) -> Callable[[], None]:
    older_copy(world, ids).replace(world.host.path)
    return lambda: world.host.insert(ids[-2:])


def restored_into_the_file(world: World, ids: list[str]) -> Callable[[], None]:
    """As ``sqlite3 FILE '.restore backup'`` does it, under the server's feet."""
    with closing(sqlite3.connect(older_copy(world, ids))) as source, closing(sqlite3.connect(world.host.path)) as target:
        source.backup(target)
    return lambda: world.host.insert(ids[-2:])


def restored_by_copy(world: World, ids: list[str]) -> Callable[[], None]:
    """As ``cp backup FILE`` does it; then the server writes on, so that the count of changes is soon what it was."""
    shutil.copyfile(older_copy(world, ids), world.host.path)
    world.workspaces(1, sessions=False)
    return lambda: world.host.insert(ids[-2:])


def vacuumed(world: World, ids: list[str]) -> Callable[[], None]:
    with closing(sqlite3.connect(world.host.path, isolation_level=None)) as connection:
        connection.execute("VACUUM")
    return lambda: None


def locked(world: World, ids: list[str]) -> Callable[[], None]:
    """For thirty seconds, in which nobody can read it."""
    with closing(sqlite3.connect(world.host.path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(30)
        connection.execute("ROLLBACK")
    return lambda: None


def deleted_and_made_again(world: World, ids: list[str]) -> Callable[[], None]:
    world.host.path.unlink()
    two_sweeps(world)
    world.host.create()
    return lambda: world.host.insert(ids)


def emptied(world: World, ids: list[str]) -> Callable[[], None]:
    world.host.delete(*ids)
    return lambda: world.host.insert(ids)


def swapped(world: World, ids: list[str]) -> Callable[[], None]:
    """For the database of another server."""
    other = HOSTS[world.schema](world.tmp / "stranger.sqlite")
    other.create()
    other.insert([other.new_id(number) for number in range(900, 910)])
    own = world.tmp / "own.sqlite"
    world.host.path.rename(own)
    other.path.replace(world.host.path)

    def mend() -> None:
        own.replace(world.host.path)

    return mend


@pytest.mark.parametrize(
    "fault",
    [
        replaced_by_rename,
        restored_by_rename,
        restored_into_the_file,
        restored_by_copy,
        vacuumed,
        locked,
        deleted_and_made_again,
        emptied,
        swapped,
    ],
)
def test_nobody_dies_of_what_becomes_of_the_database(world: World, fault: Fault) -> None:
    """Neither by what is told as a deletion nor by an absence that is confirmed: no grace holds that back."""
    world.configure(activity_grace=0, confirmation_gap=1)
    with Daemon(world) as daemon:
        ids = known(world, 6)
        two_sweeps(world)  # it looks at the database more often than it sweeps: it has noticed them by then
        mend = fault(world, ids)
        for _ in range(3):  # absences are confirmed by then
            two_sweeps(world)
        assert [one for one in ids if not world.lives(one)] == [], "".join(daemon.lines)
        mend()
        two_sweeps(world)
        should_go_goes(world, daemon)
        assert [one for one in ids if not world.lives(one)] == []
        assert daemon.stop() == 0


# tmux


def test_a_terminal_server_that_is_killed_and_starts_again(world: World) -> None:
    with Daemon(world) as daemon:
        ids = known(world, 4)
        world.server.kill_hard()
        two_sweeps(world)
        for one in ids:
            world.session(one)
        two_sweeps(world)
        assert [one for one in ids if not world.lives(one)] == []
        should_go_goes(world, daemon)
        assert [one for one in ids if not world.lives(one)] == []
        assert daemon.stop() == 0


# The disk


@contextmanager
def filled(daemon: Daemon, disk: Path) -> Iterator[None]:
    """The daemon's own small disk, seen through the daemon, without a byte left."""
    filler = Path(f"/proc/{daemon.process.pid}/root{disk}") / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            yield
    filler.unlink()


def test_a_full_disk(world: World) -> None:
    """What it can't write down it does not do; with space again it does it."""
    disk = world.tmp / "disk"
    disk.mkdir()
    world.configure(state_dir=str(disk / "state"), activity_grace=0)
    with Daemon(
        world, wrapped=[*small_disk(disk), "sh", "-c", f'mount -t tmpfs -o size=2m none "{disk}" && exec "$@"', "sh"]
    ) as daemon:
        ids = known(world, 4)
        with filled(daemon, disk):
            world.host.archive(ids[0])
            daemon.wait_for_line("ledger")
            assert [one for one in ids if not world.lives(one)] == []
        wait_until(lambda: not world.lives(ids[0]), PATIENCE)
        assert [one for one in ids[1:] if not world.lives(one)] == []
        assert daemon.stop() == 0


# Its own end


def reaps_begun(world: World) -> int:
    """How many intents were ever written: each is committed before its kill is tried."""
    uri = f"file:{world.state_dir / 'ledger.sqlite'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as connection:
        return int(connection.execute("SELECT count(*) FROM reap").fetchone()[0])


def test_its_own_kill_at_any_moment(world: World) -> None:
    """Again and again, while there is something to reap; those that must live do, and the last one finishes the work. Every
    other time it is killed as soon as it has begun with that."""
    chance = random.Random(20261122)
    world.configure(activity_grace=0, snapshots=True)
    living, doomed = world.workspaces(14), world.workspaces(12)
    with Daemon(world):
        wait_until(lambda: all(stamped(world, one) for one in [*living, *doomed]), PATIENCE)
    left = iter(doomed)
    at_work = 0
    for turn in range(6):
        begun = reaps_begun(world)
        daemon = Daemon(world, ready=False)
        with daemon:
            for number, one in enumerate(itertools.islice(left, 2)):
                world.host.archive(one) if number else world.host.delete(one)
            wait_until((world.state_dir / "daemon.lock").exists, PATIENCE)
            if turn % 2:
                wait_until(lambda: reaps_begun(world) > begun, PATIENCE, every=0.001)  # noqa: B023
            else:
                time.sleep(chance.uniform(0, 1.5))
            daemon.kill()
            at_work += begun < reaps_begun(world)
        assert [one for one in living if not world.lives(one)] == []
    assert at_work >= 3
    with Daemon(world) as daemon:
        wait_until(lambda: not any(world.lives(one) for one in doomed), PATIENCE)
        two_sweeps(world)
        assert [one for one in living if not world.lives(one)] == []
        assert daemon.stop() == 0


# The clock

JUMPING = """
import os, time
from workspace_reaper.processes.clock import SystemClock
real = time.time
def now(self):
    try:
        with open({file!r}) as file:
            return real() + float(file.read())
    except (OSError, ValueError):
        return real()
SystemClock.now = now
"""
"""The edge through which the reaper reads the wall clock; time namespaces do not move that clock."""


@pytest.mark.parametrize("hours", [8, -8])
def test_the_wall_clock_jumps(world: World, hours: int) -> None:
    file = world.tmp / "jump"
    with Daemon(world, prelude=JUMPING.format(file=str(file))) as daemon:
        ids = known(world, 4)
        file.with_suffix(".new").write_text(str(hours * 3600))
        file.with_suffix(".new").replace(file)
        two_sweeps(world)
        assert [one for one in ids if not world.lives(one)] == []
        file.unlink()
        two_sweeps(world)
        should_go_goes(world, daemon)
        assert [one for one in ids if not world.lives(one)] == []
        assert daemon.stop() == 0
