"""The simulation itself: its histories are quiet, the same each time, and small when they fail."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation import history
from tests.simulation.__main__ import main
from tests.simulation.floors import below_the_floor
from tests.simulation.history import run
from tests.simulation.judging import Judging
from tests.simulation.plan import SWEEP, Event, Plan, Step
from tests.simulation.planning import make_plan
from tests.simulation.reaper import SimulatedReaper
from tests.simulation.shrink import shrink

SEEDS = range(100)


def test_no_history_breaks_a_rule() -> None:
    assert {seed: broken for seed in SEEDS if (broken := run(make_plan(seed)).violations)} == {}


def test_a_seed_makes_the_same_history_each_time() -> None:
    for seed in SEEDS:
        first, second = run(make_plan(seed)), run(make_plan(seed))
        assert (first.story, first.counts) == (second.story, second.counts)


def test_each_history_has_workspaces_sweeps_and_events() -> None:
    for seed in SEEDS:
        plan = make_plan(seed)
        sweeps = sum(step.event.what == SWEEP for step in plan.steps)
        events = sum(step.event.what != SWEEP for step in plan.steps) + sum(len(step.during) for step in plan.steps)
        assert plan.workspaces >= 2
        assert sweeps >= 4
        assert events >= 3


def test_a_failing_history_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here each kill breaks a rule."""
    monkeypatch.setattr(Judging, "judge", lambda self, life, truth, intent: self.blame(truth, "test", "any kill"))
    steps = tuple(Step(Event(what)) for what in (SWEEP, "print", "delete", "hook deleted", SWEEP))
    small = shrink(Plan(0, 4, (*steps, *steps)))
    assert [step.event.what for step in small.steps] == ["delete", "hook deleted"]
    assert small.workspaces == 2
    assert history.run(small).violations


def test_too_little_that_happens_is_reported() -> None:
    assert any("kill orphan: 0 times" in sentence for sentence in below_the_floor(Counter(), 1000))
    assert list(below_the_floor(Counter(), 10)) == []


def test_the_command_prints_a_story() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "3"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "sweep" in done.stdout


def test_an_error_of_the_product_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: SimulatedReaper) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(SimulatedReaper, "sweep", fail)
    [found] = run(make_plan(0)).violations
    assert found.rule == "error"
    assert "ZeroDivisionError: by nothing" in str(found)


@pytest.mark.parametrize("seeds", ["x", "9-3", "-", "1-x", "-4"])
def test_what_is_no_seed_is_an_error(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--", seeds])
    assert "the smaller one first" in capsys.readouterr().err


def test_several_seeds_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["0-2"]) == 0
    assert "3 histories in" in capsys.readouterr().out
