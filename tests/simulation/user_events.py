"""What the users of sessions do, and the programs in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.simulation.lives import SessionLife
from tests.simulation.plan import RESTART_INSIDE
from tests.simulation.world import World

__all__ = ["USER_EVENTS"]


def _attach(world: World, life: SessionLife) -> None:
    if life.client is None:
        life.client = world.tmux.attach(life.session_id)
        life.attach = life.input = world.now
        for each in (life, *world.peers_of(life)):
            each.attached_since = each.attached_since or world.now
        if not world.clock.is_behind:
            life.object_to_end(world.now)


def _detach(world: World, life: SessionLife) -> None:
    """All clients leave it and its group."""
    for each in (life, *world.peers_of(life)):
        if each.client is not None:
            world.tmux.detach(each.session_id, each.client)
        each.client = each.attached_since = None


def _type(world: World, life: SessionLife) -> None:
    """A client comes, types, and leaves."""
    if life.client is None:
        _attach(world, life)
        _detach(world, life)


def _print(world: World, life: SessionLife) -> None:
    world.tmux.write(life.session_id)
    for each in (life, *world.peers_of(life)):
        each.output = world.now


def _compute(world: World, life: SessionLife) -> None:
    if life.busy_since is None and life.dead_since is None:
        # One sample shows both this work and the last one, if none has come in between.
        life.busy_since, life.computed = world.now, 0.0 if life.unmeasured is None else life.computed


def _work_for_a_day(world: World, life: SessionLife) -> None:
    _compute(world, life)
    world.clock.go_on(24.1 * 3600)
    world.end_work(life)


def _starve(world: World, life: SessionLife) -> None:
    if life.busy_since is None and life.dead_since is None:
        life.busy_since, life.starved = world.now, True
        world.machine.starve(world.pid_of(life))


def _keep(world: World, life: SessionLife) -> None:
    world.tmux.set_option(life.session_id, "@reaper_keep", "1")
    life.kept_since = life.kept_since or world.now


def _unkeep(world: World, life: SessionLife) -> None:
    world.tmux.sessions[life.session_id].options.pop("@reaper_keep", None)
    life.kept_since = world.inherits_keep_since


def _rename(world: World, life: SessionLife, name: str) -> None:
    if all(each.name != name for each in world.tmux.sessions.values()):
        world.tmux.rename(life.session_id, name)
        life.renamed_at = world.now


def _rename_away(world: World, life: SessionLife) -> None:
    """Its user gives it a name that begins as before, and that no pattern matches as a whole."""
    _rename(world, life, f"{world.host.session_name(life.of.workspace_id)}-{life.session_id[1:]}")


def _rename_to_next(world: World, life: SessionLife) -> None:
    following = world.workspaces[(life.of.number + 1) % len(world.workspaces)]
    taken = world.life_of(following.number)
    if taken is not None and taken is not life:
        _rename_away(world, taken)
    _rename(world, life, world.host.session_name(following.workspace_id))


def _view_in_group(world: World, life: SessionLife) -> None:
    """Somebody opens a viewer: a session of the same group, with a client. Its name may belong to the workspace, or to none."""
    if not world.peers_of(life):
        world.viewers += 1
        number = world.viewers
        name = f"{world.viewer_name(life.of)}{number}" if number % 2 else f"watch-{number}"
        viewer = world.new_session(life.of, group=life.session_id, name=name)
        _attach(world, viewer)


def _exit(world: World, life: SessionLife) -> None:
    if life.dead_since is None:
        group = (life, *world.peers_of(life))
        for each in group:
            world.end_work(each)
            each.dead_since, each.hidden_since = world.now, None
        world.tmux.exit(life.session_id)


def _respawn(world: World, life: SessionLife) -> None:
    if life.dead_since is not None:
        world.tmux.respawn(life.session_id)
        for each in (life, *world.peers_of(life)):
            each.died_before, each.respawned_at = each.dead_since, world.now
            each.dead_since, each.output, each.used = None, world.now, 0.0


def _end(world: World, life: SessionLife) -> None:
    world.tmux.kill_session(life.session_id)
    world.note_ended("its user")


def _mark_as_anothers(world: World, life: SessionLife) -> None:
    one = world.tmux.sessions[life.session_id]
    life.foreign_since = world.now
    one.options.update({"@workspace_owner": "feed", "@reaper_workspace": "77", "@reaper_self": world.identity(life)})


def _escape(world: World, life: SessionLife) -> None:
    """Its program starts a server that outlives it."""
    if life.dead_since is None:
        child = world.machine.fork(world.pid_of(life))
        world.machine.set_session(child)
        world.machine.processes[child].ignores = frozenset({1})


def _escape_stopped(world: World, life: SessionLife) -> None:
    """Its program starts a server that outlives it, and that somebody stops."""
    if life.dead_since is None:
        child = world.machine.fork(world.pid_of(life))
        world.machine.set_session(child)
        world.machine.processes[child].is_stopped = True


def _escape_cleaned(world: World, life: SessionLife) -> None:
    """Its program starts a server with a clean environment (``env -i``) that leaves the tree at once."""
    if life.dead_since is None and not life.of.directory[-1].gone:
        child = world.machine.spawn(["server"], environ={}, cwd=life.of.path, ignores=(1,), owner=life.owner)
        world.machine.set_session(child)


def _depend(world: World, life: SessionLife) -> None:
    """A program of the next session talks through a server that this one has started."""
    other = world.life_of(life.of.number + 1)
    if other is None or other is life or life.dead_since is not None or other.dead_since is not None:
        return
    server = world.machine.spawn(["helper"], parent=world.pid_of(life), ignores=(1, 15), owner=life.owner)
    world.machine.set_session(server)
    world.machine.connect(world.pid_of(other), server)


def _supervise(world: World, life: SessionLife) -> None:
    """A program that this one has started runs a program of the next session, and ends it when it ends itself."""
    other = world.life_of(life.of.number + 1)
    if other is None or other is life or life.dead_since is not None or other.dead_since is not None:
        return
    machine = world.machine
    runner = machine.spawn(["runner"], parent=world.pid_of(life), ignores=(1, 15), owner=life.owner)
    machine.set_session(runner)
    child = machine.spawn(["app"], parent=runner, owner=other.owner)
    machine.processes[child].origin = machine.processes[world.pid_of(other)].origin
    machine.processes[child].run_by = life.owner
    machine.changed(machine.processes[child])


def _nest(world: World, life: SessionLife) -> None:
    """Its program starts another tmux server."""
    if life.dead_since is None:
        server = world.machine.spawn(["tmux: server"], parent=world.pid_of(life), ignores=(1,), owner=life.owner)
        world.machine.set_session(server)


def _hide(world: World, life: SessionLife) -> None:
    """The process of its pane gets out of the reaper's sight, unless the reaper runs below it."""
    is_home = world.machine.processes[world.reaper_pid].parent == world.pid_of(life)
    if life.dead_since is None and life.hidden_since is None and not is_home:
        world.machine.hide(world.pid_of(life))
        for each in (life, *world.peers_of(life)):
            each.hidden_since = world.now


