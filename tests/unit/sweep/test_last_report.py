"""The last report is written whole only if more than ages has changed, and is checked when it is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.tools.builders import DAY, NOW, entry, facts, row, session
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.sweep.last_report import LastReport, read_report
from workspace_reaper.sweep.report import SessionReport, SweepReport


class Stored:
    """The part of a ledger that keeps the last report."""

    def __init__(self) -> None:
        self.parts: tuple[str, str] | None = None
        self.sweep = ""
        self.writes: list[str] = []

    def save_report(self, head: str, sessions: str, *, sweep: str, at: float, complete: bool) -> None:
        self.parts, self.sweep = (head, sessions), sweep
        self.writes.append("all")

    def touch_report(self, head: str, *, same: str, at: float, complete: bool) -> bool:
        if self.parts is None or same != self.sweep:
            return False
        self.parts = head, self.parts[1]
        self.writes.append("head")
        return True

    def last_report(self) -> tuple[str, str] | None:
        return self.parts


def report(sweep: str, at: float, *sessions: SessionReport) -> SweepReport:
    return SweepReport(sweep, at, sessions=list(sessions))


def line(at: float, **changes: Any) -> SessionReport:
    return entry(verdict=Verdict.KEEP, judgement=None, facts=replace(facts(row()), now=at, **changes))


def read(stored: Any) -> dict[str, Any]:
    found = read_report(stored)
    assert found is not None
    return found


def test_where_only_ages_have_changed_the_sessions_are_not_written_again() -> None:
    stored, last = Stored(), LastReport()
    last.save(stored, report("one", NOW, line(NOW)))  # type: ignore[arg-type]
    before = read(stored)["sessions"][0]["evidence"]
    last.save(stored, report("two", NOW + 60, line(NOW + 60)))  # type: ignore[arg-type]
    assert stored.writes == ["all", "head"]
    after = read(stored)["sessions"][0]["evidence"]
    assert (read(stored)["sweep"], after["age_seconds"]) == ("two", before["age_seconds"] + 60)
    assert after["idle_seconds"] == before["idle_seconds"] + 60


def test_what_could_not_be_judged_has_no_ages_and_those_of_the_others_go_on() -> None:
    stored, last, unread = Stored(), LastReport(), entry(2, facts=None)
    for now in (NOW, NOW + 60):
        last.save(stored, report("sweep", now, unread, line(now)))  # type: ignore[arg-type]
    assert stored.writes == ["all", "head"]
    first, second = (one["evidence"] for one in read(stored)["sessions"])
    assert (first, second["age_seconds"]) == (None, 7 * DAY + 60)


def test_an_age_that_begins_in_the_future_stays_zero() -> None:
    stored, last = Stored(), LastReport()
    for now in (NOW, NOW + 120):
        of = replace(facts(row(), session=session(age=-600, idle=-600)), now=now)
        last.save(stored, report("sweep", now, entry(verdict=Verdict.KEEP, judgement=None, facts=of)))  # type: ignore[arg-type]
        shown = read(stored)["sessions"][0]["evidence"]
        assert (shown["age_seconds"], shown["idle_seconds"]) == (0, 0)


def test_whatever_else_changes_is_written() -> None:
    stored, last = Stored(), LastReport()
    lines = line(NOW), line(NOW, confirmations=2), line(NOW, veto="deploying"), line(NOW, latched=True)
    for one in (*lines, replace(line(NOW), protected_by="kept"), replace(line(NOW), deadline=NOW + 600.0), entry(facts=None)):
        last.save(stored, report("sweep", NOW, one))  # type: ignore[arg-type]
    assert stored.writes == ["all"] * 7


def test_a_report_that_another_reaper_has_written_since_is_replaced() -> None:
    stored, last = Stored(), LastReport()
    last.save(stored, report("one", NOW, line(NOW)))  # type: ignore[arg-type]
    LastReport().save(stored, report("of another", NOW, entry()))  # type: ignore[arg-type]
    last.save(stored, report("two", NOW, line(NOW)))  # type: ignore[arg-type]
    assert stored.writes == ["all"] * 3


def test_there_is_no_report_yet() -> None:
    assert read_report(Stored()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "damage",
    [
        lambda head, sessions: ("{", sessions),
        lambda head, sessions: (head, "[]"),
        lambda head, sessions: (head.replace('"managed":1', '"managed":"1"'), sessions),
        lambda head, sessions: (head.replace('"complete":true', '"complete":1'), sessions),
        lambda head, sessions: (head, sessions.replace('"session":"ws_w1"', '"session":7')),
        lambda head, sessions: (json.dumps({"at": NOW}), sessions),
    ],
)
def test_a_damaged_report_is_an_error_with_what_follows(damage: Any) -> None:
    stored = Stored()
    LastReport().save(stored, report("one", NOW, line(NOW)))  # type: ignore[arg-type]
    assert stored.parts is not None
    stored.parts = damage(*stored.parts)
    with pytest.raises(LedgerError, match="the next sweep writes a new one"):
        read_report(stored)  # type: ignore[arg-type]
