"""A process that somebody else depends on is left alone, although it came from the session that was reaped."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_reaper.operations.status import read_history
from workspace_reaper.sweep import recheck, sweep

Worlds = Callable[..., World]
PATIENCE = 60

RUNNER = """
import json, os, pathlib, subprocess, sys, time
os.setsid()
if os.fork():
    os._exit(0)
here = pathlib.Path(sys.argv[1])
(here / "runner.pid").write_text(str(os.getpid()))
while True:
    for order in here.glob("*.order"):
        told = json.loads(order.read_text())
        order.unlink()
        child = subprocess.Popen(told["argv"], env=told["env"], cwd=told["cwd"])
        (here / "child.pid").write_text(str(child.pid))
    time.sleep(0.05)
"""
"""A process manager: the first who needs it starts it, and it runs the programs of all, with their environment."""

CLIENT = """
import json, os, pathlib, sys, time
here = pathlib.Path(sys.argv[1])
order = {"argv": ["sleep", "100000"], "env": dict(os.environ), "cwd": os.getcwd()}
(here / "new").write_text(json.dumps(order))
(here / "new").rename(here / "1.order")
time.sleep(100000)
"""


def pid_in(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text(), PATIENCE)
    return int(path.read_text())


def is_running(pid: int) -> bool:
    """Whether the process is there and has not ended: one whose parent does not wait for it stays as a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(*pids: int) -> None:
    for pid in filter(is_running, pids):
        psutil.Process(pid).kill()


def python(code: str, *arguments: object) -> str:
    return shlex.join([sys.executable, "-c", code, *map(str, arguments)])


@pytest.mark.parametrize("survivors", ["worktree", "all"])
def test_i73_a_runner_with_a_child_of_a_living_session_lives(worlds: Worlds, tmp_path: Path, survivors: str) -> None:
    """Archiving one workspace ends another's live program."""
    world = worlds(kill_grace=0.5, survivors=survivors)
    here = tmp_path / "here"
    here.mkdir()
    first, second = world.workspace(worktree=str(here)), world.workspace(worktree=str(tmp_path))
    world.session(first, command=f"cd {shlex.quote(str(here))}; {python(RUNNER, here)}; exec cat")
    runner = pid_in(here / "runner.pid")
    world.session(second, command=python(CLIENT, here))
    child = pid_in(here / "child.pid")
    try:
        world.sweep()
        world.host.archive(first)
        report = world.sweep()
        assert world.entry(report, first).outcome == "reaped"
        assert (is_running(runner), is_running(child)) == (True, True)
        cleanup = world.entry(report, first).cleanup
        assert cleanup is not None
        assert {one.pid: one.why for one in cleanup.survivors} == {runner: "a process of a living session runs in it"}
    finally:
        end(runner, child)


def by_sweep(world: World, _workspace_id: str) -> None:
    world.sweep()


def by_hook(world: World, workspace_id: str) -> None:
    """A look at this workspace alone."""
    world.plugin.on_workspace_archived(workspace_id)
    assert world.plugin.drain(PATIENCE)


