"""The doubt after a restore, whatever becomes of the other workspaces and of the sessions before and after it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.steps import recalled
from tests.faults.test_witness import (
    add_with_directories,
    by_copy_and_written_to,
    copied,
    directory_of,
    remove_directories,
    with_directories,
)
from tests.tools.hosts import blob, connected
from tests.tools.world import World, session_name
from workspace_reaper.model.events import WorkspaceEvent

pytestmark = pytest.mark.once

Worlds = Callable[..., World]


class Stage:
    """A world with six workspaces and an older one without a session, before a backup; and newer ones that it lacks."""

    def __init__(self, world: World, newer: int) -> None:
        self.world = world
        # More than the rows by which a table is recognized, or their absence alone would show that it is another one.
        world.workspaces(50, sessions=False)
        self.ids = with_directories(world, 6)
        self.quiet = world.host.new_id(1999)
        directory_of(world, self.quiet).mkdir()
        world.host.insert([self.quiet], worktree=str(directory_of(world, self.quiet)))
        world.sweep()
        self.backup = copied(world)
        self.lost = add_with_directories(world, newer, first=2000)
        world.sweep()

    def restore(self) -> None:
        by_copy_and_written_to(self.world, self.backup)

    def set(self, column: str, value: object) -> None:
        with connected(self.world.host.path) as connection:
            connection.execute(f"UPDATE workspaces SET {column} = ? WHERE id = ?", (value, blob(self.ids[0])))

    def tmux(self, ids: Sequence[str], *command: str) -> None:
        for one in ids:
            self.world.server.run(*(part.format(session_name(self.world.schema, one)) for part in command))

    def is_doubted(self, ids: Sequence[str] = ()) -> None:
        for _ in range(3):
            report = self.world.sweep()
        found = {one: self.world.entry(report, one).protected_by for one in ids or self.lost}
        assert found == dict.fromkeys(ids or self.lost, "doubtful")


def open_terminal(stage: Stage) -> None:
    stage.world.server.new_sessions([session_name(stage.world.schema, stage.quiet)])


def make_directory_again(stage: Stage) -> None:
    remove_directories(stage.world, stage.ids[:1])
    stage.world.sweep()
    directory_of(stage.world, stage.ids[0]).mkdir()


def be_unreadable(stage: Stage) -> None:
    stage.set("pinned", "odd")
    stage.world.sweep()
    stage.set("pinned", 0)


def name_no_directory(stage: Stage) -> None:
    stage.set("container_ref", None)
    stage.world.sweep()
    stage.set("container_ref", str(directory_of(stage.world, stage.ids[0])))


@pytest.mark.parametrize("late", [open_terminal, make_directory_again, be_unreadable, name_no_directory])
@pytest.mark.parametrize("count", [1, 2])
def test_i82_an_old_row_that_is_known_late_is_no_newer_row(worlds: Worlds, late: Callable[[Stage], None], count: int) -> None:
    stage = Stage(worlds(snapshots=False), count)
    late(stage)
    stage.world.sweep()
    stage.restore()
    stage.is_doubted()


def start_tmux_again(stage: Stage) -> None:
    stage.world.server.kill()
    stage.world.sweep()
    for one in [*stage.ids, *stage.lost]:
        stage.world.session(one)


def give_to_another(stage: Stage) -> None:
    stage.tmux(stage.lost, "set-option", "-t", "{}:", "@workspace_owner", "beef")
    stage.world.sweep()
    stage.tmux(stage.lost, "set-option", "-u", "-t", "{}:", "@workspace_owner")


def rename(stage: Stage) -> None:
    stage.tmux(stage.lost, "set-option", "-u", "-t", "{}:", "@reaper_self")
    stage.tmux(stage.lost, "rename-session", "-t", "{}", "my-{}")
    stage.world.sweep()
    stage.tmux(stage.lost, "rename-session", "-t", "my-{}", "{}")


@pytest.mark.parametrize("hide", [start_tmux_again, give_to_another, rename])
def test_i82_a_doubt_lasts_while_its_session_is_out_of_sight(worlds: Worlds, hide: Callable[[Stage], None]) -> None:
    stage = Stage(worlds(snapshots=False), 2)
    stage.restore()
    stage.is_doubted()
    hide(stage)
    stage.is_doubted()


def end_sessions(stage: Stage) -> None:
    stage.tmux(stage.lost, "kill-session", "-t", "{}")
    stage.world.sweep()


def doubted_without_sessions(worlds: Worlds) -> Stage:
    stage = Stage(worlds(snapshots=False), 2)
    stage.restore()
    stage.is_doubted()
    end_sessions(stage)
    assert set(stage.lost) <= recalled(stage.world).directories.keys()
    return stage


def test_a_doubt_without_a_session_ends_with_the_directory(worlds: Worlds) -> None:
    stage = doubted_without_sessions(worlds)
    remove_directories(stage.world, stage.lost[:1])
    stage.world.sweep()
    assert set(stage.lost) & recalled(stage.world).directories.keys() == {stage.lost[1]}


def test_a_doubt_without_a_session_ends_after_stranger_ttl(worlds: Worlds) -> None:
    stage = doubted_without_sessions(worlds)
    reaper: Any = stage.world.plugin.reaper()
    settings = reaper.sweep_settings
    reaper.sweep_settings = replace(settings, thresholds=replace(settings.thresholds, stranger_ttl=0.0))
    stage.world.sweep()
    assert set(stage.lost) & recalled(stage.world).directories.keys() == set()


def test_a_row_that_is_back_ends_the_doubt_and_its_directory_is_a_witness_again(worlds: Worlds) -> None:
    stage = Stage(worlds(snapshots=False), 2)
    stage.restore()
    stage.is_doubted()
    end_sessions(stage)
    [one, _] = stage.lost
    stage.world.host.insert([one], worktree=str(directory_of(stage.world, one)))
    stage.world.sweep()
    stage.world.session(one)
    stage.world.sweep()
    stage.world.host.delete(one)
    remove_directories(stage.world, [one])
    stage.world.sweep()
    entry = stage.world.entry(stage.world.sweep(), one)
    assert (entry.reason, entry.outcome) == ("removed", "reaped")


@pytest.mark.parametrize("removed", [True, False], ids=["with their directories", "without"])
def test_i82_a_restore_and_deletions_between_two_sweeps(worlds: Worlds, removed: bool) -> None:
    stage = Stage(worlds(snapshots=False), 2)
    stage.restore()
    stage.world.host.delete(*stage.ids[:3])
    for one in stage.ids[: 3 * removed]:
        shutil.rmtree(directory_of(stage.world, one))
    stage.is_doubted()


def test_i82_deletions_and_a_single_lost_row(worlds: Worlds) -> None:
    stage = Stage(worlds(snapshots=False), 1)
    stage.restore()
    stage.world.host.delete(*stage.ids[:3])
    remove_directories(stage.world, stage.ids[:3])
    stage.is_doubted()


def test_i82_a_doubt_does_not_rest_on_the_other_doubts(worlds: Worlds) -> None:
    """The rows of two old workspaces vanished in the same moment, and later the directory of the other lost one is removed."""
    stage = Stage(worlds(snapshots=False), 2)
    stage.tmux(stage.ids[:2], "set-option", "-t", "{}:", "@reaper_keep", "1")
    stage.restore()
    stage.world.host.delete(*stage.ids[:2])
    stage.is_doubted()
    remove_directories(stage.world, stage.lost[:1])
    stage.is_doubted(stage.lost[1:])


def test_i82_what_the_daemon_doubts_lasts_while_its_session_is_out_of_sight(worlds: Worlds) -> None:
    """Without a directory, nothing but what the daemon saw saves it."""
    world = worlds(snapshots=False)
    world.workspaces(6)
    one = world.workspace()
    world.session(one)
    world.sweep()
    world.host.delete(one)
    name = session_name(world.schema, one)
    world.server.run("set-option", "-u", "-t", f"{name}:", "@reaper_self")
    world.server.run("rename-session", "-t", name, "mine")
    world.plugin.on_row_gone(one, WorkspaceEvent.DOUBTED)
    assert world.plugin.drain(60)
    world.sweep()
    world.server.run("rename-session", "-t", "mine", name)
    for _ in range(3):
        report = world.sweep()
    assert world.entry(report, one).protected_by == "doubtful"
