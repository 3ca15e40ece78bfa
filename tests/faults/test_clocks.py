"""The clocks: what counts as activity, by real processes on a real tmux, and what a machine that sleeps, or whose wall clock is
set, makes of it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import alarms, check_code, events, recalled, sweep_during
from tests.tools.cast import Cast
from tests.tools.clocks import Later, wall_clock_library
from tests.tools.front_tmux import Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.model.session import Listing, Session
from workspace_reaper.model.snapshot import SnapshotOrder
from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.operations.sessions import explain_session
from workspace_reaper.snapshots.store import SnapshotStore
from workspace_reaper.sweep.report import SweepReport

Worlds = Callable[..., World]
HOUR = 3600
CLOCKS = [clock.value for clock in IdleClock]


def with_clock(world: World, clock: Later) -> World:
    """The world with a new reaper, as after a restart, by this clock."""
    world.configure()
    reaper = world.plugin.reaper()
    reaper.clock = clock
    reaper.dependencies = replace(reaper.dependencies, clock=reaper.clock)
    return world


def settled(world: World, *session_ids: str) -> None:
    """Wait until the clocks of tmux, which count whole seconds, are older than this second."""
    moved = "#{session_activity} #{W:#{window_activity} }"
    latest = max(int(moment) for one in session_ids for moment in world.server.show(one, moved).split())
    wait_until(lambda: time.time() >= latest + 1)


# I34: the wall clock, and sleep


class Night:
    """Three sessions: one idle, one of an archived workspace, one without a row; each goes an hour after it was last active."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.configure(idle_ttl=HOUR, activity_grace=HOUR, orphan_confirmations=1)
        self.clock = Later()
        self.idle, self.archived, self.orphan = world.workspace(), world.workspace(archived=True), world.workspace()
        world.workspaces(3, sessions=False)
        self.sessions = [world.session(one) for one in (self.idle, self.archived, self.orphan)]
        with_clock(world, self.clock)
        assert world.sweep().count("reaped") == 0
        world.host.delete(self.orphan)
        assert world.sweep().count("reaped") == 0

    def sweep(self) -> SweepReport:
        return self.world.sweep()

    @property
    def alive(self) -> int:
        return sum(map(self.world.lives, (self.idle, self.archived, self.orphan)))


@pytest.fixture
def night(world: World) -> Night:
    return Night(world)


@pytest.mark.parametrize("restarted", [False, True], ids=["the same reaper", "restarted meanwhile"])
def test_i34_a_clock_that_jumps_ahead_kills_no_session(night: Night, restarted: bool, caplog: pytest.LogCaptureFixture) -> None:
    night.clock.stepped = 8 * HOUR
    if restarted:
        with_clock(night.world, night.clock)
    with caplog.at_level(logging.INFO, "workspace_reaper"):
        report = night.sweep()
    assert (report.count("reaped"), report.stepped, night.alive) == (0, pytest.approx(8 * HOUR, abs=2), 3)
    assert "clock set" in events(night.world)
    assert "the wall clock was stepped forward by 8h" in caplog.text
    assert report.head()["clock"]["stepped_seconds"] == pytest.approx(8 * HOUR, abs=2)
    # Nor in the next ones, until they have really been idle; then all three go.
    night.clock.seconds = HOUR / 2
    report = night.sweep()
    assert (report.count("reaped"), report.stepped, night.alive) == (0, 0, 3)
    night.clock.seconds = HOUR + 10
    assert outcomes(night.sweep()).keys() >= {night.idle, night.archived, night.orphan}
    assert night.alive == 0
    assert events(night.world).count("clock set") == 1


def test_i34_what_was_due_anyway_waits_for_one_sweep_and_says_why(night: Night) -> None:
    night.clock.seconds = HOUR - 60
    night.sweep()
    night.clock.seconds, night.clock.stepped = HOUR + 10, 8 * HOUR
    told = explain_session(night.world.plugin.reaper(), session_name(night.world.schema, night.idle))
    assert told.decided == "hold: idle, held by clock"
    report = night.sweep()
    assert (report.count("reaped"), {entry.protected_by for entry in report.sessions if entry.reason}) == (0, {"clock"})
    night.clock.seconds += 60
    assert night.sweep().count("reaped") == 3


