"""The sweep lock and the daemon's, between real processes, forks and threads."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from workspace_reaper.ledger.locks import FileSweepLock, Holder, InstanceLock
from workspace_reaper.model.errors import AlreadyRunning, LedgerError, SweepLocked

BEGIN = """
import os, sys
from pathlib import Path
from workspace_reaper.ledger.locks import FileSweepLock
with FileSweepLock(Path(sys.argv[1]), wait=0).held():
"""
HOLD = BEGIN + "    os.write(1, b'held\\n'); os.read(0, 1)\n"
FORK = BEGIN + "    child = os.fork()\n    os.write(1, b'child\\n' if child == 0 else b'held\\n'); os.read(0, 1)\n"
LEAVE_IN_CHILD = (
    BEGIN
    + """    if child := os.fork():
        os.waitpid(child, 0)
        os.write(1, b'held\\n'); os.read(0, 1)
if child == 0:
    os._exit(0)
"""
)


@contextmanager
def holder(state_dir: Path, code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs ``code``; it, and what it forked, live no longer than our end of its standard input."""
    command = [sys.executable, "-c", code, str(state_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.stdin.close()


def is_free(state_dir: Path, wait: float = 0) -> bool:
    try:
        with FileSweepLock(state_dir, wait=wait).held():
            return True
    except SweepLocked:
        return False


def test_the_lock_is_taken_and_let_go(tmp_path: Path) -> None:
    lock = FileSweepLock(tmp_path, wait=0)
    for _ in range(2):
        with lock.held():
            assert not is_free(tmp_path)
        assert is_free(tmp_path)


def test_an_error_lets_it_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FileSweepLock(tmp_path).held():
        raise KeyError
    assert is_free(tmp_path)


def test_another_process_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path, HOLD) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(SweepLocked) as caught, FileSweepLock(tmp_path, wait=0.2).held():
            pytest.fail("two hold it")
        assert f"another reaper holds {tmp_path}/sweep.lock and did not release it within 0.2 s: " in str(caught.value)
    assert is_free(tmp_path)


def test_kill_9_of_the_holder_frees_it(tmp_path: Path) -> None:
    with holder(tmp_path, HOLD) as process:
        assert process.stdout.readline() == b"held\n"
        assert not is_free(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert is_free(tmp_path)


def test_kill_9_of_the_holder_frees_it_though_its_fork_lives(tmp_path: Path) -> None:
    with holder(tmp_path, FORK) as process:
        assert {process.stdout.readline(), process.stdout.readline()} == {b"child\n", b"held\n"}
        assert not is_free(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert is_free(tmp_path)


def test_a_fork_does_not_free_it(tmp_path: Path) -> None:
    with holder(tmp_path, LEAVE_IN_CHILD) as process:
        assert process.stdout.readline() == b"held\n"
        assert not is_free(tmp_path)
    assert is_free(tmp_path)


def test_waiting_ends_when_it_is_let_go(tmp_path: Path) -> None:
    waiting, entered = threading.Event(), threading.Event()

    def wait() -> None:
        waiting.set()
        with FileSweepLock(tmp_path).held():
            entered.set()

    thread = threading.Thread(target=wait)
    with FileSweepLock(tmp_path).held():
        thread.start()
        assert waiting.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    lock = FileSweepLock(tmp_path)
    inside: list[int] = []
    most: list[int] = []

    def sweep() -> None:
        for number in range(5):
            with lock.held():
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] * 20


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with FileSweepLock(tmp_path / "state").held():
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "state" / "sweep.lock").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"file/state/sweep\.lock cannot be locked \(Not a directory\)"):
        FileSweepLock(tmp_path / "file" / "state").held().__enter__()


# One daemon for each state directory

DAEMON = """
import os, sys
from pathlib import Path
from workspace_reaper.ledger.locks import Holder, InstanceLock
with InstanceLock(Path(sys.argv[1])).held(Holder.this_process("the command")):
    os.write(1, b'held\\n'); os.read(0, 1)
"""
ME = Holder(os.getpid(), "2026-11-22T10:00:00Z", "mine")


def test_a_second_daemon_is_told_who_runs(tmp_path: Path) -> None:
    with holder(tmp_path, DAEMON) as process:
        assert process.stdout.readline() == b"held\n"
        told = InstanceLock(tmp_path).holder()
        with pytest.raises(AlreadyRunning) as caught, InstanceLock(tmp_path).held(ME):
            pytest.fail("two run")
        assert told == Holder(process.pid, told.since, "the command")
        assert f"is running already (pid {process.pid}, since {told.since}, command: the command): " in str(caught.value)
        with FileSweepLock(tmp_path, wait=0).held():
            pass  # a sweep goes on beside it
    with InstanceLock(tmp_path).held(ME):
        assert InstanceLock(tmp_path).holder() == ME
    assert InstanceLock(tmp_path).holder() is None
    assert [path.name for path in tmp_path.glob("daemon.json*")] == []


def test_what_a_killed_daemon_leaves_is_no_obstacle(tmp_path: Path) -> None:
    with holder(tmp_path, DAEMON) as process:
        assert process.stdout.readline() == b"held\n"
        process.kill()
        process.wait()
        assert (tmp_path / "daemon.json").exists()
        assert InstanceLock(tmp_path).holder() is None
        with InstanceLock(tmp_path).held(ME):
            assert InstanceLock(tmp_path).holder() == ME
            assert stat.S_IMODE((tmp_path / "daemon.json").stat().st_mode) == 0o600


def test_the_holder_is_named_while_it_holds(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path)
    assert lock.holder() is None
    with lock.held(ME):
        assert lock.holder() == ME
    assert lock.holder() is None


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the kernel's list of locks cannot be read here")
def test_the_pid_that_a_crash_left_and_another_process_has_is_no_holder(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "100000"]) as other:
        (tmp_path / "daemon.json").write_text(json.dumps({"pid": other.pid, "since": "", "command": ""}))
        found = InstanceLock(tmp_path).holder()
        other.kill()
    assert found is None


@pytest.mark.parametrize("told", [b"", b"{", b"[]", b'{"pid": 1}', b'{"pid": 1e99, "since": "", "command": ""}'])
def test_a_holder_that_can_not_be_read_is_not_told(tmp_path: Path, told: bytes) -> None:
    with InstanceLock(tmp_path).held(ME):
        (tmp_path / "daemon.json").write_bytes(told)
        with pytest.raises(AlreadyRunning, match=r"\(which one is unknown\)"), InstanceLock(tmp_path).held(ME):
            pytest.fail("two run")


def test_where_the_holder_can_not_be_written_the_lock_still_holds(tmp_path: Path) -> None:
    (tmp_path / "daemon.json" / "occupied").mkdir(parents=True)
    with InstanceLock(tmp_path).held(ME), pytest.raises(AlreadyRunning), InstanceLock(tmp_path).held(ME):
        pytest.fail("two run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["daemon.json", "daemon.lock"]


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_directory_that_another_made_meanwhile_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """In a directory such as /tmp, between the first look and the making of it."""

    def make_private(directory: Path) -> None:
        directory.mkdir()
        directory.chmod(mode)

    monkeypatch.setattr("workspace_reaper.ledger.locks.make_private", make_private)
    state_dir = tmp_path / "state"
    with pytest.raises(LedgerError, match=re.escape(str(state_dir))), FileSweepLock(state_dir, wait=0).held():
        pass
    assert list(state_dir.iterdir()) == []
