"""When a witness proves a deletion, the other plugins are notified: of each workspace once."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from tests.faults.test_witness import delete, directory_of, remove_directories, with_directories
from tests.tools.daemons import PATIENCE, Daemon
from tests.tools.waiting import wait_until
from tests.tools.world import World, session_name
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.operations.suspects import look_at, notify_of_witnesses
from workspace_reaper.sweep.other_plugins import NoPlugins

pytestmark = pytest.mark.once

Worlds = Callable[..., World]

PLUGIN = """
import pathlib
from pluggy import HookimplMarker
from workspace_hookspecs import WorkspacePlugins

class Noting:
    @HookimplMarker("workspace_server")
    def on_workspace_deleted(self, workspace_id):
        with pathlib.Path({note!r}).open("a") as note:
            note.write(workspace_id + chr(10))

load = WorkspacePlugins.load.__func__
def with_another(cls, *arguments, **options):
    plugins = load(cls, *arguments, **options)
    plugins.register(Noting(), "noting")
    return plugins
WorkspacePlugins.load = classmethod(with_another)
"""


@pytest.mark.parametrize("count", [1, 4], ids=["few", "all"])
def test_i83_the_daemon_notifies_the_other_plugins_of_each_once(worlds: Worlds, count: int) -> None:
    world = worlds(snapshots=False, tick=3600, confirmation_gap=3600)
    ids = with_directories(world, 4)
    gone, note = ids[:count], world.tmp / "note"
    note.touch()
    world.sweep()
    with Daemon(world, prelude=PLUGIN.format(note=str(note))) as daemon:
        delete(world, gone)
        remove_directories(world, gone)
        wait_until(lambda: not any(map(world.lives, gone)), PATIENCE)
        wait_until(lambda: len(note.read_text().split()) >= count, PATIENCE)
        assert daemon.stop() == 0
    assert sorted(note.read_text().split()) == sorted(gone)


class Noting(NoPlugins):
    """Notes of which workspaces other plugins would be notified."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def deleted(self, workspace_id: str) -> None:
        self.noted.append(workspace_id)


def test_the_other_plugins_are_notified_once_although_it_is_looked_at_again(worlds: Worlds) -> None:
    world = worlds(snapshots=False)
    ids = with_directories(world, 4)
    client = world.server.attach(session_name(world.schema, ids[0]))
    world.sweep()
    reaper, noting = world.plugin.reaper(), Noting()
    reaper.plugins = noting

    def look(final: bool) -> Collection[str]:
        final_ones = ids[:1] if final else []
        vanished = {ids[0]: WorkspaceEvent.VANISHED}
        return look_at(reaper, vanished, final_ones, stopping=lambda: False, replaced=lambda: False)

    delete(world, ids)
    remove_directories(world, ids)
    assert [list(look(final)) for final in (False, False, True)] == [ids[:1]] * 3
    notify_of_witnesses(reaper, world.sweep())
    assert noting.noted == ids[:1]
    # It is made and deleted once more.
    directory_of(world, ids[0]).mkdir()
    world.host.insert(ids[:1], worktree=str(directory_of(world, ids[0])))
    notify_of_witnesses(reaper, world.sweep())
    delete(world, ids)
    remove_directories(world, ids[:1])
    look(final=False)
    assert noting.noted == ids[:1] * 2
    client.kill()


def test_what_has_no_directory_that_could_prove_it_is_left_to_the_ticks(worlds: Worlds) -> None:
    world = worlds(snapshots=False)
    ids = with_directories(world, 2) + world.workspaces(2)
    world.sweep()
    gone = [ids[0], ids[2]]
    delete(world, gone)
    events = dict.fromkeys(gone, WorkspaceEvent.VANISHED)
    left = look_at(world.plugin.reaper(), events, (), stopping=lambda: False, replaced=lambda: False)
    assert list(left) == ids[:1]


@pytest.mark.parametrize("event", [WorkspaceEvent.VANISHED, WorkspaceEvent.DOUBTED])
def test_the_other_plugins_are_notified_of_a_directory_that_goes_after_the_last_look(
    worlds: Worlds, event: WorkspaceEvent
) -> None:
    world = worlds(snapshots=False)
    ids = with_directories(world, 4)
    world.sweep()
    reaper, noting = world.plugin.reaper(), Noting()
    reaper.plugins = noting
    delete(world, ids)
    look_at(reaper, {ids[0]: event}, ids[:1], stopping=lambda: False, replaced=lambda: False)
    notify_of_witnesses(reaper, world.sweep())
    assert noting.noted == []
    remove_directories(world, ids)
    for _ in range(3):
        notify_of_witnesses(reaper, world.sweep())
    assert noting.noted == ids[:1]
    assert not world.lives(ids[0])