def test_i34_idle_for_long_and_then_the_clock_is_set_back(night: Night) -> None:
    night.clock.seconds, night.clock.stepped = 20 * HOUR, -8 * HOUR
    report = night.sweep()
    assert report.stepped == pytest.approx(-8 * HOUR, abs=2)
    assert {entry.protected_by for entry in report.sessions if entry.reason} == {"clock"}
    why = explain_session(night.world.plugin.reaper(), night.sessions[0])
    assert "clock" not in why.decided, "the look after the sweep has noticed nothing"
    assert night.alive == 3
    assert night.sweep().count("reaped") == 3


def test_i34_activity_from_the_future_is_activity_until_it_has_passed(night: Night) -> None:
    night.clock.stepped = -8 * HOUR
    for passed in (0, 4 * HOUR, 8 * HOUR):
        night.clock.seconds = passed
        assert night.sweep().count("reaped") == 0
    night.clock.seconds = 9 * HOUR + 10
    assert night.sweep().count("reaped") == 3


def test_i34_a_laptop_that_slept_for_the_night_kills_no_session(night: Night) -> None:
    """It wakes, and the first sweep comes before anybody has typed a key."""
    night.clock.slept = 8 * HOUR
    report = night.sweep()
    assert (report.count("reaped"), report.stepped, night.alive) == (0, 0, 3), "asleep is not set"
    with_clock(night.world, night.clock)
    night.clock.seconds, night.clock.slept = HOUR / 2, 16 * HOUR
    assert night.sweep().count("reaped") == 0
    told = explain_session(night.world.plugin.reaper(), night.sessions[0]).facts
    assert told["uncounted_seconds"] == pytest.approx(16 * HOUR, abs=5)
    assert told["idle_seconds"] == pytest.approx(HOUR / 2, abs=20)
    night.clock.seconds = HOUR + 10
    assert night.sweep().count("reaped") == 3


def test_i34_a_clock_that_is_set_between_the_listing_and_the_kill_kills_no_session(night: Night, erring: Erring) -> None:
    night.clock.seconds = HOUR + 10
    with erring(Rule("list-sessions", times=1, skip=1, hold="before")) as front:
        report = sweep_during(front, lambda: setattr(night.clock, "stepped", 8 * HOUR), night.sweep)
    assert {(entry.outcome, entry.protected_by) for entry in report.sessions} == {("spared", "clock")}
    assert night.alive == 3


def test_what_a_dry_run_notices_is_not_noticed(night: Night) -> None:
    before = recalled(night.world).clock
    night.clock.stepped = 8 * HOUR
    for _ in range(2):
        assert night.world.sweep(dry_run=True).stepped > 0
    assert recalled(night.world).clock == before
    assert night.sweep().stepped > 0


def test_a_clock_that_was_a_year_ahead_stops_nothing_once_it_is_right(worlds: Worlds) -> None:
    """Neither the budget, nor the clock of the CPU, nor what says that no sweep runs."""
    world, clock = worlds(max_orphans_per_hour=1, tick=1), Later(stepped=365 * 24 * HOUR)
    first, second = world.workspaces(8)[:2]
    with_clock(world, clock)
    world.sweep()
    world.host.delete(first, second)
    clock.seconds = HOUR
    for _ in range(2):
        world.sweep()
        clock.seconds += HOUR / 4
    assert [world.lives(first), world.lives(second)].count(True) == 1
    clock.stepped = 0
    checked = world.cli("status", "--check")
    assert (checked.returncode, "blind" in checked.stdout) == (1, True)
    clock.seconds = 2 * HOUR
    for _ in range(2):
        world.sweep()
        clock.seconds += HOUR / 4
    assert [world.lives(first), world.lives(second)] == [False, False]


