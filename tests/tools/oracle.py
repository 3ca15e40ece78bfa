"""A second opinion on the verdict table, the guard and the kill, from the records of ``reasons``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tests.tools.reasons import REASONS, attended, counted, its_rows
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
        if self.verdict != "hold":
            return frozenset()
        return dict(self.holding)[self.reason] if self.reason else frozenset({"unknown"})


def opinion(facts: Facts, rules: Thresholds) -> Opinion:
    """What the table says of this session."""
    holding = _holding(facts, rules)
    for name, saviours in holding:
        if not saviours:
            return Opinion("reap", name, holding)
    if holding:
        return Opinion("hold", holding[0][0], holding)
    is_odd = facts.row is not None and bool(facts.row.unreadable)
    return Opinion("hold" if is_odd else "keep", None, ())


def _holding(facts: Facts, rules: Thresholds) -> tuple[tuple[str, frozenset[str]], ...]:
    always = {
        "retrying": facts.retry_at is not None and not facts.now >= facts.retry_at,
        "kept": facts.session.kept,
        "veto": facts.veto is not None,
        "home": facts.home,
        "group": facts.shared,
        "unknown": any(one.unreadable for one in its_rows(facts)),
    }
    found = [(reason.name, saves) for reason in REASONS if (saves := reason.holding(facts, rules)) is not None]
    return tuple(
        (
            name,
            frozenset(
                by
                for by, does in {
                    **always,
                    "renamed": _only_by_its_name(name, facts),
                    "claimed": _not_of_all(name, facts),
                    **saves,
                }.items()
                if does
            ),
        )
        for name, saves in found
    )


def _only_by_its_name(reason: str, facts: Facts) -> bool:
    """Whether the session was renamed, and the host has not said this of its own workspace and of that of its new name."""
    if not facts.renamed:
        return False
    named = facts.named_row
    says = {
        "deleted": named is None or named.deleted,
        "worktree-deleted": named is None or (named.worktree_deleted and not named.deleted),
        "archived by hook": named is None or (named.archived and not named.deleted),
        "archived": named is None or (named.archived and not named.deleted),
    }
    if reason == "removed":
        return not (facts.is_witnessed and (named is None or named.deleted))
    return not says.get(reason, False)


def _not_of_all(reason: str, facts: Facts) -> bool:
    """Whether another workspace's row names the session too, and the reason does not hold for that one."""
    named = facts.named_row
    if facts.renamed or named is None:
        return False
    says = {
        "deleted": named.deleted,
        "removed": named.deleted,
        "orphan": named.deleted,
        "worktree-deleted": named.worktree_deleted and not named.deleted,
        "archived by hook": named.archived and not named.deleted,
        "archived": named.archived and not named.deleted,
    }
    return not says.get(reason, not named.deleted)


def terms(reason: str, facts: Facts, rules: Thresholds) -> Guard:
    """The terms that the guard must carry for this reason, of those that depend on it."""
    expected = next(one for one in REASONS if one.name == reason)
    idleness = expected.idleness(facts, rules)
    by_clock = bool(idleness) and "output" in {clock.value for clock in facts.age_clock.counted}
    return Guard(
        key=facts.session.key,
        activity=facts.session.activity if expected.clients_matter else None,
        unattached=expected.clients_matter,
        quiet_since=_last_second(facts, idleness) if by_clock and idleness is not None else None,
        all_panes_dead=expected.dead_panes,
        owner=facts.session.owner_id,
        workspace=facts.session.workspace_mark,
        ungrouped=not facts.session.grouped,
    )


def _last_second(facts: Facts, idleness: float) -> int:
    """The last one since which so much time counts; found by trying one after the other."""
    second = math.floor(facts.now)
    while second > 0 and counted(facts, second) < idleness:
        second -= 1
    return second


def passes(guard: Guard, session: Session) -> bool:
    """Whether tmux, asked with these terms, would kill the session as it is now."""
    if session.key != guard.key or session.kept or (guard.ungrouped and session.grouped):
        return False
    if guard.activity is not None and session.activity != guard.activity:
        return False
    if guard.unattached and attended(session):
        return False
    if guard.owner not in (None, session.owner_id) or guard.workspace not in (None, session.workspace_mark):
        return False
    if guard.quiet_since is not None and any(window.activity > guard.quiet_since for window in session.windows):
        return False
    return session.all_panes_dead or not guard.all_panes_dead
