"""A doubt of the reaper that lasts is an alarm: it does not stop in silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.faults.steps import alarms, check_code
from tests.tools.world import World
from workspace_reaper.model.state import ClockReading
from workspace_reaper.processes.clock import SystemClock

Worlds = Callable[..., World]


class SteppedClock(SystemClock):
    """The machine's clocks. Somebody sets the wall clock ahead between any two sweeps; the other clocks go on."""

    def __init__(self, real: object) -> None:
        self._real = real
        self.ahead = 0.0
        self.elapsed = 0.0

    def now(self) -> float:
        return float(self._real.now()) + self.ahead  # type: ignore[attr-defined]

    def read(self) -> ClockReading:
        reading: ClockReading = self._real.read()  # type: ignore[attr-defined]
        return ClockReading(reading.wall + self.ahead, reading.elapsed + self.elapsed, reading.awake + self.elapsed)

    def go_on(self, seconds: float, step: float) -> None:
        """Time passes, and the wall clock is set ahead by ``step`` as well."""
        self.elapsed += seconds
        self.ahead += seconds + step


def test_i81_a_clock_that_is_stepped_before_every_sweep_is_an_alarm(worlds: Worlds) -> None:
    world = worlds(activity_grace=20, abstain_alarm=60)
    archived = world.workspace(archived=True)
    world.session(archived)
    reaper = world.plugin.reaper()
    clock = SteppedClock(reaper.clock)
    reaper.clock = clock
    reaper.dependencies = replace(reaper.dependencies, clock=clock)
    world.sweep()
    assert check_code(world) == 0
    for _ in range(4):
        clock.go_on(30, 600)
        assert world.entry(world.sweep(), archived).protected_by == "clock"
    assert (alarms(world), check_code(world)) == ({"doubt"}, 1)
    clock.go_on(30, 0)
    assert world.entry(world.sweep(), archived).outcome == "reaped"
    assert (alarms(world), check_code(world)) == (set(), 0)


def test_i81_a_registry_that_has_lost_the_proof_of_a_session_is_an_alarm_while_the_session_is_used(worlds: Worlds) -> None:
    """A stranger is expected to wait until it has been idle for stranger_ttl. A session that was known is no stranger."""
    world = worlds("standard", abstain_alarm=60)
    known = world.workspaces(4)[0]
    reaper = world.plugin.reaper()
    clock = SteppedClock(reaper.clock)
    reaper.clock = clock
    reaper.dependencies = replace(reaper.dependencies, clock=clock)
    world.sweep()
    world.host.delete(known)
    with world.host.writing() as connection:
        connection.execute("ALTER TABLE workspaces ADD COLUMN migrated INTEGER")
    found = []
    for _ in range(4):
        entry = world.entry(world.sweep(), known)
        found.append((entry.protected_by, alarms(world), check_code(world)))
        clock.go_on(40, 0)
    assert found[1][1:] == (set(), 0)
    assert found[-1] == ("unproven", {"doubt"}, 1)