def by_crash(world: World, _workspace_id: str) -> None:
    """The session is killed, and the next sweep does the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "conclude", interrupt)
        with pytest.raises(KeyboardInterrupt):
            world.sweep()
    world.sweep()


@pytest.mark.parametrize("how", ["running", "detached", "attached"])
def test_after_a_crash_what_the_user_of_an_ended_session_still_uses_lives(worlds: Worlds, tmp_path: Path, how: str) -> None:
    """The reaper crashed before the kill, and the user ended the session."""
    world, here = worlds(kill_grace=0.5, snapshots=False), tmp_path / "worktree"
    here.mkdir()
    workspace = world.workspace(worktree=str(here))
    started = f"setsid -f sh -c 'echo $$ > {tmp_path}/pid; exec sleep 100000'"
    session = world.session(workspace, command=f"cd {here}; {started}; exec cat")
    world.session(world.workspace())
    server = pid_in(tmp_path / "pid")
    try:
        world.sweep()
        world.host.archive(workspace)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recheck.Recheck, "guards", interrupt)
            with pytest.raises(KeyboardInterrupt):
                world.sweep()
        assert world.lives(workspace)
        world.server.run("kill-session", "-t", session)
        if how == "running":
            world.host.run(workspace)
        else:
            new = world.session(workspace)
            if how == "attached":
                world.server.attach(new)
        world.sweep()
        assert is_running(server)
        [why] = [one.why for one in read_history(world.plugin.reaper(), 9)[-1].cleanup.survivors if one.pid == server]
        assert why.startswith("the reaper was interrupted, and ")
    finally:
        end(server)


def interrupt(*_arguments: object) -> None:
    raise KeyboardInterrupt


HOW: dict[str, Callable[[World, str], object]] = {"hook": by_hook, "crash": by_crash}


@pytest.mark.parametrize("by", ["sweep", "hook", "crash", "another socket", "nested"])
def test_i73_what_works_in_the_directory_of_another_workspace_lives(worlds: Worlds, tmp_path: Path, by: str) -> None:
    world = worlds(kill_grace=0.5, survivors="all", servers=2)
    one = tmp_path / "one"
    other = one / "nested" if by == "nested" else tmp_path / "other"
    other.mkdir(parents=True)
    one.mkdir(exist_ok=True)
    first, second = world.workspace(worktree=str(one)), world.workspace(worktree=str(other))
    note = tmp_path / "pid"
    world.session(
        first, command=f"cd {shlex.quote(str(other))}; setsid -f sh -c 'echo $$ > {note}; exec sleep 100000'; exec cat"
    )
    world.session(second, server=world.servers[by == "another socket"])
    server = pid_in(note)
    try:
        world.sweep()
        world.host.archive(first)
        HOW.get(by, by_sweep)(world, first)
        assert is_running(server)
        [reap] = read_history(world.plugin.reaper(), 9)
        assert {one.pid: one.why for one in reap.cleanup.survivors} == {
            server: f"it works in the directory of the workspace {second}"
        }
    finally:
        end(server)


MASTER = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(15, b"ssh")
os.setsid()
if os.fork():
    os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(100000)
"""


def test_i74_the_master_of_shared_connections_lives(worlds: Worlds, tmp_path: Path) -> None:
    """An ssh master that other terminals use is ended."""
    world = worlds(kill_grace=0.5, survivors="all")
    first, second = world.workspace(), world.workspace()
    note = tmp_path / "pid"
    program = shlex.join([sys.executable, "-c", MASTER, str(note), "[mux]"])
    world.session(first, command=f"{program}; exec cat")
    world.session(second)
    master = pid_in(note)
    try:
        world.sweep()
        world.host.archive(first)
        cleanup = world.entry(world.sweep(), first).cleanup
        assert is_running(master)
        assert cleanup is not None
        assert {one.pid: one.why for one in cleanup.survivors} == {master: "other terminals may use its connection"}
    finally:
        end(master)


SERVER = """
import os, pty, socket, sys, time
here = sys.argv[1]
os.setsid()
if os.fork():
    os._exit(0)
opened = [pty.openpty()] if "terminals" in sys.argv else []
if "files" in sys.argv:
    opened.append(os.open("/dev/fuse", os.O_RDWR))
listening = socket.socket(socket.AF_UNIX)
listening.bind(here + "/socket")
listening.listen()
open(here + "/server.new", "w").write(str(os.getpid()))
os.rename(here + "/server.new", here + "/server.pid")
while True:
    opened.append(listening.accept())
"""
"""A server for all, whatever it is called: a language server, a multiplexer, a file system."""

SERVER_ALONE = [sys.executable, "-c", SERVER.replace("os.setsid()", "").replace("if os.fork():", "if False:")]
"""The same as a child of what has started it."""

CLIENT_OF_SERVER = """
import os, socket, sys, time
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1] + "/socket")
open(sys.argv[1] + "/client.new", "w").write(str(os.getpid()))
os.rename(sys.argv[1] + "/client.new", sys.argv[1] + "/client.pid")
time.sleep(100000)
"""


def server_of(world: World, workspace_id: str, here: Path, *what: str) -> int:
    """A session of the workspace that leaves a server behind; the server's pid."""
    world.session(workspace_id, command=f"{python(SERVER, here, *what)}; exec cat")
    return pid_in(here / "server.pid")


def reaped(world: World, workspace_id: str) -> dict[int, str]:
    """What is left of the workspace's session when it is reaped, and why."""
    world.sweep()
    world.host.archive(workspace_id)
    cleanup = world.entry(world.sweep(), workspace_id).cleanup
    assert cleanup is not None
    return {one.pid: one.why for one in cleanup.survivors}


