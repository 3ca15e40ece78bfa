"""What a full sweep counts, what it must not count, and how the breaker steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tools.builders import (
    DEFAULTS,
    NOW,
    OTHER_SOCKET,
    SOCKET,
    blind_socket,
    changed,
    circumstances,
    ledger_state,
    listing,
    observation,
    pane,
    registry,
    row,
    rows,
    session,
    session_key,
    unreadable,
)
from tests.unit.sweep.scene import Scene, entry_of
from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.state import (
    BreakerState,
    ClockSkew,
    Confirmation,
    Finding,
    LedgerState,
)
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.facts import Thresholds
from workspace_reaper.policy.facts_builder import FactsBuilder
from workspace_reaper.policy.idle import AgeClock
from workspace_reaper.policy.witness import Presence, Witness
from workspace_reaper.sweep.confirm import confirm
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.observe import Observation
from workspace_reaper.sweep.record import before_kills

KEY = session_key()
ONCE = Confirmation(NOW - 30, NOW - 30)


def known(*numbers: int, **changes: Any) -> LedgerState:
    """The registry had the rows of these."""
    names = [f"w{number}" for number in numbers]
    return ledger_state(registry=registry(*names), **{"seen": dict.fromkeys(names, 1), **changes})


def confirmed(
    before: LedgerState, seen: Observation, answer: LookupResult, rules: Thresholds = DEFAULTS, now: float = NOW
) -> FactsBuilder:
    recognised = [workspace_id for workspace_id, found in answer.found.items() if not found.deleted]
    return confirm(circumstances(before, now=now, recognised=recognised), seen, answer, rules, now)


def sights(scene: FactsBuilder, key: SessionKey = KEY) -> dict[Finding, Confirmation]:
    return dict(scene.confirmations.of(key))


# Confirmations


def test_a_session_without_a_row_is_counted() -> None:
    once = confirmed(ledger_state(), observation(listing(session())), rows())
    assert sights(once) == {Finding.ORPHAN: Confirmation(NOW, NOW)}
    before = ledger_state(confirmations={(KEY, Finding.ORPHAN): ONCE})
    assert sights(confirmed(before, observation(listing(session())), rows()))[Finding.ORPHAN].count == 2


def test_a_row_flagged_deleted_is_counted_as_none() -> None:
    scene = confirmed(ledger_state(), observation(listing(session())), rows(row(1, deleted=True)))
    assert sights(scene)[Finding.ORPHAN].count == 1


def test_a_look_too_soon_is_not_counted() -> None:
    before = ledger_state(confirmations={(KEY, Finding.ORPHAN): Confirmation(NOW - 29, NOW - 29)})
    assert sights(confirmed(before, observation(listing(session())), rows()))[Finding.ORPHAN].count == 1


@pytest.mark.parametrize(("needed", "counted"), [(1, 2), (2, 2), (3, 3)])
def test_it_counts_as_far_as_anybody_needs(needed: int, counted: int) -> None:
    """A stranger needs two, whatever the setting says."""
    before, rules = ledger_state(), replace(DEFAULTS, orphan_confirmations=needed)
    for sweep in range(5):
        scene = confirmed(before, observation(listing(session())), rows(), rules, NOW + 60 * sweep)
        before = replace(before, confirmations={(KEY, sight): sighting for sight, sighting in sights(scene).items()})
    assert before.confirmations[KEY, Finding.ORPHAN].count == counted


def test_i83_a_witness_counts_only_where_every_socket_answered() -> None:
    gone = Witness(Presence.GONE, "its directory went together with its row")
    for answers, counted in (((listing(session()),), 1), ((listing(session()), blind_socket()), 0)):
        builder = replace(circumstances(known(1)), witnesses={"w1": gone})
        scene = confirm(builder, observation(*answers), changed(rows(), sentinels=("w1",)), DEFAULTS, NOW)
        assert scene.confirmations.count(KEY, Finding.WITNESSED) == counted


def test_time_that_the_machine_slept_before_a_witness_does_not_delay_the_second_one() -> None:
    """The row had gone before the machine slept, and the directory went after it."""
    gone, slept = Witness(Presence.GONE, "its directory went together with its row"), ClockSkew(NOW - 1000, 50_000)
    long_ago, lately = NOW - 90_000, NOW - 60
    findings = {Finding.ORPHAN: Confirmation(long_ago, long_ago, 2), Finding.WITNESSED: Confirmation(lately, lately)}
    before = known(1, confirmations={(KEY, finding): confirmation for finding, confirmation in findings.items()})
    builder = replace(circumstances(before), witnesses={"w1": gone}, age_clock=AgeClock((slept,)))
    scene = confirm(builder, observation(listing(session())), rows(), DEFAULTS, NOW)
    assert scene.confirmations.count(KEY, Finding.WITNESSED) == 2


def test_a_row_that_is_there_ends_the_count() -> None:
    before = ledger_state(confirmations={(KEY, Finding.ORPHAN): ONCE})
    assert sights(confirmed(before, observation(listing(session())), rows(row(1)))) == {}


def test_where_a_socket_did_not_answer_no_absence_is_counted_and_none_forgotten() -> None:
    before = ledger_state(confirmations={(KEY, Finding.ORPHAN): ONCE})
    seen = observation(listing(session(1), session(2), session(3)), blind_socket())
    scene = confirmed(before, seen, rows())
    assert sights(scene) == {Finding.ORPHAN: ONCE}
    assert scene.breaker == BreakerState()


def test_where_a_socket_did_not_answer_a_row_that_is_there_still_ends_the_count() -> None:
    before = ledger_state(confirmations={(KEY, Finding.ORPHAN): ONCE})
    assert sights(confirmed(before, observation(listing(session()), blind_socket()), rows(row(1)))) == {}


@pytest.mark.parametrize(
    "now",
    [changed(rows(), location="file 2"), changed(rows(), schema="cao", sentinels_found=frozenset({"w9"}))],
    ids=["another place", "another schema"],
)
def test_what_another_registry_did_not_know_does_not_count(now: LookupResult) -> None:
    before = known(1, 9, confirmations={(KEY, Finding.ORPHAN): ONCE, (KEY, Finding.ARCHIVED): ONCE})
    scene = confirmed(before, observation(listing(session())), now)
    assert sights(scene) == {Finding.ORPHAN: Confirmation(NOW, NOW, 1)}


def test_what_else_is_seen_of_a_session() -> None:
    corpse = session(all_panes_dead=True, panes=(pane(dead=True),), has_client=True)
    scene = confirmed(ledger_state(), observation(listing(corpse)), rows(row(1, archived=True)))
    assert sights(scene).keys() == {Finding.DEAD, Finding.ARCHIVED, Finding.ATTACHED}
    before = ledger_state(confirmations={(KEY, sight): ONCE for sight in (Finding.DEAD, Finding.ARCHIVED, Finding.ATTACHED)})
    scene = confirmed(before, observation(listing(session())), rows(row(1)))
    assert sights(scene) == {Finding.DETACHED: Confirmation(NOW, NOW)}


def test_a_session_whose_row_went_is_archived_no_longer() -> None:
    before = ledger_state(confirmations={(KEY, Finding.ARCHIVED): ONCE})
    assert Finding.ARCHIVED not in sights(confirmed(before, observation(listing(session())), rows()))


def test_only_sessions_that_are_certainly_gone_are_forgotten() -> None:
    elsewhere = session_key(3, socket=OTHER_SOCKET)
    before = ledger_state(confirmations={(key, Finding.DEAD): ONCE for key in (session_key(2), elsewhere)})
    scene = confirmed(before, observation(listing(session()), blind_socket()), rows(row(1)))
    assert scene.confirmations.forgotten == {(session_key(2), Finding.DEAD)}
    scene = confirmed(before, observation(listing(session(), unreadable=(unreadable("ws_w2"),))), rows(row(1)))
    assert scene.confirmations.forgotten == set()


# The breaker


def three(*more: Any, socket: str = SOCKET) -> Listing:
    return listing(session(1), session(2), session(3), *more, socket=socket)


def test_orphans_of_a_full_sweep_trip_the_breaker() -> None:
    before = ledger_state(seen={"w1": 1, "w2": 1, "w3": 1})
    scene = confirmed(before, observation(three(session(4), session(5))), rows(row(4), row(5)))
    assert scene.breaker.tripped == {session_key(1), session_key(2), session_key(3)}
    assert not confirmed(
        before, observation(three(session(4), session(5), session(6))), rows(*map(row, (4, 5, 6)))
    ).breaker.latched


def test_i84_sessions_that_the_registry_has_never_known_do_not_trip_it() -> None:
    assert not confirmed(ledger_state(), observation(three()), rows()).breaker.latched


def test_sessions_that_are_not_ours_dilute_nothing() -> None:
    foreign = [session(number, name=f"notes {number}") for number in range(10, 20)]
    before = ledger_state(seen={"w1": 1, "w2": 1, "w3": 1})
    assert confirmed(before, observation(three(*foreign)), rows()).breaker.latched


def test_what_a_hook_called_deleted_does_not_trip_it() -> None:
    before = ledger_state(reported={"w1": NOW})
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
    seen_before = {f"w{number}": 1 for number in range(1, 9)}
    before = known(*range(1, 9), breaker=BreakerState(latched=True, since=NOW, tripped=tripped), seen=seen_before)
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


# The approval of an operator


@pytest.mark.parametrize("is_swapped", [False, True], ids=["the same registry", "another one"])
def test_an_approval_counts_only_for_the_registry_that_the_operator_was_shown(is_swapped: bool) -> None:
    scene = Scene()
    scene.world.host.delete("w0")
    scene.sweep()
    shown = scene.sweep(SweepRequest(dry_run=True))
    key = entry_of(shown).key
    assert key is not None
    if is_swapped:
        scene.world.host.location = "another file"
    report = scene.sweep(SweepRequest(approve=frozenset({key}), shown=shown.registry))
    refused = "no session was approved: the registry has changed since the sessions were shown"
    assert report.refused == (refused if is_swapped else None)
    facts = entry_of(report).facts
    assert facts is not None
    assert facts.approved is not is_swapped
