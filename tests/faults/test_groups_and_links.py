"""Grouped sessions and linked windows: what a kill would really end is worked out first."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.faults.conftest import Erring
from tests.faults.steps import sweep_during
from tests.tools.cast import Cast
from tests.tools.front_tmux import Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_hookspecs import Candidate, WorkspacePlugins, hookimpl
from workspace_reaper.operations.sessions import explain_session

Worlds = Callable[..., World]


@pytest.fixture
def world(worlds: Worlds) -> World:
    """Whatever may be ended at all is ended. The server outlives every kill."""
    made = worlds(kill_grace=0.5, survivors="all")
    made.server.new_session("beside")
    return made


def peer(world: World, of: str, name: str) -> str:
    """Another session of the group; its id."""
    world.server.run("new-session", "-d", "-t", of, "-s", name)
    return world.server.run("display-message", "-p", "-t", f"={name}:", "#{session_id}")


def test_i53_a_group_that_is_all_managed_is_reaped_and_its_processes_end(world: World, cast: Cast) -> None:
    """In the order of the ids the first kill ends nothing yet: its windows live in the others."""
    ids = [world.workspace(archived=True) for _ in range(3)]
    first = world.session(ids[0], command=f"{cast.escaping('escaped')}; exec {cast.command('in pane')}")
    for one in ids[1:]:
        peer(world, first, session_name(world.schema, one))
    processes = [cast.escaped("escaped"), cast.process("in pane")]
    report = world.sweep()
    assert outcomes(report) == dict.fromkeys(ids, "reaped")
    assert not any(map(cast.lives, processes))
    ended = {one.pid for entry in report.sessions if entry.cleanup for one in entry.cleanup.ended}
    assert ended == {one.pid for one in processes}
    assert [entry.cleanup.survivors for entry in report.sessions if entry.cleanup] == [()] * 3


def test_i53_an_unmanaged_viewer_holds_the_group_and_that_is_reported(world: World, cast: Cast) -> None:
    archived = world.workspace(archived=True)
    first = world.session(archived, command=f"{cast.escaping('escaped')}; exec {cast.command('in pane')}")
    viewer = peer(world, first, "viewer")
    processes = [cast.escaped("escaped"), cast.process("in pane")]
    report = world.sweep()
    entry = world.entry(report, archived)
    assert (entry.verdict.value, entry.reason, entry.protected_by, entry.outcome) == ("hold", "archived", "group", "none")
    assert all(map(cast.lives, processes))
    told = explain_session(world.plugin.reaper(), session_name(world.schema, archived))
    assert told.decided == "hold: archived, held by group"
    assert "nother session of its group is not reaped" in json.dumps(told.as_dict())

    world.server.run("kill-session", "-t", viewer)
    assert all(map(cast.lives, processes))
    assert outcomes(world.sweep()) == {archived: "reaped"}
    assert not any(map(cast.lives, processes))


def test_i53_a_viewer_that_joins_before_the_recheck_holds_the_group(world: World, erring: Erring) -> None:
    """Its id is outside of the range of ids that a recheck lists."""
    archived = world.workspace(archived=True)
    first = world.session(archived)
    with erring(Rule("list-sessions", skip=1, times=1, hold="before")) as front:
        report = sweep_during(front, lambda: peer(world, first, "viewer"), world.sweep)
    entry = world.entry(report, archived)
    assert (entry.outcome, entry.protected_by) == ("spared", "group")
    assert first in world.server.session_ids()


def test_a_veto_for_one_of_a_group_keeps_them_all(world: World) -> None:
    """The veto comes last, after the group was found to be condemned as a whole."""
    vetoed, other = world.workspaces(2, sessions=False, archived=True)
    first = world.session(vetoed)
    second = peer(world, first, session_name(world.schema, other))

    class Vetoing:
        @hookimpl
        def reaper_veto(self, candidates: Sequence[Candidate]) -> dict[str, str]:
            return {session_name(world.schema, vetoed): "deploying"}

    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(Vetoing(), "release-guard")
        report = world.sweep()
    assert {first, second} <= world.server.session_ids()
    assert outcomes(report) == {vetoed: "none", other: "none"}
    assert (world.entry(report, vetoed).protected_by, world.entry(report, other).protected_by) == ("veto", "group")


@pytest.mark.parametrize("sibling", ["attached", "kept", "not archived"])
def test_a_sibling_that_stays_keeps_them_all(world: World, cast: Cast, sibling: str) -> None:
    archived, other = world.workspace(archived=True), world.workspace(archived=sibling != "not archived")
    first = world.session(archived, command=f"{cast.escaping('escaped')}; exec {cast.command('in pane')}")
    second = peer(world, first, session_name(world.schema, other))
    if sibling == "attached":
        world.server.attach(second)
    elif sibling == "kept":
        world.server.set_option(second, "@reaper_keep", "1")
    processes = [cast.escaped("escaped"), cast.process("in pane")]
    report = world.sweep()
    assert outcomes(report) == {archived: "none", other: "none"}
    assert world.entry(report, archived).protected_by in {"group", "attached"}
    assert {first, second} <= world.server.session_ids()
    assert all(map(cast.lives, processes))


def test_the_panes_of_a_peer_that_was_killed_by_hand_carry_its_number(world: World, cast: Cast) -> None:
    """The first session of a group is killed; its panes live in the second, and name the first for ever. They go by the pane:
    with the second, and not with any other."""
    other, archived = world.workspace(archived=True), world.workspace()
    first = world.server.new_session("first", f"{cast.escaping('escaped')}; exec {cast.command('in pane')}")
    peer(world, first, session_name(world.schema, archived))
    world.session(other)
    processes = [cast.escaped("escaped"), cast.process("in pane")]
    world.server.run("kill-session", "-t", first)
    assert outcomes(world.sweep()) == {other: "reaped", archived: "none"}
    assert all(map(cast.lives, processes))
    world.host.archive(archived)
    assert outcomes(world.sweep()) == {archived: "reaped"}
    assert not any(map(cast.lives, processes))


def test_a_linked_window_lives_on_with_all_that_came_from_it(world: World, cast: Cast, worktree: Path) -> None:
    """The session dies, and one of its two windows is in a session that is none of our business."""
    archived = world.workspace(archived=True, worktree=str(worktree))
    in_dir = f"cd {worktree}; "
    session_id = world.session(archived, command=f"{in_dir}{cast.escaping('escaped 1')}; exec {cast.command('in pane 1')}")
    second = f"{in_dir}{cast.escaping('escaped 2')}; exec {cast.command('in pane 2')}"
    window = world.server.run("new-window", "-d", "-P", "-F", "#{window_id}", "-t", f"{session_id}:", second)
    world.server.run("link-window", "-d", "-s", window, "-t", "=beside:7")
    gone = [cast.escaped("escaped 1"), cast.process("in pane 1")]
    linked = [cast.escaped("escaped 2"), cast.process("in pane 2")]

    report = world.sweep()
    assert outcomes(report) == {archived: "reaped"}
    assert not any(map(cast.lives, gone))
    assert all(map(cast.lives, linked))
    found = world.entry(report, archived).cleanup
    assert found is not None
    assert {one.pid: one.why for one in found.survivors} == dict.fromkeys(
        (one.pid for one in linked), "another session still shows its pane"
    )


def test_a_pane_that_moved_to_another_session(world: World, cast: Cast) -> None:
    """Its environment still names the session that it was made in."""
    archived = world.workspace(archived=True)
    session_id = world.session(archived)
    moving = f"{cast.escaping('escaped')}; exec {cast.command('in pane')}"
    pane = world.server.run("split-window", "-d", "-P", "-F", "#{pane_id}", "-t", f"{session_id}:", moving)
    processes = [cast.escaped("escaped"), cast.process("in pane")]
    world.server.run("join-pane", "-d", "-s", pane, "-t", "=beside:")
    report = world.sweep()
    assert outcomes(report) == {archived: "reaped"}
    assert all(map(cast.lives, processes))
    wait_until(lambda: pane in world.server.run("list-panes", "-a", "-F", "#{pane_id}"))
