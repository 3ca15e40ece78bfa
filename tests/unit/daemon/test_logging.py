"""The daemon's log lines: one for each event, in order, and nobody's name breaks them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator

import pytest

from workspace_reaper.daemon.logging import LogFormat, formatter, thread_failed
from workspace_reaper.sweep.log import log_event


class Lines(logging.Handler):
    """What a log format makes of each record."""

    def __init__(self, log_format: LogFormat) -> None:
        super().__init__()
        self.setFormatter(formatter(log_format))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.created = 1795341600.25
        self.lines.append(self.format(record))


@pytest.fixture(params=["keyvalue", "json"])
def log_format(request: pytest.FixtureRequest) -> LogFormat:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def lines(log_format: LogFormat) -> Iterator[list[str]]:
    handler = Lines(log_format)
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler.lines
    root.removeHandler(handler)


def test_a_line_has_time_level_event_and_fields(lines: list[str], log_format: LogFormat) -> None:
    log_event(logging.ERROR, "failed session=a by=b", event="failed", session="a b", by=None, freed=3, complete=True)
    assert lines == [
        {
            "keyvalue": 'timestamp=2026-11-22T10:00:00.250Z level=error event=failed session="a b" freed=3 complete=true',
            "json": '{"timestamp": "2026-11-22T10:00:00.250Z", "level": "error", "event": "failed", "session": "a b", '
            '"freed": 3, "complete": true}',
        }[log_format]
    ]


def test_without_an_event_the_message_is_it(lines: list[str], log_format: LogFormat) -> None:
    logging.getLogger("workspace_hookspecs").warning("plugin %r is closed", "x")
    (line,) = lines
    assert ("event=\"plugin 'x' is closed\"" if log_format == "keyvalue" else '"event": "plugin \'x\' is closed"') in line
    assert "logger" not in line


def test_who_says_it_is_told_of_others_only(lines: list[str], log_format: LogFormat) -> None:
    logging.getLogger("workspace_reaper.daemon").warning("ours")
    logging.getLogger("somebody.else").warning("theirs")
    assert ["somebody.else" in line for line in lines] == [False, True]


ODD = 'a\nb\r\x1b[31m\u2028"quoted" level=error \\'


def test_a_name_breaks_no_line(lines: list[str], log_format: LogFormat) -> None:
    log_event(logging.WARNING, f"odd {ODD}", session=ODD, place=[ODD])
    logging.getLogger("somebody.else").warning("%s", ODD)
    for line in lines:
        assert line.isprintable()
        assert line.splitlines() == [line]
    if log_format == "json":
        assert json.loads(lines[0])["session"] == 'a\\nb\\r\\x1b[31m\\u2028"quoted" level=error \\'
    else:
        assert lines[0].count(" level=") == 4, "one of its own, and those in names, which are quoted"
        assert r'session="a\\nb\\r\\x1b[31m\\u2028\"quoted\" level=error \\"' in lines[0]


def test_an_error_with_its_traceback_is_one_line(lines: list[str], log_format: LogFormat) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("workspace_reaper").exception("a sweep failed")
    (line,) = lines
    assert line.isprintable()
    assert "Traceback" in line
    assert "ValueError: two" in line


def test_a_record_points_at_who_told_it(caplog: pytest.LogCaptureFixture) -> None:
    log_event(logging.WARNING, "here")
    assert caplog.records[0].filename == "test_logging.py"
    assert caplog.records[0].fields == {}  # type: ignore[attr-defined]


def test_an_error_that_ends_a_thread_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    thread = threading.Thread(name="theirs")
    error = ValueError("two\nlines")
    thread_failed(threading.ExceptHookArgs((ValueError, error, None, thread)))
    thread_failed(threading.ExceptHookArgs((ValueError, error, None, None)))
    assert [record.getMessage() for record in caplog.records] == [
        "theirs ended with an error: ValueError: two\\nlines",
        "a thread ended with an error: ValueError: two\\nlines",
    ]
    assert {record.levelname for record in caplog.records} == {"CRITICAL"}
