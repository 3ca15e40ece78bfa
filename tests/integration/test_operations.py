"""What an operator is told of one session when not everything can be read, and which session is meant."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.hosts import connected
from tests.tools.tmux import TmuxServer
from tests.tools.world import World, session_name
from workspace_reaper.model.errors import ConfigurationError, NoSuchSession, UnreadableSocket
from workspace_reaper.model.unknown import Source
from workspace_reaper.operations import doctor
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.operations.sessions import explain_session, keep_session
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.report import printable
from workspace_reaper.tmux.sockets import socket_path

pytestmark = pytest.mark.once

UNREADABLE = Rule("list-sessions", exit_code=1, stderr="lost server\n")
BAD_ROW = {"#{session_created}": ""}
Worlds = Callable[..., World]
TOO_LONG = "/" + "x" * 300
"""The system can't look at it, whoever asks: also the superuser, who may enter every directory."""


def kept(server: TmuxServer) -> str:
    return server.run("list-sessions", "-F", "#{@reaper_keep}")


@pytest.fixture
def one(world: World) -> tuple[World, str]:
    """A world with one workspace, and the name of its session."""
    workspace = world.workspace()
    world.session(workspace)
    return world, session_name(world.schema, workspace)


@pytest.fixture
def two(worlds: Worlds) -> tuple[World, str]:
    """A world with a session on its first socket; the second can't be read."""
    world = worlds(servers=2)
    workspace = world.workspace()
    world.session(workspace)
    Path(world.servers[1].path).write_text("no socket")
    return world, session_name(world.schema, workspace)


# which session is meant


@pytest.mark.parametrize("on", [True, False], ids=["keep", "unkeep"])
@pytest.mark.parametrize("stamped", [True, False], ids=["foreign", "by name"])
def test_an_unmanaged_session_is_never_touched(one: tuple[World, str], on: bool, stamped: bool) -> None:
    world, name = one
    session_id = world.server.run("list-sessions", "-F", "#{session_id}")
    if stamped:
        world.server.set_option(session_id, "@workspace_owner", "abc")
    else:
        world.server.run("rename-session", "-t", session_id, "mine")
        name = "mine"
    world.server.set_option(session_id, "@reaper_keep", "theirs")
    with pytest.raises(NoSuchSession, match="never reaped"):
        keep_session(world.plugin.reaper(), name, on=on)
    assert kept(world.server) == "theirs"


def test_what_cannot_be_read_may_have_a_session_of_that_name_too(two: tuple[World, str]) -> None:
    world, name = two
    reaper = world.plugin.reaper()
    for on in (True, False):
        with pytest.raises(UnreadableSocket, match="--socket"):
            keep_session(reaper, name, on=on)
    with pytest.raises(UnreadableSocket):
        explain_session(reaper, name)
    with pytest.raises(UnreadableSocket):
        keep_session(reaper, name, world.servers[1].path, on=True)
    assert kept(world.server) == ""
    assert keep_session(reaper, name, world.server.path, on=True).name == name
    assert kept(world.server) == "1"
    assert explain_session(reaper, name, world.server.path).decided.startswith("keep")


def test_an_unreadable_row_beside_it_hides_nothing(one: tuple[World, str], front_tmux: FrontTmux) -> None:
    world, name = one
    world.server.new_session("broken")
    front_tmux.rules(Rule("list-sessions", replace=BAD_ROW, sessions=["broken"]))
    assert keep_session(world.plugin.reaper(), name, on=True).name == name
    with pytest.raises(UnreadableSocket, match="broken"):
        keep_session(world.plugin.reaper(), "other", on=True)


