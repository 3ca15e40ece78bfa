"""Sessions that come back, and processes that stay, after a reap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.simulation.history import History, Result
from tests.simulation.oracle import Leftover, Return, judge_leftovers, judge_returns
from tests.simulation.oracle.returns import LATELY
from tests.simulation.oracle.truth_reports import Alarm, Report
from tests.simulation.plan import LOOK_ARCHIVED, LOSE_STATE, SWEEP, Event, Plan, Step

BACK = Return("$2", reaped_at=100.0, recorded_at=101.0, created=110.0)
REPORT = Report(began=120.0, ended=121.0)


@pytest.mark.parametrize(
    ("changes", "report", "found"),
    [
        pytest.param({}, {}, ["came back"], id="nothing says so"),
        pytest.param({}, {"alarms": (Alarm("came-back"),)}, [], id="an alarm about any"),
        pytest.param({}, {"alarms": (Alarm("came-back", frozenset({"$2"})),)}, [], id="an alarm about it"),
        pytest.param({}, {"alarms": (Alarm("came-back", frozenset({"$3"})),)}, ["came back"], id="an alarm about another"),
        pytest.param({}, {"alarms": (Alarm("doubt"),)}, ["came back"], id="another alarm"),
        pytest.param({}, {"complete": False}, [], id="a sweep that could not see all"),
        pytest.param({}, {"full": False}, [], id="a look at one workspace"),
        pytest.param({"created": 120.5}, {}, [], id="made during the sweep"),
        pytest.param({"recorded_at": None}, {}, [], id="a crash before the outcome was recorded"),
        pytest.param({"recorded_at": 120.5}, {}, [], id="recorded in this sweep"),
        pytest.param({"is_due": False}, {}, [], id="the workspace lives again"),
        pytest.param({"reaped_at": 121.0 - LATELY}, {}, [], id="a day ago"),
    ],
)
def test_what_comes_back_is_reported(changes: dict[str, Any], report: dict[str, Any], found: list[str]) -> None:
    assert [one.rule for one in judge_returns([replace(BACK, **changes)], replace(REPORT, **report))] == found


@pytest.mark.parametrize(
    ("can_be_traced", "is_reported", "found"),
    [
        pytest.param(True, False, ["leftover"], id="silent"),
        pytest.param(True, True, [], id="reported"),
        pytest.param(False, False, [], id="nothing shows whose it is"),
    ],
)
def test_what_stays_is_reported(can_be_traced: bool, is_reported: bool, found: list[str]) -> None:
    leftover = Leftover(7, "$1", can_be_traced=can_be_traced, is_reported=is_reported)
    assert [one.rule for one in judge_leftovers([leftover], 9.0)] == found


def story(*whats: str) -> tuple[History, Result]:
    """A history in which these things happen to the first workspace."""
    history = History(Plan(0, 2, tuple(Step(Event(what)) for what in whats)))
    result = history.run()
    assert result.violations == []
    return history, result


def test_a_session_that_the_host_starts_again_comes_back() -> None:
    _, result = story(SWEEP, "archive", LOOK_ARCHIVED, "start again", SWEEP)
    assert result.counts["session came back"] > 0


def test_it_does_not_come_back_for_a_reaper_that_has_lost_its_state() -> None:
    _, result = story(SWEEP, "archive", LOOK_ARCHIVED, "start again", LOSE_STATE, SWEEP)
    assert result.counts["session came back"] == 0


@pytest.mark.parametrize("what", ["escape", "escape stopped"])
def test_what_escaped_ends_with_its_session(what: str) -> None:
    history, _ = story(SWEEP, what, "archive", LOOK_ARCHIVED)
    assert not [one for one in history.world.machine.processes.values() if one.owner.startswith("w0/")]


def test_what_cannot_be_traced_is_reported() -> None:
    history, _ = story(SWEEP, "escape cleaned", "archive", LOOK_ARCHIVED)
    [left] = [one for one in history.world.machine.processes.values() if one.owner.startswith("w0/")]
    assert [one.pid for one in history.ledger.history(1)[0].cleanup.survivors] == [left.pid]
