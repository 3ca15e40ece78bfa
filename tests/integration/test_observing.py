"""One look at several sockets of real tmux servers."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.memory.registry import MemoryHost, MemoryRegistry
from tests.tools.tmux import TmuxServer
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.sweep.observe import Observation, observe
from workspace_reaper.sweep.own_options import OwnOptions
from workspace_reaper.tmux.terminal import TmuxTerminal

REGISTRY = MemoryRegistry(MemoryHost())

TOO_LONG = "/tmp/" + "x" * 200
"""A path that no socket can have: tmux errs."""


def looked(*sockets: str, only: set[str] | None = None) -> Observation:
    names = SessionMatcher(dict.fromkeys(sockets, ("ws_(?P<id>.+)",)), lambda text: text)
    terminals = [TmuxTerminal(socket) for socket in sockets]
    return observe(terminals, names, "5ca1ab1e", only, OwnOptions(), tuple, registry=REGISTRY)


def test_a_socket_that_does_not_answer_loses_no_other(tmux_server: TmuxServer) -> None:
    session_id = tmux_server.new_session("ws_w1")
    seen = looked(TOO_LONG, tmux_server.path)
    assert [(session.key.session_id, workspace) for session, workspace in seen.sessions] == [(session_id, "w1")]
    (unknown,) = seen.unknown
    assert isinstance(unknown, Unknown)
    assert (unknown.socket, seen.everything) == (TOO_LONG, False)
    assert seen.clear.keys() == {tmux_server.path}


def test_a_narrow_look_is_narrow_on_each_socket(tmux_servers: Callable[[], TmuxServer]) -> None:
    here, there = tmux_servers(), tmux_servers()
    here.new_session("ws_w1")
    asked_for = {(server.path, server.new_session("ws_w2")) for server in (here, there)}
    seen = looked(here.path, there.path, only={"w2"})
    assert {(session.key.socket, session.key.session_id) for session, _ in seen.sessions} == asked_for
    assert {workspace for _, workspace in seen.sessions} == {"w2"}
