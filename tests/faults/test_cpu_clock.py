"""The last idle clock: a silent process that computes is at work, and an idle one with helpers is idle."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.tools.cast import Cast
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes
from workspace_reaper.sweep.report import SweepReport

pytestmark = pytest.mark.once

Worlds = Callable[..., World]

COMPUTE = """
sign("computing")
while not told("enough"):
    for number in range(200000): pass
"""

BUILD = """
import subprocess
sign("computing")
while not told("enough"):
    subprocess.run([sys.executable, "-S", "-E", "-c", "for number in range(300000): pass"])
"""

# It waits for a key, and draws nothing; its helpers wait for it, and look up now and then.
TERMINAL_UI = """
import select
def helper(name):
    if not os.fork():
        sign(name)
        while True: select.select([], [], [], 0.5)
for name in ("helper 1", "helper 2", "helper 3"):
    helper(name)
sign("ui")
while True: select.select([0], [], [], 0.5)
"""


@pytest.fixture
def world(worlds: Worlds) -> World:
    """A second of silence, and an archived session goes."""
    made = worlds(kill_grace=0.5, activity_grace=1, tick=0.001)
    made.server.new_session("beside")
    return made


def fall_silent(world: World, session_id: str) -> None:
    """Wait until the clocks of tmux, which count whole seconds, are older than the grace."""
    silent = "#{session_activity} #{W:#{window_activity} }"
    wait_until(lambda: time.time() > max(map(int, world.server.show(session_id, silent).split())) + 2.1)


def test_i42_an_idle_terminal_ui_with_idle_helpers_is_idle(world: World, cast: Cast) -> None:
    archived = world.workspace(archived=True)
    session_id = world.session(archived, command=f"exec {cast.command('ui program', TERMINAL_UI)}")
    processes = [cast.process(name) for name in ("ui", "helper 1", "helper 2", "helper 3")]
    fall_silent(world, session_id)
    reports: list[SweepReport] = []
    wait_until(lambda: reports.append(world.sweep()) or reports[-1].count("reaped"))
    assert outcomes(reports[-1]) == {archived: "reaped"}
    assert not any(map(cast.lives, processes))


@pytest.mark.parametrize(
    ("code", "how"),
    [(COMPUTE, "escaped"), (BUILD, "below its pane")],
    ids=["computes, escaped", "builds with short-lived children"],
)
def test_i32_i33_a_silent_process_that_computes_is_at_work(world: World, cast: Cast, code: str, how: str) -> None:
    archived = world.workspace(archived=True)
    started = cast.escaping("work", code) if how == "escaped" else f"{cast.command('work', code)} >/dev/null 2>&1 &"
    session_id = world.session(archived, command=f"{started}\nexec sleep 100000")
    cast.process("computing")
    fall_silent(world, session_id)
    # In the very first sweep only the second look can tell.
    report = world.sweep()
    entry = world.entry(report, archived)
    assert (entry.outcome, entry.protected_by, entry.reap_id) == ("spared", "active", None)
    # Then the time between two sweeps does, also after a restart.
    wait_until(lambda: time.time() > report.started_at + 1)
    entry = world.entry(world.new_plugin().sweep(), archived)
    assert (entry.verdict.value, entry.outcome, entry.protected_by) == ("hold", "none", "active")
    assert entry.facts is not None
    assert entry.facts.busy_at is not None
    assert session_id in world.server.session_ids()

    cast.say("enough")
    wait_until(lambda: world.new_plugin().sweep().count("reaped"))
    assert not world.lives(archived)


def test_work_in_another_session_is_none_of_this_one(world: World, cast: Cast) -> None:
    idle, busy = (world.workspace(archived=True) for _ in range(2))
    session_id = world.session(idle)
    other = world.session(busy, command=f"exec {cast.command('work', COMPUTE)}")
    cast.process("computing")
    fall_silent(world, session_id)
    fall_silent(world, other)
    assert outcomes(world.sweep()) == {idle: "reaped", busy: "spared"}
