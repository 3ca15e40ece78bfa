"""Work that does not show as CPU time: a build that gets no CPU, and processes in another pid namespace."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes

Worlds = Callable[..., World]
PATIENCE = 60
BUSY = f"exec {shlex.quote(sys.executable)} -c 'while True: pass'"


@pytest.fixture
def rivals() -> Iterator[Callable[[int, int], None]]:
    """Programs that compute on one CPU and leave nothing to others there.

    Linux shares a CPU between the sessions of processes first (autogroups): each of these is one.
    """
    with ExitStack() as stack:

        def start(cpu: int, count: int) -> None:
            for _ in range(count):
                program = ["taskset", "-c", str(cpu), sys.executable, "-c", "while True: pass"]
                rival = subprocess.Popen(program, start_new_session=True)
                stack.callback(rival.wait)
                stack.callback(rival.kill)

        yield start


def test_i89_a_build_that_gets_no_cpu_is_at_work_in_the_first_sweep(worlds: Worlds, rivals: Callable[[int, int], None]) -> None:
    """On an overloaded machine the first sweep that sees an archived session reaps it while its silent build runs."""
    world = worlds(activity_grace=1)
    building, resting = world.workspaces(2, sessions=False, archived=True)
    cpu = max(os.sched_getaffinity(0))
    least = "echo 19 > /proc/self/autogroup; exec nice -n 19"
    session_id = world.session(building, command=f"{least} taskset -c {cpu} {BUSY.removeprefix('exec ')}")
    world.session(resting, command="exec cat")
    pid = int(world.server.show(session_id, "#{pane_pid}"))
    wait_until(lambda: "while True" in " ".join(psutil.Process(pid).cmdline()), PATIENCE)
    rivals(cpu, 20)
    later = time.time() + 2
    wait_until(lambda: time.time() > later, PATIENCE)
    for _ in range(3):
        report = world.new_plugin().sweep()  # each sees the session for the first time
        assert world.entry(report, building).outcome != "reaped"
    assert world.lives(building)
    assert not world.lives(resting)


UNSHARED = """
import sys
from workspace_reaper.cli import main
sys.argv = ["workspace-reaper", *sys.argv[1:]]
main()
"""


def unshared(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a pid namespace of its own, with a ``/proc`` of its own."""
    world.write_config()
    program = [sys.executable, "-c", UNSHARED, "--config", str(world.config), *arguments]
    return subprocess.run(
        ["unshare", "-p", "-f", "--mount-proc", *program], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.once
def test_i75_a_pane_that_can_not_be_seen_is_not_idle(worlds: Worlds, tmp_path: Path) -> None:
    """In another pid namespace a computing pane is "idle", and survivors are "none"."""
    world = worlds(activity_grace=1, idle_ttl=2)
    archived, idle, gone = world.workspace(archived=True), world.workspace(), world.workspace()
    for one in (archived, idle, gone):
        world.session(one, command=BUSY)
    later = time.time() + 3
    wait_until(lambda: time.time() > later, PATIENCE)
    done = unshared(world, "sweep", "--json")
    assert done.returncode == 0, done
    assert [world.lives(one) for one in (archived, idle, gone)] == [True] * 3
    told = unshared(world, "doctor")
    assert "the processes of 3 sessions, such as" in told.stdout
    assert "cannot be seen from here" in told.stdout


@pytest.mark.once
def test_i75_what_became_of_processes_that_could_not_be_seen_is_unknown(world: World) -> None:
    deleted, other = world.workspaces(2)
    world.sweep()
    world.host.delete(deleted)
    world.configure(idle_clocks=["output"], confirmation_gap=0)
    assert unshared(world, "sweep").returncode == 0
    done = unshared(world, "sweep", "--json")
    assert done.returncode == 0, done
    assert not world.lives(deleted)
    assert world.lives(other)
    shown = unshared(world, "history", "--json")
    assert "they cannot be seen from here" in shown.stdout
    assert set(outcomes(world.sweep())) == {other}
