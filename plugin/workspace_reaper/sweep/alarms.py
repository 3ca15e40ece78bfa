"""The alarms: what an operator must know about the reaper itself. Pure.

To add an alarm, define it here and put it into `ALARMS`. Reports, ``status``, other plugins and the documentation use these
objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workspace_reaper.model.state import Alarm, Finding
from workspace_reaper.model.unknown import Source
from workspace_reaper.policy.breaker import clears_when
from workspace_reaper.policy.confirmations import RETRIES
from workspace_reaper.sweep.alarm_changes import begins, changes, turns
from workspace_reaper.sweep.alarm_kind import AlarmKind, Detected, SweepResult
from workspace_reaper.sweep.report import iso

__all__ = [
    "ALARMS",
    "BLIND_TICKS",
    "CANARY",
    "begins",
    "blind",
    "changes",
    "misconfigured",
    "raised",
    "turns",
]

# Ticks without a complete sweep after which ``blind`` is raised.
BLIND_TICKS = 3

# Sessions that a detail lists.
MOST_NAMES = 5

# If one of these cannot be read, a sweep does not see every session that it would judge.
_HIDING = frozenset({Source.SOCKET, Source.SESSION, Source.REGISTRY})


def _unreadable(found: SweepResult) -> Detected | None:
    if not found.unknown:
        return None
    detail = "; ".join(dict.fromkeys(part.reason for part in found.unknown[:3]))
    return Detected(detail + (f" (and {len(found.unknown) - 3} more)" if len(found.unknown) > 3 else ""))


def _blind(found: SweepResult) -> Detected | None:
    if not found.unknown:
        return None
    first = found.state.alarms.get(UNREADABLE.name)
    began = first.since if first else found.now
    alarm = blind(found.state.last_complete, found.limits.tick, found.now, began=began)
    return Detected(alarm.detail, alarm.since) if alarm else None


def _overdue(found: SweepResult) -> Detected | None:
    limit = found.limits.abstain
    late = sorted(name for name, one in found.still(Finding.CONDEMNED) if found.now - one.first_at > limit)
    return Detected(f"selected for more than {limit:.0f} s and not reaped: {_names(late)}") if late else None


def _doubt(found: SweepResult) -> Detected | None:
    limit = found.limits.abstain
    overdue = {name for name, one in found.still(Finding.CONDEMNED) if found.now - one.first_at > limit}
    doubted = {name for name, one in found.still(Finding.DOUBTED) if found.now - one.first_at > limit}
    late = sorted(doubted - overdue)
    return Detected(f"held for more than {limit:.0f} s by nothing but the reaper's own doubt: {_names(late)}") if late else None


def _kill_failing(found: SweepResult) -> Detected | None:
    failing = sorted(name for name, one in found.still(Finding.FAILED) if one.count >= RETRIES)
    return Detected(f"the kill failed {RETRIES} times or more: {_names(failing)}") if failing else None


def _came_back(found: SweepResult) -> Detected | None:
    reaped = found.state.reaped_lately
    back = [
        entry
        for entry in found.sessions
        # An operator restored what is kept.
        if entry.reason is not None and entry.protected_by != "kept" and (entry.socket, entry.session) in reaped
    ]
    names = _names(f"{entry.session} (reaped {iso(reaped[entry.socket, entry.session])})" for entry in back)
    return Detected(f"something starts reaped sessions again: {names}") if back else None


def _breaker(found: SweepResult) -> Detected | None:
    state = found.breaker
    return Detected(state.cause, state.since or found.now, clears_when(state)) if state.latched else None


def _veto_failing(found: SweepResult) -> Detected | None:
    return Detected("; ".join(found.vetoes[:3])) if found.vetoes else None


def _other_owner(found: SweepResult) -> Detected | None:
    if not found.disowned:
        return None
    return Detected(
        f"{len(found.disowned)} sessions of our workspaces carry another owner mark: {_names(sorted(found.disowned))}"
    )


def _strangers(found: SweepResult) -> Detected | None:
    waiting = sorted(entry.session for entry in found.sessions if entry.facts and entry.facts.many_strangers)
    if not waiting:
        return None
    managed = f"{len(waiting)} of the {len(found.sessions)} managed sessions"
    return Detected(f"the database is not known to have ever had a row for {managed}: {_names(waiting)}")


def _inherited(found: SweepResult) -> Detected | None:
    if not found.inherited:
        return None
    parts = (f"{option} of {len(some)} sessions ({_names(sorted(some))})" for option, some in found.inherited.items())
    return Detected(f"what tmux shows is not the session's own: {'; '.join(parts)}")


def _configuration(found: SweepResult) -> Detected | None:
    why = found.limits.refused_reload
    return None if why is None else Detected(f"a reload was refused, and the configuration before stays in force: {why}")


def _contested(found: SweepResult) -> Detected | None:
    both = sorted(entry.session for entry in found.sessions if entry.protected_by == "contested")
    return Detected(f"more than one host claims {len(both)} sessions, so they are left alone: {_names(both)}") if both else None


def _names(names: Iterator[str] | Sequence[str]) -> str:
    every = [*names]
    others = f" and {len(every) - MOST_NAMES} more" if len(every) > MOST_NAMES else ""
    return ", ".join(every[:MOST_NAMES]) + others


UNREADABLE = AlarmKind(
    "unreadable",
    "a socket, a session, the database, the ledger or the process table cannot be read",
    "a full sweep can read everything again",
    "Run `doctor`: it names what cannot be read and what to do.",
    _unreadable,
)
BLIND = AlarmKind(
    "blind",
    f"there has been no complete sweep for {BLIND_TICKS} ticks",
    "a full sweep reads every socket, every session and the registry",
    "Run `doctor`. If sweeps are started by a timer, set `tick` to its interval.",
    _blind,
)
OVERDUE = AlarmKind(
    "overdue",
    "a session has been selected for longer than `abstain_alarm` and is not reaped",
    "these sessions are reaped, or no longer selected",
    "Run `explain` for one of the sessions: it says what prevents the reap.",
    _overdue,
)
DOUBT = AlarmKind(
    "doubt",
    "nothing but the reaper's own doubt has protected a session for longer than `abstain_alarm`",
    "these sessions are reaped, or something else protects them",
    "Run `explain` for one of the sessions: it names the doubt, and what ends it.",
    _doubt,
)
KILL_FAILING = AlarmKind(
    "kill-failing",
    f"the kill of a session failed {RETRIES} times or more, and is tried again at growing intervals",
    "these sessions are gone, or no longer selected",
    "Look at the tmux server: it does not answer, or it keeps the session. `sweep --approve` tries again at once.",
    _kill_failing,
)
CAME_BACK = AlarmKind(
    "came-back",
    "something starts reaped sessions again",
    "these sessions stay away for a sweep",
    "Find what starts them: often the host, for a workspace that its database still lists as active.",
    _came_back,
    rests_on_sessions=True,
)
BREAKER = AlarmKind(
    "breaker",
    "many workspaces disappeared at once, so no orphan is reaped",
    "`breaker` in `status` says when",
    "Check the database. If the workspaces are really gone, run `sweep --approve`.",
    _breaker,
)
VETO_FAILING = AlarmKind(
    "veto-failing",
    "a plugin gives no usable answer to `reaper_veto`, which counts as a veto of everything",
    "these plugins answer again, or there is nothing to ask them",
    "Repair or remove the plugin that the alarm names.",
    _veto_failing,
    rests_on_sessions=True,
)
OTHER_OWNER = AlarmKind(
    "other_owner",
    "a session whose workspace has, or had, a row in our registry carries another reaper's owner mark, so it is never reaped",
    "no such session is left",
    "If the state directory was lost, or no reaper serves that mark any more, run `adopt`.",
    _other_owner,
    rests_on_sessions=True,
)
STRANGERS = AlarmKind(
    "strangers",
    "at least three sessions, and at least half of the managed ones, would be reaped although the database is not known to have"
    " ever had a row for them",
    "the registry has rows for them, they have ended, or an operator approved them",
    "If they belong to another database, give each database a reaper and session patterns of its own. If they are left over, "
    "run `sweep --approve`.",
    _strangers,
    rests_on_sessions=True,
)
INHERITED = AlarmKind(
    "inherited",
    "an option of the reaper is set on a window, on a pane, on the server or for all sessions, so that sessions seem to have it"
    " or seem to lack their own. An inherited `@reaper_keep` keeps them, and inherited marks are ignored",
    "no session inherits one of these options",
    "Find it with `tmux show-options -g`, `-s`, `-gw`, `-w` and `-p`, and unset it there with `set-option -u`.",
    _inherited,
    rests_on_sessions=True,
)
CONTESTED = AlarmKind(
    "contested",
    "several hosts claim a session, and their records do not say whose it is, so it is never reaped",
    "only one host's record knows the workspace, the session has ended, or its name matches the patterns of one host alone",
    "Make the `session_patterns` of the hosts differ, or end the session by hand.",
    _contested,
    rests_on_sessions=True,
)
CANARY = AlarmKind(
    "canary",
    "a throwaway session was not reaped",
    "a canary is reaped on every socket: 'workspace-reaper doctor --canary'",
    "Run `doctor --canary`: it shows the step that failed.",
)
CONFIGURATION = AlarmKind(
    "configuration",
    "the configuration or the installed tmux cannot be used, so nothing is swept, or the daemon has refused a reload",
    "that is fixed, and a full sweep has begun; after a refused reload, once the daemon has reloaded",
    "Correct the file or the setting that the alarm names. If a reload was refused, reload again.",
    _configuration,
)

# The catalogue.
ALARMS = (
    *(UNREADABLE, BLIND, OVERDUE, DOUBT, KILL_FAILING, CAME_BACK, BREAKER, VETO_FAILING),
    *(OTHER_OWNER, STRANGERS, INHERITED, CONTESTED, CANARY, CONFIGURATION),
)


def raised(found: SweepResult) -> dict[str, Alarm]:
    """Return the alarms after one full sweep, by name."""
    is_hidden = any(part.source in _HIDING for part in found.unknown)
    alarms = {}
    for kind in ALARMS:
        if kind.name in found.state.alarms and (kind is CANARY or (kind.rests_on_sessions and is_hidden)):
            alarms[kind.name] = found.state.alarms[kind.name]
        detected = kind.detect(found) if kind.detect else None
        if detected is not None:
            since = found.now if detected.since is None else detected.since
            alarms[kind.name] = kind.at(since, detected.detail, detected.clears_when)
    return alarms


def blind(last_complete: float | None, tick: float, now: float, *, began: float | None = None) -> Alarm | None:
    """Return the alarm ``blind`` if there was no complete sweep for three ticks, or the last one is dated so far in the future.

    Args:
        last_complete: When the last complete sweep began, in Unix seconds; None if there was none.
        tick: Seconds.
        now: Unix seconds.
        began: Since when sweeps try, if none was ever complete; None if that is unknown.
    """
    since = began if last_complete is None else last_complete
    # A clock that was ahead must not hide that no sweep runs until its time has come.
    if since is not None and abs(now - since) <= BLIND_TICKS * tick:
        return None
    detail = "no complete sweep yet"
    if last_complete is not None:
        ahead = " (which is in the future)" if last_complete > now else ""
        detail = f"no complete sweep since {iso(last_complete)}{ahead}"
    return BLIND.at(now if since is None else min(since, now), detail)


def misconfigured(why: str, now: float) -> Alarm:
    """Return the alarm ``configuration``. There may be no ledger to record it in."""
    return CONFIGURATION.at(now, why)
