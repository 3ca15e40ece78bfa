"""A second opinion on the verdict table, written from the table's text alone: it shares no code with the policy.

It reads the raw fields of the facts, never a property that the product computes from them. Names of reasons and protections
are those that the product shows. Thresholds and times are seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from workspace_reaper.model.session import Session
from workspace_reaper.model.verdict import Guard
from workspace_reaper.policy.facts import Facts, Thresholds


@dataclass(frozen=True)
class Opinion:
    """``verdict`` is ``keep``, ``hold`` or ``reap``; ``reason`` the deciding one; ``holding`` each reason that holds, in the
    table's order, with what protects the session from it."""

    verdict: str
    reason: str | None
    holding: tuple[tuple[str, frozenset[str]], ...]

    @property
    def protected_by(self) -> frozenset[str]:
        """What protects it, where the verdict is ``hold``."""
        return dict(self.holding)[self.reason] if self.verdict == "hold" and self.reason else frozenset()


def attended(session: Session) -> bool:
    """Somebody looks at it: a client, a suspended client, or a client of a group peer."""
    return bool(session.attached) or session.has_client or session.group_has_client


def counted(facts: Facts, moment: float) -> float:
    """Seconds since then that count: neither those in which the machine slept, nor those by which its wall clock was set ahead.
    Each of these ended at a moment of its own, and what is dated before that moment may have been at any time before it."""
    return _counted(moment, facts.now, [(skew.at, skew.seconds) for skew in facts.age_clock.skews])


def _counted(moment: float, until: float, skews: list[tuple[float, float]]) -> float:
    if moment >= until:
        return 0.0
    if not skews or moment >= skews[-1][0]:
        return until - moment
    ended, seconds = skews[-1]
    before = _counted(moment, ended, skews[:-1]) - seconds
    total = until - ended + (before if before > 0 else 0.0)
    return total if total > 0 else 0.0


def idle(facts: Facts) -> float:
    """Seconds since the latest of input, attach, detach, and output in any window, work of the processes; of those that are
    switched on. A session without any of these is as idle as it is old."""
    on = {clock.value for clock in facts.age_clock.counted}
    moments: list[float | None] = []
    if "input" in on:
        moments.append(facts.session.activity)
    if "attach" in on:
        moments.append(facts.session.last_attached)
    if "detach" in on:
        moments.append(facts.detached_at)
    if "output" in on:
        moments += [window.activity for window in facts.session.windows]
    if "cpu" in on:
        moments.append(facts.busy_at)
    known = sorted(moment for moment in moments if moment is not None) or [facts.session.key.created]
    return counted(facts, known[-1])


def dead_for(facts: Facts) -> float | None:
    """Seconds since the last pane died; None if one lives, or nobody knows since when."""
    session = facts.session
    if not session.all_panes_dead:
        return None
    last: int | None = None
    for pane in session.panes:
        if pane.dead_at is None:
            last = None
            break
        last = pane.dead_at if last is None or pane.dead_at > last else last
    since = facts.dead_since if last is None else last
    return None if since is None else counted(facts, since)


def opinion(facts: Facts, rules: Thresholds) -> Opinion:
    """What the table says of this session."""
    holding = _holding(facts, rules)
    for name, saviours in holding:
        if not saviours:
            return Opinion("reap", name, holding)
    if holding:
        return Opinion("hold", holding[0][0], holding)
    return Opinion("keep", None, ())


