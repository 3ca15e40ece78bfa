"""Timings in pairs: on a noisy machine only what ran side by side can be compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Result", "compare", "seconds"]


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report. ``ratio`` is the median of the ratios pair by pair; ``bound`` None where none is promised."""

    name: str
    median_ms: float
    floor: str
    floor_ms: float
    ratio: float
    bound: float | None = None

    def as_json(self) -> Mapping[str, object]:
        """Plain values; times in milliseconds."""
        return {
            "name": self.name,
            "median_ms": round(self.median_ms, 2),
            "floor": self.floor,
            "floor_ms": round(self.floor_ms, 2),
            "ratio": round(self.ratio, 3),
            "bound": self.bound,
            "within": None if self.bound is None else self.ratio <= self.bound,
        }


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, once."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(name: str, ours: Sequence[float], floor_name: str, floor: Sequence[float], *, bound: float | None = None) -> Result:
    """Two series of seconds, taken in turn, as one result."""
    ratios = [one / other for one, other in zip(ours, floor, strict=True)]
    median_ms, floor_ms = statistics.median(ours) * 1e3, statistics.median(floor) * 1e3
    return Result(name, median_ms, floor_name, floor_ms, statistics.median(ratios), bound)
