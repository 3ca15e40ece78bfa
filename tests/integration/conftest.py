"""What the tests of the command line share."""

from __future__ import annotations

import pytest

from tests.tools.command_line import CommandLine
from tests.tools.world import World


@pytest.fixture
def reaper(world: World, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line of the world's reaper, in this process."""
    return CommandLine(world, monkeypatch)


@pytest.fixture
def latched(world: World) -> list[str]:
    """The workspaces of four sessions that the breaker holds back, all confirmed. A fifth session is known."""
    world.workspaces(1)
    ids = world.workspaces(4)
    world.workspaces(20, sessions=False)
    world.sweep()
    world.host.delete(*ids)
    world.sweep()
    assert world.sweep().latched
    return ids
