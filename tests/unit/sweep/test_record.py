"""What a full sweep adds to the ledger; a sweep without news writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.tools.builders import (
    HOUR,
    MINUTE,
    NOW,
    OTHER_SOCKET,
    SERVER,
    SOCKET,
    blind_socket,
    changed,
    circumstances,
    entry,
    ledger_state,
    listing,
    observation,
    row,
    rows,
    session,
    session_key,
    unreadable,
)
from tests.unit.sweep.test_confirm import KEY, ONCE, confirmed, known, three
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.session import Listing
from workspace_reaper.model.state import (
    Alarm,
    BreakerState,
    Confirmation,
    Event,
    Finding,
    LedgerState,
    Removal,
    ServerState,
    StateChanges,
)
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import protections, rules
from workspace_reaper.policy.verdict import Held, Judgement
from workspace_reaper.sweep.alarm_kind import AlarmLimits
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.record import after_kills, before_kills, lasting_doubts, without_registry
from workspace_reaper.sweep.report import SweepReport

LIMIT = 30 * MINUTE
LIMITS = AlarmLimits(abstain=LIMIT, tick=MINUTE)


# What is committed before the kills


def judged(before: LedgerState, seen: Observation, answer: LookupResult) -> StateChanges:
    return before_kills(confirmed(before, seen, answer), seen, answer, {}, NOW)


def test_a_sweep_without_news_writes_nothing() -> None:
    settled = known(1, seen={"w1": 1}, confirmations={(session_key(2), Finding.ORPHAN): Confirmation(NOW - 90, NOW - 60, 2)})
    changes = judged(settled, observation(listing(session(1), session(2))), replace(rows(row(1)), total=1))
    assert changes == StateChanges()
    assert not changes


def test_what_is_recognised_for_the_first_time_is_remembered() -> None:
    changes = judged(known(1, 2, seen={"w1": 1}), observation(listing(session(1), session(2))), rows(row(1), row(2)))
    assert changes == StateChanges(seen=frozenset({"w2"}))


def test_another_registry_recognises_all_anew() -> None:
    changes = judged(known(1, 2, seen={"w1": 1}), observation(listing(session(1))), changed(rows(row(1)), location="file 2"))
    assert changes.registry is not None
    assert (changes.registry.generation, changes.registry.identity.location) == (2, "file 2")
    assert changes.seen == {"w1"}
    assert changes.events == (Event(NOW, "registry changed", "the database was file 1 and is file 2"),)


def test_a_row_flagged_deleted_recognises_nothing() -> None:
    assert judged(known(1), observation(listing(session(1))), rows(row(1, deleted=True))).seen == frozenset()


def test_sightings_and_servers_are_passed_on() -> None:
    before = known(2, seen={"w2": 1}, confirmations={(session_key(2), Finding.ORPHAN): ONCE})
    seen, answer = observation(listing(session(1), session(2))), rows(row(2))
    servers: Mapping[str, ServerState | None] = {SOCKET: ServerState(SERVER.pid, SERVER.start, 1.0), OTHER_SOCKET: None}
    changes = before_kills(confirmed(before, seen, answer), seen, answer, servers, NOW)
    assert changes == StateChanges(
        confirmations={(KEY, Finding.ORPHAN): Confirmation(NOW, NOW)},
        forgotten=frozenset({(session_key(2), Finding.ORPHAN)}),
        servers=servers,
    )


def test_a_breaker_that_latches_is_an_event() -> None:
    changes = judged(ledger_state(seen={"w1": 1, "w2": 1, "w3": 1}), observation(three()), rows())
    assert changes.breaker is not None
    assert changes.events == (Event(NOW, "breaker latched", "3 of 3 managed sessions have no row, or one marked deleted"),)


def test_a_breaker_that_is_freed_is_an_event() -> None:
    latched = BreakerState(latched=True, since=NOW - HOUR, cause="3 of 3", tripped=frozenset({KEY}), clear_sweeps=2)
    changes = judged(known(1, seen={"w1": 1}, breaker=latched), observation(listing(session(1))), rows(row(1)))
    assert changes == StateChanges(breaker=BreakerState(), events=(Event(NOW, "breaker released", "3 of 3"),))


def test_a_breaker_that_stays_latched_is_none() -> None:
    latched = BreakerState(latched=True, since=NOW - HOUR, cause="3 of 3", tripped=frozenset({KEY}))
    changes = judged(known(1, seen={"w1": 1}, breaker=latched), observation(listing(session(1))), rows(row(1)))
    assert changes.breaker == replace(latched, clear_sweeps=1)
    assert changes.events == ()


@pytest.mark.parametrize(
    ("answers", "answer", "settled"),
    [
        pytest.param([listing(session(1))], rows(), False, id="its session is there, and no row"),
        pytest.param([listing(session(1))], rows(row(1, deleted=True)), False, id="its session is there, its row flagged"),
        pytest.param([listing(session(1))], rows(row(1)), True, id="the workspace is there after all"),
        pytest.param([listing()], rows(), True, id="nothing is left of it"),
        pytest.param([listing(), blind_socket()], rows(), False, id="nothing is seen of it, a socket was blind"),
        pytest.param([listing(unreadable=(unreadable(),))], rows(), False, id="its session cannot be read"),
    ],
)
def test_when_report_is_done_with(answers: list[Listing | Unknown], answer: LookupResult, settled: bool) -> None:
    changes = judged(ledger_state(reported={"w1": NOW}), observation(*answers), answer)
    assert changes.settled == (frozenset({"w1"}) if settled else frozenset())


@pytest.mark.parametrize(
    ("removal", "answer", "settled"),
    [
        pytest.param(Removal("w1", WorkspaceEvent.DOUBTED, 1, NOW - HOUR), rows(), False, id="a doubt"),
        pytest.param(Removal("w1", WorkspaceEvent.DOUBTED, 1, NOW - HOUR - 1), rows(), True, id="an old doubt"),
        pytest.param(Removal("w1", WorkspaceEvent.DOUBTED, 1, NOW), rows(row(1)), True, id="a doubt, and the row is back"),
        pytest.param(Removal("w1", WorkspaceEvent.REMOVED, 1, NOW), rows(), True, id="a removal"),
    ],
)
def test_i82_a_doubt_lasts_for_a_while_without_a_session(removal: Removal, answer: LookupResult, settled: bool) -> None:
    before, seen = ledger_state(removals={"w1": removal}), observation(listing())
    doubts = lasting_doubts(before, HOUR, NOW)
    changes = before_kills(confirmed(before, seen, answer), seen, answer, {}, NOW, doubts)
    assert changes.settled == (frozenset({"w1"}) if settled else frozenset())


# What the kills changed


def concluded(before: LedgerState, *entries: Any, unknown: tuple[Unknown, ...] = ()) -> StateChanges:
    report = SweepReport("sweep", NOW, sessions=list(entries), unknown=list(unknown))
    return after_kills(circumstances(before), report, LIMITS, NOW)


@pytest.mark.parametrize("outcome", ["none", "spared", "failed"])
def test_what_is_selected_and_lives_is_remembered(outcome: str) -> None:
    changes = concluded(ledger_state(), entry(1, outcome=outcome))
    assert changes.confirmations[KEY, Finding.CONDEMNED] == Confirmation(NOW, NOW)
    assert ((KEY, Finding.FAILED) in changes.confirmations) is (outcome == "failed")


@pytest.mark.parametrize(
    "after",
    [entry(1, outcome="reaped"), entry(1, Verdict.HOLD), entry(1, Verdict.KEEP)],
    ids=["reaped", "held", "kept"],
)
def test_what_is_reaped_or_no_longer_condemned_is_not(after: Any) -> None:
    changes = concluded(ledger_state(confirmations={(KEY, Finding.CONDEMNED): ONCE}), after)
    assert changes.forgotten == {(KEY, Finding.CONDEMNED)}
    assert changes.confirmations == {}


def test_failures_are_counted_while_they_come_in_a_row() -> None:
    before = ledger_state(confirmations={(KEY, Finding.FAILED): Confirmation(NOW - 60, NOW - 60, 2)})
    changes = concluded(before, entry(1, outcome="failed"))
    assert changes.confirmations[KEY, Finding.FAILED] == Confirmation(NOW - 60, NOW, 3)
    assert changes.alarms is not None
    assert changes.alarms.keys() == {"kill-failing"}
    assert concluded(before, entry(1, outcome="reaped")).forgotten == {(KEY, Finding.FAILED)}
    assert concluded(before, entry(1, Verdict.HOLD)).forgotten == {(KEY, Finding.FAILED)}, "a client is attached"
    assert concluded(before, entry(1, Verdict.KEEP)).forgotten == {(KEY, Finding.FAILED)}


WAITS = Judgement(Verdict.HOLD, rules.ORPHAN, (protections.RETRYING,), (Held(rules.ORPHAN, (protections.RETRYING,)),))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(entry(1, outcome="spared"), id="the host stopped, or something was in the way"),
        pytest.param(entry(1, Verdict.HOLD, judgement=WAITS), id="it waits for the next try"),
        pytest.param(entry(1, Verdict.HOLD, protected_by="processes", judgement=entry(1).judgement), id="no process was seen"),
        pytest.param(entry(1, Verdict.HOLD, protected_by="unknown", judgement=None), id="it could not be read"),
    ],
)
def test_while_no_kill_is_tried_it_stays_condemned_and_failed(after: Any) -> None:
    """I44, I50: neither alarm is over because nothing was done."""
    since = Confirmation(NOW - LIMIT - 1, NOW - LIMIT, 3)
    before = ledger_state(confirmations={(KEY, found): since for found in (Finding.FAILED, Finding.CONDEMNED, Finding.DOUBTED)})
    changes = concluded(before, after)
    assert (changes.confirmations, changes.forgotten) == ({}, frozenset())
    assert changes.alarms is not None
    assert changes.alarms.keys() == {"overdue", "kill-failing"}


def test_what_is_selected_where_no_process_can_be_seen_is_dated() -> None:
    changes = concluded(ledger_state(), entry(1, Verdict.HOLD, protected_by="processes", judgement=entry(1).judgement))
    assert changes.confirmations == {(KEY, found): Confirmation(NOW, NOW) for found in (Finding.CONDEMNED, Finding.DOUBTED)}


def test_an_entry_without_identity_changes_nothing() -> None:
    assert concluded(ledger_state(), entry(1, key=None)) == StateChanges()


CAME_BACK = Alarm("came-back", NOW - HOUR, "something starts reaped sessions again", "…")
OVERDUE = Alarm("overdue", NOW - HOUR, "selected for more than 1800 s and not reaped: ws_w1", "…")


def test_an_alarm_is_written_once() -> None:
    since = Confirmation(NOW - LIMIT - 1, NOW)
    condemned = ledger_state(confirmations={(KEY, Finding.CONDEMNED): since, (KEY, Finding.DOUBTED): since})
    changes = concluded(condemned, entry(1, outcome="spared"))
    assert changes.alarms is not None
    (alarm,) = changes.alarms.values()
    assert changes.events == (Event(NOW, "alarm", f"overdue: {alarm.detail}"),)
    assert concluded(replace(condemned, alarms=changes.alarms), entry(1, outcome="spared")) == StateChanges()


def test_i81_a_session_that_is_selected_in_vain_and_doubted_in_turn_is_an_alarm() -> None:
    """Neither lasts for long, and both together do."""
    doubted = Judgement(
        Verdict.HOLD, rules.ORPHAN, (protections.CLOCK,), (Held(rules.ORPHAN, (protections.CLOCK,), in_doubt=True),)
    )
    since = Confirmation(NOW - LIMIT - 1, NOW)
    before = ledger_state(confirmations={(KEY, Finding.DOUBTED): since, (KEY, Finding.CONDEMNED): Confirmation(NOW - 60, NOW)})
    for after in (entry(1, outcome="spared"), entry(1, Verdict.HOLD, judgement=doubted)):
        changes = concluded(before, after)
        assert (KEY, Finding.DOUBTED) not in changes.forgotten
        assert changes.alarms is not None
        assert changes.alarms.keys() == {"doubt"}


def test_an_alarm_that_is_over_is_written_once() -> None:
    changes = concluded(ledger_state(alarms={"overdue": OVERDUE}), entry(1, outcome="reaped"))
    assert changes == StateChanges(alarms={}, events=(Event(NOW, "alarm over", "overdue"),))
    assert changes, "an empty set of alarms is news where there was one"


def test_a_session_on_a_socket_that_did_not_answer_stays_overdue() -> None:
    """Nobody has seen it reaped; and nobody who saw all other sockets says that those there are overdue."""
    late = {(KEY, Finding.CONDEMNED): Confirmation(NOW - LIMIT - 1, NOW)}
    before = ledger_state(alarms={"overdue": OVERDUE}, confirmations=late)
    changes = concluded(before, unknown=(blind_socket(SOCKET),))
    assert changes.alarms is not None
    assert changes.alarms["overdue"].since == OVERDUE.since
    assert "$1" in changes.alarms["overdue"].detail
    over = concluded(before, unknown=(blind_socket(OTHER_SOCKET),)).alarms
    assert over is not None
    assert over.keys() == {"unreadable"}


# Without the registry

NO_DATABASE = observation(blind_socket(SOCKET))


def seen_blindly(before: LedgerState, seen: Observation, *entries: Any, now: float = NOW) -> StateChanges:
    report = SweepReport("sweep", NOW, sessions=list(entries), unknown=[*seen.unknown])
    return without_registry(before, seen, report, LIMITS, now)


def test_without_the_registry_it_still_notes_who_looks_at_the_sessions() -> None:
    """Or a client that stays for days of that, and leaves, would never have been there."""
    watched = observation(listing(session(1, attached=1)))
    assert seen_blindly(ledger_state(), watched).confirmations == {(KEY, Finding.ATTACHED): Confirmation(NOW, NOW)}


def test_a_sweep_without_the_registry_raises_an_alarm_and_ends_none() -> None:
    late = {(KEY, Finding.CONDEMNED): Confirmation(NOW - LIMIT - 1, NOW)}
    before = ledger_state(alarms={"overdue": OVERDUE, "came-back": CAME_BACK}, confirmations=late)
    changes = seen_blindly(before, NO_DATABASE)
    assert changes.alarms is not None
    assert changes.alarms.keys() == {"overdue", "came-back", "unreadable"}
    assert changes.alarms["overdue"].since == OVERDUE.since
    assert changes.alarms["unreadable"].since == NOW
    assert changes == StateChanges(
        alarms=changes.alarms, events=(Event(NOW, "alarm", f"unreadable: {changes.alarms['unreadable'].detail}"),)
    )
    assert seen_blindly(replace(before, alarms=changes.alarms), NO_DATABASE, now=NOW + 60) == StateChanges()


def test_without_the_registry_what_was_condemned_becomes_overdue_until_it_is_gone() -> None:
    """I50: a registry that can't be read for ever must not hide what waits for it."""
    known = ledger_state(confirmations={(KEY, Finding.CONDEMNED): Confirmation(NOW - LIMIT, NOW - LIMIT)})
    there, nowhere = observation(listing(session())), observation(listing())
    for seen in (there, nowhere):
        seen.unknown.append(Unknown(Source.REGISTRY, "the database is gone"))
    unjudged = entry(1, Verdict.HOLD, judgement=None, reason=None, protected_by="unknown")
    assert "overdue" not in (seen_blindly(known, there, unjudged).alarms or {})
    late = seen_blindly(known, there, unjudged, now=NOW + 1)
    assert "ws_w1" in (late.alarms or {})["overdue"].detail
    over = seen_blindly(replace(known, alarms=late.alarms or {}), nowhere, now=NOW + 2)
    assert over.forgotten == {(KEY, Finding.CONDEMNED)}
    assert (over.alarms or {}).keys() == {"unreadable"}


def test_a_latched_breaker_stays_an_alarm_without_the_registry() -> None:
    latched = BreakerState(latched=True, since=NOW - HOUR, cause="3 of 3")
    changes = seen_blindly(ledger_state(breaker=latched), NO_DATABASE)
    assert changes.alarms is not None
    assert changes.alarms.keys() == {"unreadable", "breaker"}
