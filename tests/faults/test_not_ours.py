"""Public incidents in which a reaper ended, removed or wrote what was none of its business."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.tools.world import World, outcomes


def content(directory: Path) -> Mapping[str, tuple[str, float]]:
    """Every file below it: what is in it, and when it was last written."""
    return {
        str(path.relative_to(directory)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_i28_clients_are_neither_killed_nor_detached(world: World) -> None:
    """Half-open control clients were killed to tidy up, and tmux crashed. One that looks at a deleted workspace's session
    goes on with another session, as its own ``detach-on-destroy`` has it."""
    gone, live = world.workspaces(2, sessions=False)
    world.server.run("start-server", ";", "new-session", "-d", "-s", "home", "sleep 100000")
    world.server.adopt()
    world.server.run("set-option", "-g", "detach-on-destroy", "off")
    clients = [world.server.attach(world.session(one)) for one in (gone, live)]
    control = world.server.attach(world.server.run("list-sessions", "-F", "#{session_id}").split()[0], "-r")
    world.sweep()
    world.host.delete(gone)
    world.plugin.on_workspace_deleted(gone)
    assert world.plugin.drain(60)
    assert not world.lives(gone)
    assert all(psutil.Process(client.pid).is_running() for client in [*clients, control])
    assert all(client.tty in client.attached() for client in [*clients, control])


def test_i56_switched_off_it_leaves_its_store_byte_for_byte(world: World) -> None:
    """225 of 244 sessions vanished: several hidden deleters, and the switch worked for none of them."""
    archived, orphan, live = world.workspaces(3)
    world.sweep()
    world.plugin.close()
    world.host.archive(archived)
    world.host.delete(orphan)
    before = content(world.state_dir)
    world.configure(enabled=False)
    plugin = world.new_plugin()
    report = plugin.sweep()
    plugin.on_workspace_deleted(orphan)
    plugin.on_workspace_archived(archived)
    assert plugin.drain(60)
    plugin.close()
    assert report.abstained == "disabled"
    assert content(world.state_dir) == before
    assert all(map(world.lives, (archived, orphan, live)))


def test_i57_a_worktree_is_never_touched(world: World, worktree: Path) -> None:
    """Dirty, unpushed and used worktrees were removed with ``--force``."""
    (worktree / ".git").write_text("gitdir: elsewhere\n")
    (worktree / "unsaved.txt").write_text("of somebody\n")
    before = content(worktree)
    ids = [world.workspace(worktree=str(worktree)) for _ in range(3)]
    orphan, archived, flagged = ids  # the newest would be in doubt: its directory is still there
    for one in ids:
        world.session(one)
    world.sweep()
    world.host.archive(archived)
    world.host.delete_worktree(flagged)
    world.host.delete(orphan)
    world.sweep()
    assert outcomes(world.sweep()) == {orphan: "reaped"}
    assert not any(map(world.lives, ids))
    assert content(worktree) == before
