"""Who gets no signal, whatever the setting says: with ``survivors = "all"``, and with everything inside the worktree."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tools.cast import Cast
from tests.tools.real_processes import LINUX, ROOT, in_namespaces
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes, session_name
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.reap import ProcessCleanup
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.processes.processes import SystemProcesses
from workspace_reaper.sweep.report import SweepReport

pytestmark = pytest.mark.once

Worlds = Callable[..., World]

FOREVER = "exec sleep 100000"


@pytest.fixture
def world(worlds: Worlds) -> World:
    """Whatever may be ended at all is ended. The server outlives every kill."""
    made = worlds(kill_grace=0.5, survivors="all", tick=0.001)
    made.server.new_session("beside")
    return made


def cleanup(report: SweepReport) -> ProcessCleanup:
    """What became of the processes of the only session that was reaped."""
    [entry] = [entry for entry in report.sessions if entry.outcome == "reaped"]
    assert entry.cleanup is not None
    return entry.cleanup


def left(found: ProcessCleanup) -> dict[int, str]:
    """Why each survivor was left alone."""
    return {one.pid: one.why for one in found.survivors}


def ended(found: ProcessCleanup) -> set[int]:
    """What was ended."""
    return {one.pid for one in found.ended}


# A tmux, and what lives in it


@pytest.mark.parametrize("arguments", ["", "-2 -f /dev/null"], ids=["plain", "with arguments of a client"])
def test_i22_i23_i24_a_tmux_started_in_a_pane_and_what_lives_in_it(
    world: World, cast: Cast, worktree: Path, tmux_servers: Callable[[], TmuxServer], arguments: str
) -> None:
    """Its server has inherited the pane's environment, and its arguments are those of whoever came first."""
    inner = tmux_servers()
    archived = world.workspace(archived=True, worktree=str(worktree))
    in_it = f"{cast.escaping('escaped in it', INNER)}; exec {cast.command('in it', INNER)}"
    start = (
        f"tmux {arguments} -u -S {inner.path} new-session -d -s {session_name(world.schema, archived)}-x {shlex.quote(in_it)}"
    )
    world.session(archived, command=f"cd {worktree}; {start}; {cast.escaping('ours')}; {FOREVER}")
    server = inner.adopt()
    inside = [cast.process("in it"), cast.escaped("escaped in it")]
    ours = cast.escaped("ours")

    found = cleanup(world.sweep())
    assert not cast.lives(ours)
    assert ours.pid in ended(found)
    assert all(map(cast.lives, inside))
    assert inner.is_alive()
    assert not {server, *(one.pid for one in inside)} & ended(found)


INNER = """
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: (say("signalled", ""), os._exit(1)))
"""
"""Code for one that tells if anybody signals it."""


def test_i22_a_client_of_another_tmux_in_a_pane_harms_nothing_of_the_other(
    world: World, cast: Cast, tmux_servers: Callable[[], TmuxServer]
) -> None:
    inner = tmux_servers()
    inner.new_session("inner", f"exec {cast.command('in it', INNER)}")
    archived = world.workspace(archived=True)
    world.session(archived, command=f"unset TMUX; exec tmux -u -S {inner.path} attach-session -t inner")
    inside = cast.process("in it")
    wait_until(lambda: inner.run("list-clients"))
    assert outcomes(world.sweep()) == {archived: "reaped"}
    wait_until(lambda: not inner.run("list-clients"))
    assert cast.lives(inside)
    assert not cast.has_said("signalled")


# Daemons of the login

BECOME = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
ctypes.CDLL(None).prctl(15, {name!r}, 0, 0, 0)
"""


@LINUX
def test_a_daemon_that_serves_the_whole_login(world: World, cast: Cast, worktree: Path) -> None:
    archived = world.workspace(archived=True, worktree=str(worktree))
    agent = BECOME.format(name=b"gpg-agent")
    started = f"{cast.escaping('agent', agent)}; {cast.escaping('other')}"
    world.session(archived, command=f"cd {worktree}; {started}; {cast.command('below', agent)} & {FOREVER}")
    keepers = [cast.escaped("agent"), cast.process("below")]
    other = cast.escaped("other")
    found = cleanup(world.sweep())
    assert left(found) == dict.fromkeys((one.pid for one in keepers), "it keeps keys for the whole login")
    assert all(map(cast.lives, keepers))
    assert other.pid in ended(found)


SCREEN = (
    BECOME.format(name=b"screen")
    + """