def test_i74_a_server_that_a_process_elsewhere_is_connected_to_lives(worlds: Worlds, tmp_path: Path) -> None:
    world = worlds(kill_grace=0.5, survivors="all")
    first, second = world.workspace(), world.workspace()
    server = server_of(world, first, tmp_path)
    world.session(second, command=python(CLIENT_OF_SERVER, tmp_path))
    client = pid_in(tmp_path / "client.pid")
    try:
        left = reaped(world, first)
        assert is_running(server)
        assert left[server].startswith(f"the process {client} (")
    finally:
        end(server)


def test_a_server_without_a_client_elsewhere_is_ended(worlds: Worlds, tmp_path: Path) -> None:
    """Its own session's client is none, and ends with it."""
    world = worlds(kill_grace=0.5, survivors="all")
    first, second = world.workspace(), world.workspace()
    client = python(CLIENT_OF_SERVER, tmp_path)
    world.session(first, command=f"{python(SERVER, tmp_path)}; while ! {client}; do :; done; exec cat")
    server = pid_in(tmp_path / "server.pid")
    pid_in(tmp_path / "client.pid")
    world.session(second)
    assert reaped(world, first) == {}
    wait_until(lambda: not is_running(server), PATIENCE)


FORKING = """
import os, signal, socket, sys, time
here, children = sys.argv[1], []
def asked(*_):
    for child in children:
        os.kill(child, signal.SIGTERM)
    os._exit(0)
def note(name):
    open(here + "/" + name + ".new", "w").write(str(os.getpid()))
    os.rename(here + "/" + name + ".new", here + "/" + name)
os.setsid()
if os.fork():
    os._exit(0)
signal.signal(signal.SIGTERM, asked)
listening = socket.socket(socket.AF_UNIX)
listening.bind(here + "/socket")
listening.listen()
children.append(os.fork())
if not children[-1]:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    listening.close()
    note("helper.pid")
    time.sleep(100000)
note("server.pid")
while True:
    connection, _ = listening.accept()
    children.append(os.fork())
    if not children[-1]:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if "closes" in sys.argv:
            listening.close()
        note("worker.pid")
        time.sleep(100000)
    connection.close()
"""
"""A server of processes, such as PostgreSQL: the parent listens, a child has each connection, and another one helps."""


@pytest.mark.parametrize("how", ["closes", "keeps"])
def test_i74_all_processes_of_a_server_live_with_one_that_is_needed(worlds: Worlds, tmp_path: Path, how: str) -> None:
    world = worlds(kill_grace=0.5, survivors="all")
    first, second = world.workspace(), world.workspace()
    world.session(first, command=f"{python(FORKING, tmp_path, how)}; exec cat")
    server, helper = pid_in(tmp_path / "server.pid"), pid_in(tmp_path / "helper.pid")
    world.session(second, command=python(CLIENT_OF_SERVER, tmp_path))
    client, worker = pid_in(tmp_path / "client.pid"), pid_in(tmp_path / "worker.pid")
    try:
        left = reaped(world, first)
        assert [is_running(one) for one in (server, worker, helper)] == [True, True, True]
        assert left.keys() == {server, worker, helper}
        assert left[server] == left[worker]
        assert left[worker].startswith(f"the process {client} (")
        assert left[helper] == f"the process {server} above it is left alone: {left[server]}"
    finally:
        end(server, worker, helper)


def test_a_server_of_processes_without_a_client_elsewhere_is_ended(worlds: Worlds, tmp_path: Path) -> None:
    world = worlds(kill_grace=0.5, survivors="all")
    first, second = world.workspace(), world.workspace()
    client = python(CLIENT_OF_SERVER, tmp_path)
    world.session(first, command=f"{python(FORKING, tmp_path, 'keeps')}; while ! {client}; do :; done; exec cat")
    server, worker = pid_in(tmp_path / "server.pid"), pid_in(tmp_path / "worker.pid")
    world.session(second)
    assert reaped(world, first) == {}
    wait_until(lambda: not is_running(server) and not is_running(worker), PATIENCE)


SUPERVISOR = """
import os, shlex, signal, subprocess, sys, time
def asked(*_):
    child.terminate()
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
signal.signal(signal.SIGTERM, asked)
child = subprocess.Popen(sys.argv[2:])
open(sys.argv[1] + "/new", "w").write(str(os.getpid()))
os.rename(sys.argv[1] + "/new", sys.argv[1] + "/supervisor.pid")
while True:
    time.sleep(1)
"""
"""It has no socket, and what it has started ends with it."""


