"""The processes of the demo. None of them outlives it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable

from workspace_reaper.model.errors import ReaperError
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.processes.processes import SystemProcesses

# Seconds after which each process ends by itself, in case the demo is killed by SIGKILL.
LIFETIME = 600

_TABLE = SystemProcesses({})
_ESCALATION = ((), (signal.SIGCONT, signal.SIGTERM), (signal.SIGKILL,))


class DemoFailed(ReaperError):
    """Something that the demo requires is missing or failed. The text is a sentence for the user."""


def identify(pid: int) -> ProcessKey | None:
    """Return the identity of the process that has this pid now, or None."""
    started = _TABLE.start_time(pid)
    return None if started is None else ProcessKey(pid, started)


def is_running(process: ProcessKey) -> bool:
    """Return whether exactly this process has not ended. Another process that got its pid is a different one."""
    return _TABLE.start_time(process.pid) == process.started


def end_all(processes: Iterable[ProcessKey], patience: float = 3.0) -> list[ProcessKey]:
    """Wait for processes that were asked to end, then send SIGTERM, then SIGKILL.

    Args:
        processes: The processes, by pid and start time.
        patience: Seconds to wait in each of the three steps.

    Returns:
        The processes that are still running.
    """
    running = list(processes)
    for signals in _ESCALATION:
        for process in running:
            for number in signals:
                _TABLE.signal(process, number)
        deadline = time.monotonic() + patience
        while (running := [process for process in running if is_running(process)]) and time.monotonic() < deadline:
            time.sleep(0.01)
    return running
