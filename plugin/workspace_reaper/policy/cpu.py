"""The last idle clock: CPU use of a session's process tree between two ticks. Pure, but for what ``Sampling`` remembers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import CpuMemory, CpuSample
from workspace_reaper.policy.idle import Times
from workspace_reaper.policy.process_tree import Kin

__all__ = ["SHARE", "Sampling", "advance", "is_busy", "used"]

SHARE = 0.01
"""Of one core: a process tree that uses more is at work."""

TICK = 0.01
"""Seconds: the least CPU time that Linux tells (100 ticks a second on every architecture in use). One tick more may be none."""


_PLAIN = Times()


class Sampling:
    """When the next sample is due: not before half a tick has gone since the last one. Use is told per tick, and a sweep that
    comes right after another one would measure the noise. One for the life of a reaper."""

    def __init__(self, tick: float) -> None:
        self._gap = tick / 2
        self._last: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether to take one now (seconds of a clock that only goes forward); if so, it is the last one from now on."""
        if self._last is not None and now - self._last < self._gap:
            return False
        self._last = now
        return True


def used(family: Iterable[Kin]) -> float:
    """CPU seconds of these processes, and of those they have waited for."""
    return round(sum([kin[0].cpu_seconds for kin in family]), 3)


def is_busy(before: float, after: float, seconds: float) -> bool:
    """Whether a tree whose CPU time went from ``before`` to ``after`` in so many seconds was at work. It may also fall: what
    ended without having been waited for took its time along, and something did end."""
    return abs(after - before) > max(SHARE * seconds, TICK) + 1e-6


def advance(memory: CpuMemory, now: float, families: Mapping[SessionKey, Iterable[Kin]], times: Times = _PLAIN) -> CpuMemory:
    """The memory with the samples of these sessions as they are now; those of all others are dropped. A session that is seen
    for the first time has not been busy as far as anybody knows. ``times`` tells how long the machine was awake since the last
    samples: while it sleeps nothing can be busy."""
    passed = 0.0 if memory.at is None else times.since(memory.at, now)
    samples: dict[SessionKey, CpuSample] = {}
    for key, family in families.items():
        seconds, before = used(family), memory.samples.get(key)
        if before is None or memory.at is None:
            samples[key] = CpuSample(seconds)
        elif seconds == before.seconds:
            samples[key] = before
        else:
            busy = is_busy(before.seconds, seconds, passed)
            samples[key] = CpuSample(seconds, now if busy else before.busy_at)
    return CpuMemory(now, samples)
