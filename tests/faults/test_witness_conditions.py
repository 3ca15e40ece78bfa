"""Each condition of a witness by itself saves a living session whose row and directory seem to have gone together."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools.hosts import blob, connected
from tests.tools.waiting import wait_until
from tests.tools.world import World

if TYPE_CHECKING:
    from workspace_reaper.model.directory import Directory
    from workspace_reaper.processes.directories import SystemDirectories

pytestmark = pytest.mark.once

Worlds = Callable[..., World]
OLD = 3600
"""Seconds of age that an orphan needs here: nothing but a witness ends a session."""


class Stage:
    """A world with three workspaces, and one more that is the test's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.trees = world.tmp / "trees"
        self.others = [self.add(f"other{number}") for number in range(3)]

    def add(self, name: str, path: str | None = None, command: str | None = None) -> str:
        """A workspace with a directory of that name, unless its row names another path, and a session."""
        (self.trees / name).mkdir(parents=True)
        workspace_id = self.world.workspace(worktree=str(self.trees / name) if path is None else path)
        self.world.session(workspace_id, command=command)
        return workspace_id

    def add_working(self, name: str, below: str = "") -> str:
        """The same, with a program that works in the directory, or in one below it."""
        note, place = self.world.tmp / "note", self.trees / name / below
        command = (
            f"mkdir -p {shlex.quote(str(place))} && cd {shlex.quote(str(place))} && touch {shlex.quote(str(note))}; exec cat"
        )
        workspace_id = self.add(name, command=command)
        wait_until(note.exists, 60)
        return workspace_id

    def name(self, workspace_id: str, path: str | None) -> None:
        """Let its row name another directory, or none."""
        with connected(self.world.host.path) as connection:
            connection.execute("UPDATE workspaces SET container_ref = ? WHERE id = ?", (path, blob(workspace_id)))

    def is_saved(self, workspace_id: str, why: str) -> None:
        """It lives on, sweep after sweep, and the report says why its directory is no witness."""
        for _ in range(3):
            report = self.world.sweep()
        assert self.world.lives(workspace_id)
        entry = self.world.entry(report, workspace_id).as_json()
        assert entry["reason"] == "orphan"
        assert why in (entry["evidence"]["directory_says"] or "nothing is known")

    def is_reaped(self, workspace_id: str) -> None:
        self.world.sweep()
        report = self.world.sweep()
        assert (self.world.entry(report, workspace_id).reason, self.world.lives(workspace_id)) == ("removed", False)


@pytest.fixture
def stage(worlds: Worlds) -> Stage:
    return Stage(worlds(snapshots=False, min_age=OLD))


def test_i83_without_any_of_them_it_is_reaped(stage: Stage) -> None:
    one = stage.add("one")
    stage.world.sweep()
    stage.world.host.delete(one)
    shutil.rmtree(stage.trees / "one")
    stage.is_reaped(one)


def test_i83_a_the_database_was_swapped_and_the_host_cleaned_up_what_it_did_not_know(stage: Stage) -> None:
    stage.world.sweep()
    backup = Path(shutil.copy(stage.world.host.path, stage.world.tmp / "backup.sqlite"))
    one = stage.add("one")
    stage.world.sweep()
    backup.replace(stage.world.host.path)
    shutil.rmtree(stage.trees / "one")
    stage.is_saved(one, "its row was seen in another registry than this one")


def test_i83_a_an_older_copy_was_written_into_the_database(stage: Stage) -> None:
    stage.world.sweep()
    backup = Path(shutil.copy(stage.world.host.path, stage.world.tmp / "backup.sqlite"))
    one = stage.add("one")
    stage.world.sweep()
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(stage.world.host.path)) as target:
        source.backup(target)
    shutil.rmtree(stage.trees / "one")
    stage.is_saved(one, "its row was seen in another registry than this one")


def test_i83_b_the_directory_was_never_seen(stage: Stage) -> None:
    one = stage.add("one", str(stage.trees / "made later"))
    stage.world.sweep()
    stage.world.host.delete(one)
    stage.is_saved(one, "nothing is known")


