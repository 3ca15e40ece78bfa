"""An option that is set for all sessions, or on a window or a pane, seems to be set on a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.steps import alarms, check_code
from tests.tools.hosts import VibeKanbanHost
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.model.verdict import Verdict

Worlds = Callable[..., World]

SCOPES = ["-g", "-s", "-gw", "-w", "-p"]


def set_elsewhere(world: World, scope: str, session_id: str, option: str, value: str) -> None:
    target = ["-t", f"{session_id}:"] if scope in ("-w", "-p") else []
    world.server.run("set-option", scope, *target, option, value)


def unset_elsewhere(world: World, scope: str, session_id: str, option: str) -> None:
    target = ["-t", f"{session_id}:"] if scope in ("-w", "-p") else []
    world.server.run("set-option", "-u", scope, *target, option)


@pytest.mark.parametrize("scope", SCOPES)
def test_i80_an_inherited_keep_keeps_with_an_alarm(world: World, scope: str) -> None:
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    set_elsewhere(world, scope, session_id, "@reaper_keep", "1")
    report = world.sweep()
    assert world.entry(report, archived).protected_by == "kept"
    assert (alarms(world), check_code(world)) == ({"inherited"}, 1)
    unset_elsewhere(world, scope, session_id, "@reaper_keep")
    assert outcomes(world.sweep()) == {archived: "reaped"}
    assert (alarms(world), check_code(world)) == (set(), 0)


def test_a_keep_of_the_session_itself_is_no_alarm(world: World) -> None:
    archived = world.workspace(archived=True)
    world.server.set_option(world.session(archived), "@reaper_keep", "1")
    assert world.entry(world.sweep(), archived).protected_by == "kept"
    assert check_code(world) == 0


@pytest.mark.parametrize(
    ("scope", "marked_before"),
    # The owner mark of the session itself takes the place of one for all sessions (-g), and not of the others.
    [*((scope, False) for scope in SCOPES), *((scope, True) for scope in SCOPES if scope != "-g")],
)
def test_i80_an_inherited_owner_is_ignored_with_an_alarm(world: World, scope: str, marked_before: bool) -> None:
    archived, active = world.workspace(), world.workspace()
    session_id, living = world.session(archived), world.session(active)
    if marked_before:
        world.sweep()
    set_elsewhere(world, scope, session_id, "@workspace_owner", "careless value")
    assert outcomes(world.sweep()) == {archived: "none", active: "none"}
    assert (alarms(world), check_code(world)) == ({"inherited"}, 1)
    world.host.archive(archived)
    assert world.entry(world.sweep(), archived).outcome == "reaped"
    assert world.server.session_ids() == {living}


@pytest.mark.parametrize(
    ("scope", "alarm"),
    # The mark of the session itself takes the place of one for all sessions (-g), and not of the others.
    [(scope, {"inherited"} if scope != "-g" else set()) for scope in SCOPES],
)
def test_i80_an_inherited_workspace_mark_is_ignored_with_an_alarm(world: World, scope: str, alarm: set[str]) -> None:
    archived, active = world.workspace(), world.workspace()
    session_id, living = world.session(archived), world.session(active)
    world.sweep()
    set_elsewhere(world, scope, session_id, "@reaper_workspace", world.host.new_id(99).encode().hex())
    world.sweep()
    assert alarms(world) == alarm
    world.host.archive(archived)
    report = world.sweep()
    assert world.entry(report, archived).outcome == "reaped"
    assert world.entry(report, active).verdict is Verdict.KEEP
    assert world.server.session_ids() == {living}


def test_the_session_of_another_reaper_stays_its_own(world: World) -> None:
    """Its own owner mark counts, whatever else is set for all sessions."""
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    world.server.set_option(session_id, "@workspace_owner", "feed")
    world.server.run("set-option", "-g", "@workspace_owner", "beef")
    world.sweep()
    assert world.server.session_ids() == {session_id}


HIDING = [scope for scope in SCOPES if scope != "-g"]
"""An option that is set there takes the place of the session's own."""


@pytest.mark.parametrize("scope", HIDING)
def test_i80_an_empty_value_elsewhere_hides_no_keep(world: World, scope: str) -> None:
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    world.server.set_option(session_id, "@reaper_keep", "1")
    set_elsewhere(world, scope, session_id, "@reaper_keep", "")
    entry = world.entry(world.sweep(), archived)
    assert (entry.outcome, entry.protected_by) == ("spared", "kept")
    entry = world.entry(world.sweep(), archived)
    assert (entry.verdict, entry.protected_by) == (Verdict.HOLD, "kept")
    assert (alarms(world), check_code(world)) == ({"inherited"}, 1)
    assert world.lives(archived)


@pytest.mark.parametrize("scope", HIDING)
@pytest.mark.parametrize(
    ("is_ours", "expected"),
    # Without any owner it is a stranger, which is asked about only once it is to be killed.
    [(True, {"inherited"}), (False, set())],
    ids=["our owner id", "an empty value"],
)
def test_i80_a_value_elsewhere_hides_no_other_owner(worlds: Worlds, scope: str, is_ours: bool, expected: set[str]) -> None:
    """Another reaper lives, and its database has the row."""
    world = worlds(snapshots=False)
    world.workspaces(6)
    host = VibeKanbanHost(world.tmp / "other.sqlite")
    host.create()
    other, theirs = world.second("other", host), host.new_id(777)
    host.insert([theirs])
    session_id = world.server.new_session(session_name(world.schema, theirs))
    for one in (world, other, world):
        one.sweep()
    with world.plugin.reaper().reading() as ledger:
        ours = ledger.registry().owner_id
    set_elsewhere(world, scope, session_id, "@workspace_owner", ours if is_ours else "")
    for _ in range(3):
        world.sweep()
    assert world.lives(theirs)
    assert alarms(world) == expected


@pytest.mark.parametrize("scope", HIDING)
def test_i67_an_empty_value_elsewhere_makes_no_renamed_session_that_of_its_name(world: World, scope: str) -> None:
    renamed, other, third = (world.workspace() for _ in range(3))
    session_id = world.session(renamed)
    world.session(third)
    world.sweep()
    world.server.run("rename-session", "-t", session_id, session_name(world.schema, other))
    world.host.archive(other)
    set_elsewhere(world, scope, session_id, "@reaper_self", "")
    for _ in range(3):
        world.sweep()
    assert session_id in world.server.session_ids()


@pytest.mark.parametrize("scope", HIDING)
def test_i67_a_value_elsewhere_hides_no_renamed_session(world: World, scope: str) -> None:
    """Its marks are all that is known of it."""
    renamed, other = world.workspace(), world.workspace()
    session_id = world.session(renamed)
    world.session(other)
    world.sweep()
    world.server.run("rename-session", "-t", session_id, "my work")
    set_elsewhere(world, scope, session_id, "@reaper_workspace", "ff")
    assert world.entry(world.sweep(), renamed).session == "my work"
    assert alarms(world) == {"inherited"}
