"""How long a session has truly been idle."""

from __future__ import annotations

from tests.simulation.oracle.findings import oldest_known
from tests.simulation.oracle.truth import KillTruth

__all__ = ["idle_for", "idle_less_than", "idle_since", "younger_than"]


def idle_since(truth: KillTruth) -> float:
    """Return when the session was last active: the latest of its clocks, and its creation."""
    activity = truth.session.activity
    clocks = {
        "input": activity.input,
        "attach": activity.attach,
        "detach": activity.seen_attached,
        "output": activity.output,
        "cpu": _worked(truth),
    }
    counted = (at for name, at in clocks.items() if name in truth.limits.idle_clocks and at is not None)
    return max((truth.session.created, *counted))


def _worked(truth: KillTruth) -> float | None:
    """Return the end of the last work. tmux does not check it: what began after the last look does not count.

    It counts if it began before that look, or so long ago that there must have been another look.
    """
    work, look = truth.session.activity.work, truth.reaper.processes_read_at - truth.limits.look_at_processes
    recheck = oldest_known(truth) if truth.reaper.rechecked_at is None else truth.reaper.rechecked_at
    if work is None or work.began > max(look, recheck - truth.limits.processes_validity):
        return None
    return work.last


def idle_for(truth: KillTruth) -> float:
    """Return the seconds since the last activity, without the time that the machine slept."""
    since = idle_since(truth)
    slept = sum(max(0.0, min(end, truth.now) - max(begin, since)) for begin, end in truth.clock.slept)
    return truth.now - since - slept


def idle_less_than(truth: KillTruth, limit: float) -> bool:
    """Return whether it was surely idle for less: the clocks of tmux have whole seconds, and small steps go unnoticed."""
    return idle_for(truth) + truth.limits.resolution + truth.clock.unnoticed < limit


def younger_than(truth: KillTruth, since: float, limit: float) -> bool:
    """Return whether surely less than that has passed since then, asleep or not."""
    return truth.now - since + truth.limits.resolution + truth.clock.unnoticed < limit
