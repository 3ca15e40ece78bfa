"""Ten thousand deletions at once: no event is lost."""

from __future__ import annotations

import threading

import pytest

from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_hookspecs import WorkspacePlugins, hookimpl

pytestmark = pytest.mark.once

MANY = 10_000


class Slow:
    """A plugin whose first call lasts until it is let go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.deleted: list[str] = []
        self.ticks = 0

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        self.go_on.wait(60)
        self.deleted.append(workspace_id)

    @hookimpl
    def on_tick(self) -> None:
        self.ticks += 1


def test_i85_ten_thousand_events_all_reach_the_plugin() -> None:
    """10,000 deletions at once: half of the events never reach the plugin."""
    slow, ids = Slow(), [f"w{number}" for number in range(MANY)]
    with WorkspacePlugins() as plugins:
        plugins.register(slow, "slow")
        for one in ids:
            plugins.workspace_deleted(one)
        slow.go_on.set()
        assert plugins.drain(60)
    assert slow.deleted == ids


def test_i85_equal_events_that_wait_are_one() -> None:
    slow = Slow()
    with WorkspacePlugins(queue_limit=10) as plugins:
        plugins.register(slow, "slow")
        for _ in range(MANY):
            plugins.workspace_deleted("a")
            plugins.workspace_deleted("b")
        slow.go_on.set()
        assert plugins.drain(60)
    # The first call may have begun before the second event of its kind came.
    assert slow.deleted in (["a", "b"], ["a", "b", "a"])
    assert slow.ticks == 0


def test_i85_what_does_not_fit_is_made_up_for_by_one_tick(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    with WorkspacePlugins(queue_limit=10) as plugins:
        plugins.register(slow, "slow")
        for number in range(MANY):
            plugins.workspace_deleted(f"w{number}")
        slow.go_on.set()
        assert plugins.drain(60)
    assert 10 <= len(slow.deleted) <= 11
    assert slow.ticks == 1
    assert "its queue is full (10 events)" in caplog.text


def test_i85_all_sessions_are_gone_after_ten_thousand_deletions_in_one_loop(world: World) -> None:
    ids = world.workspaces(20)
    world.sweep()
    others = [world.host.new_id(number) for number in range(100_000, 100_000 + MANY - len(ids))]
    world.host.insert(others)
    world.host.delete(*ids, *others)
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        for one in [*others, *ids]:
            plugins.workspace_deleted(one)
        assert plugins.drain(120)
        wait_until(lambda: not any(map(world.lives, ids)), 60)
