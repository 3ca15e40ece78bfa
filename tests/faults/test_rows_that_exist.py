"""A row that exists in a form that the reaper does not expect: its session is not taken for one without a row."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
