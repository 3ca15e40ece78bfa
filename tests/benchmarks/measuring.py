"""Timings in pairs: on a noisy machine only what ran side by side can be compared."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from workspace_reaper.tmux.server_time import cpu_seconds

__all__ = ["Result", "busy", "compare", "cpu_and_wall", "seconds"]


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report. ``ratio`` is the median of the ratios pair by pair; ``bound`` None where none is promised."""

    name: str
    median: float
    floor: str
    floor_median: float
    ratio: float
    bound: float | None = None
    unit: str = "ms"
    spread: tuple[float, float] | None = None
    """The 10th and the 90th percentile of the first of the two series."""

    @property
    def exceeds(self) -> bool:
        """It is beyond what is promised."""
        return self.bound is not None and self.ratio > self.bound

    def as_json(self) -> Mapping[str, object]:
        """Plain values."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": round(self.median, 2),
            "p10": None if self.spread is None else round(self.spread[0], 2),
            "p90": None if self.spread is None else round(self.spread[1], 2),
            "floor": self.floor,
            "floor_median": round(self.floor_median, 2),
            "ratio": round(self.ratio, 3),
            "bound": self.bound,
            "within": None if self.bound is None else not self.exceeds,
        }


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, once."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes busy, each with a core's worth of work."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def cpu_and_wall(work: Callable[[], object], server_pid: int) -> tuple[float, float]:
    """The CPU seconds of this process, of its children and of the tmux server; and the seconds on the clock."""

    def spent() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system + (cpu_seconds(server_pid) or 0.0)

    before = spent()
    wall = seconds(work)
    return spent() - before, wall


def compare(name: str, ours: Sequence[float], floor_name: str, floor: Sequence[float], *, bound: float | None = None) -> Result:
    """Two series of seconds, taken in turn, as one result."""
    ratios = [one / other for one, other in zip(ours, floor, strict=True)]
    median_ms, floor_ms = statistics.median(ours) * 1e3, statistics.median(floor) * 1e3
    tenths = statistics.quantiles(ours, n=10, method="inclusive") if len(ours) > 1 else [*ours, *ours]
    spread = tenths[0] * 1e3, tenths[-1] * 1e3
    return Result(name, median_ms, floor_name, floor_ms, statistics.median(ratios), bound, spread=spread)
