"""What an absence rests on, attacked from every side: the database replaced, restored, emptied, swapped or shrunk under sweeps,
ticks, hooks and the daemon's watching. Nobody dies of it, and it is told what holds each one back, and until when."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.faults.steps import events, history
from tests.tools.clocks import Later
from tests.tools.hosts import VibeKanbanHost
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.daemon.watcher import DatabaseWatcher, LivingSessions
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.operations.sessions import explain_session
from workspace_reaper.operations.status import read_status
from workspace_reaper.policy.protections import PROVEN_WHEN
from workspace_reaper.registry import open_watcher
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.tmux.terminal import TmuxTerminal

pytestmark = pytest.mark.once

Worlds = Callable[..., World]

GAP = 40
"""Seconds from one full sweep to the next: each of them confirms."""
HOUR = 3600


@pytest.fixture
def world(worlds: Worlds) -> World:
    """As it is configured by default: only the time is ours."""
    return worlds(activity_grace=60, min_age=120, confirmation_gap=30, snapshots=False)


def at(world: World, clock: Later) -> None:
    """Let this clock be the reaper's."""
    reaper = world.plugin.reaper()
    reaper.clock = clock
    reaper.dependencies = replace(reaper.dependencies, clock=reaper.clock)


def sweeps(world: World, clock: Later, count: int) -> list[SweepReport]:
    """Full sweeps, each with time enough before it to confirm what the one before has seen."""
    reports = []
    for _ in range(count):
        clock.seconds += GAP
        reports.append(world.sweep())
    return reports


def tick(world: World, clock: Later) -> None:
    clock.seconds += GAP
    world.plugin.on_tick(datetime.now(timezone.utc))
    assert world.plugin.drain(60)


# What becomes of the database. Each says whose rows it takes: those of the last two workspaces, or of all.

Attack = Callable[[World, Path], None]


def older_copy_is_moved_there(world: World, backup: Path) -> None:
    """A server has written to it since, so that its count of changes is higher: nothing but its place tells."""
    copied = VibeKanbanHost(backup)
    for number in range(800, 810):
        copied.insert([copied.new_id(number)])
    backup.replace(world.host.path)


def older_copy_is_written_into_it(world: World, backup: Path) -> None:
    """As ``cp backup FILE`` does it while the server is stopped."""
    shutil.copyfile(backup, world.host.path)


def older_copy_is_restored_into_it(world: World, backup: Path) -> None:
    """As ``sqlite3 FILE '.restore backup'`` does it under a server's feet."""
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(world.host.path)) as target:
        source.backup(target)


def _stranger(world: World) -> Path:
    host = VibeKanbanHost(world.tmp / "stranger.sqlite")
    host.create()
    host.insert([host.new_id(number) for number in range(900, 930)])
    return host.path


def stranger_is_moved_there(world: World, backup: Path) -> None:
    _stranger(world).replace(world.host.path)


def stranger_is_written_into_it(world: World, backup: Path) -> None:
    shutil.copyfile(_stranger(world), world.host.path)


ATTACKS = [
    older_copy_is_moved_there,
    older_copy_is_written_into_it,
    older_copy_is_restored_into_it,
    stranger_is_moved_there,
    stranger_is_written_into_it,
]
TAKES_TWO = ATTACKS[:3]


@pytest.fixture
def known(world: World) -> tuple[list[str], Path, Later]:
    """Eight workspaces with sessions that the registry has known for a while, a backup from before the last two, and the
    clock. Rows beside them have no session, so that two are far below each threshold."""
    ids = world.workspaces(6)
    world.workspaces(10, sessions=False)
    clock = Later(HOUR)
    at(world, clock)
    world.sweep()
    backup = Path(shutil.copy(world.host.path, world.tmp / "backup.sqlite"))
    ids += world.workspaces(2)
    sweeps(world, clock, 2)
    return ids, backup, clock


