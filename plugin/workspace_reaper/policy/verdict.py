"""The verdict on a session, and what the sweep asks about it. Pure: facts and thresholds in, a judgement out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from workspace_reaper.model.session import Listing, SessionKey
from workspace_reaper.model.state import UNDONE
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.protection import Protection
from workspace_reaper.policy.protections import ACTIVE, ANNOUNCED, ATTACHED, RETRYING, UNKNOWN
from workspace_reaper.policy.rules import RULES, WORKTREE_DELETED, Rule


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that holds, and all that protects the session from it (nothing, if the session is selected).

    ``in_doubt``: nothing but the reaper's own doubt protects it. ``may_be_approved``: something that an approval overrides
    protects it, and nothing else but what passes in time.
    """

    reason: Rule
    by: tuple[Protection, ...]
    in_doubt: bool = False
    may_be_approved: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, the rule that decided, and every rule that holds, in the order of the table."""

    verdict: Verdict
    reason: Rule | None = None
    protected_by: tuple[Protection, ...] = ()
    held: tuple[Held, ...] = ()


KEEP = Judgement(Verdict.KEEP)

# No rule holds, but the row cannot be read, so some rule may hold all the same.
UNREADABLE = Judgement(Verdict.HOLD, protected_by=(UNKNOWN,))


def judge(facts: Facts, thresholds: Thresholds) -> Judgement:
    """Judge one session.

    The first rule that holds and that nothing protects from decides. If all are held, the first one is reported. If none holds
    and the row cannot be read, the session is held without a reason.
    """
    held = tuple(_held(rule, facts, thresholds) for rule in RULES if rule.holds(facts, thresholds))
    if not held:
        return UNREADABLE if facts.row is not None and facts.row.unreadable else KEEP
    for one in held:
        if not one.by:
            return Judgement(Verdict.REAP, one.reason, (), held)
    return Judgement(Verdict.HOLD, held[0].reason, held[0].by, held)


def _held(rule: Rule, facts: Facts, thresholds: Thresholds) -> Held:
    by = rule.protected_by(facts, thresholds)
    if not by:
        return Held(rule, by)
    case = rule.case(facts, thresholds)
    passing = [one.passes_with_approval(case) for one in by]
    return Held(
        rule,
        by,
        in_doubt=all(one.doubts(case) for one in by),
        may_be_approved=any(passing) and all(passes or one.allows_approval for passes, one in zip(passing, by, strict=True)),
    )


def is_doubted(judgement: Judgement) -> bool:
    """Return whether the session would be reaped if the reaper had no doubt."""
    return judgement.verdict is Verdict.HOLD and any(held.in_doubt for held in judgement.held)


def is_to_be_announced(judgement: Judgement) -> bool:
    """Return whether nothing but the missing announcement protects the session from some rule."""
    return judgement.verdict is Verdict.HOLD and any(held.by == (ANNOUNCED,) for held in judgement.held)


def causes_to_undo(judgement: Judgement) -> frozenset[str]:
    """Return the causes that a cancelled announcement is not made again for: those that hold, as reports name them."""
    return frozenset(UNDONE.keys() & {held.reason.reported_as for held in judgement.held})


def is_selected(judgement: Judgement) -> bool:
    """Return whether the session is selected for reaping, even if it waits for the next attempt after a failed kill."""
    return judgement.verdict is Verdict.REAP or any(held.by == (RETRYING,) for held in judgement.held)


def saved_by(reason: Rule, facts: Facts, judgement: Judgement) -> str | None:
    """Return what saves a session that was selected for this reason, or None if it still holds and nothing protects."""
    for held in judgement.held:
        if held.reason is reason:
            return held.by[0].name if held.by else None
    if facts.row is not None and reason.rests_on_session:
        # The session itself changed: a client, a program or a pane came back.
        return ATTACHED.name if facts.session.is_attached else ACTIVE.name
    return "workspace"


def still_selected(reason: str, row: Workspace | None) -> bool:
    """Return whether the row alone still selects a session that was reaped for this reason, as reports name it."""
    gone = row is None or row.deleted
    return any(
        rule.is_set_in(row)
        # What is left in a deleted directory is ended whatever the session was reaped for.
        and (rule.reported_as == reason or rule is WORKTREE_DELETED)
        for rule in RULES
        if rule.needs_row is not gone and not rule.rests_on_session
    )


def left_alone_because(reason: str, row: Workspace | None, *, is_lived_in: bool) -> str | None:
    """Return why the processes of a session that ended during an interruption are left alone, as a clause, or None.

    It is unknown whether the session was killed, or ended by its user, who may still use them. ``is_lived_in``: another session
    of the workspace may live.
    """
    if not still_selected(reason, row):
        return "the reason for which the session was selected no longer holds"
    if row is not None and row.running:
        return "the host reports that a process of the workspace is running"
    return "another session of the workspace may live" if is_lived_in else None


def held_by_their_group(listings: Iterable[Listing], selected: Collection[SessionKey]) -> frozenset[SessionKey]:
    """Return those of the selected sessions whose group contains a session that stays.

    The sessions of a group show the same windows, so killing some of them ends no process: a group is reaped as a whole or not
    at all. Two groups may show the same windows through links; then each holds the other. A session that cannot be read may
    belong to any group.
    """
    held: set[SessionKey] = set()
    for listing in listings if selected else ():
        groups: dict[frozenset[str], set[SessionKey]] = {}
        for session in listing.sessions:
            if session.grouped:
                windows = frozenset(window.window_id for window in session.windows)
                groups.setdefault(windows, set()).add(session.key)
        for members in groups.values():
            if listing.unreadable or not members.issubset(selected):
                held.update(members.intersection(selected))
    return frozenset(held)