@pytest.mark.parametrize("cause", ["deleted by a hook", "without a row", "archived"])
def test_a_session_that_was_created_while_the_clock_was_ahead_is_reported(worlds: Worlds, cause: str) -> None:
    """tmux dates it in the future, so that whatever is compared with its age waits for that time."""
    world, clock = worlds(activity_grace=60, min_age=60, abstain_alarm=HOUR), Later(stepped=-365 * 24 * HOUR)
    workspace = world.workspaces(3)[0]
    with_clock(world, clock)
    world.sweep()
    if cause == "archived":
        world.host.archive(workspace)
    else:
        world.host.delete(workspace)
    if cause == "deleted by a hook":
        world.plugin.on_workspace_deleted(workspace)
        assert world.plugin.drain(60)
    found = []
    for _ in range(4):
        entry = world.entry(world.sweep(), workspace)
        found.append((entry.verdict.value, entry.outcome.value, "doubt" in alarms(world)))
        clock.seconds += HOUR / 2
    assert found[0] == ("hold", "none", False)
    assert found[-1] == ("hold", "none", True)
    assert check_code(world) == 1
    assert "in the future" in str(explain_session(world.plugin.reaper(), session_name(world.schema, workspace)).as_dict())


def test_i95_panes_that_tmux_says_die_in_the_future_are_dead_since_the_sweep_that_saw_them(worlds: Worlds) -> None:
    """The clock was set back after they had died."""
    world, clock = worlds(dead_ttl=600, activity_grace=0, min_age=0), Later(stepped=-8 * HOUR)
    [_, workspace] = world.workspaces(1) + world.workspaces(1, sessions=False)
    world.server.run("set-option", "-g", "remain-on-exit", "on")
    session_id = world.session(workspace, command="exit 0")
    wait_until(lambda: world.server.show(session_id, "#{pane_dead}") == "1")
    with_clock(world, clock)
    found = []
    for _ in range(3):
        found.append(outcomes(world.sweep())[workspace])
        clock.seconds += 301
    assert found == ["none", "none", "reaped"]


