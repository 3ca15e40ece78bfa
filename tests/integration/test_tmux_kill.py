"""The guarded kill on real tmux: each term spares what it must, and nothing else."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.model.session import Listing, Session
from workspace_reaper.model.verdict import Expiry, Guard, KillResult, KillResults
from workspace_reaper.tmux.commands import kill_line
from workspace_reaper.tmux.terminal import TmuxTerminal

STAMP = "0123abcd"


def sessions_of(terminal: TmuxTerminal) -> dict[str, Session]:
    listing = terminal.observe(STAMP)
    assert isinstance(listing, Listing), listing
    return {session.key.session_id: session for session in listing.sessions}


def guard_of(session: Session, **changes: Any) -> Guard:
    """The whole guard of an idle session; ``changes`` take terms away."""
    guard = Guard(
        session.key,
        activity=session.activity,
        unattached=True,
        quiet_since=max(window.activity for window in session.windows),
        all_panes_dead=False,
        owner="",
        workspace="",
    )
    return replace(guard, **changes)


def without(*names: str) -> dict[str, Any]:
    nothing = {"activity": None, "unattached": False, "quiet_since": None}
    return {name: nothing[name] for name in names}


@pytest.fixture
def terminal(tmux_server: TmuxServer) -> TmuxTerminal:
    # On a busy machine some hundred kills in one command take longer than a command may: a sweep asks for fewer.
    return TmuxTerminal(tmux_server.path, limit=60)


@pytest.fixture
def session(tmux_server: TmuxServer, terminal: TmuxTerminal) -> Session:
    """The one that is to die, beside a bystander."""
    tmux_server.new_session("bystander")
    session_id = tmux_server.new_session("work", "exec cat")
    return sessions_of(terminal)[session_id]


def a_second_later(session: Session) -> None:
    """tmux's clocks tick in seconds: what happens from now on has another time than the session."""
    wait_until(lambda: time.time() >= session.activity + 1)


def expiry() -> Expiry:
    """Valid for as long as a test may take."""
    return Expiry(int(time.time()), 600)


def killed(server: TmuxServer, terminal: TmuxTerminal, guard: Guard, valid: Expiry | None = None) -> KillResult:
    """What the guard says, checked against what is there afterwards."""
    before = server.session_ids()
    answers = terminal.kill([guard], valid or expiry())
    assert answers.error is None
    assert answers.answers.keys() == {guard.key.session_id}
    answer = answers.answers[guard.key.session_id]
    assert server.session_ids() == before - ({guard.key.session_id} if answer is KillResult.KILLED else set())
    return answer


def test_a_session_that_another_registry_has_stamped_since_is_spared(
    tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session
) -> None:
    guard = guard_of(session)
    tmux_server.set_option(session.key.session_id, "@workspace_owner", "ffff")
    assert killed(tmux_server, terminal, guard) is KillResult.SPARED
    assert killed(tmux_server, terminal, replace(guard, owner=None)) is KillResult.KILLED


def test_an_idle_session_is_killed(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session) -> None:
    assert killed(tmux_server, terminal, guard_of(session)) is KillResult.KILLED
    assert killed(tmux_server, terminal, guard_of(session)) is KillResult.GONE


def test_a_session_that_is_gone_while_a_client_looks_at_another(
    tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session
) -> None:
    """A missing target falls back to the session of some client, in tmux."""
    tmux_server.run("kill-session", "-t", session.key.session_id)
    tmux_server.attach(tmux_server.new_session("watched"))
    assert (
        killed(tmux_server, terminal, guard_of(session, **without("activity", "unattached", "quiet_since"))) is KillResult.GONE
    )


@pytest.mark.parametrize("field", ["server_pid", "server_start", "created"])
@pytest.mark.parametrize("by", [-1, 1])
def test_another_identity_is_spared(
    tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session, field: str, by: int
) -> None:
    other = session.key._replace(**{field: getattr(session.key, field) + by})
    assert killed(tmux_server, terminal, guard_of(session, key=other)) is KillResult.SPARED


@pytest.mark.parametrize("value", ["1", "0"])
@pytest.mark.parametrize("changes", [{}, without("activity", "unattached", "quiet_since")], ids=["idle", "deleted"])
def test_a_kept_session_is_spared_whatever_the_reason(
    tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session, value: str, changes: dict[str, Any]
) -> None:
    tmux_server.set_option(session.key.session_id, "@reaper_keep", value)
    assert killed(tmux_server, terminal, guard_of(session, **changes)) is KillResult.SPARED
    tmux_server.run("set-option", "-u", "-t", session.key.session_id, "@reaper_keep")
    assert killed(tmux_server, terminal, guard_of(session, **changes)) is KillResult.KILLED


