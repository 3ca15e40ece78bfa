"""What is told although no ledger can be written: once, recorded by the first sweep that can, and over when it is over."""

from __future__ import annotations

import pytest

from tests.tools.builders import HOUR, NOW, ledger_state
from tests.unit.sweep.scene import Scene
from workspace_reaper.model.state import Alarm, Event
from workspace_reaper.sweep.alarms import misconfigured
from workspace_reaper.sweep.unrecorded_alarms import UnrecordedAlarms

TICK = 60
WHY = "the disk is full"


def test_what_can_not_be_recorded_is_told_after_three_ticks_and_once() -> None:
    watch = UnrecordedAlarms()
    assert [watch.blind(None, WHY, TICK, NOW + ago) for ago in (0, 60, 180)] == [None] * 3
    alarm = watch.blind(None, WHY, TICK, NOW + 181)
    assert alarm is not None
    assert (alarm.name, alarm.since, alarm.detail) == ("blind", NOW, "no complete sweep yet: the disk is full")
    assert watch.blind(None, WHY, TICK, NOW + 241) is None


def test_a_complete_sweep_is_where_it_counts_from() -> None:
    watch = UnrecordedAlarms()
    watch.completed(NOW)
    assert watch.blind(None, WHY, TICK, NOW + 180) is None
    alarm = watch.blind(None, WHY, TICK, NOW + 181)
    assert alarm is not None
    assert (alarm.since, alarm.detail) == (NOW, "no complete sweep since 2026-09-21T14:13:20Z: the disk is full")


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(ledger_state(last_complete=NOW - 60), id="another process has seen all"),
        pytest.param(
            ledger_state(last_complete=NOW - HOUR, alarms={"blind": Alarm("blind", NOW, "", "")}), id="it is recorded"
        ),
    ],
)
def test_what_the_ledger_knows_is_not_told(known: object) -> None:
    watch = UnrecordedAlarms()
    watch.completed(NOW - HOUR)
    assert watch.blind(known, WHY, TICK, NOW) is None  # type: ignore[arg-type]


def test_what_was_told_is_recorded_once() -> None:
    watch, before = UnrecordedAlarms(), ledger_state(alarms={"breaker": Alarm("breaker", NOW, "3 of 3", "")})
    assert watch.unrecorded(before, NOW) is None
    alarm = misconfigured("tick: it can't be 0", NOW - 60)
    watch.add(alarm)
    changes, after = watch.unrecorded(before, NOW) or (None, None)
    assert changes is not None
    assert after is not None
    assert changes.events == (Event(NOW, "alarm", "configuration: tick: it can't be 0"),)
    assert after.alarms == changes.alarms == {"configuration": alarm, **before.alarms}
    watch.recorded()
    assert watch.unrecorded(after, NOW) is None


def test_the_next_reaper_goes_on_from_the_one_before() -> None:
    before, watch = UnrecordedAlarms(), UnrecordedAlarms()
    before.completed(NOW - HOUR)
    told = before.blind(None, WHY, TICK, NOW)
    assert told is not None
    watch.take_over(before)
    assert watch.blind(None, WHY, TICK, NOW + HOUR) is None
    changes, _ = watch.unrecorded(ledger_state(), NOW) or (None, None)
    assert changes is not None
    assert changes.alarms == {"blind": told}


def test_an_alarm_that_was_raised_while_the_ledger_could_not_be_written_is_recorded_by_the_next_sweep_once() -> None:
    scene = Scene()
    alarm = misconfigured("tick: it cannot be 0", scene.world.clock.now())
    scene.reaper.state.unrecorded_alarms.add(alarm)
    scene.refuse("ledger.save")
    assert not scene.sweep().complete
    assert scene.ports.ledger.events(9) == []
    for _ in range(2):
        scene.sweep()
        told = [(event.kind, event.detail) for event in scene.ports.ledger.events(9) if "configuration" in event.detail]
        assert told == [("alarm over", "configuration"), ("alarm", "configuration: tick: it cannot be 0")]
