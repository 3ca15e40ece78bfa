"""What a host and its operator do: rows, hooks, directories, and the database as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.simulation.lives import WorkspaceLife
from tests.simulation.memory.machine import INIT
from tests.simulation.oracle.truth import Absence, HookKind, Row
from tests.simulation.world import ROOT, World
from workspace_reaper.model.workspace import Workspace

__all__ = ["HOST_EVENTS"]

_Event = Callable[[World, WorkspaceLife], None]


def _delete(world: World, one: WorkspaceLife) -> None:
    if one.workspace_id in world.host.rows:
        world.host.delete(one.workspace_id)
        one.say(None, world.now)


def _delete_with_directory(world: World, one: WorkspaceLife) -> None:
    _delete(world, one)
    _remove_directory(world, one)


def _insert(world: World, one: WorkspaceLife) -> None:
    if one.workspace_id not in world.host.rows:
        world.host.insert([one.workspace_id], worktree=one.path)
        one.say(Row(), world.now)


def _all(event: _Event) -> _Event:
    """The same for all workspaces."""

    def for_all(world: World, _one: WorkspaceLife) -> None:
        for each in world.workspaces:
            event(world, each)

    return for_all


def _delete_most(world: World, one: WorkspaceLife) -> None:
    """A bit more than half of the workspaces, from this one on, are deleted."""
    number = len(world.workspaces)
    for step in range(number // 2 + 1):
        _delete(world, world.workspaces[(one.number + step) % number])


def _flag(**flags: bool) -> _Event:
    return lambda world, one: world.write_row(one, **flags)


def _spoil(world: World, one: WorkspaceLife) -> None:
    row = world.host.rows.get(one.workspace_id)
    if row is not None:
        # No flag of such a row counts, and no directory.
        world.host.rows[one.workspace_id] = Workspace(one.workspace_id, unreadable="its flag is odd", place=row.place)
        world.host.commits += 1
        one.set(world.now, readable=False)


def _new_without_row(world: World, _one: WorkspaceLife) -> None:
    world.new_workspace(row=False)


def _insert_newest(world: World, _one: WorkspaceLife) -> None:
    _insert(world, world.workspaces[-1])


def _start_again(world: World, one: WorkspaceLife) -> None:
    """The host starts the session of a workspace that has none."""
    name = world.host.session_name(one.workspace_id)
    if world.life_of(one.number) is None and all(each.name != name for each in world.tmux.sessions.values()):
        world.new_session(one)


def _restore(world: World, _one: WorkspaceLife) -> None:
    """An older copy of the database is put in its place, as another file."""
    rows, commits = world.backup
    world.host.location, world.host.commits = f"{world.host.location}'", commits
    world.replace_rows(dict(rows), Absence.LOST)


def _restore_in_place(world: World, _one: WorkspaceLife) -> None:
    """An older copy of the database is put in its place: only its count of changes shows that."""
    world.host.commits -= 1000
    world.replace_rows(dict(world.backup[0]), Absence.LOST)


def _swap(world: World, _one: WorkspaceLife) -> None:
    """An empty database is put in its place."""
    world.host.location, world.host.commits = f"{world.host.location}'", 0
    world.replace_rows({}, Absence.LOST)


def _lock(world: World, _one: WorkspaceLife) -> None:
    if world.host.fault is None:
        world.host.fault, world.registry_fault_since = "database is locked", world.now


def _unlock(world: World, _one: WorkspaceLife) -> None:
    world.host.fault = world.registry_fault_since = None


# Directories


def _remove_directory(world: World, one: WorkspaceLife) -> None:
    if one.directory[-1].gone:
        return
    world.tree.remove(one.path)
    one.place(world.now, gone=True, session_inside=False)


def _make_directory(world: World, one: WorkspaceLife) -> None:
    if one.directory[-1].gone and one.directory[-1].parent_intact:
        world.tree.make(one.path)
        one.place(world.now, gone=False)


def _move_directory(world: World, one: WorkspaceLife) -> None:
    if one.directory[-1].gone:
        return
    inside = world.is_worked_in(one)
    world.tree.move(one.path, f"{one.path}-moved-{world.now:.3f}")
    one.place(world.now, gone=True, session_inside=inside)


def _unmount(world: World, _one: WorkspaceLife) -> None:
    """All directories go away with the disk that they are on, and the mount point is another directory."""
    if all(each.directory[-1].gone for each in world.workspaces):
        return
    worked_in = {each.workspace_id for each in world.workspaces if not each.directory[-1].gone and world.is_worked_in(each)}
    world.tree.move(ROOT, f"{ROOT}-{world.now:.3f}")
    world.tree.make(ROOT)
    for each in world.workspaces:
        if not each.directory[-1].gone:
            inside = each.workspace_id in worked_in
            each.place(world.now, gone=True, parent_intact=False, session_inside=inside)


def _recycle(world: World, one: WorkspaceLife) -> None:
    """A process of the workspace that left its pane ends. Its pid gets a program of another session, or one of none."""
    other, left = world.life_of(one.number + 1), world.left_behind(one)
    if not left:
        return
    if left[0].pid % 2 or other is None or other.of is one or other.dead_since is not None:
        world.machine.recycle(left[0].pid, ["editor"], parent=INIT, environ={}, cwd="/home/me", owner="its user")
    else:
        world.machine.recycle(left[0].pid, ["agent"], parent=world.pid_of(other), owner=other.owner)


def _stop(world: World, one: WorkspaceLife) -> None:
    """What has left the panes of the workspace is stopped."""
    for each in world.left_behind(one):
        each.is_stopped = True


def _hook(kind: HookKind) -> _Event:
    return lambda world, one: one.call(kind, world.now)


HOST_EVENTS: Mapping[str, _Event] = {
    "delete": _delete,
    "delete with directory": _delete_with_directory,
    "delete most": _delete_most,
    "delete all": _all(_delete),
    "insert": _insert,
    "insert all": _all(_insert),
    "archive": _flag(archived=True),
    "unarchive": _flag(archived=False),
    "run": _flag(running=True),
    "rest": _flag(running=False),
    "pin": _flag(pinned=True),
    "unpin": _flag(pinned=False),
    "flag deleted": _flag(deleted=True),
    "delete worktree": _flag(worktree_deleted=True),
    "unreadable row": _spoil,
    "new without row": _new_without_row,
    "start again": _start_again,
    "restore": _restore,
    "insert newest": _insert_newest,
    "restore in place": _restore_in_place,
    "swap database": _swap,
    "lock database": _lock,
    "unlock database": _unlock,
    "remove directory": _remove_directory,
    "make directory": _make_directory,
    "move directory": _move_directory,
    "unmount": _unmount,
    "recycle": _recycle,
    "stop": _stop,
    "hook deleted": _hook(HookKind.DELETED),
    "hook archived": _hook(HookKind.ARCHIVED),
}