@pytest.mark.parametrize("later", [False, True], ids=["at once", "ten minutes later"])
def test_i83_b_the_directory_had_gone_before_the_row(stage: Stage, later: bool) -> None:
    one = stage.add("one")
    stage.world.sweep()
    shutil.rmtree(stage.trees / "one")
    if later:
        stage.world.plugin.reaper().state.looked_at.clear()
    stage.world.sweep()
    stage.world.host.delete(one)
    stage.is_saved(one, "nothing is known")


@pytest.mark.parametrize("row_too", [True, False], ids=["with its row", "alone"])
@pytest.mark.parametrize("later", [False, True], ids=["at once", "ten minutes later"])
def test_i83_b_the_directory_is_removed_between_the_look_up_and_the_look(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, row_too: bool, later: bool
) -> None:
    from workspace_reaper.processes.directories import SystemDirectories

    one = stage.add("one")
    stage.world.sweep()
    if later:
        stage.world.plugin.reaper().state.looked_at.clear()
    find = SystemDirectories.find

    def too_late(self: SystemDirectories, paths: Collection[str]) -> Mapping[str, Directory | None]:
        if (stage.trees / "one").exists():
            if row_too:
                stage.world.host.delete(one)
            shutil.rmtree(stage.trees / "one")
        return find(self, paths)

    monkeypatch.setattr(SystemDirectories, "find", too_late)
    stage.world.sweep()
    stage.world.host.delete(one)
    if row_too:
        stage.is_reaped(one)
    else:
        stage.is_saved(one, "nothing is known")


@pytest.mark.parametrize("path", ["", "elsewhere"], ids=["none any more", "another one"])
def test_i83_b_its_row_named_another_directory_since(stage: Stage, path: str) -> None:
    """Such as a host that removes the directory of a workspace that was not used for long, and keeps its row."""
    one = stage.add("one")
    stage.world.sweep()
    shutil.rmtree(stage.trees / "one")
    stage.name(one, str(stage.trees / path) if path else None)
    stage.world.sweep()
    stage.world.host.delete(one)
    stage.is_saved(one, "nothing is known")


def test_i83_b_a_dry_run_that_sees_another_directory_remembers_nothing(stage: Stage) -> None:
    one = stage.add("one")
    stage.world.sweep()
    (stage.trees / "two").mkdir()
    stage.name(one, str(stage.trees / "two"))
    shutil.rmtree(stage.trees / "one")
    stage.world.sweep(dry_run=True)
    stage.world.sweep()
    stage.world.host.delete(one)
    stage.is_saved(one, "is still there")


def test_i83_c_a_symbolic_link_to_an_absent_disk(stage: Stage) -> None:
    (stage.world.tmp / "link").symlink_to(stage.trees / "one")
    one = stage.add("one", str(stage.world.tmp / "link"))
    stage.world.sweep()
    stage.world.host.delete(one)
    shutil.rmtree(stage.trees / "one")
    stage.is_saved(one, "is still there")


def test_i83_c_a_path_that_cannot_be_followed(stage: Stage) -> None:
    link = stage.world.tmp / "link"
    link.symlink_to(stage.trees)
    one = stage.add("one", str(link / "one"))
    stage.world.sweep()
    stage.world.host.delete(one)
    shutil.rmtree(stage.trees / "one")
    link.unlink()
    link.symlink_to(link)
    stage.is_saved(one, "Too many levels of symbolic links")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """A server of directories that does not answer for these paths."""
    from workspace_reaper.processes import directories

    paths: set[str] = set()
    answers = threading.Event()
    ask = directories._at

    def hang(path: str) -> str | None:
        if path in paths:
            answers.wait(600)
        return ask(path)

    monkeypatch.setattr(directories, "_at", hang)
    yield paths
    answers.set()


def test_i83_c_a_mount_that_hangs(stage: Stage, silent: set[str]) -> None:
    one, two = stage.add("one"), stage.add("elsewhere/two")
    stage.world.sweep()
    stage.world.host.delete(one, two)
    shutil.rmtree(stage.trees / "one")
    shutil.rmtree(stage.trees / "elsewhere" / "two")
    silent.add(str(stage.trees / "one"))
    before = threading.active_count()
    stage.is_saved(one, "there is no answer within a second")
    assert threading.active_count() <= before + 1
    assert not stage.world.lives(two), "what hangs at one place says nothing about another"


