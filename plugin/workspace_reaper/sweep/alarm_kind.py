"""What an alarm is, and what a full sweep gives it to decide whether it is on. Pure. ``alarms`` has the alarms themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from workspace_reaper.model.state import Alarm, BreakerState, Confirmation, Finding, LedgerState
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.policy.confirmations import Confirmations
from workspace_reaper.sweep.report import SessionReport

__all__ = ["AlarmKind", "AlarmLimits", "Detected", "SweepResult"]


@dataclass(frozen=True, slots=True)
class AlarmLimits:
    """What a sweep is to alarm about: ``abstain_alarm`` and ``tick`` in seconds, and why a reload was refused, if one was."""

    abstain: float
    tick: float
    refused_reload: str | None = None


class SweepResult(NamedTuple):
    """What one full sweep found.

    Attributes:
        sessions: The sessions of the report.
        unknown: What could not be read. An alarm about something that could not be seen does not end.
        confirmations: The findings after the sweep.
        breaker: The breaker after the sweep.
        state: The state of the ledger before the sweep.
        limits: The settings that matter.
        now: Unix seconds.
        vetoes: Sentences about plugins that gave no usable answer.
        disowned: Sessions of our workspaces that carry another reaper's owner mark.
        inherited: Sessions that only seem to have an option of ours, by option.
    """

    sessions: Sequence[SessionReport]
    unknown: Sequence[Unknown]
    confirmations: Confirmations
    breaker: BreakerState
    state: LedgerState
    limits: AlarmLimits
    now: float
    vetoes: Sequence[str] = ()
    disowned: Sequence[str] = ()
    inherited: Mapping[str, Sequence[str]] = MappingProxyType({})

    def still(self, finding: Finding) -> Iterator[tuple[str, Confirmation]]:
        """Yield the sessions with this finding, by name. A session that could not be seen still has it."""
        having = list(self.confirmations.having(finding))
        # Most sweeps find nothing.
        names = {entry.key: entry.session for entry in self.sessions if entry.key and having}
        hidden = {part.socket for part in self.unknown}
        for key, confirmation in having:
            # Otherwise it is on a socket that is no longer configured.
            if key in names or key.socket in hidden:
                yield names.get(key, f"{key.session_id} on {key.socket}"), confirmation


class Detected(NamedTuple):
    """That an alarm is on: its detail, and since when and until when if that differs from now and from the kind."""

    detail: str
    since: float | None = None
    clears_when: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AlarmKind:
    """One alarm.

    Attributes:
        name: Its stable name, one word for programs.
        meaning: What is wrong, as a clause.
        clears_when: What ends it, as a clause.
        action: What an operator does about it, as an imperative.
        detect: How a full sweep finds it; None if no sweep raises or ends it.
        rests_on_sessions: It stays as it was while a sweep does not see every session.
    """

    name: str
    meaning: str
    clears_when: str
    action: str
    detect: Callable[[SweepResult], Detected | None] | None = None
    rests_on_sessions: bool = False

    def at(self, since: float, detail: str, clears_when: str | None = None) -> Alarm:
        """Return the alarm that began then (Unix seconds)."""
        return Alarm(self.name, since, detail, self.clears_when if clears_when is None else clears_when)
