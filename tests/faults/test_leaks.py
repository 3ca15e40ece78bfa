"""What others leaked, or ended by mistake when they tried not to: ports, other systems, sessions that nobody wrote down."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.tools.cast import LISTEN, STUBBORN, Cast
from tests.tools.tmux import FOREVER
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes
from workspace_reaper.processes.portable import PortableReader
from workspace_reaper.processes.processes import SystemProcesses

pytestmark = pytest.mark.once

Worlds = Callable[..., World]

CONNECT = """
connection = socket.create_connection(("127.0.0.1", int(open(f"{here}/port").read())))
"""


@pytest.fixture
def world(worlds: Worlds) -> World:
    made = worlds(kill_grace=0.5)
    made.server.new_session("beside")
    return made


def test_i29_who_is_connected_to_a_port_of_the_session_is_none_of_it(world: World, cast: Cast, worktree: Path) -> None:
    """ "Free the port" killed the browser: a list of those who use a port has its clients too."""
    archived = world.workspace(archived=True, worktree=str(worktree))
    world.session(archived, command=f"cd {worktree}; {cast.escaping('server', LISTEN)}; {FOREVER}")
    server, port = cast.escaped("server"), cast.said("port")
    world.server.new_session("browser", f"exec {cast.command('client', CONNECT)}")
    client = cast.process("client")

    report = world.sweep()

    assert outcomes(report) == {archived: "reaped"}
    told = world.entry(report, archived).cleanup
    assert told is not None
    assert told.freed_ports == (f"tcp {port}",)
    assert server.pid in {one.pid for one in told.ended}
    assert not cast.lives(server)
    assert cast.lives(client)
    socket.create_server(("127.0.0.1", int(port)), reuse_port=False).close()


def test_i52_without_anything_that_only_linux_has(world: World, cast: Cast, worktree: Path) -> None:
    """It did nothing on macOS, and waited for it each time. The processes are read by what other systems have as well."""
    reaper = world.plugin.reaper()
    reaper.dependencies = replace(reaper.dependencies, processes=SystemProcesses({}, PortableReader()))
    archived = world.workspace(archived=True, worktree=str(worktree))
    world.session(archived, command=f"cd {worktree}; {cast.escaping('stubborn', STUBBORN)}; {FOREVER}")
    stubborn = cast.escaped("stubborn")

    report = world.sweep()

    told = world.entry(report, archived).cleanup
    assert told is not None
    assert {one.pid: one.signal for one in told.ended}[stubborn.pid] == "KILL"
    assert not cast.lives(stubborn)


def test_i54_a_session_that_a_crash_left_without_a_row_is_reaped_once_it_is_idle(worlds: Worlds) -> None:
    """66 sessions held 16.4 GB in three days: the host ended between making the session and writing its row."""
    world = worlds(stranger_ttl=2, confirmation_gap=0)
    never_written = world.host.new_id(4711)
    session_id = world.session(never_written)
    pane = psutil.Process(int(world.server.show(session_id, "#{pane_pid}")))
    known = world.workspaces(1)[0]

    assert set(outcomes(world.sweep()).values()) == {"none"}, "never in the first sweep"
    latest = int(world.server.show(session_id, "#{window_activity}"))
    wait_until(lambda: time.time() > latest + 2)
    report = world.sweep()

    assert outcomes(report) == {never_written: "reaped", known: "none"}
    wait_until(lambda: not pane.is_running())
