"""Processes that the demo started: none of them may outlive it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

from workspace_reaper.model.errors import ReaperError
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.processes import SystemProcesses

__all__ = ["LONG", "DemoFailed", "Started", "end_all", "wait_for_end"]

LONG = 600

"""Seconds after which each would end by itself, should the demo be ended with SIGKILL."""

_TABLE = SystemProcesses({})

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

    def signal(self, number: int) -> None:
        """Send a signal to this very process, if it still runs."""
        _TABLE.signal(ProcessKey(self.pid, self.at), number)


def wait_for_end(processes: Iterable[Started], within: float) -> list[Started]:
    """Wait until none runs any more; those that still do after ``within`` seconds."""
    deadline = time.monotonic() + within
    while True:
        running = [process for process in processes if process.runs]
        if not running or time.monotonic() > deadline:
            return running
        time.sleep(0.01)


def end_all(processes: Iterable[Started], patience: float = 3.0, *, told: bool = True) -> list[Started]:
    """Wait for processes that were ``told`` to end; end those that do not. What even SIGKILL has not ended is returned.

    It has three steps: wait (only if they were told), SIGTERM, SIGKILL; ``patience`` is in seconds, for each.
    """
    running = list(processes)
    for signals in _STEPS if told else _STEPS[1:]:
        for process in running:
            for number in signals:
                process.signal(number)
        running = wait_for_end(running, patience)
    return running


class DemoFailed(ReaperError):
    """Something that the demo needs is missing or does not work. Its text is a sentence for a person."""