def _show(world: World, life: SessionLife) -> None:
    if life.hidden_since is not None:
        world.machine.hide(world.pid_of(life), on=False)
        for each in (life, *world.peers_of(life)):
            each.hidden_since = None


def _start_the_reaper(world: World, life: SessionLife) -> None:
    """The reaper is started in it."""
    _show(world, life)
    if life.dead_since is None:
        world.move_reaper(world.pid_of(life))


def _be_needed(world: World, life: SessionLife) -> None:
    """A program of a session that belongs to no workspace talks through a server that this one has started."""
    for session_id in world.foreign if life.dead_since is None else ():
        client = world.tmux.process(session_id)
        if not client.is_zombie and client.pid in world.machine.processes:
            server = world.machine.spawn(["helper"], parent=world.pid_of(life), ignores=(1, 15), owner=life.owner)
            world.machine.set_session(server)
            world.machine.connect(client.pid, server)


def _veto(world: World, life: SessionLife) -> None:
    world.plugins.held[world.tmux.sessions[life.session_id].name] = "deploying"


def _end_work(world: World, life: SessionLife) -> None:
    for each in (life, *world.peers_of(life)):
        world.end_work(each)


USER_EVENTS: Mapping[str, Callable[[World, SessionLife], None]] = {
    "attach": _attach,
    "detach": _detach,
    "type": _type,
    "print": _print,
    "compute": _compute,
    "work for a day": _work_for_a_day,
    "starve": _starve,
    "work ends": _end_work,
    "keep": _keep,
    "unkeep": _unkeep,
    "rename away": _rename_away,
    "rename to next": _rename_to_next,
    "view in group": _view_in_group,
    "exit": _exit,
    "respawn": _respawn,
    "end": _end,
    "mark as another's": _mark_as_anothers,
    "escape": _escape,
    "escape stopped": _escape_stopped,
    "escape cleaned": _escape_cleaned,
    "depend": _depend,
    "supervise": _supervise,
    "nest tmux": _nest,
    "hide": _hide,
    "show": _show,
    RESTART_INSIDE: _start_the_reaper,
    "be needed": _be_needed,
    "veto": _veto,
}
