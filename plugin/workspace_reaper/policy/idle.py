"""Which time counts. Pure: the machine's clocks as they were, and as they are, go in.

tmux dates with the wall clock, which goes on while the machine sleeps, and which somebody may set. Neither is time in which a
session was idle. So each sweep compares how far the clocks went since the last one, and what the wall clock went too far is
remembered: a lapse, to be left out of every age of what is older.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import ClockReading, ClockSkew, ClockState, CpuSample, CpuState
from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.policy.process_tree import SessionProcess
from workspace_reaper.util.durations import render_duration

__all__ = [
    "EVERY",
    "JUMP",
    "SHARE",
    "AgeClock",
    "Noticed",
    "SampleInterval",
    "advance",
    "describe_clock_step",
    "is_busy",
    "notice",
    "used",
]

JUMP = 5.0

"""Seconds: who sets the wall clock by more has set it. A time service that steers it sets it by less at once."""

_SLACK = 1.0

"""Seconds of sleep, and of steering, that are not worth remembering."""

_MOST = 64

"""Lapses that are remembered one by one. A machine that sleeps more often has the oldest taken together."""

_AT_LEAST = 7 * 86_400.0

"""Seconds for which a lapse is remembered in any case: somebody may raise a limit."""

_FOR_EVER = 1e10

"""Seconds."""

EVERY = frozenset(IdleClock)


@dataclass(frozen=True, slots=True)
class AgeClock:
    """How to tell ages in one sweep. ``lapses`` are the oldest first. ``jumped`` is by how many seconds the wall clock was set
    since the last full sweep, 0 if it was not. ``counted`` are the idle clocks that are switched on."""

    lapses: tuple[ClockSkew, ...] = ()
    jumped: float = 0.0
    counted: frozenset[IdleClock] = EVERY

    def since(self, moment: float, now: float) -> float:
        """Seconds that count from ``moment`` to ``now`` (both Unix seconds, by the wall clock of then); never below 0."""
        lapses = self.lapses
        if lapses and moment < lapses[-1].at:
            moment = self.moved(moment)
        return now - moment if now > moment else 0.0

    def moved(self, moment: float) -> float:
        """The moment (Unix seconds) from which the wall clock, as it goes now, has gone as far as the time that counts."""
        for lapse in self.lapses:
            if moment < lapse.at:
                moment = min(moment + lapse.seconds, lapse.at)
        return moment

    def before(self, now: float, seconds: float) -> float:
        """The last moment (Unix seconds) since which so many seconds count."""
        moment = now - seconds
        for lapse in reversed(self.lapses):
            if moment < lapse.at:
                moment -= lapse.seconds
        return moment


@dataclass(frozen=True, slots=True)
class Noticed:
    """``memory`` is what to remember: the very same where nothing has happened. ``jumped``: see `AgeClock`."""

    memory: ClockState
    jumped: float = 0.0


def notice(before: ClockState, boot: str, now: ClockReading, keep: float) -> Noticed:
    """Compare the clocks with what is remembered of them. A lapse is forgotten once more than ``keep`` seconds, the greatest
    age that is asked for, count since then; and not within a week."""
    offset, slept = now.wall - now.elapsed, now.elapsed - now.awake
    if before.offset is None or before.boot != boot:
        # Nothing that lives is older than the machine's start. What seems so was dated by a clock that was set later on, as
        # machines without a battery for theirs do when they have found a time server.
        return Noticed(ClockState(boot, offset, slept, (ClockSkew(offset, _FOR_EVER),)))
    ahead, asleep = offset - before.offset, slept - before.slept
    jumped = ahead if abs(ahead) > JUMP else 0.0
    lapses = before.lapses
    if jumped < 0:
        # What is dated from now on is younger than they are, although it may seem older.
        lapses = tuple(replace(lapse, at=min(lapse.at, now.wall)) for lapse in lapses)
    if jumped > 0 or asleep > _SLACK:
        # Back and asleep: nobody knows in which order, so all of the sleep counts.
        lapses += (ClockSkew(now.wall, max(0.0, jumped) + max(0.0, asleep)),)
    lapses = _worth_keeping(lapses, now.wall, max(keep, _AT_LEAST))
    if abs(ahead) <= _SLACK and abs(asleep) <= _SLACK and lapses == before.lapses:
        return Noticed(before)
    return Noticed(ClockState(boot, offset, slept, lapses), jumped)


def _worth_keeping(lapses: Sequence[ClockSkew], now: float, keep: float) -> tuple[ClockSkew, ...]:
    """Without those that are so old that what they leave out makes no difference to any verdict."""
    kept = tuple(lapses)
    while kept and AgeClock(kept[1:]).since(kept[0].at, now) > keep:
        kept = kept[1:]
    while len(kept) > _MOST:
        # Never too early: what lies between the two seems younger than it is.
        first, second = kept[:2]
        kept = (ClockSkew(second.at, first.seconds + second.seconds), *kept[2:])
    return kept


def describe_clock_step(seconds: float) -> str:
    """Return the clause about a wall clock that was stepped by so much."""
    way = "forward" if seconds > 0 else "back"
    length = render_duration(round(abs(seconds)))
    return f"the wall clock was stepped {way} by {length}, so this sweep reaps nothing for being idle"


SHARE = 0.01

"""Of one core: a process tree that uses more is at work."""

TICK = 0.01

"""Seconds: the least CPU time that Linux tells (100 ticks a second on every architecture in use). One tick more may be none."""

_PLAIN = AgeClock()


class SampleInterval:
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


def used(family: Iterable[SessionProcess]) -> float:
    """CPU seconds of these processes, and of those they have waited for."""
    return round(sum([kin[0].cpu_seconds for kin in family]), 3)


def is_busy(before: float, after: float, seconds: float) -> bool:
    """Whether a tree whose CPU time went from ``before`` to ``after`` in so many seconds was at work. It may also fall: what
    ended without having been waited for took its time along, and something did end."""
    return abs(after - before) > max(SHARE * seconds, TICK) + 1e-6


def advance(
    memory: CpuState, now: float, processes_by_session: Mapping[SessionKey, Iterable[SessionProcess]], times: AgeClock = _PLAIN
) -> CpuState:
    """The memory with the samples of these sessions as they are now; those of all others are dropped. A session that is seen
    for the first time has not been busy as far as anybody knows. ``times`` tells how long the machine was awake since the last
    samples: while it sleeps nothing can be busy."""
    passed = 0.0 if memory.at is None else times.since(memory.at, now)
    samples: dict[SessionKey, CpuSample] = {}
    for key, family in processes_by_session.items():
        seconds, before = used(family), memory.samples.get(key)
        if before is None or memory.at is None:
            samples[key] = CpuSample(seconds)
        elif seconds == before.seconds:
            samples[key] = before
        else:
            busy = is_busy(before.seconds, seconds, passed)
            samples[key] = CpuSample(seconds, now if busy else before.busy_at)
    return CpuState(now, samples)