def test_a_client_that_was_there_since_the_listing(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session) -> None:
    a_second_later(session)
    tmux_server.attach(session.key.session_id).detach()
    only_activity = guard_of(session, **without("unattached", "quiet_since"))
    assert killed(tmux_server, terminal, only_activity) is KillResult.SPARED
    assert killed(tmux_server, terminal, replace(only_activity, activity=None)) is KillResult.KILLED


@pytest.mark.parametrize("do", ["look on", "suspend", "lock"])
def test_an_attached_session_is_spared(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session, do: str) -> None:
    client = tmux_server.attach(session.key.session_id)
    if do != "look on":
        getattr(client, do)()
        assert tmux_server.show(session.key.session_id, "#{session_attached}") == "0"
    only_unattached = guard_of(session, **without("activity", "quiet_since"))
    assert killed(tmux_server, terminal, only_unattached) is KillResult.SPARED
    client.kill()
    assert killed(tmux_server, terminal, only_unattached) is KillResult.KILLED


@pytest.mark.parametrize("do", ["look on", "suspend"])
def test_a_session_with_an_attached_group_peer_is_spared(
    tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session, do: str
) -> None:
    peer = tmux_server.run("new-session", "-d", "-P", "-F", "#{session_id}", "-t", f"{session.key.session_id}:")
    client = tmux_server.attach(peer)
    if do != "look on":
        getattr(client, do)()
    only_unattached = guard_of(session, **without("activity", "quiet_since"))
    assert killed(tmux_server, terminal, only_unattached) is KillResult.SPARED
    client.kill()
    assert killed(tmux_server, terminal, only_unattached) is KillResult.KILLED


@pytest.mark.parametrize("where", ["current window", "another window"])
def test_fresh_output_spares(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session, where: str) -> None:
    session_id = session.key.session_id
    if where == "another window":
        tmux_server.run("new-window", "-t", f"{session_id}:", "exec sleep 100000")
    only_quiet = guard_of(sessions_of(terminal)[session_id], **without("activity", "unattached"))
    assert only_quiet.quiet_since is not None
    wait_until(lambda: time.time() >= (only_quiet.quiet_since or 0) + 1)
    first = session.panes[0].pane_id
    tmux_server.run("send-keys", "-t", first, "x", "Enter")
    wait_until(lambda: max(it.activity for it in sessions_of(terminal)[session_id].windows) > (only_quiet.quiet_since or 0))
    assert killed(tmux_server, terminal, only_quiet) is KillResult.SPARED
    latest = max(window.activity for window in sessions_of(terminal)[session_id].windows)
    assert killed(tmux_server, terminal, replace(only_quiet, quiet_since=latest)) is KillResult.KILLED


def test_a_living_pane_spares_what_was_dead(tmux_server: TmuxServer, terminal: TmuxTerminal) -> None:
    tmux_server.new_session("bystander")
    tmux_server.run("set-option", "-g", "remain-on-exit", "on")
    session_id = tmux_server.new_session("dead", "exit 0")
    wait_until(lambda: tmux_server.show(session_id, "#{pane_dead}") == "1")
    guard = guard_of(sessions_of(terminal)[session_id], all_panes_dead=True)
    tmux_server.run("respawn-pane", "-t", f"{session_id}:", "exec sleep 100000")
    assert killed(tmux_server, terminal, guard) is KillResult.SPARED
    tmux_server.run("respawn-pane", "-k", "-t", f"{session_id}:", "exit 0")
    wait_until(lambda: tmux_server.show(session_id, "#{pane_dead}") == "1")
    assert killed(tmux_server, terminal, guard) is KillResult.KILLED


def test_the_prefix_of_a_name_is_no_target(tmux_server: TmuxServer, terminal: TmuxTerminal) -> None:
    """I17: ``a`` is gone, ``ab`` is there."""
    first = tmux_server.new_session("a")
    second = tmux_server.new_session("ab")
    guard = guard_of(sessions_of(terminal)[first])
    assert killed(tmux_server, terminal, guard) is KillResult.KILLED
    assert killed(tmux_server, terminal, guard) is KillResult.GONE
    assert tmux_server.session_ids() == {second}


def test_another_session_that_took_the_name(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session) -> None:
    tmux_server.run("kill-session", "-t", session.key.session_id)
    tmux_server.new_session("work")
    assert killed(tmux_server, terminal, guard_of(session)) is KillResult.GONE


def test_the_last_session_still_answers(tmux_server: TmuxServer, terminal: TmuxTerminal) -> None:
    session_id = tmux_server.new_session("last")
    answers = terminal.kill([guard_of(sessions_of(terminal)[session_id])], expiry())
    assert answers.answers == {session_id: KillResult.KILLED}
    assert answers.error is None
    wait_until(lambda: not tmux_server.is_alive())
    assert terminal.observe(STAMP) == Listing(tmux_server.path, (), answered=False)


