"""What the simulation counts for the breaker."""

from __future__ import annotations

import pytest

from tests.simulation.happenings import happen
from tests.simulation.history import History
from tests.simulation.plan import RESET, SWEEP, Event, Plan, Step


def after(*whats: str, workspaces: int = 5) -> History:
    """A history in which these things have happened; what has no workspace is about the first one."""
    history = History(Plan(0, workspaces, tuple(Step(Event(what, 0, 61.0 if what == "wait" else 0.0)) for what in whats)))
    result = history.run()
    assert result.violations == []
    return history


@pytest.mark.parametrize(
    ("whats", "latched"),
    [
        pytest.param([SWEEP, "delete", SWEEP], False, id="one row"),
        pytest.param([SWEEP, "delete most", SWEEP], True, id="most rows"),
        pytest.param(["delete most", SWEEP], False, id="before the first sweep: strangers"),
        pytest.param([SWEEP, "delete most", SWEEP, "insert all"], True, id="until three sweeps are clean"),
        pytest.param([SWEEP, "delete most", SWEEP, "insert all", SWEEP], False, id="three clean sweeps"),
        pytest.param([SWEEP, "delete most", "lock database", SWEEP, "insert all", "unlock database"], False, id="not seen"),
        pytest.param([SWEEP, "delete most", SWEEP, RESET], False, id="reset"),
        pytest.param([SWEEP, "delete most", SWEEP, *["wait"] * 3, SWEEP, "sweep --approve"], False, id="approved"),
        pytest.param([SWEEP, "delete most", SWEEP, "lose state"], False, id="the state was lost"),
    ],
)
def test_the_breaker_is_latched_while_it_must_hold(whats: list[str], latched: bool) -> None:
    # The end of a history has two sweeps more.
    assert after(*whats).judging.breaker.latched is latched


def test_rows_that_went_with_their_directories_are_not_lost() -> None:
    history = after(SWEEP)
    for who in range(4):
        happen(history.world, Event("delete with directory", who))
    history.reaper.tick()
    assert not history.judging.breaker.latched
