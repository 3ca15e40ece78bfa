"""The verdict table as the tests expect it: one record for each reason, written from the table's text alone.

It shares no code with the policy and reads the raw fields of the facts, never a property that the product computes from them.
Names of reasons and protections are those that the product shows. Thresholds and times are seconds. A new reason is one more
record in `REASONS`; the tests of the table, of the guard and of the oracle go through all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.tools.builders import DAY, HOUR, NOW, facts, idle_for, of_session, pane, row, session, session_key
from tests.tools.machine_facts import Circumstances, those
from workspace_reaper.model.events import WorkspaceEvent as Said  # a name that pytest does not take for a test
from workspace_reaper.model.session import Session, Window
from workspace_reaper.model.workspace import Workspace
from workspace_reaper.policy.facts import Facts, Thresholds
from workspace_reaper.policy.witness import Presence, Witness

__all__ = ["ALWAYS", "REASONS", "Reason", "attended", "counted", "idle"]

ALWAYS = "kept veto home group unknown renamed claimed"
"""What protects from every reason, beside the wait for another attempt."""


def attended(session: Session) -> bool:
    """Somebody looks at it: a client, a suspended client, or a client of a group peer."""
    return bool(session.attached) or session.has_client or session.group_has_client


def its_rows(facts: Facts) -> list[Workspace]:
    """That of its workspace, and that of the one which a new name yields, unless it is flagged as deleted."""
    named = facts.named_row
    return [one for one in (facts.row, named if named is not None and not named.deleted else None) if one is not None]


def _runs(facts: Facts) -> bool:
    return any(one.running for one in its_rows(facts))


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
    """Seconds since the last pane died; None if one lives, or if that time is unknown."""
    session = facts.session
    if not session.all_panes_dead:
        return None
    last: int | None = None
    for one in session.panes:
        if one.dead_at is None:
            last = None
            break
        last = one.dead_at if last is None or one.dead_at > last else last
    since = facts.dead_since if last is None or last > facts.now else last
    return None if since is None else counted(facts, since)


@dataclass(frozen=True)
class Reason:
    """One row of the table.

    Attributes:
        name: Its name in ``explain``.
        protected_by: The protections in addition to `ALWAYS`.
        alone: A session that is reaped for this reason: no other holds for it, or nothing but what protects from the others.
        examples: Facts on both sides of each of its limits, and the decision: ``keep``, or ``hold`` or ``reap`` and a reason.
        lived: The same, written once more for the state machine: the names of what protects, or None if it does not hold.
        holding: Which of its protections apply to a session, or None if the reason does not hold for it.
        idleness: How long the session must have been idle; None if that does not matter.
        reported_as: Its name in reports, if that differs.
        clients_matter: The guard asks for clients and their input.
        dead_panes: The guard asks whether all panes are dead.
        excludes: Circumstances in which the reason does not hold at all.
    """

    name: str
    protected_by: str
    alone: Facts
    examples: Mapping[str, tuple[Facts, str]]
    holding: Callable[[Facts, Thresholds], dict[str, bool] | None]
    lived: Callable[[Circumstances], frozenset[str] | None]
    idleness: Callable[[Facts, Thresholds], float | None] = lambda _facts, _rules: None
    reported_as: str = ""
    clients_matter: bool = True
    dead_panes: bool = False
    excludes: str = ""


def _gone(facts: Facts) -> bool:
    """There is no row, or none that counts: of such a session only its absence can be said."""
    return facts.row is None or facts.row.deleted


def _stepped(facts: Facts, idleness: float) -> bool:
    """Where the wall clock was set, no idle time is known."""
    return facts.age_clock.stepped != 0 and idleness > 0


def _cancellable(facts: Facts, rules: Thresholds, cause: str) -> dict[str, bool]:
    """With a window for ``undo``, the session is reaped only so long after the announcement."""
    told, window = facts.announced_at, rules.undo_window
    waits = window > 0 and (told is None or counted(facts, told) < window)
    left = facts.detached_at is not None and told is not None and facts.detached_at > told
    objected = told is not None and (facts.session.kept or attended(facts.session) or left)
    return {"announced": waits, "undone": cause in facts.undone or objected}


def _archived_for_long(facts: Facts, rules: Thresholds) -> bool:
    return facts.archived_since is not None and counted(facts, facts.archived_since) >= rules.archived_ttl


def _deleted(facts: Facts, _rules: Thresholds) -> dict[str, bool] | None:
    return {} if _gone(facts) and facts.reported is Said.DELETED else None


def _witnessed(facts: Facts) -> bool:
    return facts.witness is not None and facts.witness.presence is Presence.GONE


def _removed(facts: Facts, _rules: Thresholds) -> dict[str, bool] | None:
    seen, named = facts.reported is Said.REMOVED, facts.reported in (Said.DELETED, Said.REMOVED, Said.VANISHED, Said.DOUBTED)
    if not _gone(facts) or not (_witnessed(facts) or seen):
        return None
    saves = {"attached": attended(facts.session), "doubtful": facts.doubtful}
    return {**saves, "unconfirmed": not named and facts.witnessed < 2}


def _archived_by_hook(facts: Facts, rules: Thresholds) -> dict[str, bool] | None:
    row = facts.row
    if row is None or row.deleted or not row.archived or facts.reported is not Said.ARCHIVED:
        return None
    return {"attached": attended(facts.session), "running": _runs(facts), **_cancellable(facts, rules, "archived")}


def _worktree_deleted(facts: Facts, rules: Thresholds) -> dict[str, bool] | None:
    row = facts.row
    if row is None or row.deleted or not row.worktree_deleted:
        return None
    active = idle(facts) < rules.activity_grace
    return {"attached": attended(facts.session), "active": active, "clock": _stepped(facts, rules.activity_grace)}


def _orphan(facts: Facts, rules: Thresholds) -> dict[str, bool] | None:
    if not _gone(facts):
        return None
    quiet, stranger = idle(facts), not facts.proven
    # A stranger: long idle, another session recognised, and never in the first sweep.
    looks = rules.orphan_confirmations
    return {
        "attached": attended(facts.session),
        "young": counted(facts, facts.session.key.created) < rules.min_age,
        "active": quiet < rules.activity_grace,
        "clock": _stepped(facts, rules.activity_grace)
        or ((stranger or facts.doubtful) and _stepped(facts, rules.stranger_ttl)),
        "doubtful": facts.doubtful and quiet < rules.stranger_ttl,
        "unproven": stranger and not (quiet >= rules.stranger_ttl and facts.knows_other_sessions),
        "breaker": facts.latched and not facts.approved,
        "unconfirmed": not facts.confirmations >= (2 if stranger and looks < 2 else looks),
        "budget": facts.over_budget,
    }


def _archived(facts: Facts, rules: Thresholds) -> dict[str, bool] | None:
    row = facts.row
    if row is None or row.deleted or not row.archived:
        return None
    long = _archived_for_long(facts, rules)
    return {
        "attached": attended(facts.session),
        "running": _runs(facts),
        "active": idle(facts) < rules.activity_grace and not long,
        "clock": _stepped(facts, rules.activity_grace) and not long,
        **_cancellable(facts, rules, "archived"),
    }


def _idle(facts: Facts, rules: Thresholds) -> dict[str, bool] | None:
    row = facts.row
    if row is None or row.deleted or not idle(facts) > rules.idle_ttl:
        return None
    saves = {"attached": attended(facts.session), "running": _runs(facts), "pinned": any(one.pinned for one in its_rows(facts))}
    return {**saves, "clock": _stepped(facts, rules.idle_ttl), **_cancellable(facts, rules, "idle")}


def _dead(facts: Facts, rules: Thresholds) -> dict[str, bool] | None:
    dead = dead_for(facts)
    if _gone(facts) or dead is None or not dead > rules.dead_ttl:
        return None
    return {"attached": attended(facts.session)}


# The same rows for the state machine.


def _lived_deleted(now: Circumstances) -> frozenset[str] | None:
    return frozenset() if now.row is None and now.said == "deleted" else None


def _lived_removed(now: Circumstances) -> frozenset[str] | None:
    return now.removed  # no daemon watches its hosts


def _lived_orphan(now: Circumstances) -> frozenset[str] | None:
    return now.orphan if now.row is None else None


def _lived_archived_by_hook(now: Circumstances) -> frozenset[str] | None:
    if now.row is None or not now.row.archived or now.said != "archived":
        return None
    return those(attached=now.session.clients, running=now.row.running)


def _lived_worktree_deleted(now: Circumstances) -> frozenset[str] | None:
    if now.row is None or not now.row.worktree_deleted:
        return None
    return those(attached=now.session.clients, active=now.active, clock=now.clock_set)


def _lived_archived(now: Circumstances) -> frozenset[str] | None:
    if now.row is None or not now.row.archived:
        return None
    short = now.archived_for is None or now.archived_for < now.limits.archived_ttl
    clients, running = now.session.clients, now.row.running
    return those(attached=clients, running=running, active=now.active and short, clock=now.clock_set and short)


def _lived_idle(now: Circumstances) -> frozenset[str] | None:
    if now.row is None or now.idle <= now.limits.idle_ttl:
        return None
    return those(attached=now.session.clients, running=now.row.running, pinned=now.row.pinned, clock=now.clock_set)


def _lived_dead(now: Circumstances) -> frozenset[str] | None:
    if now.row is None or now.dead_for is None or now.dead_for <= now.limits.dead_ttl:
        return None
    return those(attached=now.session.clients)


FLAGGED, ARCHIVED = facts(row(worktree_deleted=True)), facts(row(archived=True))
# "archived" holds too: the hook is only an addition to the row.
BY_HOOK = facts(row(archived=True), reported=Said.ARCHIVED)
SEEN_TO_GO = facts(reported=Said.REMOVED, session=session(idle=0))
WITNESSED = facts(witness=Witness(Presence.GONE, "its directory went together with its row"), witnessed=2)
DELETED, ORPHAN = facts(reported=Said.DELETED), facts(proven=True, confirmations=2)
DOUBTED = facts(proven=True, confirmations=2, doubtful=True)
LONG_IDLE = facts(row(), session=session(idle=48 * HOUR + 1))


def active(before: Facts) -> Facts:
    """The same facts of a session with output less than the grace of an active one ago."""
    return idle_for(59, before)


def stranger(idle: int, **changes: Any) -> Facts:
    """Without a row, and not proven to have had one."""
    return replace(facts(session=session(idle=idle), confirmations=2, knows_other_sessions=True), **changes)


def all_dead(dead_for: int | None, **changes: Any) -> Facts:
    """Its only pane is dead, by tmux's word for so many seconds."""
    return facts(row(), session=session(all_panes_dead=True, panes=(pane(dead=True, dead_for=dead_for),)), **changes)


