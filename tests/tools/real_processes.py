"""Real processes that live until they are told to end, and namespaces for what may not be done to the machine itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tools.waiting import wait_until
from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.process import Process, ProcessKey, ProcessTable
from workspace_reaper.processes.linux import LinuxReader
from workspace_reaper.processes.portable import PortableReader
from workspace_reaper.processes.processes import SystemProcesses

__all__ = ["BOTH", "LINUX", "ROOT", "Started", "gone", "in_namespaces", "rows"]

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux itself")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do it")

BOTH = [pytest.param(LinuxReader, id="linux", marks=LINUX), pytest.param(PortableReader, id="portable")]
"""The readers, for ``parametrize``."""

UNTIL_TOLD = "print('ready', flush=True); sys.stdin.read()"


class Started:
    """A process that lives until its standard input ends, as do those of its children that inherit it.

    ``code`` is Python that has ``os``, ``sys`` and ``ctypes``; what it prints is in ``words`` up to the word ``ready``.
    """

    def __init__(self, code: str = "", *arguments: str, environ: dict[str, str] | None = None, **options: Any) -> None:
        script = f"import ctypes, os, sys\n{code}\n{UNTIL_TOLD}"
        self._popen([sys.executable, "-S", "-E", "-c", script, *arguments], env={} if environ is None else environ, **options)
        self.words: list[str] = []
        while (word := self.line()) != "ready":
            assert word, "it ended before it was ready"
            self.words.append(word)

    @classmethod
    def program(cls, argv: Sequence[str], **options: Any) -> Started:
        """Another program that says again the first line of its standard input and then reads it to the end, such as ``cat``.

        It runs by then: in the middle of an exec a process has neither arguments nor an environment.
        """
        started = cls.__new__(cls)
        started._popen(argv, **options)
        started.words = []
        started.say("ready")
        assert started.line() == "ready"
        return started

    def _popen(self, argv: Sequence[str], **options: Any) -> None:
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
        self.pid = self.popen.pid

    @property
    def key(self) -> ProcessKey:
        started = SystemProcesses().start_time(self.pid)
        assert started is not None
        return ProcessKey(self.pid, started)

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{line}\n")
        self.popen.stdin.flush()

    def line(self) -> str:
        """The next line that it prints."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().rstrip("\n")

    def end(self) -> int:
        """Tell it to end, and collect it."""
        self.tell_to_end()
        try:
            return self.popen.wait(10)
        finally:
            self.popen.kill()
            self.popen.wait()
            assert self.popen.stdout is not None
            self.popen.stdout.close()

    def tell_to_end(self) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.close()

    def become_zombie(self) -> None:
        """It ends, and is not collected yet."""
        self.tell_to_end()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()


def rows(processes: Processes) -> dict[int, Process]:
    """The rows of a table that could be read."""
    table = processes.table()
    assert isinstance(table, ProcessTable), table
    return dict(table.processes)


_PRELUDE = """
import os, signal, subprocess, sys
from pathlib import Path
from tests.tools.claims import hidden_process_lives, process_of_another_user, recycled_pid_is_another_process
from tests.tools.real_processes import Started, rows
from tests.tools.waiting import wait_until
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.process import ProcessKey, SignalResult
from workspace_reaper.processes.directories import SystemDirectories
from workspace_reaper.processes.processes import SystemProcesses
from workspace_reaper.processes.linux import LinuxReader
from workspace_reaper.processes.portable import PortableReader

def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)

def become_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def in_namespaces(
    code: str, *arguments: str | Path, flags: Sequence[str] = ("--pid", "--mount-proc"), reader: Any = None
) -> None:
    """Run Python in namespaces of its own; mounts made there are nobody else's. ``processes`` uses the reader. It is root there
    and here: the test is skipped for others, and where there is no ``unshare``."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare(1)")
    name = PortableReader.__name__ if reader is PortableReader else LinuxReader.__name__
    script = f"{_PRELUDE}\nprocesses = SystemProcesses(reader={name}())\n{code}"
    command = ["unshare", "--mount", "--fork", *flags, sys.executable, "-c", script, *map(str, arguments)]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stdout + done.stderr


def gone(processes: Processes, pid: int) -> None:
    """Wait until that process is no more."""
    wait_until(lambda: not processes.may_live(pid, None))
