"""What an operator asks of the reaper between sweeps: how it is, from its ledger alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workspace_reaper import breaker
from workspace_reaper.alarms import blind
from workspace_reaper.journal import read_report
from workspace_reaper.memory import Alarm, BreakerState
from workspace_reaper.ports import Ledger
from workspace_reaper.report import SweepReport, iso

__all__ = ["Status", "read_status"]


@dataclass(frozen=True, slots=True)
class Status:
    """``report`` is the last full report as JSON, None if there never was one. ``last_complete`` is in Unix seconds.

    ``configured`` False: there is no database to ask, so nothing is ever swept.
    """

    report: dict[str, Any] | None
    alarms: Sequence[Alarm]
    breaker: BreakerState
    last_complete: float | None
    enabled: bool
    configured: bool = True

    @property
    def check_code(self) -> int:
        """For monitoring: 0 fine (or switched off), 1 an alarm, 3 there is nothing to see yet."""
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
            "registry": {
                "identity": registry.get("identity"),
                "rows": registry.get("rows"),
                "rows_capped": registry.get("rows_capped", False),
            },
        }


def read_status(ledger: Ledger, *, tick: float, enabled: bool, now: float, configured: bool = True) -> Status:
    """The state of the reaper as its ledger has it. ``tick`` is in seconds, ``now`` in Unix seconds; raises ``LedgerError``."""
    report = read_report(ledger)
    memory = ledger.recall((), now)
    last_complete = memory.last_complete
    alarms = list(memory.alarms.values())
    late = blind(last_complete, tick, now) if enabled else None
    return Status(
        report=report,
        alarms=[late, *alarms] if late else alarms,
        breaker=memory.breaker,
        last_complete=last_complete,
        enabled=enabled,
        configured=configured,
    )