@contextmanager
def watched(world: World) -> Iterator[DatabaseWatcher]:
    """The daemon's database watcher, with the hooks and the ledger of this world's plugin."""
    reaper = world.plugin.reaper()
    changes = open_watcher(reaper.schema, reaper.settings.database_url, {})

    class Hooks:
        workspace_deleted = staticmethod(world.plugin.on_workspace_deleted)
        workspace_archived = staticmethod(world.plugin.on_workspace_archived)

        @staticmethod
        def workspace_vanished(workspace_id: str, *, as_by_restore: bool) -> None:
            event = WorkspaceEvent.DOUBTED if as_by_restore else WorkspaceEvent.VANISHED
            world.plugin.on_row_gone(workspace_id, event)

    terminals, names = [TmuxTerminal(world.server.path)], reaper.dependencies.matcher
    living = LivingSessions(terminals, names, reaper.registry, reaper.reading, reaper.dependencies.processes)
    watcher = DatabaseWatcher(changes, Hooks(), reaper.registry, living, reaper.doubt)
    watcher.start(30)
    try:
        wait_until(lambda: watcher._past is not None, 30)
        yield watcher
    finally:
        assert watcher.stop(30)


def is_told(world: World, workspace_id: str, report: SweepReport) -> None:
    """What holds it back, and until when: in the report, in ``explain``, and in the status."""
    entry = world.entry(report, workspace_id)
    told = entry.as_json()
    assert told["verdict"] == "hold"
    assert PROVEN_WHEN in told["released_when"]["unproven"]
    evidence = told["evidence"]
    assert (evidence["row"], evidence["proven"]) == (None, False)
    assert evidence["known_in_generation"] < evidence["generation"] == report.registry["generation"]
    explanation = explain_session(world.plugin.reaper(), session_name(world.schema, workspace_id))
    [because] = [rule.because for rule in explanation.rules if rule.reason == "orphan"]
    assert f"(generation {evidence['known_in_generation']}; this is registry generation" in because
    assert f"Released when {PROVEN_WHEN}; or it has been idle for stranger_ttl (12h)" in because
    registry = read_status(world.plugin.reaper()).as_dict()["registry"]
    assert registry["generation"] == evidence["generation"]
    assert registry["changed_at"]
    assert registry["changed"]
    assert registry["proven_when"] == PROVEN_WHEN


@pytest.mark.parametrize("attack", ATTACKS)
def test_by_hook_tick_and_sweep(world: World, known: tuple[list[str], Path, Later], attack: Attack) -> None:
    ids, backup, clock = known
    takes = ids[-2:] if attack in TAKES_TWO else ids
    attack(world, backup)

    # A hook that came under the registry before proves nothing under this one.
    world.plugin.on_workspace_archived(ids[-1])
    assert world.plugin.drain(60)
    tick(world, clock)
    tick(world, clock)
    reports = sweeps(world, clock, 4)

    assert all(map(world.lives, ids))
    assert history(world) == []
    assert {one for one in ids if world.entry(reports[-1], one).verdict.value == "hold"} == set(takes)
    assert events(world).count("registry changed") == 1
    is_told(world, takes[-1], reports[-1])

    # What the registry has is proven again, and what is deleted in it from then on goes.
    with closing(sqlite3.connect(world.host.path)) as connection:
        there = {str(number) for (number,) in connection.execute("SELECT hex(id) FROM workspaces")}
    world.host.insert([one for one in ids if one.replace("-", "").upper() not in there])
    assert {entry.verdict.value for entry in sweeps(world, clock, 3)[-1].sessions} == {"keep"}
    world.host.delete(ids[-1])
    assert [outcomes(report)[ids[-1]] for report in sweeps(world, clock, 2)] == ["none", "reaped"]
    assert all(map(world.lives, ids[:-1]))


