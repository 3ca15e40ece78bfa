"""The registry can't be read, or is not the one that it was: nobody dies of that, and somebody is told why."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import alarms, check_code, confirmations, events, history, recalled, sweep_during
from tests.tools.front_tmux import Rule
from tests.tools.hosts import VibeKanbanHost, connected
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes
from workspace_reaper.model.unknown import Source
from workspace_reaper.model.verdict import Verdict

pytestmark = pytest.mark.once

Worlds = Callable[..., World]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with connected(path, isolation_level=None) as server:
        server.execute("BEGIN EXCLUSIVE")
        yield
        server.execute("ROLLBACK")


@contextmanager
def missing(path: Path) -> Iterator[None]:
    aside = path.rename(path.with_name("aside"))
    yield
    assert not path.exists(), "a look-up made the file that it missed"
    aside.rename(path)


@contextmanager
def garbage(path: Path) -> Iterator[None]:
    whole = path.read_bytes()
    path.write_bytes(b"what an SQLite database does not begin with\n" * 200)
    yield
    path.write_bytes(whole)


@contextmanager
def without_its_table(path: Path) -> Iterator[None]:
    with connected(path) as server:
        server.execute("ALTER TABLE workspaces RENAME TO elsewhere")
    yield
    with connected(path) as server:
        server.execute("ALTER TABLE elsewhere RENAME TO workspaces")


@contextmanager
def a_directory(path: Path) -> Iterator[None]:
    aside = path.rename(path.with_name("aside"))
    path.mkdir()
    yield
    path.rmdir()
    aside.rename(path)


Fault = Callable[[Path], AbstractContextManager[None]]

FAULTS: dict[str, tuple[Fault, str]] = {
    "locked": (locked, "is locked, and was so for 1 s"),
    "missing": (missing, "does not exist: start the host once, or set database_url"),
    "garbage": (garbage, "is not an SQLite database"),
    "tables missing": (without_its_table, "has no table 'workspaces'"),
    "a directory": (a_directory, "is a directory: set database_url to the database file itself"),
}

every_fault = pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS)


@every_fault
def test_at_the_sweep_nobody_dies_and_it_is_told_why(world: World, fault: Fault, words: str) -> None:
    archived, orphan, live = world.workspaces(3)
    ids = {entry.workspace_id: str(entry.session_id) for entry in world.sweep().sessions}
    world.host.delete(orphan)
    world.sweep()
    world.host.archive(archived)

    with fault(world.host.path):
        reports = [world.sweep(), world.sweep(dry_run=True)]

    for report in reports:
        assert report.exit_code == 3
        assert not report.complete
        [unknown] = report.unknown
        assert unknown.source is Source.REGISTRY
        assert words in unknown.reason
        assert str(world.host.path) in unknown.reason
        held = {(entry.verdict, entry.protected_by, entry.outcome) for entry in report.sessions}
        assert (len(report.sessions), held) == (3, {(Verdict.HOLD, "unknown", "none")})
    assert world.server.session_ids() == set(ids.values())
    assert history(world) == []
    assert confirmations(world, ids[orphan]) == 1
    assert alarms(world) == {"unreadable"}
    assert check_code(world) == 1

    # Where the tables were changed the registry must prove itself anew, and the orphan is a stranger to it.
    gone = "none" if fault is without_its_table else "reaped"
    assert outcomes(world.sweep()) == {archived: "reaped", orphan: gone, live: "none"}
    assert alarms(world) == set()


@every_fault
def test_between_listing_and_recheck_nobody_dies_and_it_is_told_why(
    world: World, erring: Erring, fault: Fault, words: str
) -> None:
    archived, live = world.workspaces(2)
    world.sweep()
    world.host.archive(archived)

    # The second listing is the recheck's; the rows are asked for after it.
    with erring(Rule("list-sessions", skip=1, times=1, hold="before")) as front:
        broken = fault(world.host.path)
        report = sweep_during(front, broken.__enter__, world.sweep)
        broken.__exit__(None, None, None)

    assert report.exit_code == 3
    [unknown] = report.unknown
    assert (unknown.source, words in unknown.reason) == (Source.REGISTRY, True)
    assert (world.entry(report, archived).outcome, world.entry(report, archived).protected_by) == ("spared", "registry")
    assert history(world) == [(archived, "spared", "registry")]
    assert world.lives(archived)
    assert alarms(world) == {"unreadable"}
    assert outcomes(world.sweep()) == {archived: "reaped", live: "none"}


@every_fault
def test_at_a_hook_nobody_dies_it_is_told_why_and_the_later_looks_find_out(
    world: World, fault: Fault, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    named, _other = world.workspaces(2)
    world.sweep()
    world.host.delete(named)

    with fault(world.host.path), caplog.at_level(logging.WARNING, "workspace_reaper"):
        world.plugin.on_workspace_deleted(named)
        wait_until(lambda: words in caplog.text)
        assert world.lives(named)
        assert history(world) == []

    wait_until(lambda: not world.lives(named))
    wait_until(lambda: history(world) == [(named, "reaped", None)])


def test_the_command_says_it_with_exit_code_3(world: World) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    with missing(world.host.path):
        report = world.cli_json("sweep", expect=3)
        status = world.cli("status", "--check")
    assert report["totals"]["reaped"] == 0
    [unknown] = report["unknown"]
    assert (unknown["source"], "does not exist" in unknown["error"]) == ("registry", True)
    assert status.returncode == 1
    assert "does not exist" in status.stdout
    assert world.lives(archived)


# Proof of registry: is it the right one?


@pytest.mark.parametrize("count", [1, 2, 5])
def test_on_an_empty_but_valid_database_nobody_dies(world: World, count: int) -> None:
    world.configure(stranger_ttl=0, orphan_confirmations=1)
    ids = world.workspaces(count)
    world.host.delete(*ids)

    reports = [world.sweep() for _ in range(6)]

    for report in reports:
        assert {entry.outcome for entry in report.sessions} == {"none"}
        assert {entry.verdict for entry in report.sessions} == {Verdict.HOLD}
        assert {entry.protected_by for entry in report.sessions} == {"unproven"}
    assert len(world.server.session_ids()) == count
    # The hosts's own word is another matter: it proves that the registry knew this workspace.
    world.plugin.on_workspace_deleted(ids[0])
    wait_until(lambda: not world.lives(ids[0]))


def test_on_a_strangers_database_nobody_dies(world: World) -> None:
    ours = world.workspaces(2)
    stranger = VibeKanbanHost(world.tmp / "stranger.sqlite")
    stranger.create()
    known = [stranger.new_id(number) for number in range(100, 110)]
    stranger.insert(known)
    other = world.second("stranger", host=stranger, orphan_confirmations=1)
    for workspace in known[:4]:
        other.session(workspace)

    for _ in range(6):
        report = other.sweep()
        assert outcomes(report) == dict.fromkeys([*ours, *known[:4]], "none")
        assert {world.entry(report, one).protected_by for one in ours} == {"unproven"}
        assert report.exit_code == 0
    assert all(map(world.lives, ours))


@pytest.mark.parametrize("odd", [0, 1, 2], ids=["the first row", "one in the middle", "the last row"])
def test_i87_an_odd_row_holds_its_own_workspace_and_the_others_go_on(world: World, odd: int) -> None:
    ids = world.workspaces(3, archived=True)
    with connected(world.host.path) as connection:
        connection.execute("UPDATE workspaces SET archived = 'maybe' WHERE id = ?", [uuid.UUID(ids[odd]).bytes])
    report = world.sweep()
    assert outcomes(report) == {one: "none" if one == ids[odd] else "reaped" for one in ids}
    assert world.entry(report, ids[odd]).protected_by == "unknown"
    assert report.exit_code == 3
    assert "unreadable" in alarms(world)


def test_i87_an_odd_row_keeps_no_breaker_latched(world: World) -> None:
    ids = world.workspaces(4)
    world.sweep()
    world.host.delete(*ids[:3])
    assert [world.sweep().latched for _ in range(2)] == [True, True]
    world.host.insert(ids[:3])
    with connected(world.host.path) as connection:
        connection.execute("UPDATE workspaces SET archived = 'maybe' WHERE id = ?", [uuid.UUID(ids[3]).bytes])
    reports = [world.sweep() for _ in range(3)]
    assert {report.exit_code for report in reports} == {3}, "of the odd row, then"
    assert [report.latched for report in reports] == [True, True, False]


def test_a_stranger_goes_in_the_second_sweep_at_the_earliest(world: World) -> None:
    world.configure(stranger_ttl=0, orphan_confirmations=1)
    stranger, _known = world.workspaces(2)
    world.host.delete(stranger)
    assert world.entry(world.sweep(), stranger).protected_by == "unconfirmed"
    assert outcomes(world.sweep())[stranger] == "reaped"


def test_emptied_under_us_the_breaker_holds_and_the_registry_stays_the_same(world: World) -> None:
    ids = world.workspaces(3)
    world.sweep()
    world.host.delete(*ids)

    for _ in range(6):
        report = world.sweep()
        assert {(entry.verdict, entry.protected_by) for entry in report.sessions} == {(Verdict.HOLD, "breaker")}
    assert all(map(world.lives, ids))
    assert "registry changed" not in events(world)

    world.host.insert(ids)
    assert {entry.verdict for entry in world.sweep().sessions} == {Verdict.KEEP}


def test_replaced_by_a_strangers_nobody_dies_and_the_change_is_shown(world: World) -> None:
    world.configure(orphan_confirmations=1)
    ids = world.workspaces(2)
    before = world.sweep().registry["identity"]
    stranger = VibeKanbanHost(world.tmp / "stranger.sqlite")
    stranger.create()
    stranger.insert([stranger.new_id(number) for number in range(100, 110)])
    stranger.path.replace(world.host.path)

    for _ in range(6):
        report = world.sweep()
        assert {(entry.verdict, entry.protected_by) for entry in report.sessions} == {(Verdict.HOLD, "unproven")}
    assert all(map(world.lives, ids))
    assert report.registry["identity"] != before
    assert recalled(world).registry.generation == 2
    assert events(world).count("registry changed") == 1


@pytest.mark.parametrize("clients", [0, 1])
def test_replaced_by_a_strangers_no_hook_proves_a_deletion(world: World, clients: int) -> None:
    """The hook was wrong, or meant the database that was there before. Its row is absent from this one."""
    named = world.workspace()
    session_id = world.session(named)
    world.workspaces(1)
    world.sweep()
    for _ in range(clients):
        world.server.attach(session_id)
    stranger = VibeKanbanHost(world.tmp / "stranger.sqlite")
    stranger.create()
    stranger.insert([stranger.new_id(number) for number in range(100, 110)])
    stranger.path.replace(world.host.path)

    world.plugin.on_workspace_deleted(named)
    assert world.plugin.drain(60)
    reports = [world.sweep() for _ in range(2)]

    assert history(world) == []
    entries = [world.entry(report, named).as_json() for report in reports]
    assert [("unproven" in one["released_when"], one["verdict"]) for one in entries] == [(True, "hold")] * 2
    # Once this registry is known, its host's word counts again.
    world.plugin.on_workspace_deleted(named)
    assert world.plugin.drain(60)
    assert history(world) == [(named, "reaped", None)]


def test_replaced_by_a_strangers_a_hook_that_reports_an_archiving_proves_nothing(world: World) -> None:
    """The host has a row for the workspace, and this database has none: it is not the one of the host."""
    world.configure(orphan_confirmations=1)
    named = world.workspaces(2)[0]
    world.sweep()
    stranger = VibeKanbanHost(world.tmp / "stranger.sqlite")
    stranger.create()
    stranger.insert([stranger.new_id(number) for number in range(100, 110)])
    stranger.path.replace(world.host.path)
    world.sweep()

    world.plugin.on_workspace_archived(named)
    assert world.plugin.drain(60)
    for _ in range(2):
        assert world.entry(world.sweep(), named).protected_by == "unproven"
    assert world.lives(named)


def test_a_confirmation_under_the_registry_before_counts_no_more(world: World) -> None:
    world.configure(stranger_ttl=0)
    orphan, live, other = world.workspaces(3)
    ids = {entry.workspace_id: str(entry.session_id) for entry in world.sweep().sessions}
    world.host.delete(orphan)
    world.sweep()
    assert confirmations(world, ids[orphan]) == 1

    # Another file, which never knew it: it is a stranger now, and strangers never go in the first sweep.
    Path(shutil.copy(world.host.path, world.tmp / "copy")).replace(world.host.path)
    assert world.entry(world.sweep(), orphan).protected_by == "unconfirmed"
    assert world.lives(orphan)
    assert outcomes(world.sweep()) == {orphan: "reaped", live: "none", other: "none"}


def test_a_backup_that_knows_the_sessions_is_the_right_registry_again(world: World) -> None:
    orphan, live, _other = world.workspaces(3)
    ids = {entry.workspace_id: str(entry.session_id) for entry in world.sweep().sessions}
    restored = Path(shutil.copy(world.host.path, world.tmp / "backup"))
    world.host.delete(orphan)
    world.sweep()
    assert confirmations(world, ids[orphan]) == 1

    # A backup from before the deletion comes back, and the workspace is deleted in it as well.
    restored.replace(world.host.path)
    assert outcomes(world.sweep())[orphan] == "none"
    world.host.delete(orphan)
    assert world.entry(world.sweep(), orphan).protected_by == "unconfirmed"
    # It has shown that it knew this very session, so it is the right one again.
    assert outcomes(world.sweep())[orphan] == "reaped"
    assert world.lives(live)


def test_replaced_between_listing_and_recheck_nobody_dies(world: World, erring: Erring) -> None:
    orphan, archived, live = world.workspaces(3)
    world.sweep()
    world.host.delete(orphan)
    world.sweep()
    world.host.archive(archived)
    stranger = VibeKanbanHost(world.tmp / "stranger.sqlite")
    stranger.create()
    stranger.insert([archived], archived=True)

    with erring(Rule("list-sessions", skip=1, times=1, hold="before")) as front:
        report = sweep_during(front, lambda: stranger.path.replace(world.host.path), world.sweep)

    assert outcomes(report) == {orphan: "spared", archived: "spared", live: "none"}
    assert report.exit_code == 3
    assert any("the registry changed during the sweep" in unknown.reason for unknown in report.unknown)
    assert world.lives(orphan)
    assert world.lives(archived)


def test_rows_lost_while_a_socket_can_not_be_read_still_trip_the_breaker(worlds: Worlds, erring: Erring) -> None:
    world = worlds(servers=2)
    orphan, *sessions = world.workspaces(6)
    world.session(world.workspace(), server=world.servers[1])
    gone = world.workspaces(20, sessions=False)
    world.sweep()
    world.host.delete(orphan, *gone)

    with erring(Rule("list-sessions", times=1, exit_code=1, stderr="lost server\n")):
        assert world.sweep().exit_code == 3
    reports = [world.sweep() for _ in range(3)]

    assert [report.latched for report in reports] == [True, True, True]
    assert "the registry lost 21 of 27 rows" in recalled(world).breaker.cause
    assert world.lives(orphan)
    assert all(map(world.lives, sessions))


def test_the_oldest_row_may_go_and_the_registry_is_the_same(world: World) -> None:
    """Not every change is another registry, or nothing would ever be reaped."""
    oldest, *others = world.workspaces(4)
    world.sweep()
    world.host.delete(oldest)
    assert [outcomes(world.sweep())[oldest] for _ in range(2)] == ["none", "reaped"]
    assert all(map(world.lives, others))
    assert "registry changed" not in events(world)
