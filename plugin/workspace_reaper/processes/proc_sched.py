"""How a process gets the CPU: ``/proc/PID/task/TID/schedstat`` and the state of its threads."""

from __future__ import annotations

from contextlib import suppress

from workspace_reaper.model.process import Scheduling
from workspace_reaper.processes import proc_stat
from workspace_reaper.processes.proc_files import PROC, names, read

_NANO = 1e-9


def scheduling_of(pid: int) -> Scheduling | None:
    """Return how what has this pid now gets the CPU; None if its threads cannot be read.

    The kernel adds a wait to ``schedstat`` only when it ends. A thread that gets no CPU at all shows by its state.
    """
    waited, runnable, found = 0.0, False, False
    try:
        threads = names(f"{PROC}/{pid}/task")
    except OSError:
        return None
    for thread in threads:
        base = f"{PROC}/{pid}/task/{thread}"
        with suppress(OSError, ValueError, IndexError):  # the thread has ended
            runnable |= proc_stat.is_runnable(proc_stat.split(read(base + "/stat"))[1])
            found = True
            waited += int(read(base + "/schedstat").split()[1]) * _NANO
    return Scheduling(waited, runnable) if found else None
