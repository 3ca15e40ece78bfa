"""Time for a machine in small that lives through days within a second: its clocks can be moved on, tmux's own can't.

So each time that tmux tells is carried over into the machine's time when it is first seen: what happens after the clock was
moved on is dated as much later as the clock was moved. The product sees a real tmux through `TimedTerminal`, and whoever looks
on carries what tmux prints by the same `Carried`: both have the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import NamedTuple

from workspace_reaper.model.state import ClockReading
from workspace_reaper.processes.clock import SystemClock

__all__ = ["Carried", "MachineClock", "Moment"]

STEP = 2
"""Seconds that go by from step to step at least."""


class Moment(NamedTuple):
    """``wall`` is what the machine's wall clock says; ``lived`` counts only the time that the machine was awake, however its
    wall clock was set. Unix seconds, for both, if nothing but real time has passed."""

    wall: int
    lived: int


class Carried:
    """``wall`` and ``lived`` are how many seconds the machine is ahead of tmux now."""

    def __init__(self) -> None:
        self.wall = 0
        self.lived = 0
        self._moments: dict[Hashable, tuple[int, Moment]] = {}

    def moment(self, what: Hashable, told: int) -> Moment:
        """When that was, which tmux dates so (Unix seconds). What did not move since the last look was when it was."""
        known = self._moments.get(what)
        if known is None or known[0] != told:
            known = self._moments[what] = (told, Moment(told + self.wall, told + self.lived))
        return known[1]

    def wait_for_another(self, *moving: Hashable) -> None:
        """tmux dates to the second: wait until what moves these now can be told from what moved them before the clock was
        moved on. No wait at all where it can."""
        for told, moment in filter(None, map(self._moments.get, moving)):
            if moment.wall != told + self.wall:
                time.sleep(max(0.0, told + 1.001 - time.time()))


class MachineClock(SystemClock):
    """The port ``Clock``. It stands still during a step, so that all who look at it in one step see the same."""

    def __init__(self, carried: Carried) -> None:
        self._carried = carried
        self._slept = 0
        self.go_on()

    def go_on(self, seconds: int = 0, *, asleep: int = 0, set_ahead: int = 0) -> None:
        """Let the real time pass, and so many seconds more; then so many asleep; then the wall clock is set.

        No two steps are in the same second: what happens does not depend on when tmux's clock ticks.
        """
        seconds += STEP
        self._slept += asleep
        self._carried.lived += seconds
        self._carried.wall += seconds + asleep + set_ahead
        now, awake = time.time(), time.monotonic() + self._carried.lived
        self.lived = now + self._carried.lived
        self._reading = ClockReading(now + self._carried.wall, awake + self._slept, awake)

    def now(self) -> float:
        """See ``Clock``."""
        return self._reading.wall

    def read(self) -> ClockReading:
        """See ``Clock``."""
        return self._reading
