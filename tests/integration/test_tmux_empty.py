"""When there is certainly no session on a socket, and when that can't be known: with real sockets and servers."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tools.front_tmux import FrontTmux
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.model.session import Listing
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.tmux import server
from workspace_reaper.tmux.sockets import socket_path
from workspace_reaper.tmux.terminal import TmuxTerminal

STAMP = "0123abcd"
NOBODY = 65534
both = pytest.mark.parametrize("panes", [True, False], ids=["panes", "sessions"])


def observe(path: str, *, panes: bool = True, limit: float = 5.0) -> Listing | Unknown:
    return TmuxTerminal(path, limit=limit).observe(STAMP, panes=panes)


def is_asked(path: str) -> bool:
    """A client has connected to the socket, and the server has not taken it in yet. Before that, a server's end is no end of an
    answer."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return any(line.endswith(f" {path}") and line.split()[5] == "02" for line in lines)


def reason(answer: Listing | Unknown) -> str:
    assert isinstance(answer, Unknown), answer
    assert answer.source is Source.SOCKET
    assert answer.socket is not None
    return answer.reason


@both
def test_no_socket(short_tmp: Path, panes: bool) -> None:
    path = f"{short_tmp}/s"
    assert observe(path, panes=panes) == Listing(path, (), answered=False)


@both
def test_a_server_that_ended(tmux_server: TmuxServer, panes: bool) -> None:
    tmux_server.new_session("work")
    tmux_server.kill_hard()  # it leaves its socket behind
    wait_until(lambda: isinstance(observe(tmux_server.path), Listing))  # a pane's process has it open until its exec
    assert observe(tmux_server.path, panes=panes) == Listing(tmux_server.path, (), answered=False)


@both
def test_a_server_without_a_session(tmux_server: TmuxServer, panes: bool) -> None:
    session_id = tmux_server.new_session("work")
    tmux_server.run("set-option", "-s", "exit-empty", "off", ";", "kill-session", "-t", session_id)
    answer = observe(tmux_server.path, panes=panes)
    assert isinstance(answer, Listing)
    assert (answer.sessions, answer.unreadable, answer.answered) == ((), (), True)
    assert answer.server is not None
    assert answer.server.pid == tmux_server.pid


def test_no_tmux_since_boot(short_tmp: Path) -> None:
    path = socket_path("work", {"TMUX_TMPDIR": str(short_tmp)})
    assert observe(path) == Listing(path, (), answered=False)
    assert list(short_tmp.iterdir()) == []


@both
def test_a_plain_file(short_tmp: Path, panes: bool) -> None:
    (short_tmp / "s").touch()
    assert "no server running" in reason(observe(f"{short_tmp}/s", panes=panes))


def test_a_directory_that_does_not_exist(short_tmp: Path) -> None:
    assert "Create the directory of the socket" in reason(observe(f"{short_tmp}/nowhere/s"))


def test_a_directory_that_is_none(short_tmp: Path) -> None:
    (short_tmp / "file").touch()
    assert "Not a directory" in reason(observe(f"{short_tmp}/file/s"))


def test_a_path_that_is_too_long(short_tmp: Path) -> None:
    assert "File name too long" in reason(observe(f"{short_tmp}/{'x' * 150}"))


def test_a_dangling_link(short_tmp: Path) -> None:
    (short_tmp / "s").symlink_to(short_tmp / "nowhere")
    reason(observe(f"{short_tmp}/s"))


def test_another_users_socket_is_not_even_connected_to(short_tmp: Path, front_tmux: FrontTmux) -> None:
    (short_tmp / "s").touch()
    path = "/"
    if os.getuid() == 0:
        path = f"{short_tmp}/s"
        os.chown(path, NOBODY, -1)
    assert "Run it as that user" in reason(observe(path))
    assert front_tmux.calls() == []


def as_nobody(function: Callable[[], object]) -> object:
    """What ``function`` returns in a process of the user nobody, who may do nothing here; ours, if we are not root."""
    if os.getuid() != 0:
        return function()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os.write(writing, pickle.dumps(function()))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return pickle.loads(answer)


@both
def test_a_directory_without_permission(short_tmp: Path, panes: bool) -> None:
    assert server  # imported before we become nobody, who may not read it
    directory = short_tmp / "d"
    directory.mkdir(mode=0o000)
    try:
        answer = as_nobody(lambda: observe(f"{directory}/s", panes=panes))
    finally:
        directory.chmod(0o700)
    assert isinstance(answer, Unknown)
    assert "Permission denied" in answer.reason
    assert "as the user that owns" in answer.reason


def test_the_directory_of_an_absent_socket_must_be_readable(short_tmp: Path) -> None:
    (short_tmp / "d").mkdir(mode=0o711)
    if os.getuid() == 0:
        os.chown(short_tmp / "d", NOBODY, -1)
        short_tmp.chmod(0o755)
        assert as_nobody(lambda: observe(f"{short_tmp}/d/s")) == Listing(f"{short_tmp}/d/s", (), answered=False)
    (short_tmp / "d").chmod(0o311)
    assert isinstance(as_nobody(lambda: observe(f"{short_tmp}/d/s")), Unknown)


def test_an_unlinked_socket_looks_absent_and_says_that_nobody_answered(tmux_server: TmuxServer) -> None:
    tmux_server.new_session("work")
    Path(tmux_server.path).unlink()
    answer = observe(tmux_server.path)
    assert isinstance(answer, Listing)
    assert not answer.answered
    assert tmux_server.is_alive()


@both
def test_a_stopped_server(tmux_server: TmuxServer, panes: bool) -> None:
    tmux_server.new_session("work")
    tmux_server.stop()
    why = reason(observe(tmux_server.path, panes=panes, limit=0.5))
    assert why.startswith(f"{tmux_server.path}: tmux did not answer within 0.5 s")
    tmux_server.resume()
    assert isinstance(observe(tmux_server.path, panes=panes), Listing)


def test_a_server_that_dies_while_it_is_asked(tmux_server: TmuxServer) -> None:
    tmux_server.new_session("work")
    tmux_server.stop()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(observe, tmux_server.path, limit=60)
        wait_until(lambda: is_asked(tmux_server.path))
        tmux_server.kill_hard()
        reason(asked.result())


def test_no_tmux_at_all(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(short_tmp))
    assert "install tmux" in reason(observe(f"{short_tmp}/s"))
