"""What an operator asks of the reaper between sweeps: how it is, from its ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.state import Alarm, BreakerState, Event, Finding, LedgerState
from workspace_reaper.model.verdict import Reason
from workspace_reaper.policy import breaker
from workspace_reaper.policy.idle import AgeClock
from workspace_reaper.sweep.alarms import blind
from workspace_reaper.sweep.explain import PROVEN_WHEN
from workspace_reaper.sweep.last_report import read_report
from workspace_reaper.sweep.report import SweepReport, iso

__all__ = ["Status", "read_status"]

_EVENTS = 1000
"""So many of the latest events are looked through."""


@dataclass(frozen=True, slots=True)
class Status:
    """``report`` is the last full report as JSON, None if there never was one. ``last_complete`` is in Unix seconds.

    ``configured`` False: there is no database to ask, so nothing is ever swept. ``announced`` are the sessions that go later,
    as ``status --json`` tells them. ``generation`` grows whenever what is read as the registry becomes another one; ``changed``
    tells of the last time.
    """

    report: dict[str, Any] | None
    alarms: Sequence[Alarm]
    breaker: BreakerState
    last_complete: float | None
    enabled: bool
    configured: bool = True
    announced: Sequence[Mapping[str, Any]] = ()
    generation: int = 0
    changed: Event | None = None

    @property
    def check_code(self) -> int:
        """For monitoring: 0 fine (or switched off), 1 an alarm, 3 nothing can be seen: nothing is configured, or nothing was
        ever swept. A ledger that can't be read raises before there is a status; it is 3 as well."""
        if not self.configured:
            return 3
        if not self.enabled:
            return 0
        if self.report is None:
            return 3
        return 1 if self.alarms else 0

    def as_dict(self) -> dict[str, Any]:
        """The object that ``status --json`` prints."""
        nothing = SweepReport("", 0.0).as_dict() | {"sweep": None, "started_at": None, "complete": False, "registry": {}}
        report = self.report if self.report is not None else nothing
        registry = report["registry"]
        return {
            **report,
            "enabled": self.enabled,
            "alarms": [
                {"name": alarm.name, "since": iso(alarm.since), "detail": alarm.detail, "clears_when": alarm.clears_when}
                for alarm in self.alarms
            ],
            "breaker": breaker.as_json(self.breaker),
            "last_complete_sweep": iso(self.last_complete),
            "announced": [dict(one) for one in self.announced],
            "registry": {
                "identity": registry.get("identity"),
                "rows": registry.get("rows"),
                "rows_capped": registry.get("rows_capped", False),
                "generation": self.generation,
                "changed_at": iso(self.changed.at) if self.changed else None,
                "changed": self.changed.detail if self.changed else None,
                "proven_when": PROVEN_WHEN if self.changed else None,
            },
        }


def read_status(
    ledger: Ledger, *, tick: float, enabled: bool, now: float, configured: bool = True, undo_window: float = 0.0
) -> Status:
    """The state of the reaper as its ledger has it. ``tick`` and ``undo_window`` are in seconds, ``now`` in Unix seconds;
    raises ``LedgerError``."""
    report = read_report(ledger)
    memory = ledger.load_state((), now)
    last_complete = memory.last_complete
    alarms = list(memory.alarms.values())
    # While nobody sweeps nobody records that, either.
    first = memory.alarms.get("unreadable")
    late = blind(last_complete, tick, now, began=first.since if first else None) if enabled else None
    if "blind" in memory.alarms:
        late = None
    return Status(
        report=report,
        alarms=[late, *alarms] if late else alarms,
        breaker=memory.breaker,
        last_complete=last_complete,
        enabled=enabled,
        configured=configured,
        announced=_announced(memory, report["sessions"] if report else (), undo_window),
        generation=memory.registry.generation,
        changed=_changed(ledger) if memory.registry.generation > 1 else None,
    )


def _changed(ledger: Ledger) -> Event | None:
    """The last time that what is read as the registry became another one, if that is not too long ago."""
    return next((event for event in ledger.events(_EVENTS) if event.kind == "registry changed"), None)


def _announced(memory: LedgerState, entries: Sequence[Mapping[str, Any]], undo_window: float) -> list[dict[str, Any]]:
    """Who goes later, by what is remembered: a hook, or ``undo``, may have changed it since the last full sweep."""
    known = {(entry["socket"], entry["session_id"]): entry for entry in entries}
    found, times = [], AgeClock(memory.clock.lapses)
    for (key, sight), sighting in sorted(memory.sightings.items()):
        entry = known.get((key.socket, key.session_id), {})
        if sight is Finding.ANNOUNCED and entry.get("outcome") != Outcome.REAPED:
            found.append(
                {
                    "socket": key.socket,
                    "session": entry.get("session") or key.session_id,
                    # Between two full sweeps only a hook announces, and that an archived workspace's.
                    "reason": entry.get("reason") or Reason.ARCHIVED.public,
                    "deadline": iso(times.moved(sighting.first_at) + undo_window),
                }
            )
    return found
