"""The subclass of libtmux's server: libtmux's own methods work on it, with a time limit, and report every failure."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import libtmux
import pytest
from libtmux.common import tmux_cmd

from tests.tools.front_tmux import FrontTmux
from tests.tools.tmux import TmuxServer
from workspace_reaper.tmux.server import ReaperServer, TmuxCommand


@pytest.fixture
def server(tmux_server: TmuxServer) -> ReaperServer:
    tmux_server.new_session("work")
    return ReaperServer(tmux_server.path)


def test_a_command_is_a_libtmux_command(server: ReaperServer) -> None:
    command = server.cmd("list-sessions", "-F", "#{session_name}\t#{session_attached}")
    assert isinstance(server, libtmux.Server)
    assert isinstance(command, tmux_cmd)
    assert (command.stdout, command.stderr, command.returncode) == (["work\t0"], [], 0)
    assert command.cmd[1:4] == ["-u", "-S", str(server.socket_path)]
    assert command.completed.stdout == "work\t0\n"


def test_a_target_and_several_commands(server: ReaperServer) -> None:
    command = server.cmd("display-message", "-p", "#{session_name}", ";", "display-message", "-p", 2, target="$0:")
    assert command.stdout == ["work", "2"]


def test_standard_input(server: ReaperServer) -> None:
    assert server.cmd("source-file", "-", stdin="display-message -p one\ndisplay-message -p two\n").stdout == ["one", "two"]


def test_the_methods_that_the_module_calls_safe_run_through_cmd(server: ReaperServer, front_tmux: FrontTmux) -> None:
    assert server.is_alive()
    assert server.has_session("work")
    assert not server.has_session("wor")
    server.set_option("@colour", "red")
    assert server.show_option("@colour") == "red"
    session = libtmux.Session(server=server, session_id="$0")
    session.set_option("@colour", "blue")
    assert session.show_option("@colour") == "blue"
    session.set_environment("COLOUR", "blue")
    pane = libtmux.Pane(server=server, pane_id="%0", session_id="$0")
    pane.send_keys("true")
    assert pane.display_message("#{pane_id}", get_text=True) == ["%0"]
    assert isinstance(pane.capture_pane(), list)
    server.kill_session("$0")
    calls = front_tmux.calls()
    assert all(call[:1] == ["-u"] for call in calls), "one ran around cmd: libtmux itself never passes -u"
    assert len(calls) >= 12


def test_a_failure_is_reported_in_stderr(tmux_server: TmuxServer) -> None:
    tmux_server.new_session("work")
    tmux_server.stop()
    command = ReaperServer(tmux_server.path, limit=0.3).cmd("list-sessions")
    assert command.completed.failure is not None
    assert command.stderr == [command.completed.failure]
    assert command.returncode != 0
    assert not command.stdout


def test_a_missing_tmux_raises_nothing(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(short_tmp))
    command = ReaperServer(f"{short_tmp}/s").cmd("list-sessions")
    assert command.returncode == 127
    assert "install tmux" in command.stderr[0]


def test_output_is_not_logged(server: ReaperServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        command = server.cmd("display-message", "-p", "se#{l:cret}")
    assert command.stdout == ["secret"]
    assert "secret" not in caplog.text


def test_importing_the_adapter_does_not_import_libtmux() -> None:
    script = "import sys, workspace_reaper.tmux; sys.exit('libtmux' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": ":".join(filter(None, sys.path))}, check=True)


def test_the_command_type_is_a_subclass_of_libtmuxs() -> None:
    assert issubclass(TmuxCommand, tmux_cmd)