@pytest.mark.parametrize("jump", [8 * HOUR, -8 * HOUR], ids=["+8h", "-8h"])
def test_i34_the_wall_clock_of_tmux_and_of_the_reaper_is_set(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    """Both dates are of the new clock from then on. A session that shows activity is as active as before; the other is reaped
    once it has been idle for long enough."""
    world = worlds(idle_ttl=HOUR, activity_grace=HOUR)
    set_by = world.tmp / "set-by"
    set_by.write_text("0")
    faked = {"LD_PRELOAD": str(wall_clock_library(world.tmp)), "WALL_CLOCK_SHIFT": str(set_by)}
    busy, quiet = world.workspace(), world.workspace()
    with monkeypatch.context() as patch:
        for name, value in faked.items():
            patch.setenv(name, value)
        world.session(busy, command="while :; do echo x; sleep 0.2; done")
    world.session(quiet, command="exec cat")

    def sweep() -> dict[str, str]:
        done = world.cli("sweep", "--json", **faked)
        report = json.loads(done.stdout)
        jumps.append(report["clock"]["stepped_seconds"])
        return {entry["workspace_id"]: entry["outcome"] for entry in report["sessions"]}

    jumps: list[int] = []
    assert set(sweep().values()) == {"none"}
    set_by.write_text(str(jump))
    assert set(sweep().values()) == {"none"}
    assert jumps == [0, pytest.approx(jump, abs=2)]
    if jump > 0:
        world.configure(idle_ttl=3, activity_grace=3)
        wait_until(lambda: sweep().get(quiet, "reaped") == "reaped", 60)
    assert world.lives(busy)


# I35: time zones

ZONES = ["Asia/Bangkok", "America/New_York", "Australia/Lord_Howe"]
"""Seven hours ahead; one that changes by an hour, and one that changes by half an hour."""

DAYS = """
import os, time
from dataclasses import replace
from tests.tools.builders import DEFAULTS, facts, row, session
from workspace_reaper.model.session import Window
from workspace_reaper.policy.verdict import judge
from workspace_reaper.sweep.report import iso
for zone in {zones!r}:
    os.environ["TZ"] = zone
    time.tzset()
    offsets = set()
    # Around each change of these zones, and far from all.
    days = [*range({now}, {now} + 366 * 86400, 61 * 86400), 1791036000, 1793509200, 1805007600, 1806764400]
    for now in (day + 1800 * half for day in days for half in range(-40, 41)):
        offsets.add(time.localtime(now).tm_gmtoff)
        old = session()
        for idle, verdict in ((48 * 3600, "keep"), (48 * 3600 + 1, "reap")):
            of = replace(old, activity=now - idle, windows=(Window("@1", now - idle, False),))
            assert judge(replace(facts(row()), session=of, now=now), DEFAULTS).verdict.value == verdict, (zone, now)
    print(zone, len(offsets), iso({now}))
"""


def test_i35_no_age_depends_on_the_time_zone_or_on_daylight_saving() -> None:
    code = DAYS.format(zones=ZONES, now=1_790_000_000)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.splitlines() == [
        f"{zone} {offsets} 2026-09-21T14:13:20Z" for zone, offsets in zip(ZONES, (1, 2, 2), strict=True)
    ], done.stderr


def test_i35_a_session_of_seconds_is_seconds_old_in_every_time_zone(worlds: Worlds) -> None:
    """Also where the host's rows tell times of every kind."""
    world = worlds("standard", min_age=120, activity_grace=60)
    living, orphan = world.workspace(), world.workspace()
    for one in (living, orphan):
        world.session(one)
    with world.host.writing() as connection:
        times = ["2026-11-01 01:30:00", "2026-11-01T01:30:00-04:00", "2026-11-01T05:30:00Z", 1_790_000_000, "yesterday"]
        connection.executemany(
            "INSERT INTO workspaces (id, archived, pinned, running, created_at) VALUES (?, FALSE, FALSE, FALSE, ?)",
            [(f"other-{number}", moment) for number, moment in enumerate(times)],
        )
    world.sweep()
    world.host.delete(orphan)
    for zone in ZONES:
        done = world.cli("sweep", "--json", TZ=zone)
        report = json.loads(done.stdout)
        assert (done.returncode, report["unknown"]) == (0, []), zone
        found = {entry["workspace_id"]: entry for entry in report["sessions"]}
        assert (found[orphan]["protected_by"], found[living]["verdict"]) == ("young", "keep")
        assert all(0 <= entry["evidence"]["age_seconds"] < 100 for entry in found.values())
        last = recalled(world).last_complete
        assert last is not None
        assert abs(time.time() - last) < 60


# I37, I38: work that nobody sees on the screen. I33 and I42 are in test_cpu_clock.

COMPUTE = """
sign("computing")
while not told("enough"):
    for number in range(200000): pass
"""


def test_i38_a_busy_kernel_without_a_client_is_not_idle(worlds: Worlds, cast: Cast) -> None:
    """Nobody is attached, nothing is written, and the cell runs for longer than ``idle_ttl``."""
    world = worlds(idle_ttl=1, tick=0.001)
    busy, idle = world.workspace(), world.workspace()
    busy_id = world.session(busy, command=f"exec {cast.command('kernel', COMPUTE)}")
    idle_id = world.session(idle)
    cast.process("computing")
    world.sweep()
    settled(world, busy_id, idle_id)
    wait_until(lambda: world.sweep() and not world.lives(idle))
    report = world.sweep()
    assert (world.lives(busy), world.entry(report, busy).reason) == (True, None)
    told = explain_session(world.plugin.reaper(), busy_id).facts["idle_clocks"]
    assert [one["clock"] for one in told if one["decides"]] == ["cpu"]
    cast.say("enough")
    wait_until(lambda: world.sweep() and not world.lives(busy))


def test_i37_a_silent_turn_longer_than_the_limit_is_no_idleness(worlds: Worlds, cast: Cast) -> None:
    """The model thinks on another machine: nothing is computed or written here, and only the host knows that a turn is on."""
    world = worlds("standard", idle_ttl=1)
    thinking, waiting = world.workspace(), world.workspace()
    world.host.run(thinking)
    ids = [world.session(one, command=f"exec {cast.command('agent ' + one)}") for one in (thinking, waiting)]
    settled(world, *ids)
    wait_until(lambda: world.sweep() and not world.lives(waiting))
    report = world.sweep()
    assert (world.entry(report, thinking).reason, world.entry(report, thinking).protected_by) == ("idle", "running")
    world.host.run(thinking, on=False)
    wait_until(lambda: world.sweep() and not world.lives(thinking))


# The clocks that are switched off


@pytest.mark.parametrize("clock", ["output", "cpu"])
def test_what_is_switched_off_keeps_nobody(worlds: Worlds, cast: Cast, clock: str) -> None:
    """Neither in the verdict, nor by the second look, nor by the guard inside tmux."""
    world = worlds(idle_ttl=2, tick=0.001, kill_grace=0.5, idle_clocks=[one for one in CLOCKS if one != clock])
    workspace = world.workspace()
    command = "while :; do echo x; sleep 0.1; done" if clock == "output" else f"exec {cast.command('work', COMPUTE)}"
    session_id = world.session(workspace, command=command)
    if clock == "cpu":
        cast.process("computing")
    created = int(world.server.show(session_id, "#{session_created}"))
    wait_until(lambda: world.sweep() and not world.lives(workspace))
    assert time.time() >= created + 2


def test_what_counts_is_shown_with_its_age_and_what_decided(worlds: Worlds) -> None:
    world = worlds(idle_clocks=["input", "attach", "detach", "cpu"])
    workspace = world.workspace()
    session_id = world.session(workspace)
    world.server.attach(session_id).kill()
    world.sweep()
    told = world.cli_json("explain", session_id)
    clocks = {one["clock"]: one for one in told["facts"]["idle_clocks"]}
    assert list(clocks) == CLOCKS
    assert [one["clock"] for one in clocks.values() if not one["on"]] == ["output"]
    [decides] = [one for one in clocks.values() if one["decides"]]
    assert decides["age_seconds"] == told["evidence"]["idle_seconds"]
    assert told["evidence"]["idle_by"] == decides["clock"] == "detach"
    shown = world.cli("explain", session_id).stdout
    assert "idle clock output" in shown
    assert "switched off" in shown
    assert "; the latest activity" in shown


def test_an_idle_clock_that_does_not_exist_stops_the_start(world: World) -> None:
    done = world.cli("status", WORKSPACE_REAPER_IDLE_CLOCKS='["keys"]')
    assert done.returncode == 2
    assert "idle_clocks (WORKSPACE_REAPER_IDLE_CLOCKS): 'keys' is refused" in done.stderr


# I47


def clocks_of(world: World) -> dict[str, tuple[object, ...]]:
    listing = world.plugin.reaper().terminals[0].observe("00")
    assert isinstance(listing, Listing)
    return {one.key.session_id: moved(one) for one in listing.sessions}


def moved(one: Session) -> tuple[object, ...]:
    return one.activity, one.last_attached, tuple((window.window_id, window.activity) for window in one.windows)


def test_i47_what_the_reaper_does_is_no_activity(world: World, tmp_path: Path) -> None:
    """Listings, snapshots, the stamp, an announcement, what ``keep`` sets: one second later than anything else, and no clock of
    tmux has moved."""
    ids = [world.session(world.workspace(), command="echo words; exec cat") for _ in range(2)]
    world.server.attach(ids[0]).kill()
    settled(world, *ids)
    before = clocks_of(world)
    terminal = world.plugin.reaper().terminals[0]
    listing = terminal.observe("00")
    assert isinstance(listing, Listing)
    keys = [one.key for one in listing.sessions]
    orders = [
        SnapshotOrder(f"01JDQ0000000000000000000A{number}", one.key, one.name, "w", one.activity, one.version, {})
        for number, one in enumerate(listing.sessions)
    ]
    snapshots = SnapshotStore(tmp_path / "kept", lines=100, days=1, max_bytes=10**9)
    assert snapshots.take(terminal, orders) == {}
    terminal.mark(dict.fromkeys(keys, "7731"), "5ca1ab1e")
    terminal.announce(dict.fromkeys(keys, time.time() + 60), ())
    terminal.announce({}, keys)
    assert all(terminal.keep(key, on=on) for key in keys for on in (True, False))
    world.sweep()
    assert clocks_of(world) == before
    assert world.server.show(ids[0], "#{@workspace_owner}") == "5ca1ab1e"


def test_i47_an_abandoned_client_protects_and_is_shown(worlds: Worlds) -> None:
    """Somebody who went away with a terminal open is attached, which protects for as long as it lasts; the session is reported
    as idle, and what holds it. It is no activity: once the client is gone the session is idle from then on."""
    world = worlds(idle_ttl=1)
    workspace = world.workspace()
    session_id = world.session(workspace)
    client = world.server.attach(session_id)
    settled(world, session_id)
    wait_until(lambda: world.entry(world.sweep(), workspace).reason == "idle")
    entry = world.entry(world.sweep(), workspace)
    assert (entry.verdict.value, entry.reason, entry.protected_by) == ("hold", "idle", "attached")
    client.kill()
    wait_until(lambda: world.sweep() and not world.lives(workspace))
