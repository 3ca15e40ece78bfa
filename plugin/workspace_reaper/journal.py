"""Keeps the last full report in the ledger, and writes its sessions only if more about them changed than their ages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from workspace_reaper.ports import Ledger
from workspace_reaper.report import SessionReport, SweepReport

__all__ = ["Journal", "read_report"]

_AGES = ("idle_seconds", "age_seconds", "cpu_idle_seconds")


class Journal:
    """One for the life of a reaper: it remembers what it wrote last."""

    def __init__(self) -> None:
        self._written: list[tuple[object, ...]] | None = None
        self._sweep = ""

    def save(self, ledger: Ledger, report: SweepReport) -> None:
        """Keep this report. Raises ``LedgerError``."""
        facts, at, complete = [_facts(entry) for entry in report.sessions], report.started_at, report.complete
        head = json.dumps(report.head() | {"at": at}, separators=(",", ":"))
        if facts == self._written and ledger.touch_report(head, same=self._sweep, at=at, complete=complete):
            return
        sessions = {"at": at, "sessions": [entry.as_json() for entry in report.sessions]}
        text = json.dumps(sessions, separators=(",", ":"))
        ledger.save_report(head, text, sweep=report.sweep, at=at, complete=complete)
        self._written, self._sweep = facts, report.sweep


def _facts(entry: SessionReport) -> tuple[object, ...]:
    """All that an entry tells but the ages."""
    facts = entry.facts
    about = (entry.socket, entry.session, entry.workspace_id, entry.verdict, entry.reason, entry.protected_by)
    if facts is None:
        return (*about, entry.outcome, entry.reap_id)
    told: tuple[object, ...] = (facts.session, facts.row, facts.confirmations, facts.proven, facts.testimony, facts.detached_at)
    told += (facts.busy_at, facts.announced_at)
    return (*about, entry.outcome, entry.reap_id, *told)


def read_report(ledger: Ledger) -> dict[str, Any] | None:
    """The last full report as ``sweep --json`` printed it, or None. Raises ``LedgerError``."""
    saved = ledger.last_report()
    if saved is None:
        return None
    head, written = (json.loads(text) for text in saved)
    at = head.pop("at")
    return {**head, "sessions": _aged(written["sessions"], at - written["at"])}


def _aged(sessions: Sequence[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """The entries as of so much later: nothing but the ages has changed since."""
    for entry in sessions:
        evidence = entry["evidence"]
        if evidence is not None:
            evidence.update({name: evidence[name] + round(seconds) for name in _AGES if evidence.get(name) is not None})
    return list(sessions)
