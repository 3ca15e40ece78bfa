"""The breaker: when it trips, that it latches, and the only two ways in which it is freed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.builders import DAY, NOW, property_settings, registry, rows, session_key
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import BreakerState
from workspace_reaper.policy.breaker import (
    CLEAR_SWEEPS,
    approve,
    as_json,
    clears_when,
    reset,
    revoke_approvals,
    rows_lost,
    step,
)

CLOSED = BreakerState()
LOSS = "the registry lost 9 of 10 rows since the last full sweep"


def keys(numbers: Iterable[int]) -> frozenset[SessionKey]:
    return frozenset(session_key(number) for number in numbers)


def swept(state: BreakerState, orphans: Iterable[int], managed: int, loss: str | None = None, now: float = NOW) -> BreakerState:
    return step(state, keys(orphans), managed, loss, now)


def latched(orphans: Iterable[int] = range(3), managed: int = 5) -> BreakerState:
    state = swept(CLOSED, orphans, managed)
    assert state.latched
    return state


@pytest.mark.parametrize(
    ("orphans", "managed", "trips"),
    [
        pytest.param(3, 3, True, id="3 of 3"),
        pytest.param(49, 49, True, id="49 of 49 (I65)"),
        pytest.param(2, 2, False, id="2 of 2"),
        pytest.param(2, 5, False, id="2 of 5"),
        pytest.param(3, 5, True, id="3 of 5"),
        pytest.param(3, 6, False, id="3 of 6 is no more than half"),
        pytest.param(4, 6, True, id="4 of 6"),
        pytest.param(3, 100, False, id="3 of 100"),
        pytest.param(50, 100, False, id="50 of 100 is no more than half"),
        pytest.param(51, 100, True, id="51 of 100"),
        pytest.param(0, 0, False, id="nothing there"),
    ],
)
def test_it_trips_at_three_orphans_that_are_more_than_half(orphans: int, managed: int, trips: bool) -> None:
    state = swept(CLOSED, range(orphans), managed)
    assert state.latched is trips
    assert state.tripped == (keys(range(orphans)) if trips else frozenset())
    assert state.since == (NOW if trips else None)
    assert state.cause == (f"{orphans} of {managed} managed sessions have no row, or one marked deleted" if trips else "")


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [
        pytest.param(3, 0, "3 of 3 rows", id="all three"),
        pytest.param(2, 0, None, id="two of two"),
        pytest.param(5, 2, "3 of 5 rows", id="3 of 5"),
        pytest.param(6, 3, None, id="3 of 6 is no more than half"),
        pytest.param(10, 1, "9 of 10 rows", id="9 of 10"),
        pytest.param(10, 12, None, id="more than before"),
        pytest.param(0, 0, None, id="never any"),
    ],
)
def test_rows_lost(before: int, now: int, lost: str | None) -> None:
    told = rows_lost(replace(registry(), total=before), rows(total=now))
    assert told == (f"the registry lost {lost} since the last full sweep" if lost else None)


OLDEST = [f"w{number}" for number in range(32)]


@pytest.mark.parametrize(
    ("left", "lost"),
    [(32, None), (16, None), (15, "17 of the 32 oldest rows"), (0, "32 of the 32 oldest rows")],
    ids=["all there", "half lost", "one more than half", "all lost"],
)
@pytest.mark.parametrize("now", ["capped", "counted"])
def test_beyond_the_bound_of_the_count_the_oldest_rows_stand_for_all(now: str, left: int, lost: str | None) -> None:
    """A registry of 100,000 rows that now has 9,000 has lost most of them, although the count went from 10,000 to 9,000."""
    before = registry(*OLDEST, total=10_000, capped=True)
    total = 10_000 if now == "capped" else 9_000
    told = rows_lost(before, rows(total=total, capped=now == "capped", sentinels_found=frozenset(OLDEST[:left])))
    assert told == (f"the registry lost {lost} since the last full sweep" if lost else None)


def test_from_more_than_can_be_counted_to_less_than_half_of_that_is_a_loss() -> None:
    before = registry(*OLDEST, total=10_000, capped=True)
    told = rows_lost(before, rows(total=4_999, sentinels_found=frozenset(OLDEST)))
    assert told == "the registry lost 5001 of 10000 rows since the last full sweep"


def test_from_a_count_to_the_bound_is_no_loss() -> None:
    before = registry(*OLDEST, total=9_000)
    assert rows_lost(before, rows(total=10_000, capped=True, sentinels_found=frozenset())) is None


def test_a_loss_of_rows_latches_and_remembers_the_orphans_of_that_sweep() -> None:
    state = swept(CLOSED, [1], 10, LOSS)
    assert state == BreakerState(latched=True, since=NOW, cause=LOSS, tripped=keys([1]))
    assert swept(state, [1], 10).clear_sweeps == 0


def test_a_loss_of_rows_latches_without_any_orphan() -> None:
    state = swept(CLOSED, [], 10, LOSS)
    assert state.latched
    for _ in range(3):
        assert state.latched
        state = swept(state, [], 10)
    assert not state.latched


# Latched


def test_it_stays_latched_whatever_the_ratio_becomes() -> None:
    state = latched(range(3), 5)
    for managed in (6, 50, 5000, 5000, 5000):
        state = swept(state, range(3), managed)
    assert state == latched(range(3), 5)


def test_one_of_those_that_tripped_it_is_enough_to_hold_it() -> None:
    state = latched(range(5), 5)
    for _ in range(10):
        state = swept(state, [4], 100)
    assert state.latched
    assert state.clear_sweeps == 0


def test_other_orphans_do_not_hold_it() -> None:
    state = latched(range(3), 5)
    for _ in range(3):
        state = swept(state, [77], 100)
    assert state == CLOSED


def test_it_never_expires() -> None:
    state = latched(range(3), 5)
    for years in range(1, 50):
        state = swept(state, [2], 5000, now=NOW + years * 366 * DAY)
    assert state == latched(range(3), 5)


def test_what_tripped_it_holds_it_also_where_another_registry_does_not_know_it() -> None:
    state = latched(range(3), 5)
    for _ in range(9):
        state = step(state, keys(()), 9, None, NOW, keys(range(3)))
    assert state.latched


def test_three_full_sweeps_in_a_row_free_it() -> None:
    state = latched()
    for clear in (1, 2):
        state = swept(state, [], 5, now=NOW + clear)
        assert (state.latched, state.clear_sweeps, state.since) == (True, clear, NOW)
    assert swept(state, [], 5) == CLOSED


def test_one_orphan_among_them_makes_the_count_begin_anew() -> None:
    state = swept(swept(latched(), [], 5), [], 5)
    state = swept(state, [2], 5)
    assert (state.latched, state.clear_sweeps) == (True, 0)
    state = swept(swept(state, [], 5), [], 5)
    assert (state.latched, state.clear_sweeps) == (True, 2)
    assert not swept(state, [], 5).latched


def test_others_that_trip_it_in_the_sweep_that_would_free_it_keep_it_latched() -> None:
    state = swept(swept(latched(), [], 5), [], 5)
    state = swept(state, range(10, 14), 5, now=NOW + 180)
    assert (state.latched, state.clear_sweeps) == (True, 0)
    assert keys(range(10, 14)) <= state.tripped


def test_others_that_trip_it_while_it_is_latched_hold_it_too() -> None:
    """Or new known sessions could dilute the second wave while the first one clears, and free it."""
    state = swept(latched(range(3), 5), range(10, 16), 6)
    for _ in range(5):
        state = swept(state, range(10, 16), 100)
    assert state.latched
    assert keys(range(10, 16)) <= state.tripped


def test_a_loss_of_rows_while_it_is_latched_holds_it_too() -> None:
    state = swept(latched(range(3), 5), [10, 11, 12], 100, LOSS)
    for _ in range(5):
        state = swept(state, [10, 11, 12], 100)
    assert state.latched


# The operator


def test_the_operator_lets_all_go() -> None:
    state = reset(latched(range(3), 3), keys(range(9)))
    assert state == BreakerState(approved=keys(range(3)))
    assert not swept(state, range(3), 3).latched


def test_a_reset_approves_no_session_that_has_a_row_again() -> None:
    state = reset(latched(range(3), 3), keys([2]))
    assert state == BreakerState(approved=keys([2]))
    assert swept(state, range(4), 4).latched


def test_the_same_sessions_on_a_server_that_was_started_again_hold_it() -> None:
    """Their identities are new, and their rows are still missing."""
    again = frozenset(key._replace(server_pid=key.server_pid + 1) for key in keys(range(2)))
    elsewhere = frozenset(key._replace(socket="/other", server_pid=1) for key in keys(range(2)))
    state = latched(range(3), 3)
    for _ in range(CLEAR_SWEEPS):
        state = step(state, again, 9, None, NOW)
    assert (state.latched, state.tripped, state.clear_sweeps) == (True, keys(range(3)) | again, 0)
    for _ in range(CLEAR_SWEEPS):
        state = step(state, elsewhere, 9, None, NOW)
    assert not state.latched


def test_the_operator_lets_go_exactly_what_was_shown() -> None:
    state = approve(latched(range(3), 3), keys(range(3)))
    assert (state.latched, state.approved) == (False, keys(range(3)))


def test_a_set_that_leaves_some_out_does_not_open_it() -> None:
    before = latched(range(3), 3)
    state = approve(before, keys([0, 1]))
    assert state == replace(before, tripped=keys([2]), approved=keys([0, 1]))
    assert approve(state, keys([2])) == BreakerState(approved=keys(range(3)))


def test_approving_sessions_does_not_open_what_lost_rows_have_tripped() -> None:
    before = swept(CLOSED, [], 100, LOSS)
    assert (before.latched, before.tripped) == (True, frozenset())
    assert approve(before, keys([1])) == replace(before, approved=keys([1]))
    assert reset(before, keys([1])) == CLOSED


def test_a_session_that_took_the_id_of_an_approved_one_is_not_approved() -> None:
    before = latched(range(3), 3)
    successors = frozenset(session_key(number, age=5) for number in range(3))
    assert approve(before, successors).latched


def test_a_larger_set_opens_it_and_excuses_all_of_it() -> None:
    assert approve(latched(range(3), 3), keys(range(5))) == BreakerState(approved=keys(range(5)))


def test_an_empty_set_lets_nobody_go() -> None:
    before = latched(range(3), 3)
    assert approve(before, frozenset()) == before


def test_strangers_are_approved_while_it_is_closed_and_it_stays_closed() -> None:
    assert approve(CLOSED, keys(range(3))) == BreakerState(approved=keys(range(3)))


def test_i84_strangers_neither_trip_nor_hold_it_and_keep_their_approval() -> None:
    strangers = keys(range(5))
    assert step(CLOSED, keys(()), 6, None, NOW, strangers) == CLOSED
    held = latched(range(10, 13), 3)
    assert step(held, keys(()), 6, None, NOW, strangers).clear_sweeps == held.clear_sweeps + 1
    assert step(approve(CLOSED, strangers), keys(()), 6, None, NOW, strangers).approved == strangers


def test_what_was_approved_does_not_trip_it_again_and_others_do() -> None:
    state = swept(reset(latched(range(3), 3), keys(range(3))), range(5), 8)
    assert not state.latched
    state = swept(state, range(6), 5)
    assert state.latched
    assert state.tripped == keys([3, 4, 5])
    assert state.approved == keys(range(3))


def test_a_session_that_is_known_again_is_approved_no_longer() -> None:
    state = swept(reset(latched(range(3), 3), keys(range(3))), [0], 3)
    assert state.approved == keys([0])
    state = swept(state, [], 3)
    assert swept(state, range(3), 3).latched


def test_what_an_operator_said_of_another_absence_is_forgotten() -> None:
    """Of a workspace that is known again, and under another registry of all."""
    state = approve(latched(range(3), 3), keys([0, 1]))
    assert revoke_approvals(state, keys([1, 7])) == replace(state, approved=keys([0]))
    assert revoke_approvals(state) == replace(state, approved=frozenset())
    closed = BreakerState()
    assert revoke_approvals(closed) is closed


def test_the_approved_are_remembered_while_it_is_latched() -> None:
    state = approve(latched(range(3), 3), keys([0, 1]))
    state = swept(state, [1, 2], 3)
    assert (state.latched, state.approved) == (True, keys([1]))


def test_the_approved_are_remembered_when_it_trips_on_a_loss() -> None:
    state = swept(reset(latched(range(3), 3), keys(range(3))), range(3), 30, LOSS)
    assert (state.latched, state.tripped, state.approved) == (True, frozenset(), keys(range(3)))


def test_it_says_what_would_free_it() -> None:
    assert clears_when(CLOSED) is None
    text = clears_when(swept(latched(range(4), 5), [], 5))
    assert text == (
        "each of the 4 sessions that tripped it has ended or has a row again, for 3 full sweeps in a row (1 so far), or an "
        "operator runs 'breaker reset' or 'sweep --approve'"
    )


def test_it_says_what_would_free_it_where_no_session_is_an_orphan() -> None:
    assert clears_when(swept(CLOSED, [], 10, LOSS)) == (
        "the registry loses no more rows for 3 full sweeps in a row (0 so far), or an operator runs 'breaker reset'"
    )


def test_the_breaker_of_the_status() -> None:
    assert as_json(CLOSED) == {"state": "closed", "since": None, "cause": None, "clears_when": None}
    state = latched(range(3), 3)
    assert as_json(state) == {
        "state": "latched",
        "since": "2026-09-21T14:13:20Z",
        "cause": "3 of 3 managed sessions have no row, or one marked deleted",
        "clears_when": clears_when(state),
    }


WAVES: list[set[int]] = [set(), {0, 1, 2}, {3, 4, 5}, {3}, {0, 4, 5, 6}]
SWEEPS = st.lists(st.tuples(st.sampled_from(WAVES), st.sampled_from([0, 2, 3, 9])), max_size=14)


@property_settings(400)
@given(SWEEPS)
def test_only_three_clear_sweeps_in_a_row_free_it_from_all_that_tripped_it(sweeps: list[tuple[set[int], int]]) -> None:
    state, is_latched, tripped, clear = CLOSED, False, set[int](), 0
    for orphans, known in sweeps:
        state = swept(state, orphans, len(orphans) + known)
        if len(orphans) >= 3 and len(orphans) > known:
            is_latched, tripped, clear = True, tripped | orphans, 0
        elif is_latched:
            clear = 0 if tripped & orphans else clear + 1
            if clear == 3:
                is_latched, tripped = False, set()
        assert state.latched is is_latched
