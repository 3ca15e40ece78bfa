"""What works in the directory of a reaped workspace, and which nothing shows to come from its session."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.sweep.scene import Scene, cleanup_of
from workspace_reaper.model.reap import Outcome, SurvivingProcess
from workspace_reaper.sweep.untraced import WHY


def test_what_works_in_the_directory_and_has_no_origin_is_reported_and_gets_no_signal() -> None:
    """The reaper itself is not reported."""
    scene = Scene()
    place = scene.give_up().path
    scene.world.tree.make(f"{place}/src/app")
    build = scene.world.machine.spawn(["make", "all"], cwd=f"{place}/src/app", environ={})
    scene.world.machine.spawn(["make", "other"], cwd=scene.world.workspaces[1].path, environ={})
    scene.world.machine.change_directory(scene.world.reaper_pid, place)
    report = scene.sweep()
    assert cleanup_of(report).survivors == (SurvivingProcess(build, "make all", WHY),)
    assert scene.signalled() == set()


def test_what_works_in_a_directory_that_a_living_session_shares_is_not_reported() -> None:
    scene = Scene()
    place, rows = scene.give_up().path, scene.world.host.rows
    rows["w1"] = replace(rows["w1"], worktree=place)
    scene.world.machine.spawn(["make", "all"], cwd=place, environ={})
    report = scene.sweep()
    assert [reap.outcome for reap in scene.history()] == [Outcome.REAPED]
    assert cleanup_of(report).survivors == ()
