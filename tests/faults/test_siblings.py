"""Several databases behind one tmux server: the sessions of a sibling are strangers, and no orphans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.steps import alarms, check_code
from tests.tools.world import World, session_name
from workspace_reaper.model.verdict import Verdict

Worlds = Callable[..., World]


@pytest.fixture
def world(worlds: Worlds) -> World:
    """A stranger is old enough at once, and no alarm but its own hides what is tested."""
    return worlds(stranger_ttl=0)


def sibling_sessions(world: World, count: int) -> set[str]:
    """The sessions of another database of the same host on the same server."""
    sibling = type(world.host)(world.tmp / "sibling.sqlite")
    sibling.create()
    ids = [sibling.new_id(1000 + number) for number in range(count)]
    sibling.insert(ids)
    return {world.server.new_session(session_name(world.schema, one)) for one in ids}


def sweeps(world: World, count: int = 4, **options: Any) -> None:
    for _ in range(count):
        world.sweep(**options)


@pytest.mark.parametrize("own", [4, 1])
def test_i84_the_sessions_of_a_sibling_database_wait_for_an_operator(world: World, own: int) -> None:
    for workspace_id in [world.workspace() for _ in range(own)]:
        world.session(workspace_id)
    theirs = sibling_sessions(world, 4)
    sweeps(world)
    assert theirs <= world.server.session_ids()
    report = world.sweep()
    held = [entry for entry in report.sessions if entry.session_id in theirs]
    assert {(entry.verdict, entry.protected_by) for entry in held} == {(Verdict.HOLD, "unproven")}
    assert (alarms(world), check_code(world)) == ({"strangers"}, 1)


def test_an_approval_lets_exactly_the_shown_strangers_go(world: World) -> None:
    world.session(world.workspace())
    theirs = sibling_sessions(world, 4)
    sweeps(world)
    shown = world.sweep(dry_run=True)
    chosen = {entry.key for entry in shown.sessions if entry.session_id in theirs and entry.key}
    later = sibling_sessions_later(world)
    report = world.sweep(approve=frozenset(chosen))
    assert {entry.session_id for entry in report.sessions if entry.outcome == "reaped"} == theirs
    assert later <= world.server.session_ids()


def sibling_sessions_later(world: World) -> set[str]:
    names = [session_name(world.schema, world.host.new_id(2000 + number)) for number in range(3)]
    return {world.server.new_session(name) for name in names}


def test_sweep_approve_shows_them_and_reaps_them(world: World) -> None:
    world.session(world.workspace())
    theirs = sibling_sessions(world, 3)
    sweeps(world)
    done = world.cli("sweep", "--approve", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert not theirs & world.server.session_ids()
    assert (alarms(world), check_code(world)) == (set(), 0)


def test_a_few_strangers_are_reaped_after_their_time(world: World) -> None:
    for workspace_id in [world.workspace() for _ in range(3)]:
        world.session(workspace_id)
    theirs = sibling_sessions(world, 2)
    sweeps(world)
    assert not theirs & world.server.session_ids()


def test_i84_strangers_do_not_trip_the_breaker(world: World) -> None:
    orphan = world.workspace()
    session_id = world.session(orphan)
    for workspace_id in [world.workspace() for _ in range(2)]:
        world.session(workspace_id)
    sibling_sessions(world, 8)
    world.sweep()
    world.host.delete(orphan)
    sweeps(world)
    assert "breaker" not in alarms(world)
    assert session_id not in world.server.session_ids(), "a proven orphan is reaped all the same"


def test_i84_doctor_and_the_first_sweep_say_how_many_sessions_the_registry_knows(world: World) -> None:
    for workspace_id in [world.workspace() for _ in range(4)]:
        world.session(workspace_id)
    sibling_sessions(world, 4)
    example = min(session_name(world.schema, world.host.new_id(1000 + number)) for number in range(4))
    text = f"knows 4 of 8 matching sessions; not, for example, {example}"
    first = world.cli("sweep").stdout
    checks = {check["check"]: check for check in world.cli_json("doctor")}
    assert text in " ".join(first.split())
    assert checks["sessions"]["state"] == "WARN"
    assert text in checks["sessions"]["detail"]
