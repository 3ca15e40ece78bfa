"""What the reaper says in the log of its host: each event is one line, and its fields hang on the record for logs that have
fields. Importing this is light."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workspace_reaper.model.unknown import Unknown
    from workspace_reaper.sweep.report import SessionReport, SweepReport

__all__ = ["SweepLog", "tell"]

_log = logging.getLogger("workspace_reaper")

_LOUD = frozenset({"alarm", "breaker latched", "clock set", "registry changed"})
"""Events that an operator should see without asking."""

_ALARMS = frozenset({"alarm", "alarm over"})


def tell(level: int, message: str, /, **fields: object) -> None:
    """Log a message that needs nothing else to be understood; what is not printable in it is escaped.

    The record has the ``fields`` as its attribute ``fields``, where ``event`` stands for the message.
    """
    from workspace_reaper.sweep.report import printable

    _log.log(level, "%s", printable(message), extra={"fields": fields}, stacklevel=2)


class SweepLog:
    """The lines of all sweeps. What can't be seen is told when it begins and when it is over, not with each sweep."""

    def __init__(self) -> None:
        self._unknown: frozenset[Unknown] = frozenset()

    def tell(self, report: SweepReport) -> None:
        """What this sweep did, and what it could not see."""
        from workspace_reaper.model.reap import Outcome  # late: importing this module stays light

        for entry in report.sessions:
            if entry.outcome in {Outcome.REAPED, Outcome.SPARED, Outcome.FAILED}:
                level = logging.ERROR if entry.outcome is Outcome.FAILED else logging.INFO
                tell(level, _sentence(entry), **_fields(entry))
        for event in report.events:
            level = logging.WARNING if event.kind in _LOUD else logging.INFO
            # The detail of an alarm begins with its name.
            alarm = {"alarm": event.detail.partition(":")[0]} if event.kind in _ALARMS else {}
            tell(level, f"{event.kind}: {event.detail}", event=event.kind, **alarm, detail=event.detail)
        for text in report.vetoes:
            tell(logging.WARNING, text)
        self._tell_unknown(report)

    def _tell_unknown(self, report: SweepReport) -> None:
        before, now = self._unknown, frozenset(report.unknown)
        for unknown in _in_order(now - before):
            text = f"unknown {unknown.source.value}, so nothing of it is reaped: {unknown.reason}"
            # Without a ledger nothing is reaped at all.
            level = logging.ERROR if unknown.source.value == "ledger" else logging.WARNING
            tell(level, text, event="unknown", **_place(unknown), why=unknown.reason)
        if not report.full or report.dry_run:
            self._unknown = before | now
            return
        self._unknown = now
        places = [_place(unknown) for unknown in now]
        over = {str(_place(unknown)): _place(unknown) for unknown in _in_order(before) if _place(unknown) not in places}
        for place in over.values():
            text = " ".join(str(value) for value in place.values() if value is not None)
            tell(logging.INFO, f"no longer unknown: {text}", event="no longer unknown", **place)


def _sentence(entry: SessionReport) -> str:
    return (
        f"{entry.outcome} socket={entry.socket} session={entry.session} workspace={entry.workspace_id} "
        f"reason={entry.reason} reap={entry.reap_id} by={entry.protected_by}"
    )


def _fields(entry: SessionReport) -> dict[str, object]:
    return {
        "event": entry.outcome.value,
        "socket": entry.socket,
        "session": entry.session,
        "workspace": entry.workspace_id,
        "reason": entry.reason,
        "reap": entry.reap_id,
        "by": entry.protected_by,
        "freed_bytes": entry.aftermath.freed_bytes if entry.aftermath else None,
    }


def _place(unknown: Unknown) -> dict[str, str | None]:
    return {"source": unknown.source.value, "socket": unknown.socket, "session": unknown.session}


def _in_order(several: frozenset[Unknown]) -> Iterator[Unknown]:
    yield from sorted(several, key=lambda one: (one.source.value, one.socket or "", one.session or "", one.reason))