if not os.fork():
    os.setsid()
    ctypes.CDLL(None).prctl(15, b"bash", 0, 0, 0)
    if not os.fork():
        sign("below a shell in it")
        rest()
    sign("shell in it")
    rest()
"""
)


@LINUX
@pytest.mark.parametrize("how", ["escaped", "below its pane"])
def test_what_lives_in_such_a_daemon(world: World, cast: Cast, worktree: Path, how: str) -> None:
    """``screen`` started in a pane: its shells have inherited the pane's environment, and are somebody's terminals."""
    archived = world.workspace(archived=True, worktree=str(worktree))
    started = cast.escaping("screen", SCREEN) if how == "escaped" else f"{cast.command('screen', SCREEN)} &"
    world.session(archived, command=f"cd {worktree}\n{started}\n{FOREVER}")
    living = [cast.process(name) for name in ("screen", "shell in it", "below a shell in it")]
    if how == "escaped":
        cast.escaped("screen")
    found = cleanup(world.sweep())
    assert all(map(cast.lives, living))
    assert left(found).keys() == {one.pid for one in living}


# Others


@ROOT
def test_a_process_of_another_user(world: World, cast: Cast, worktree: Path) -> None:
    start = "signal.signal(signal.SIGHUP, signal.SIG_IGN); sign('{0}')"
    become = f"{start}; os.setgroups([]); os.setgid(65534); os.setuid(65534); rest()"
    setuid = f"{start}; os.setresuid(65534, 0, 0); rest()"
    archived = world.workspace(archived=True, worktree=str(worktree))
    codes = {"nobody": become.format("nobody"), "half": setuid.format("half")}
    started = " ".join(f"{cast.command(name, code)} &" for name, code in codes.items())
    world.session(archived, command=f"cd {worktree}; {started} {cast.escaping('gone', become.format('gone'))}; {FOREVER}")
    theirs = [cast.process("nobody"), cast.process("half"), cast.escaped("gone")]
    wait_until(lambda: all(one.uids().real == 65534 for one in theirs))
    found = cleanup(world.sweep())
    assert all(map(cast.lives, theirs))
    assert left(found) == dict.fromkeys((one.pid for one in theirs), "it belongs to another user")


def test_i26_siblings_live(world: World, cast: Cast, worktree: Path) -> None:
    """Sessions of one server, in one directory: only what came from the dead one ends."""
    archived, other = world.workspace(archived=True, worktree=str(worktree)), world.workspace(worktree=str(worktree))
    for number, one in enumerate((archived, other)):
        world.session(
            one, command=f"cd {worktree}; {cast.escaping(f'escaped {number}')}; exec {cast.command(f'in pane {number}')}"
        )
    world.server.new_session("unmanaged", f"cd {worktree}; {cast.escaping('escaped 2')}; exec {cast.command('in pane 2')}")
    processes = {number: [cast.escaped(f"escaped {number}"), cast.process(f"in pane {number}")] for number in range(3)}
    found = cleanup(world.sweep())
    assert {number: any(map(cast.lives, some)) for number, some in processes.items()} == {0: False, 1: True, 2: True}
    assert all(map(cast.lives, [*processes[1], *processes[2]]))
    assert ended(found) == {one.pid for one in processes[0]}
    assert world.server.is_alive()


# The reaper itself


def reaper_command(world: World) -> str:
    """The command line of a sweep with the world's configuration."""
    code = "from workspace_reaper.cli import main; main()"
    return shlex.join([sys.executable, "-c", code, "--config", str(world.write_config()), "sweep", "--json"])


@pytest.mark.parametrize("wiped", [False, True], ids=["with its environment", "with nothing in its environment"])
def test_a_reaper_inside_the_session_that_it_is_to_reap_holds_it(world: World, cast: Cast, worktree: Path, wiped: bool) -> None:
    archived, other = (world.workspace(archived=True, worktree=str(worktree)) for _ in range(2))
    world.session(other)
    env = f"env -i HOME={world.tmp} PATH={shlex.quote(os.environ['PATH'])}" if wiped else "env"
    # Not the pane's own process: the shells above it must be seen.
    run = f"(cd {worktree}; {env} {reaper_command(world)} >{cast.directory}/out 2>&1; echo $? >{cast.directory}/code); true"
    session_id = world.session(archived, command=f"sh -c {shlex.quote(run)}; {FOREVER}")
    code = cast.said("code")
    wait_until(lambda: cast.said("code"))
    told = cast.said("out")
    by_workspace = {entry["workspace_id"]: entry for entry in json.loads(told)["sessions"]}
    assert (by_workspace[archived]["outcome"], by_workspace[archived]["protected_by"]) == ("none", "home"), code
    assert by_workspace[other]["outcome"] == "reaped"
    assert session_id in world.server.session_ids()


