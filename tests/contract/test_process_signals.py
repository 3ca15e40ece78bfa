"""Signals to processes, real ones and those of the simulation, and to no others."""

from __future__ import annotations

import os
import signal

import pytest

from tests.tools.claims import recycled_pid_is_another_process
from tests.tools.machines import MACHINES, Machine, SimulatedMachine, machine_of
from tests.tools.real_processes import BOTH, LINUX, ROOT, Started, in_namespaces
from tests.tools.waiting import wait_until
from workspace_reaper.model.process import ProcessKey, SignalResult
from workspace_reaper.processes.processes import SystemProcesses

pytestmark = pytest.mark.once

PROBE = 0
"""Reaches its target like a signal, and does nothing to it."""


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return machine_of(request.param)


@pytest.fixture(params=BOTH)
def processes(request: pytest.FixtureRequest) -> SystemProcesses:
    return SystemProcesses(reader=request.param())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_sent(processes: SystemProcesses, number: signal.Signals) -> None:
    with Started() as child:
        assert processes.signal(child.key, number) is SignalResult.SENT
        assert child.popen.wait(10) == -number


def lives(machine: Machine, key: ProcessKey) -> bool:
    return key in machine.processes.living([key])


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_what_gets_a_signal_ends(machine: Machine, number: signal.Signals) -> None:
    with machine.spawn() as child:
        key = child.key
        assert machine.processes.signal(key, number) is SignalResult.SENT
        wait_until(lambda: not lives(machine, key))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_what_ignores_a_signal_lives_until_it_is_killed(machine: Machine, number: signal.Signals) -> None:
    with machine.spawn(ignores=[number]) as child:
        key = child.key
        assert machine.processes.signal(key, number) is SignalResult.SENT
        assert lives(machine, key)
        assert machine.processes.signal(key, signal.SIGKILL) is SignalResult.SENT
        wait_until(lambda: not lives(machine, key))


def test_what_is_stopped_ends_once_it_is_continued(machine: Machine) -> None:
    with machine.spawn() as child:
        key = child.key
        child.stop()
        assert machine.processes.signal(key, signal.SIGTERM) is SignalResult.SENT
        assert lives(machine, key)
        assert machine.processes.signal(key, signal.SIGCONT) is SignalResult.SENT
        wait_until(lambda: not lives(machine, key))


def test_what_is_stopped_can_be_killed(machine: Machine) -> None:
    with machine.spawn() as child:
        key = child.key
        child.stop()
        assert machine.processes.signal(key, signal.SIGKILL) is SignalResult.SENT
        wait_until(lambda: not lives(machine, key))


def test_no_process(machine: Machine) -> None:
    processes = machine.processes
    with machine.spawn() as child:
        key = child.key
        for started in (key.started - 0.01, key.started + 1, 0.0):
            assert processes.signal(ProcessKey(key.pid, started), signal.SIGKILL) is SignalResult.GONE
        assert lives(machine, key)
        child.become_zombie()
        assert processes.signal(key, signal.SIGTERM) is SignalResult.GONE, "a zombie"
    assert processes.signal(key, signal.SIGTERM) is SignalResult.GONE


@pytest.mark.parametrize("pid", [2**31 - 1, 2**31, 2**70])
def test_no_pid(machine: Machine, pid: int) -> None:
    assert machine.processes.signal(ProcessKey(pid, 1.0), PROBE) is SignalResult.GONE


def test_never_the_first_nor_ourselves_nor_a_group(machine: Machine) -> None:
    table = {pid: machine.processes.start_time(pid) for pid in (1, machine.own, os.getpgrp())}
    for pid in (1, machine.own, 0, -1, -os.getpgrp(), -machine.own):
        key = ProcessKey(pid, table.get(abs(pid)) or 0.0)
        assert machine.processes.signal(key, PROBE) is SignalResult.REFUSED, pid


def test_an_unknown_signal_is_refused(machine: Machine) -> None:
    with machine.spawn() as child:
        assert machine.processes.signal(child.key, 4000) is SignalResult.REFUSED
        assert machine.processes.signal(child.key, PROBE) is SignalResult.SENT
        assert lives(machine, child.key)


@ROOT
def test_what_the_system_does_not_allow(processes: SystemProcesses) -> None:
    with Started() as child:
        code = f"""
become_nobody()
key = ProcessKey(*{tuple(child.key)})
assert processes.signal(key, signal.SIGTERM) is SignalResult.REFUSED
assert processes.signal(ProcessKey(key.pid, 0.0), signal.SIGTERM) is SignalResult.GONE
"""
        in_namespaces(code, flags=(), reader=type(processes._reader))
        assert child.popen.poll() is None


