"""Family A of the public incidents: a view that is cold, looks elsewhere, or reaches nothing is no proof of anything."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import sweep_during
from tests.tools.front_tmux import Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes
from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.model.unknown import Source

Worlds = Callable[..., World]


# I02


@pytest.mark.parametrize("memory", ["kept", "lost"])
def test_i02_the_first_sweeps_after_a_restart_change_nothing_for_live_sessions(world: World, memory: str) -> None:
    """Live agents were marked stopped ~40 s after each restart: the sweep at boot trusted a cold view."""
    live = world.workspaces(4)
    if memory == "kept":
        world.sweep()
    for _ in range(3):
        if memory == "lost":
            shutil.rmtree(world.state_dir, ignore_errors=True)
        report = world.new_plugin().sweep()
        assert {entry.verdict.value for entry in report.sessions} <= {"keep"}
        # Without its memory the reaper takes its own stamps for another one's, and leaves these sessions alone.
        assert memory == "lost" or outcomes(report) == dict.fromkeys(live, "none")
    assert all(map(world.lives, live))


def test_i02_a_server_that_has_not_loaded_its_workspaces_yet_loses_none(world: World) -> None:
    """The rows come after the restart of reaper and server: until then every session looks like an orphan."""
    live = world.workspaces(4)
    world.host.delete(*live)
    for _ in range(3):
        assert set(outcomes(world.new_plugin().sweep()).values()) == {"none"}
    world.host.insert(live)
    report = world.new_plugin().sweep()
    assert {entry.verdict.value for entry in report.sessions} == {"keep"}
    assert all(map(world.lives, live))


# I04


def test_i04_what_was_made_on_another_socket_is_neither_listed_nor_touched(worlds: Worlds) -> None:
    """A just-migrated agent died: launcher and reaper used different sockets."""
    world = worlds(servers=2)
    here, there = world.servers
    world.configure(tmux_sockets=[there.path])
    gone, also = world.workspaces(2)
    world.session(gone, server=there)
    world.session(also, server=there)
    world.sweep()
    world.host.delete(gone)
    report = [world.sweep(), world.sweep()][-1]
    assert {entry.socket for entry in report.sessions} == {there.path}
    assert not world.lives(gone, there)
    assert world.lives(gone, here), "the twin on the socket that is not configured"


def test_i04_another_place_for_sockets_is_another_socket(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same name in another TMUX_TMPDIR: the reaper sees nothing there, and concludes nothing for the one it knows."""
    [known] = world.workspaces(1)
    world.sweep()
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    world.configure(tmux_sockets=[Path(world.server.path).name])
    world.host.delete(known)
    for _ in range(3):
        report = world.sweep()
        assert report.sessions == []
    assert world.lives(known)


# I13


def test_i13_a_client_that_is_killed_takes_no_session_with_it(worlds: Worlds) -> None:
    """Killing the tmux client reaped the live agent: the client's end was taken for the agent's."""
    world = worlds(activity_grace=60)
    [known] = world.workspaces(1, sessions=False)
    client = world.server.attach(world.session(known))
    assert world.sweep().sessions[0].verdict.value == "keep"
    os.kill(client.pid, signal.SIGKILL)
    wait_until(lambda: client.tty not in client.attached())
    for _ in range(2):
        assert outcomes(world.sweep()) == {known: "none"}
    world.host.archive(known)
    report = world.sweep()
    assert (report.sessions[0].outcome, report.sessions[0].protected_by) == ("none", "active")


# I14


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("its disk is gone", "does not exist"),
        ("its directory is a file", "cannot be inspected"),
        ("it is no database", "not an SQLite database"),
    ],
)
def test_i14_a_database_out_of_reach_has_deleted_nothing(world: World, host: WorkspacePlugins, how: str, message: str) -> None:
    """A record was removed when its machine was offline: no answer was read as "directory deleted"."""
    live = world.workspaces(2)
    world.sweep()
    own = world.host.path
    away = own.with_name("away.sqlite")
    own.rename(away)
    if how == "its disk is gone":
        own.symlink_to("/nonexistent/mount/host.sqlite")
    elif how == "its directory is a file":  # not even a superuser may inspect what is below it
        own.symlink_to(away / "host.sqlite")
    else:
        own.write_text("offline")
    if how == "its disk is gone":  # a hook is looked into for six seconds: once is enough
        for one in live:
            host.workspace_deleted(one)
        assert host.drain(60)
    for _ in range(2):
        report = world.sweep()
        assert report.exit_code == 3
        (reason,) = [unknown.reason for unknown in report.unknown if unknown.source is Source.REGISTRY]
        assert message in reason
    assert all(map(world.lives, live))
    own.unlink()
    away.rename(own)
    assert outcomes(world.sweep()) == dict.fromkeys(live, "none")


@pytest.fixture
def host(world: World) -> WorkspacePlugins:
    plugins = WorkspacePlugins()
    plugins.register(world.plugin, "reaper")
    return plugins


# I16


def test_i16_a_workspace_that_runs_elsewhere_is_nothing_to_do(world: World) -> None:
    """Running container agents were listed for prune: the machine can't see the container's tmux."""
    [here] = world.workspaces(1)
    elsewhere = world.workspaces(3, sessions=False)
    for one in elsewhere:
        world.host.start(one)
    before = _rows(world)
    report = world.sweep()
    assert (report.exit_code, outcomes(report)) == (0, {here: "none"})
    assert _rows(world) == before
    assert world.server.session_ids() == {report.sessions[0].session_id}


def _rows(world: World) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(world.host.path)) as connection:
        return connection.execute("SELECT * FROM execution_processes ORDER BY id").fetchall()


# I36


def test_i36_activity_that_no_database_has_yet_protects(worlds: Worlds) -> None:
    """A sandbox was stopped after its activity was acknowledged: that was buffered elsewhere. tmux has the last word."""
    world = worlds(activity_grace=60)
    archived = world.workspace(archived=True)
    world.session(archived, command="while :; do echo working; sleep 0.2; done")
    report = world.sweep()
    assert (report.sessions[0].outcome, report.sessions[0].protected_by) == ("none", "active")


def test_i36_activity_between_the_verdict_and_the_kill_protects(worlds: Worlds, erring: Erring) -> None:
    """There was no second look under the lock."""
    world = worlds(activity_grace=3)
    archived = world.workspace(archived=True)
    # It stays busy once it has begun, so that the recheck finds it active however late it comes.
    session_id = world.session(archived, command="read line; while :; do echo busy; sleep 0.1; done")
    wait_until(lambda: world.sweep(dry_run=True).sessions[0].outcome == "would-reap", 30)

    def work() -> None:
        world.server.run("send-keys", "-t", f"{session_id}:", "go", "Enter")
        wait_until(lambda: "busy" in world.server.run("capture-pane", "-p", "-t", f"{session_id}:"))

    with erring(Rule("list-sessions", skip=1, hold="before")) as front:
        report = sweep_during(front, work, world.sweep)
    assert (report.sessions[0].outcome, report.sessions[0].protected_by) == ("spared", "active")
    assert world.lives(archived)
