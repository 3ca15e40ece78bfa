"""Sessions that belong to no workspace."""

from __future__ import annotations

from tests.simulation.happenings import happen
from tests.simulation.history import History
from tests.simulation.plan import SWEEP, Event, Plan, Step
from workspace_reaper.model.verdict import Expiry, Guard

DAYS = 49 * 3600.0
PLAN = Plan(0, 2, tuple(Step(event) for event in (Event(SWEEP), Event("wait", 0, DAYS), Event(SWEEP))), foreign=2)


def test_they_live_however_long_they_rest_and_whatever_marks_are_copied_to_them() -> None:
    history = History(PLAN)
    history.reaper.tick()
    happen(history.world, Event("copy marks"))
    assert history.run().violations == []
    assert history.judging.kills == {"idle": 2}
    assert set(history.world.foreign.values()) == {"notes", "scratch"}


def test_a_kill_of_one_breaks_a_rule() -> None:
    history = History(PLAN)
    tmux = history.world.tmux
    key = tmux.key_of(next(one for one in tmux.sessions.values() if one.name == "notes"))
    history.reaper.dependencies.terminals[0].kill([Guard(key, None, False, None, False)], Expiry(tmux.now))
    assert [(one.rule, one.what) for one in history.judging.violations] == [("unmanaged", "notes")]


def test_they_are_there_again_after_an_end_of_the_server() -> None:
    world = History(PLAN).world
    happen(world, Event("end server"))
    assert sorted(world.foreign.values()) == ["notes", "scratch"]
    assert all(session_id in world.tmux.sessions for session_id in world.foreign)


def test_a_process_of_one_lives() -> None:
    world = History(PLAN).world
    happen(world, Event("be needed", 0))
    server, *_ = [one for one in world.machine.processes.values() if one.name == "helper"]
    assert [world.is_of_living(one) for one in world.machine.living_clients(server)] == [True]


def test_rows_without_a_session_are_rows() -> None:
    history = History(Plan(0, 3, (Step(Event(SWEEP)),), rows_alone=9))
    history.run()
    assert len(history.judging.breaker.rows) == 12