def archived_for(seconds: float, of: Facts = ARCHIVED) -> Facts:
    """A sweep has seen for so long that its row is archived."""
    return replace(of, archived_since=NOW - seconds)


def _old(seconds: int) -> Facts:
    return of_session(ORPHAN, key=session_key(age=seconds))


REASONS = (
    Reason(
        "deleted",
        "",
        DELETED,
        {
            "no grace": (idle_for(0, DELETED), "reap deleted"),
            "its row is there": (facts(row(), reported=Said.DELETED), "keep"),
        },
        _deleted,
        _lived_deleted,
        clients_matter=False,
    ),
    Reason(
        "removed",
        "attached doubtful unconfirmed",
        SEEN_TO_GO,
        {
            "the daemon saw it go, and nothing is known of a directory": (SEEN_TO_GO, "reap removed"),
            "its row is there": (facts(row(), reported=Said.REMOVED), "keep"),
            "a witness, twice": (idle_for(0, WITNESSED), "reap removed"),
            "a witness, once": (replace(WITNESSED, witnessed=1), "hold removed"),
            "a witness, once, and the daemon saw it go": (
                replace(WITNESSED, witnessed=0, reported=Said.VANISHED),
                "reap removed",
            ),
            "the daemon saw it go with others": (facts(reported=Said.VANISHED), "hold orphan"),
            "the directory is there": (
                facts(witness=Witness(Presence.THERE, "it is there"), witnessed=2, reported=Said.VANISHED),
                "hold orphan",
            ),
            "the directory is unknown": (facts(witness=Witness(Presence.UNKNOWN, "a disk is missing")), "hold orphan"),
            "it looks like a restore": (replace(SEEN_TO_GO, doubtful=True), "hold removed"),
        },
        _removed,
        _lived_removed,
    ),
    Reason(
        "archived by hook",
        "attached running undone announced",
        BY_HOOK,
        {
            "no grace": (idle_for(0, BY_HOOK), "reap archived by hook"),
            "its row says nothing": (facts(row(), reported=Said.ARCHIVED), "keep"),
        },
        _archived_by_hook,
        _lived_archived_by_hook,
        reported_as="archived",
    ),
    Reason(
        "worktree-deleted",
        "attached active clock",
        FLAGGED,
        {
            "short of the grace": (idle_for(59, FLAGGED), "hold worktree-deleted"),
            "at the grace": (idle_for(60, FLAGGED), "reap worktree-deleted"),
        },
        _worktree_deleted,
        _lived_worktree_deleted,
        lambda _facts, rules: rules.activity_grace,
    ),
    Reason(
        "orphan",
        "attached young active clock unproven doubtful breaker unconfirmed budget",
        ORPHAN,
        {
            "short of the grace": (idle_for(59, ORPHAN), "hold orphan"),
            "at the grace": (idle_for(60, ORPHAN), "reap orphan"),
            "short of the age": (_old(119), "hold orphan"),
            "at the age": (_old(120), "reap orphan"),
            "created in the future": (_old(-5), "hold orphan"),
            "a stranger short of its limit": (stranger(12 * HOUR - 1), "hold orphan"),
            "a stranger at its limit": (stranger(12 * HOUR), "reap orphan"),
            "a stranger, and no other session recognised": (stranger(12 * HOUR, knows_other_sessions=False), "hold orphan"),
            "a stranger in the first sweep": (stranger(12 * HOUR, confirmations=1), "hold orphan"),
            "one confirmation of two": (replace(ORPHAN, confirmations=1), "hold orphan"),
            "two confirmations of two": (replace(ORPHAN, confirmations=2), "reap orphan"),
            "doubtful, short of its limit": (idle_for(12 * HOUR - 1, DOUBTED), "hold orphan"),
            "doubtful, at its limit": (idle_for(12 * HOUR, DOUBTED), "reap orphan"),
        },
        _orphan,
        _lived_orphan,
        lambda facts, rules: (
            rules.activity_grace if facts.proven and not facts.doubtful else max(rules.activity_grace, rules.stranger_ttl)
        ),
    ),
    Reason(
        "archived",
        "attached running active clock undone announced",
        ARCHIVED,
        {
            "short of the grace": (idle_for(59, ARCHIVED), "hold archived"),
            "at the grace": (idle_for(60, ARCHIVED), "reap archived"),
            "short of long": (active(archived_for(DAY - 1)), "hold archived"),
            "for long": (active(archived_for(DAY)), "reap archived"),
            "never seen before": (active(ARCHIVED), "hold archived"),
            "for long, attached": (of_session(archived_for(9 * DAY), attached=1), "hold archived"),
            "for long, running": (archived_for(9 * DAY, facts(row(archived=True, running=True))), "hold archived"),
            "for long, which saves no worktree-deleted": (active(archived_for(9 * DAY, FLAGGED)), "hold worktree-deleted"),
        },
        _archived,
        _lived_archived,
        lambda facts, rules: None if _archived_for_long(facts, rules) else rules.activity_grace,
    ),
    Reason(
        "idle",
        "attached running pinned clock undone announced",
        LONG_IDLE,
        {
            "at the limit": (idle_for(48 * HOUR, facts(row())), "keep"),
            "half a second past it": (replace(idle_for(48 * HOUR, facts(row())), now=NOW + 0.5), "reap idle"),
            "a second past it": (idle_for(48 * HOUR + 1, facts(row())), "reap idle"),
            "since the attach": (of_session(LONG_IDLE, last_attached=NOW - 48 * HOUR), "keep"),
            "since the client's input": (of_session(LONG_IDLE, activity=NOW - 48 * HOUR), "keep"),
            "since the detach that was seen": (replace(LONG_IDLE, detached_at=NOW - 48.0 * HOUR), "keep"),
            "since a longer detach": (replace(LONG_IDLE, detached_at=NOW - 48.0 * HOUR - 1), "reap idle"),
            "since output in a window that is not the current one": (
                of_session(LONG_IDLE, windows=(*LONG_IDLE.session.windows, Window("@2", NOW - 48 * HOUR, linked=True))),
                "keep",
            ),
            "output in the future": (idle_for(-1000, facts(row())), "keep"),
        },
        _idle,
        _lived_idle,
        lambda _facts, rules: rules.idle_ttl,
        excludes="active",
    ),
    Reason(
        "dead",
        "attached",
        all_dead(601),
        {
            "at the limit": (all_dead(600), "keep"),
            "a second past it": (all_dead(601), "reap dead"),
            "as a sweep saw it, at the limit": (all_dead(None, dead_since=NOW - 600.0), "keep"),
            "as a sweep saw it, past it": (all_dead(None, dead_since=NOW - 601.0), "reap dead"),
            "by tmux's word, whatever a sweep saw": (all_dead(600, dead_since=NOW - 9999.0), "keep"),
            "by tmux's word in the future, as a sweep saw it, at the limit": (all_dead(-60, dead_since=NOW - 600.0), "keep"),
            "by tmux's word in the future, as a sweep saw it, past it": (all_dead(-60, dead_since=NOW - 601.0), "reap dead"),
            "the time of its death is unknown": (all_dead(None), "keep"),
            "seen so once, and a pane lives now": (facts(row(), dead_since=NOW - 9999.0), "keep"),
        },
        _dead,
        _lived_dead,
        dead_panes=True,
    ),
)
"""In the order in which they are tried."""