@pytest.mark.parametrize("by", ["socket", "directory"])
def test_i74_the_supervisor_of_a_process_that_is_needed_lives(worlds: Worlds, tmp_path: Path, by: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    world = worlds(kill_grace=0.5, survivors="all")
    first, second = world.workspace(worktree=str(one)), world.workspace(worktree=str(other))
    note = tmp_path / "server.pid"
    program = SERVER_ALONE if by == "socket" else ["sh", "-c", f"cd {other}; echo $$ > {note}; exec sleep 100000"]
    world.session(first, command=f"cd {one}; {python(SUPERVISOR, tmp_path, *program, tmp_path)}; exec cat")
    supervisor, server = pid_in(tmp_path / "supervisor.pid"), pid_in(note)
    world.session(second, command={"socket": python(CLIENT_OF_SERVER, tmp_path)}.get(by, "exec cat"))
    try:
        wait_until(lambda: by == "directory" or (tmp_path / "client.pid").exists(), PATIENCE)
        left = reaped(world, first)
        assert (is_running(supervisor), is_running(server)) == (True, True)
        assert left.keys() == {supervisor, server}
        assert left[supervisor] == f"the process {server} below it is left alone: {left[server]}"
    finally:
        end(supervisor, server)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("terminals", "terminals run in it, and others may be attached to them"),
        pytest.param(
            "files",
            "it serves a mounted file system",
            marks=pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="/dev/fuse may not be opened here"),
        ),
    ],
)
def test_i74_what_serves_others_lives_whatever_it_is_called(worlds: Worlds, tmp_path: Path, what: str, why: str) -> None:
    world = worlds(kill_grace=0.5, survivors="all")
    first, second = world.workspace(), world.workspace()
    server = server_of(world, first, tmp_path, what)
    world.session(second)
    try:
        left = reaped(world, first)
        assert is_running(server)
        assert left == {server: why}
    finally:
        end(server)


def test_i74_a_process_that_begins_to_depend_on_a_process_after_term_saves_it_from_kill(worlds: Worlds, tmp_path: Path) -> None:
    world = worlds(kill_grace=60, survivors="all")
    first, second = world.workspace(), world.workspace()
    stubborn = SERVER.replace("os.setsid()", "os.setsid(); import signal; signal.signal(signal.SIGTERM, asked)").replace(
        "import os", "asked = lambda *_: open(sys.argv[1] + '/asked.pid', 'w').write('1')\nimport os"
    )
    world.session(first, command=f"{python(stubborn, tmp_path)}; exec cat")
    server = pid_in(tmp_path / "server.pid")
    other = world.session(second)
    world.sweep()
    world.host.archive(first)
    reaper = world.plugin.reaper()
    reaper.sweep_settings = replace(reaper.sweep_settings, kill_grace=3.0)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(world.sweep)
        pid_in(tmp_path / "asked.pid")
        world.server.run("respawn-pane", "-k", "-t", f"{other}:", python(CLIENT_OF_SERVER, tmp_path))
        pid_in(tmp_path / "client.pid")
        cleanup = world.entry(running.result(60), first).cleanup
    try:
        assert is_running(server)
        assert cleanup is not None
        assert [one.pid for one in cleanup.survivors] == [server]
    finally:
        end(server)


HANDLER = """
import os, pathlib, signal, sys, time
note = pathlib.Path(sys.argv[1])
os.setsid()
if os.fork():
    os._exit(0)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: (note.with_name("handled").write_text("saved"), os._exit(0)))
note.write_text(str(os.getpid()))
time.sleep(100000)
"""


def test_i78_a_stopped_process_gets_to_its_handler(worlds: Worlds, tmp_path: Path) -> None:
    """A stopped process never gets to its TERM handler; every sweep waits out the grace."""
    world = worlds(kill_grace=20, survivors="all")
    first, second = world.workspace(), world.workspace()
    note = tmp_path / "pid"
    world.session(first, command=f"{python(HANDLER, note)}; exec cat")
    world.session(second)
    process = psutil.Process(pid_in(note))
    process.suspend()
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, PATIENCE)
    world.sweep()
    world.host.archive(first)
    cleanup = world.entry(world.sweep(), first).cleanup
    assert (tmp_path / "handled").exists(), "the stopped process did not get to its handler"
    assert cleanup is not None
    assert (process.pid, "TERM") in {(one.pid, one.signal) for one in cleanup.ended}
