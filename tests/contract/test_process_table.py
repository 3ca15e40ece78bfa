"""One pass over processes: real ones, by both readers, and those of the simulation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.simulation.memory.directories import MemoryDirectories
from tests.tools.claims import hidden_process_lives, process_of_another_user
from tests.tools.machines import LINUX_OR_MEMORY, MACHINES, Machine, SimulatedMachine, machine_of
from tests.tools.real_processes import BOTH, LINUX, ROOT, Started, gone, in_namespaces, rows
from tests.tools.waiting import wait_until
from workspace_reaper.model.process import Origin, ProcessKey, ProcessTable
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.processes.linux import LinuxReader
from workspace_reaper.processes.portable import PortableReader
from workspace_reaper.processes.processes import SystemProcesses

pytestmark = pytest.mark.once

ORIGIN = Origin("/tmp/tmux-0/default", 4242, 7, "%3")
INSIDE = {"TMUX": "/tmp/tmux-0/default,4242,7", "TMUX_PANE": "%3"}


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return machine_of(request.param)


@pytest.fixture(params=BOTH)
def processes(request: pytest.FixtureRequest) -> SystemProcesses:
    return SystemProcesses(reader=request.param())


def test_our_own_row(processes: SystemProcesses) -> None:
    before, at = sum(os.times()[:4]), time.time()
    row = rows(processes)[os.getpid()]
    assert row.key == ProcessKey(os.getpid(), processes.start_time(os.getpid()) or 0)
    assert (row.parent, row.group, row.zombie) == (os.getppid(), os.getpgrp(), False)
    assert before - 0.05 <= row.cpu_seconds <= sum(os.times()[:4]) + 0.05
    table = processes.table()
    assert not isinstance(table, Unknown)
    assert at <= table.at <= time.time()


def test_the_reaper_itself_is_in_the_table(machine: Machine) -> None:
    row = rows(machine.processes)[machine.own]
    assert (row.key.started, row.parent, row.zombie) == (machine.processes.start_time(machine.own), machine.own_parent, False)
    assert {machine.own, machine.own_parent} <= machine.processes.own_location().pids


def test_the_cpu_time_of_children_counts_once_they_were_waited_for(machine: Machine) -> None:
    with machine.spawn() as parent:
        assert rows(machine.processes)[parent.pid].cpu_seconds < 0.29
        parent.wait_for_a_busy_child(0.3)
        assert rows(machine.processes)[parent.pid].cpu_seconds >= 0.29


def test_an_origin_is_kept_by_setsid_and_by_a_double_fork(machine: Machine) -> None:
    with machine.spawn(environ={"SECRET": "x", **INSIDE}) as parent:
        daemon = parent.start_daemon()
        wait_until(lambda: rows(machine.processes)[daemon].parent not in (parent.pid, machine.own))
        table = rows(machine.processes)
        assert table[parent.pid].origin == table[daemon].origin == ORIGIN
        assert table[daemon].group != table[parent.pid].group
    gone(machine.processes, daemon)


def test_a_child_is_below_its_parent(machine: Machine) -> None:
    with machine.spawn(environ=INSIDE) as parent:
        child = parent.fork()
        row = rows(machine.processes)[child]
        assert (row.parent, row.group, row.origin) == (parent.pid, rows(machine.processes)[parent.pid].group, ORIGIN)
    gone(machine.processes, child)


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="none"),
        pytest.param({"TMUX": INSIDE["TMUX"]}, id="no pane"),
        pytest.param({"TMUX_PANE": "%3"}, id="no server"),
        pytest.param({**INSIDE, "TMUX": "relative,1,2"}, id="relative path"),
        pytest.param({**INSIDE, "TMUX_PANE": "%" + "9" * 5000}, id="a number beyond all bounds"),
        pytest.param({**INSIDE, "TMUX": "/s,1," + "9" * 5000}, id="a session beyond all bounds"),
        pytest.param({**INSIDE, "TMUX_PANE": "%3x"}, id="no pane id"),
        pytest.param({"MY_TMUX": INSIDE["TMUX"], "MY_TMUX_PANE": "%3"}, id="other names"),
        pytest.param({"A": "1\nTMUX=/s,1,2\nTMUX_PANE=%3"}, id="inside another value"),
    ],
)
def test_what_is_no_origin(machine: Machine, environ: dict[str, str]) -> None:
    with machine.spawn(environ=environ) as child:
        assert rows(machine.processes)[child.pid].origin is None


def test_an_origin_far_behind_in_a_large_environment(processes: SystemProcesses) -> None:
    large = {f"LARGE_{number}": "x" * 100_000 for number in range(3)}
    with Started(environ={**large, **INSIDE}) as child:
        assert rows(processes)[child.pid].origin == ORIGIN


def test_an_origin_moves_with_exec(machine: Machine) -> None:
    with machine.spawn(environ=INSIDE) as child:
        key = child.key
        assert rows(machine.processes)[child.pid].origin == ORIGIN
        child.run({"TMUX": "/s,1,2", "TMUX_PANE": "%9"})
        row = rows(machine.processes)[child.pid]
        assert (row.origin, row.key) == (Origin("/s", 1, 2, "%9"), key)


@pytest.mark.parametrize("machine", LINUX_OR_MEMORY, indirect=True)
def test_a_glance_shows_the_origin_before_an_exec_until_the_next_look(machine: Machine) -> None:
    def seen() -> Origin | None:
        glance = machine.processes.glance()
        assert isinstance(glance, ProcessTable)
        return glance.processes[child.pid].origin

    with machine.spawn(environ=INSIDE) as child:
        assert seen() == ORIGIN
        child.run({"TMUX": "/s,1,2", "TMUX_PANE": "%9"})
        assert [seen(), seen()] == [ORIGIN, ORIGIN]
        assert rows(machine.processes)[child.pid].origin == seen() == Origin("/s", 1, 2, "%9")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"two words", "two words"),
        (b") S 1 (x", ") S 1 (x"),
        (b"a) R 1 1 1 (", "a) R 1 1 1 ("),
        (b"two\nlines", "two\nlines"),
        (b"(((", "((("),
        (b")", ")"),
        (b" ", " "),
        (b"exactly-fifteen", "exactly-fifteen"),
        (b"longer than fifteen", "longer than fif"),
        (b"tmux: server", "tmux: server"),
        ("größer".encode(), "größer"),
        (b"broken \xff", "broken \ufffd"),
    ],
    ids=repr,
)
@LINUX
def test_any_name(processes: SystemProcesses, name: bytes, shown: str) -> None:
    with Started(f"ctypes.CDLL(None).prctl(15, {name!r})", environ=INSIDE) as child:
        row = rows(processes)[child.pid]
        assert row.name == shown
        assert (row.key, row.parent, row.zombie, row.origin) == (child.key, os.getpid(), False, ORIGIN)


def test_a_zombie(machine: Machine) -> None:
    processes = machine.processes
    with machine.spawn(environ=INSIDE) as child:
        key = child.key
        child.become_zombie()
        row = rows(processes)[child.pid]
        assert (row.key, row.zombie, row.origin) == (key, True, None)
        assert processes.start_time(child.pid) is None
        assert not processes.living([key])
        assert not processes.may_live(child.pid, None)
        assert not processes.details([key])
    assert child.pid not in rows(processes)


@LINUX
def test_a_process_whose_main_thread_alone_has_ended_is_no_zombie(processes: SystemProcesses) -> None:
    """Linux says Z of it, while the other threads run on."""
    exit_call = 60 if os.uname().machine == "x86_64" else 93
    code = (
        "import threading\n"
        "def go_on():\n"
        "    while open('/proc/self/stat').read().rpartition(')')[2].split()[0] != 'Z': pass\n"
        f"    {'print'}('ready', flush=True)\n"
        "    sys.stdin.read()\n"
        "    os._exit(0)\n"
        "threading.Thread(target=go_on).start()\n"
        f"ctypes.CDLL(None).syscall({exit_call}, 0)"
    )
    with Started(code) as child:
        row = rows(processes)[child.pid]
        assert not row.zombie
        assert processes.start_time(child.pid) == row.key.started
        assert processes.living([row.key])


def test_a_process_of_many_threads(processes: SystemProcesses) -> None:
    code = (
        "import threading\nstop = threading.Event()\n"
        "for _ in range(60): threading.Thread(target=stop.wait, daemon=True).start()"
    )
    with Started(code, environ=INSIDE) as child:
        assert rows(processes)[child.pid].origin == ORIGIN


@LINUX
def test_threads_of_the_kernel_have_no_origin(processes: SystemProcesses) -> None:
    table = rows(processes)
    if 2 not in table or table[2].name != "kthreadd":
        pytest.skip("this pid namespace has no threads of the kernel")
    kernel = [row for row in table.values() if row.parent == 2 or row.key.pid == 2]
    assert kernel
    assert all(row.origin is None and not row.zombie for row in kernel)


def test_processes_that_come_and_go_during_the_pass(processes: SystemProcesses) -> None:
    churn = (
        "while True:\n"
        "    pids = [os.fork() for _ in range(1)]\n"
        "    if 0 in pids: os._exit(0)\n"
        "    for pid in pids: os.waitpid(pid, 0)\n"
    )
    with Started() as steady, subprocess.Popen([sys.executable, "-S", "-c", f"import os\n{churn}"]) as churner:
        try:
            for _ in range(20):
                table = rows(processes)
                assert {os.getpid(), steady.pid, churner.pid} <= table.keys()
                assert all(pid == row.key.pid for pid, row in table.items())
        finally:
            churner.kill()


def test_a_secret_in_an_environment_is_shown_nowhere(processes: SystemProcesses) -> None:
    environ = {"TOKEN": "hunter2-before", **INSIDE, "ZZZ": "hunter2-behind"}
    with Started(environ=environ) as child, Started(environ={"TOKEN": "hunter2"}) as other:
        table = processes.table()
        assert "4242" in repr(table)
        assert "hunter2" not in repr(table)
        assert "hunter2" not in repr(processes.details([child.key, other.key]))
        assert "hunter2" not in repr([getattr(processes, name) for name in ("_reader", "boot")])


@LINUX
def test_both_readers_see_the_same() -> None:
    code = "for _ in range(20):\n    if not os.fork():\n        sys.stdin.read()\n        os._exit(0)"
    origin = Origin("/tmp/tmux-0/default", os.getpid(), 7, "%3")
    with Started(code, environ={**INSIDE, "TMUX": f"/tmp/tmux-0/default,{os.getpid()},7"}):
        mine, its = (rows(SystemProcesses(reader=reader())) for reader in (LinuxReader, PortableReader))
        # Others on the machine come and go, and change their names and groups.
        both = [pid for pid in mine if pid in its and (pid == os.getpid() or mine[pid].origin == origin)]
        assert len(both) == 22
        for pid in both:
            left, right = mine[pid], its[pid]
            assert left[:5] == right[:5]
            assert left.origin == right.origin
        assert {row.key for row in mine.values()} & {row.key for row in its.values()} > {mine[pid].key for pid in both}


@LINUX
def test_the_foreground_group_of_a_terminal() -> None:
    code = "import pty, time\npid, terminal = pty.fork()\nif not pid:\n    while True: time.sleep(60)\nprint(pid, flush=True)"
    processes = SystemProcesses(reader=LinuxReader())
    with Started(code) as parent:
        pid = int(parent.words[0])
        wait_until(lambda: rows(processes)[pid].foreground == rows(processes)[pid].group == pid)
    with Started("os.setsid()") as without:
        assert rows(processes)[without.pid].foreground == -1
    gone(processes, pid)


def test_too_many_open_files_of_our_own_make_nobody_gone(processes: SystemProcesses) -> None:
    reader = type(processes._reader)
    code = (
        "import os, resource\n"
        "from workspace_reaper.processes import linux\n"
        f"from {reader.__module__} import {reader.__name__}\n"
        "from workspace_reaper.model.unknown import Source, Unknown\n"
        "from workspace_reaper.model.process import ProcessKey\n"
        "from workspace_reaper.processes.processes import SystemProcesses\n"
        f"processes = SystemProcesses(reader={reader.__name__}())\n"
        "processes.table()\n"
        "key = ProcessKey(os.getppid(), processes.start_time(os.getppid()))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))\n"
        "taken = [os.dup(2)] if len(os.listdir('/dev/fd')) < 5 else []\n"
        "assert isinstance(processes.table(), Unknown), 'the table'\n"
        "assert processes.table().source is Source.PROCESSES\n"
        "try:\n    linux._pass([str(os.getppid())], {})\n"
        "except OSError: pass\n"
        "else: raise AssertionError('left out')\n"
        "assert processes.living([key]) == {key}, 'the living'\n"
        "assert processes.may_live(*key)\n"
        "assert processes.signal(key, 0).value == 'refused'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, close_fds=True)


@pytest.mark.parametrize("reader", BOTH)
def test_without_proc_nobody_is_gone(reader: type) -> None:
    code = """
