"""What protects a session although a rule applies to it: one object for each protection.

To add a protection, define it here and name it in the rules that it protects from. Reports, ``explain`` and the documentation
are rendered from these objects.
"""

from __future__ import annotations

from workspace_reaper.model.state import BreakerState
from workspace_reaper.model.verdict import ORPHAN_REASON, REMOVED_REASON
from workspace_reaper.policy.breaker import clears_when
from workspace_reaper.policy.idle import describe_clock_step
from workspace_reaper.policy.marks import kill_command
from workspace_reaper.policy.name_protections import CLAIMED, RENAMED
from workspace_reaper.policy.protection import Case, Protection, always
from workspace_reaper.util.durations import seconds_text
from workspace_reaper.util.time import iso

KEPT = Protection(
    "kept",
    "it is kept: its option @reaper_keep is not empty ('workspace-reaper unkeep' removes it)",
    holds=lambda case: case.facts.session.kept,
)
UNKNOWN = Protection(
    "unknown",
    "its row in the host's database cannot be read",
    holds=lambda case: any(row.unreadable for row in case.facts.rows),
    detail=lambda case: (
        f"its row in the host's database cannot be read: {next(row.unreadable for row in case.facts.rows if row.unreadable)}"
    ),
    doubts=always,
)


VETO = Protection(
    "veto",
    "another plugin of the host vetoed the reap",
    holds=lambda case: case.facts.veto is not None,
    detail=lambda case: str(case.facts.veto),
)
HOME = Protection("home", "the reaper itself runs in it", holds=lambda case: case.facts.home)
GROUP = Protection(
    "group",
    "another session of its group is not reaped, and a group is reaped as a whole or not at all",
    holds=lambda case: case.facts.shared,
)
ATTACHED = Protection(
    "attached",
    "a client is attached to it or to another session of its group",
    holds=lambda case: case.facts.session.is_attached,
)
RUNNING = Protection(
    "running",
    "the host reports that a process of the workspace is running",
    holds=lambda case: any(row.running for row in case.facts.rows),
)
PINNED = Protection("pinned", "the workspace is pinned", holds=lambda case: any(row.pinned for row in case.facts.rows))


def _dated_ahead(case: Case) -> str:
    return f"tmux dates its creation or its last activity at {iso(case.facts.dated)}, which is in the future"


def _age(case: Case) -> str:
    if case.facts.is_ahead:
        return _dated_ahead(case)
    return f"it was created {seconds_text(case.facts.age_seconds)} ago, and min_age is {seconds_text(case.limits.min_age)}"


YOUNG = Protection(
    "young",
    "it was created less than min_age ago",
    holds=lambda case: case.facts.age_seconds < case.limits.min_age,
    detail=_age,
    passes_with_time=True,
    doubts=lambda case: case.facts.is_ahead,
)


def _idle_for(case: Case) -> str:
    return f"it has been idle for {seconds_text(case.facts.idle_seconds)}"


def _activity(case: Case) -> str:
    if case.facts.is_ahead:
        return _dated_ahead(case)
    return f"{_idle_for(case)}, and activity_grace is {seconds_text(case.limits.activity_grace)}"


ACTIVE = Protection(
    "active",
    "it has been idle for less than activity_grace",
    holds=lambda case: case.facts.idle_seconds < case.limits.activity_grace and case.rests_on_idleness,
    detail=_activity,
    passes_with_time=True,
    doubts=lambda case: case.facts.is_ahead,
)
CLOCK = Protection(
    "clock",
    "the wall clock was stepped since the last full sweep, so its idle time is unknown",
    holds=lambda case: case.facts.age_clock.stepped != 0 and case.rests_on_idleness,
    detail=lambda case: describe_clock_step(case.facts.age_clock.stepped),
    passes_with_time=True,
    doubts=always,
)

# What proves that this registry has known a workspace.
PROVEN_WHEN = "the registry has a row for the workspace again, or a host's hook reports its deletion"


# From this number of strangers on, and if they are half of all managed sessions, an operator decides: they may be the sessions
# of another database behind the same tmux server.
MANY_STRANGERS = 3

_STRANGERS_APPROVED = "an operator runs 'sweep --approve'"


def _why_unproven(case: Case) -> str:
    if case.facts.many_strangers:
        return (
            f"at least {MANY_STRANGERS} sessions that this registry has never known, which are at least half of all managed "
            "ones, would be reaped at once: they may be those of another database ('sweep --approve' shows them)"
        )
    facts, before, now = case.facts, case.facts.known_in_generation, f"this is registry generation {case.facts.generation}"
    if before is None:
        known = f"the registry is not known to have ever had a row for the workspace ({now})"
    elif before == facts.generation:
        known = (
            "its row vanished before the session was marked, and the host assigns ids again, so it may be another workspace's"
        )
    else:
        known = f"a different registry had the row of the workspace (generation {before}; {now})"
    others = "has a row for another session" if facts.knows_other_sessions else "has no row for any other session"
    return f"{known}; {_idle_for(case)}, and the registry {others}"


def _proven_or_old(case: Case, _breaker: BreakerState) -> str:
    if case.facts.many_strangers:
        return f"{PROVEN_WHEN}; or {_STRANGERS_APPROVED}"
    others = "" if case.facts.knows_other_sessions else " and the registry has a row for another session"
    return f"{PROVEN_WHEN}; or it has been idle for stranger_ttl ({seconds_text(case.limits.stranger_ttl)}){others}"


