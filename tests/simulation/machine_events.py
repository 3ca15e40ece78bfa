"""What happens to the machine, its tmux server, its disk, and the other plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.simulation.world import World

__all__ = ["MACHINE_EVENTS"]


def _wait(world: World, seconds: float) -> None:
    world.clock.go_on(seconds)


def _sleep(world: World, seconds: float) -> None:
    began = world.now
    world.clock.go_on(asleep=seconds)
    world.slept.append((began, world.now))


def _step(world: World, seconds: float) -> None:
    """The wall clock is set, ahead or back."""
    world.clock.go_on(set_ahead=seconds)
    world.steps.append((world.now, seconds))


def _mute(world: World, _seconds: float) -> None:
    world.tmux.fault = "tmux did not answer within 5 s"


def _unmute(world: World, _seconds: float) -> None:
    world.tmux.fault = None


def _unlink(world: World, _seconds: float) -> None:
    """Something tidies the socket away. The server lives on."""
    world.tmux.is_unlinked = world.tmux.server is not None


def _link(world: World, _seconds: float) -> None:
    """``kill -USR1``."""
    world.tmux.is_unlinked = False


def _allow(world: World, _seconds: float) -> None:
    world.plugins.held, world.plugins.silence = {}, None


def _silence(world: World, _seconds: float) -> None:
    world.plugins.silence = "it raised an error"


def _fill_disk(world: World, _seconds: float) -> None:
    world.disk.room = 0


def _free_disk(world: World, _seconds: float) -> None:
    world.disk.room = None


def _inherit_keep(world: World, _seconds: float) -> None:
    world.tmux.set_global_option("@reaper_keep", "1")
    world.inherits_keep_since = world.inherits_keep_since or world.now
    for life in world.lives.values():
        life.kept_since = life.kept_since or world.now


def _uninherit_keep(world: World, _seconds: float) -> None:
    world.tmux.options.pop("@reaper_keep", None)
    world.inherits_keep_since = None
    for life in world.lives.values():
        if "@reaper_keep" not in world.tmux.sessions[life.session_id].options:
            life.kept_since = None


def _inherit_owner(world: World, _seconds: float) -> None:
    """A careless ``set -g``."""
    world.tmux.set_global_option("@workspace_owner", "feed")


def _uninherit_owner(world: World, _seconds: float) -> None:
    world.tmux.options.pop("@workspace_owner", None)


def _end_server(world: World, _seconds: float) -> None:
    """The server ends, and its user starts it again: the same names, and the same ids."""
    again = [life.of for life in world.lives.values() if life.client is None][:2]
    foreign = [*world.foreign.values()]
    world.tmux.kill_server()
    world.note_ended("its user")
    for one in dict.fromkeys(again):
        world.new_session(one)
    for name in foreign:
        world.new_foreign(name)


def _copy_marks(world: World, _seconds: float) -> None:
    """A script copies the options of a session to those that belong to no workspace."""
    marked = [one for one in world.tmux.sessions.values() if "@workspace_owner" in one.options]
    for session_id in world.foreign if marked else ():
        world.tmux.sessions[session_id].options.update(marked[0].options)


MACHINE_EVENTS: Mapping[str, Callable[[World, float], None]] = {
    "wait": _wait,
    "sleep": _sleep,
    "step clock ahead": _step,
    "step clock back": lambda world, seconds: _step(world, -seconds),
    "mute": _mute,
    "unmute": _unmute,
    "unlink socket": _unlink,
    "link socket": _link,
    "end server": _end_server,
    "copy marks": _copy_marks,
    "inherit keep": _inherit_keep,
    "uninherit keep": _uninherit_keep,
    "inherit owner": _inherit_owner,
    "uninherit owner": _uninherit_owner,
    "allow": _allow,
    "silence plugins": _silence,
    "fill disk": _fill_disk,
    "free disk": _free_disk,
}
