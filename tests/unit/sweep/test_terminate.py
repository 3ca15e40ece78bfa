"""What the sweep ends of a session, and what it leaves alone, where little can be read."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Mapping

import pytest

from tests.tools.builders import (
    NOW,
    SERVER,
    process,
    session_key,
)
from tests.tools.clocks import VirtualClock
from tests.tools.leftovers import CHILD, RECORDED, OneChild
from tests.unit.sweep.scene import Scene, cleanup_of
from workspace_reaper.model.process import Origin, ProcessKey
from workspace_reaper.model.reap import ProcessCleanup, RecordedProcess
from workspace_reaper.sweep.leftovers import Dependents, LeftoverProcesses, Others, ProcessOrigins
from workspace_reaper.sweep.terminate import Termination


@pytest.mark.parametrize("shown", [None, frozenset({"%1"})], ids=["its socket can't be read", "its pane is still listed"])
def test_what_may_still_be_in_a_pane_gets_no_signal(shown: frozenset[str] | None) -> None:
    processes = OneChild()
    left = LeftoverProcesses(session_key(), frozenset({"%1"}), None, RECORDED)
    termination = Termination(
        processes,  # type: ignore[arg-type]
        VirtualClock(NOW),
        grace=0.0,
        everywhere=True,
        own_uid=os.geteuid(),
        shown={SERVER.pid: shown},
    )
    cleanup = termination.run([left])[session_key()]
    assert processes.signals == []
    assert [one.pid for one in cleanup.survivors] == [4711]
    assert cleanup.ended == ()


def ended(processes: OneChild, *, grace: float = 0.0) -> ProcessCleanup:
    """What becomes of the child when its session is gone."""
    left = LeftoverProcesses(session_key(), frozenset({"%1"}), None, RECORDED)
    shown = {SERVER.pid: frozenset[str]()}
    termination = Termination(
        processes,  # type: ignore[arg-type]
        VirtualClock(NOW),
        grace=grace,
        everywhere=True,
        own_uid=os.geteuid(),
        shown=shown,
    )
    return termination.run([left])[session_key()]


def test_one_that_no_signal_ends_is_reported() -> None:
    """It has each signal once, however often the processes are scanned."""
    processes = OneChild(stubborn=True)
    cleanup = ended(processes, grace=5.0)
    assert processes.signals == [signal.SIGTERM, signal.SIGCONT, signal.SIGKILL]
    assert [one.pid for one in cleanup.survivors] == [4711]
    assert cleanup.ended == ()


def test_i74_what_others_may_depend_on_by_now_is_not_killed() -> None:
    """After TERM the table cannot be read: whether another process needs it is unknown."""
    processes = OneChild(stubborn=True, blind_after=True)
    cleanup = ended(processes, grace=5.0)
    assert processes.signals == [signal.SIGTERM, signal.SIGCONT]
    assert [(one.pid, one.why) for one in cleanup.survivors] == [(4711, "the process table cannot be read")]


def test_one_that_may_not_be_signalled_is_reported_with_the_reason() -> None:
    cleanup = ended(OneChild(refused=True))
    assert [(one.pid, one.why) for one in cleanup.survivors] == [(4711, "the system did not permit the signal")]


def test_without_a_table_of_processes_none_is_signalled() -> None:
    processes = OneChild(blind=True)
    cleanup = ended(processes)
    assert processes.signals == []
    assert [(one.pid, one.why) for one in cleanup.survivors] == [(4711, "the process table cannot be read")]


def test_a_zombie_is_neither_signalled_nor_a_survivor() -> None:
    processes = OneChild(child=CHILD._replace(zombie=True))
    cleanup = ended(processes)
    assert (processes.signals, cleanup.survivors) == ([], ())


class Asked(OneChild):
    """Remembers for which processes the open files were read."""

    asked: Collection[ProcessKey] = ()

    def needed(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, str]:
        self.asked = [*self.asked, *keys]
        return {}


def test_only_a_process_of_a_killed_session_is_none_of_the_others() -> None:
    """What a living session, a tmux or somebody else runs below one is an other, and may be its client."""
    first, second = process(10), process(11, parent=10)
    elsewhere, alive, tmux = (
        process(12, parent=10, origin=Origin("/s", 1, 1, "%1")),
        process(13),
        process(14, name="tmux: server"),
    )
    children = {10: [second, elsewhere]}
    processes = Asked()
    dependents = Dependents(
        Others(),
        processes,  # type: ignore[arg-type]
        {alive.key},
        children,
        [first, second, alive, tmux],
    )
    assert (dependents.of(first, None), dependents.of(second, None)) == (None, None)
    assert processes.asked == [first.key, second.key]


# Where a process comes from

LEFTOVERS = LeftoverProcesses(
    session_key(3), frozenset({"%7"}), None, [RecordedProcess(ProcessKey(50, 100.0), "sh", "%7", True)]
)
EMPTY = LeftoverProcesses(session_key(4), frozenset({"%8"}), None, [])


@pytest.mark.parametrize(
    ("server", "number", "pane", "started", "is_its_own"),
    [
        pytest.param(SERVER.pid, 3, "%7", 100.0, True, id="its session and its pane"),
        pytest.param(SERVER.pid, 3, "%1", 200.0, True, id="a pane of it that was closed before"),
        pytest.param(SERVER.pid, 1, "%7", 200.0, True, id="a pane that was moved into it"),
        pytest.param(SERVER.pid, 1, "%1", 200.0, False, id="another session and pane"),
        pytest.param(SERVER.pid + 1, 3, "%7", 200.0, False, id="another server"),
        pytest.param(SERVER.pid, 3, "%7", 99.0, False, id="older than all of it"),
        pytest.param(SERVER.pid, 4, "%8", 200.0, False, id="one of which no process was known"),
    ],
)
def test_by_session_or_by_pane(server: int, number: int, pane: str, started: float, is_its_own: bool) -> None:
    one = process(60, started=started, origin=Origin("/s", server, number, pane))
    assert ProcessOrigins([EMPTY, LEFTOVERS]).source_of(one) is (LEFTOVERS if is_its_own else None)


def test_without_an_origin_it_is_nobodys() -> None:
    assert ProcessOrigins([LEFTOVERS]).source_of(process(60)) is None


# In whole sweeps


def test_what_a_leftover_starts_after_the_kill_ends_with_it_and_is_reported_by_its_command() -> None:
    """Its environment was cleaned, so only its parent shows where it comes from."""
    scene = Scene()
    scene.give_up()
    server = scene.leave_behind("manager")
    machine, started = scene.world.machine, list[int]()
    scene.during("processes.table", 2, lambda: started.append(machine.spawn(["node", "app.js"], parent=server, environ={})))
    cleanup = cleanup_of(scene.sweep())
    assert [(one.pid, one.command, one.signal) for one in cleanup.ended if one.signal == "TERM"] == [
        (server, "manager", "TERM"),
        (*started, "node app.js", "TERM"),
    ]
    assert cleanup.survivors == ()


def test_what_runs_in_a_terminal_program_that_the_session_started_is_left_alone() -> None:
    """It is a terminal in use, on whatever level below."""
    scene = Scene()
    scene.give_up()
    screen = scene.leave_behind("SCREEN")
    shell = scene.leave_behind("bash", parent=screen)
    editor = scene.leave_behind("vi", parent=shell)
    cleanup = cleanup_of(scene.sweep())
    assert {one.pid: one.why for one in cleanup.survivors} == {
        screen: "other terminals run in it",
        shell: "it runs in SCREEN, which is left alone",
        editor: "it runs in SCREEN, which is left alone",
    }
    assert scene.signalled() == set()


def test_one_that_had_ended_before_the_table_could_not_be_read_was_not_left_alone() -> None:
    """What it has started comes from a process that was ended, and ends too, wherever it works."""
    scene = Scene()
    scene.give_up()
    machine, started = scene.world.machine, list[int]()

    def start() -> None:
        started.append(scene.leave_behind("server"))
        machine.change_directory(started[0], "/")

    scene.during("terminal.kill", 1, start)
    scene.during("processes.table", 2, lambda: setattr(machine, "fault", "/proc is hidden"))
    scene.during("processes.table", 3, lambda: setattr(machine, "fault", None))
    cleanup = cleanup_of(scene.sweep())
    assert [(one.command, one.signal) for one in cleanup.ended] == [("sh", "HUP"), ("server", "TERM")]
    assert cleanup.survivors == ()
