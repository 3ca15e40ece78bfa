"""The verdict table. Pure: a session, its row, what is remembered of it and the time go in, a judgement comes out.

Missing data means keep: a session without a row can only go as ``deleted`` or as an orphan, never as idle or dead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.session import Listing, Owner, SessionKey
from workspace_reaper.model.verdict import Guard, IdleClock, Reason, Verdict
from workspace_reaper.policy.facts import Facts, Thresholds

__all__ = [
    "ALWAYS",
    "ANNOUNCED",
    "PROTECTIONS",
    "Held",
    "Judgement",
    "Protection",
    "deadline",
    "guard",
    "held_by_their_group",
    "is_condemned",
    "is_to_be_announced",
    "judge",
    "reasons",
    "rests_on_idleness",
]


class Protection(str, Enum):
    """What keeps a session alive although a reason holds: the words that reports and ``explain`` use."""

    KEPT = "kept"
    VETO = "veto"
    HOME = "home"
    GROUP = "group"
    ATTACHED = "attached"
    RUNNING = "running"
    PINNED = "pinned"
    YOUNG = "young"
    ACTIVE = "active"
    UNPROVEN = "unproven"
    BREAKER = "breaker"
    UNCONFIRMED = "unconfirmed"
    BUDGET = "budget"
    UNDONE = "undone"
    ANNOUNCED = "announced"
    RETRYING = "retrying"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Held:
    """A reason that holds, and all that protects the session from it (nothing, if it is condemned)."""

    reason: Reason
    by: tuple[Protection, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, the reason that decided, and every reason that holds, in the order of the table."""

    verdict: Verdict
    reason: Reason | None = None
    protected_by: tuple[Protection, ...] = ()
    held: tuple[Held, ...] = ()


KEEP = Judgement(Verdict.KEEP)

ALWAYS = (Protection.KEPT, Protection.VETO, Protection.HOME, Protection.GROUP)

"""What spares a session whatever the reason."""

_LATER = (Protection.UNDONE, Protection.ANNOUNCED)

PROTECTIONS: Mapping[Reason, tuple[Protection, ...]] = {
    Reason.DELETED: (),
    Reason.ARCHIVED_BY_HOOK: (Protection.ATTACHED, Protection.RUNNING, *_LATER),
    Reason.WORKTREE_DELETED: (Protection.ATTACHED, Protection.ACTIVE, Protection.CLOCK),
    Reason.ORPHAN: (
        Protection.ATTACHED,
        Protection.YOUNG,
        Protection.ACTIVE,
        Protection.CLOCK,
        Protection.UNPROVEN,
        Protection.BREAKER,
        Protection.UNCONFIRMED,
        Protection.BUDGET,
    ),
    Reason.ARCHIVED: (Protection.ATTACHED, Protection.RUNNING, Protection.ACTIVE, Protection.CLOCK, *_LATER),
    Reason.IDLE: (Protection.ATTACHED, Protection.RUNNING, Protection.PINNED, Protection.CLOCK, *_LATER),
    Reason.DEAD: (Protection.ATTACHED,),
}

"""The table's third column."""

ANNOUNCED = frozenset(reason for reason, by in PROTECTIONS.items() if Protection.ANNOUNCED in by)

"""The reasons for which a session is told first, where ``undo_window`` is above 0."""


def reasons(facts: Facts, rules: Thresholds) -> list[Reason]:
    """The reasons that are true of the session, protections aside: the table's second column, in its order."""
    row = facts.row
    if row is None or row.deleted:
        return [Reason.DELETED, Reason.ORPHAN] if facts.testimony is WorkspaceEvent.DELETED else [Reason.ORPHAN]
    found = []
    if row.archived and facts.testimony is WorkspaceEvent.ARCHIVED:
        found.append(Reason.ARCHIVED_BY_HOOK)
    if row.worktree_deleted:
        found.append(Reason.WORKTREE_DELETED)
    if row.archived:
        found.append(Reason.ARCHIVED)
    if facts.idle_seconds > rules.idle_ttl:
        found.append(Reason.IDLE)
    died_at = facts.died_at
    if died_at is not None and facts.since(died_at) > rules.dead_ttl:
        found.append(Reason.DEAD)
    return found


def required_idleness(reason: Reason, facts: Facts, rules: Thresholds) -> float:
    """How long a session must have been idle to go for this reason, in seconds; 0 where the idle clock does not count."""
    if reason in {Reason.DELETED, Reason.ARCHIVED_BY_HOOK, Reason.DEAD}:
        return 0.0
    if reason is Reason.IDLE:
        return rules.idle_ttl
    if reason is Reason.ORPHAN and not facts.proven:
        return max(rules.stranger_ttl, rules.activity_grace)
    if reason is Reason.ARCHIVED and _archived_long(facts, rules):
        return 0.0
    return rules.activity_grace


def rests_on_idleness(reason: Reason, facts: Facts, rules: Thresholds) -> bool:
    """The idle clock decides whether a session goes for this reason."""
    return required_idleness(reason, facts, rules) > 0


def _archived_long(facts: Facts, rules: Thresholds) -> bool:
    return facts.archived_since is not None and facts.since(facts.archived_since) >= rules.archived_ttl


def _active(reason: Reason, facts: Facts, rules: Thresholds) -> bool:
    if reason is Reason.ARCHIVED and _archived_long(facts, rules):
        return False
    return facts.idle_seconds < rules.activity_grace


def _unproven(facts: Facts, rules: Thresholds) -> bool:
    if facts.proven:
        return False
    return not facts.recognises_others or facts.idle_seconds < rules.stranger_ttl


