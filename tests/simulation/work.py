"""What the samples of CPU time show of the work of simulated programs."""

from __future__ import annotations

from collections.abc import Iterable

from tests.simulation.lives import SessionLife
from tests.simulation.oracle.truth import Work

__all__ = ["measure", "store", "store_hidden"]


def measure(lives: Iterable[SessionLife], at: float) -> None:
    """The reaper has stored the sample of the CPU times of that moment: it shows long work since the last one."""
    for life in (each for each in lives if each.created <= at):
        work = life.unmeasured
        if life.sampled_at is None:
            _note_first(life, at)
            life.unmeasured = None if work is not None and work.last <= at else work
        elif work is not None and work.last <= at:
            life.unmeasured = None
            _note(life, work, at)
        elif life.busy_since is not None and not life.starved:
            _note(life, Work(life.busy_since, at), at)
        life.sampled_at = at


def store(lives: Iterable[SessionLife]) -> None:
    """The reaper has stored the work that its looks have seen."""
    for life in lives:
        if life.seen_work is not None:
            life.worked, life.starving_seen, life.seen_work = life.seen_work, life.seen_work.last, None


def store_hidden(lives: Iterable[SessionLife], at: float, now: float) -> None:
    """The reaper has stored which of them could not be seen at that moment: neither could it be seen that they rest."""
    for life in lives:
        if life.hidden_since is not None and life.hidden_since <= at:
            life.worked = Work(life.hidden_since, now)


def _note(life: SessionLife, work: Work, at: float) -> None:
    """Note the work that the sample of that moment shows: what was done since the sample before, if that is enough."""
    before = life.sampled_at or 0.0
    began = max(work.began, before)
    # While the machine slept it did nothing.
    if min(work.last - began, life.computed) / 2 > 0.01 * (at - before) + 0.02:
        life.worked = Work(began, work.last)


def _note_first(life: SessionLife, at: float) -> None:
    """Note what the first sample shows, if it is enough. When it was done is unknown: it may have been until now."""
    last = max(life.created, life.input or 0.0, life.attach or 0.0, life.output or 0.0)
    if life.dead_since is None and life.used > max(10.0, 0.01 * (at - last)):
        life.worked = Work(life.created, at)
