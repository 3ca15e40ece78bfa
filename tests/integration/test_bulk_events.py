"""Ten thousand deletions at once: no event is lost."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_hookspecs import WorkspacePlugins, hookimpl
from workspace_reaper.operations.status import read_history

pytestmark = pytest.mark.once

MANY = 10_000
REAL = 100


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


@pytest.mark.parametrize("threads", [1, 4])
def test_i85_all_sessions_are_gone_after_ten_thousand_deletions(world: World, threads: int) -> None:
    """Each of the sessions is named twice, in different spellings of its id. No tick helps."""
    ids = world.workspaces(REAL)
    world.sweep()
    others = [world.host.new_id(number) for number in range(100_000, 100_000 + MANY - 2 * len(ids))]
    world.host.insert(others)
    world.host.delete(*ids, *others)
    events = [*(one.upper() for one in ids), *others, *ids]
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        firing = [threading.Thread(target=fire, args=(plugins, events[number::threads])) for number in range(threads)]
        for one in firing:
            one.start()
        for one in firing:
            one.join(60)
        assert plugins.drain(300)
    reaps = read_history(world.plugin.reaper(), 2 * REAL)
    assert sorted(one.intent.workspace_id for one in reaps) == sorted(ids)
    assert {(one.intent.reason, str(one.outcome)) for one in reaps} == {("deleted", "reaped")}
    assert not any(map(world.lives, ids))


def fire(plugins: WorkspacePlugins, ids: Sequence[str]) -> None:
    for one in ids:
        plugins.workspace_deleted(one)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux itself")
def test_an_idle_queue_wakes_no_thread(world: World) -> None:
    """Neither the thread of a plugin's queue nor the reaper's own."""
    archived = world.workspace()
    world.session(archived)
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.tick()
        assert plugins.drain(60)
        threads = [one for one in threading.enumerate() if one.name in ("workspace plugin reaper", "workspace-reaper")]
        assert len(threads) == 2
        wait_until(lambda: all(map(sleeps, threads)), 60)
        before = [switches(one) for one in threads]
        time.sleep(1)
        assert [switches(one) for one in threads] == before


def status(thread: threading.Thread) -> Mapping[str, str]:
    text = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def switches(thread: threading.Thread) -> int:
    """How often the thread has given up the CPU by itself: once each time that it goes to sleep again."""
    return int(status(thread)["voluntary_ctxt_switches"])


def sleeps(thread: threading.Thread) -> bool:
    """The thread waits, and has done so for a moment."""
    before = switches(thread)
    time.sleep(0.1)
    return status(thread)["State"].startswith("S") and switches(thread) == before