UNPROVEN = Protection(
    "unproven",
    "the registry is not known to have ever had a row for the workspace; then it must have been idle for stranger_ttl, and the"
    " registry must have a row for another session. Three or more such sessions that are at least half of the managed ones wait"
    " for `sweep --approve`",
    holds=lambda case: (
        not case.facts.proven
        and (
            not case.facts.knows_other_sessions
            or case.facts.idle_seconds < case.limits.stranger_ttl
            or (case.facts.many_strangers and not case.facts.approved)
        )
    ),
    passes_with_approval=lambda case: case.facts.many_strangers,
    detail=_why_unproven,
    released_when=_proven_or_old,
    # Until then it is what the setting says of a stranger. One that was known once is none.
    doubts=lambda case: case.facts.known_in_generation is not None or case.facts.idle_seconds >= case.limits.stranger_ttl,
)
BREAKER = Protection(
    "breaker",
    "the breaker is latched because too many rows are missing at once ('workspace-reaper breaker' shows the cause)",
    holds=lambda case: case.facts.latched and not case.facts.approved,
    released_when=lambda _case, breaker: clears_when(breaker) or "",
    passes_with_approval=always,
    doubts=always,
)


def _is_doubtful(case: Case) -> bool:
    is_old = case.reason == ORPHAN_REASON and case.facts.idle_seconds >= case.limits.stranger_ttl
    return case.facts.doubtful and not is_old


def _why_doubtful(case: Case) -> str:
    directory = case.facts.witness.why if case.facts.witness else "no directory of the workspace is known"
    key = case.facts.session.key
    return (
        f"its row and all newer ones vanished, which also happens when an older backup is restored; {directory}. If a backup"
        " was restored, restore the missing rows. If the workspace was deleted, end the session:"
        f" {kill_command(key.socket, key.session_id)}"
    )


DOUBTFUL = Protection(
    "doubtful",
    "the newest rows vanished, as after the restore of an older backup, and its directory is not known to be gone; then it must"
    " have been idle for stranger_ttl",
    holds=_is_doubtful,
    detail=_why_doubtful,
    released_when=lambda case, _breaker: (
        "the registry has a row for the workspace again, or its directory is gone too; or it has been idle for stranger_ttl"
        f" ({seconds_text(case.limits.stranger_ttl)})"
    ),
    doubts=always,
)


def _counted(case: Case) -> tuple[int, int]:
    """Return how many full sweeps have found what the rule rests on, and how many it needs."""
    if case.reason == REMOVED_REASON:
        return case.facts.witnessed, case.facts.needed_witnesses
    return case.facts.confirmations, case.limits.needed_confirmations(proven=case.facts.proven)


def _is_unconfirmed(case: Case) -> bool:
    counted, needed = _counted(case)
    return counted < needed


def _found(case: Case) -> str:
    if case.reason == REMOVED_REASON:
        return "row and directory gone"
    return "no row" if case.facts.row is None else "the row marked deleted"


def _why_unconfirmed(case: Case) -> str:
    counted, needed = _counted(case)
    return f"full sweeps that have found {_found(case)}: {counted} of {needed}"


def _confirmed_when(case: Case, _breaker: BreakerState) -> str:
    (counted, needed), gap = _counted(case), seconds_text(case.limits.confirmation_gap)
    sweeps = "full sweep has" if needed == 1 else f"full sweeps, at least {gap} apart, have"
    return f"{needed} {sweeps} found {_found(case)} ({counted} so far)"


UNCONFIRMED = Protection(
    "unconfirmed",
    "fewer full sweeps than the rule needs, at least confirmation_gap apart, have found no row, a row marked deleted, or row"
    " and directory gone together",
    holds=_is_unconfirmed,
    detail=_why_unconfirmed,
    released_when=_confirmed_when,
    allows_approval=True,
    passes_with_time=True,
    doubts=always,
)
BUDGET = Protection(
    "budget",
    "max_orphans_per_hour orphans were reaped within the last hour",
    holds=lambda case: case.facts.over_budget,
    released_when=lambda _case, _breaker: "fewer than max_orphans_per_hour orphans have been reaped within the last hour",
    allows_approval=True,
    doubts=always,
)
UNDONE = Protection(
    "undone",
    "its announcement was cancelled by 'undo', 'keep' or an attached client, and the same reason has applied ever since",
    holds=lambda case: case.reason in case.facts.undone or case.facts.is_objected_to,
)


def _awaits_deadline(case: Case) -> bool:
    deadline = case.facts.deadline(case.limits)
    return case.limits.undo_window > 0 and (deadline is None or case.facts.now < deadline)


ANNOUNCED = Protection(
    "announced",
    "its reap is announced, and undo_window has not passed yet ('workspace-reaper undo' cancels it)",
    holds=_awaits_deadline,
    detail=lambda case: (
        "its reap is announced for"
        f" {iso(case.facts.deadline(case.limits) or case.facts.now + case.limits.undo_window)}"
        " ('workspace-reaper undo' cancels it)"
    ),
)
RETRYING = Protection(
    "retrying",
    "its kill failed at least three times in a row, and the next attempt is not due yet",
    holds=lambda case: case.facts.retry_at is not None and case.facts.now < case.facts.retry_at,
    detail=lambda case: (
        f"its kill failed {case.facts.failures} times in a row, and the next attempt is at {iso(case.facts.retry_at)}"
        " ('workspace-reaper sweep --approve' can make it now)"
    ),
    passes_with_approval=always,
    doubts=always,
)

# What protects from every rule.
ALWAYS = (KEPT, VETO, HOME, GROUP, UNKNOWN, RENAMED, CLAIMED)
