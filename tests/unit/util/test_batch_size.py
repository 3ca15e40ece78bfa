"""The size of a batch, learned from the last one."""

from __future__ import annotations

import pytest

from workspace_reaper.util.batch_size import BatchSize


@pytest.mark.parametrize(
    ("size", "sessions", "seconds", "after"),
    [
        pytest.param(25, 25, 0.1, 25, id="as long as it should"),
        pytest.param(25, 25, 0.2, 12, id="twice as long"),
        pytest.param(25, 25, 0.05, 50, id="half as long"),
        pytest.param(25, 25, 0.001, 100, id="at most four times as many"),
        pytest.param(25, 25, 0.0, 100, id="no time at all"),
        pytest.param(25, 25, 5.0, 1, id="cut off by the time limit"),
        pytest.param(25, 25, 60.0, 1, id="never none"),
        pytest.param(1, 1, 0.027, 3, id="27 ms for one kill"),
        pytest.param(1, 1, 0.0004, 4, id="0.4 ms for one kill: by steps"),
        pytest.param(400, 400, 0.01, 500, id="at most 500"),
        pytest.param(500, 3, 0.1, 3, id="the rest of a sweep counts for what it was"),
    ],
)
def test_the_next_batch_holds_tmux_for_about_a_tenth_of_a_second(size: int, sessions: int, seconds: float, after: int) -> None:
    pace = BatchSize(size)
    pace.learn(sessions, seconds)
    assert pace.size == after


def test_it_begins_with_few_for_nobody_knows_yet_what_a_kill_costs() -> None:
    assert BatchSize().size == 5


@pytest.mark.parametrize("kill", [0.0004, 0.0012, 0.027, 0.3], ids=["0.4 ms", "1.2 ms", "27 ms", "300 ms"])
def test_it_settles_where_a_batch_takes_no_longer_than_it_should(kill: float) -> None:
    pace = BatchSize()
    for _ in range(8):
        pace.learn(pace.size, pace.size * kill)
    assert pace.size == 1 or 0.05 < pace.size * kill <= BatchSize.TARGET_SECONDS


@pytest.mark.parametrize(
    ("nothing", "after"),
    [
        pytest.param(0.02, 31, id="the client's part"),
        pytest.param(5.0, 37, id="at most a third"),
        pytest.param(0.0, 25, id="not known"),
    ],
)
def test_what_the_client_takes_holds_nobody_up(nothing: float, after: int) -> None:
    pace = BatchSize(25)
    pace.learn(25, 0.1, nothing=nothing)
    assert pace.size == after


@pytest.mark.parametrize(
    ("sessions", "seconds", "server", "after"),
    [
        pytest.param(25, 0.5, 0.1, 25, id="a busy machine: five times as long, and as much work as it should"),
        pytest.param(25, 0.5, 0.05, 50, id="half the work"),
        pytest.param(25, 0.4, 0.2, 12, id="twice the work"),
        pytest.param(25, 0.9, 0.9, 5, id="never fewer than five for the work alone"),
        pytest.param(25, 2.0, 0.1, 12, id="too long by the clock"),
        pytest.param(25, 5.0, 0.1, 5, id="cut off by the time limit"),
        pytest.param(2, 5.0, 0.01, 1, id="a server that waits for something else: one by one"),
        pytest.param(25, 0.1, 0.0, 100, id="no work at all"),
    ],
)
def test_the_server_s_own_time_decides_where_it_is_known(sessions: int, seconds: float, server: float, after: int) -> None:
    pace = BatchSize(25)
    pace.learn(sessions, seconds, server=server)
    assert pace.size == after


@pytest.mark.parametrize(("nothing", "after"), [(0.0, 8), (0.05, 10), (5.0, 12)])
def test_what_each_client_costs_the_server_does_not_make_a_batch_small(nothing: float, after: int) -> None:
    pace = BatchSize(25)
    pace.learn(25, 0.5, server=0.3, nothing=nothing)
    assert pace.size == after
