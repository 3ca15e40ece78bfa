"""The CPU clock."""

from __future__ import annotations

import pytest

from tests.tools.builders import NOW, process, session_key
from workspace_reaper.model.state import CpuSample, CpuState
from workspace_reaper.policy import idle
from workspace_reaper.policy.process_tree import SessionProcess

KEY = session_key(1)


def using(*seconds: float) -> list[SessionProcess]:
    return [SessionProcess(process(10 + at, cpu_seconds=used), "%1", descendant=True) for at, used in enumerate(seconds)]


def known(seconds: float, busy_at: float | None = None, ago: float = 60) -> CpuState:
    return CpuState(NOW - ago, {KEY: CpuSample(seconds, busy_at)})


@pytest.mark.parametrize(
    ("before", "after", "seconds", "busy"),
    [
        (10.0, 10.6, 60, False),
        (10.0, 10.61, 60, True),
        (10.0, 9.39, 60, True),
        (10.0, 10.0, 60, False),
        (10.0, 10.01, 0.2, False),
        (10.0, 10.02, 0.2, True),
        (10.0, 10.02, -5, True),
    ],
    ids=["1 %", "more than 1 %", "a busy one ended", "nothing", "one tick", "two ticks at once", "the clock went back"],
)
def test_what_counts_as_work(before: float, after: float, seconds: float, busy: bool) -> None:
    assert idle.is_busy(before, after, seconds) is busy


def test_a_sample_is_due_until_one_is_stored_and_half_a_tick_after_the_last_one() -> None:
    sampling = idle.SampleInterval(60)
    assert [sampling.is_due(now) for now in (5, 6)] == [True, True]
    sampling.stored(6)
    assert [sampling.is_due(now) for now in (35, 36, 64)] == [False, True, True]
    sampling.stored(64)
    assert [sampling.is_due(now) for now in (66, 93, 94)] == [False, False, True]


def test_a_session_is_as_busy_as_all_its_processes() -> None:
    assert idle.used(using(1.0, 2.5, 0.25)) == 3.75


def test_a_session_seen_for_the_first_time_is_not_known_to_be_busy() -> None:
    assert idle.advance(CpuState(), NOW, {KEY: using(99.0)}) == CpuState(NOW, {KEY: CpuSample(99.0, None)})


@pytest.mark.parametrize(
    ("seconds", "quiet", "busy_at"),
    [(9.0, 60.0, None), (11.0, 60.0, NOW), (11.0, 1000.0, NOW), (11.0, 1200.0, None), (1800.0, 172_800.0, NOW)],
)
def test_what_may_have_computed_since_its_last_activity_is_busy_at_the_first_look(
    seconds: float, quiet: float, busy_at: float | None
) -> None:
    """When it has used so much is unknown: it may have been until now."""
    found = idle.advance(CpuState(), NOW, {KEY: using(seconds)}, quiet={KEY: quiet})
    assert found.samples[KEY] == CpuSample(seconds, busy_at)


def test_work_since_the_last_sweep_is_dated_now() -> None:
    assert idle.advance(known(10.0), NOW, {KEY: using(11.0)}).samples[KEY] == CpuSample(11.0, NOW)


def test_a_sample_with_the_same_time_stays_as_it_is() -> None:
    before = known(10.0, NOW - 500)
    assert idle.advance(before, NOW, {KEY: using(10.0)}).samples[KEY] is before.samples[KEY]


def test_rest_keeps_the_date_of_the_last_work() -> None:
    assert idle.advance(known(10.0, NOW - 500), NOW, {KEY: using(10.2)}).samples[KEY] == CpuSample(10.2, NOW - 500)


def test_work_that_the_clock_now_dates_in_the_future_is_dated_now() -> None:
    assert idle.advance(known(10.0, NOW + 500), NOW, {KEY: using(10.0)}).samples[KEY] == CpuSample(10.0, NOW)


def test_a_session_that_is_gone_is_forgotten() -> None:
    assert idle.advance(known(10.0), NOW, {}) == CpuState(NOW, {})


def test_i75_a_session_whose_processes_cannot_be_seen_may_compute() -> None:
    """Each sweep dates its work now, so that it never becomes idle."""
    hidden = idle.advance(CpuState(), NOW, {KEY: ()}, hidden={KEY})
    assert hidden.samples[KEY].busy_at == NOW
    assert idle.advance(known(0.0), NOW, {KEY: ()}, hidden={KEY}).samples[KEY].busy_at == NOW
