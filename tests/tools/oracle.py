"""A second opinion on the verdict table, written from the table's text alone: it shares no code with the policy.

It reads the raw fields of the facts, never a property that the product computes from them. Names of reasons and protections
are those that the product shows. Thresholds and times are seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from workspace_reaper.model import Guard, Session
from workspace_reaper.policy import Facts, Rules


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


def idle(facts: Facts) -> float:
    """Seconds since the latest of input, attach, detach, and output in any window, work of the processes."""
    moments: list[float] = [facts.session.activity]
    moments += [window.activity for window in facts.session.windows]
    if facts.session.last_attached is not None:
        moments.append(facts.session.last_attached)
    moments += [moment for moment in (facts.detached_at, facts.busy_at) if moment is not None]
    moments.sort()
    return facts.now - moments[-1] if moments[-1] < facts.now else 0.0


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
    return None if since is None else facts.now - since


def opinion(facts: Facts, rules: Rules) -> Opinion:
    """What the table says of this session."""
    holding = _holding(facts, rules)
    for name, saviours in holding:
        if not saviours:
            return Opinion("reap", name, holding)
    if holding:
        return Opinion("hold", holding[0][0], holding)
    return Opinion("keep", None, ())


def _holding(facts: Facts, rules: Rules) -> tuple[tuple[str, frozenset[str]], ...]:
    said = None if facts.testimony is None else facts.testimony.value
    row = facts.row
    found: list[tuple[str, dict[str, bool]]] = []
    looked_at = attended(facts.session)
    quiet = idle(facts)
    # With a window to undo it, such a session goes only so long after it was told.
    told, window = facts.announced_at, rules.undo_window
    waits = {"announced": window > 0 and (told is None or facts.now - told < window)}
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
            found.append(("worktree-deleted", {"attached": looked_at, "active": quiet < rules.activity_grace}))
        if row.archived:
            long = facts.archived_since is not None and facts.archived_since + rules.archived_ttl <= facts.now
            fresh = quiet < rules.activity_grace and not long
            found.append(("archived", {"attached": looked_at, "running": row.running, "active": fresh, **archived}))
        if quiet > rules.idle_ttl:
            found.append(("idle", {"attached": looked_at, "running": row.running, "pinned": row.pinned, **rested}))
        dead = dead_for(facts)
        if dead is not None and dead > rules.dead_ttl:
            found.append(("dead", {"attached": looked_at}))
    always = {"kept": facts.session.kept, "veto": facts.veto is not None, "home": facts.home, "group": facts.shared}
    return tuple((name, frozenset(by for by, does in {**always, **saves}.items() if does)) for name, saves in found)


def _saves_an_orphan(facts: Facts, rules: Rules, *, looked_at: bool, quiet: float) -> dict[str, bool]:
    age = facts.now - facts.session.key.created
    if facts.proven:
        doubtful, looks = False, rules.orphan_confirmations
    else:
        # A stranger: long idle, another session recognised, and never in the first sweep.
        doubtful = not (quiet >= rules.stranger_ttl and facts.recognises_others)
        looks = rules.orphan_confirmations if rules.orphan_confirmations > 2 else 2
    return {
        "attached": looked_at,
        "young": (age if age > 0 else 0) < rules.min_age,
        "active": quiet < rules.activity_grace,
        "unproven": doubtful,
        "breaker": facts.latched and not facts.approved,
        "unconfirmed": not facts.confirmations >= looks,
        "budget": facts.over_budget,
    }


def terms(reason: str, facts: Facts, rules: Rules) -> Guard:
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
    if reason == "archived" and facts.archived_since is not None and facts.now - facts.archived_since >= rules.archived_ttl:
        idleness = None
    by_clock = bool(idleness)
    return Guard(
        key=facts.session.key,
        activity=None if reason == "deleted" else facts.session.activity,
        unattached=reason != "deleted",
        quiet_since=math.floor(facts.now - idleness) if by_clock and idleness is not None else None,
        all_panes_dead=reason == "dead",
        unowned=facts.session.stamp.value == "none",
    )


def passes(guard: Guard, session: Session) -> bool:
    """Whether tmux, asked with these terms, would kill the session as it is now."""
    if session.key != guard.key or session.kept:
        return False
    if guard.activity is not None and session.activity != guard.activity:
        return False
    if guard.unattached and attended(session):
        return False
    if guard.unowned and session.stamp.value != "none":
        return False
    if guard.quiet_since is not None and any(window.activity > guard.quiet_since for window in session.windows):
        return False
    return session.all_panes_dead or not guard.all_panes_dead
