"""The reaper watches itself: what an operator must be told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workspace_reaper.breaker import clears_when
from workspace_reaper.confirmations import Sightings
from workspace_reaper.memory import Alarm, BreakerState, Event, Sight
from workspace_reaper.model import Unknown
from workspace_reaper.report import SessionReport, iso

__all__ = ["BLIND_TICKS", "RETRIES", "blind", "changes", "raised"]

RETRIES = 3
"""A kill that failed so often in a row is an alarm."""

BLIND_TICKS = 3
"""So many ticks without a complete sweep are an alarm."""


def _unreadable(unknown: Sequence[Unknown], now: float) -> list[Alarm]:
    if not unknown:
        return []
    detail = "; ".join(dict.fromkeys(part.reason for part in unknown[:3]))
    more = f" (and {len(unknown) - 3} more)" if len(unknown) > 3 else ""
    return [Alarm("unreadable", now, detail + more, "a full sweep can read everything again")]


def _overdue(sessions: Sequence[SessionReport], sightings: Sightings, limit: float, now: float) -> list[Alarm]:
    late = []
    for entry in sessions:
        since = sightings.since(entry.key, Sight.CONDEMNED) if entry.key else None
        if since is not None and now - since > limit:
            late.append(entry.session)
    if not late:
        return []
    detail = f"condemned for more than {limit:.0f} s and not reaped: {', '.join(sorted(late)[:5])}"
    return [Alarm("overdue", now, detail, "these sessions are reaped, or no longer condemned")]


def _retried(sessions: Sequence[SessionReport], sightings: Sightings, now: float) -> list[Alarm]:
    stubborn = [entry.session for entry in sessions if entry.key and sightings.count(entry.key, Sight.FAILED) >= RETRIES]
    if not stubborn:
        return []
    detail = f"the kill failed {RETRIES} times or more: {', '.join(sorted(stubborn)[:5])}"
    return [Alarm("kill-failing", now, detail, "these sessions are gone")]


def _returned(sessions: Sequence[SessionReport], lately: Mapping[tuple[str, str], float], now: float) -> list[Alarm]:
    # One that is kept was brought back by an operator.
    back = [
        entry
        for entry in sessions
        if entry.reason is not None and entry.protected_by != "kept" and (entry.socket, entry.session) in lately
    ]
    if not back:
        return []
    names = ", ".join(f"{entry.session} (reaped {iso(lately[entry.socket, entry.session])})" for entry in back[:5])
    return [Alarm("came-back", now, f"something starts reaped sessions again: {names}", "these sessions stay away for a sweep")]


def _breaker(state: BreakerState, now: float) -> list[Alarm]:
    if not state.latched:
        return []
    return [Alarm("breaker", state.since or now, state.cause, clears_when(state) or "")]


def _unasked(vetoes: Sequence[str], now: float) -> list[Alarm]:
    if not vetoes:
        return []
    return [Alarm("veto-failing", now, "; ".join(vetoes[:3]), "these plugins answer again, or there is nothing to ask them")]


def raised(
    sessions: Sequence[SessionReport],
    unknown: Sequence[Unknown],
    sightings: Sightings,
    breaker: BreakerState,
    lately: Mapping[tuple[str, str], float],
    *,
    limit: float,
    now: float,
    vetoes: Sequence[str] = (),
) -> dict[str, Alarm]:
    """The alarms after one full sweep, by name. ``limit`` is ``abstain_alarm`` in seconds. ``vetoes`` are sentences
    about plugins that gave no usable answer."""
    alarms = [
        *_unreadable(unknown, now),
        *_overdue(sessions, sightings, limit, now),
        *_retried(sessions, sightings, now),
        *_returned(sessions, lately, now),
        *_breaker(breaker, now),
        *_unasked(vetoes, now),
    ]
    return {alarm.name: alarm for alarm in alarms}


def blind(last_complete: float | None, tick: float, now: float) -> Alarm | None:
    """No complete sweep for three ticks. ``last_complete`` None: there never was one."""
    if last_complete is not None and now - last_complete <= BLIND_TICKS * tick:
        return None
    what = f"no complete sweep since {iso(last_complete)}" if last_complete is not None else "no complete sweep yet"
    return Alarm("blind", last_complete or now, what, "a full sweep reads every socket, every session and the registry")


def changes(before: Mapping[str, Alarm], after: Mapping[str, Alarm], now: float) -> tuple[dict[str, Alarm], tuple[Event, ...]]:
    """The alarms with the time each began, and the events of those that began or ended."""
    kept = {name: replace(alarm, since=before[name].since) if name in before else alarm for name, alarm in after.items()}
    begun = [Event(now, "alarm", f"{name}: {after[name].detail}") for name in after if name not in before]
    ended = [Event(now, "alarm over", name) for name in before if name not in after]
    return kept, tuple(begun + ended)
