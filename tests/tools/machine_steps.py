"""Of what the steps of the state machine are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypothesis import strategies as st

from tests.tools.machine_facts import Key
from tests.tools.machine_host import MachineHost
from tests.tools.machine_world import MachineWorld, name_of

__all__ = ["AFTERWARDS", "CHANGES", "MEANWHILE", "NAME", "SIBLINGS", "WHICH", "WORKSPACES"]

WORKSPACES = ("w1", "w2", "w3", "w4", "w5")
SIBLINGS = ("s1", "s2", "s3")
"""Workspaces of another database of the same kind."""

WHICH = st.integers(0, 5)
"""Of those that are there."""

NAME = st.sampled_from([*map(name_of, WORKSPACES), "mine", "my-own"])
"""The last two are foreign to the reaper."""

AFTERWARDS = st.sampled_from(
    [None] * 4
    + [{"seconds": 1000 * many} for many in (0, 1, 1, 1, 2, 2, 3, 3, 5, 11, 21, 21, 41)]
    + [{"seconds": 2000, "dry": True}, {"asleep": 3000}, {"asleep": 50_000}, {"set_ahead": 3000}, {"set_ahead": 50_000}]
)
"""The sweep that follows a step: after so many seconds, or a machine's sleep, or somebody who set the clock. See `LIMITS`."""

CHANGES: Mapping[str, Callable[[MachineHost, str], None]] = {
    "delete": lambda host, one: host.delete(one),
    "delete with its directory": lambda host, one: host.delete_with_directories(one),
    "archive": lambda host, one: host.archive(one),
    "unarchive": lambda host, one: host.archive(one, on=False),
    "pin": lambda host, one: host.pin(one),
    "unpin": lambda host, one: host.pin(one, on=False),
    "run": lambda host, one: host.run(one),
    "stop": lambda host, one: host.run(one, on=False),
    "delete the worktree": lambda host, one: host.delete_worktree(one),
    "flag as deleted": lambda host, one: host.flag_deleted(one),
    "flag as deleted and remove its directory": lambda host, one: host.flag_deleted_with_directory(one),
}


def _is_there_again(world: MachineWorld, workspace: str) -> None:
    if workspace in world.host.rows():
        world.host.archive(workspace, on=False)
    else:
        world.host.insert([workspace])


MEANWHILE: Mapping[str, Callable[[MachineWorld, str, Key, str], object]] = {
    "nothing": lambda world, session_id, key, one: None,
    "there again": lambda world, session_id, key, one: _is_there_again(world, one),
    "kept": lambda world, session_id, key, one: world.keep(session_id, on=True),
    "attached": lambda world, session_id, key, one: world.attach(session_id, key),
    "renamed": lambda world, session_id, key, one: world.rename(session_id, f"renamed-{session_id[1:]}"),
    "deleted": lambda world, session_id, key, one: world.host.delete_with_directories(one),
    "running": lambda world, session_id, key, one: world.host.run(one),
}
"""What happens to a session, or to its workspace, while a sweep that is about to reap it is stopped."""
