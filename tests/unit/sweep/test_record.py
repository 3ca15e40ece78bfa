"""What a full sweep adds to memory: what it counts, what it must not count, and that no news writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.tools.builders import (
    DEFAULTS,
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
    listing,
    memory,
    observation,
    pane,
    registry,
    row,
    rows,
    session,
    session_key,
    unreadable,
)
from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.state import (
    Alarm,
    BreakerState,
    Confirmation,
    Event,
    Finding,
    LedgerState,
    ServerState,
    StateChanges,
)
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy import protections, rules
from workspace_reaper.policy.facts import Thresholds
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.verdict import Held, Judgement
from workspace_reaper.sweep.alarms import AlarmLimits
from workspace_reaper.sweep.confirm import confirm
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.record import after_kills, before_kills, without_registry
from workspace_reaper.sweep.report import SweepReport

KEY = session_key()
ONCE = Confirmation(NOW - 30, NOW - 30)
LIMIT = 30 * MINUTE
LIMITS = AlarmLimits(abstain=LIMIT, tick=MINUTE)


def known(*numbers: int, **changes: Any) -> LedgerState:
    """The registry had the rows of these."""
    return memory(registry=registry(*(f"w{number}" for number in numbers)), **changes)


def confirmed(
    before: LedgerState, seen: Observation, answer: LookupResult, rules: Thresholds = DEFAULTS, now: float = NOW
) -> FactsBuilder:
    recognised = [workspace_id for workspace_id, found in answer.found.items() if not found.deleted]
    return confirm(circumstances(before, now=now, recognised=recognised), seen, answer, rules, now)


def sights(scene: FactsBuilder, key: SessionKey = KEY) -> dict[Finding, Confirmation]:
    return dict(scene.sightings.of(key))


# Confirmations


def test_a_session_without_a_row_is_counted() -> None:
    assert sights(confirmed(memory(), observation(listing(session())), rows())) == {Finding.ORPHAN: Confirmation(NOW, NOW)}
    before = memory(sightings={(KEY, Finding.ORPHAN): ONCE})
    assert sights(confirmed(before, observation(listing(session())), rows()))[Finding.ORPHAN].count == 2


def test_a_row_flagged_deleted_is_counted_as_none() -> None:
    scene = confirmed(memory(), observation(listing(session())), rows(row(1, deleted=True)))
    assert sights(scene)[Finding.ORPHAN].count == 1


def test_a_look_too_soon_is_not_counted() -> None:
    before = memory(sightings={(KEY, Finding.ORPHAN): Confirmation(NOW - 29, NOW - 29)})
    assert sights(confirmed(before, observation(listing(session())), rows()))[Finding.ORPHAN].count == 1


@pytest.mark.parametrize(("needed", "counted"), [(1, 2), (2, 2), (3, 3)])
def test_it_counts_as_far_as_anybody_needs(needed: int, counted: int) -> None:
    """A stranger needs two, whatever the setting says."""
    before, rules = memory(), replace(DEFAULTS, orphan_confirmations=needed)
    for sweep in range(5):
        scene = confirmed(before, observation(listing(session())), rows(), rules, NOW + 60 * sweep)
        before = replace(before, sightings={(KEY, sight): sighting for sight, sighting in sights(scene).items()})
    assert before.sightings[KEY, Finding.ORPHAN].count == counted


def test_a_row_that_is_there_ends_the_count() -> None:
    before = memory(sightings={(KEY, Finding.ORPHAN): ONCE})
    assert sights(confirmed(before, observation(listing(session())), rows(row(1)))) == {}


def test_where_a_socket_did_not_answer_no_absence_is_counted_and_none_forgotten() -> None:
    before = memory(sightings={(KEY, Finding.ORPHAN): ONCE})
    seen = observation(listing(session(1), session(2), session(3)), blind_socket())
    scene = confirmed(before, seen, rows())
    assert sights(scene) == {Finding.ORPHAN: ONCE}
    assert scene.breaker == BreakerState()


def test_where_a_socket_did_not_answer_a_row_that_is_there_still_ends_the_count() -> None:
    before = memory(sightings={(KEY, Finding.ORPHAN): ONCE})
    assert sights(confirmed(before, observation(listing(session()), blind_socket()), rows(row(1)))) == {}


@pytest.mark.parametrize(
    "now",
    [rows(), changed(rows(), location="file 2"), changed(rows(), schema="cao", sentinels_found=frozenset({"w9"}))],
    ids=["emptied", "another place", "another schema"],
)
def test_what_another_registry_did_not_know_does_not_count(now: LookupResult) -> None:
    before = known(1, 9, sightings={(KEY, Finding.ORPHAN): ONCE, (KEY, Finding.ARCHIVED): ONCE})
    scene = confirmed(before, observation(listing(session())), now)
    assert sights(scene) == {Finding.ORPHAN: Confirmation(NOW, NOW, 1)}


def test_what_else_is_seen_of_a_session() -> None:
    corpse = session(all_panes_dead=True, panes=(pane(dead=True),), has_client=True)
    scene = confirmed(memory(), observation(listing(corpse)), rows(row(1, archived=True)))
    assert sights(scene).keys() == {Finding.DEAD, Finding.ARCHIVED, Finding.ATTACHED}
    before = memory(sightings={(KEY, sight): ONCE for sight in (Finding.DEAD, Finding.ARCHIVED, Finding.ATTACHED)})
    scene = confirmed(before, observation(listing(session())), rows(row(1)))
    assert sights(scene) == {Finding.DETACHED: Confirmation(NOW, NOW)}


def test_a_session_whose_row_went_is_archived_no_longer() -> None:
    before = memory(sightings={(KEY, Finding.ARCHIVED): ONCE})
    assert Finding.ARCHIVED not in sights(confirmed(before, observation(listing(session())), rows()))


def test_only_sessions_that_are_certainly_gone_are_forgotten() -> None:
    elsewhere = session_key(3, socket=OTHER_SOCKET)
    before = memory(sightings={(key, Finding.DEAD): ONCE for key in (session_key(2), elsewhere)})
    scene = confirmed(before, observation(listing(session()), blind_socket()), rows(row(1)))
    assert scene.sightings.forgotten == {(session_key(2), Finding.DEAD)}
    scene = confirmed(before, observation(listing(session(), unreadable=(unreadable("ws_w2"),))), rows(row(1)))
    assert scene.sightings.forgotten == set()


# The breaker


def three(*more: Any, socket: str = SOCKET) -> Listing:
    return listing(session(1), session(2), session(3), *more, socket=socket)


def test_orphans_of_a_full_sweep_trip_the_breaker() -> None:
    scene = confirmed(memory(), observation(three(session(4), session(5))), rows(row(4), row(5)))
    assert scene.breaker.tripped == {session_key(1), session_key(2), session_key(3)}
    assert not confirmed(
        memory(), observation(three(session(4), session(5), session(6))), rows(*map(row, (4, 5, 6)))
    ).breaker.latched


def test_sessions_that_are_not_ours_dilute_nothing() -> None:
    foreign = [session(number, name=f"notes {number}") for number in range(10, 20)]
    assert confirmed(memory(), observation(three(*foreign)), rows()).breaker.latched


def test_what_a_hook_called_deleted_does_not_trip_it() -> None:
    before = memory(reported={"w1": NOW})
    scene = confirmed(before, observation(three()), rows())
    assert not scene.breaker.latched
    assert sights(scene)[Finding.ORPHAN].count == 1


def test_a_registry_that_lost_its_rows_trips_it() -> None:
    scene = confirmed(known(1, 2, 3, 4, 5), observation(listing(session())), replace(rows(row(1)), total=1))
    assert scene.breaker.cause == "the registry lost 4 of 5 rows since the last full sweep"


def test_rows_lost_while_a_socket_did_not_answer_trip_it_in_the_next_full_sweep() -> None:
    """Only a full sweep may move what the next one compares with."""
    before = known(1, 2, 3, 4, 5, 6, 7, 8)
    lost = replace(rows(row(1), row(7), row(8)), total=3)
    seen = observation(listing(session(1)), blind_socket())
    scene = confirmed(before, seen, lost)
    assert not scene.breaker.latched
    changes = before_kills(scene, seen, lost, {}, NOW)
    again = changed(lost, sentinels_found=frozenset(lost.found))
    scene = confirmed(replace(before, registry=changes.registry or before.registry), observation(listing(session(1))), again)
    assert scene.breaker.cause == "the registry lost 5 of 8 rows since the last full sweep"


def test_sessions_that_cannot_be_read_do_not_free_it() -> None:
    """They are neither known again nor gone."""
    tripped = frozenset(session_key(number) for number in (1, 2, 3))
    before = known(4, breaker=BreakerState(latched=True, since=NOW, tripped=tripped, clear_sweeps=2))
    lost = tuple(unreadable(f"ws_w{number}") for number in (1, 2, 3))
    scene = confirmed(before, observation(listing(session(4), unreadable=lost)), rows(row(4)))
    assert scene.breaker.latched


def test_rows_lost_while_a_row_cannot_be_read_hold_a_latched_breaker() -> None:
    tripped = frozenset(session_key(number) for number in (7, 8, 9))
    before = known(*range(1, 9), breaker=BreakerState(latched=True, since=NOW, tripped=tripped))
    lost = replace(rows(*map(row, (4, 5, 6))), total=3)
    sessions = [session(number) for number in (1, 2, 4, 5, 6)]
    for answer in (listing(*sessions, unreadable=(unreadable("ws_w3"),)), *[listing(*sessions)] * 4):
        seen = observation(answer)
        scene = confirmed(before, seen, lost)
        changes = before_kills(scene, seen, lost, {}, NOW)
        before = replace(before, registry=changes.registry or before.registry, breaker=changes.breaker or before.breaker)
    assert before.breaker.latched


def test_sessions_that_are_gone_or_known_again_free_it() -> None:
    tripped = frozenset(session_key(number) for number in (1, 2, 3))
    before = known(1, breaker=BreakerState(latched=True, since=NOW, tripped=tripped, clear_sweeps=2))
    assert not confirmed(before, observation(listing(session(1))), rows(row(1))).breaker.latched


# What is committed before the kills


def judged(before: LedgerState, seen: Observation, answer: LookupResult) -> StateChanges:
    return before_kills(confirmed(before, seen, answer), seen, answer, {}, NOW)


def test_a_sweep_without_news_writes_nothing() -> None:
    settled = known(1, seen={"w1": 1}, sightings={(session_key(2), Finding.ORPHAN): Confirmation(NOW - 90, NOW - 60, 2)})
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
    assert changes.events == (Event(NOW, "registry changed", "it was file 1 and is file 2"),)


def test_a_row_flagged_deleted_recognises_nothing() -> None:
    assert judged(known(1), observation(listing(session(1))), rows(row(1, deleted=True))).seen == frozenset()


def test_sightings_and_servers_are_passed_on() -> None:
    before = known(2, seen={"w2": 1}, sightings={(session_key(2), Finding.ORPHAN): ONCE})
    seen, answer = observation(listing(session(1), session(2))), rows(row(2))
    servers: Mapping[str, ServerState | None] = {SOCKET: ServerState(SERVER.pid, SERVER.start, 1.0), OTHER_SOCKET: None}
    changes = before_kills(confirmed(before, seen, answer), seen, answer, servers, NOW)
    assert changes == StateChanges(
        sightings={(KEY, Finding.ORPHAN): Confirmation(NOW, NOW)},
        forgotten=frozenset({(session_key(2), Finding.ORPHAN)}),
        servers=servers,
    )


def test_a_breaker_that_latches_is_an_event() -> None:
    changes = judged(memory(), observation(three()), rows())
    assert changes.breaker is not None
    assert changes.events == (Event(NOW, "breaker latched", "3 of 3 managed sessions have no workspace"),)


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
    changes = judged(memory(reported={"w1": NOW}), observation(*answers), answer)
    assert changes.settled == (frozenset({"w1"}) if settled else frozenset())


# What the kills changed


def concluded(before: LedgerState, *entries: Any, unknown: tuple[Unknown, ...] = ()) -> StateChanges:
    report = SweepReport("sweep", NOW, sessions=list(entries), unknown=list(unknown))
    return after_kills(circumstances(before), report, LIMITS, NOW)


@pytest.mark.parametrize("outcome", ["none", "spared", "failed"])
def test_what_is_selected_and_lives_is_remembered(outcome: str) -> None:
    changes = concluded(memory(), entry(1, outcome=outcome))
    assert changes.sightings[KEY, Finding.CONDEMNED] == Confirmation(NOW, NOW)
    assert ((KEY, Finding.FAILED) in changes.sightings) is (outcome == "failed")


@pytest.mark.parametrize(
    "after",
    [entry(1, outcome="reaped"), entry(1, Verdict.HOLD), entry(1, Verdict.KEEP)],
    ids=["reaped", "held", "kept"],
)
def test_what_is_reaped_or_no_longer_condemned_is_not(after: Any) -> None:
    changes = concluded(memory(sightings={(KEY, Finding.CONDEMNED): ONCE}), after)
    assert changes.forgotten == {(KEY, Finding.CONDEMNED)}
    assert changes.sightings == {}


def test_failures_are_counted_while_they_come_in_a_row() -> None:
    before = memory(sightings={(KEY, Finding.FAILED): Confirmation(NOW - 60, NOW - 60, 2)})
    changes = concluded(before, entry(1, outcome="failed"))
    assert changes.sightings[KEY, Finding.FAILED] == Confirmation(NOW - 60, NOW, 3)
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
    before = memory(sightings={(KEY, Finding.FAILED): since, (KEY, Finding.CONDEMNED): since})
    changes = concluded(before, after)
    assert (changes.sightings, changes.forgotten) == ({}, frozenset())
    assert changes.alarms is not None
    assert changes.alarms.keys() == {"overdue", "kill-failing"}


def test_what_is_selected_where_no_process_can_be_seen_is_dated() -> None:
    changes = concluded(memory(), entry(1, Verdict.HOLD, protected_by="processes", judgement=entry(1).judgement))
    assert changes.sightings == {(KEY, Finding.CONDEMNED): Confirmation(NOW, NOW)}


def test_an_entry_without_identity_changes_nothing() -> None:
    assert concluded(memory(), entry(1, key=None)) == StateChanges()


CAME_BACK = Alarm("came-back", NOW - HOUR, "something starts reaped sessions again", "…")
OVERDUE = Alarm("overdue", NOW - HOUR, "selected for more than 1800 s and not reaped: ws_w1", "…")


def test_an_alarm_is_written_once() -> None:
    condemned = memory(sightings={(KEY, Finding.CONDEMNED): Confirmation(NOW - LIMIT - 1, NOW)})
    changes = concluded(condemned, entry(1, outcome="spared"))
    assert changes.alarms is not None
    (alarm,) = changes.alarms.values()
    assert changes.events == (Event(NOW, "alarm", f"overdue: {alarm.detail}"),)
    assert concluded(replace(condemned, alarms=changes.alarms), entry(1, outcome="spared")) == StateChanges()


def test_an_alarm_that_is_over_is_written_once() -> None:
    changes = concluded(memory(alarms={"overdue": OVERDUE}), entry(1, outcome="reaped"))
    assert changes == StateChanges(alarms={}, events=(Event(NOW, "alarm over", "overdue"),))
    assert changes, "an empty set of alarms is news where there was one"


def test_a_session_on_a_socket_that_did_not_answer_stays_overdue() -> None:
    """Nobody has seen it reaped; and nobody who saw all other sockets says that those there are overdue."""
    late = {(KEY, Finding.CONDEMNED): Confirmation(NOW - LIMIT - 1, NOW)}
    before = memory(alarms={"overdue": OVERDUE}, sightings=late)
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
    return without_registry(before, seen, entries, LIMITS, now)


def test_without_the_registry_it_still_notes_who_looks_at_the_sessions() -> None:
    """Or a client that stays for days of that, and leaves, would never have been there."""
    watched = observation(listing(session(1, attached=1)))
    assert seen_blindly(memory(), watched).sightings == {(KEY, Finding.ATTACHED): Confirmation(NOW, NOW)}


def test_a_sweep_without_the_registry_raises_an_alarm_and_ends_none() -> None:
    late = {(KEY, Finding.CONDEMNED): Confirmation(NOW - LIMIT - 1, NOW)}
    before = memory(alarms={"overdue": OVERDUE, "came-back": CAME_BACK}, sightings=late)
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
    known = memory(sightings={(KEY, Finding.CONDEMNED): Confirmation(NOW - LIMIT, NOW - LIMIT)})
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
    changes = seen_blindly(memory(breaker=latched), NO_DATABASE)
    assert changes.alarms is not None
    assert changes.alarms.keys() == {"unreadable", "breaker"}


# Of most sessions there is nothing to note, and that is seen at once


@pytest.mark.parametrize(
    ("seen", "sight"),
    [
        pytest.param(session(all_panes_dead=True, panes=(pane(dead=True),)), Finding.DEAD, id="dead"),
        pytest.param(session(attached=1), Finding.ATTACHED, id="attached"),
        pytest.param(session(has_client=True), Finding.ATTACHED, id="a suspended client"),
        pytest.param(session(last_attached=NOW - 5), Finding.DETACHED, id="came and went since the last sweep"),
        pytest.param(session(last_attached=NOW - 500), None, id="came and went before it"),
        pytest.param(session(), None, id="nothing"),
    ],
)
def test_what_is_to_be_noted_of_a_session_with_a_living_row(seen: Session, sight: Finding | None) -> None:
    scene = confirmed(known(1, last_complete=NOW - 60), observation(listing(seen)), rows(row()))
    assert set(sights(scene)) == ({sight} if sight else set())


def test_since_when_it_is_archived_is_noted() -> None:
    scene = confirmed(known(1, last_complete=NOW - 60), observation(listing(session())), rows(row(archived=True)))
    assert set(sights(scene)) == {Finding.ARCHIVED}