RECYCLED = """
last_pid = Path("/proc/sys/kernel/ns_last_pid")

def again(pid):
    "A new process with that pid; its start time is another one, once the clock of start times has ticked."
    while True:
        last_pid.write_text(str(pid - 1))
        child = Started(cwd="/")
        assert child.pid == pid
        if child.key != key:
            return child
        child.end()
"""


@pytest.mark.parametrize("reader", BOTH)
def test_a_pid_that_was_handed_out_again(reader: type) -> None:
    code = f"""{RECYCLED}
first = Started(cwd="/usr")
key = first.key
assert processes.is_inside(key, "/usr")
first.end()
with again(first.pid) as second:
    recycled_pid_is_another_process(processes, key, second.key)
    assert second.popen.wait(10) == -signal.SIGKILL
"""
    in_namespaces(code, reader=reader)


def test_a_pid_that_the_simulation_hands_out_again() -> None:
    machine = SimulatedMachine()
    machine.machine.tree.make("/usr")
    first = machine.spawn(cwd="/usr")
    assert machine.processes.is_inside(first.key, "/usr")
    machine.machine.recycle(first.pid, cwd="/")
    now = machine.machine.processes[first.pid].key
    recycled_pid_is_another_process(machine.processes, first.key, now)
    assert not machine.processes.living([now])


def test_the_simulation_records_the_truth_about_each_signal() -> None:
    machine = SimulatedMachine()
    tree, world = machine.machine.tree, machine.machine
    place = tree.make("/srv/one/deep")
    pid = world.spawn(["node", "server.js"], cwd="/srv/one/deep", owner="one", ignores=[signal.SIGTERM])
    client = world.spawn(["browser"])
    world.connect(client, pid)
    tree.remove("/srv/one")
    key = world.processes[pid].key
    machine.processes.signal(key._replace(started=0.0), signal.SIGKILL)
    machine.processes.signal(key, signal.SIGTERM)
    world.exit(client)
    machine.processes.signal(key, signal.SIGKILL)
    machine.processes.signal(key, signal.SIGKILL)
    assert [(one.number, one.by, one.key, one.owner, one.clients) for one in world.delivered] == [
        (signal.SIGTERM, "reaper", key, "one", (client,)),
        (signal.SIGKILL, "reaper", key, "one", ()),
    ]
    [_, last] = world.delivered
    assert (last.directory, last.is_removed, last.inodes[0], last.parent) == ("/srv/one/deep", True, place.identity, 1)


def test_what_takes_time_to_end_ends_as_the_clock_goes_on() -> None:
    machine = SimulatedMachine()
    world = machine.machine
    key = world.processes[world.spawn(delay=3.0)].key
    machine.processes.signal(key, signal.SIGTERM)
    world.clock.go_on(2.9)
    assert machine.processes.living([key]) == {key}
    world.clock.go_on(0.1)
    assert machine.processes.living([key]) == frozenset()


@LINUX
def test_a_pid_handed_out_again_between_the_check_and_the_signal() -> None:
    """The worst moment that there is: the pidfd still means the first one."""
    code = f"""{RECYCLED}
class Late(LinuxReader):
    def started(self, pid):
        found = super().started(pid)
        first.end()
        stranger.append(again(pid))
        return found

first, stranger = Started(), []
key = first.key
assert SystemProcesses(reader=Late()).signal(key, signal.SIGKILL) is SignalResult.GONE
assert stranger[0].pid == key.pid
assert stranger[0].end() == 0, "the stranger got the signal"
"""
    in_namespaces(code)


@pytest.mark.parametrize("reader", BOTH)
def test_data_of_a_pid_handed_out_again_while_it_is_read(reader: type) -> None:
    code = f"""{RECYCLED}
class Late(type(processes._reader)):
    "The pid is handed out again after all was read, right before it is verified."
    def started(self, pid):
        if not stranger:
            first.end()
            stranger.append(again(pid))
        return super().started(pid)

first, stranger = Started(), []
key = first.key
assert SystemProcesses(reader=Late()).details([key]) == {{}}
assert stranger[0].pid == key.pid
assert stranger[0].end() == 0
"""
    in_namespaces(code, reader=reader)
