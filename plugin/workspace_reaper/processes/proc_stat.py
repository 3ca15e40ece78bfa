"""One line of ``/proc/PID/stat`` (proc(5)): bytes in, a process out."""

from __future__ import annotations

import os

from workspace_reaper.model.process import Origin, Process, ProcessKey

__all__ = ["Line", "has_memory", "is_zombie", "parent", "process", "split", "started"]

Line = list[bytes]
"""The fields behind the name, from the third of proc(5) on; the last one holds the rest of the line."""

_TICKS = os.sysconf("SC_CLK_TCK") if "SC_CLK_TCK" in os.sysconf_names else 100

# Index in a line; proc(5) counts from 1, and the third field is the first here.
_STATE, _PARENT, _GROUP, _FOREGROUND, _THREADS, _START, _SIZE = 0, 1, 2, 5, 17, 19, 20
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14


def split(data: bytes) -> tuple[bytes, Line]:
    """The name and the fields behind it. A program chooses its name, which may hold blanks, newlines and parentheses; no field
    behind it does. Raises ``ValueError`` for what is no such line."""
    head, parenthesis, tail = data.rpartition(b") ")
    fields = tail.split(b" ", _SIZE + 1)
    if not parenthesis or len(fields) <= _SIZE:
        raise ValueError("a stat file with fewer fields than Linux has ever written")
    return head.partition(b" (")[2], fields


def started(line: Line) -> float:
    """Seconds since the machine's start. A ledger may hold this number: how it is rounded must not change."""
    return round(int(line[_START]) / _TICKS, 3)


def parent(line: Line) -> int:
    """The parent's pid; 0 where there is none in this pid namespace."""
    return int(line[_PARENT])


def is_zombie(line: Line) -> bool:
    """It has ended and waits to be collected. Where only the main thread has ended, the line says ``Z`` as well, but counts
    the threads that run on."""
    return line[_STATE] in (b"Z", b"X", b"x") and line[_THREADS] in (b"0", b"1")


def has_memory(line: Line) -> bool:
    """Whether it has an address space, hence an environment: threads of the kernel and zombies have none."""
    return line[_SIZE] != b"0"


def process(pid: int, name: bytes, line: Line, origin: Origin | None) -> Process:
    """The row of this process. The name's undecodable bytes become U+FFFD."""
    return Process(
        ProcessKey(pid, started(line)),
        int(line[_PARENT]),
        name.decode("utf-8", "replace"),
        is_zombie(line),
        int(line[_GROUP]),
        int(line[_FOREGROUND]),
        (int(line[_UTIME]) + int(line[_STIME]) + int(line[_CUTIME]) + int(line[_CSTIME])) / _TICKS,
        origin,
    )
