"""Sleep, and steps of the clock, in the simulated world."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.history import History
from tests.simulation.plan import RESTART, SWEEP, Event, Plan, Step

HOUR = 3600.0
WAIT = Event("wait", 0, 47.5 * HOUR)
AHEAD, BACK = Event("step clock ahead", 0, HOUR), Event("step clock back", 0, HOUR)
LOOK = Event(SWEEP)


def after(*events: Event) -> History:
    history = History(Plan(0, 2, tuple(map(Step, events))))
    assert history.run().violations == []
    return history


@pytest.mark.parametrize(
    ("events", "stepped"),
    [
        pytest.param([LOOK, AHEAD, LOOK], 1, id="ahead"),
        pytest.param([LOOK, BACK, LOOK], 1, id="back"),
        pytest.param([LOOK, AHEAD, BACK, LOOK], 0, id="and right again"),
        pytest.param([AHEAD, LOOK], 0, id="before the first sweep"),
        pytest.param([LOOK, AHEAD, Event(RESTART), LOOK], 1, id="over a restart"),
        pytest.param([LOOK, AHEAD, Event("lose state"), LOOK], 0, id="the state was lost"),
        pytest.param([LOOK, replace(AHEAD, amount=4.0), LOOK], 0, id="a little"),
    ],
)
def test_a_step_is_noticed_by_one_sweep(events: list[Event], stepped: int) -> None:
    history = History(Plan(0, 2, tuple(map(Step, events))))
    assert history.run().counts["clock stepped"] == stepped


@pytest.mark.parametrize(
    ("event", "killed"),
    [
        pytest.param(Event("wait", 0, HOUR), {"idle": 2}, id="awake"),
        pytest.param(Event("sleep", 0, HOUR), {}, id="asleep"),
        pytest.param(AHEAD, {}, id="the clock is set ahead"),
    ],
)
def test_only_time_awake_is_idle(event: Event, killed: dict[str, int]) -> None:
    assert after(LOOK, WAIT, event, LOOK).judging.kills == killed
