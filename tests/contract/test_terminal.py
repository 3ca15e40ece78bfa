"""What the sweep may rely on of a terminal: `ports.Terminal`, over a real tmux and in memory."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import pytest

from tests.simulation.memory.machine import MemoryMachine
from tests.simulation.memory.processes import MemoryProcesses
from tests.simulation.memory.terminal import MemoryTerminal
from tests.simulation.memory.tmux import MemoryTmux
from tests.tools.clocks import VirtualClock
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.real_processes import gone, rows
from tests.tools.tmux import Client, TmuxServer
from tests.tools.waiting import wait_until
from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.process import Origin, SignalResult
from workspace_reaper.model.session import Listing, Owner, Session, SessionKey
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResult
from workspace_reaper.processes.processes import SystemProcesses
from workspace_reaper.tmux.terminal import TmuxTerminal

OURS, THEIRS = "5ca1ab1e", "0ddba11"
MARK = "77"


class Tmux(Protocol):
    """What a user, a host or the machine does to a tmux server."""

    path: str

    def new_session(self, name: str, *, group: str | None = None) -> str: ...
    def new_deaf_session(self, name: str) -> str: ...
    def new_session_with_children(self, name: str) -> tuple[str, int, int, int]: ...
    def split(self, session_id: str) -> str: ...
    def link(self, session_id: str, other: str) -> None: ...
    def cut_next_answer(self, command: str, answers: int) -> None: ...
    def kill_session(self, session_id: str) -> None: ...
    def kill_server(self) -> None: ...
    def crash(self) -> None: ...
    def rename(self, session_id: str, name: str) -> None: ...
    def set_option(self, session_id: str, name: str, value: str) -> None: ...
    def set_global_option(self, name: str, value: str) -> None: ...
    def write(self, session_id: str) -> None: ...
    def exit(self, session_id: str) -> None: ...
    def respawn(self, session_id: str) -> None: ...
    def attach(self, session_id: str) -> Any: ...
    def suspend(self, session_id: str, client: Any) -> None: ...
    def detach(self, session_id: str, client: Any) -> None: ...


WITH_CHILDREN = """
import os, signal, sys
def child(leave):
    pid = os.fork()
    if not pid:
        leave()
        while True: signal.pause()
    return pid
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{child(os.getpid)} {child(os.setpgrp)} {child(os.setsid)}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
signal.pause()
"""


class RealTmux:
    """The same with a real server. The tmux in front of it is made for those tests that need one."""

    def __init__(self, server: TmuxServer, front: Callable[[], FrontTmux]) -> None:
        self.path = server.path
        self._server = server
        self._front = front

    def new_session(self, name: str, *, group: str | None = None) -> str:
        if group is not None:
            return self._server.run("new-session", "-d", "-P", "-F", "#{session_id}", "-t", f"{group}:", "-s", name)
        return self._new_session(name, "exec cat")

    def new_deaf_session(self, name: str) -> str:
        """Its program ignores the hangup."""
        file = self._server.directory / name
        session_id = self._new_session(name, f"trap '' HUP; touch {file}; exec sleep 100000")
        wait_until(file.exists)
        return session_id

    def new_session_with_children(self, name: str) -> tuple[str, int, int, int]:
        """Its program has a child in the foreground, one in the background, and one that has left the terminal."""
        file, script = self._server.directory / name, self._server.directory / f"{name}.py"
        script.write_text(WITH_CHILDREN)
        session_id = self._new_session(name, f"exec {sys.executable} -S {script} {file}")
        wait_until(file.exists)
        job, background, daemon = map(int, file.read_text().split())
        wait_until(lambda: os.getpgid(background) == background and os.getsid(daemon) == daemon)
        return session_id, job, background, daemon

    def _new_session(self, name: str, command: str) -> str:
        made = self._server.new_session(name, command)
        self._server.run("set-option", "-g", "remain-on-exit", "on")
        return made

    def split(self, session_id: str) -> str:
        return self._server.run("split-window", "-d", "-P", "-F", "#{pane_id}", "-t", f"{session_id}:0", "exec cat")

    def link(self, session_id: str, other: str) -> None:
        self._server.run("link-window", "-d", "-s", f"{session_id}:0", "-t", f"{other}:5")

    def cut_next_answer(self, command: str, answers: int) -> None:
        self._front().rules(Rule(command, times=1, keep_lines=answers))

    def kill_session(self, session_id: str) -> None:
        self._server.run("kill-session", "-t", session_id)

    def kill_server(self) -> None:
        self._server.run("kill-server")
        wait_until(lambda: not self._server.is_alive())

    def crash(self) -> None:
        self._server.kill()

    def rename(self, session_id: str, name: str) -> None:
        self._server.run("rename-session", "-t", session_id, name)

    def set_option(self, session_id: str, name: str, value: str) -> None:
        self._server.set_option(session_id, name, value)

    def set_global_option(self, name: str, value: str) -> None:
        self._server.run("set-option", "-g", name, value)

    def write(self, session_id: str) -> None:
        before = self._server.show(session_id, "#{window_activity}")
        self._server.run("send-keys", "-t", f"{session_id}:", "x", "Enter")
        wait_until(lambda: self._server.show(session_id, "#{window_activity}") != before)

    def exit(self, session_id: str) -> None:
        self._server.run("send-keys", "-t", f"{session_id}:", "C-d")
        wait_until(lambda: self._server.show(session_id, "#{pane_dead}") == "1")

    def respawn(self, session_id: str) -> None:
        self._server.run("respawn-pane", "-t", f"{session_id}:", "exec cat")

    def attach(self, session_id: str) -> Client:
        return self._server.attach(session_id)

    def suspend(self, session_id: str, client: Client) -> None:
        client.suspend()

    def detach(self, session_id: str, client: Client) -> None:
        client.detach()


class SimulatedTmux(MemoryTmux):
    """The server of the simulation, with programs as tests need them."""

    def new_deaf_session(self, name: str) -> str:
        return self.new_session(name, ignores=[signal.SIGHUP])

    def new_session_with_children(self, name: str) -> tuple[str, int, int, int]:
        session_id = self.new_session(name)
        job, background, daemon = (self.machine.fork(self.process(session_id).pid) for _ in range(3))
        self.machine.set_group(background, foreground=False)
        self.machine.set_session(daemon)
        return session_id, job, background, daemon

    def cut_next_answer(self, command: str, answers: int) -> None:
        self.answers_kept = answers

    def crash(self) -> None:
        assert self.server is not None
        self.machine.exit(self.server.pid)


class Scene:
    """A tmux server, the terminal over it, and its clock."""

    def __init__(self, tmux: Tmux, terminal: Terminal, processes: Processes, next_second: Callable[[], None]) -> None:
        self.tmux = tmux
        self.terminal = terminal
        self.processes = processes
        self.next_second = next_second

    def listing(self, **options: Any) -> Listing:
        found = self.terminal.observe(OURS, **options)
        assert isinstance(found, Listing), found
        return found

    def seen(self, session_id: str) -> Session:
        [one] = [one for one in self.listing().sessions if one.key.session_id == session_id]
        return one

    def kill(self, *guards: Guard, since: int = 0, seconds: int = 5) -> dict[str, KillResult]:
        expiry = Expiry(self.listing().server_time + since, seconds)
        return dict(self.terminal.kill(guards, expiry).answers)


def wait_for_next_second() -> None:
    now = int(time.time())
    wait_until(lambda: time.time() >= now + 1)


@pytest.fixture(params=["tmux", "memory"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    if request.param == "memory":
        clock = VirtualClock(1_780_000_000.0)
        machine = MemoryMachine(clock)
        tmux = SimulatedTmux(machine)
        processes = MemoryProcesses(machine, machine.spawn(["workspace-reaper"]))
        yield Scene(tmux, MemoryTerminal(tmux), processes, lambda: clock.go_on(1.0))
        return
    with TmuxServer() as server:
        real = RealTmux(server, lambda: request.getfixturevalue("front_tmux"))
        yield Scene(real, TmuxTerminal(server.path), SystemProcesses(), wait_for_next_second)


def guard_of(key: SessionKey, **terms: Any) -> Guard:
    plain = Guard(key, activity=None, unattached=False, quiet_since=None, all_panes_dead=False)
    return replace(plain, **terms)


# The listing


def test_without_a_server_there_is_certainly_no_session(scene: Scene) -> None:
    listing = scene.listing()
    assert (listing.sessions, listing.server, listing.answered) == ((), None, False)


def test_a_new_session(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    listing = scene.listing()
    [seen] = listing.sessions
    assert (seen.key.session_id, seen.key.socket, seen.name) == (one, scene.tmux.path, "one")
    assert listing.server is not None
    assert (seen.key.server_pid, seen.key.server_start) == (listing.server.pid, listing.server.start)
    assert seen.key.created <= listing.server_time
    assert (seen.attached, seen.has_client, seen.group_has_client, seen.grouped, seen.kept) == (0, False, False, False, False)
    assert (seen.owner, seen.owner_id, seen.workspace_mark, seen.is_self_marked) == (Owner.NONE, "", "", False)
    assert (seen.last_attached, seen.all_panes_dead, len(seen.windows), len(seen.panes)) == (None, False, 1, 1)
    assert scene.listing(panes=False).sessions[0].panes == ()


def test_clients_of_the_session_and_of_its_group(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    peer = scene.tmux.new_session("peer", group=one)
    assert (scene.seen(one).grouped, scene.seen(peer).grouped) == (True, True)
    assert not scene.seen(one).is_attached
    client = scene.tmux.attach(one)
    seen = scene.seen(one)
    assert (seen.attached, seen.has_client, seen.last_attached) == (1, True, seen.activity)
    assert (scene.seen(peer).attached, scene.seen(peer).has_client, scene.seen(peer).is_attached) == (0, False, True)
    scene.tmux.suspend(one, client)
    assert (scene.seen(one).attached, scene.seen(one).has_client, scene.seen(one).is_attached) == (0, True, True)


def test_a_detached_client_leaves_its_traces(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    scene.next_second()
    client = scene.tmux.attach(one)
    scene.tmux.detach(one, client)
    seen = scene.seen(one)
    assert not seen.is_attached
    assert seen.last_attached is not None
    assert seen.last_attached > seen.key.created


def test_output_moves_the_window_and_not_the_session(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    before = scene.seen(one)
    scene.next_second()
    scene.tmux.write(one)
    after = scene.seen(one)
    assert after.activity == before.activity
    assert after.windows[0].activity > before.windows[0].activity


def test_a_dead_pane_and_a_new_program_in_it(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    scene.tmux.exit(one)
    seen = scene.seen(one)
    assert (seen.all_panes_dead, seen.panes[0].dead) == (True, True)
    scene.tmux.respawn(one)
    assert not scene.seen(one).all_panes_dead


def test_a_narrow_listing_has_those_that_were_asked_for(scene: Scene) -> None:
    ids = [scene.tmux.new_session(name) for name in ("one", "two", "three")]
    assert {ids[0]} <= {one.key.session_id for one in scene.listing(only=[ids[0]]).sessions} < set(ids)


@pytest.mark.parametrize("how", ["kill_server", "crash"])
def test_a_server_that_was_started_again_gives_the_same_ids_to_others(scene: Scene, how: str) -> None:
    first = scene.tmux.new_session("one")
    before = scene.seen(first).key
    getattr(scene.tmux, how)()
    assert (scene.listing().sessions, scene.listing().answered) == ((), False)
    scene.next_second()
    second = scene.tmux.new_session("one")
    assert second == first == "$0"
    assert scene.seen(second).key != before
    assert scene.kill(guard_of(before)) == {"$0": KillResult.SPARED}


def test_windows_and_panes(scene: Scene) -> None:
    one, other = (scene.tmux.new_session(name) for name in ("one", "other"))
    second = scene.tmux.split(one)
    seen = scene.seen(one)
    assert (len(seen.windows), {pane.pane_id for pane in seen.panes}) == (1, {"%0", second})
    assert {pane.window_id for pane in seen.panes} == {seen.windows[0].window_id}
    assert [window.linked for window in scene.seen(other).windows] == [False]
    scene.tmux.link(one, other)
    assert [window.linked for window in scene.seen(one).windows] == [True]
    assert [(window.window_id, window.linked) for window in scene.seen(other).windows][1:] == [
        (seen.windows[0].window_id, True)
    ]
    assert len(scene.seen(other).panes) == 3


def test_a_session_with_one_living_pane_is_not_dead(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    second = scene.tmux.split(one)
    scene.tmux.exit(one)
    seen = scene.seen(one)
    assert ({pane.pane_id: pane.dead for pane in seen.panes}, seen.all_panes_dead) == ({"%0": True, second: False}, False)


# What it is to processes


def test_a_pane_runs_a_process_below_the_server(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    key, [pane] = scene.seen(one).key, scene.seen(one).panes
    row = rows(scene.processes)[pane.pid]
    assert (row.parent, row.group, row.foreground) == (key.server_pid, pane.pid, pane.pid)
    assert row.origin == Origin(scene.tmux.path, key.server_pid, int(one[1:]), pane.pane_id)
    assert rows(scene.processes)[key.server_pid].origin is None
    scene.tmux.exit(one)
    gone(scene.processes, pane.pid)
    scene.tmux.respawn(one)
    [pane] = scene.seen(one).panes
    assert rows(scene.processes)[pane.pid].key != row.key


def end(scene: Scene, *pids: int) -> None:
    """End what has survived."""
    table = rows(scene.processes)
    for pid in pids:
        assert scene.processes.signal(table[pid].key, signal.SIGKILL) is SignalResult.SENT
        gone(scene.processes, pid)


def test_a_killed_session_hangs_up_its_processes(scene: Scene) -> None:
    one, job, background, daemon = scene.tmux.new_session_with_children("one")
    deaf, other = scene.tmux.new_deaf_session("deaf"), scene.tmux.new_session("other")
    pids = {session_id: scene.seen(session_id).panes[0].pid for session_id in (one, deaf, other)}
    key = scene.seen(deaf).key
    table = rows(scene.processes)
    assert [table[pid].group for pid in (job, background, daemon)] == [pids[one], background, daemon]
    assert [table[pid].foreground for pid in (job, background, daemon)] == [pids[one], pids[one], -1]
    assert {table[pid].parent for pid in (job, background, daemon)} == {pids[one]}
    for session_id in (one, deaf):
        scene.tmux.kill_session(session_id)
    for pid in (pids[one], job):
        gone(scene.processes, pid)
    table = rows(scene.processes)
    assert (table[pids[deaf]].parent, table[pids[deaf]].foreground) == (key.server_pid, -1)
    for pid in (background, daemon):
        assert (table[pid].parent != pids[one], table[pid].foreground) == (True, -1)
        assert table[pid].origin == Origin(scene.tmux.path, key.server_pid, 0, "%0")
    assert table[pids[other]].foreground == pids[other]
    end(scene, pids[deaf], background, daemon)


def test_a_program_that_ends_hangs_up_its_terminal(scene: Scene) -> None:
    one, job, background, daemon = scene.tmux.new_session_with_children("one")
    [pane] = scene.seen(one).panes
    assert scene.processes.signal(rows(scene.processes)[pane.pid].key, signal.SIGKILL) is SignalResult.SENT
    for pid in (pane.pid, job):
        gone(scene.processes, pid)
    wait_until(lambda: scene.seen(one).all_panes_dead)
    assert [rows(scene.processes)[pid].foreground for pid in (background, daemon)] == [-1, -1]
    end(scene, background, daemon)


@pytest.mark.parametrize("how", ["kill_server", "crash"])
def test_a_server_that_ends_hangs_up_its_processes(scene: Scene, how: str) -> None:
    one, deaf = scene.tmux.new_session("one"), scene.tmux.new_deaf_session("deaf")
    pid, deaf_pid = (scene.seen(session_id).panes[0].pid for session_id in (one, deaf))
    server = scene.seen(one).key.server_pid
    getattr(scene.tmux, how)()
    for each in (server, pid):
        gone(scene.processes, each)
    assert rows(scene.processes)[deaf_pid].parent != server
    end(scene, deaf_pid)


def test_a_window_that_another_session_shows_outlives_its_session(scene: Scene) -> None:
    one, other = (scene.tmux.new_session(name) for name in ("one", "other"))
    [pane] = scene.seen(one).panes
    scene.tmux.link(one, other)
    scene.tmux.kill_session(one)
    assert pane.pid in {each.pid for each in scene.seen(other).panes}
    assert not any(window.linked for window in scene.seen(other).windows)
    assert scene.processes.may_live(pane.pid, None)


# The guarded kill


def test_a_kill(scene: Scene) -> None:
    one, other = (scene.tmux.new_session(name) for name in ("one", "other"))
    assert scene.kill(guard_of(scene.seen(one).key)) == {one: KillResult.KILLED}
    assert [seen.key.session_id for seen in scene.listing().sessions] == [other]


def test_what_is_gone(scene: Scene) -> None:
    one, _other = (scene.tmux.new_session(name) for name in ("one", "other"))
    key = scene.seen(one).key
    scene.tmux.kill_session(one)
    assert scene.kill(guard_of(key)) == {one: KillResult.GONE}


def test_no_answer_without_a_server(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    key = scene.seen(one).key
    scene.tmux.kill_server()
    results = scene.terminal.kill([guard_of(key)], Expiry(key.created))
    assert dict(results.answers) == {one: KillResult.NONE}


@pytest.mark.parametrize(
    ("field", "value"), [("server_pid", 1), ("server_start", 1), ("created", 1)], ids=["pid", "start", "created"]
)
def test_another_identity_spares_it(scene: Scene, field: str, value: int) -> None:
    one = scene.tmux.new_session("one")
    key = scene.seen(one).key._replace(**{field: value})
    assert scene.kill(guard_of(key)) == {one: KillResult.SPARED}
    assert scene.seen(one)


Deed = Callable[[Scene, str], object]


def nothing(_scene: Scene, _session_id: str) -> None:
    """All stays as it was."""


def attach(scene: Scene, session_id: str) -> None:
    scene.tmux.attach(session_id)


def suspend(scene: Scene, session_id: str) -> None:
    scene.tmux.suspend(session_id, scene.tmux.attach(session_id))


def come_and_go(scene: Scene, session_id: str) -> None:
    scene.next_second()
    scene.tmux.detach(session_id, scene.tmux.attach(session_id))


def look_at_peer(scene: Scene, session_id: str) -> None:
    scene.tmux.attach(scene.tmux.new_session("peer", group=session_id))


def write(scene: Scene, session_id: str) -> None:
    scene.next_second()
    scene.tmux.write(session_id)


def keep(scene: Scene, session_id: str) -> None:
    scene.tmux.set_option(session_id, "@reaper_keep", "yes")


def keep_all(scene: Scene, _session_id: str) -> None:
    scene.tmux.set_global_option("@reaper_keep", "1")


def mark_as_theirs(scene: Scene, session_id: str) -> None:
    scene.tmux.set_option(session_id, "@workspace_owner", THEIRS)


def mark_as_another(scene: Scene, session_id: str) -> None:
    scene.tmux.set_option(session_id, "@reaper_workspace", "78")


def rename(scene: Scene, session_id: str) -> None:
    scene.tmux.rename(session_id, "mine")


KILLED, SPARED = KillResult.KILLED, KillResult.SPARED
TERMS: list[tuple[Deed, dict[str, Any], KillResult]] = [
    (nothing, {"activity": 0, "unattached": True, "quiet_since": 0, "owner": OURS, "workspace": MARK}, KILLED),
    (attach, {}, KILLED),
    (attach, {"unattached": True}, SPARED),
    (suspend, {"unattached": True}, SPARED),
    (look_at_peer, {"unattached": True}, SPARED),
    (come_and_go, {"unattached": True}, KILLED),
    (come_and_go, {"activity": 0}, SPARED),
    (write, {"activity": 0}, KILLED),
    (write, {"quiet_since": 0}, SPARED),
    (keep, {}, SPARED),
    (keep_all, {}, SPARED),
    (mark_as_theirs, {}, KILLED),
    (mark_as_theirs, {"owner": OURS}, SPARED),
    (mark_as_another, {"workspace": MARK}, SPARED),
    (rename, {"owner": OURS, "workspace": MARK}, KILLED),
    (nothing, {"all_panes_dead": True}, SPARED),
    (nothing, {"ungrouped": True}, KILLED),
]


@pytest.mark.parametrize(("deed", "terms", "result"), TERMS)
def test_each_term_of_a_guard(scene: Scene, deed: Deed, terms: dict[str, Any], result: KillResult) -> None:
    """A time of 0 stands for the one that was seen before the deed."""
    one = scene.tmux.new_session("one")
    scene.tmux.new_session("other")
    scene.terminal.mark({scene.seen(one).key: MARK}, OURS)
    before = scene.seen(one)
    seen = {"activity": before.activity, "quiet_since": before.windows[0].activity}
    deed(scene, one)
    guard = guard_of(before.key, **{name: seen.get(name, value) for name, value in terms.items()})
    assert scene.kill(guard) == {one: result}
    assert (one in {left.key.session_id for left in scene.listing().sessions}) is (result is SPARED)


@pytest.mark.parametrize(("terms", "result"), [({}, KILLED), ({"ungrouped": True}, SPARED)])
def test_a_session_that_joined_a_group_is_not_ended_by_itself(scene: Scene, terms: dict[str, Any], result: KillResult) -> None:
    """A viewer would keep its windows, and the programs in them."""
    one = scene.tmux.new_session("one")
    key = scene.seen(one).key
    scene.tmux.new_session("viewer", group=one)
    assert scene.kill(guard_of(key, **terms)) == {one: result}


def test_dead_panes_only(scene: Scene) -> None:
    one, other = (scene.tmux.new_session(name) for name in ("one", "other"))
    scene.tmux.exit(one)
    guards = [guard_of(scene.seen(each).key, all_panes_dead=True) for each in (one, other)]
    assert scene.kill(*guards) == {one: KILLED, other: SPARED}


@pytest.mark.parametrize(("since", "seconds"), [(-5, 5), (-9, 5), (10, 5), (60, 5), (0, 0)])
def test_an_expired_guard_kills_nothing(scene: Scene, since: int, seconds: int) -> None:
    one = scene.tmux.new_session("one")
    assert scene.kill(guard_of(scene.seen(one).key), since=since, seconds=seconds) == {one: KillResult.STALE}
    assert scene.seen(one)


# Answers that are cut


def test_a_listing_that_is_cut_is_unknown(scene: Scene) -> None:
    for name in ("one", "two"):
        scene.tmux.new_session(name)
    scene.tmux.cut_next_answer("list-sessions", 1)
    assert isinstance(scene.terminal.observe(OURS), Unknown)
    assert len(scene.listing().sessions) == 2


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_kills_whose_answers_are_cut_have_none_and_were_done(scene: Scene, answers: int) -> None:
    ids = [scene.tmux.new_session(name) for name in ("one", "two", "three")]
    guards, expiry = [guard_of(scene.seen(each).key) for each in ids[:2]], Expiry(scene.listing().server_time)
    scene.tmux.cut_next_answer("source-file", answers)
    results = scene.terminal.kill(guards, expiry)
    assert list(results.answers.values()) == [KILLED] * answers + [KillResult.NONE] * (2 - answers)
    assert [one.key.session_id for one in scene.listing().sessions] == ids[2:]


# Options


def test_marks(scene: Scene) -> None:
    one, theirs = (scene.tmux.new_session(name) for name in ("one", "theirs"))
    mark_as_theirs(scene, theirs)
    stranger = scene.seen(one).key._replace(created=1)
    scene.terminal.mark({stranger: MARK}, OURS)
    assert scene.seen(one).owner is Owner.NONE
    scene.terminal.mark({scene.seen(each).key: MARK for each in (one, theirs)}, OURS)
    seen = scene.seen(one)
    assert (seen.owner, seen.owner_id, seen.workspace_mark, seen.is_self_marked) == (Owner.OURS, OURS, MARK, True)
    assert (scene.seen(theirs).owner, scene.seen(theirs).workspace_mark) == (Owner.FOREIGN, "")


def test_marks_that_were_copied_are_not_those_of_the_session(scene: Scene) -> None:
    one, copy = (scene.tmux.new_session(name) for name in ("one", "copy"))
    scene.terminal.mark({scene.seen(one).key: MARK}, OURS)
    key = scene.seen(one).key
    scene.tmux.set_option(copy, "@workspace_owner", OURS)
    scene.tmux.set_option(copy, "@reaper_self", f"{one}/{key.created}/{key.server_pid}")
    assert not scene.seen(copy).is_self_marked
    own = scene.terminal.own_options([key, scene.seen(copy).key])
    assert [sorted(options) for options in own.values()] == [
        ["@reaper_self", "@reaper_workspace", "@workspace_owner"],
        ["@workspace_owner"],
    ]


def test_a_value_that_is_no_hexadecimal_number_is_shown_with_dots(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    scene.tmux.set_option(one, "@workspace_owner", "xyz 1")
    assert (scene.seen(one).owner, scene.seen(one).owner_id) == (Owner.FOREIGN, "....1")


def test_own_and_inherited_options(scene: Scene) -> None:
    one, other = (scene.tmux.new_session(name) for name in ("one", "other"))
    scene.tmux.set_global_option("@reaper_keep", "1")
    scene.tmux.set_option(one, "@reaper_keep", "1")
    assert (scene.seen(one).kept, scene.seen(other).kept) == (True, True)
    keys = [scene.seen(each).key for each in (one, other)]
    assert scene.terminal.own_options(keys) == {keys[0]: {"@reaper_keep": "1"}, keys[1]: {}}
    assert scene.terminal.own_options([keys[0]._replace(created=1)]) == {}


def test_adopt_and_release(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    key = scene.seen(one).key
    assert scene.terminal.adopt({key: MARK}, THEIRS, OURS) == frozenset()
    mark_as_theirs(scene, one)
    assert scene.terminal.release([key], OURS) == frozenset()
    assert scene.terminal.adopt({key: MARK}, THEIRS, OURS) == {key}
    assert (scene.seen(one).owner, scene.seen(one).is_self_marked) == (Owner.OURS, True)
    assert scene.terminal.release([key], OURS) == {key}
    assert (scene.seen(one).owner, scene.seen(one).workspace_mark) == (Owner.NONE, "")


def test_keep(scene: Scene) -> None:
    one = scene.tmux.new_session("one")
    key = scene.seen(one).key
    assert scene.terminal.keep(key, on=True)
    assert scene.seen(one).kept
    assert scene.terminal.keep(key, on=False)
    assert not scene.seen(one).kept
    scene.tmux.set_global_option("@reaper_keep", "1")
    assert not scene.terminal.keep(key, on=False)
    assert not scene.terminal.keep(key._replace(created=1), on=True)


def test_a_session_that_is_gone_cannot_be_captured(scene: Scene) -> None:
    one, _other = (scene.tmux.new_session(name) for name in ("one", "other"))
    key = scene.seen(one).key
    scene.tmux.kill_session(one)
    with tempfile.TemporaryFile() as spool:
        [failure] = scene.terminal.capture([key], lines=10, spool=spool)
    assert isinstance(failure, CaptureFailure)


def test_a_capture_has_each_pane_and_then_its_session(scene: Scene) -> None:
    one, other = (scene.tmux.new_session(name) for name in ("one", "other"))
    scene.tmux.split(one)
    keys = [scene.seen(each).key for each in (one, other)]
    lines: dict[tuple[SessionKey, str], int] = {}
    sessions: list[CapturedSession] = []
    with tempfile.TemporaryFile(buffering=0) as spool:
        for part in scene.terminal.capture(keys, lines=1000, spool=spool):
            if isinstance(part, CapturedPane):
                lines[part.key, part.pane_id] = b"".join(part.content).count(b"\n")
            else:
                assert isinstance(part, CapturedSession)
                sessions.append(part)
    assert [each.key for each in sessions] == keys
    assert lines.keys() == {(each.key, pane.pane_id) for each in scene.listing().sessions for pane in each.panes}
    panes = [(each.key, pane) for each in sessions for window in each.windows for pane in window.panes]
    assert {(key, pane.pane_id): pane.lines for key, pane in panes} == lines
    assert not any(pane.dead or pane.cut or pane.argv for _, pane in panes)


def test_a_capture_that_is_cut_has_failed(scene: Scene) -> None:
    ids = [scene.tmux.new_session(name) for name in ("one", "other")]
    keys = [scene.seen(each).key for each in ids]
    scene.tmux.cut_next_answer("source", 1)
    with tempfile.TemporaryFile(buffering=0) as spool:
        found = list(scene.terminal.capture(keys, lines=1000, spool=spool))
    assert [(part.key, isinstance(part, CaptureFailure)) for part in found] == [(key, True) for key in keys]
