"""A recheck asks for few sessions, and the client of the kill that follows is started ahead."""

from __future__ import annotations

import os

import psutil
import pytest
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until

from workspace_reaper.model.session import Listing
from workspace_reaper.model.verdict import Guard, KillResult
from workspace_reaper.tmux import TmuxTerminal

STAMP = "ab"


def listed(terminal: TmuxTerminal, *only: str, panes: bool = True) -> dict[str, int]:
    listing = terminal.observe(STAMP, panes=panes, only=only)
    assert isinstance(listing, Listing), listing
    return {session.key.session_id: len(session.panes) for session in listing.sessions}


def children() -> set[int]:
    return {child.pid for child in psutil.Process(os.getpid()).children() if child.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.parametrize("panes", [True, False], ids=["with panes", "without panes"])
def test_only_what_is_asked_for_is_listed(tmux_server: TmuxServer, panes: bool) -> None:
    ids = tmux_server.new_sessions([f"s{number}" for number in range(12)])
    terminal = TmuxTerminal(tmux_server.path)
    assert listed(terminal, ids[9], ids[11], panes=panes).keys() == set(ids[9:])
    assert listed(terminal, ids[2], panes=panes).keys() == {ids[2]}
    assert listed(terminal, panes=panes).keys() == set(ids)


def test_what_is_asked_for_and_gone_is_missing_in_a_valid_answer(tmux_server: TmuxServer) -> None:
    ids = tmux_server.new_sessions(["a", "b", "c"])
    terminal = TmuxTerminal(tmux_server.path)
    tmux_server.run("kill-session", "-t", ids[1])
    assert listed(terminal, ids[1]) == {}
    assert listed(terminal, "$99") == {}


@pytest.mark.parametrize("odd", ["name", "$", "$1:", "$1} kill-server"])
def test_only_ids_narrow_a_listing(tmux_server: TmuxServer, odd: str) -> None:
    with pytest.raises(ValueError, match="invalid session ids"):
        TmuxTerminal(tmux_server.path).observe(STAMP, only=[odd])


def test_a_client_that_was_started_ahead_kills_what_it_is_told_then(tmux_server: TmuxServer) -> None:
    ids = tmux_server.new_sessions(["a", "b"])
    terminal = TmuxTerminal(tmux_server.path)
    listing = terminal.observe(STAMP)
    assert isinstance(listing, Listing)
    keys = {session.key.session_id: session.key for session in listing.sessions}
    terminal.get_ready()
    guard = Guard(keys[ids[0]], activity=None, unattached=False, quiet_since=None, all_panes_dead=False)
    assert terminal.kill([guard]).answers == {ids[0]: KillResult.KILLED}
    assert tmux_server.session_ids() == {ids[1]}


def test_a_client_that_is_not_needed_is_ended_and_nothing_is_done(tmux_server: TmuxServer) -> None:
    ids = tmux_server.new_sessions(["a"])
    terminal = TmuxTerminal(tmux_server.path)
    before = children()
    terminal.get_ready()
    (ahead,) = children() - before
    terminal.get_ready()
    assert children() - before == {ahead}, "one is enough"
    terminal.stand_down()
    terminal.stand_down()
    assert children() == before
    assert tmux_server.session_ids() == set(ids)


def test_a_client_that_died_while_it_waited_is_replaced(tmux_server: TmuxServer) -> None:
    tmux_server.new_sessions(["a"])
    terminal = TmuxTerminal(tmux_server.path)
    before = children()
    terminal.get_ready()
    (ahead,) = children() - before
    psutil.Process(ahead).kill()
    wait_until(lambda: ahead not in children())
    listing = terminal.observe(STAMP)
    assert isinstance(listing, Listing)
    guard = Guard(listing.sessions[0].key, activity=None, unattached=False, quiet_since=None, all_panes_dead=False)
    assert list(terminal.kill([guard]).answers.values()) == [KillResult.KILLED]
    assert children() == before
