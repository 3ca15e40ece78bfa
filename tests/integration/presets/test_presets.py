"""Each preset, with the record in its default place and two lines of configuration, by sweeps and by the daemon."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.presets.host import preset_hosts
from tests.tools.daemons import Daemon
from tests.tools.waiting import next_second, wait_until
from tests.tools.world import KINDS, World

pytestmark = pytest.mark.once

Worlds = Callable[..., World]
PATIENCE = 30.0
HOSTS = preset_hosts()
KINDS.update(HOSTS)

every_preset = pytest.mark.parametrize("name", HOSTS)


@pytest.fixture
def place(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> Worlds:
    """Makes a world whose home directory is the host's, without variables that move its record."""
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)

    def make(name: str, **settings: object) -> World:
        world = worlds(name, **settings)
        monkeypatch.setenv("HOME", str(world.tmp))
        return world

    return make


def begin(world: World) -> tuple[list[str], list[str]]:
    """Start workspaces with their sessions, and other sessions, and let sweeps mark those of the host.

    Returns the workspaces and the names of the sessions that are not the host's.
    """
    ids = world.workspaces(len(world.host.ends) + len(world.host.stays) + 4)
    for one in ids:
        world.server.new_sessions(world.host.further_names(one))
    world.server.new_sessions(world.host.others)
    managed = len(ids) + sum(len(world.host.further_names(one)) for one in ids)

    def all_marked() -> bool:
        report = world.sweep()
        assert (len(report.sessions), report.unmanaged) == (managed, len(world.host.others))
        assert {entry.outcome for entry in report.sessions} == {"none"}
        return world.server.run("list-sessions", "-F", "#{@reaper_self}").count("/") == 2 * managed

    wait_until(all_marked, PATIENCE)
    next_second()
    return ids, list(world.host.others)


def names(world: World) -> set[str]:
    return set(world.server.run("list-sessions", "-F", "#{session_name}").split("\n"))


def sessions_of(world: World, *ids: str) -> set[str]:
    return {name for one in ids for name in (world.host.session_name(one), *world.host.further_names(one))}


@every_preset
def test_by_sweeps(place: Worlds, name: str) -> None:
    world = place(name)
    ids, others = begin(world)
    changes = [*world.host.ends, *world.host.stays]
    for one, change in zip(ids, changes, strict=False):
        getattr(world.host, change)(one)
    for _ in range(2):
        world.sweep()
    living = ids[len(world.host.ends) :]
    assert names(world) == {*sessions_of(world, *living), *others}


@every_preset
def test_by_the_daemon(place: Worlds, name: str) -> None:
    world = place(name, tick="1h")
    ids, others = begin(world)
    changes = [*world.host.ends, *world.host.stays]
    with Daemon(world) as daemon:
        daemon.wait_for_line('"watching"')
        for one, change in zip(ids, changes, strict=False):
            getattr(world.host, change)(one)
            if change in world.host.ends:
                wait_until(lambda one=one: not names(world) & sessions_of(world, one), PATIENCE)
        living = ids[len(world.host.ends) :]
        assert names(world) == {*sessions_of(world, *living), *others}
        assert daemon.stop() == 0


@every_preset
def test_a_session_that_leaked_while_the_reaper_was_away(place: Worlds, name: str) -> None:
    """The host deletes the row and leaves the session: an orphan of a workspace that the registry is known to have had."""
    world = place(name)
    ids, others = begin(world)
    world.host.delete(ids[0])
    world.server.run("kill-session", "-t", f"={world.host.session_name(ids[1])}")
    world.host.delete(ids[1])
    world.sweep()
    report = world.sweep()
    assert {entry.reason for entry in report.sessions if entry.outcome == "reaped"} == {"orphan"}
    gone = sessions_of(world, ids[0])
    assert not names(world) & gone
    assert names(world) >= {*sessions_of(world, *ids[2:]), *others}


@every_preset
def test_a_record_that_is_gone_ends_nothing(place: Worlds, name: str) -> None:
    world = place(name)
    begin(world)
    before = names(world)
    world.host.file.rename(world.host.file.with_name("moved"))
    reports = [world.sweep() for _ in range(3)]
    assert not any(entry.outcome == "reaped" for report in reports for entry in report.sessions)
    assert names(world) == before


@every_preset
def test_doctor_finds_the_record(place: Worlds, name: str) -> None:
    world = place(name)
    begin(world)
    checks = world.cli_json("doctor")
    assert [check for check in checks if check["state"] != "OK"] == []
    assert any(str(world.host.home) in check["detail"] for check in checks if check["check"] in ("database", "files"))