@LINUX
def test_i30_a_reaper_that_is_in_its_own_blast_radius(world: World, cast: Cast, worktree: Path) -> None:
    """It came from a pane of the session that is closed by now, works in the worktree, and its arguments quote the name."""
    archived = world.workspace(archived=True, worktree=str(worktree))
    name = session_name(world.schema, archived)
    reap = f"cd {worktree}; {reaper_command(world)} >{cast.directory}/out 2>&1; : {name}; echo done >{cast.directory}/code"
    script = f"echo $$ >{cast.directory}/ancestor; {cast.waiting_for('go')}; {reap}"
    start = f"(setsid nohup sh -c {shlex.quote(script)} >/dev/null 2>&1 &); {cast.waiting_for('ancestor')}"
    session_id = world.session(archived, command=f"cd {worktree}; {cast.escaping('ours')}; {FOREVER}")
    ours = cast.escaped("ours")
    world.server.run("new-window", "-d", "-t", f"{session_id}:", start)
    wait_until(lambda: cast.has_said("ancestor"))
    wait_until(lambda: world.server.show(session_id, "#{session_windows}") == "1")
    ancestor = int(cast.said("ancestor"))
    cast.say("go")
    wait_until(lambda: cast.has_said("code"), 30)
    [entry] = json.loads(cast.said("out"))["sessions"]
    assert entry["outcome"] == "reaped"
    assert not cast.lives(ours)
    survivors = {one["pid"]: one["why"] for one in entry["survivors"]}
    assert set(survivors.values()) == {"it is the reaper, or the reaper runs below it"}
    assert ancestor in survivors
    assert len(survivors) == 2


# Another process of the same number


STAGE = """
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.process import Process, ProcessKey
from workspace_reaper.model.reap import RecordedProcess
from workspace_reaper.sweep.leftovers import LeftoverProcesses
from workspace_reaper.processes.clock import SystemClock
from workspace_reaper.sweep.terminate import Termination

last_pid = Path("/proc/sys/kernel/ns_last_pid")

def again(pid, key, **options):
    "A stranger with that pid; its start time is another one, once the clock of start times has ticked."
    while True:
        last_pid.write_text(str(pid - 1))
        child = Started(cwd="/", **options)
        assert child.pid == pid
        if child.key != key:
            return child
        child.end()

def terminate(processes, *keys, grace=0.3, pane="%1"):
    relatives = [RecordedProcess(key, "one of ours", pane, True) for key in keys]
    leftovers = LeftoverProcesses(SessionKey("/s", 4000, 1, "$0", 1), frozenset({pane}), None, relatives)
    termination = Termination(processes, SystemClock(), grace=grace, everywhere=True, own_uid=0, shown={4000: frozenset()})
    return termination.run([leftovers])[leftovers.key]
"""


def test_i25_i31_a_pid_that_was_handed_out_again_gets_no_signal() -> None:
    code = f"""{STAGE}
first = Started()
key = first.key
first.end()
stranger = again(first.pid, key)
other = Started()
found = terminate(processes, key, other.key, grace=30)
assert [(one.pid, one.signal) for one in found.ended] == [(key.pid, "HUP"), (other.pid, "TERM")], found
assert found.survivors == ()
assert stranger.end() == 0, "the stranger got a signal"
"""
    in_namespaces(code)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_i25_nor_one_that_is_handed_out_in_the_last_moment(number: str) -> None:
    """After it was found to be the right one, right before the signal: for TERM, and for KILL after the grace."""
    code = f"""{STAGE}
class Late(SystemProcesses):
    def signal(self, key, number):
        if number == signal.{number} and not stranger:
            first.popen.kill()
            first.popen.wait()
            stranger.append(again(first.pid, key))
        return super().signal(key, number)

deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
first, stranger = Started(deaf), []
found = terminate(Late(), first.key)
assert found.survivors == ()
assert stranger[0].pid == first.pid
assert stranger[0].end() == 0, "the stranger got a signal"
"""
    in_namespaces(code)


