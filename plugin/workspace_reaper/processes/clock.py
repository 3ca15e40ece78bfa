"""The clocks of this machine, behind ``ports.Clock``."""

from __future__ import annotations

import time

from workspace_reaper.model.state import ClockReading

__all__ = ["SystemClock"]

_SPREAD = 0.05
"""Seconds in which all clocks are to be read: who is interrupted in between reads them anew."""

_TRIES = 10

# Linux names the clock that goes on during sleep, and macOS the one that does not: there CLOCK_MONOTONIC goes on. On a system
# that names neither, one clock has to do for both, and sleep looks like a wall clock that was set.
_ELAPSED: int | None = getattr(time, "CLOCK_BOOTTIME", None)
_AWAKE: int | None = getattr(time, "CLOCK_UPTIME_RAW", None)
if _ELAPSED is None and _AWAKE is not None:
    _ELAPSED = getattr(time, "CLOCK_MONOTONIC", None)


def _seconds(clock: int | None) -> float:
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class SystemClock:
    """Reads what the system has."""

    def now(self) -> float:
        """The wall clock, in Unix seconds."""
        return time.time()

    def read(self) -> ClockReading:
        """All clocks at one moment, to 50 ms unless the machine is very busy."""
        spread, found = self._read()
        for _ in range(_TRIES):
            if spread <= _SPREAD:
                break
            spread, found = min((spread, found), self._read())
        return found

    def _read(self) -> tuple[float, ClockReading]:
        before = time.monotonic()
        reading = ClockReading(self.now(), _seconds(_ELAPSED), _seconds(_AWAKE))
        return time.monotonic() - before, reading
