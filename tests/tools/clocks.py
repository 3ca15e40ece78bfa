"""Clocks for tests: the machine's own, moved as a test likes. tmux stays at the machine's."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from workspace_reaper.model.state import ClockReading
from workspace_reaper.processes.clock import SystemClock

__all__ = ["Later", "VirtualClock", "wall_clock_library"]


class VirtualClock:
    """The port ``Clock`` without a machine: time passes only while somebody sleeps, or by ``go_on``."""

    def __init__(self, wall: float, elapsed: float = 0.0, awake: float = 0.0) -> None:
        self.wall = wall
        self.elapsed = elapsed
        self.awake = awake

    def now(self) -> float:
        """See ``Clock``."""
        return self.wall

    def read(self) -> ClockReading:
        """See ``Clock``."""
        return ClockReading(self.wall, self.elapsed, self.awake)

    def monotonic(self) -> float:
        """See ``Clock``."""
        return self.awake

    def sleep(self, seconds: float) -> None:
        """See ``Clock``."""
        self.go_on(seconds)

    def go_on(self, seconds: float = 0.0, *, asleep: float = 0.0, set_ahead: float = 0.0) -> None:
        """Let so many seconds pass, so many more while the machine sleeps, and set the wall clock ahead."""
        self.wall += seconds + asleep + set_ahead
        self.elapsed += seconds + asleep
        self.awake += seconds


@dataclass
class Later(SystemClock):
    """The clocks of this machine, later: so many ``seconds`` have passed, of which it ``slept`` so many more, and somebody has
    set the wall clock by ``stepped`` (ahead, or with a minus back)."""

    seconds: float = 0.0
    slept: float = 0.0
    stepped: float = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return self.read().wall

    def read(self) -> ClockReading:
        """All clocks at one moment."""
        awake = time.monotonic() + self.seconds
        return ClockReading(time.time() + self.seconds + self.slept + self.stepped, awake + self.slept, awake)


def wall_clock_library(directory: Path) -> Path:
    """Compile the library that shifts the wall clock of the processes that preload it; skip the test without a compiler.

    ``time.sleep`` and every other clock stay as they are, which not every release of libfaketime manages.
    """
    if shutil.which("cc") is None:
        pytest.skip(
            "no C compiler is installed, and the wall clock of a real process is set by a library that is compiled here"
        )
    library = directory / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True, timeout=60)
    return library
