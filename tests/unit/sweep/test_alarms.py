"""The reaper watches itself: which alarms there are, since when, and what ends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.tools.builders import (
    HOUR,
    MINUTE,
    NOW,
    OTHER_SOCKET,
    SOCKET,
    blind_socket,
    entry,
    ledger_state,
    session_key,
    unreadable,
)
from workspace_reaper.model.state import Alarm, BreakerState, Confirmation, Event, Finding
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy.confirmations import RETRIES, Confirmations
from workspace_reaper.sweep.alarm_kind import AlarmLimits, SweepResult
from workspace_reaper.sweep.alarms import (
    ALARMS,
    BLIND_TICKS,
    blind,
    changes,
    misconfigured,
    raised,
    turns,
)
from workspace_reaper.sweep.report import SessionReport

LIMIT = 30 * MINUTE
TICK = 60


def alarms(
    sessions: Sequence[SessionReport] = (),
    unknown: Sequence[Unknown] = (),
    confirmations: Mapping[Any, Confirmation] | None = None,
    *,
    breaker: BreakerState | None = None,
    lately: Mapping[tuple[str, str], float] | None = None,
    before: Mapping[str, Alarm] | None = None,
    last_complete: float | None = NOW - TICK,
    vetoes: Sequence[str] = (),
) -> dict[str, Alarm]:
    known = ledger_state(reaped_lately=lately or {}, alarms=before or {}, last_complete=last_complete)
    limits = AlarmLimits(abstain=LIMIT, tick=TICK)
    after = Confirmations(confirmations or {}, NOW)
    return raised(SweepResult(sessions, unknown, after, breaker or BreakerState(), known, limits, NOW, vetoes))


def seen(sight: Finding, ago: float, count: int = 1, *numbers: int) -> dict[Any, Confirmation]:
    return {(session_key(number), sight): Confirmation(NOW - ago, NOW - ago, count) for number in numbers or (1,)}


def test_where_all_is_well_there_is_none() -> None:
    assert alarms([entry(1, Verdict.KEEP), entry(2, Verdict.HOLD), entry(3, outcome="reaped")]) == {}


def test_a_sweep_ends_no_alarm_that_it_can_not_raise() -> None:
    canary = Alarm("canary", NOW - HOUR, "it lived", "one is reaped")
    assert alarms(before={"canary": canary, "overdue": canary}) == {"canary": canary}


def test_what_cannot_be_read_is_an_alarm() -> None:
    found = alarms(unknown=[unreadable("ws_w1")])
    assert found == {
        "unreadable": Alarm("unreadable", NOW, "the activity of ws_w1 is empty", "a full sweep can read everything again")
    }


def test_much_that_cannot_be_read_is_told_in_short() -> None:
    unknown = [unreadable("ws_w1"), unreadable("ws_w1"), blind_socket(), unreadable("ws_w4"), unreadable("ws_w5")]
    assert alarms(unknown=unknown)["unreadable"].detail == (
        f"the activity of ws_w1 is empty; {OTHER_SOCKET}: timed out (and 2 more)"
    )


def test_three_that_cannot_be_read_are_all_told() -> None:
    unknown = [unreadable(f"ws_w{number}") for number in range(3)]
    assert alarms(unknown=unknown)["unreadable"].detail.count("ws_w") == 3
    assert "more" not in alarms(unknown=unknown)["unreadable"].detail


@pytest.mark.parametrize(("ago", "is_late"), [(LIMIT, False), (LIMIT + 1, True)], ids=["at the limit", "past it"])
def test_condemned_and_not_reaped_for_too_long(ago: float, is_late: bool) -> None:
    found = alarms([entry(1, outcome="spared")], confirmations=seen(Finding.CONDEMNED, ago))
    assert found.keys() == ({"overdue"} if is_late else set())


def test_i97_the_overdue_are_named_the_first_five_and_the_others_counted() -> None:
    numbers = range(1, 8)
    found = alarms([entry(number) for number in numbers], confirmations=seen(Finding.CONDEMNED, LIMIT + 1, 1, *numbers))
    assert found["overdue"].detail == (
        "selected for more than 1800 s and not reaped: ws_w1, ws_w2, ws_w3, ws_w4, ws_w5 and 2 more"
    )


def test_a_session_without_identity_is_never_overdue_nor_failing() -> None:
    assert alarms([entry(1, key=None)], confirmations=seen(Finding.CONDEMNED, LIMIT + 1) | seen(Finding.FAILED, 1, 9)) == {}


@pytest.mark.parametrize(("times", "is_alarm"), [(RETRIES - 1, False), (RETRIES, True)], ids=["twice", "three times"])
def test_a_kill_that_fails_again_and_again(times: int, is_alarm: bool) -> None:
    found = alarms([entry(1, outcome="failed")], confirmations=seen(Finding.FAILED, 100, times))
    assert found.keys() == ({"kill-failing"} if is_alarm else set())
    if is_alarm:
        assert found["kill-failing"].detail == "the kill failed 3 times or more: ws_w1"


LATELY = {(SOCKET, "ws_w1"): NOW - HOUR}


@pytest.mark.parametrize(
    "back",
    [
        entry(1, Verdict.HOLD),
        entry(1, Verdict.REAP, "spared"),
        entry(1, Verdict.REAP, "failed"),
        entry(1, Verdict.REAP, "reaped"),
    ],
    ids=["held", "spared", "failed", "reaped once more"],
)
def test_a_reaped_session_that_came_back(back: SessionReport) -> None:
    """Also where it is reaped again in the same sweep: a host that starts it anew each time must not go unseen (I49)."""
    found = alarms([back], lately=LATELY)
    assert found.keys() == {"came-back"}
    assert found["came-back"].detail == ("something starts reaped sessions again: ws_w1 (reaped 2026-09-21T13:13:20Z)")


@pytest.mark.parametrize("other", [entry(2), entry(1, socket=OTHER_SOCKET)], ids=["another name", "the name on another socket"])
def test_another_session_did_not_come_back(other: SessionReport) -> None:
    assert alarms([other], lately=LATELY) == {}


def test_a_latched_breaker() -> None:
    state = BreakerState(latched=True, since=NOW - HOUR, cause="3 of 3", tripped=frozenset({session_key()}))
    found = alarms(breaker=state)["breaker"]
    assert (found.since, found.detail) == (NOW - HOUR, "3 of 3")
    assert found.clears_when.startswith("each of the 1 sessions that tripped it")


def test_a_latched_breaker_of_unknown_age_is_dated_now() -> None:
    assert alarms(breaker=BreakerState(latched=True))["breaker"].since == NOW


def test_several_at_once() -> None:
    found = alarms(
        [entry(1, outcome="failed")],
        [blind_socket()],
        seen(Finding.CONDEMNED, LIMIT + 1) | seen(Finding.FAILED, 100, 3),
        breaker=BreakerState(latched=True, since=NOW),
        lately=LATELY,
    )
    assert found.keys() == {"unreadable", "overdue", "kill-failing", "came-back", "breaker"}
    assert all(alarm.name == name and alarm.detail and alarm.clears_when for name, alarm in found.items() if name != "breaker")


@pytest.mark.parametrize(
    ("ago", "is_blind"),
    [(0, False), (BLIND_TICKS * TICK, False), (BLIND_TICKS * TICK + 1, True)],
    ids=["now", "3 ticks", "more"],
)
def test_no_complete_sweep_for_three_ticks(ago: int, is_blind: bool) -> None:
    alarm = blind(NOW - ago, TICK, NOW)
    assert (alarm is not None) is is_blind
    if alarm:
        assert (alarm.name, alarm.since) == ("blind", NOW - ago)
        assert alarm.detail == "no complete sweep since 2026-09-21T14:10:19Z"


@pytest.mark.parametrize(
    ("last_complete", "ago", "since"),
    [
        pytest.param(NOW - 181, None, NOW - 181, id="it is long ago"),
        pytest.param(NOW - 180, HOUR, None, id="three ticks ago"),
        pytest.param(None, 181, NOW - 181, id="there never was one, and it has tried for long"),
        pytest.param(None, 180, None, id="there never was one in three ticks"),
        pytest.param(None, None, None, id="the first one is not complete"),
    ],
)
def test_a_sweep_that_sees_not_all_knows_since_when(last_complete: float | None, ago: int | None, since: float | None) -> None:
    before = {} if ago is None else {"unreadable": Alarm("unreadable", NOW - ago, "", "")}
    found = alarms(unknown=[blind_socket()], before=before, last_complete=last_complete).get("blind")
    assert (found and found.since) == since


def test_a_complete_sweep_in_the_future_does_not_hide_that_none_follows() -> None:
    """The clock was ahead. After a small step back the next sweep may still come in time."""
    assert blind(NOW + BLIND_TICKS * TICK, TICK, NOW) is None
    alarm = blind(NOW + HOUR, TICK, NOW)
    assert alarm is not None
    assert (alarm.since, alarm.detail) == (NOW, "no complete sweep since 2026-09-21T15:13:20Z (which is in the future)")


def test_a_complete_sweep_is_not_blind_whenever_the_last_one_was() -> None:
    assert alarms(last_complete=NOW - HOUR) == {}


BEFORE = {name: Alarm(name, NOW - HOUR, "before", "…") for name in ("came-back", "veto-failing", "unreadable", "configuration")}


@pytest.mark.parametrize(
    ("unknown", "standing"),
    [
        pytest.param([], set(), id="nothing"),
        pytest.param([blind_socket()], {"came-back", "veto-failing", "unreadable"}, id="a socket"),
        pytest.param([unreadable()], {"came-back", "veto-failing", "unreadable"}, id="a session"),
        pytest.param([Unknown(Source.REGISTRY, "gone")], {"came-back", "veto-failing", "unreadable"}, id="the registry"),
        pytest.param([Unknown(Source.SNAPSHOT, "full", SOCKET, "ws_w1")], {"unreadable"}, id="only a snapshot"),
    ],
)
def test_where_sessions_could_not_be_seen_what_rests_on_them_is_not_over(unknown: list[Unknown], standing: set[str]) -> None:
    assert alarms(unknown=unknown, before=BEFORE).keys() == standing


@pytest.mark.parametrize(
    ("unknown", "told"),
    [
        pytest.param([], None, id="its socket is configured no longer"),
        pytest.param([blind_socket(OTHER_SOCKET)], None, id="another socket did not answer"),
        pytest.param([blind_socket(SOCKET)], f"$1 on {SOCKET}", id="its socket did not answer"),
        pytest.param([unreadable()], f"$1 on {SOCKET}", id="a row of its socket can't be read"),
    ],
)
def test_a_session_that_could_not_be_seen_is_overdue_all_the_same(unknown: list[Unknown], told: str | None) -> None:
    found = alarms(unknown=unknown, confirmations=seen(Finding.CONDEMNED, LIMIT + 1) | seen(Finding.FAILED, 9, 3))
    assert [found[name].detail.partition(": ")[2] for name in ("overdue", "kill-failing") if name in found] == [told] * (
        2 if told else 0
    )


def test_a_plugin_that_gives_no_answer() -> None:
    found = alarms(vetoes=["a is silent", "b is silent", "c is silent", "d is silent"])
    assert found["veto-failing"].detail == "a is silent; b is silent; c is silent"


def test_a_configuration_that_can_not_be_used() -> None:
    alarm = misconfigured("tick: 'x' is not a duration", NOW)
    assert (alarm.name, alarm.since, alarm.detail) == ("configuration", NOW, "tick: 'x' is not a duration")


def test_no_complete_sweep_ever() -> None:
    alarm = blind(None, TICK, NOW)
    assert alarm is not None
    assert (alarm.since, alarm.detail) == (NOW, "no complete sweep yet")


def test_an_alarm_keeps_the_time_at_which_it_began() -> None:
    before = {"overdue": Alarm("overdue", NOW - HOUR, "one session", "…"), "breaker": Alarm("breaker", NOW - 9, "", "")}
    after = {"overdue": Alarm("overdue", NOW, "two sessions", "…"), "unreadable": Alarm("unreadable", NOW, "a row", "…")}
    kept, events = changes(before, after, NOW)
    assert kept == {"overdue": Alarm("overdue", NOW - HOUR, "two sessions", "…"), "unreadable": after["unreadable"]}
    assert events == (Event(NOW, "alarm", "unreadable: a row"), Event(NOW, "alarm over", "breaker"))
    assert turns(before, kept) == ((after["unreadable"],), (before["breaker"],))


def test_no_news_is_no_event() -> None:
    same = {"overdue": Alarm("overdue", NOW - HOUR, "one session", "…")}
    assert changes(same, {"overdue": Alarm("overdue", NOW, "one session", "…")}, NOW) == (same, ())


def test_the_catalogue_names_each_alarm_once_and_says_what_to_do() -> None:
    names = [kind.name for kind in ALARMS]
    assert len(names) == len(set(names))
    for kind in ALARMS:
        assert kind.meaning
        assert kind.clears_when
        assert kind.action.endswith(".")
        assert kind.at(NOW, "detail").clears_when == kind.clears_when