def test_i83_d_a_disk_was_unmounted(stage: Stage) -> None:
    """What is seen then is the empty directory over which it was mounted."""
    one = stage.add("one")
    stage.world.sweep()
    stage.world.host.delete(one)
    stage.trees.rename(stage.world.tmp / "the disk")
    stage.trees.mkdir()
    stage.is_saved(one, "is not the same any more: a disk may be missing")


@pytest.mark.parametrize("below", ["", "repository/source"])
def test_i83_e_a_directory_was_moved(stage: Stage, below: str) -> None:
    one = stage.add_working("one", below)
    stage.world.sweep()
    stage.world.host.delete(one)
    (stage.trees / "one").rename(stage.world.tmp / "moved")
    stage.is_saved(one, "was moved, and a process of the session works in it")
    # Once it is removed there, it is gone for good.
    shutil.rmtree(stage.world.tmp / "moved")
    stage.is_reaped(one)


def test_i83_e_a_process_of_the_session_worked_in_what_was_removed(stage: Stage) -> None:
    one = stage.add_working("one")
    stage.world.sweep()
    stage.world.host.delete(one)
    shutil.rmtree(stage.trees / "one")
    stage.is_reaped(one)


@pytest.mark.parametrize("inside", ["", "part"])
def test_i83_f_a_directory_that_another_workspace_shares(stage: Stage, inside: str) -> None:
    one = stage.add("one")
    # It has no session, so that nothing but its row is known of it.
    stage.world.workspace(worktree=str(stage.trees / "one" / inside))
    stage.world.sweep()
    stage.world.host.delete(one)
    shutil.rmtree(stage.trees / "one")
    stage.is_saved(one, "the row of another workspace names")


def test_i83_f_home(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "HOME", str(stage.trees / "one" / "home"))
    one = stage.add("one")
    stage.world.sweep()
    stage.world.host.delete(one)
    shutil.rmtree(stage.trees / "one")
    stage.is_saved(one, "cannot be the directory of one workspace")


@pytest.mark.parametrize("path", ["", "one", "./one"])
def test_i83_f_a_relative_or_an_empty_path(stage: Stage, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    one = stage.add("one", path)
    monkeypatch.chdir(stage.trees)
    stage.world.sweep()
    stage.world.host.delete(one)
    shutil.rmtree(stage.trees / "one")
    stage.is_saved(one, "nothing is known")


def test_i83_g_the_record_lay_in_it(stage: Stage) -> None:
    one = stage.add("one")
    reaper: Any = stage.world.plugin.reaper()
    reaper.sweep_settings = replace(reaper.sweep_settings, records=(str(stage.trees / "one" / "state"),))
    stage.world.sweep()
    stage.world.host.delete(one)
    shutil.rmtree(stage.trees / "one")
    stage.is_saved(one, "the record of the workspace lay in")


def test_i83_a_host_that_keeps_its_directories_is_not_judged_by_them(worlds: Worlds) -> None:
    world = worlds("standard", snapshots=False, min_age=OLD)
    stage = Stage(world)
    one = stage.add("one")
    reaper: Any = world.plugin.reaper()
    reaper.sweep_settings = replace(reaper.sweep_settings, removes_worktree=False)
    world.sweep()
    world.host.delete(one)
    shutil.rmtree(stage.trees / "one")
    stage.is_saved(one, "nothing is known")


def test_a_witness_whose_row_is_still_there_hides_no_lost_row(worlds: Worlds) -> None:
    """A row that is flagged as deleted counts among the rows that are there. Of seven rows four are lost."""
    world = worlds("standard", snapshots=False)
    stage = Stage(world)
    for number in range(4):
        world.host.insert([f"lost{number}"])
    flagged = stage.others[0]
    world.sweep()
    world.host.delete("lost0", "lost1", "lost2", "lost3")
    world.host.flag_deleted(flagged)
    shutil.rmtree(stage.trees / "other0")
    assert world.sweep().latched
