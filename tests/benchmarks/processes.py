"""One pass over the process table, with 5,000 processes that have nothing to do with us."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.benchmarks.measuring import Result, compare, seconds
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.processes.processes import SystemProcesses

__all__ = ["crowd", "raw_pass", "table"]

PROCESSES = 5000

# Ends its children by their pids, also where the benchmark itself has died.
_CROWD = """
import os, signal, sys
pids = []
try:
    for _ in range(int(sys.argv[1])):
        pid = os.fork()
        if not pid:
            while True: signal.pause()
        pids.append(pid)
except OSError:
    pass
print(len(pids), flush=True)
sys.stdin.read()
for pid in pids: os.kill(pid, signal.SIGKILL)
for pid in pids: os.waitpid(pid, 0)
"""
_ENVIRON = {f"VARIABLE_{number}": "x" * 60 for number in range(40)}


def table(rounds: int) -> Iterator[Result]:
    """Ours and psutil's way, beside one raw pass over the same files."""
    with crowd(_room(PROCESSES)) as count:
        processes = SystemProcesses()
        ours, floor, theirs = [], [], []
        for _ in range(rounds):
            floor.append(seconds(raw_pass))
            ours.append(seconds(lambda: _read(processes)))
            theirs.append(seconds(_psutil))
        floor_name = "a raw pass that reads the same files"
        fewer = "" if count == PROCESSES else " (no more are allowed here)"
        yield compare(f"process table, {count} processes of others{fewer}", ours, floor_name, floor, bound=1.5)
        yield compare("psutil's way: process_iter", theirs, floor_name, floor)


def _room(wanted: int) -> int:
    """So many processes, or as many as this machine's limits leave room for."""
    limits = [int(Path("/proc/sys/kernel/pid_max").read_text())]
    allowed = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if allowed != resource.RLIM_INFINITY:
        limits.append(allowed)
    return max(0, min(wanted, min(limits) - len(psutil.pids()) - 500))


@contextmanager
def crowd(count: int) -> Iterator[int]:
    """So many processes that sleep, and how many they are."""
    command = [sys.executable, "-S", "-E", "-c", _CROWD, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_ENVIRON) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        yield int(parent.stdout.readline())
        parent.stdin.close()


def _read(processes: SystemProcesses) -> None:
    assert not isinstance(processes.table(), Unknown)


def raw_pass() -> int:
    """List the processes, and open, read and close the two files of each: nothing else."""
    size = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            for file in ("/stat", "/environ"):
                try:
                    descriptor = os.open("/proc/" + name + file, os.O_RDONLY)
                except OSError:
                    continue
                size += len(os.read(descriptor, 65536))
                os.close(descriptor)
    return size


def _psutil() -> int:
    """The same facts by psutil's own iterator."""
    return sum(1 for _ in psutil.process_iter(["ppid", "name", "status", "create_time", "cpu_times", "environ"]))
