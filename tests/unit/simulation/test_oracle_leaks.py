"""Sessions that live on unreported, and sweeps that were blind and did not say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.simulation.oracle import judge_leaks
from tests.simulation.oracle.truth_reaper import Limits
from tests.simulation.oracle.truth_reports import REGISTRY, Alarm, Report, Stay

LIMITS = Limits()
SOCKET = "/tmp/s"
STAY = Stay(SOCKET, "ws-a", ("orphan",), due_since=0.0)
# An hour of sweeps, one each minute.
HOUR = tuple(Report(60.0 * each, 60.0 * each + 1) for each in range(60))
BLIND = {"complete": False, "exit_code": 3}


def each(reports: Sequence[Report], **changes: object) -> list[Report]:
    return [replace(report, **changes) for report in reports]


def rules(reports: Sequence[Report], *stays: Stay) -> list[str]:
    return [violation.rule for violation in judge_leaks(stays, reports, LIMITS)]


@pytest.mark.parametrize(
    "reports",
    [
        pytest.param(HOUR, id="no alarm"),
        pytest.param(each(HOUR, alarms=(Alarm("overdue", frozenset({"ws-b"})),)), id="an alarm for another session"),
        pytest.param([*each(HOUR[:-1], alarms=(Alarm("overdue"),)), HOUR[-1]], id="an alarm that ended"),
        pytest.param(
            each(HOUR, unknown=frozenset({SOCKET}), **BLIND)[:9] + list(HOUR[9:]), id="says that it was blind, and was not"
        ),
        pytest.param(each(HOUR, exit_code=1), id="an exit code without an alarm"),
    ],
)
def test_a_session_that_lives_on_unreported_is_a_leak(reports: Sequence[Report]) -> None:
    assert rules(reports, STAY) == ["silent"]


@pytest.mark.parametrize(
    ("reports", "stay"),
    [
        pytest.param(each(HOUR, alarms=(Alarm("overdue", frozenset({"ws-a"})),)), STAY, id="an alarm names it"),
        pytest.param(each(HOUR, alarms=(Alarm("breaker"),)), STAY, id="an alarm about the reaper"),
        pytest.param(HOUR[:36], STAY, id="not yet for longer than the limit and the slack"),
        pytest.param(HOUR, replace(STAY, due_since=1600.0), id="not due for so long"),
        pytest.param(each(HOUR, full=False), STAY, id="no full sweep"),
        pytest.param(
            each(HOUR, blind=frozenset({SOCKET}), unknown=frozenset({SOCKET}), alarms=(Alarm("blind"),), **BLIND),
            STAY,
            id="a socket that cannot be read, reported",
        ),
        pytest.param(
            each(HOUR, blind=frozenset({REGISTRY}), unknown=frozenset({REGISTRY}), alarms=(Alarm("blind"),), **BLIND),
            STAY,
            id="a registry that cannot be read, reported",
        ),
        pytest.param(
            [replace(HOUR[0], began=each * 7e4, ended=each * 7e4) for each in range(7)], STAY, id="it hardly ever ran"
        ),
    ],
)
def test_a_session_that_is_reported_or_out_of_sight_is_none(reports: Sequence[Report], stay: Stay) -> None:
    assert rules(reports, stay) == []


def test_a_leak_is_seen_as_soon_as_limit_and_slack_are_over() -> None:
    assert rules(HOUR[:37], STAY) == ["silent"]


SEEN = replace(HOUR[0], blind=frozenset({SOCKET}), unknown=frozenset({SOCKET}), complete=False, exit_code=3)


@pytest.mark.parametrize(
    ("report", "found"),
    [
        pytest.param(SEEN, [], id="reported"),
        pytest.param(replace(SEEN, exit_code=1), [], id="something failed as well"),
        pytest.param(replace(SEEN, exit_code=0), ["exit code"], id="exit code 0"),
        pytest.param(replace(SEEN, complete=True), ["complete"], id="complete"),
        pytest.param(replace(SEEN, unknown=frozenset({REGISTRY})), ["unreported"], id="another one is unknown"),
    ],
)
def test_a_sweep_that_cannot_see_says_so(report: Report, found: list[str]) -> None:
    assert rules([report]) == found


@pytest.mark.parametrize(
    ("reports", "found"),
    [
        pytest.param(each(HOUR, complete=False), ["blind"], id="an hour without a complete sweep"),
        pytest.param(each(HOUR, complete=False, alarms=(Alarm("blind"),)), [], id="with an alarm"),
        pytest.param([*each(HOUR[:-1], complete=False), HOUR[-1]], [], id="the last one is complete"),
        pytest.param([*HOUR[:-8], *each(HOUR[-8:], complete=False)], [], id="not for long"),
        pytest.param([*HOUR, *each(HOUR, full=False, complete=False)], [], id="no full sweeps"),
        pytest.param([], [], id="no sweep"),
    ],
)
def test_an_hour_without_a_complete_sweep_is_an_alarm(reports: Sequence[Report], found: list[str]) -> None:
    assert rules(reports) == found