@pytest.mark.parametrize("attack", [older_copy_is_written_into_it, older_copy_is_restored_into_it])
def test_by_the_daemons_watching(world: World, known: tuple[list[str], Path, Later], attack: Attack) -> None:
    """It derives deletions from the same absence, and nothing holds a deletion back: the invalidation must come first."""
    ids, backup, clock = known
    with watched(world) as watcher:
        past = watcher._past
        assert past is not None
        attack(world, backup)
        wait_until(
            lambda: (now := watcher._past) is not None and now.workspace_list.workspaces != past.workspace_list.workspaces, 30
        )
        assert world.plugin.drain(60)
        sweeps(world, clock, 4)
    # Until it ended it may have invalidated once more.
    assert world.plugin.drain(60)
    [report] = sweeps(world, clock, 1)
    assert all(map(world.lives, ids))
    assert history(world) == []
    is_told(world, ids[-1], report)


@pytest.mark.parametrize("daemon", [False, True], ids=["sweeps", "the daemon"])
def test_an_emptied_database_is_the_same_and_trips_the_breaker(
    world: World, known: tuple[list[str], Path, Later], daemon: bool
) -> None:
    ids, _backup, clock = known
    with watched(world) if daemon else nullcontext():
        with closing(sqlite3.connect(world.host.path)) as connection:
            connection.execute("DELETE FROM workspaces")
            connection.commit()
        reports = sweeps(world, clock, 5)
    assert all(map(world.lives, ids))
    assert {entry.protected_by for entry in reports[-1].sessions} == {"breaker"}
    assert events(world).count("registry changed") == 0


def test_an_absence_that_was_confirmed_before_a_doubt_is_confirmed_anew(world: World) -> None:
    """Here no time protects a stranger: what is left of the old confirmations would."""
    world.configure(stranger_ttl=0)
    clock = Later(HOUR)
    orphan, _other, _third = world.workspaces(3)
    at(world, clock)
    world.sweep()
    world.host.delete(orphan)
    assert outcomes(sweeps(world, clock, 1)[0])[orphan] == "none"
    world.plugin.reaper().doubt("its content was put there as a whole")
    assert outcomes(sweeps(world, clock, 1)[0])[orphan] == "none"
    assert outcomes(sweeps(world, clock, 1)[0])[orphan] == "reaped"


# Row by row


def test_rows_that_go_one_by_one_trip_the_breaker_before_the_first_is_confirmed(world: World) -> None:
    """No step loses so much that it counts, and all together do."""
    ids, clock = world.workspaces(6), Later(HOUR)
    world.workspaces(30, sessions=False)
    at(world, clock)
    world.sweep()
    reports = []
    for one in ids[:4]:
        world.host.delete(one)
        clock.seconds += 10
        reports.append(world.sweep())
    assert [report.latched for report in reports] == [False, False, False, True]
    # Others that are known make it a small share; it stays as it is.
    world.workspaces(20)
    reports = sweeps(world, clock, 4)
    assert all(map(world.lives, ids))
    assert {world.entry(reports[-1], one).protected_by for one in ids[:4]} == {"breaker"}
    told = world.entry(reports[-1], ids[0]).as_json()
    assert told["evidence"]["breaker"] == "latched"
    assert "each of the 4 sessions that tripped it has ended or has a row again" in told["released_when"]["breaker"]
    assert "'sweep --approve'" in told["released_when"]["breaker"]
    explanation = explain_session(world.plugin.reaper(), session_name(world.schema, ids[0]))
    [because] = [rule.because for rule in explanation.rules if rule.reason == "orphan"]
    assert "Released when each of the 4 sessions that tripped it" in because
    assert "(0 so far)" in because
    status = read_status(world.plugin.reaper()).as_dict()
    assert status["breaker"]["clears_when"] == told["released_when"]["breaker"]
    assert [alarm["name"] for alarm in status["alarms"]] == ["breaker"]


