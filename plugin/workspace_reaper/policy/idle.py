"""Which time counts. Pure: the machine's clocks as they were, and as they are, go in.

tmux dates with the wall clock, which goes on while the machine sleeps, and which somebody may set. Neither is time in which a
session was idle. So each sweep compares how far the clocks went since the last one, and what the wall clock went too far is
remembered: a lapse, to be left out of every age of what is older.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workspace_reaper.model.session import ClockReading, IdleClock
from workspace_reaper.model.state import ClockMemory, Lapse
from workspace_reaper.util.durations import render_duration

__all__ = ["EVERY", "JUMP", "Noticed", "Times", "how_set", "notice"]

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
class Times:
    """How to tell ages in one sweep. ``lapses`` are the oldest first. ``jumped`` is by how many seconds the wall clock was set
    since the last full sweep, 0 if it was not. ``counted`` are the idle clocks that are switched on."""

    lapses: tuple[Lapse, ...] = ()
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
    """``memory`` is what to remember: the very same where nothing has happened. ``jumped``: see `Times`."""

    memory: ClockMemory
    jumped: float = 0.0


def notice(before: ClockMemory, boot: str, now: ClockReading, keep: float) -> Noticed:
    """Compare the clocks with what is remembered of them. A lapse is forgotten once more than ``keep`` seconds, the greatest
    age that is asked for, count since then; and not within a week."""
    offset, slept = now.wall - now.elapsed, now.elapsed - now.awake
    if before.offset is None or before.boot != boot:
        # Nothing that lives is older than the machine's start. What seems so was dated by a clock that was set later on, as
        # machines without a battery for theirs do when they have found a time server.
        return Noticed(ClockMemory(boot, offset, slept, (Lapse(offset, _FOR_EVER),)))
    ahead, asleep = offset - before.offset, slept - before.slept
    jumped = ahead if abs(ahead) > JUMP else 0.0
    lapses = before.lapses
    if jumped < 0:
        # What is dated from now on is younger than they are, although it may seem older.
        lapses = tuple(replace(lapse, at=min(lapse.at, now.wall)) for lapse in lapses)
    if jumped > 0 or asleep > _SLACK:
        # Back and asleep: nobody knows in which order, so all of the sleep counts.
        lapses += (Lapse(now.wall, max(0.0, jumped) + max(0.0, asleep)),)
    lapses = _worth_keeping(lapses, now.wall, max(keep, _AT_LEAST))
    if abs(ahead) <= _SLACK and abs(asleep) <= _SLACK and lapses == before.lapses:
        return Noticed(before)
    return Noticed(ClockMemory(boot, offset, slept, lapses), jumped)


def _worth_keeping(lapses: Sequence[Lapse], now: float, keep: float) -> tuple[Lapse, ...]:
    """Without those that are so old that what they leave out makes no difference to any verdict."""
    kept = tuple(lapses)
    while kept and Times(kept[1:]).since(kept[0].at, now) > keep:
        kept = kept[1:]
    while len(kept) > _MOST:
        # Never too early: what lies between the two seems younger than it is.
        first, second = kept[:2]
        kept = (Lapse(second.at, first.seconds + second.seconds), *kept[2:])
    return kept


def how_set(jumped: float) -> str:
    """The sentence about a wall clock that was set."""
    way = "ahead" if jumped > 0 else "back"
    length = render_duration(round(abs(jumped)))
    return f"the wall clock was set {way} by {length}: nothing goes for being idle in the sweep that notices it"
