"""Ages and idle times. Pure: the stored clocks and the clocks now in, ages out.

tmux dates with the wall clock, which continues while the machine sleeps and which a user or a time service may step. Neither is
time without activity. So each sweep compares how far the clocks moved since the last one. The excess of the wall clock is
stored as a skew and left out of every age that began before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from workspace_reaper.model.process import ProcessKey, Scheduling
from workspace_reaper.model.session import Session, SessionKey
from workspace_reaper.model.state import ClockReading, ClockSkew, ClockState, CpuSample, CpuState
from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.policy.process_tree import SessionProcess
from workspace_reaper.util.durations import render_duration

# Seconds by which the wall clock must move to count as stepped. A time service that slews it moves it by less.
JUMP = 5.0


# Seconds of sleep or slewing that are too short to count.
SLACK = 1.0


# The number of skews that are stored separately. On a machine that sleeps more often the oldest ones are merged.
_MOST = 64


# Seconds for which a skew is stored in any case, because a setting may be raised.
_AT_LEAST = 7 * 86_400.0


# Seconds.
_FOR_EVER = 1e10


EVERY = frozenset(IdleClock)


@dataclass(frozen=True, slots=True)
class AgeClock:
    """How ages are counted in one sweep.

    ``skews`` are ordered, oldest first. ``stepped`` is by how many seconds the wall clock was stepped since the last full
    sweep, or 0. ``counted`` are the idle clocks that are switched on.
    """

    skews: tuple[ClockSkew, ...] = ()
    stepped: float = 0.0
    counted: frozenset[IdleClock] = EVERY

    def since(self, moment: float, now: float) -> float:
        """Return the seconds that count from ``moment`` to ``now`` (both Unix seconds). Never below 0."""
        skews = self.skews
        if skews and moment < skews[-1].at:
            moment = self.moved(moment)
        return now - moment if now > moment else 0.0

    def moved(self, moment: float) -> float:
        """Return the time (Unix seconds) that makes plain subtraction from now give the age of ``moment``."""
        for skew in self.skews:
            if moment < skew.at:
                moment = min(moment + skew.seconds, skew.at)
        return moment

    def before(self, now: float, seconds: float) -> float:
        """Return the last time (Unix seconds) whose age is at least ``seconds``."""
        moment = now - seconds
        for skew in reversed(self.skews):
            if moment < skew.at:
                moment -= skew.seconds
        return moment


@dataclass(frozen=True, slots=True)
class Noticed:
    """The comparison of the clocks. ``state`` is what to store; the same object if nothing changed. ``stepped``: see
    `AgeClock`.
    """

    state: ClockState
    stepped: float = 0.0


def is_first_since_boot(before: ClockState, boot: str) -> bool:
    """Return whether the clocks were not compared since this boot."""
    return before.offset is None or before.boot != boot


def notice(before: ClockState, boot: str, now: ClockReading, keep: float, *, ahead: float = 0.0) -> Noticed:
    """Compare the clocks with the stored ones.

    ``ahead`` is by how many seconds the wall clock was stepped forward while sessions ran, for the first look since the boot.

    A skew is dropped once its age exceeds ``keep``, the greatest age that any rule compares with, but not within a week.
    """
    offset, slept = now.wall - now.elapsed, now.elapsed - now.awake
    known = None if is_first_since_boot(before, boot) else before.offset
    if known is None:
        # Nothing that runs is older than the boot of the machine. What seems older was dated by a clock that was set later, as
        # machines without a battery-backed clock do once they have reached a time server.
        ahead = ahead if ahead > JUMP else 0.0
        before_that = max(0.0, slept) + ahead
        skews: tuple[ClockSkew, ...] = (ClockSkew(offset, _FOR_EVER),)
        if before_that > SLACK:
            # When it slept, and when the clock was stepped, is unknown. On the safe side: after all that has happened so far.
            skews += (ClockSkew(now.wall, before_that),)
        return Noticed(ClockState(boot, offset, slept, skews), ahead)
    ahead, asleep = offset - known, slept - before.slept
    stepped = ahead if abs(ahead) > JUMP else 0.0
    skews = before.skews
    if stepped < 0:
        # What is dated from now on is younger than these skews, although it may seem older.
        skews = tuple(replace(skew, at=min(skew.at, now.wall)) for skew in skews)
    if stepped > 0 or asleep > SLACK:
        # If the clock was stepped back and the machine slept, their order is unknown. Count all of the sleep.
        skews += (ClockSkew(now.wall, max(0.0, stepped) + max(0.0, asleep)),)
    skews = _worth_keeping(skews, now.wall, max(keep, _AT_LEAST))
    if abs(ahead) <= SLACK and abs(asleep) <= SLACK and skews == before.skews:
        return Noticed(before)
    return Noticed(ClockState(boot, offset, slept, skews), stepped)


def _worth_keeping(skews: Sequence[ClockSkew], now: float, keep: float) -> tuple[ClockSkew, ...]:
    """Return the skews without those that are too old to change any verdict."""
    kept = tuple(skews)
    while kept and AgeClock(kept[1:]).since(kept[0].at, now) > keep:
        kept = kept[1:]
    while len(kept) > _MOST:
        # On the safe side: what is dated between the two seems younger than it is.
        first, second = kept[:2]
        kept = (ClockSkew(second.at, first.seconds + second.seconds), *kept[2:])
    return kept


def describe_clock_step(seconds: float) -> str:
    """Return the clause about a wall clock that was stepped by so much."""
    way = "forward" if seconds > 0 else "back"
    length = render_duration(round(abs(seconds)))
    return f"the wall clock was stepped {way} by {length}, so this sweep reaps nothing for being idle"


# The share of one core above which a process tree counts as busy.
SHARE = 0.01


# CPU seconds that a program may need to start.
STARTING = 10.0


# The resolution of CPU time on Linux in seconds (100 ticks a second). A difference of one tick may be none.
TICK = 0.01


_PLAIN = AgeClock()


class SampleInterval:
    """Decides when the next CPU sample is due: at least half a tick after the last one that was stored.

    CPU time has a coarse resolution, so a sweep right after another one would measure noise. A sample that was not stored, such
    as that of a dry run, shows the next sweep nothing. One object for the life of a reaper.
    """

    def __init__(self, tick: float) -> None:
        self._gap = tick / 2
        self._last: float | None = None

    def is_due(self, now: float) -> bool:
        """Return whether to take a sample now (monotonic seconds)."""
        return self._last is None or now - self._last >= self._gap

    def stored(self, at: float) -> None:
        """Take the sample of that moment (monotonic seconds) for the last one."""
        self._last = at


def used(family: Iterable[SessionProcess]) -> float:
    """Return the CPU seconds of these processes and of the children that they have waited for."""
    return round(sum([kin[0].cpu_seconds for kin in family]), 3)


def is_busy(before: float, after: float, seconds: float) -> bool:
    """Return whether a process tree was busy whose CPU time changed like this within ``seconds``.

    CPU time may also fall: a process that ended without being waited for takes its time with it. That is activity too.
    """
    return abs(after - before) > max(SHARE * seconds, TICK) + 1e-6


def is_starved(before: Mapping[ProcessKey, Scheduling], after: Mapping[ProcessKey, Scheduling], seconds: float) -> bool:
    """Return whether one of these processes waited for a CPU within ``seconds``. On an overloaded machine that is work.

    It waited for longer than a busy one computes, or it was runnable at both moments.
    """
    both = before.keys() & after.keys()
    waited = sum(after[key].waited - before[key].waited for key in both)
    return is_busy(0.0, waited, seconds) or any(before[key].runnable and after[key].runnable for key in both)


def worked_until(session: Session, busy_at: float | None, now: float) -> float | None:
    """Return when the session was last at work (Unix seconds), None if it never was.

    ``busy_at`` is when a sample last found it so. No sample shows what the program of a pane used right before it ended: it may
    have worked until then.
    """
    ended = [pane.dead_at for pane in session.panes if pane.dead_at is not None]
    return max(min(now, max(ended)), busy_at or 0.0) if ended else busy_at


def advance(
    state: CpuState,
    now: float,
    processes_by_session: Mapping[SessionKey, Iterable[SessionProcess]],
    age_clock: AgeClock = _PLAIN,
    hidden: Collection[SessionKey] = frozenset(),
    quiet: Mapping[SessionKey, float] = MappingProxyType({}),
) -> CpuState:
    """Return the state with new samples of these sessions. Those of all others are dropped.

    A session without an earlier sample counts as busy if it may have been busy ever since its last activity in tmux, ``quiet``
    seconds ago: it has used enough, and when is unknown. ``age_clock`` says how long the machine was awake since the last
    samples, because nothing is busy while it sleeps. Work that the clock now dates in the future is dated now. The processes of
    ``hidden`` sessions cannot be seen: they may compute.
    """
    passed = 0.0 if state.at is None else age_clock.since(state.at, now)
    samples: dict[SessionKey, CpuSample] = {}
    for key, family in processes_by_session.items():
        seconds, before = used(family), state.samples.get(key)
        is_ahead = before is not None and before.busy_at is not None and before.busy_at > now
        if key in hidden or is_ahead:
            samples[key] = CpuSample(seconds, now)
        elif before is None or state.at is None:
            may_be_busy = seconds > STARTING and is_busy(0.0, seconds, quiet.get(key, float("inf")))
            samples[key] = CpuSample(seconds, now if may_be_busy else None)
        elif seconds == before.seconds:
            samples[key] = before
        else:
            busy = is_busy(before.seconds, seconds, passed)
            samples[key] = CpuSample(seconds, now if busy else before.busy_at)
    return CpuState(now, samples)