with Started() as child:
    key = child.key
    mount("-t", "tmpfs", "none", "/proc")
    table = processes.table()
    assert isinstance(table, Unknown) and table.source is Source.PROCESSES, table
    assert processes.start_time(child.pid) is None
    assert processes.living([key]) == {key}
    assert processes.signal(key, signal.SIGKILL) is SignalResult.REFUSED
    assert child.popen.poll() is None
"""
    in_namespaces(code, reader=reader)


def test_the_proc_of_another_pid_namespace_is_unknown() -> None:
    """Its pids are other processes' pids here."""
    code = """
table = processes.table()
assert isinstance(table, Unknown) and "pid namespace" in table.reason, table
"""
    in_namespaces(code, flags=("--pid",), reader=LinuxReader)


@pytest.mark.parametrize("reader", BOTH)
def test_processes_hidden_by_the_mount_live(reader: type) -> None:
    """``hidepid``: for this user there is no entry of theirs, but the kernel knows them."""
    code = """
with Started(cwd="/usr") as child:
    key = child.key
    mount("-t", "proc", "-o", "hidepid=2", "none", "/proc")
    become_nobody()
    hidden_process_lives(processes, SystemDirectories(), os.getpid(), key, child.end)
"""
    in_namespaces(code, reader=reader)


