"""The reaper watches itself: what an operator must be told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from workspace_reaper.model.state import Alarm, BreakerState, Confirmation, Event, Finding, LedgerState, StateChanges
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.policy.breaker import clears_when
from workspace_reaper.policy.confirmations import RETRIES, Confirmations
from workspace_reaper.sweep.report import SessionReport, iso

__all__ = [
    "BLIND_TICKS",
    "RETRIES",
    "AlarmLimits",
    "UnrecordedAlarms",
    "begins",
    "blind",
    "changes",
    "misconfigured",
    "raised",
    "turns",
]

BLIND_TICKS = 3

"""So many ticks without a complete sweep are an alarm."""

_OF_SESSIONS = ("came-back", "veto-failing")

"""Alarms that rest on the sessions that a sweep sees, and on nothing that is remembered of each."""

_OF_OTHERS = ("canary",)

"""Alarms that no sweep raises or ends."""

_HIDING = frozenset({Source.SOCKET, Source.SESSION, Source.REGISTRY})

"""Where one of these can't be read, a sweep does not see every session that it would judge."""


@dataclass(frozen=True, slots=True)
class AlarmLimits:
    """Both in seconds. ``abstain`` is the setting ``abstain_alarm``."""

    abstain: float
    tick: float


def _unreadable(unknown: Sequence[Unknown], now: float) -> list[Alarm]:
    if not unknown:
        return []
    detail = "; ".join(dict.fromkeys(part.reason for part in unknown[:3]))
    more = f" (and {len(unknown) - 3} more)" if len(unknown) > 3 else ""
    return [Alarm("unreadable", now, detail + more, "a full sweep can read everything again")]


Found = Sequence[tuple[str, Confirmation]]

"""Sessions, by name, of which something is remembered."""


def _still(
    sight: Finding, sessions: Sequence[SessionReport], unknown: Sequence[Unknown], sightings: Confirmations
) -> Iterator[tuple[str, Confirmation]]:
    """The sessions that are seen so, as far as anybody knows: one that could not be seen is not gone."""
    found = list(sightings.having(sight))
    if not found:
        return
    names = {entry.key: entry.session for entry in sessions if entry.key}
    hidden = {part.socket for part in unknown}
    for key, sighting in found:
        # Else it is on a socket that is configured no longer.
        if key in names or key.socket in hidden:
            yield names.get(key, f"{key.session_id} on {key.socket}"), sighting


def _overdue(condemned: Found, limit: float, now: float) -> list[Alarm]:
    late = [name for name, sighting in condemned if now - sighting.first_at > limit]
    if not late:
        return []
    detail = f"condemned for more than {limit:.0f} s and not reaped: {', '.join(sorted(late)[:5])}"
    return [Alarm("overdue", now, detail, "these sessions are reaped, or no longer condemned")]


def _retried(failed: Found, now: float) -> list[Alarm]:
    stubborn = [name for name, sighting in failed if sighting.count >= RETRIES]
    if not stubborn:
        return []
    detail = f"the kill failed {RETRIES} times or more: {', '.join(sorted(stubborn)[:5])}"
    return [Alarm("kill-failing", now, detail, "these sessions are gone, or no longer condemned")]


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


def _blind(unknown: Sequence[Unknown], memory: LedgerState, tick: float, now: float) -> list[Alarm]:
    if not unknown:
        return []
    first = memory.alarms.get("unreadable")
    alarm = blind(memory.last_complete, tick, now, began=first.since if first else now)
    return [alarm] if alarm else []


def raised(
    sessions: Sequence[SessionReport],
    unknown: Sequence[Unknown],
    sightings: Confirmations,
    breaker: BreakerState,
    memory: LedgerState,
    *,
    limits: AlarmLimits,
    now: float,
    vetoes: Sequence[str] = (),
) -> dict[str, Alarm]:
    """The alarms after one full sweep, by name. ``sightings`` are those after it, ``memory`` is what was remembered before.
    ``vetoes`` are sentences about plugins that gave no usable answer. Of what could not be seen nobody says that it is over."""
    alarms = [
        *_unreadable(unknown, now),
        *_blind(unknown, memory, limits.tick, now),
        *_overdue([*_still(Finding.CONDEMNED, sessions, unknown, sightings)], limits.abstain, now),
        *_retried([*_still(Finding.FAILED, sessions, unknown, sightings)], now),
        *_returned(sessions, memory.reaped_lately, now),
        *_breaker(breaker, now),
        *_unasked(vetoes, now),
    ]
    is_hidden = any(part.source in _HIDING for part in unknown)
    staying = _OF_OTHERS + (_OF_SESSIONS if is_hidden else ())
    standing = {name: memory.alarms[name] for name in staying if name in memory.alarms}
    return standing | {alarm.name: alarm for alarm in alarms}


