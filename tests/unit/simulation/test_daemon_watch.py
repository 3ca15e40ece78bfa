"""What the daemon truly saw, and what the simulated one makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.simulation.daemon_watch import DaemonWatch
from tests.simulation.history import run
from tests.simulation.plan import DAEMON, RESTART, SWEEP, Event, Plan, Step
from tests.simulation.world import World

ALL = ("w0", "w1", "w2", "w3", "w4")


@pytest.fixture
def world() -> World:
    return World(5)


@pytest.fixture
def watch(world: World) -> DaemonWatch:
    return DaemonWatch(world)


def seen(world: World) -> dict[str, tuple[int, int]]:
    return {one.workspace_id: one.vanished for one in world.workspaces if one.daemon_saw_it_go is not None}


def test_its_first_look_shows_nothing(watch: DaemonWatch, world: World) -> None:
    watch.look(ALL[1:], ALL)
    assert seen(world) == {}


def test_it_counts_what_went_within_a_minute(watch: DaemonWatch, world: World) -> None:
    watch.look(ALL, ALL)
    world.clock.go_on(1.0)
    watch.look(ALL[1:], ALL)
    world.clock.go_on(30.0)
    watch.look(ALL[3:], ALL[1:])
    assert seen(world) == {"w0": (1, 5), "w1": (3, 5), "w2": (3, 5)}
    assert (watch.few, watch.many) == (1, 2)
    world.clock.go_on(31.0)
    watch.look(ALL[4:], ALL[3:])
    assert seen(world)["w3"] == (3, 4)
    world.clock.go_on(61.0)
    watch.look((), ("w4",))
    assert seen(world)["w4"] == (1, 1)


def test_a_row_without_a_session_does_not_count(watch: DaemonWatch, world: World) -> None:
    watch.look(ALL, ALL[3:])
    watch.look(ALL[4:], ALL[3:])
    assert seen(world) == dict.fromkeys(ALL[:4], (1, 2))


def test_a_row_that_is_back_was_not_seen_to_go(watch: DaemonWatch, world: World) -> None:
    for rows in (ALL, ALL[1:], ALL):
        watch.look(rows, ALL)
    assert seen(world) == {}


def test_another_database_shows_nothing(watch: DaemonWatch, world: World) -> None:
    watch.look(ALL, ALL)
    world.host.location = "another"
    watch.look(ALL[1:], ALL)
    world.host.commits -= 1
    watch.look(ALL[2:], ALL)
    assert seen(world) == {}


def test_after_a_start_it_does_not_know_what_was_there(watch: DaemonWatch, world: World) -> None:
    watch.look(ALL, ALL)
    watch.start()
    watch.look(ALL[1:], ALL)
    assert seen(world) == {}


def kills(workspaces: int, whats: Sequence[tuple[str, int]]) -> dict[str, int]:
    steps = tuple(Step(Event(what, who)) for what, who in whats)
    result = run(Plan(0, workspaces, steps, has_daemon=True))
    assert result.violations == []
    return {what: number for what, number in result.counts.items() if what.startswith("kill ")}


@pytest.mark.parametrize(
    ("whats", "killed"),
    [
        pytest.param([("delete", 0), (DAEMON, 0)], {"kill removed": 1}, id="one row"),
        pytest.param([("delete", 0), ("delete", 1), (DAEMON, 0)], {"kill removed": 2}, id="two rows"),
        pytest.param([("delete most", 0), (DAEMON, 0)], {}, id="four of six rows"),
        pytest.param([("delete all", 0), (DAEMON, 0)], {}, id="all rows"),
        pytest.param([("swap database", 0), (DAEMON, 0)], {}, id="another database"),
        pytest.param([("delete", 0), (RESTART, 0), (DAEMON, 0)], {"kill orphan": 1}, id="before it started"),
        pytest.param([("delete", 0), ("insert", 0), (DAEMON, 0)], {}, id="a row that is back"),
        pytest.param([("archive", 0), (DAEMON, 0)], {"kill archived": 1}, id="a row that says archived"),
    ],
)
def test_the_simulated_daemon_reports_what_the_real_one_would(whats: list[tuple[str, int]], killed: dict[str, int]) -> None:
    assert kills(6, [(SWEEP, 0), *whats]) == killed