def test_a_server_that_hands_out_the_same_id_again(tmux_server: TmuxServer, terminal: TmuxTerminal) -> None:
    session_id = tmux_server.new_session("work")
    guard = guard_of(sessions_of(terminal)[session_id], **without("activity", "unattached", "quiet_since"))
    tmux_server.kill()
    assert tmux_server.new_session("work") == session_id
    assert killed(tmux_server, terminal, guard) is KillResult.SPARED


def test_a_guard_of_another_socket_is_refused(tmux_servers: Callable[[], TmuxServer]) -> None:
    """I04: the same id, and even the same facts, on a socket that is not this one."""
    here, there = tmux_servers(), tmux_servers()
    here_id, there_id = here.new_session("work"), there.new_session("work")
    assert here_id == there_id
    session = sessions_of(TmuxTerminal(there.path))[there_id]
    answers = TmuxTerminal(here.path).kill([guard_of(session)], expiry())
    assert answers.answers == {here_id: KillResult.NONE}
    assert there.path in (answers.error or "")
    assert here.session_ids() == {here_id}


def test_a_bad_guard_holds_nobody_up(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session) -> None:
    bad = guard_of(session, key=session.key._replace(session_id="$1; kill-server"))
    answers = terminal.kill([bad, guard_of(session)], expiry())
    assert answers.answers == {"$1; kill-server": KillResult.NONE, session.key.session_id: KillResult.KILLED}
    assert "invalid tmux session id" in (answers.error or "")


def test_nothing_to_kill_asks_nobody(terminal: TmuxTerminal, front_tmux: FrontTmux) -> None:
    assert terminal.kill([], expiry()) == KillResults({}, 0.0)
    assert front_tmux.calls() == []


def test_many_at_once(tmux_server: TmuxServer, terminal: TmuxTerminal, front_tmux: FrontTmux) -> None:
    spared = set(tmux_server.new_sessions([f"s{number}" for number in range(30)]))
    doomed = set(tmux_server.new_sessions([f"d{number}" for number in range(270)]))
    sessions = sessions_of(terminal)
    for session_id in spared:
        tmux_server.set_option(session_id, "@reaper_keep", "1")
    calls = len(front_tmux.calls())
    answers = terminal.kill([guard_of(session) for session in sessions.values()], expiry())
    assert len(front_tmux.calls()) == calls + 1
    assert answers.answers == dict.fromkeys(doomed, KillResult.KILLED) | dict.fromkeys(spared, KillResult.SPARED)
    assert answers.error is None
    assert answers.seconds > 0
    assert tmux_server.session_ids() == spared


def test_a_stopped_server_kills_nothing_later(tmux_server: TmuxServer, session: Session) -> None:
    before = tmux_server.session_ids()
    tmux_server.stop()
    answers = TmuxTerminal(tmux_server.path, limit=0.5).kill([guard_of(session)], expiry())
    assert answers.answers == {session.key.session_id: KillResult.NONE}
    assert "did not answer" in (answers.error or "")
    tmux_server.resume()
    for _ in range(3):  # each is served after whatever had been waiting
        assert tmux_server.session_ids() == before


def test_a_dead_server_gives_no_answer(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session) -> None:
    tmux_server.kill_hard()
    answers = terminal.kill([guard_of(session)], expiry())
    assert answers.answers == {session.key.session_id: KillResult.NONE}
    assert "no server running" in (answers.error or "")


@pytest.mark.parametrize(
    "rule",
    [
        Rule("source-file", keep_bytes=3),
        Rule("source-file", keep_bytes=0),
        Rule("source-file", exit_code=1, stderr="lost server\n", keep_bytes=0),
        Rule("source-file", real=False, exit_code=0),
        Rule("source-file", real=False, signal_number=15),
    ],
    ids=["cut", "silent", "killed but lost", "nothing done", "client ended"],
)
def test_no_line_is_no_answer(terminal: TmuxTerminal, session: Session, front_tmux: FrontTmux, rule: dict[str, object]) -> None:
    front_tmux.rules(rule)
    assert terminal.kill([guard_of(session)], expiry()).answers == {session.key.session_id: KillResult.NONE}


def test_answers_before_an_error_count(
    tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session, front_tmux: FrontTmux
) -> None:
    front_tmux.rules(Rule("source-file", stdout="killed $77\n", stderr="lost server\n"))
    answers = terminal.kill([guard_of(session)], expiry())
    assert answers.answers == {session.key.session_id: KillResult.KILLED}
    assert "lost server" in (answers.error or "")