def _unconfirmed(facts: Facts, rules: Thresholds) -> bool:
    # A stranger never goes in the first sweep, whatever the setting says.
    return facts.confirmations < (rules.orphan_confirmations if facts.proven else max(2, rules.orphan_confirmations))


_CHECKS: Mapping[Protection, Callable[[Reason, Facts, Thresholds], bool]] = {
    Protection.KEPT: lambda _reason, facts, _rules: facts.session.kept,
    Protection.VETO: lambda _reason, facts, _rules: facts.veto is not None,
    Protection.HOME: lambda _reason, facts, _rules: facts.home,
    Protection.ATTACHED: lambda _reason, facts, _rules: facts.session.is_attached,
    Protection.RUNNING: lambda _reason, facts, _rules: facts.row is not None and facts.row.running,
    Protection.PINNED: lambda _reason, facts, _rules: facts.row is not None and facts.row.pinned,
    Protection.YOUNG: lambda _reason, facts, rules: facts.age_seconds < rules.min_age,
    Protection.ACTIVE: _active,
    Protection.UNPROVEN: lambda _reason, facts, rules: _unproven(facts, rules),
    Protection.BREAKER: lambda _reason, facts, _rules: facts.latched and not facts.approved,
    Protection.UNCONFIRMED: lambda _reason, facts, rules: _unconfirmed(facts, rules),
    Protection.BUDGET: lambda _reason, facts, _rules: facts.over_budget,
    Protection.GROUP: lambda _reason, facts, _rules: facts.shared,
    Protection.UNDONE: lambda reason, facts, _rules: reason.public in facts.undone,
    Protection.ANNOUNCED: lambda _reason, facts, rules: rules.undo_window > 0 and not _due(facts, rules),
    Protection.RETRYING: lambda _reason, facts, _rules: facts.retry_at is not None and facts.now < facts.retry_at,
    Protection.CLOCK: lambda reason, facts, rules: facts.times.jumped != 0 and rests_on_idleness(reason, facts, rules),
}


def deadline(facts: Facts, rules: Thresholds) -> float | None:
    """When an announced session goes (Unix seconds); None if it was not announced."""
    return None if facts.announced_at is None else facts.times.moved(facts.announced_at) + rules.undo_window


def _due(facts: Facts, rules: Thresholds) -> bool:
    at = deadline(facts, rules)
    return at is not None and facts.now >= at


def is_to_be_announced(judgement: Judgement) -> bool:
    """It would go if it had been told in time: nothing else protects it from some reason that holds."""
    return judgement.verdict is Verdict.HOLD and any(held.by == (Protection.ANNOUNCED,) for held in judgement.held)


def is_condemned(judgement: Judgement) -> bool:
    """It goes, or would go but for the wait for the next try of a kill that failed."""
    return judgement.verdict is Verdict.REAP or any(held.by == (Protection.RETRYING,) for held in judgement.held)


def _protections(reason: Reason, facts: Facts, rules: Thresholds) -> tuple[Protection, ...]:
    checks = (*ALWAYS, *PROTECTIONS[reason], Protection.RETRYING)
    return tuple(check for check in checks if _CHECKS[check](reason, facts, rules))


def judge(facts: Facts, rules: Thresholds) -> Judgement:
    """The first reason of the table that holds and is not held decides; without one, the first that holds is reported."""
    found = reasons(facts, rules)
    if not found:
        return KEEP
    held = [Held(reason, _protections(reason, facts, rules)) for reason in found]
    for candidate in held:
        if not candidate.by:
            return Judgement(Verdict.REAP, candidate.reason, (), tuple(held))
    return Judgement(Verdict.HOLD, held[0].reason, held[0].by, tuple(held))


def _quiet_since(facts: Facts, required: float) -> int | None:
    """The last second of which output in a window leaves the session idle for so long; None where no output counts."""
    if required <= 0 or IdleClock.OUTPUT not in facts.times.counted:
        return None
    return max(0, math.floor(facts.times.before(facts.now, required)))


def guard(reason: Reason, facts: Facts, rules: Thresholds) -> Guard:
    """What tmux itself must still find true when it kills the session for this reason."""
    required = required_idleness(reason, facts, rules)
    deleted = reason is Reason.DELETED
    return Guard(
        key=facts.session.key,
        # A user who types must not keep a deleted workspace's session alive for ever.
        activity=None if deleted else facts.session.activity,
        unattached=not deleted,
        quiet_since=_quiet_since(facts, required),
        all_panes_dead=reason is Reason.DEAD,
        # Once stamped as ours it stays ours: nobody overwrites a stamp.
        unowned=facts.session.owner is Owner.NONE,
    )


def held_by_their_group(listings: Iterable[Listing], condemned: Collection[SessionKey]) -> frozenset[SessionKey]:
    """Those of the condemned whose group has a session that stays: one that is not ours, or that lives. Killing them would end
    none of its processes. A group goes as a whole, or not at all.

    The sessions of a group show the same windows; so may two groups by links, and then each holds the other. A session
    that can't be read may be of any group.
    """
    held: set[SessionKey] = set()
    for listing in listings:
        groups: dict[frozenset[str], list[SessionKey]] = {}
        for session in listing.sessions:
            if session.grouped:
                windows = frozenset(window.window_id for window in session.windows)
                groups.setdefault(windows, []).append(session.key)
        for members in groups.values():
            stays = any(key not in condemned for key in members)
            if stays or listing.unreadable:
                held.update(key for key in members if key in condemned)
    return frozenset(held)
