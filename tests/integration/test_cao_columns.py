"""CAO's table: which columns keep a session, and what its names prove. And the reaper in a server that configures nothing."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import platformdirs
import pytest

from tests.tools.distributions import install
from tests.tools.hosts import CaoHost, StandardHost, connected
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_reaper.hosts.embedded import EmbeddedReaper
from workspace_reaper.model.workspace import LookupResult, Workspace
from workspace_reaper.registry import load_schema, open_registry
from workspace_reaper.registry.schemas.cao import CAO

pytestmark = pytest.mark.once

OWNER, FAILURE = "deferred_init_external_owner", "deferred_init_failure"
RECLAIMED, DELIVERY = "deferred_init_runtime_reclaimed", "initial_delivery"


@pytest.fixture
def host(tmp_path: Path) -> CaoHost:
    host = CaoHost(tmp_path / "cao.db")
    host.create()
    return host


def change(host: CaoHost, terminal: int, **columns: object) -> None:
    """Set columns of the row that was inserted as that one, from 1."""
    with connected(host.path) as connection:
        for name, value in columns.items():
            connection.execute(f"UPDATE terminals SET {name} = ? WHERE rowid = ?", (value, terminal))


def known(host: CaoHost, name: str = "cao-a") -> Workspace | None:
    rows = open_registry(load_schema("cao"), str(host.path), {}).look_up([name], [])
    assert isinstance(rows, LookupResult)
    return rows.found.get(name)


@pytest.mark.parametrize(
    ("columns", "pinned", "running"),
    [
        pytest.param({}, False, False, id="a terminal like any other"),
        pytest.param({OWNER: 1}, True, False, id="somebody outside settles its initialisation"),
        pytest.param({FAILURE: '{"kind": "timeout"}'}, True, False, id="it failed, and nobody has acknowledged that"),
        pytest.param({OWNER: 1, RECLAIMED: 1}, False, False, id="only the record is left"),
        pytest.param({FAILURE: "{}", RECLAIMED: 1}, False, False, id="only the record of a failure is left"),
        pytest.param({DELIVERY: '{"state": "pending"}'}, False, True, id="its agent starts"),
        pytest.param({OWNER: 1, DELIVERY: '{"state": "pending"}'}, True, True, id="both"),
        pytest.param({DELIVERY: '{"state": "delivered"}'}, False, False, id="its agent works"),
        pytest.param(
            {DELIVERY: '{"state": "failed", "message": "no \\"state\\": \\"pending\\" any more"}'}, False, False, id="a text"
        ),
    ],
)
def test_what_a_row_says(host: CaoHost, columns: dict[str, object], pinned: bool, running: bool) -> None:
    host.insert(["cao-a"])
    change(host, 1, **columns)
    assert known(host) == Workspace("cao-a", pinned=pinned, running=running)


@pytest.mark.parametrize("which", [1, 2, 3])
def test_any_window_of_a_session_keeps_it_and_no_other_session(host: CaoHost, which: int) -> None:
    host.insert(["cao-a", "cao-a", "cao-a", "cao-b"])
    change(host, which, deferred_init_external_owner=1, initial_delivery='{"state": "pending"}')
    assert known(host) == Workspace("cao-a", pinned=True, running=True)
    assert known(host, "cao-b") == Workspace("cao-b")


def test_the_record_of_a_failure_takes_nothing_from_a_later_session(host: CaoHost) -> None:
    host.insert(["cao-a", "cao-a"])
    change(host, 1, deferred_init_external_owner=1, deferred_init_runtime_reclaimed=1)
    assert known(host) == Workspace("cao-a")
    change(host, 2, deferred_init_external_owner=1)
    assert known(host) == Workspace("cao-a", pinned=True)


@pytest.mark.parametrize("lacking", sorted(CAO.optional))
def test_a_database_from_before_a_column(tmp_path: Path, lacking: str) -> None:
    host = CaoHost(tmp_path / "old.db")
    host.create()
    with closing(sqlite3.connect(host.path)) as connection:
        connection.execute(f"ALTER TABLE {lacking.replace('.', ' DROP COLUMN ')}")
    host.insert(["cao-a"])
    assert known(host) == Workspace("cao-a")


def test_a_name_that_was_known_proves_nothing_of_a_session_that_was_not(worlds: Callable[..., World]) -> None:
    """A user gives a session of his own the name that one of the server had; one that outlived its row goes."""
    world = worlds("cao", stranger_ttl=3600)
    mine, theirs, other = world.workspaces(3)
    world.sweep()
    world.host.delete(mine, theirs)
    world.server.run("kill-session", "-t", f"={mine}:")
    world.session(mine)
    for _ in range(3):
        report = world.sweep()
    assert world.lives(mine)
    assert world.lives(other)
    assert not world.lives(theirs)
    assert world.entry(report, mine).protected_by == "unproven"


# The reaper in a server that configures nothing


@pytest.fixture
def served(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CaoHost, TmuxServer]]:
    """A home with the server's database at its own place, and a tmux at the default socket of this environment."""
    monkeypatch.setenv("HOME", str(short_tmp))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "CAO_HOME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORKSPACE_REAPER_TICK", "3600")
    monkeypatch.setenv("TMUX_TMPDIR", str(short_tmp))
    database = short_tmp / ".aws" / "cli-agent-orchestrator" / "db" / "cli-agent-orchestrator.db"
    database.parent.mkdir(parents=True)
    host = CaoHost(database)
    host.create()
    sockets = short_tmp / f"tmux-{os.getuid()}"
    sockets.mkdir(mode=0o700)
    with TmuxServer(name="default", directory=sockets) as tmux:
        yield host, tmux


