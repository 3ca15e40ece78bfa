"""What outlives its session: it ends, and the report tells of each process how."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import Erring
from tests.tools.cast import LISTEN, STUBBORN, Cast
from tests.tools.front_tmux import Rule
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes
from workspace_reaper.model.reap import ProcessCleanup
from workspace_reaper.processes import linux
from workspace_reaper.processes.proc_files import names
from workspace_reaper.sweep.report import SweepReport

pytestmark = pytest.mark.once

Worlds = Callable[..., World]

GRACE = 0.6
FOREVER = "exec sleep 100000"


@pytest.fixture
def world(worlds: Worlds) -> World:
    """Survivors get a short time only. The server outlives every kill."""
    made = worlds(kill_grace=GRACE)
    made.server.new_session("beside")
    return made


def cleanup(world: World, report: SweepReport, workspace_id: str) -> ProcessCleanup:
    """What became of the processes of a workspace whose session was reaped."""
    entry = world.entry(report, workspace_id)
    assert entry.outcome == "reaped", entry
    assert entry.cleanup is not None
    return entry.cleanup


def signals(found: ProcessCleanup) -> dict[int, str]:
    """By which signal each process ended."""
    return {one.pid: one.signal for one in found.ended}


def is_free(port: str) -> bool:
    """Another server can listen there."""
    try:
        socket.create_server(("127.0.0.1", int(port))).close()
    except OSError:
        return False
    return True


# I51


@pytest.mark.parametrize("how", ["escaped", "below its pane"])
def test_i51_a_server_behind_setsid_and_nohup_is_gone_and_its_port_free(
    world: World, cast: Cast, worktree: Path, how: str
) -> None:
    archived = world.workspace(archived=True, worktree=str(worktree))
    started = (
        cast.escaping("server", LISTEN)
        if how == "escaped"
        else f"setsid nohup {cast.command('server', LISTEN)} >/dev/null 2>&1 &"
    )
    world.session(archived, command=f"cd {worktree}\n{started}\n{FOREVER}")
    server = cast.escaped("server") if how == "escaped" else cast.process("server")
    port = cast.said("port")
    assert not is_free(port)

    report = world.sweep()
    found = cleanup(world, report, archived)
    assert not cast.lives(server)
    assert is_free(port)
    assert signals(found)[server.pid] == "TERM"
    assert sorted(signals(found).values()) == ["HUP", "TERM"], "the pane's own process ends by tmux's signal"
    assert (found.freed_ports, found.held_ports, found.survivors) == ((f"tcp {port}",), (), ())
    assert found.freed_bytes is not None
    assert report.freed_bytes == found.freed_bytes > 0


def test_i51_the_directory_is_known_after_the_row_is_gone(world: World, cast: Cast, worktree: Path) -> None:
    world.configure(orphan_confirmations=1)
    world.workspaces(2, sessions=False)
    orphan = world.workspace(worktree=str(worktree))
    world.session(orphan, command=f"cd {worktree}; {cast.escaping('server')}; {FOREVER}")
    server = cast.escaped("server")
    assert outcomes(world.sweep())[orphan] == "none"
    world.workspaces(1, worktree=str(world.tmp))  # the newest would be in doubt: its directory is still there
    assert outcomes(world.sweep())[orphan] == "none"
    world.host.delete(orphan)
    # A restart in between: nothing but the ledger can know it.
    found = cleanup(world, world.new_plugin().sweep(), orphan)
    assert signals(found)[server.pid] == "TERM"
    assert not cast.lives(server)


@pytest.mark.parametrize("directory", ["elsewhere", "deleted", "linked"])
def test_i51_i58_what_escaped_is_judged_by_its_directory_and_not_by_a_path(
    world: World, cast: Cast, tmp_path: Path, worktree: Path, directory: str
) -> None:
    """A link in front of the worktree is the worktree; one that was removed meanwhile still is; and a neighbour whose path
    begins like it is not."""
    named = tmp_path / "link" if directory == "linked" else worktree
    if directory == "linked":
        named.symlink_to(worktree)
    inside = worktree / "deep"
    works_in = tmp_path / "worktree-2" if directory == "elsewhere" else inside
    works_in.mkdir()
    archived = world.workspace(archived=True, worktree=str(named))
    world.session(archived, command=f"cd {works_in}; {cast.escaping('server')}; cd /; {FOREVER}")
    server = cast.escaped("server")
    if directory == "deleted":
        inside.rmdir()
        worktree.rmdir()
    found = cleanup(world, world.sweep(), archived)
    if directory == "elsewhere":
        assert [one.pid for one in found.survivors] == [server.pid]
        assert cast.lives(server)
    else:
        assert (signals(found)[server.pid], found.survivors) == ("TERM", ())
        assert not cast.lives(server)


def test_i51_what_works_elsewhere_is_left_and_reported_everywhere(
    world: World, cast: Cast, worktree: Path, tmp_path: Path
) -> None:
    archived = world.workspace(archived=True, worktree=str(worktree))
    world.session(archived, command=f"cd {tmp_path}; {cast.escaping('server', LISTEN)}; {FOREVER}")
    server, port = cast.escaped("server"), cast.said("port")
    report = world.sweep()
    found = cleanup(world, report, archived)
    assert cast.lives(server)
    assert (found.freed_ports, found.held_ports) == ((), (f"tcp {port}",))
    [left] = found.survivors
    assert left.pid == server.pid
    assert str(cast.directory / "server.py") in left.command
    assert left.why == "it left the session's process tree, and works outside the workspace's directory"

    [in_report] = report.as_dict()["sessions"]
    [in_history] = world.cli_json("history")
    shown = world.cli_json("show", in_report["reap_id"])
    for told in (in_report, in_history, shown):
        assert told["survivors"] == [{"pid": left.pid, "command": left.command, "why": left.why}]
        assert told["held_ports"] == [f"tcp {port}"]
        assert told["freed_bytes"] == found.freed_bytes


@pytest.mark.parametrize("known", [True, False], ids=["works elsewhere", "no directory known"])
def test_i51_the_setting_all_ends_it_wherever_it_works(
    world: World, cast: Cast, worktree: Path, tmp_path: Path, known: bool
) -> None:
    world.configure(survivors="all")
    archived = world.workspace(archived=True, worktree=str(worktree) if known else None)
    world.session(archived, command=f"cd {tmp_path}; {cast.escaping('server')}; {FOREVER}")
    server = cast.escaped("server")
    assert signals(cleanup(world, world.sweep(), archived))[server.pid] == "TERM"
    assert not cast.lives(server)


def test_without_a_known_directory_what_escaped_is_left(world: World, cast: Cast) -> None:
    archived = world.workspace(archived=True)
    world.session(archived, command=f"{cast.escaping('server')}; {FOREVER}")
    server = cast.escaped("server")
    [left] = cleanup(world, world.sweep(), archived).survivors
    assert left.pid == server.pid
    assert "is not known" in left.why
    assert cast.lives(server)


def test_a_server_that_ends_with_its_last_session_hides_no_survivor(
    world: World, cast: Cast, worktree: Path, erring: Erring
) -> None:
    """For a moment it does not answer (seen on tmux 3.3a)."""
    archived = world.workspace(archived=True, worktree=str(worktree))
    world.session(archived, command=f"cd {worktree}; {cast.escaping('server')}; {FOREVER}")
    server = cast.escaped("server")
    ending = Rule("list-sessions", skip=2, times=1, real=False, exit_code=1, stderr="server exited unexpectedly\n")
    with erring(ending):
        found = cleanup(world, world.sweep(), archived)
    assert signals(found)[server.pid] == "TERM"
    assert not cast.lives(server)


# The stubborn

DAEMON = """
first = os.getpid()
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
while os.getppid() == first:
    time.sleep(0.01)
