"""The CPU time of a tmux server: what a batch costs it, however busy the machine is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from workspace_reaper.tmux.client import Completed

_NANO = 1e-9


def timed(server_pid: int | None, work: Callable[[], Completed]) -> Completed:
    """Run ``work``, and return its result with the CPU time that the server used meanwhile, if the system reports it."""
    if server_pid is None:
        return work()
    before = cpu_seconds(server_pid)
    completed = work()
    after = cpu_seconds(server_pid)
    if before is None or after is None or after < before:  # such as a server that ended with its last session
        return completed
    return replace(completed, server_seconds=after - before)


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU time of the process's first thread so far, in seconds: tmux has no other. None where it is unknown."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[0]) * _NANO
    except (OSError, ValueError, IndexError):
        return None
