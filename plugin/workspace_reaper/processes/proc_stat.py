"""The fields of ``/proc/PID/stat`` (proc(5))."""

from __future__ import annotations

import os

from workspace_reaper.model.process import Origin, Process, ProcessKey

# The fields after the name, from the third of proc(5) on. The last one contains the rest of the line.
Line = list[bytes]

_TICKS = os.sysconf("SC_CLK_TCK") if "SC_CLK_TCK" in os.sysconf_names else 100

# The index of each field in a Line. proc(5) counts from 1, and the third field is the first here.
_STATE, _PARENT, _GROUP, _FOREGROUND, _THREADS, _START, _SIZE = 0, 1, 2, 5, 17, 19, 20
_CPU_TIMES = slice(11, 15)


def split(data: bytes) -> tuple[bytes, Line]:
    """Return the name and the fields after it. Raise ``ValueError`` for an incomplete line.

    A program chooses its name, which may contain blanks, newlines and parentheses; no field after it does.
    """
    head, parenthesis, tail = data.rpartition(b") ")
    fields = tail.split(b" ", _SIZE + 1)
    if not parenthesis or len(fields) <= _SIZE:
        raise ValueError("a stat file with fewer fields than Linux has ever written")
    return head.partition(b" (")[2], fields


def started(line: Line) -> float:
    """Return the seconds since boot. The ledger contains this number, so its rounding must not change."""
    return round(int(line[_START]) / _TICKS, 3)


def parent(line: Line) -> int:
    """Return the parent's pid; 0 if it is outside this pid namespace."""
    return int(line[_PARENT])


def is_zombie(line: Line) -> bool:
    """Return whether the process has ended and was not waited for.

    If only the main thread has ended the state is ``Z`` too, but the line counts the threads that still run.
    """
    return line[_STATE] in (b"Z", b"X", b"x") and line[_THREADS] in (b"0", b"1")


def is_runnable(line: Line) -> bool:
    """Return whether it runs, or waits for a CPU."""
    return line[_STATE] == b"R"


def has_memory(line: Line) -> bool:
    """Return whether it has an address space, hence an environment. Kernel threads and zombies have none."""
    return line[_SIZE] != b"0"


def process(pid: int, name: bytes, line: Line, origin: Origin | None) -> Process:
    """Return the row of this process. Undecodable bytes of the name become U+FFFD."""
    return Process(
        ProcessKey(pid, started(line)),
        int(line[_PARENT]),
        name.decode("utf-8", "replace"),
        is_zombie(line),
        int(line[_GROUP]),
        int(line[_FOREGROUND]),
        sum(map(int, line[_CPU_TIMES])) / _TICKS,
        origin,
    )