def configured(text: str, home: Path) -> None:
    file = Path(platformdirs.user_config_dir("workspace-reaper", appauthor=False)) / "workspace-reaper.toml"
    assert file.is_relative_to(home)
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")


def is_stamped(tmux: TmuxServer, session_id: str) -> bool:
    return bool(tmux.run("show-options", "-qv", "-t", f"{session_id}:", "@workspace_owner"))


def test_unconfigured_it_serves_the_server_that_it_is_in(served: tuple[CaoHost, TmuxServer]) -> None:
    host, tmux = served
    gone, stays = tmux.new_session("cao-gone"), tmux.new_session("cao-stays")
    host.insert(["cao-gone", "cao-stays"])
    embedded = EmbeddedReaper("cao")
    try:
        wait_until(lambda: is_stamped(tmux, gone) and is_stamped(tmux, stays))
        # tmux tells whole seconds: a session of the second in which its name was deleted may be the next of that name.
        made = int(tmux.run("display-message", "-p", "-t", f"{gone}:", "#{session_created}"))
        wait_until(lambda: int(time.time()) > made)
        host.delete("cao-gone")
        embedded.deleted("cao-gone")
        assert embedded.drain(30)
        assert tmux.session_ids() == {stays}
        later = tmux.new_session("cao-later")
        host.insert(["cao-later"])
        embedded.look()
        wait_until(lambda: is_stamped(tmux, later))
    finally:
        embedded.stop()
    embedded.stop()


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        pytest.param('registry = "standard"', True, id="another registry"),
        pytest.param("enabled = false", False, id="switched off"),
    ],
)
def test_the_users_own_configuration_wins(
    served: tuple[CaoHost, TmuxServer], short_tmp: Path, caplog: pytest.LogCaptureFixture, text: str, warned: bool
) -> None:
    host, tmux = served
    session = tmux.new_session("cao-a")
    host.insert(["cao-a"])
    configured(text, short_tmp)
    embedded = EmbeddedReaper("cao")
    try:
        host.delete("cao-a")
        embedded.deleted("cao-a")
        assert embedded.drain(30)
    finally:
        embedded.stop()
    assert tmux.session_ids() == {session}
    assert not is_stamped(tmux, session)
    assert ("names the registry standard, not cao" in caplog.text) is warned


def test_what_this_server_deletes_is_not_said_of_another_registry(served: tuple[CaoHost, TmuxServer], short_tmp: Path) -> None:
    """Its sessions may have the ids of this server's; it is swept all the same."""
    _, tmux = served
    session, known = tmux.new_session("ws-cao-a"), tmux.new_session("ws-b")
    other = StandardHost(short_tmp / "other.sqlite")
    other.create()
    other.insert(["b"])
    socket = json.dumps([tmux.path])
    configured(f'registry = "standard"\ndatabase_url = "sqlite:///{other.path}"\ntmux_sockets = {socket}\n', short_tmp)
    embedded = EmbeddedReaper("cao")
    try:
        embedded.deleted("cao-a")
        assert embedded.drain(30)
        assert tmux.session_ids() == {session, known}
        wait_until(lambda: is_stamped(tmux, known))
    finally:
        embedded.stop()


def test_a_bad_configuration_is_an_error_in_the_log_and_reaps_nothing(
    served: tuple[CaoHost, TmuxServer], short_tmp: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configured('idle_ttl = "soon"', short_tmp)
    embedded = EmbeddedReaper("cao")
    embedded.deleted("cao-a")
    embedded.look()
    assert embedded.drain(1)
    embedded.stop()
    (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "idle_ttl" in error.getMessage()
    assert "workspace-reaper.toml" in error.getMessage()


def test_a_blocked_reaper_reaps_nothing(served: tuple[CaoHost, TmuxServer], monkeypatch: pytest.MonkeyPatch) -> None:
    host, tmux = served
    session = tmux.new_session("cao-a")
    host.insert(["cao-a"])
    monkeypatch.setenv("WORKSPACE_PLUGINS_BLOCK", "reaper")
    embedded = EmbeddedReaper("cao")
    embedded.look()
    assert embedded.drain(30)
    embedded.stop()
    assert not is_stamped(tmux, session)


def test_a_neighbour_of_the_group_can_veto(served: tuple[CaoHost, TmuxServer], monkeypatch: pytest.MonkeyPatch) -> None:
    host, tmux = served
    site = tmux.directory.parent / "site"
    source = (
        "from workspace_hookspecs import hookimpl\n"
        "@hookimpl\n"
        "def reaper_veto(candidates):\n"
        "    return {c.session: 'in use' for c in candidates}\n"
    )
    install(site, "cao-neighbour", {"cao_neighbour": source}, "[workspace_server]\nneighbour = cao_neighbour\n")
    monkeypatch.syspath_prepend(site)
    session = tmux.new_session("cao-a")
    host.insert(["cao-a"])
    embedded = EmbeddedReaper("cao")
    try:
        wait_until(lambda: is_stamped(tmux, session))
        host.delete("cao-a")
        embedded.deleted("cao-a")
        assert embedded.drain(30)
    finally:
        embedded.stop()
    assert tmux.session_ids() == {session}
