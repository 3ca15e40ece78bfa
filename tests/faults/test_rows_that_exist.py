"""A row that exists in a form that the reaper does not expect: its session is not taken for one without a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.tools.clocks import Later
from tests.tools.hosts import blob
from tests.tools.world import World

Worlds = Callable[..., World]


@pytest.mark.parametrize("spelling", ["upper(id)", "id || ' '"])
def test_i70_a_session_whose_row_was_rewritten_in_another_spelling_lives(worlds: Worlds, spelling: str) -> None:
    """The row is there with an upper-case id: "gone"."""
    world = worlds("standard")
    ids = world.workspaces(3)
    world.sweep()
    with world.host.writing() as connection:
        connection.execute(f"UPDATE workspaces SET id = {spelling} WHERE id = '{ids[0]}'")
    for _ in range(4):
        world.sweep()
    assert [one for one in ids if world.lives(one)] == ids


def test_i70_sessions_whose_ids_differ_in_case_live_while_their_rows_have_a_space(worlds: Worlds) -> None:
    """All but one counted as absent."""
    world = worlds("standard")
    world.workspaces(9)
    ids = ["App", "app", "APP"]
    world.host.insert(ids)
    for one in ids:
        world.session(one)
    world.sweep()
    with world.host.writing() as connection:
        connection.execute("UPDATE workspaces SET id = id || ' ' WHERE lower(id) = 'app'")
    for _ in range(4):
        world.sweep()
    assert [one for one in ids if world.lives(one)] == ids


@pytest.mark.parametrize("behind", ["\n", "\t", "\r\n", "\u00a0"], ids=ascii)
def test_a_session_whose_row_got_white_space_behind_its_id_lives(worlds: Worlds, behind: str) -> None:
    """The row is there with a line feed behind its id: "gone"."""
    world = worlds("vibe-kanban")
    ids = world.workspaces(6)
    world.sweep()
    with world.host.writing() as connection:
        connection.execute("UPDATE workspaces SET id = ? WHERE id = ?", (ids[2] + behind, blob(ids[2])))
    for _ in range(4):
        world.sweep()
    assert [one for one in ids if world.lives(one)] == ids


def test_i71_a_session_lives_while_a_row_of_its_workspace_in_any_spelling_is_open(worlds: Worlds) -> None:
    world = worlds("vibe-kanban")
    ids = world.workspaces(3)
    world.sweep()
    with world.host.writing() as connection:
        connection.execute(
            "INSERT INTO workspaces (id, branch, archived, created_at, updated_at) VALUES (?, 'x', 0, 'now', 'now')",
            (ids[0].upper(),),
        )
    world.host.archive(ids[0])
    world.host.archive(ids[1])
    world.sweep()
    assert [world.lives(one) for one in ids] == [True, False, True]


@pytest.mark.parametrize("flag", ["pinned", "running"])
def test_i71_an_idle_session_lives_while_a_row_of_its_workspace_in_another_spelling_is_in_use(
    worlds: Worlds, flag: str
) -> None:
    """The row in the usual spelling says nothing, so that no other one was looked for."""
    world = worlds("standard", idle_ttl=1)
    ids = world.workspaces(3)
    world.host.insert([f"{ids[0]} "])
    with world.host.writing() as connection:
        connection.execute(f"UPDATE workspaces SET {flag} = 1 WHERE id = ?", (f"{ids[0]} ",))
    later = Later(seconds=3600)
    reaper = world.plugin.reaper()
    reaper.clock, reaper.dependencies = later, replace(reaper.dependencies, clock=later)
    assert world.entry(world.sweep(), ids[0]).protected_by == flag
    assert [world.lives(one) for one in ids] == [True, False, False]


@pytest.mark.parametrize("stored", ["a.b", "a:b"])
def test_i70_a_session_lives_whose_name_tmux_has_changed(worlds: Worlds, stored: str) -> None:
    """Before 3.8 tmux writes "_" for "." and ":", so that the name yields another id than the row has."""
    world = worlds("standard", stranger_ttl=0)
    world.workspaces(3)
    world.host.insert([stored])
    session_id = world.server.run("new-session", "-d", "-P", "-F", "#{session_id}", "-s", "ws-a_b", "exec cat")
    reports = [world.sweep() for _ in range(3)]
    assert world.entry(reports[-1], "a_b").protected_by == "unknown"
    assert session_id in world.server.session_ids()


def test_i71_a_session_lives_while_only_one_of_its_rows_is_flagged_as_deleted(worlds: Worlds) -> None:
    world = worlds("standard")
    ids = world.workspaces(4)
    world.sweep()
    world.host.insert([f"{ids[0]} "])
    world.host.flag_deleted(ids[0])
    for _ in range(4):
        world.sweep()
    assert [one for one in ids if world.lives(one)] == ids


@pytest.mark.parametrize(("table", "column"), [("workspaces", "id"), ("sessions", "workspace_id")])
def test_i70_a_session_lives_while_its_workspace_runs_under_another_spelling(worlds: Worlds, table: str, column: str) -> None:
    """The row is found, but its workspace does not run."""
    world = worlds("vibe-kanban")
    ids = world.workspaces(3)
    world.host.run(ids[0])
    world.sweep()
    world.host.archive(ids[0])
    world.host.archive(ids[1])
    with world.host.writing() as connection:
        connection.commit()
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (ids[0].upper(), blob(ids[0])))
    world.sweep()
    assert [world.lives(one) for one in ids] == [True, False, True]
