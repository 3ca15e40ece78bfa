"""Clocks for tests: the machine's own, moved as a test likes. tmux stays at the machine's."""

from __future__ import annotations

import time
from dataclasses import dataclass

from workspace_reaper.model.state import ClockReading

__all__ = ["Later"]


@dataclass
class Later:
    """The clocks of this machine, later: so many ``seconds`` have passed, of which it ``slept`` so many more, and somebody has
    set the wall clock by ``jumped`` (ahead, or with a minus back)."""

    seconds: float = 0.0
    slept: float = 0.0
    jumped: float = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return self.read().wall

    def read(self) -> ClockReading:
        """All clocks at one moment."""
        awake = time.monotonic() + self.seconds
        return ClockReading(time.time() + self.seconds + self.slept + self.jumped, awake + self.slept, awake)
