"""The lines of a sweep in the host's log."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.tools.builders import NOW, SOCKET, blind_socket, entry
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.state import Event
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.sweep.log import SweepLog, log_event
from workspace_reaper.sweep.report import SweepReport

Lines = list[tuple[str, str]]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Any:
    """What was logged since it was called last: level and message."""
    caplog.set_level(logging.INFO, "workspace_reaper")

    def lines() -> Lines:
        found = [(record.levelname, record.message) for record in caplog.records]
        caplog.clear()
        return found

    return lines


def test_an_event_has_its_fields_on_the_record_and_nothing_unprintable(caplog: pytest.LogCaptureFixture) -> None:
    log_event(logging.WARNING, "odd \x1b[31m", event="odd", session="a")
    (record,) = caplog.records
    assert (record.message, record.fields) == ("odd \\x1b[31m", {"event": "odd", "session": "a"})  # type: ignore[attr-defined]


def test_only_outcomes_of_selected_sessions_are_logged(log: Any) -> None:
    outcomes = (Outcome.NONE, Outcome.WOULD_REAP, Outcome.REAPED, Outcome.SPARED, Outcome.FAILED)
    report = SweepReport("sweep", NOW)
    report.sessions = [entry(number, outcome=outcome) for number, outcome in enumerate(outcomes)]
    SweepLog().write(report)
    found = log()
    told = [(level, text.split()[0]) for level, text in found]
    assert told == [("WARNING", "reaped"), ("INFO", "spared"), ("ERROR", "failed")]
    assert found[0][1] == f"reaped socket={SOCKET} session=ws_w2 workspace=w2 reason=orphan reap=None protected_by=None"


def test_events_and_failed_vetoes_are_logged(log: Any) -> None:
    report = SweepReport("sweep", NOW)
    report.events = [Event(NOW, "alarm", "overdue: late"), Event(NOW, "alarm over", "overdue"), Event(NOW, "canary", "OK")]
    report.vetoes = ["no usable answer from the plugin guard, which counts as a veto of every session: slow"]
    SweepLog().write(report)
    assert log() == [
        ("WARNING", "alarm: overdue: late"),
        ("INFO", "alarm over: overdue"),
        ("INFO", "canary: OK"),
        ("WARNING", "no usable answer from the plugin guard, which counts as a veto of every session: slow"),
    ]


def test_what_cannot_be_read_is_logged_when_it_begins_and_when_it_ends(log: Any) -> None:
    writer, blind, clear = SweepLog(), SweepReport("a", NOW, unknown=[blind_socket()]), SweepReport("b", NOW)
    writer.write(blind)
    assert [level for level, _ in log()] == ["WARNING"]
    writer.write(blind)
    assert log() == []
    writer.write(SweepReport("hook", NOW, full=False))
    assert log() == [], "a look at one workspace does not see the other sockets"
    writer.write(clear)
    assert log() == [("INFO", f"no longer unknown: socket {blind_socket().socket}")]


def test_another_reason_at_the_same_place_does_not_end_it(log: Any) -> None:
    writer = SweepLog()
    writer.write(SweepReport("a", NOW, unknown=[blind_socket()]))
    log()
    writer.write(SweepReport("b", NOW, unknown=[Unknown(Source.SOCKET, "refused", blind_socket().socket)]))
    assert [text for _, text in log()] == ["unknown socket, so none of its sessions are reaped: refused"]


def test_without_a_ledger_it_is_an_error(log: Any) -> None:
    SweepLog().write(SweepReport("a", NOW, unknown=[Unknown(Source.LEDGER, "the disk is full")]))
    assert [level for level, _ in log()] == ["ERROR"]