def test_marking(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session, front_tmux: FrontTmux) -> None:
    ids = {name: tmux_server.new_session(name) for name in ("ours", "foreign", "other identity")}
    tmux_server.set_option(ids["foreign"], "@workspace_owner", "ffff")
    sessions = sessions_of(terminal)
    before = {session_id: (it.activity, it.windows) for session_id, it in sessions.items()}
    keys = [sessions[session_id].key for session_id in ids.values()]
    keys[2] = keys[2]._replace(created=keys[2].created + 1)
    front_tmux.rules()
    calls = len(front_tmux.calls())
    terminal.mark(dict.fromkeys([*keys, session.key._replace(session_id="$999")], "7731"), STAMP)
    assert len(front_tmux.calls()) == calls + 1
    stamps = {
        name: tmux_server.show(session_id, "#{@workspace_owner} #{@reaper_workspace}") for name, session_id in ids.items()
    }
    assert stamps == {"ours": f"{STAMP} 7731", "foreign": "ffff ", "other identity": " "}
    assert {it.name for it in sessions_of(terminal).values() if it.is_self_marked} == {"ours"}
    assert {session_id: (it.activity, it.windows) for session_id, it in sessions_of(terminal).items()} == before


def test_marking_nothing_asks_nobody(terminal: TmuxTerminal, front_tmux: FrontTmux) -> None:
    terminal.mark({}, STAMP)
    assert front_tmux.calls() == []


def test_marking_checks_what_it_is_given(terminal: TmuxTerminal, session: Session) -> None:
    for mark, owner_id in (("7731", "}"), ("}", STAMP)):
        with pytest.raises(ValueError, match=r"is not an owner id|invalid value"):
            terminal.mark({session.key: mark}, owner_id)
    with pytest.raises(ValueError, match="not on"):
        terminal.mark({session.key._replace(socket="/tmp/other"): "7731"}, STAMP)


def test_keeping(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session) -> None:
    session_id = session.key.session_id
    assert terminal.keep(session.key, on=True)
    assert sessions_of(terminal)[session_id].kept
    assert killed(tmux_server, terminal, guard_of(session)) is KillResult.SPARED
    assert terminal.keep(session.key, on=False)
    assert not sessions_of(terminal)[session_id].kept
    assert terminal.keep(session.key, on=False)


def test_keeping_what_is_not_there_any_more(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session) -> None:
    other = session.key._replace(created=session.key.created + 1)
    for on in (True, False):
        assert not terminal.keep(other, on=on)
    assert not sessions_of(terminal)[session.key.session_id].kept
    tmux_server.kill_hard()
    for on in (True, False):
        assert not terminal.keep(session.key, on=on)
    with pytest.raises(ValueError, match="not on"):
        terminal.keep(session.key._replace(socket="/tmp/other"), on=True)


def test_an_option_of_the_whole_server_keeps_too(tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session) -> None:
    tmux_server.run("set-option", "-g", "@reaper_keep", "1")
    assert not terminal.keep(session.key, on=False)
    assert killed(tmux_server, terminal, guard_of(session)) is KillResult.SPARED


EXPIRED = {
    "at the end": (-5, 5),
    "long ago": (-3600, 5),
    "before a clock was set back": (3, 600),
    "no validity at all": (0, 0),
}


@pytest.mark.parametrize(("listed", "seconds"), EXPIRED.values(), ids=EXPIRED.keys())
def test_a_guard_that_has_expired_kills_nothing(
    tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session, listed: int, seconds: int
) -> None:
    now = time_of_server(terminal)
    assert killed(tmux_server, terminal, guard_of(session), Expiry(now + listed, seconds)) is KillResult.STALE
    assert killed(tmux_server, terminal, guard_of(session), Expiry(now, 600)) is KillResult.KILLED


def time_of_server(terminal: TmuxTerminal) -> int:
    listing = terminal.observe(STAMP)
    assert isinstance(listing, Listing), listing
    return listing.server_time


@pytest.mark.parametrize(("listed", "lives"), [(0, False), (-600, True)], ids=["valid", "expired"])
def test_a_client_that_connected_before_the_server_stopped(
    tmux_server: TmuxServer, terminal: TmuxTerminal, session: Session, listed: int, lives: bool
) -> None:
    """Its line waits in the buffer of the socket, and runs when the server continues."""
    line = kill_line(guard_of(session), Expiry(time_of_server(terminal) + listed, 600)).encode()
    reader, writer = os.pipe()
    command = ["tmux", "-u", "-S", tmux_server.path, "source-file", "-"]
    with subprocess.Popen(command, stdin=reader, stdout=subprocess.DEVNULL) as client:
        os.write(writer, b"# the client reads this once the server has asked it to\n")
        wait_until(lambda: unread(reader) == 0)
        tmux_server.stop()
        os.write(writer, line)
        os.close(writer)
        wait_until(lambda: unread(reader) == 0)
        tmux_server.resume()
        assert client.wait(60) == 0
    os.close(reader)
    assert (session.key.session_id in tmux_server.session_ids()) is lives


def unread(pipe: int) -> int:
    """The number of bytes that nobody has read from the pipe."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"0000"))[0]
