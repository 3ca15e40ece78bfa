"""The reaper's lines in the log of its host. Each event is one line; its fields are on the record, for structured logs.

Importing this module is light.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from workspace_reaper.util.log import log_event

if TYPE_CHECKING:
    from workspace_reaper.model.unknown import Unknown
    from workspace_reaper.sweep.report import SessionReport, SweepReport

__all__ = ["SweepLog", "log_event"]

# Events that are logged as warnings.
_WARNINGS = frozenset({"alarm", "breaker latched", "clock set", "registry changed"})

_ALARMS = frozenset({"alarm", "alarm over"})


class SweepLog:
    """Logs what sweeps did. What could not be read is logged when it begins and when it ends, not with each sweep."""

    def __init__(self) -> None:
        self._unknown: frozenset[Unknown] = frozenset()

    def write(self, report: SweepReport) -> None:
        """Log what this sweep did, and what it could not read."""
        from workspace_reaper.model.reap import Outcome

        # A host that has not configured logging shows nothing below a warning, and somebody may look for the session.
        levels = {Outcome.REAPED: logging.WARNING, Outcome.SPARED: logging.INFO, Outcome.FAILED: logging.ERROR}
        for entry in report.sessions:
            if entry.outcome in levels:
                log_event(levels[entry.outcome], _sentence(entry), **_fields(entry))
        for event in report.events:
            level = logging.WARNING if event.kind in _WARNINGS else logging.INFO
            # The detail of an alarm begins with its name.
            alarm = {"alarm": event.detail.partition(":")[0]} if event.kind in _ALARMS else {}
            log_event(level, f"{event.kind}: {event.detail}", event=event.kind, **alarm, detail=event.detail)
        for text in report.vetoes:
            log_event(logging.WARNING, text)
        self._write_unknown(report)

    def _write_unknown(self, report: SweepReport) -> None:
        before, now = self._unknown, frozenset(report.unknown)
        for unknown in _sorted(now - before):
            text = f"unknown {unknown.source.value}, so none of its sessions are reaped: {unknown.reason}"
            # Without a ledger nothing is reaped at all.
            level = logging.ERROR if unknown.source.value == "ledger" else logging.WARNING
            log_event(level, text, event="unknown", **_place(unknown), why=unknown.reason)
        if not report.full or report.dry_run:
            self._unknown = before | now
            return
        self._unknown = now
        places = [_place(unknown) for unknown in now]
        for place in dict.fromkeys(tuple(_place(unknown).items()) for unknown in _sorted(before)):
            if dict(place) not in places:
                text = " ".join(value for _, value in place if value is not None)
                log_event(logging.INFO, f"no longer unknown: {text}", event="no longer unknown", **dict(place))


def _sentence(entry: SessionReport) -> str:
    return (
        f"{entry.outcome} socket={entry.socket} session={entry.session} workspace={entry.workspace_id} "
        f"reason={entry.reason} reap={entry.reap_id} protected_by={entry.protected_by}"
    )


def _fields(entry: SessionReport) -> dict[str, object]:
    return {
        "event": entry.outcome.value,
        "socket": entry.socket,
        "session": entry.session,
        "workspace": entry.workspace_id,
        "reason": entry.reason,
        "reap": entry.reap_id,
        "protected_by": entry.protected_by,
        "freed_bytes": entry.cleanup.freed_bytes if entry.cleanup else None,
    }


def _place(unknown: Unknown) -> dict[str, str | None]:
    return {"source": unknown.source.value, "socket": unknown.socket, "session": unknown.session}


def _sorted(unknown: Iterable[Unknown]) -> list[Unknown]:
    return sorted(unknown, key=lambda one: (one.source.value, one.socket or "", one.session or "", one.reason))
