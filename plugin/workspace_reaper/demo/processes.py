"""Processes that the demo started: none of them may outlive it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from workspace_reaper.processes import ProcessTable

__all__ = ["Started", "end_all", "wait_for_end"]

_TABLE = ProcessTable({})
_STEPS = ((), (signal.SIGCONT, signal.SIGTERM), (signal.SIGKILL,))


@dataclass(frozen=True, slots=True)
class Started:
    """A process by its pid and start time: a pid that was handed out again is another process."""

    pid: int
    at: float

    @classmethod
    def now(cls, pid: int) -> Started | None:
        """The process that has this pid now, or None."""
        at = _TABLE.start_time(pid)
        return None if at is None else cls(pid, at)

    @property
    def runs(self) -> bool:
        """It has not ended."""
        return _TABLE.start_time(self.pid) == self.at


def wait_for_end(processes: Iterable[Started], within: float) -> list[Started]:
    """Wait until none runs any more; those that still do after ``within`` seconds."""
    deadline = time.monotonic() + within
    while True:
        running = [process for process in processes if process.runs]
        if not running or time.monotonic() > deadline:
            return running
        time.sleep(0.01)


def end_all(processes: Iterable[Started], patience: float = 3.0) -> list[Started]:
    """Wait for processes that were told to end; end those that do not. What even SIGKILL has not ended is returned.

    It has three steps: wait, SIGTERM, SIGKILL; ``patience`` is in seconds, for each.
    """
    running = list(processes)
    for signals in _STEPS:
        for process in running:
            for number in signals:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, number)
        running = wait_for_end(running, patience)
    return running