"""

# In a session of its own: else the kernel continues it when its terminal goes.
STOPPED = """
os.setsid()
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sign("stopped")
os.kill(os.getpid(), signal.SIGSTOP)
"""

# On TERM it notes that it was asked, takes its time, and goes.
TIDY = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
def go(number, frame):
    time.sleep(0.1)
    say("tidy went", "")
    os._exit(0)
signal.signal(signal.SIGTERM, go)
"""


def test_each_ends_by_the_mildest_signal_that_works(world: World, cast: Cast, worktree: Path) -> None:
    archived = world.workspace(archived=True, worktree=str(worktree))
    deaf = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    started = [
        cast.command("deaf", deaf),
        cast.command("tidy", TIDY),
        cast.command("stubborn", STUBBORN),
        cast.command("stopped", STOPPED),
        cast.command("daemon", DAEMON),
        f"setsid {cast.command('own session', STUBBORN)}",
    ]
    world.session(archived, command=f"cd {worktree}; {' & '.join(started)} & {FOREVER}")
    names = ("deaf", "tidy", "stubborn", "stopped", "own session")
    all_of_them = {name: cast.process(name) for name in names} | {"daemon": cast.escaped("daemon")}
    wait_until(lambda: all_of_them["stopped"].status() == "stopped")

    found = cleanup(world, world.sweep(), archived)
    assert not [name for name, one in all_of_them.items() if cast.lives(one)]
    assert found.survivors == ()
    told = {name: signals(found)[one.pid] for name, one in all_of_them.items()}
    assert told == {
        "deaf": "TERM",
        "tidy": "TERM",
        "stubborn": "KILL",
        "stopped": "TERM",
        "daemon": "TERM",
        "own session": "KILL",
    }
    assert cast.has_said("tidy went")


# Each generation starts the next one when it is asked to end, which then is below nobody. None is asked before it has signed.
BOMB = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
sign("bomb")
for generation in range(6):
    if generation:
        os.setsid()
    sign(f"generation {generation}")
    signal.sigwait({signal.SIGTERM})
    if generation == 5 or os.fork():
        os._exit(0)
