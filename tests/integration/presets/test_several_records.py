"""A host with a record for each project or profile: one that appears, and one that vanishes under living sessions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.presets.host import preset_hosts
from tests.tools.daemons import Daemon
from tests.tools.waiting import next_second, wait_until
from tests.tools.world import KINDS, World

pytestmark = pytest.mark.once

PATIENCE = 30.0
KINDS.update(preset_hosts())


@pytest.fixture
def world(worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """agent-deck with six sessions in one profile and two in another, all marked."""
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    made = worlds("agent-deck", tick="1h")
    monkeypatch.setenv("HOME", str(made.tmp))
    made.workspaces(6)
    add(made, "other", 2)
    wait_until(lambda: made.sweep() and made.server.run("list-sessions", "-F", "#{@reaper_self}").count("/") == 16, PATIENCE)
    next_second()
    return made


def profile(world: World, name: str) -> Path:
    place: Path = world.host.file.parents[1] / name / "state.db"
    return place


def add(world: World, name: str, count: int) -> list[str]:
    """Give a profile workspaces with sessions."""
    if not profile(world, name).exists():
        world.host.new_database(profile(world, name))
    ids = [world.host.new_id(next(world._numbers)) for _ in range(count)]
    world.host.insert_into(profile(world, name), ids)
    world.server.new_sessions(ids)
    return ids


def names(world: World) -> set[str]:
    return set(world.server.run("list-sessions", "-F", "#{session_name}").split("\n"))


def test_a_profile_that_vanishes_ends_nothing(world: World) -> None:
    before = names(world)
    moved = profile(world, "other").parent.rename(world.tmp / "moved")
    for _ in range(4):
        world.sweep()
    assert names(world) == before
    moved.rename(profile(world, "other").parent)
    for _ in range(2):
        world.sweep()
    assert names(world) == before


def test_a_profile_that_vanishes_under_the_daemon_ends_nothing(world: World) -> None:
    before = names(world)
    with Daemon(world) as daemon:
        daemon.wait_for_line('"watching"')
        profile(world, "other").parent.rename(world.tmp / "moved")
        daemon.wait_for_line("is not one of its databases any more")
        (deleted, *_) = sorted(before)
        world.host.delete(deleted)
        wait_until(lambda: deleted not in names(world), PATIENCE)
        assert names(world) == before - {deleted}
        assert daemon.stop() == 0


def test_a_profile_that_appears_is_served(world: World) -> None:
    before = names(world)
    with Daemon(world) as daemon:
        daemon.wait_for_line('"watching"')
        new = add(world, "new", 2)
        world.sweep()
        next_second()
        (deleted, *_) = sorted(before)
        world.host.delete(deleted)
        wait_until(lambda: deleted not in names(world), PATIENCE)
        world.host.delete_from(profile(world, "new"), new[0])
        wait_until(lambda: new[0] not in names(world), PATIENCE)
        assert names(world) == {*before, new[1]} - {deleted}
        assert daemon.stop() == 0
