"""Notes which sessions are due, whatever the reaper may doubt, and since when."""

from __future__ import annotations

from tests.simulation.judging import Judging
from tests.simulation.lives import SessionLife
from tests.simulation.oracle import due
from tests.simulation.oracle.truth import Reason

__all__ = ["note_due"]


def note_due(judging: Judging) -> None:
    """Note for each session for which reasons it is due, and since when."""
    world = judging.world
    for life in world.lives.values():
        # After the clock was set, an age by the clock is shorter than it truly is until some time has passed; and after a
        # sleep, of which a sweep sees only how long it was. When a client left is known only if a sweep has seen it. A hook
        # that reports an archiving is not kept over a restart. Work is dated at the sample that shows it.
        is_undated = life.attach is not None or life.worked is not None
        is_dated = not world.steps and not world.slept and not is_undated
        reasons = due(judging.truth(life)) if is_dated else ()
        life.due_for = tuple(reason for reason in reasons if reason not in _forgotten_reasons(judging, life))
        life.due_since = (life.due_since or world.now) if life.due_for else None


def _forgotten_reasons(judging: Judging, life: SessionLife) -> tuple[Reason, ...]:
    """What the reaper has left to the ticks: a hook whose row did not agree, or that came before a full sweep had read the
    database that is there now."""
    hooks, given_up, replaced = life.of.hooks, life.of.given_up_at, judging.world.replaced_at
    looks = [sweep.looked for sweep in judging.full_sweeps if sweep.looked >= replaced > float("-inf")]
    first_look = min(looks, default=replaced)
    is_given_up = all(hook.at <= max(first_look, given_up or first_look) for hook in hooks)
    # It says nothing of a session that was made later, which keeps the others of its group.
    group = (life, *judging.world.peers_of(life))
    is_older = any(hook.at <= each.created for hook in hooks[-1:] for each in group)
    return (Reason.ARCHIVED_BY_HOOK, Reason.DELETED) if is_given_up or is_older else (Reason.ARCHIVED_BY_HOOK,)
