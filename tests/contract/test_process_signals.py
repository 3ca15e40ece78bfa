"""Signals to real processes, and to nobody else."""

from __future__ import annotations

import os
import signal

import pytest

from tests.tools.real_processes import BOTH, LINUX, ROOT, Started, in_namespaces
from workspace_reaper.model.process import ProcessKey, SignalResult
from workspace_reaper.processes.processes import SystemProcesses

pytestmark = pytest.mark.once

PROBE = 0
"""Reaches its target like a signal, and does nothing to it."""


@pytest.fixture(params=BOTH)
def processes(request: pytest.FixtureRequest) -> SystemProcesses:
    return SystemProcesses(reader=request.param())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_sent(processes: SystemProcesses, number: signal.Signals) -> None:
    with Started() as child:
        assert processes.signal(child.key, number) is SignalResult.SENT
        assert child.popen.wait(10) == -number


def test_no_process(processes: SystemProcesses) -> None:
    with Started() as child:
        key = child.key
        for started in (key.started - 0.01, key.started + 1, 0.0):
            assert processes.signal(ProcessKey(key.pid, started), signal.SIGKILL) is SignalResult.GONE
        assert child.popen.poll() is None
        child.become_zombie()
        assert processes.signal(key, signal.SIGTERM) is SignalResult.GONE, "a zombie"
    assert processes.signal(key, signal.SIGTERM) is SignalResult.GONE


@pytest.mark.parametrize("pid", [2**31 - 1, 2**31, 2**70])
def test_no_pid(processes: SystemProcesses, pid: int) -> None:
    assert processes.signal(ProcessKey(pid, 1.0), PROBE) is SignalResult.GONE


def test_never_the_first_nor_ourselves_nor_a_group(processes: SystemProcesses) -> None:
    table = {pid: processes.start_time(pid) for pid in (1, os.getpid(), os.getpgrp())}
    for pid in (1, os.getpid(), 0, -1, -os.getpgrp(), -os.getpid()):
        key = ProcessKey(pid, table.get(abs(pid)) or 0.0)
        assert processes.signal(key, PROBE) is SignalResult.REFUSED, pid


def test_an_unknown_signal_is_refused(processes: SystemProcesses) -> None:
    with Started() as child:
        assert processes.signal(child.key, 4000) is SignalResult.REFUSED


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
directory = sys.argv[1]
first = Started(cwd=directory)
key = first.key
assert processes.is_inside(key, directory)
first.end()
with again(first.pid) as second:
    assert rows(processes)[second.pid].key == second.key != key
    assert processes.signal(key, signal.SIGKILL) is SignalResult.GONE
    assert not processes.living([key])
    assert not processes.may_live(*key)
    assert not processes.details([key])
    assert not processes.is_inside(key, directory)
    assert second.popen.poll() is None
    assert processes.living([second.key])
    assert processes.signal(second.key, signal.SIGKILL) is SignalResult.SENT
    assert second.popen.wait(10) == -signal.SIGKILL
"""
    in_namespaces(code, "/usr", reader=reader)


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