def test_rows_that_go_slowly_are_deletions_and_bounded(worlds: Worlds) -> None:
    """Each vanishes alone, long after the one before: so a deletion looks. What has a row lives, and the budget bounds it."""
    world = worlds(max_orphans_per_hour=3, snapshots=False)
    ids, clock = world.workspaces(8), Later(HOUR)
    world.workspaces(10, sessions=False)
    at(world, clock)
    world.sweep()
    for one in ids[:5]:
        world.host.delete(one)
        [*_, report] = sweeps(world, clock, 2)
        assert all(map(world.lives, [other for other in ids[5:] if other != one]))
    assert [world.lives(one) for one in ids] == [False] * 3 + [True] * 5
    told = world.entry(report, ids[3]).as_json()
    assert (told["protected_by"], list(told["released_when"])) == ("budget", ["budget"])
    assert not report.latched


def test_i83_the_last_row_of_all_follows_the_orphan_rules(world: World) -> None:
    """A user may delete all that there is."""
    [only], clock = world.workspaces(1), Later(HOUR)
    at(world, clock)
    world.sweep()
    world.host.delete(only)
    assert [outcomes(report)[only] for report in sweeps(world, clock, 2)] == ["none", "reaped"]


# Two reapers with two databases on one socket


def test_before_the_other_has_swept_its_sessions_are_strangers_and_afterwards_none_of_ours(world: World) -> None:
    theirs = VibeKanbanHost(world.tmp / "theirs.sqlite")
    theirs.create()
    other = world.second("other", theirs)
    other._numbers = iter(range(5000, 6000))
    mine, yours = world.workspaces(2), other.workspaces(2)
    clock = Later()
    at(other, clock)
    at(world, clock)
    for _ in range(11):
        clock.seconds += HOUR
        report = other.sweep()
        assert {other.entry(report, one).protected_by for one in mine} == {"unproven"}
    told = other.entry(report, mine[0]).as_json()
    assert (told["evidence"]["known_in_generation"], told["evidence"]["owner"]) == (None, "none")
    assert PROVEN_WHEN in told["released_when"]["unproven"]

    assert set(outcomes(world.sweep())) == set(mine)
    clock.seconds += 10 * HOUR
    for one in (other, world):
        reports = sweeps(one, clock, 3)
        assert {outcome for report in reports for outcome in outcomes(report).values()} == {"none"}
        assert {report.unmanaged for report in reports} == {2}
    assert all(map(world.lives, [*mine, *yours]))


def test_a_session_of_a_registry_that_never_sweeps_goes_only_after_stranger_ttl(world: World) -> None:
    """The backlog from before us. A registry that recognises nobody else has not even shown that it is one."""
    stranger, clock = world.workspace(), Later()
    world.session(stranger)
    world.host.delete(stranger)
    at(world, clock)
    clock.seconds += 13 * HOUR
    assert {outcomes(report)[stranger] for report in sweeps(world, clock, 3)} == {"none"}
    told = world.entry(world.sweep(dry_run=True), stranger).as_json()
    assert told["released_when"]["unproven"].endswith("and the registry has a row for another session")
    world.workspaces(1)
    assert outcomes(sweeps(world, clock, 1)[0])[stranger] == "reaped"


def test_the_daemon_counts_a_renamed_session_among_those_whose_rows_vanish(world: World) -> None:
    """Three of four workspaces with a session vanish. One of the three sessions has another name, which yields no workspace."""
    ids = world.workspaces(4)
    world.workspaces(10, sessions=False)
    world.sweep()
    world.server.run("rename-session", "-t", session_name(world.schema, ids[0]), "my work")
    with watched(world) as watcher:
        world.host.delete(*ids[:3])
        wait_until(lambda: watcher._past is not None and ids[0] not in watcher._past.workspace_list.workspaces, 30)
        assert world.plugin.drain(60)
    assert history(world) == []
    assert len(world.server.session_ids()) == 4
