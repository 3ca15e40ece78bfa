"""The clocks of this machine: the port ``Clock``."""

from __future__ import annotations

import time

from workspace_reaper.model.state import ClockReading

# Seconds within which all clocks are read. If the process is interrupted in between, they are read again.
_SPREAD = 0.05

_TRIES = 10

# On Linux CLOCK_MONOTONIC stops during sleep and CLOCK_BOOTTIME does not. On macOS CLOCK_UPTIME_RAW stops and CLOCK_MONOTONIC
# does not. On a system with neither, one clock serves as both, and sleep looks like a step of the wall clock.
_ELAPSED: int | None = getattr(time, "CLOCK_BOOTTIME", None)
_AWAKE: int | None = getattr(time, "CLOCK_UPTIME_RAW", None)
if _ELAPSED is None and _AWAKE is not None:
    _ELAPSED = getattr(time, "CLOCK_MONOTONIC", None)


def _seconds(clock: int | None) -> float:
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class SystemClock:
    """The clocks of the system."""

    def now(self) -> float:
        return time.time()

    def read(self) -> ClockReading:
        """Return all clocks at one instant, to 50 ms unless the machine is overloaded."""
        spread, reading = self._read()
        for _ in range(_TRIES):
            if spread <= _SPREAD:
                break
            spread, reading = min((spread, reading), self._read())
        return reading

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _read(self) -> tuple[float, ClockReading]:
        before = time.monotonic()
        reading = ClockReading(self.now(), _seconds(_ELAPSED), _seconds(_AWAKE))
        return time.monotonic() - before, reading
