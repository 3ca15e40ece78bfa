"""Which time counts: a machine that sleeps, and whose wall clock somebody sets."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tools.builders import DAY, DEFAULTS, HOUR, MINUTE, NOW, circumstances, facts, property_settings, row, session
from tests.tools.waiting import wait_until
from workspace_reaper.model.session import Window
from workspace_reaper.model.state import (
    ClockReading,
    ClockSkew,
    ClockState,
    Confirmation,
    CpuSample,
    CpuState,
    Finding,
    LedgerState,
)
from workspace_reaper.model.verdict import IdleClock, Verdict
from workspace_reaper.policy import idle, protections, rules
from workspace_reaper.policy.facts import Facts
from workspace_reaper.policy.idle import EVERY, AgeClock, describe_clock_step, notice
from workspace_reaper.policy.verdict import judge
from workspace_reaper.processes.clock import SystemClock
from workspace_reaper.sweep.explain import explain
from workspace_reaper.sweep.report import SessionReport, SweepReport, evidence

WEEK = 7 * DAY
STARTED = float(NOW - DAY)
"""When the machine was started."""

BOOT = ClockSkew(STARTED, 1e10)


@dataclass
class Machine:
    """A machine in small. ``lived`` is how long it was awake."""

    lived: float = DAY
    slept: float = 0.0
    offset: float = STARTED
    state: ClockState = field(default_factory=ClockState)
    boot: str = "one"
    stepped: float = 0.0

    @property
    def wall(self) -> float:
        return self.offset + self.slept + self.lived

    def goes(self, *, on: float = 0.0, asleep: float = 0.0, jumps: float = 0.0) -> Machine:
        self.lived, self.slept, self.offset = self.lived + on, self.slept + asleep, self.offset + jumps
        return self

    def sweep(self) -> AgeClock:
        reading = ClockReading(self.wall, self.slept + self.lived, self.lived)
        noticed = notice(self.state, self.boot, reading, WEEK)
        self.state, self.stepped = noticed.state, noticed.stepped
        return AgeClock(noticed.state.skews, noticed.stepped)


@pytest.fixture
def machine() -> Machine:
    made = Machine()
    made.sweep()
    return made


def test_a_first_look_remembers_how_the_clocks_are(machine: Machine) -> None:
    assert machine.state == ClockState("one", STARTED, 0.0, (BOOT,))
    assert machine.stepped == 0


def test_the_sleep_before_the_first_look_is_no_idle_time() -> None:
    """When the machine slept since it was started is unknown, so it may have been after the last activity."""
    machine = Machine(lived=DAY / 2, slept=DAY / 2)
    machine.sweep()
    assert machine.state == ClockState("one", STARTED, DAY / 2, (BOOT, ClockSkew(NOW, DAY / 2)))
    assert machine.stepped == 0
    age_clock = machine.goes(on=600).sweep()
    assert age_clock.since(STARTED, machine.wall) == DAY / 2 + 600
    assert age_clock.since(NOW - 60, machine.wall) == 600


def test_nothing_was_active_before_the_machine_was_started(machine: Machine) -> None:
    """Its clock stood at the last century until it had found a time server."""
    age_clock = machine.sweep()
    assert age_clock.since(0.0, NOW) == age_clock.since(STARTED - 1, NOW) == DAY
    assert age_clock.since(STARTED + 1, NOW) == DAY - 1


def test_while_nothing_happens_nothing_is_to_be_written(machine: Machine) -> None:
    before = machine.state
    for _ in range(3):
        machine.goes(on=MINUTE).sweep()
        assert machine.state is before


@pytest.mark.parametrize("steered", [3.0, -3.0])
def test_a_clock_that_is_steered_was_not_set(machine: Machine, steered: float) -> None:
    for _ in range(10):
        assert machine.goes(on=MINUTE, jumps=steered).sweep().skews == (BOOT,)
        assert machine.stepped == 0


def test_time_asleep_does_not_count(machine: Machine) -> None:
    typed = machine.wall
    age_clock = machine.goes(on=30, asleep=8 * HOUR).goes(on=20).sweep()
    assert age_clock.since(typed, machine.wall) == 50
    assert (machine.stepped, machine.state.slept) == (0, 8 * HOUR)
    age_clock = machine.goes(on=HOUR).sweep()
    assert age_clock.since(typed, machine.wall) == HOUR + 50
    # What came after it was noticed is dated by the clock as it goes now.
    assert age_clock.since(machine.wall - 10, machine.wall) == 10


@pytest.mark.parametrize("hours", [8, 24 * 365])
def test_a_clock_that_was_set_ahead_ages_nothing(machine: Machine, hours: int) -> None:
    typed = machine.wall
    age_clock = machine.goes(on=30, jumps=hours * HOUR).goes(on=30).sweep()
    assert machine.stepped == hours * HOUR
    assert age_clock.since(typed, machine.wall) == 60
    assert machine.goes(on=60).sweep().since(typed, machine.wall) == 120
    assert machine.stepped == 0


def test_a_clock_that_was_set_back_ages_nothing_until_it_has_caught_up(machine: Machine) -> None:
    typed = machine.wall
    machine.goes(on=HOUR, asleep=HOUR).sweep()
    age_clock = machine.goes(on=30, jumps=-8.0 * HOUR).sweep()
    assert machine.stepped == -8 * HOUR
    assert age_clock.since(typed, machine.wall) == 0
    fresh = machine.goes(on=30).wall
    age_clock = machine.goes(on=MINUTE).sweep()
    assert age_clock.since(fresh, machine.wall) == MINUTE
    assert machine.stepped == 0


def test_restarting_the_machine_begins_anew(machine: Machine) -> None:
    machine.goes(asleep=8 * HOUR).sweep()
    machine.boot, machine.slept, machine.lived, machine.offset = "two", 0.0, 30.0, machine.wall
    age_clock = machine.sweep()
    assert (machine.stepped, len(age_clock.skews)) == (0, 1)
    assert age_clock.since(STARTED, machine.wall) == 30


def test_a_system_that_does_not_tell_its_starts_forgets_no_less(machine: Machine) -> None:
    nameless = Machine(boot="")
    nameless.sweep()
    typed = nameless.wall
    assert nameless.goes(asleep=8 * HOUR, on=5).sweep().since(typed, nameless.wall) == 5
    nameless.slept, nameless.lived, nameless.offset = 0.0, 30.0, nameless.wall
    assert nameless.sweep().since(typed, nameless.wall) == 0
    assert nameless.stepped > 0


def test_what_makes_no_difference_any_more_is_forgotten(machine: Machine) -> None:
    machine.goes(asleep=8 * HOUR).sweep()
    machine.goes(on=WEEK - 1).sweep()
    assert len(machine.state.skews) == 1, "only that sleep; the start is longer ago than any age"
    machine.goes(on=2).sweep()
    assert machine.state.skews == ()


def test_a_machine_that_sleeps_all_the_time_is_remembered_in_short(machine: Machine) -> None:
    typed = machine.wall
    for _ in range(300):
        machine.goes(on=MINUTE, asleep=10 * MINUTE).sweep()
    age_clock = machine.sweep()
    assert len(age_clock.skews) == 64
    assert age_clock.since(typed, machine.wall) <= 300 * MINUTE
    assert age_clock.since(machine.wall - 5 * 11 * MINUTE, machine.wall) == 5 * MINUTE


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["on", "asleep"]), st.integers(6, 200)),
        st.tuples(st.sampled_from(["set", "set, typed"]), st.one_of(st.integers(-200, -6), st.integers(6, 200))),
        st.sampled_from([("sweep", 0), ("typed", 0)]),
    ),
    max_size=12,
)
"""What is "set" is noticed before it is set once more: of a clock that goes back and ahead in between nobody can tell."""


def played(steps: Sequence[tuple[str, int]]) -> tuple[Machine, float, float, float | None]:
    """The machine, when somebody last typed (as the clock told it), how long it was awake since, and since the sweep after."""
    machine = Machine()
    machine.sweep()
    typed, at, swept = machine.wall, machine.lived, None
    for what, seconds in steps:
        if what.startswith("set"):
            machine.goes(jumps=seconds).goes(on=10)
        elif what in ("on", "asleep", "jumps"):
            machine.goes(**{what: seconds})
        if what.endswith("typed"):
            typed, at, swept = machine.wall, machine.lived, None
        if what.startswith(("set", "sweep")):
            machine.goes(on=2).sweep()
            swept = machine.lived if swept is None else swept
    return machine, typed, machine.lived - at, None if swept is None else machine.lived - swept


@property_settings(500)
@given(STEPS)
@example([("on", 10), ("asleep", 100), ("on", 7), ("sweep", 0), ("typed", 0), ("jumps", 50), ("sweep", 0), ("on", 6)])
def test_nothing_is_ever_idle_for_longer_than_the_machine_was_awake(steps: list[tuple[str, int]]) -> None:
    """Nor for less than since the first sweep after the activity, if its clock was not set back."""
    machine, typed, awake, since_swept = played([*steps, ("sweep", 0)])
    idle = machine.sweep().since(typed, machine.wall)
    assert idle <= awake + 1e-6
    if all(seconds >= 0 for _, seconds in steps):
        assert since_swept is not None
        assert idle >= since_swept - 1e-6


@property_settings(500)
@given(STEPS, st.integers(1, 400))
def test_the_last_second_of_the_guard_is_the_last_that_leaves_it_idle(steps: list[tuple[str, int]], required: int) -> None:
    machine, *_ = played(steps)
    age_clock, now = machine.sweep(), machine.wall
    last = age_clock.before(now, required)
    assert age_clock.since(last, now) >= required - 1e-3
    assert age_clock.since(last + 0.1, now) < required


def test_the_sentence_tells_the_way() -> None:
    assert describe_clock_step(28_800.2).startswith("the wall clock was stepped forward by 8h, ")
    assert describe_clock_step(-90).startswith("the wall clock was stepped back by 1m30s, ")


# What the policy makes of it

ASLEEP = AgeClock(skews=(ClockSkew(NOW - 10.0, 47.0 * HOUR),))


def quiet(hours: float, **changes: object) -> Facts:
    return replace(facts(row(), session=session(idle=int(hours * HOUR))), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("age_clock", "verdict"), [(AgeClock(), Verdict.REAP), (ASLEEP, Verdict.KEEP)])
def test_an_idle_session_is_as_idle_as_the_machine_was_awake(age_clock: AgeClock, verdict: Verdict) -> None:
    of = quiet(49, age_clock=age_clock)
    assert judge(of, DEFAULTS).verdict is verdict
    assert of.idle_seconds + of.uncounted_seconds == 49 * HOUR


@pytest.mark.parametrize(
    ("of", "then"),
    [
        (quiet(1, row=row(archived=True)), Verdict.HOLD),
        (quiet(1, row=row(worktree_deleted=True)), Verdict.HOLD),
        (facts(proven=True, confirmations=2), Verdict.HOLD),
        (facts(confirmations=2, knows_other_sessions=True, session=session(idle=13 * HOUR)), Verdict.HOLD),
        (facts(row(), dead_since=NOW - HOUR, session=session(all_panes_dead=True, panes=())), Verdict.KEEP),
    ],
    ids=["activity_grace, archived", "activity_grace, worktree", "activity_grace, orphan", "stranger_ttl", "dead_ttl"],
)
def test_every_age_leaves_sleep_out(of: Facts, then: Verdict) -> None:
    assert judge(of, DEFAULTS).verdict is Verdict.REAP
    assert judge(replace(of, age_clock=ASLEEP), DEFAULTS).verdict is then


def test_an_archived_one_shows_activity_for_as_long_as_the_machine_was_awake() -> None:
    of = replace(facts(row(archived=True), session=session(idle=0)), archived_since=NOW - 25.0 * HOUR)
    assert judge(of, DEFAULTS).verdict is Verdict.REAP
    assert judge(replace(of, age_clock=ASLEEP), DEFAULTS).protected_by == (protections.ACTIVE,)


def test_i35_a_session_of_seconds_is_not_as_old_as_the_clock_went_ahead() -> None:
    orphan = facts(proven=True, confirmations=2, session=session(age=7 * HOUR, idle=7 * HOUR))
    told = replace(orphan, age_clock=AgeClock(skews=(ClockSkew(NOW - 30.0, 7.0 * HOUR),)))
    assert told.age_seconds == 30
    assert judge(told, DEFAULTS).protected_by[0] is protections.YOUNG


def test_who_was_told_has_the_window_awake() -> None:
    rules = replace(DEFAULTS, undo_window=600)
    told = replace(quiet(100), announced_at=NOW - 3600.0)
    assert judge(told, rules).verdict is Verdict.REAP
    asleep = replace(told, age_clock=AgeClock(skews=(ClockSkew(NOW - 10.0, 3500.0),)))
    assert judge(asleep, rules).protected_by == (protections.ANNOUNCED,)


@pytest.mark.parametrize("stepped", [28_800.0, -28_800.0])
def test_a_sweep_that_notices_a_set_clock_holds_what_rests_on_idleness(stepped: float) -> None:
    held = replace(quiet(100), age_clock=AgeClock(stepped=stepped))
    judgement = judge(held, DEFAULTS)
    assert (judgement.verdict, judgement.protected_by) == (Verdict.HOLD, (protections.CLOCK,))
    line = SessionReport("/s", "n", "$1", "w1", judgement.verdict, facts=held, judgement=judgement)
    rule = next(rule for rule in explain(line, DEFAULTS).rules if rule.reason == "idle")
    assert describe_clock_step(stepped) in rule.because


def test_a_clock_that_was_set_holds_nothing_that_does_not_rest_on_idleness() -> None:
    dead = facts(row(), dead_since=NOW - HOUR, session=session(all_panes_dead=True, panes=()), age_clock=AgeClock(stepped=9.0))
    assert judge(dead, DEFAULTS).verdict is Verdict.REAP
    archived = facts(row(archived=True), age_clock=AgeClock(stepped=9.0))
    assert judge(archived, replace(DEFAULTS, activity_grace=0)).verdict is Verdict.REAP


def test_the_guard_goes_along() -> None:
    asked = rules.IDLE.guard(quiet(100, age_clock=ASLEEP), DEFAULTS)
    assert asked.quiet_since == NOW - 48 * HOUR - 47 * HOUR
    assert rules.IDLE.guard(quiet(100, age_clock=AgeClock(skews=(BOOT,))), DEFAULTS).quiet_since == 0


# The idle clocks, one by one

MOMENTS = {
    IdleClock.INPUT: NOW - 100,
    IdleClock.ATTACH: NOW - 90,
    IdleClock.DETACH: NOW - 80,
    IdleClock.OUTPUT: NOW - 70,
    IdleClock.CPU: NOW - 60,
}


def moved_at(moments: dict[IdleClock, int]) -> Facts:
    output = moments.get(IdleClock.OUTPUT)
    return facts(
        row(),
        session=session(
            activity=moments[IdleClock.INPUT],
            last_attached=moments.get(IdleClock.ATTACH),
            windows=() if output is None else (Window("@1", NOW - 500, False), Window("@2", output, False)),
        ),
        detached_at=moments.get(IdleClock.DETACH),
        busy_at=moments.get(IdleClock.CPU),
    )


def on(*clocks: IdleClock) -> AgeClock:
    return AgeClock(counted=frozenset(clocks))


@pytest.mark.parametrize("clock", IdleClock)
def test_each_clock_counts_if_it_is_on_and_never_if_it_is_off(clock: IdleClock) -> None:
    of = moved_at(MOMENTS | {clock: NOW - 5})
    assert (of.idle_seconds, of.idle_by) == (5, clock)
    alone = replace(of, age_clock=on(clock))
    assert (alone.idle_seconds, alone.idle_by) == (5, clock)
    without = replace(of, age_clock=on(*EVERY - {clock}))
    assert without.idle_seconds == min(NOW - moment for other, moment in MOMENTS.items() if other is not clock)
    assert without.idle_by is not clock


@pytest.mark.parametrize("clock", [IdleClock.ATTACH, IdleClock.DETACH, IdleClock.OUTPUT, IdleClock.CPU])
def test_what_never_moved_leaves_its_age(clock: IdleClock) -> None:
    of = replace(moved_at({IdleClock.INPUT: NOW - 1}), age_clock=on(clock))
    assert (of.idle_seconds, of.idle_by) == (of.age_seconds, None)
    assert evidence(of)["idle_by"] is None


def test_an_attach_is_told_as_such_although_it_moves_the_clock_of_input() -> None:
    assert moved_at({IdleClock.INPUT: NOW - 9, IdleClock.ATTACH: NOW - 9}).idle_by is IdleClock.ATTACH


def test_without_the_clock_of_output_the_guard_asks_for_none() -> None:
    """Or a session that writes all the time were condemned in each sweep, and spared by tmux in each."""
    of = replace(CONDEMNED, age_clock=on(IdleClock.INPUT, IdleClock.CPU))
    assert judge(of, DEFAULTS).verdict is Verdict.REAP
    assert rules.IDLE.guard(of, DEFAULTS).quiet_since is None
    assert rules.IDLE.guard(replace(of, age_clock=AgeClock()), DEFAULTS).quiet_since is not None


CONDEMNED = facts(row(), session=session(idle=1))


def test_explain_shows_each_clock_and_which_one_decided() -> None:
    of = replace(moved_at(MOMENTS | {IdleClock.CPU: NOW - 20}), age_clock=replace(ASLEEP, counted=EVERY - {IdleClock.OUTPUT}))
    line = SessionReport("/s", "n", "$1", "w1", Verdict.KEEP, facts=of, judgement=judge(of, DEFAULTS))
    told = {one["clock"]: one for one in explain(line, DEFAULTS).facts["idle_clocks"]}
    assert list(told) == ["input", "attach", "detach", "output", "cpu"]
    assert [name for name, one in told.items() if one["decides"]] == ["cpu"]
    assert [name for name, one in told.items() if not one["on"]] == ["output"]
    assert told["cpu"] == {"clock": "cpu", "at": "2026-09-21T14:13:00Z", "age_seconds": 10, "on": True, "decides": True}
    never = replace(of, busy_at=None)
    line = replace(line, facts=never)
    assert explain(line, DEFAULTS).facts["idle_clocks"][-1]["age_seconds"] is None


# The CPU clock, confirmations, and what is in a report


def test_a_machine_that_slept_makes_nobody_lazy() -> None:
    """10 s of CPU time in a minute are work, also where eight hours of sleep are in between."""
    before = CpuState(NOW - MINUTE - 8 * HOUR, {session().key: CpuSample(100.0)})
    table = {session().key: []}
    asleep = AgeClock(skews=(ClockSkew(NOW - 30.0, 8.0 * HOUR),))
    assert idle.advance(before, NOW, table, asleep).samples[session().key].busy_at == NOW
    little = CpuState(before.at, {session().key: CpuSample(0.5)})
    assert idle.advance(little, NOW, table, asleep).samples[session().key].busy_at is None


def test_the_report_says_it() -> None:
    assert SweepReport("s", NOW, stepped=-28_800.4).head()["clock"] == {"stepped_seconds": -28_800}


def test_the_clocks_of_a_sweep_are_looked_at_again_before_the_kill(machine: Machine) -> None:
    scene = replace(circumstances(LedgerState(circumstances().state.registry)), clock=machine.state, age_clock=machine.sweep())
    reading = ClockReading(machine.wall, machine.lived + machine.slept, machine.lived)
    assert scene.at("one", reading, WEEK) is scene
    later = scene.at("one", reading._replace(wall=reading.wall + HOUR), WEEK)
    assert (later.age_clock.stepped, len(later.age_clock.skews)) == (HOUR, 2)
    # Once noticed it stays so, for this sweep.
    again = later.at("one", reading._replace(wall=reading.wall + HOUR + 3, awake=reading.awake - 3), WEEK)
    assert again.age_clock.stepped == HOUR
    facts_then = later.facts(session(), "w1", row(), reading.wall + HOUR)
    assert facts_then.age_clock is later.age_clock


def test_two_sweeps_around_a_sleep_are_no_two_confirmations() -> None:
    from tests.tools.builders import ledger_state, listing, observation, rows
    from workspace_reaper.sweep.confirm import confirm

    key = session().key
    before = ledger_state(confirmations={(key, Finding.ORPHAN): Confirmation(NOW - HOUR, NOW - HOUR)})
    for age_clock, count in [(AgeClock(), 2), (AgeClock(skews=(ClockSkew(float(NOW), HOUR - 29.0),)), 1)]:
        scene = replace(circumstances(before), age_clock=age_clock)
        confirm(scene, observation(listing(session())), rows(), DEFAULTS, NOW)
        assert scene.confirmations.count(key, Finding.ORPHAN) == count


# This machine's own


def test_the_clocks_of_this_machine_go_together() -> None:
    clock = SystemClock()
    first, wall = clock.read(), time.time()
    assert abs(first.wall - wall) < 5
    assert abs(clock.now() - wall) < 5
    wait_until(lambda: clock.read().awake > first.awake + 0.05)
    second = clock.read()
    assert second.elapsed - first.elapsed >= second.awake - first.awake - 0.2
    noticed = notice(notice(ClockState(), "b", first, WEEK).state, "b", second, WEEK)
    assert noticed.stepped == 0


def test_a_reading_that_was_interrupted_is_made_anew() -> None:
    class Interrupted(SystemClock):
        age_clock = 0

        def now(self) -> float:
            self.age_clock += 1
            if self.age_clock < 3:
                time.sleep(0.1)
            return super().now()

    clock = Interrupted()
    reading = clock.read()
    assert clock.age_clock >= 3
    assert abs(time.time() - reading.wall - (time.monotonic() - reading.awake)) < 5


WITHOUT = """
import time
for name in {missing!r}:
    if hasattr(time, name):
        delattr(time, name)
for name, value in {there!r}.items():
    setattr(time, name, value)
from workspace_reaper.processes import clock
read = clock.SystemClock().read()
print(clock._ELAPSED, clock._AWAKE, read.elapsed >= read.awake - 1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="stands other systems' clocks for those of Linux")
@pytest.mark.parametrize(
    ("missing", "there", "says"),
    [
        (["CLOCK_BOOTTIME"], {"CLOCK_UPTIME_RAW": 4}, "1 4 True"),
        (["CLOCK_BOOTTIME", "CLOCK_UPTIME_RAW"], {}, "None None True"),
    ],
    ids=["as macOS names them", "one clock for both"],
)
def test_a_system_without_these_clocks_has_others(missing: list[str], there: dict[str, int], says: str) -> None:
    code = WITHOUT.format(missing=missing, there=there)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == says, done.stderr