"""


@pytest.mark.parametrize("how", ["escaped", "below its pane"])
def test_what_forks_when_it_is_asked_to_end_ends_in_every_generation(
    world: World, cast: Cast, worktree: Path, how: str
) -> None:
    world.configure(kill_grace=30)
    archived = world.workspace(archived=True, worktree=str(worktree))
    started = cast.escaping("bomb", BOMB) if how == "escaped" else f"{cast.command('bomb', BOMB)} &"
    world.session(archived, command=f"cd {worktree}\n{started}\n{FOREVER}")
    cast.process("bomb")
    found = cleanup(world, world.sweep(), archived)
    generations = [cast.said(f"generation {number}") for number in range(6)]
    assert {signals(found)[int(pid)] for pid in generations} == {"TERM"}
    assert found.survivors == ()
    processes = world.plugin.reaper().dependencies.processes
    assert not any(processes.may_live(int(pid), None) for pid in generations)


def test_what_is_started_in_the_middle_of_a_pass_ends_too(
    world: World, cast: Cast, worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pid is not in that pass's list, and the process that started it has ended when it is read."""
    code = """
def go(number, frame):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    say("asked", "")
    while not told("go"):
        time.sleep(0.01)
    if os.fork():
        os._exit(0)
    os.setsid()
    sign("late")
signal.signal(signal.SIGTERM, go)
"""

    def listed(directory: str) -> Collection[str]:
        pids = names(directory)
        if cast.has_said("asked") and not cast.has_said("go"):
            cast.say("go")
            cast.process("late")
            wait_until(lambda: not cast.lives(first))
        return pids

    world.configure(kill_grace=30)
    archived = world.workspace(archived=True, worktree=str(worktree))
    world.session(archived, command=f"cd {worktree}; {cast.escaping('first', code)}; {FOREVER}")
    first = cast.escaped("first")
    monkeypatch.setattr(linux, "names", listed)
    found = cleanup(world, world.sweep(), archived)
    late = int(cast.said("late"))
    assert signals(found)[late] == "TERM"
    assert not world.plugin.reaper().dependencies.processes.may_live(late, None)


def test_what_becomes_more_when_it_is_asked_to_end(world: World, cast: Cast, worktree: Path) -> None:
    """Each starts two in its place, up to sixteen that are deaf."""
    pair = """
generation = 0
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def go(number, frame):
    global generation
    generation += 1
    if generation > 4:
        return
    for _ in range(2):
        if not os.fork():
            return
    os._exit(0)
signal.signal(signal.SIGTERM, go)
"""
    archived = world.workspace(archived=True, worktree=str(worktree))
    world.session(archived, command=f"cd {worktree}; {cast.escaping('pair', pair)}; {FOREVER}")
    cast.escaped("pair")
    found = cleanup(world, world.sweep(), archived)
    assert found.survivors == ()
    assert "KILL" in signals(found).values()
    left = [line for line in _command_lines() if str(cast.directory / "pair.py") in line]
    assert left == []


def _command_lines() -> list[list[str]]:
    return [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"]) if one.status() != psutil.STATUS_ZOMBIE]


# I46, I55


def test_i46_what_a_dead_pane_has_left_behind_ends(world: World, cast: Cast, worktree: Path) -> None:
    world.configure(dead_ttl=1)
    dead = world.workspace(worktree=str(worktree))
    world.server.run("set-option", "-g", "remain-on-exit", "on")
    session_id = world.session(dead, command=f"cd {worktree}; {cast.escaping('helper')}; {cast.waiting_for('helper')}; exit 0")
    helper = cast.escaped("helper")
    wait_until(lambda: world.server.show(session_id, "#{pane_dead}") == "1")
    reports: list[SweepReport] = []
    wait_until(lambda: reports.append(world.sweep()) or reports[-1].count("reaped"))
    assert world.entry(reports[-1], dead).reason == "dead"
    assert signals(cleanup(world, reports[-1], dead)) == {helper.pid: "TERM"}
    assert not cast.lives(helper)


def test_i55_archived_and_the_process_is_gone(world: World, cast: Cast) -> None:
    workspace = world.workspace()
    world.session(workspace, command=f"exec {cast.command('agent', STUBBORN)}")
    agent = cast.process("agent")
    assert outcomes(world.sweep()) == {workspace: "none"}
    assert cast.lives(agent)
    world.host.archive(workspace)
    found = cleanup(world, world.sweep(), workspace)
    assert signals(found) == {agent.pid: "KILL"}
    assert not cast.lives(agent)


def test_a_deletion_told_by_a_hook_ends_them_too(world: World, cast: Cast, worktree: Path) -> None:
    """The way of a hook is another one: nobody has looked at the processes before."""
    world.workspaces(2, sessions=False)
    workspace = world.workspace(worktree=str(worktree))
    world.session(workspace, command=f"cd {worktree}; {cast.escaping('server')}; {FOREVER}")
    server = cast.escaped("server")
    world.sweep()
    world.host.delete(workspace)
    world.plugin.on_workspace_deleted(workspace)
    wait_until(lambda: not cast.lives(server))
    wait_until(lambda: not world.lives(workspace))