def blind(last_complete: float | None, tick: float, now: float, *, began: float | None = None) -> Alarm | None:
    """No complete sweep for three ticks. ``last_complete`` None: there never was one, and ``began`` is since when sweeps try;
    None: nobody knows."""
    since = began if last_complete is None else last_complete
    if since is not None and now - since <= BLIND_TICKS * tick:
        return None
    what = f"no complete sweep since {iso(last_complete)}" if last_complete is not None else "no complete sweep yet"
    clears = "a full sweep reads every socket, every session and the registry"
    return Alarm("blind", now if since is None else since, what, clears)


def misconfigured(why: str, now: float) -> Alarm:
    """The configuration can't be used, or tmux is too old; there may not even be a ledger to note it in."""
    return Alarm("configuration", now, why, "that is mended, and a full sweep has begun")


def begins(alarm: Alarm, now: float) -> Event:
    """How the beginning of an alarm is noted."""
    return Event(now, "alarm", f"{alarm.name}: {alarm.detail}")


def turns(before: Mapping[str, Alarm], after: Mapping[str, Alarm]) -> tuple[tuple[Alarm, ...], tuple[Alarm, ...]]:
    """Those that have begun, and those that are over."""
    begun = tuple(alarm for name, alarm in after.items() if name not in before)
    return begun, tuple(alarm for name, alarm in before.items() if name not in after)


def changes(before: Mapping[str, Alarm], after: Mapping[str, Alarm], now: float) -> tuple[dict[str, Alarm], tuple[Event, ...]]:
    """The alarms with the time each began, and the events of those that began or ended."""
    kept = {name: replace(alarm, since=before[name].since) if name in before else alarm for name, alarm in after.items()}
    begun, ended = turns(before, after)
    return kept, (*(begins(alarm, now) for alarm in begun), *(Event(now, "alarm over", alarm.name) for alarm in ended))


class UnrecordedAlarms:
    """One for the life of a reaper. Not safe for several threads at once: sweeps exclude one another."""

    def __init__(self) -> None:
        self._told: dict[str, Alarm] = {}
        self._since: float | None = None
        self._last_complete: float | None = None

    def told(self, alarm: Alarm) -> None:
        """This one was told, and is in no ledger yet."""
        self._told[alarm.name] = alarm

    def go_on_from(self, other: UnrecordedAlarms) -> None:
        """What the reaper before has told is not told again, and its end is."""
        self._told |= other._told

    def completed(self, at: float) -> None:
        """A complete sweep began then (Unix seconds)."""
        self._last_complete = at

    def blind(self, memory: LedgerState | None, why: str, tick: float, now: float) -> Alarm | None:
        """A sweep could not record anything: the alarm, if it is to be told now. ``memory`` is what can be read of the ledger;
        another process may have seen all, or told it already. ``tick`` is in seconds, ``now`` in Unix seconds."""
        if self._since is None:
            self._since = now
        last_complete = self._last_complete
        if memory is not None and memory.last_complete is not None:
            last_complete = memory.last_complete
        alarm = blind(last_complete, tick, now, began=self._since)
        if alarm is None or alarm.name in self._told or (memory is not None and alarm.name in memory.alarms):
            return None
        alarm = replace(alarm, detail=f"{alarm.detail}: {why}")
        self._told[alarm.name] = alarm
        return alarm

    def unrecorded(self, memory: LedgerState, now: float) -> tuple[StateChanges, LedgerState] | None:
        """What is to be written of alarms that were told, and the memory after that; None if there is nothing."""
        if not self._told:
            return None
        kept, events = changes(memory.alarms, {**self._told, **memory.alarms}, now)
        return StateChanges(alarms=kept, events=events), replace(memory, alarms=kept)

    def recorded(self) -> None:
        """The ledger has them now, and is where they end."""
        self._told, self._since = {}, None
