"""Listings of real tmux servers: complete, in any locale, whatever the names are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.front_tmux import FrontTmux
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.model.session import Listing, Owner, Server, Session
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.tmux.terminal import TmuxTerminal

STAMP = "0123abcd"
NAMES = [
    "vk_" + "0" * 32,
    "sp ace",
    "a:b.c",
    "ünï☃ \u2028 name",
    "#{pid}",
    "#(touch by-hash)",
    "$(touch by-dollar)",
    "`touch by-tick`",
    "'; touch by-quote; '",
    "100%H",
    "=eq",
    "-dash",
    "*",
    "$0",
    "~",
]


def observe(server: TmuxServer, *, panes: bool = True, stamp: str = STAMP) -> Listing:
    listing = TmuxTerminal(server.path).observe(stamp, panes=panes)
    assert isinstance(listing, Listing), listing
    return listing


def only(server: TmuxServer) -> Session:
    (session,) = observe(server).sessions
    return session


@pytest.fixture
def session_id(tmux_server: TmuxServer) -> str:
    return tmux_server.new_session("work")


def test_a_listing_tells_what_tmux_tells(tmux_server: TmuxServer, session_id: str) -> None:
    listing = observe(tmux_server)
    (session,) = listing.sessions
    pid, start, created, activity, version, window, pane, pane_pid = tmux_server.show(
        session_id,
        "#{pid} #{start_time} #{session_created} #{session_activity} #{version} #{window_id} #{pane_id} #{pane_pid}",
    ).split(" ")
    assert (listing.server, listing.answered, listing.unreadable) == (Server(int(pid), int(start), version), True, ())
    assert (session.key.socket, session.key.server_pid, session.key.server_start) == (tmux_server.path, int(pid), int(start))
    assert (session.key.session_id, session.key.created, session.name) == (session_id, int(created), "work")
    assert (session.activity, session.last_attached, session.attached) == (int(activity), None, 0)
    assert [(it.window_id, it.linked) for it in session.windows] == [(window, False)]
    assert [(it.pane_id, it.window_id, it.pid, it.dead) for it in session.panes] == [(pane, window, int(pane_pid), False)]
    assert (session.is_attached, session.grouped, session.kept, session.all_panes_dead) == (False,) * 4


@pytest.mark.parametrize("panes", [True, False])
def test_every_window_and_pane_is_listed(tmux_server: TmuxServer, session_id: str, panes: bool) -> None:
    tmux_server.run("split-window", "-d", "-t", f"{session_id}:", "exec sleep 100000")
    tmux_server.run("new-window", "-d", "-t", f"{session_id}:", "exec sleep 100000")
    (session,) = observe(tmux_server, panes=panes).sessions
    assert len(session.windows) == 2
    assert len(session.panes) == (3 if panes else 0)


def test_names_round_trip_and_run_nothing(tmux_server: TmuxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    by_id = {tmux_server.new_session(name): name for name in NAMES}
    for panes in (True, False):
        listed = {session.key.session_id: session.name for session in observe(tmux_server, panes=panes).sessions}
        assert listed.keys() == by_id.keys()
        for session_id, name in by_id.items():
            assert listed[session_id] in (
                name,
                name.replace(":", "_").replace(".", "_"),
                name.replace("\u2028", "\\342\\200\\250"),
            )
    assert list(tmp_path.iterdir()) == []


def test_the_same_sessions_without_any_locale(tmux_server: TmuxServer) -> None:
    for name in NAMES:
        tmux_server.new_session(name)
    script = (
        "import json, sys; from workspace_reaper.tmux.terminal import TmuxTerminal; "
        f"print(json.dumps([s.name for s in TmuxTerminal(sys.argv[1]).observe({STAMP!r}).sessions]))"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", script, tmux_server.path],
        env=environment | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == [session.name for session in observe(tmux_server).sessions]
    assert len(json.loads(done.stdout)) == len(NAMES)


def test_whose_stamp_it_carries(tmux_server: TmuxServer) -> None:
    stamps = {"none": Owner.NONE, "ours": Owner.OURS, "foreign": Owner.FOREIGN, "odd": Owner.FOREIGN}
    for name in stamps:
        tmux_server.new_session(name)
    ids = {session.name: session.key.session_id for session in observe(tmux_server).sessions}
    tmux_server.set_option(ids["ours"], "@workspace_owner", STAMP)
    tmux_server.set_option(ids["foreign"], "@workspace_owner", "ffff")
    tmux_server.set_option(ids["odd"], "@workspace_owner", "a\tb\nc,}#{pid}")
    assert {session.name: session.owner for session in observe(tmux_server).sessions} == stamps


@pytest.mark.parametrize("value", ["1", "0", "a\tb\nc,}#{pid}"])
def test_a_kept_session(tmux_server: TmuxServer, session_id: str, value: str) -> None:
    tmux_server.set_option(session_id, "@reaper_keep", value)
    assert only(tmux_server).kept


def test_a_client_is_seen_while_it_is_there(tmux_server: TmuxServer, session_id: str) -> None:
    client = tmux_server.attach(session_id)
    session = only(tmux_server)
    assert (session.attached, session.has_client, session.group_has_client, session.is_attached) == (1, True, False, True)
    assert session.last_attached is not None
    client.detach()
    session = only(tmux_server)
    assert (session.attached, session.has_client, session.is_attached) == (0, False, False)
    assert session.last_attached is not None


@pytest.mark.parametrize("do", ["suspend", "lock"])
def test_a_suspended_or_locked_client_is_still_there(tmux_server: TmuxServer, session_id: str, do: str) -> None:
    client = tmux_server.attach(session_id)
    getattr(client, do)()
    session = only(tmux_server)
    assert (session.attached, session.has_client, session.is_attached) == (0, True, True)
    client.kill()
    assert not only(tmux_server).is_attached


def test_a_client_of_a_group_peer(tmux_server: TmuxServer, session_id: str) -> None:
    peer = tmux_server.run("new-session", "-d", "-P", "-F", "#{session_id}", "-t", f"{session_id}:", "-s", "peer")
    tmux_server.attach(peer)
    sessions = {session.key.session_id: session for session in observe(tmux_server).sessions}
    base = sessions[session_id]
    assert (base.grouped, base.attached, base.has_client, base.group_has_client, base.is_attached) == (
        True,
        0,
        False,
        True,
        True,
    )
    assert {pane.pane_id for pane in base.panes} == {pane.pane_id for pane in sessions[peer].panes}


def test_a_linked_window(tmux_server: TmuxServer, session_id: str) -> None:
    other = tmux_server.new_session("other")
    tmux_server.run("link-window", "-d", "-s", f"{session_id}:", "-t", f"{other}:")
    assert [[window.linked for window in session.windows] for session in observe(tmux_server).sessions] == [
        [False, True],
        [True],
    ]


def test_a_dead_pane(tmux_server: TmuxServer, session_id: str) -> None:
    tmux_server.run("set-option", "-g", "remain-on-exit", "on")
    dead = tmux_server.new_session("dead", "exit 3")
    wait_until(lambda: tmux_server.show(dead, "#{pane_dead}") == "1")
    sessions = {session.key.session_id: session for session in observe(tmux_server).sessions}
    assert sessions[dead].all_panes_dead
    assert [pane.dead for pane in sessions[dead].panes] == [True]
    assert not sessions[session_id].all_panes_dead
    tmux_server.run("split-window", "-d", "-t", f"{dead}:", "exec sleep 100000")
    assert not {session.key.session_id: session for session in observe(tmux_server).sessions}[dead].all_panes_dead


def test_a_program_that_writes_in_another_window_moves_its_clock(tmux_server: TmuxServer, session_id: str) -> None:
    window = tmux_server.run("new-window", "-d", "-P", "-F", "#{window_id}", "-t", f"{session_id}:", "exec cat")
    before = {it.window_id: it.activity for it in only(tmux_server).windows}

    def moved() -> bool:
        tmux_server.run("send-keys", "-t", f"{session_id}:{window}", "x", "Enter")
        return {it.window_id: it.activity for it in only(tmux_server).windows}[window] > before[window]

    wait_until(moved)
    session = only(tmux_server)
    assert session.last_activity > session.activity


def test_one_invocation_and_no_word_of_ours_in_it(tmux_server: TmuxServer, front_tmux: FrontTmux) -> None:
    tmux_server.new_session("work")
    terminal = TmuxTerminal(tmux_server.path)
    assert terminal.socket == tmux_server.path
    for panes in (True, False):
        assert isinstance(terminal.observe(STAMP, panes=panes), Listing)
    assert len(front_tmux.calls()) == 2
    assert all(call[:3] == ["-u", "-S", tmux_server.path] for call in front_tmux.calls())


def test_a_bad_stamp_is_refused(tmux_server: TmuxServer) -> None:
    with pytest.raises(ValueError, match="is not an owner id"):
        TmuxTerminal(tmux_server.path).observe("}#{pid}")


def test_our_own_tmux_is_not_asked(tmux_servers: Callable[[], TmuxServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the reaper, or this suite, runs in a pane: TMUX names another server (I27)."""
    decoy, server = tmux_servers(), tmux_servers()
    mine = decoy.new_session("mine")
    monkeypatch.setenv("TMUX", f"{decoy.path},{decoy.pid},0")
    monkeypatch.setenv("TMUX_PANE", "%0")
    server.new_session("work")
    assert only(server).name == "work"
    server.close()
    assert decoy.session_ids() == {mine}
    assert not isinstance(TmuxTerminal(decoy.path).observe(STAMP), Unknown)
