"""The nine steps on real tmux and a real database: what goes, what stays, and what is said about it."""

from __future__ import annotations

from tests.tools.world import World, outcomes


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