def test_an_orphan_of_an_earlier_server_whose_pid_the_server_has() -> None:
    """Same server pid, same session number, same pane: all that its environment says fits the session that goes."""
    code = """
import os, time
os.environ["TMPDIR"] = "/tmp"
from tests.tools.cast import Cast
from tests.tools.tmux import TmuxServer
from tests.tools.world import World, outcomes
directory = Path(sys.argv[1])
last_pid = Path("/proc/sys/kernel/ns_last_pid")
with World(directory, kill_grace=0.3, survivors="all") as world, Cast(directory / "cast") as cast:
    worktree = str(directory / "worktree")
    os.mkdir(worktree)
    archived = world.workspace(archived=True, worktree=worktree)
    last_pid.write_text("1000")
    with TmuxServer() as earlier:
        earlier.new_session("earlier", f"cd {worktree}; {cast.escaping('orphan')}; exec sleep 100000")
        orphan = cast.escaped("orphan")
        pid = earlier.pid
    os.waitpid(pid, 0)  # here we are the first process, to which every orphan falls
    assert cast.lives(orphan)
    for distance in range(1, 40):
        last_pid.write_text(str(pid - distance))
        world.session(archived, command=f"cd {worktree}; {cast.escaping('ours')}; exec sleep 100000")
        if world.server.pid == pid:
            break
        cast.escaped("ours").kill()
        (cast.directory / "ours").unlink()
        world.server.kill()
        os.waitpid(world.server.pid, 0)
    assert world.server.pid == pid
    ours = cast.escaped("ours")
    assert [one.environ()["TMUX"].split(",")[1:] for one in (orphan, ours)] == [[str(pid), "0"]] * 2
    assert [one.environ()["TMUX_PANE"] for one in (orphan, ours)] == ["%0"] * 2
    report = world.sweep()
    assert outcomes(report) == {archived: "reaped"}
    assert not cast.lives(ours)
    assert cast.lives(orphan)
"""
    with tempfile.TemporaryDirectory(prefix="wr-", dir="/tmp") as directory:
        in_namespaces(code, directory)


# What can't be read


class Blind:
    """The processes of this machine, by the real reader; passes over them fail from a certain one on, as without ``/proc``."""

    def __init__(self, sees: int) -> None:
        self._real = SystemProcesses()
        self._sees = sees

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def glance(self) -> ProcessTable | Unknown:
        return self._pass(self._real.glance)

    def table(self) -> ProcessTable | Unknown:
        return self._pass(self._real.table)

    def _pass(self, real: Callable[[], ProcessTable | Unknown]) -> ProcessTable | Unknown:
        self._sees -= 1
        return real() if self._sees >= 0 else Unknown(Source.PROCESSES, "it can't be read")


def blinded(world: World, sees: int) -> None:
    reaper = world.plugin.reaper()
    reaper.dependencies = replace(reaper.dependencies, processes=Blind(sees))  # type: ignore[arg-type]


@pytest.mark.parametrize("sees", [0, 1], ids=["from the beginning", "right before the kill"])
def test_without_the_table_of_processes_nobody_dies(world: World, cast: Cast, sees: int) -> None:
    archived = world.workspace(archived=True)
    world.session(archived, command=f"exec {cast.command('agent')}")
    agent = cast.process("agent")
    blinded(world, sees)
    report = world.sweep()
    assert (report.exit_code, outcomes(report)) == (3, {archived: "none"})
    assert {unknown.source for unknown in report.unknown} == {Source.PROCESSES}
    assert world.lives(archived)
    assert cast.lives(agent)
    blinded(world, 1000)
    assert outcomes(world.sweep()) == {archived: "reaped"}


def test_without_the_table_after_the_kill_no_signal_is_sent(world: World, cast: Cast, worktree: Path) -> None:
    archived = world.workspace(archived=True, worktree=str(worktree))
    world.session(archived, command=f"cd {worktree}; {cast.escaping('server')}; {FOREVER}")
    server = cast.escaped("server")
    blinded(world, 2)
    found = cleanup(world.sweep())
    assert left(found) == {server.pid: "the process table cannot be read"}
    assert cast.lives(server)
