"""What full sweeps have seen, carried from sweep to sweep: counting, dating, forgetting, and that no news writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.tools.builders import NOW, OTHER_SOCKET, property_settings, session, session_key
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import Confirmation, Finding, FindingKey
from workspace_reaper.policy.confirmations import LONGEST_WAIT, RETRIES, Confirmations, confirm, retry_at

KEY, OTHER = session_key(1), session_key(2)
GAP = 30
THEN = NOW - 100.0


@pytest.mark.parametrize(
    ("previous", "now", "enough", "after"),
    [
        pytest.param(None, 50, 2, Confirmation(50, 50, 1), id="the first look"),
        pytest.param(Confirmation(50, 50), 79, 2, Confirmation(50, 50), id="short of the gap"),
        pytest.param(Confirmation(50, 50), 80, 2, Confirmation(50, 80, 2), id="at the gap"),
        pytest.param(Confirmation(50, 50), 50, 2, Confirmation(50, 50), id="twice in one moment"),
        pytest.param(Confirmation(50, 80, 2), 500, 2, Confirmation(50, 80, 2), id="enough: no news"),
        pytest.param(Confirmation(50, 80, 3), 500, 2, Confirmation(50, 80, 3), id="more than enough: no news"),
        pytest.param(Confirmation(50, 80, 2), 500, 3, Confirmation(50, 500, 3), id="two of three: one more"),
        pytest.param(Confirmation(50, 80, 1), 109, 2, Confirmation(50, 80, 1), id="the gap counts from the last that counted"),
        pytest.param(Confirmation(50, 80, 1), 79, 2, Confirmation(50, 79, 1), id="the clock went back: the gap begins anew"),
        pytest.param(Confirmation(50, 80, 1), 20, 2, Confirmation(20, 20, 1), id="the clock went back before the first look"),
        pytest.param(Confirmation(50, 80, 2), 20, 2, Confirmation(20, 20, 2), id="the clock went back: what counted stays"),
    ],
)
def test_what_one_more_look_counts(previous: Confirmation | None, now: float, enough: int, after: Confirmation) -> None:
    assert confirm(previous, now, gap=GAP, enough=enough) == after


def test_without_a_gap_each_look_counts() -> None:
    assert confirm(Confirmation(50, 50), 50, gap=0, enough=2) == Confirmation(50, 50, 2)


STEPS = st.lists(st.integers(0, 12), min_size=1, max_size=25)


@property_settings(200)
@given(STEPS, st.integers(0, 12), st.integers(1, 4))
def test_looks_count_as_often_as_they_are_a_gap_apart(steps: list[int], gap: int, enough: int) -> None:
    times = list(accumulate(steps))
    counted = [times[0]]
    for time in times[1:]:
        if time >= counted[-1] + gap:
            counted.append(time)
    sighting = None
    for time in times:
        sighting = confirm(sighting, time, gap=gap, enough=enough)
    assert sighting == Confirmation(times[0], counted[:enough][-1], min(enough, len(counted)))


@property_settings(200)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0, 0, 0, 1, 5, 40])), max_size=25), st.integers(1, 12))
def test_looks_that_count_are_a_gap_apart_whatever_the_clock_falls_back_by(steps: list[tuple[int, int]], gap: int) -> None:
    """By a watch on the wrist, not by the clock that falls back."""
    watch, clock, sighting, counted = 0, 1000, None, []
    for passed, fell_back in steps:
        watch, clock = watch + passed, clock + passed - fell_back
        before = 0 if sighting is None else sighting.count
        sighting = confirm(sighting, clock, gap=gap, enough=9)
        assert sighting.count - before in {0, 1}
        assert sighting.first_at <= sighting.last_at <= clock
        if sighting.count > before:
            counted.append(watch)
    assert all(later - earlier >= gap for earlier, later in pairwise(counted))


def after(before: Mapping[FindingKey, Confirmation], now: float = NOW) -> Confirmations:
    return Confirmations(before, now)


def changes(confirmations: Confirmations) -> tuple[dict[FindingKey, Confirmation], set[FindingKey]]:
    return confirmations.changed, confirmations.forgotten


def test_what_was_never_seen_has_no_time_and_no_count() -> None:
    confirmations = after({})
    assert confirmations.since(KEY, Finding.ORPHAN) is None
    assert not confirmations.of(KEY)
    assert confirmations.count(KEY, Finding.ORPHAN) == 0


def test_what_is_so_for_the_first_time_is_dated_now() -> None:
    confirmations = after({})
    confirmations.set(KEY, Finding.ARCHIVED, holds=True)
    assert confirmations.since(KEY, Finding.ARCHIVED) == NOW
    assert changes(confirmations) == ({(KEY, Finding.ARCHIVED): Confirmation(NOW, NOW)}, set())


def test_what_is_still_so_keeps_its_date_and_writes_nothing() -> None:
    confirmations = after({(KEY, Finding.ARCHIVED): Confirmation(THEN, THEN)})
    confirmations.set(KEY, Finding.ARCHIVED, holds=True)
    assert confirmations.since(KEY, Finding.ARCHIVED) == THEN
    assert changes(confirmations) == ({}, set())


def test_what_the_clock_now_dates_in_the_future_is_dated_now() -> None:
    """Its count and the time of the last one stay: whatever waits after them knows a clock that went back."""
    before = {
        (KEY, Finding.ANNOUNCED): Confirmation(NOW + 500, NOW + 500),
        (OTHER, Finding.FAILED): Confirmation(THEN, NOW + 9, 3),
    }
    sightings = Confirmations(before, NOW)
    assert sightings.since(KEY, Finding.ANNOUNCED) == NOW
    assert sightings.changed == {(KEY, Finding.ANNOUNCED): Confirmation(NOW, NOW + 500)}


def test_what_is_no_longer_so_is_forgotten_and_begins_anew() -> None:
    confirmations = after({(KEY, Finding.ARCHIVED): Confirmation(THEN, THEN)})
    confirmations.set(KEY, Finding.ARCHIVED, holds=False)
    assert confirmations.since(KEY, Finding.ARCHIVED) is None
    assert changes(confirmations) == ({}, {(KEY, Finding.ARCHIVED)})
    confirmations.set(KEY, Finding.ARCHIVED, holds=True)
    assert changes(confirmations) == ({(KEY, Finding.ARCHIVED): Confirmation(NOW, NOW)}, set())


def test_what_was_so_only_between_two_saves_writes_nothing() -> None:
    confirmations = after({})
    confirmations.set(KEY, Finding.ARCHIVED, holds=True)
    confirmations.set(KEY, Finding.ARCHIVED, holds=False)
    assert confirmations.since(KEY, Finding.ARCHIVED) is None
    assert changes(confirmations) == ({}, set())


def test_what_was_not_so_and_is_not_writes_nothing() -> None:
    confirmations = after({})
    confirmations.set(KEY, Finding.ARCHIVED, holds=False)
    assert changes(confirmations) == ({}, set())


def test_a_look_that_counts_is_written_and_one_that_does_not_is_not() -> None:
    at = (KEY, Finding.ORPHAN)
    confirmations = after({at: Confirmation(NOW - 30, NOW - 30)})
    confirmations.confirm(KEY, Finding.ORPHAN, gap=30, enough=2)
    assert (confirmations.count(KEY, Finding.ORPHAN), changes(confirmations)) == (
        2,
        ({at: Confirmation(NOW - 30, NOW, 2)}, set()),
    )
    confirmations = after({at: Confirmation(NOW - 29, NOW - 29)})
    confirmations.confirm(KEY, Finding.ORPHAN, gap=30, enough=2)
    assert (confirmations.count(KEY, Finding.ORPHAN), changes(confirmations)) == (1, ({}, set()))


def test_a_row_that_came_back_between_two_looks_makes_the_count_begin_anew() -> None:
    confirmations = after({(KEY, Finding.ORPHAN): Confirmation(THEN, THEN, 2)})
    confirmations.set(KEY, Finding.ORPHAN, holds=False)
    confirmations.confirm(KEY, Finding.ORPHAN, gap=30, enough=2)
    assert confirmations.of(KEY)[Finding.ORPHAN] == Confirmation(NOW, NOW, 1)


def test_what_happens_again_is_counted_each_time() -> None:
    confirmations = after({(KEY, Finding.FAILED): Confirmation(THEN, THEN, 2)})
    confirmations.bump(KEY, Finding.FAILED)
    confirmations.bump(OTHER, Finding.FAILED)
    assert confirmations.of(KEY)[Finding.FAILED] == Confirmation(THEN, NOW, 3)
    assert confirmations.of(OTHER)[Finding.FAILED] == Confirmation(NOW, NOW, 1)


# Attached, and what follows


def seen(confirmations: Confirmations) -> tuple[float | None, float | None]:
    return confirmations.since(KEY, Finding.ATTACHED), confirmations.since(KEY, Finding.DETACHED)


def look(
    confirmations: Confirmations, *, attached: bool, came: float | None = None, last_complete: float | None = None
) -> None:
    came_at = None if came is None else int(came)
    confirmations.note_clients(replace(session(), key=KEY, attached=int(attached), last_attached=came_at), last_complete)


@pytest.mark.parametrize(
    ("came", "last_complete", "dated"),
    [
        pytest.param(NOW - 50, NOW - 100, NOW, id="after the last look"),
        pytest.param(NOW - 100, NOW - 99.5, NOW, id="in the same second as the last look"),
        pytest.param(NOW - 101, NOW - 100, None, id="before it, which saw it gone"),
        pytest.param(NOW - 50, None, NOW, id="before the first look of all"),
        pytest.param(None, NOW - 100, None, id="never"),
    ],
)
def test_a_client_that_came_and_left_unseen_left_nobody_knows_when(
    came: float | None, last_complete: float | None, dated: float | None
) -> None:
    """The reaper was off for days, or the tick is long: tmux dates the attach and no detach."""
    confirmations = after({})
    look(confirmations, attached=False, came=came, last_complete=last_complete)
    assert seen(confirmations) == (None, dated)


def test_what_left_unseen_is_dated_once() -> None:
    confirmations = after({(KEY, Finding.DETACHED): Confirmation(THEN, THEN)})
    look(confirmations, attached=False, came=THEN - 10, last_complete=THEN - 20)
    assert changes(confirmations) == ({}, set())
    look(confirmations, attached=False, came=THEN + 10, last_complete=THEN - 20)
    assert seen(confirmations) == (None, NOW)


def test_a_detach_is_dated_at_the_first_look_without_a_client() -> None:
    confirmations = after({(KEY, Finding.ATTACHED): Confirmation(THEN, THEN)})
    look(confirmations, attached=False)
    assert seen(confirmations) == (None, NOW)
    assert changes(confirmations) == ({(KEY, Finding.DETACHED): Confirmation(NOW, NOW)}, {(KEY, Finding.ATTACHED)})


def test_a_detach_keeps_its_date() -> None:
    confirmations = after({(KEY, Finding.DETACHED): Confirmation(THEN, THEN)})
    look(confirmations, attached=False)
    assert seen(confirmations) == (None, THEN)
    assert changes(confirmations) == ({}, set())


def test_a_session_that_never_had_a_client_has_no_detach() -> None:
    confirmations = after({})
    look(confirmations, attached=False)
    assert (seen(confirmations), changes(confirmations)) == ((None, None), ({}, set()))


def test_a_client_that_comes_makes_the_last_detach_pointless() -> None:
    confirmations = after({(KEY, Finding.DETACHED): Confirmation(THEN, THEN)})
    look(confirmations, attached=True)
    assert seen(confirmations) == (NOW, None)
    assert changes(confirmations) == ({(KEY, Finding.ATTACHED): Confirmation(NOW, NOW)}, {(KEY, Finding.DETACHED)})


def test_a_client_that_stays_writes_nothing() -> None:
    confirmations = after({(KEY, Finding.ATTACHED): Confirmation(THEN, THEN)})
    look(confirmations, attached=True)
    assert (seen(confirmations), changes(confirmations)) == ((THEN, None), ({}, set()))


def test_a_second_detach_is_dated_anew_even_if_the_first_was_never_forgotten() -> None:
    both = {(KEY, Finding.ATTACHED): Confirmation(THEN, THEN), (KEY, Finding.DETACHED): Confirmation(THEN - 9, THEN - 9)}
    confirmations = after(both)
    look(confirmations, attached=False)
    assert seen(confirmations) == (None, NOW)


# Forgetting, saving


def test_only_what_is_gone_from_that_socket_is_forgotten() -> None:
    elsewhere = session_key(1, socket=OTHER_SOCKET)
    before = {(key, Finding.ORPHAN): Confirmation(THEN, THEN) for key in (KEY, OTHER, elsewhere)}
    confirmations = after(before)
    confirmations.forget_gone(KEY.socket, {KEY})
    assert changes(confirmations) == ({}, {(OTHER, Finding.ORPHAN)})


def test_a_session_that_took_the_id_of_another_inherits_nothing() -> None:
    successor = session_key(1, age=5)
    confirmations = after({(KEY, Finding.ORPHAN): Confirmation(THEN, THEN, 2)})
    confirmations.forget_gone(KEY.socket, {successor})
    assert confirmations.count(successor, Finding.ORPHAN) == 0
    assert confirmations.forgotten == {(KEY, Finding.ORPHAN)}


def test_one_kind_is_dropped_and_the_others_stay() -> None:
    confirmations = after({(KEY, Finding.ORPHAN): Confirmation(THEN, THEN), (KEY, Finding.DEAD): Confirmation(THEN, THEN)})
    confirmations.forget_all(Finding.ORPHAN)
    assert changes(confirmations) == ({}, {(KEY, Finding.ORPHAN)})


def test_what_is_saved_is_no_change_any_more() -> None:
    confirmations = after({(KEY, Finding.ORPHAN): Confirmation(THEN, THEN), (OTHER, Finding.ORPHAN): Confirmation(THEN, THEN)})
    confirmations.set(KEY, Finding.ORPHAN, holds=False)
    confirmations.set(KEY, Finding.DEAD, holds=True)
    confirmations.saved()
    assert changes(confirmations) == ({}, set())
    assert confirmations.since(KEY, Finding.ORPHAN) is None
    assert confirmations.since(KEY, Finding.DEAD) == NOW
    assert confirmations.since(OTHER, Finding.ORPHAN) == THEN
    confirmations.set(KEY, Finding.DEAD, holds=False)
    assert changes(confirmations) == ({}, {(KEY, Finding.DEAD)})


def test_saving_nothing_changes_nothing() -> None:
    confirmations = after({(KEY, Finding.ORPHAN): Confirmation(THEN, THEN)})
    confirmations.saved()
    assert (confirmations.since(KEY, Finding.ORPHAN), changes(confirmations)) == (THEN, ({}, set()))


KEYS = st.sampled_from([KEY, OTHER, session_key(3, socket=OTHER_SOCKET)])
SIGHTS = st.sampled_from([Finding.ORPHAN, Finding.ARCHIVED, Finding.ATTACHED, Finding.DETACHED])
STATES = st.sampled_from([Finding.ORPHAN, Finding.ARCHIVED])


class SweepAfterSweep(RuleBasedStateMachine):
    """Sightings beside a plain dictionary of what is so, and a store to which only the changes are written."""

    def __init__(self) -> None:
        super().__init__()
        self.now = float(NOW)
        self.store: dict[FindingKey, Confirmation] = {}
        self.since: dict[FindingKey, float] = {}
        self.confirmations = Confirmations({}, self.now)

    def write(self) -> None:
        changed, forgotten = dict(self.confirmations.changed), set(self.confirmations.forgotten)
        assert not changed.keys() & forgotten
        assert forgotten <= self.store.keys()
        self.store = {at: sighting for at, sighting in {**self.store, **changed}.items() if at not in forgotten}

    @rule(passed=st.integers(1, 40))
    def next_sweep(self, passed: int) -> None:
        self.write()
        self.now += passed
        self.confirmations = Confirmations(self.store, self.now)

    @rule()
    def saved(self) -> None:
        self.write()
        self.confirmations.saved()

    @rule(key=KEYS, sight=STATES, holds=st.booleans())
    def is_so(self, key: SessionKey, sight: Finding, holds: bool) -> None:
        self.confirmations.set(key, sight, holds=holds)
        if holds:
            self.since.setdefault((key, sight), self.now)
        else:
            self.since.pop((key, sight), None)

    @rule(key=KEYS)
    def looks(self, key: SessionKey) -> None:
        self.confirmations.confirm(key, Finding.ORPHAN, gap=GAP, enough=2)
        self.since.setdefault((key, Finding.ORPHAN), self.now)

    @rule(key=KEYS, attached=st.booleans())
    def sees_clients(self, key: SessionKey, attached: bool) -> None:
        self.confirmations.note_clients(replace(session(), key=key, attached=int(attached)), None)
        if attached:
            self.since.pop((key, Finding.DETACHED), None)
            self.since.setdefault((key, Finding.ATTACHED), self.now)
        elif self.since.pop((key, Finding.ATTACHED), None) is not None:
            self.since[key, Finding.DETACHED] = self.now

    @rule(alive=st.sets(KEYS))
    def forgets_the_gone(self, alive: set[SessionKey]) -> None:
        self.confirmations.forget_gone(KEY.socket, alive)
        gone = [at for at in self.since if at[0].socket == KEY.socket and at[0] not in alive]
        for at in gone:
            del self.since[at]

    @rule(sight=SIGHTS)
    def forgets_a_kind(self, sight: Finding) -> None:
        self.confirmations.forget_all(sight)
        for at in [at for at in self.since if at[1] is sight]:
            del self.since[at]

    @invariant()
    def tells_what_is_so(self) -> None:
        for key in (KEY, OTHER, session_key(3, socket=OTHER_SOCKET)):
            for sight in (Finding.ORPHAN, Finding.ARCHIVED, Finding.ATTACHED, Finding.DETACHED):
                assert self.confirmations.since(key, sight) == self.since.get((key, sight))
                assert (self.confirmations.count(key, sight) > 0) is ((key, sight) in self.since)

    @invariant()
    def attached_and_detached_exclude_each_other(self) -> None:
        for key in (KEY, OTHER):
            assert not {Finding.ATTACHED, Finding.DETACHED} <= self.confirmations.of(key).keys()


TestSweepAfterSweep = SweepAfterSweep.TestCase
TestSweepAfterSweep.settings = property_settings(40)


# Kills that fail


@pytest.mark.parametrize(
    ("times", "wait"),
    [(1, None), (2, None), (3, 180), (4, 360), (5, 720), (9, 11_520), (10, LONGEST_WAIT), (1067, LONGEST_WAIT)],
)
def test_a_kill_that_failed_three_times_waits_longer_each_time(times: int, wait: float | None) -> None:
    assert retry_at(Confirmation(THEN, NOW, times), NOW, 180) == (None if wait is None else NOW + wait)


def test_what_never_failed_waits_for_nothing() -> None:
    assert retry_at(None, NOW, 180) is None


@pytest.mark.parametrize(
    ("now", "waits"),
    [(NOW, True), (NOW + 179.9, True), (NOW + 180, False), (NOW + 9e9, False), (NOW - 1, False)],
    ids=["at once", "before its time", "in time", "long after", "the clock went back"],
)
def test_until_when_it_waits(now: float, waits: bool) -> None:
    assert (retry_at(Confirmation(THEN, NOW, 3), now, 180) is not None) is waits


FAILED = st.builds(Confirmation, st.just(THEN), st.floats(0, 4e9), st.integers(1, 10_000))


@property_settings(300)
@given(FAILED, st.floats(0, 4e9), st.floats(0, 7 * 86_400))
def test_no_failure_is_for_ever(failed: Confirmation, now: float, first_wait: float) -> None:
    """Whatever is remembered and whatever the clocks say, the next try is hours away at most; and one who fails once more
    waits no shorter."""
    at = retry_at(failed, now, first_wait)
    assert at is None or now < at <= failed.last_at + LONGEST_WAIT
    assert at is None or failed.count >= RETRIES
    again = retry_at(Confirmation(THEN, failed.last_at, failed.count + 1), now, first_wait)
    assert at is None or (again is not None and again >= at)


@property_settings(200)
@given(st.integers(1, 3600), st.lists(st.integers(1, 600), min_size=1, max_size=150))
def test_one_that_always_fails_is_tried_ever_less_often(first_wait: int, steps: list[int]) -> None:
    """One sweep after each step; the tries, by their times, as a sweep makes them and remembers them."""
    tries: list[float] = []
    confirmations, now = after({}), float(NOW)
    for step in steps:
        now += step
        confirmations = Confirmations({(KEY, sight): seen for sight, seen in confirmations.of(KEY).items()}, now)
        if retry_at(confirmations.of(KEY).get(Finding.FAILED), now, first_wait) is None:
            confirmations.bump(KEY, Finding.FAILED)
            tries.append(now)
    waits = [later - earlier for earlier, later in pairwise(tries)]
    for number, wait in enumerate(waits, 1):
        least = 0 if number < RETRIES else min(LONGEST_WAIT, first_wait * 2 ** (number - RETRIES))
        assert least <= wait <= least + max(steps)


def test_what_was_seen_of_another_workspace_says_nothing_of_this_one() -> None:
    before = {(KEY, sight): Confirmation(THEN, THEN, 2, "w1") for sight in (Finding.ORPHAN, Finding.ARCHIVED)}
    confirmations = Confirmations(before, NOW, {KEY: "w2"})
    confirmations.confirm(KEY, Finding.ORPHAN, gap=GAP, enough=2)
    assert changes(confirmations) == ({(KEY, Finding.ORPHAN): Confirmation(NOW, NOW, 1, "w2")}, {(KEY, Finding.ARCHIVED)})


@pytest.mark.parametrize(
    ("seen_as", "now"),
    [
        pytest.param("w1", {KEY: "w1"}, id="the same"),
        pytest.param(None, {KEY: "w1"}, id="by a version that did not say"),
        pytest.param("w1", {}, id="not managed at the moment"),
    ],
)
def test_what_was_seen_stands_where_no_other_workspace_is_known(seen_as: str | None, now: Mapping[SessionKey, str]) -> None:
    confirmations = Confirmations({(KEY, Finding.ORPHAN): Confirmation(THEN, THEN, 1, seen_as)}, NOW, now)
    confirmations.confirm(KEY, Finding.ORPHAN, gap=GAP, enough=2)
    assert confirmations.count(KEY, Finding.ORPHAN) == 2


def test_of_a_client_it_does_not_matter_whose_workspace_it_is() -> None:
    confirmations = Confirmations({(KEY, Finding.ATTACHED): Confirmation(THEN, THEN)}, NOW, {KEY: "w2"})
    confirmations.set(KEY, Finding.ATTACHED, holds=True)
    assert changes(confirmations) == ({}, set())


def test_the_name_by_which_its_row_named_it_is_stored_once_and_when_it_changes() -> None:
    one, renamed = session(name="main"), session(name="better")
    seen = Confirmations({}, NOW)
    assert not seen.was_named(one)
    assert seen.is_unremarkable(one, THEN)
    seen.note_name(one)
    known = {(KEY, Finding.NAMED): Confirmation(NOW, NOW, name="main")}
    assert (seen.changed, seen.was_named(one), seen.was_named(renamed)) == (known, True, False)
    assert seen.is_unremarkable(one, THEN), "the name is no news"
    later = Confirmations(known, NOW + 60)
    later.note_name(one)
    assert later.changed == {}
    later.note_name(renamed)
    assert later.changed == {(KEY, Finding.NAMED): Confirmation(NOW + 60, NOW + 60, name="better")}
    later.set(KEY, Finding.DEAD, holds=True)
    assert not later.is_unremarkable(one, THEN)
