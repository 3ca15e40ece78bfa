"""What people are told: rows for what they are, totals that add up, the daemon by its pid, and how many a reset lets go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest

from tests.tools.command_line import CommandLine
from tests.tools.hosts import StandardHost, TableHost
from tests.tools.world import World

pytestmark = pytest.mark.once

Worlds = Callable[..., World]


# A row that is marked deleted


@pytest.fixture(params=["standard", "table"])
def flagging(request: pytest.FixtureRequest, worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line of a host that marks what it deletes, and never removes a row."""
    world = worlds("standard", confirmation_gap=3600)
    if request.param == "table":
        world.host = TableHost(world.tmp / "table.sqlite")
        world.host.create()
        world.configure(
            registry="table", database_url=f"sqlite:///{world.host.path}", session_patterns=["ws-(?P<id>[0-9a-f]{32})"]
        )
        table = {name: value for name, value in asdict(world.host.table).items() if value is not None}
        monkeypatch.setenv("WORKSPACE_REAPER_TABLE", json.dumps(table))
    return CommandLine(world, monkeypatch)


def flagged(reaper: CommandLine) -> str:
    """The name of a session whose row is marked deleted. Another one is alive."""
    world = reaper.world
    ids = [world.host.new_id(number) for number in (1, 2)]
    world.host.insert(ids)
    names = [
        f"ws-{one.replace('-', '')}" if isinstance(world.host, TableHost) else StandardHost.session_name(one) for one in ids
    ]
    world.server.new_sessions(names)
    assert reaper("sweep").code == 0
    world.host.flag_deleted(ids[0])
    return names[0]


def test_a_row_that_is_marked_deleted_is_reported_as_that(flagging: CommandLine) -> None:
    name = flagged(flagging)
    [entry] = [one for one in flagging("sweep", "--json").json["sessions"] if one["session"] == name]
    assert (entry["verdict"], entry["reason"], entry["protected_by"]) == ("hold", "orphan", "unconfirmed")
    assert entry["evidence"]["row"]["deleted"] is True
    assert entry["evidence"]["proven"] is True
    explained = flagging("explain", name).out
    assert "The row is marked deleted" in explained
    assert "have found the row marked deleted (1 so far)" in explained
    assert "no row" not in explained
    assert "registry has no" not in explained
