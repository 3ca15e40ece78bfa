"""A recheck asks for few sessions."""

from __future__ import annotations

import pytest

from tests.tools.tmux import TmuxServer
from workspace_reaper.model.session import Listing
from workspace_reaper.tmux.terminal import TmuxTerminal

STAMP = "ab"


def listed(terminal: TmuxTerminal, *only: str, panes: bool = True) -> dict[str, int]:
    listing = terminal.observe(STAMP, panes=panes, only=only)
    assert isinstance(listing, Listing), listing
    return {session.key.session_id: len(session.panes) for session in listing.sessions}


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