def test_a_socket_is_named_as_our_tables_show_it(worlds: Worlds, short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = worlds(servers=2)
    monkeypatch.setenv("TMUX_TMPDIR", str(short_tmp))
    places = [short_tmp / "s\x1bx", short_tmp / "a" / "same", short_tmp / "b" / "same", Path(socket_path("named"))]
    for place in places:
        place.parent.mkdir(mode=0o700, exist_ok=True)
    places[0].symlink_to(world.servers[0].path)
    places[3].symlink_to(world.servers[1].path)
    world.configure(tmux_sockets=[str(place) for place in places])
    workspace = world.workspace()
    for server in world.servers:
        world.session(workspace, server=server)
    name = session_name(world.schema, workspace)
    reaper = world.plugin.reaper()
    meant = {"s\x1bx": 0, "s\\x1bx": 0, printable(str(places[0])): 0, str(places[0]): 0, "named": 3, str(places[3]): 3}
    for socket, number in meant.items():
        assert explain_session(reaper, name, socket).entry["socket"] == str(places[number])
    for wrong in ("same", "other", "/nowhere", "a/same", "", "sam"):
        with pytest.raises(ConfigurationError) as raised:
            explain_session(reaper, name, wrong)
        assert all(printable(str(place)) in str(raised.value) for place in places)


def test_a_socket_that_is_not_configured_is_2_on_the_command_line(one: tuple[World, str]) -> None:
    world, name = one
    done = world.cli("keep", name, "--socket", "/nowhere")
    assert (done.returncode, world.server.path in done.stderr) == (2, True)


# what can't be judged


def test_a_socket_that_falls_silent_between_two_looks(one: tuple[World, str], front_tmux: FrontTmux) -> None:
    world, name = one
    front_tmux.rules({**UNREADABLE, "skip": 1})
    with pytest.raises(UnreadableSocket, match="lost server"):
        explain_session(world.plugin.reaper(), name)


def test_a_session_that_goes_between_two_looks(one: tuple[World, str], front_tmux: FrontTmux) -> None:
    world, name = one
    world.server.new_session("other")
    front_tmux.rules(Rule("list-sessions", skip=1, drop=[name]))
    with pytest.raises(NoSuchSession, match="ended while it was looked at"):
        explain_session(world.plugin.reaper(), name)


def test_without_the_registry_the_facts_of_tmux_are_told(one: tuple[World, str]) -> None:
    world, name = one
    world.host.path.unlink()
    told = world.cli_json("explain", name, expect=3)
    assert told["decided"].startswith("hold: it cannot be judged: ")
    assert "does not exist" in told["decided"]
    assert [one["source"] for one in told["unknown"]] == ["registry"]
    assert told["facts"]["server"]["pid"] == world.server.pid
    assert (told["rules"], told["verdict"], told["session"]) == ([], "hold", name)
    done = world.cli("explain", name)
    assert done.returncode == 3
    assert "cannot be judged" in done.stdout
    assert f"server pid {world.server.pid}" in " ".join(done.stdout.split())


@pytest.mark.parametrize("skip", [0, 1], ids=["at once", "at the second look"])
def test_a_row_that_cannot_be_read(one: tuple[World, str], front_tmux: FrontTmux, skip: int) -> None:
    world, name = one
    front_tmux.rules(Rule("list-sessions", skip=skip, replace=BAD_ROW, sessions=[name]))
    told = explain_session(world.plugin.reaper(), name)
    assert told.exit_code == 3
    assert "cannot be judged" in told.decided
    assert name in told.decided
    assert [one.source for one in told.unknown] == [Source.SESSION]
    assert bool(told.facts) is bool(skip)


def test_a_row_that_can_be_read_at_the_second_look(one: tuple[World, str], front_tmux: FrontTmux) -> None:
    world, name = one
    front_tmux.rules(Rule("list-sessions", times=1, replace=BAD_ROW, sessions=[name]))
    told = explain_session(world.plugin.reaper(), name)
    assert (told.exit_code, told.decided) == (0, "keep: no reason holds")


# doctor


def found(world: World) -> list[doctor.Check]:
    return list(doctor.examine([world.plugin.reaper()]))


def test_the_doctor_leads_to_adopt(one: tuple[World, str]) -> None:
    world, name = one
    world.server.set_option(world.server.run("list-sessions", "-F", "#{session_id}"), "@workspace_owner", "abc")
    [check] = [check for check in found(world) if "another reaper's owner mark" in check.detail]
    assert name in check.detail
    assert "'workspace-reaper adopt'" in check.do


def test_the_doctor_counts_as_a_sweep_does(one: tuple[World, str]) -> None:
    """A renamed session is managed by its marks. An owner mark that is set elsewhere is no session's."""
    world, name = one
    world.sweep()
    world.server.run("rename-session", "-t", f"={name}:", "my work")
    [counted] = [check for check in found(world) if check.check.startswith("socket")]
    assert (counted.state, counted.detail.partition(", ")[2]) == ("OK", "1 managed and 0 other sessions")
    world.server.run("rename-session", "-t", "=my work:", name)
    world.session(world.workspace())
    world.server.run("set-option", "-gw", "@workspace_owner", "junk")
    assert len(world.sweep().sessions) == 2
    counted, inherited = [check for check in found(world) if check.check.startswith("socket")]
    assert counted.detail.partition(", ")[2] == "2 managed and 0 other sessions"
    assert (inherited.state, "@workspace_owner" in inherited.detail, "'set-option -u'" in inherited.do) == ("WARN", True, True)


def test_the_doctor_says_that_no_session_belongs_to_a_row(one: tuple[World, str]) -> None:
    """As with a pattern that does not fit."""
    world, name = one
    assert [check.state for check in found(world) if check.check == "sessions"] == []
    world.server.run("rename-session", "-t", f"={name}:", name.replace("_", "-"))
    [check] = [check for check in found(world) if check.check == "sessions"]
    assert (check.state, "none of the 1 sessions" in check.detail, "session_patterns" in check.do) == ("WARN", True, True)


def test_without_the_ledger_the_doctor_says_nothing_of_stamps(one: tuple[World, str]) -> None:
    world, _ = one
    world.sweep()
    world.plugin.close()
    for file in world.state_dir.glob("ledger.sqlite*"):
        file.write_bytes(b"this is no database" * 100)
    checks = {check.check: check for check in found(world)}
    socket = checks[f"socket {world.server.path}"]
    assert (socket.state, "1 sessions that match by name" in socket.detail) == ("OK", True)
    assert not any("another reaper" in check.detail for check in checks.values())
    assert checks["ledger"].state == "FAIL"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may enter every directory; a name too long stands for it")
def test_a_state_dir_below_a_directory_that_cannot_be_entered(one: tuple[World, str], tmp_path: Path) -> None:
    world, _ = one
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    world.configure(state_dir=str(closed / "below" / "state"))
    [check] = [check for check in found(world) if check.check == "state_dir"]
    assert (check.state, bool(check.do)) == ("FAIL", True)


def test_a_state_dir_that_cannot_be_looked_at(one: tuple[World, str], tmp_path: Path) -> None:
    world, _ = one
    world.configure(state_dir=f"{tmp_path}{TOO_LONG}")
    [check] = [check for check in found(world) if check.check == "state_dir"]
    assert (check.state, "cannot be read" in check.detail, bool(check.do)) == ("FAIL", True, True)


@pytest.mark.parametrize("missing", ["/no/such/place", "/etc/passwd/below"], ids=["missing", "below a file"])
def test_a_tmux_tmpdir_that_is_not_there_is_not_used(missing: str) -> None:
    assert socket_path("name", {"TMUX_TMPDIR": missing}) == socket_path("name", {})


def test_a_tmux_tmpdir_that_cannot_be_looked_at_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"TMUX_TMPDIR.*absolute paths"):
        socket_path("name", {"TMUX_TMPDIR": TOO_LONG})


@pytest.mark.parametrize(
    ("archived", "state", "said"),
    [
        pytest.param("state = 'done'", "WARN", "index", id="an id without an index"),
        pytest.param("stat", "FAIL", "state", id="a column that is not there"),
    ],
)
def test_doctor_holds_a_described_table_against_the_live_one(tmp_path: Path, archived: str, state: str, said: str) -> None:
    with connected(tmp_path / "app.sqlite") as connection:
        connection.execute("CREATE TABLE jobs (job TEXT, state TEXT)")
        connection.execute("INSERT INTO jobs VALUES ('one', 'open')")
    settings = Settings(
        registry="table",
        database_url=str(tmp_path / "app.sqlite"),
        tmux_sockets=(str(tmp_path / "no-socket"),),
        session_patterns=("job-(?P<id>.+)",),
        state_dir=tmp_path / "state",
        table={"name": "jobs", "id": "job", "id_type": "text", "archived": archived},
    )
    found = [check for check in doctor.examine([Reaper(settings)]) if check.check == "database"]
    assert found[0].state == state
    assert said in found[0].detail
    assert [check.state for check in found[1:]] == (["OK"] if state == "WARN" else [])
