"""Reads the state of the reaper from its ledger: status, history and breaker. Releases the breaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workspace_reaper.ledger.locks import Holder, InstanceLock
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.reap import Outcome, Reap
from workspace_reaper.model.state import Alarm, BreakerState, Event, Finding, LedgerState
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.policy import breaker
from workspace_reaper.policy.idle import AgeClock
from workspace_reaper.policy.protections import PROVEN_WHEN
from workspace_reaper.policy.rules import ARCHIVED
from workspace_reaper.sweep import alarms
from workspace_reaper.sweep.last_report import read_report
from workspace_reaper.sweep.report import SweepReport, iso

# The latest events that are searched.
_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the reaper.

    ``report`` is the last full report as JSON, None before the first. ``last_complete`` is in Unix seconds. ``configured`` is
    False if there is no database to ask: then no sweep ever runs. ``announced`` are the announced sessions as in
    ``status --json``. ``daemon`` is the daemon that uses the state directory, None if none runs. ``generation`` grows whenever
    another registry is found; ``changed`` is the event of the last time.
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
    daemon: Holder | None = None

    @property
    def check_code(self) -> int:
        """The exit code for monitoring: 0 all is well or the reaper is switched off, 1 an alarm, 3 not configured or never
        swept.

        A ledger that cannot be read raises before there is a status. It is 3 as well.
        """
        if not self.configured:
            return 3
        if not self.enabled:
            return 0
        if self.report is None:
            return 3
        return 1 if self.alarms else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the object that ``status --json`` prints."""
        empty = SweepReport("", 0.0).as_dict() | {"sweep": None, "started_at": None, "complete": False, "registry": {}}
        report = self.report if self.report is not None else empty
        registry = report["registry"]
        return {
            **report,
            "enabled": self.enabled,
            "daemon": None if self.daemon is None else {"pid": self.daemon.pid, "since": self.daemon.since},
            "alarms": [
                {"name": alarm.name, "since": iso(alarm.since), "detail": alarm.detail, "clears_when": alarm.clears_when}
                for alarm in self.alarms
            ],
            "breaker": breaker.as_json(self.breaker),
            "last_complete_sweep": iso(self.last_complete),
            "announced": [dict(one) for one in self.announced],
            "renamed": [
                {name: entry[name] for name in ("socket", "session", "session_id", "workspace_id")}
                for entry in report["sessions"]
                if (entry.get("evidence") or {}).get("renamed")
            ],
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


def read_status(reaper: Reaper) -> Status:
    """Return the state of the reaper. Raises ``LedgerError``."""
    settings, now = reaper.settings, reaper.clock.now()
    with reaper.reading() as ledger:
        report = read_report(ledger)
        state = ledger.load_state((), now)
        generation = state.registry.generation
        return Status(
            report=report,
            alarms=[*_blind(state, settings.tick, now), *state.alarms.values()]
            if settings.enabled
            else [*state.alarms.values()],
            breaker=state.breaker,
            last_complete=state.last_complete,
            enabled=settings.enabled,
            configured=settings.configured,
            announced=_announced(state, report["sessions"] if report else (), settings.undo_window),
            generation=generation,
            changed=_registry_change(ledger) if generation > 1 else None,
            daemon=InstanceLock(settings.state_dir).holder(),
        )


def _blind(state: LedgerState, tick: float, now: float) -> list[Alarm]:
    """Return the alarm "no complete sweep" if it is due and not recorded: while no sweep runs, none can record it."""
    if "blind" in state.alarms:
        return []
    first = state.alarms.get("unreadable")
    alarm = alarms.blind(state.last_complete, tick, now, began=first.since if first else None)
    return [alarm] if alarm else []


def _registry_change(ledger: Ledger) -> Event | None:
    return next((event for event in ledger.events(_EVENTS) if event.kind == "registry changed"), None)


def _announced(state: LedgerState, entries: Sequence[Mapping[str, Any]], undo_window: float) -> list[dict[str, Any]]:
    """Return the announced sessions. The ledger counts: a hook or ``undo`` may have changed them since the last full sweep."""
    known = {(entry["socket"], entry["session_id"]): entry for entry in entries}
    found, age_clock = [], AgeClock(state.clock.skews)
    for (key, finding), confirmation in sorted(state.confirmations.items()):
        entry = known.get((key.socket, key.session_id), {})
        if finding is Finding.ANNOUNCED and entry.get("outcome") != Outcome.REAPED.value:
            found.append(
                {
                    "socket": key.socket,
                    "session": entry.get("session") or key.session_id,
                    # Between two full sweeps only a hook announces, and only an archived workspace.
                    "reason": entry.get("reason") or ARCHIVED.reported_as,
                    "deadline": iso(age_clock.moved(confirmation.first_at) + undo_window),
                }
            )
    return found


def read_history(reaper: Reaper, limit: int) -> list[Reap]:
    """Return the latest reaps, newest first. Raises ``LedgerError``."""
    with reaper.reading() as ledger:
        return ledger.history(limit)


def read_breaker(reaper: Reaper) -> BreakerState:
    """Return the breaker as the last full sweep left it. Raises ``LedgerError``."""
    with reaper.reading() as ledger:
        return ledger.load_state((), reaper.clock.now()).breaker