def _holding(facts: Facts, rules: Thresholds) -> tuple[tuple[str, frozenset[str]], ...]:
    said = None if facts.reported is None else facts.reported.value
    row = facts.row
    found: list[tuple[str, dict[str, bool]]] = []
    looked_at = attended(facts.session)
    quiet = idle(facts)
    # With a window to undo it, such a session goes only so long after it was told.
    told, window = facts.announced_at, rules.undo_window
    waits = {"announced": window > 0 and (told is None or counted(facts, told) < window)}
    # Where the wall clock was set nobody knows how long anything was idle.
    set_anew = facts.age_clock.stepped != 0
    archived, rested = ({**waits, "undone": cause in facts.undone} for cause in ("archived", "idle"))
    if row is None or row.deleted:
        # There is no row, or none that counts: nothing can be said of such a session but that.
        if said == "deleted":
            found.append(("deleted", {}))
        found.append(("orphan", _saves_an_orphan(facts, rules, looked_at=looked_at, quiet=quiet)))
    else:
        if said == "archived" and row.archived:
            found.append(("archived by hook", {"attached": looked_at, "running": row.running, **archived}))
        if row.worktree_deleted:
            saves = {"attached": looked_at, "active": quiet < rules.activity_grace}
            found.append(("worktree-deleted", {**saves, "clock": set_anew and rules.activity_grace > 0}))
        if row.archived:
            long = facts.archived_since is not None and counted(facts, facts.archived_since) >= rules.archived_ttl
            fresh = quiet < rules.activity_grace and not long
            uncertain = set_anew and rules.activity_grace > 0 and not long
            saves = {"attached": looked_at, "running": row.running, "active": fresh, "clock": uncertain}
            found.append(("archived", {**saves, **archived}))
        if quiet > rules.idle_ttl:
            saves = {"attached": looked_at, "running": row.running, "pinned": row.pinned}
            found.append(("idle", {**saves, "clock": set_anew and rules.idle_ttl > 0, **rested}))
        dead = dead_for(facts)
        if dead is not None and dead > rules.dead_ttl:
            found.append(("dead", {"attached": looked_at}))
    waits_for_a_try = facts.retry_at is not None and not facts.now >= facts.retry_at
    always = {
        "retrying": waits_for_a_try,
        "kept": facts.session.kept,
        "veto": facts.veto is not None,
        "home": facts.home,
        "group": facts.shared,
    }
    return tuple((name, frozenset(by for by, does in {**always, **saves}.items() if does)) for name, saves in found)


def _saves_an_orphan(facts: Facts, rules: Thresholds, *, looked_at: bool, quiet: float) -> dict[str, bool]:
    age = counted(facts, facts.session.key.created)
    if facts.proven:
        uncertain, looks = False, rules.orphan_confirmations
    else:
        # A stranger: long idle, another session recognised, and never in the first sweep.
        uncertain = not (quiet >= rules.stranger_ttl and facts.knows_other_sessions)
        looks = rules.orphan_confirmations if rules.orphan_confirmations > 2 else 2
    return {
        "attached": looked_at,
        "young": age < rules.min_age,
        "active": quiet < rules.activity_grace,
        "clock": facts.age_clock.stepped != 0 and (rules.activity_grace > 0 or (not facts.proven and rules.stranger_ttl > 0)),
        "unproven": uncertain,
        "breaker": facts.latched and not facts.approved,
        "unconfirmed": not facts.confirmations >= looks,
        "budget": facts.over_budget,
    }


def terms(reason: str, facts: Facts, rules: Thresholds) -> Guard:
    """The terms that the guard must carry for this reason, of those that depend on it."""
    idleness = {
        "deleted": None,
        "archived by hook": None,
        "worktree-deleted": rules.activity_grace,
        "orphan": rules.activity_grace if facts.proven else max(rules.activity_grace, rules.stranger_ttl),
        "archived": rules.activity_grace,
        "idle": rules.idle_ttl,
        "dead": None,
    }[reason]
    if reason == "archived" and facts.archived_since is not None and counted(facts, facts.archived_since) >= rules.archived_ttl:
        idleness = None
    by_clock = bool(idleness) and "output" in {clock.value for clock in facts.age_clock.counted}
    return Guard(
        key=facts.session.key,
        activity=None if reason == "deleted" else facts.session.activity,
        unattached=reason != "deleted",
        quiet_since=_last_second(facts, idleness) if by_clock and idleness is not None else None,
        all_panes_dead=reason == "dead",
        unowned=facts.session.owner.value == "none",
    )


def _last_second(facts: Facts, idleness: float) -> int:
    """The last one since which so much time counts; found by trying one after the other."""
    second = math.floor(facts.now)
    while second > 0 and counted(facts, second) < idleness:
        second -= 1
    return second


def passes(guard: Guard, session: Session) -> bool:
    """Whether tmux, asked with these terms, would kill the session as it is now."""
    if session.key != guard.key or session.kept:
        return False
    if guard.activity is not None and session.activity != guard.activity:
        return False
    if guard.unattached and attended(session):
        return False
    if guard.unowned and session.owner.value != "none":
        return False
    if guard.quiet_since is not None and any(window.activity > guard.quiet_since for window in session.windows):
        return False
    return session.all_panes_dead or not guard.all_panes_dead
