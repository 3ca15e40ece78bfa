"""The nine steps on real tmux and a real database: what goes, what stays, and what is said about it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import fields

from tests.tools.world import World, outcomes
from workspace_reaper.model.unknown import Source
from workspace_reaper.operations.status import read_history


def test_it_reaps_what_is_archived_and_keeps_the_rest(world: World) -> None:
    kept, archived = world.workspace(), world.workspace(archived=True)
    world.session(kept)
    world.session(archived)

    report = world.sweep()

    assert outcomes(report) == {kept: "none", archived: "reaped"}
    assert world.lives(kept)
    assert not world.lives(archived)
    assert report.exit_code == 0


def test_an_orphan_needs_two_full_sweeps(world: World) -> None:
    orphan, other = world.workspaces(2)
    world.sweep()
    world.host.delete(orphan)

    first = world.sweep()
    assert world.entry(first, orphan).protected_by == "unconfirmed"
    assert world.lives(orphan)

    assert outcomes(world.sweep()) == {orphan: "reaped", other: "none"}
    assert not world.lives(orphan)


def test_what_is_remembered_of_a_session_that_the_last_sweep_did_not_see_counts(world: World) -> None:
    """The ledger is read for the workspaces of the sweep before, while tmux lists."""
    orphan, other = world.workspace(), world.workspace()
    session_id = world.session(orphan)
    world.session(other)
    world.sweep()
    world.server.run("kill-session", "-t", session_id)
    world.sweep()
    world.session(orphan)
    world.host.delete(orphan)

    first = world.sweep()
    assert world.entry(first, orphan).protected_by == "unconfirmed", "it was known, so it is no stranger"
    assert outcomes(world.sweep()) == {orphan: "reaped", other: "none"}


def test_a_ledger_that_fails_while_tmux_lists_is_told(world: World) -> None:
    (archived,) = world.workspaces(1)
    world.sweep()
    world.host.archive(archived)
    with closing(sqlite3.connect(world.state_dir / "ledger.sqlite")) as ledger:
        ledger.execute("DROP TABLE finding")

    report = world.sweep()

    assert [unknown.source for unknown in report.unknown] == [Source.LEDGER]
    assert report.exit_code == 3
    assert world.lives(archived)


def test_a_sweep_fills_each_field_of_an_intent(world: World) -> None:
    workspace_id = world.workspace(worktree=str(world.tmp))
    world.session(workspace_id)
    world.host.archive(workspace_id)
    world.sweep()
    [reap] = read_history(world.plugin.reaper(), 1)
    assert [one.name for one in fields(reap.intent) if getattr(reap.intent, one.name) == one.default] == []
