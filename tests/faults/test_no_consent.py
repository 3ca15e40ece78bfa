"""Public incidents: silence, a lost connection or an exit was taken for consent; and nothing ever went."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes
from workspace_hookspecs import WorkspacePlugins

pytestmark = pytest.mark.once

PATIENCE = 30

Worlds = Callable[..., World]


@pytest.mark.parametrize("said", ["deleted", "archived"])
def test_i07_an_event_that_the_database_contradicts_ends_nothing(world: World, said: str) -> None:
    """11 running processes were swept 1 s after one missed heartbeat, and nobody looked whether they ran."""
    live = world.workspaces(3)
    world.sweep()
    plugins = WorkspacePlugins()
    plugins.register(world.plugin, "reaper")
    for one in live:
        getattr(plugins, f"workspace_{said}")(one)
    assert plugins.drain(PATIENCE)
    plugins.close()
    assert all(map(world.lives, live))
    assert outcomes(world.sweep()) == dict.fromkeys(live, "none")


def test_i08_a_living_server_whose_socket_was_tidied_away_is_not_dead(world: World) -> None:
    """The socket aged out of /tmp, and the server looked dead."""
    [known] = world.workspaces(1)
    world.sweep()
    Path(world.server.path).unlink()
    world.host.delete(known)
    for _ in range(3):
        report = world.sweep()
        assert (report.exit_code, [part.socket for part in report.unknown]) == (3, [world.server.path])
        assert report.sessions == []
    assert psutil.Process(world.server.pid).is_running()


@pytest.mark.parametrize("schema", ["vibe-kanban", "standard"])
def test_i18_what_should_go_is_gone(worlds: Worlds, schema: str) -> None:
    """``=`` was stripped for routing and kept for the compare: the kill never matched, and nobody looked afterwards."""
    world = worlds(schema)
    orphan, live = world.workspaces(2)
    world.sweep()
    world.host.delete(orphan)
    assert [outcomes(world.sweep())[orphan] for _ in range(2)] == ["none", "reaped"]
    assert (world.lives(orphan), world.lives(live)) == (False, True)


def test_i39_who_comes_back_after_a_lost_connection_finds_everything(worlds: Worlds) -> None:
    """Removed 10 s after a connection was lost, although the client was back by then."""
    world = worlds(activity_grace=60)
    [archived] = world.workspaces(1, sessions=False)
    session = world.session(archived)
    client = world.server.attach(session)
    world.sweep()
    world.host.archive(archived)
    client.kill()
    lost = world.sweep().sessions[0]
    assert (lost.outcome, lost.protected_by) == ("none", "active")
    world.server.attach(session)
    back = world.sweep().sessions[0]
    assert (back.outcome, back.protected_by) == ("none", "attached")


def test_i40_the_end_of_an_agent_is_no_consent(world: World, tmp_path: Path) -> None:
    """A pane was killed 60 s after its agent had exited, with the user's shell in it."""
    [known] = world.workspaces(1, sessions=False)
    over = tmp_path / "over"
    session = world.session(known, command=f"sh -c 'true; : > {over}; exec sleep 100000'")
    wait_until(over.exists, PATIENCE)
    wait_until(lambda: world.server.show(session, "#{pane_current_command}") == "sleep", PATIENCE)
    for _ in range(3):
        [entry] = world.sweep().sessions
        assert (entry.verdict.value, entry.outcome) == ("keep", "none")
    assert world.lives(known)


def test_i40_nor_is_the_end_of_the_client_that_looked_at_it(world: World) -> None:
    """A detach is no word for it either: without a reason of the table it stays."""
    [known] = world.workspaces(1, sessions=False)
    client = world.server.attach(world.session(known))
    world.sweep()
    client.detach()
    started = time.time()
    for _ in range(3):
        [entry] = world.sweep().sessions
        assert entry.verdict.value == "keep"
        assert entry.facts is not None
        assert entry.facts.detached_at is None or entry.facts.detached_at >= started - PATIENCE
    assert world.lives(known)
