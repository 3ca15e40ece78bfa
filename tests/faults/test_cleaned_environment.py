"""Processes in the directory of a dead workspace whose environment no longer names its session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.tools.cast import Cast
from tests.tools.world import World
from workspace_reaper.model.reap import ProcessCleanup

Worlds = Callable[..., World]

FOREVER = "exec sleep 100000"
WHY = "it works in the workspace's directory, and nothing shows that the session started it"

MIDDLE = """
import subprocess
subprocess.Popen({argv}, env={{}}, cwd={cwd!r}, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""
"""Code for a process with a child that has a cleaned environment, and leaves the tree when this one ends."""


@pytest.fixture
def world(worlds: Worlds) -> World:
    """Survivors get a short time only. The server outlives every kill."""
    made = worlds(kill_grace=2.0)
    made.server.new_session("beside")
    return made


def reaped(world: World, workspace_id: str) -> ProcessCleanup:
    """What became of the processes of a workspace that is archived, and whose session is reaped by the next sweep."""
    world.host.archive(workspace_id)
    entry = world.entry(world.sweep(), workspace_id)
    assert entry.outcome == "reaped", entry
    assert entry.cleanup is not None
    return entry.cleanup


def survivors(cleanup: ProcessCleanup) -> dict[int, str]:
    return {one.pid: one.why for one in cleanup.survivors}


def start(world: World, cast: Cast, directory: Path | str, *, worktree: Path | str) -> tuple[str, psutil.Process]:
    """A workspace, and a server that its session has started in that directory, and that nothing connects with it."""
    workspace = world.workspace(worktree=str(worktree))
    world.session(workspace, command=f"cd {directory}; {cast.disowning('server')}; cd /; {FOREVER}")
    return workspace, cast.escaped("server")


def start_below(world: World, cast: Cast, directory: Path, *, worktree: Path) -> tuple[str, psutil.Process]:
    """The same, and a sweep that sees the server below the pane, before it leaves the tree."""
    workspace = world.workspace(worktree=str(worktree))
    argv = cast.command("server").replace("'", "").split()
    middle_command = cast.command("middle", MIDDLE.format(argv=argv, cwd=str(directory)))
    world.session(workspace, command=f"cd /; {middle_command} & {FOREVER}")
    middle, server = cast.process("middle"), cast.process("server")
    world.sweep()
    middle.kill()
    return workspace, cast.escaped("server") if cast.lives(server) else server


@pytest.mark.parametrize("directory", ["inside", "below", "deleted"])
def test_i76_a_server_with_a_cleaned_environment_is_reported(world: World, cast: Cast, worktree: Path, directory: str) -> None:
    """A server in the dead workspace's directory leaks, unreported."""
    works_in = worktree / "deep" if directory == "below" else worktree
    works_in.mkdir(exist_ok=True)
    workspace, server = start(world, cast, works_in, worktree=worktree)
    if directory == "deleted":
        works_in.rmdir()
    world.sweep()
    assert survivors(reaped(world, workspace)) == {server.pid: WHY}
    assert cast.lives(server)


def test_i76_a_user_s_own_program_in_the_directory_lives(world: World, cast: Cast, worktree: Path) -> None:
    """It looks the same, and was there before the session."""
    own = psutil.Popen(["sleep", "100000"], cwd=worktree, env={})
    try:
        workspace = world.workspace(worktree=str(worktree))
        world.session(workspace)
        world.sweep()
        assert survivors(reaped(world, workspace)) == {own.pid: WHY}
        assert own.poll() is None
    finally:
        own.kill()
        own.wait()


def test_i76_it_is_ended_if_an_earlier_sweep_saw_it_below_a_pane(world: World, cast: Cast, worktree: Path) -> None:
    workspace, server = start_below(world, cast, worktree, worktree=worktree)
    world.sweep()
    cleanup = reaped(world, workspace)
    assert not cast.lives(server)
    assert (server.pid, "TERM") in {(one.pid, one.signal) for one in cleanup.ended}
    assert survivors(cleanup) == {}


def test_i76_after_a_restart_it_is_reported(world: World, cast: Cast, worktree: Path) -> None:
    """What sweeps have seen is in memory: without it, only a signal could show whose process it is."""
    workspace, server = start_below(world, cast, worktree, worktree=worktree)
    world.configure()
    assert survivors(reaped(world, workspace)) == {server.pid: WHY}
    assert cast.lives(server)


def test_i76_outside_of_the_directory_it_lives(world: World, cast: Cast, worktree: Path, tmp_path: Path) -> None:
    workspace, server = start_below(world, cast, tmp_path, worktree=worktree)
    assert survivors(reaped(world, workspace)) == {
        server.pid: "it left the session's process tree, and works outside the workspace's directory"
    }
    assert cast.lives(server)


@pytest.mark.parametrize("other", ["nested", "the same", "linked"])
def test_what_works_in_the_directory_of_another_workspace_is_not_reported(
    world: World, cast: Cast, worktree: Path, tmp_path: Path, other: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to(worktree)
    directory = {"nested": worktree / "nested", "the same": worktree, "linked": link}[other]
    directory.mkdir(exist_ok=True)
    world.session(world.workspace(worktree=str(directory)))
    workspace, server = start(world, cast, directory, worktree=worktree)
    world.sweep()
    assert survivors(reaped(world, workspace)) == {}
    assert cast.lives(server)


@pytest.mark.parametrize("worktree_is", ["home", "above home", "root", "relative"])
def test_nothing_is_reported_for_a_directory_that_cannot_be_a_workspace_s(
    world: World, cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worktree_is: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    worktree = {"home": str(home), "above home": str(tmp_path), "root": "/", "relative": "home"}[worktree_is]
    workspace, server = start(world, cast, home, worktree=worktree)
    world.sweep()
    assert survivors(reaped(world, workspace)) == {}
    assert cast.lives(server)


def test_a_process_of_a_living_session_in_the_directory_is_not_reported(world: World, cast: Cast, worktree: Path) -> None:
    """With a cleaned environment, it is known by the pane above it."""
    world.session(world.workspace(), command=f"cd {worktree}; env -i {cast.command('neighbour')}; {FOREVER}")
    neighbour = cast.process("neighbour")
    workspace = world.workspace(worktree=str(worktree))
    world.session(workspace)
    world.sweep()
    assert survivors(reaped(world, workspace)) == {}
    assert cast.lives(neighbour)
