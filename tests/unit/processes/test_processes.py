"""The process table, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from workspace_reaper.processes.processes import SystemProcesses

ASK = """
import sys
from workspace_reaper.processes.processes import SystemProcesses
table = SystemProcesses()
print(table.start_time(int(sys.argv[1])), *sorted(table.own_location().pids))
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture
def other(request: pytest.FixtureRequest):
    """A process that runs until its standard input ends. It prints the start time of this process, and its ancestors."""
    process = subprocess.Popen(
        [sys.executable, "-c", ASK, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        process.stdin.close()


def test_whoever_asks_gets_the_same_start_time(other: subprocess.Popen[str]) -> None:
    told = other.stdout.readline().split()[0]
    mine = SystemProcesses().start_time(os.getpid())
    assert mine is not None
    assert float(told) == mine == SystemProcesses().start_time(os.getpid())


def test_a_later_process_has_a_later_start_time(other: subprocess.Popen[str]) -> None:
    other.stdout.readline()
    mine, its = SystemProcesses().start_time(os.getpid()), SystemProcesses().start_time(other.pid)
    assert mine is not None
    assert its is not None
    assert mine < its


def test_a_process_that_ended_is_none(other: subprocess.Popen[str]) -> None:
    other.stdout.readline()
    other.stdin.close()
    # Not waited for yet, so it becomes a zombie, whose entry keeps its start time.
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert SystemProcesses().start_time(other.pid) is None
    other.wait()
    assert SystemProcesses().start_time(other.pid) is None


@pytest.mark.parametrize("pid", [0, -1, 2**31 - 1, 2**31, 2**70], ids=str)
def test_what_is_no_process_is_none(pid: int) -> None:
    assert SystemProcesses().start_time(pid) is None


def test_ancestors(other: subprocess.Popen[str]) -> None:
    here = SystemProcesses().own_location()
    assert {os.getpid(), os.getppid()} <= here.pids
    assert 0 not in here.pids
    told = {int(pid) for pid in other.stdout.readline().split()[1:]}
    assert told == here.pids | {other.pid}


SOCKET = "/tmp/tmux-0/default"


@pytest.mark.parametrize(
    ("tmux", "pane", "expected"),
    [
        pytest.param(f"{SOCKET},1234,0", "%0", (1234, "%0"), id="inside"),
        pytest.param("/odd, but,true/s,1234,17", "%12", (1234, "%12"), id="commas in the path"),
        pytest.param("/with\nnewline,1,0", "%1", (1, "%1"), id="newline in the path"),
        pytest.param(None, None, None, id="outside"),
        pytest.param(f"{SOCKET},1234,0", None, None, id="no pane"),
        pytest.param(None, "%0", None, id="no server"),
        pytest.param("", "", None, id="emptied"),
        pytest.param("default,1234,0", "%0", None, id="relative path"),
        pytest.param(f"{SOCKET},1234", "%0", None, id="too short"),
        pytest.param(f"{SOCKET},0,0", "%0", None, id="pid 0"),
        pytest.param(f"{SOCKET},-1,0", "%0", None, id="negative pid"),
        pytest.param(f"{SOCKET},12x,0", "%0", None, id="pid is not a number"),
        pytest.param(f"{SOCKET},1234,$0", "%0", None, id="session id instead of its number"),
        pytest.param(f"{SOCKET},1234,0", "0", None, id="pane without %"),
        pytest.param(f"{SOCKET},1234,0", "%0\n", None, id="pane with a newline"),
        pytest.param(f"{SOCKET},1234,0\n", "%0", None, id="trailing newline"),
        pytest.param(f"{SOCKET},1234,0", "%٣", None, id="digits of another script"),
    ],
)
def test_tmux_of_the_environment(tmux: str | None, pane: str | None, expected: tuple[int, str] | None) -> None:
    environ = {name: text for name, text in (("TMUX", tmux), ("TMUX_PANE", pane)) if text is not None}
    assert SystemProcesses(environ).own_location().tmux == expected


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", f"{SOCKET},1234,0")
    monkeypatch.setenv("TMUX_PANE", "%7")
    assert SystemProcesses().own_location().tmux == (1234, "%7")


def test_a_fork_changes_the_answer() -> None:
    code = (
        "import os\n"
        "from workspace_reaper.processes.processes import SystemProcesses\n"
        "table = SystemProcesses()\n"
        "before = table.own_location().pids\n"
        "if child := os.fork():\n"
        "    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "os._exit(table.own_location().pids != before | {os.getpid()})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_may_live() -> None:
    """An unknown start time matches any process; a different one is another process."""
    table = SystemProcesses()
    started = table.start_time(os.getpid())
    assert started is not None
    assert table.may_live(os.getpid(), started)
    assert table.may_live(os.getpid(), None)
    assert not table.may_live(os.getpid(), started - 1)


def test_what_has_ended_does_not_live() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not SystemProcesses().may_live(child.pid, None), "a zombie"
    child.wait()
    assert not SystemProcesses().may_live(child.pid, None)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need psutil")
def test_linux_needs_no_psutil() -> None:
    code = (
        "import os, sys\n"
        "sys.modules['psutil'] = None\n"
        "from workspace_reaper.model.process import ProcessKey, ProcessTable\n"
        "from workspace_reaper.processes.processes import SystemProcesses\n"
        "processes = SystemProcesses()\n"
        "key = ProcessKey(os.getpid(), processes.start_time(os.getpid()))\n"
        "assert isinstance(processes.table(), ProcessTable)\n"
        "assert processes.details([key]) and processes.living([key])\n"
        "processes.listening(), processes.is_inside(key, '/usr'), processes.signal(ProcessKey(2**30, 1.0), 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