def test_a_hidden_process_of_the_simulation_lives() -> None:
    machine = SimulatedMachine()
    machine.machine.tree.make("/usr")
    with machine.spawn(cwd="/usr") as child:
        machine.machine.hide(child.pid)
        hidden_process_lives(machine.processes, MemoryDirectories(machine.machine), machine.own, child.key, child.end)


@ROOT
def test_the_environment_of_another_user_is_no_origin(processes: SystemProcesses) -> None:
    """For root it is one; for another user, who may not read it, there is none."""
    with Started(environ=INSIDE, cwd="/usr") as child:
        assert rows(processes)[child.pid].origin == ORIGIN
        code = f"become_nobody()\nprocess_of_another_user(processes, SystemDirectories(), ProcessKey(*{tuple(child.key)}))"
        in_namespaces(code, flags=(), reader=type(processes._reader))


def test_another_user_of_the_simulation() -> None:
    machine = SimulatedMachine()
    machine.machine.tree.make("/usr")
    with machine.spawn(environ=INSIDE, cwd="/usr") as child:
        child.listen("tcp")
        machine.machine.processes[child.pid].uids = frozenset({machine.machine.other_uid})
        process_of_another_user(machine.processes, MemoryDirectories(machine.machine), child.key)


def test_what_ended_is_left_out(machine: Machine) -> None:
    with machine.spawn() as child:
        key = child.key
        assert machine.processes.living([key]) == {key}
        assert child.pid in rows(machine.processes)
        machine.processes.signal(key, signal.SIGKILL)
    assert child.pid not in rows(machine.processes)
    assert not machine.processes.living([key])


def test_another_start_time_is_another_process(machine: Machine) -> None:
    with machine.spawn() as child:
        key = child.key
        other = ProcessKey(key.pid, key.started - 1)
        assert machine.processes.living([key, other]) == {key}
        assert not machine.processes.details([other])
        assert not machine.processes.scheduling([other])


@pytest.mark.parametrize("machine", LINUX_OR_MEMORY, indirect=True)
def test_how_it_gets_the_cpu(machine: Machine) -> None:
    with machine.spawn() as child:
        child.stop()
        [found] = machine.processes.scheduling([child.key]).values()
        assert (found.waited < 60, found.runnable) == (True, False)
        machine.processes.signal(child.key, signal.SIGKILL)


def test_which_start_of_the_machine_it_is(processes: SystemProcesses) -> None:
    assert processes.boot
    assert processes.boot == SystemProcesses(reader=type(processes._reader)()).boot


def test_each_machine_knows_its_boot(machine: Machine) -> None:
    assert machine.processes.boot
