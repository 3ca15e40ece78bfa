"""I44: one session whose kill fails never stops the others, is told, and is tried ever less often."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import alarms, check_code, events, recalled
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import Confirmation, Finding, StateChanges
from workspace_reaper.operations.sessions import explain_session, keep_session
from workspace_reaper.policy.confirmations import LONGEST_WAIT
from workspace_reaper.sweep.kill import ATTEMPTS
from workspace_reaper.sweep.report import SweepReport

pytestmark = pytest.mark.once

FIRST_WAIT = 180
"""Seconds: three ticks."""


def never_answers(session_id: str) -> dict[str, object]:
    """tmux never says what became of a batch of kills in which that session is, and kills none of it."""
    return Rule("kill-session", said=f"-t '{session_id}:'", real=False)


def condemned(world: World, count: int) -> list[str]:
    return world.workspaces(count, archived=True)


def kills(front: FrontTmux) -> int:
    return sum("kill-session" in call for call in front.calls())


def fail(world: World, workspace_id: str, *, times: int = 3, ago: float = 0.0) -> SessionKey:
    """Its kill has failed so often, the last time so many seconds ago."""
    key = world.entry(world.sweep(dry_run=True), workspace_id).key
    assert key is not None
    at = time.time() - ago
    with world.plugin.reaper().writing() as ledger:
        ledger.save(StateChanges(confirmations={(key, Finding.FAILED): Confirmation(at - 60, at, times)}))
    return key


def sweep_in_one_batch(world: World) -> SweepReport:
    """All that is condemned goes in one command, however slow the machine is."""
    world.plugin.reaper().state.batch_size.size = 25
    return world.sweep()


def failures(world: World) -> list[int]:
    return [seen.count for (_, sight), seen in recalled(world).confirmations.items() if sight is Finding.FAILED]


def told(world: World, report: SweepReport, workspace_id: str) -> tuple[str, str | None]:
    entry = world.entry(report, workspace_id)
    return entry.outcome, entry.protected_by


@pytest.fixture
def poison(world: World) -> tuple[str, str]:
    """A workspace, and its session."""
    workspace_id = world.workspace(archived=True)
    return workspace_id, world.session(workspace_id)


def test_i44_a_kill_that_never_has_an_answer_stops_no_other(world: World, erring: Erring, poison: tuple[str, str]) -> None:
    bad, session_id = poison
    with erring(never_answers(session_id)) as front:
        for number in (1, 2, 3):
            others = condemned(world, 2)
            report = sweep_in_one_batch(world)
            assert outcomes(report) == {bad: "failed", **dict.fromkeys(others, "reaped")}, number
            assert report.exit_code == 1
            assert failures(world) == [number]
            assert alarms(world) == ({"kill-failing"} if number == 3 else set())
        assert check_code(world) == 1

        before, others = kills(front), condemned(world, 2)
        report = sweep_in_one_batch(world)
        assert outcomes(report) == {bad: "none", **dict.fromkeys(others, "reaped")}
        assert told(world, report, bad) == ("none", "retrying")
        assert report.exit_code == 0, "it is held back, and that is told by the alarm"
        assert kills(front) == before + 1, "the others go together again"
        assert alarms(world) == {"kill-failing"}
    assert world.lives(bad)


def test_i44_what_failed_before_is_tried_last_and_alone(world: World, erring: Erring, poison: tuple[str, str]) -> None:
    """It has the lowest id. The others go in one batch all the same, which has an answer."""
    bad, session_id = poison
    condemned(world, 3)
    fail(world, bad, times=1)
    with erring(never_answers(session_id)) as front:
        report = sweep_in_one_batch(world)
    assert told(world, report, bad)[0] == "failed"
    assert report.count("reaped") == 3
    assert kills(front) == 1 + ATTEMPTS


def test_i44_it_is_tried_again_at_growing_intervals_also_after_a_restart(
    world: World, erring: Erring, poison: tuple[str, str]
) -> None:
    bad, session_id = poison
    with erring(never_answers(session_id)):
        for times, wait in ((3, FIRST_WAIT), (4, 2 * FIRST_WAIT)):
            fail(world, bad, times=times, ago=wait - 60)
            assert told(world, world.new_plugin().sweep(), bad) == ("none", "retrying")
            fail(world, bad, times=times, ago=wait)
            assert told(world, world.new_plugin().sweep(), bad)[0] == "failed"
            assert failures(world) == [times + 1]
    assert told(world, world.sweep(), bad) == ("none", "retrying")
    assert alarms(world) == {"kill-failing"}
    fail(world, bad, times=1067, ago=LONGEST_WAIT)
    assert outcomes(world.sweep()) == {bad: "reaped"}
    assert (alarms(world), events(world)[-1], failures(world)) == (set(), "alarm over", [])


def test_i44_explain_says_how_often_it_failed_and_when_it_is_tried_again(world: World, poison: tuple[str, str]) -> None:
    bad, session_id = poison
    fail(world, bad)
    explained = explain_session(world.plugin.reaper(), session_id)
    assert explained.decided == "hold: archived, held by retrying"
    [rule] = [rule for rule in explained.rules if rule.holds]
    assert rule.held_by == ("retrying",)
    assert "its kill failed 3 times in a row, and the next attempt is at 2" in rule.because
    assert "sweep --approve'" in rule.because


def test_i44_neither_a_hook_nor_a_sweep_shortens_the_wait_but_an_operator_who_names_it_does(
    world: World, erring: Erring, poison: tuple[str, str]
) -> None:
    bad, session_id = poison
    key = fail(world, bad)
    with erring(never_answers(session_id)) as front:
        world.plugin._runner.look_at({bad: WorkspaceEvent.ARCHIVED}, [bad])
        world.host.delete(bad)
        world.plugin._runner.look_at({bad: WorkspaceEvent.DELETED}, [bad])
        assert told(world, world.sweep(), bad) == ("none", "retrying")
        assert kills(front) == 0
        assert told(world, world.sweep(approve=[key]), bad)[0] == "failed"
        assert failures(world) == [4], "it is counted like any other"
    assert outcomes(world.sweep(approve=[key])) == {bad: "reaped"}


def test_what_was_announced_in_time_is_not_announced_again_before_the_next_try(worlds: Callable[..., World]) -> None:
    world = worlds(undo_window=0.2)
    bad = world.workspace(archived=True)
    world.session(bad)
    report = world.sweep()
    assert told(world, report, bad) == ("none", "announced")
    # As long as it waits for its time it is not condemned, and nothing is counted.
    wait_until(lambda: time.time() > report.started_at + 1)
    fail(world, bad)
    assert told(world, world.sweep(), bad) == ("none", "retrying")
    assert Finding.ANNOUNCED in {sight for _, sight in recalled(world).confirmations}
    fail(world, bad, ago=LONGEST_WAIT)
    assert outcomes(world.sweep()) == {bad: "reaped"}


def test_i44_what_an_operator_keeps_raises_no_alarm_and_starts_over(world: World, poison: tuple[str, str]) -> None:
    bad, session_id = poison
    fail(world, bad)
    world.sweep()
    assert alarms(world) == {"kill-failing"}
    keep_session(world.plugin.reaper(), session_id, on=True)
    assert told(world, world.sweep(), bad) == ("none", "kept")
    assert (alarms(world), failures(world)) == (set(), [])
