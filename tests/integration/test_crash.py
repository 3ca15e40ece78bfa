"""A reaper that is killed (SIGKILL) at any of its nine steps: the next sweep closes what it left open, from what it sees."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.tools.distributions import install
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.hosts import connected
from tests.tools.waiting import wait_until
from tests.tools.world import World, outcomes
from workspace_hookspecs import Reaped, WorkspacePlugins, hookimpl
from workspace_reaper.operations.restore import is_restorable
from workspace_reaper.operations.status import read_history
from workspace_reaper.sweep.report import reap_as_json

pytestmark = pytest.mark.once

BEFORE_KILL = Rule("kill-session", times=1, hold="before")
AFTER_KILL = Rule("kill-session", times=1, hold="after")
CAPTURE = Rule("source", skip=1, times=1)
"""The first such call lists the panes."""


def history(world: World) -> list[tuple[str, str, str | None]]:
    """Workspace, outcome and why, oldest first."""
    reaps = read_history(world.plugin.reaper(), 100)
    return [(reap.intent.workspace_id, reap.outcome, reap.why) for reap in reversed(reaps)]


def told_history(world: World) -> list[dict[str, Any]]:
    """As ``history --json`` tells it, newest first."""
    reaper = world.plugin.reaper()
    return [reap_as_json(reap, restorable=is_restorable(reap, reaper.snapshots)) for reap in read_history(reaper, 100)]


@contextmanager
def sweeping(world: World, *rules: dict[str, object], **environ: str) -> Iterator[tuple[FrontTmux, subprocess.Popen[bytes]]]:
    """A sweep in a process of its own, killed at the end, with its tmux client if one waits."""
    front = FrontTmux(world.tmp / "front")
    front.rules(*rules)
    world.write_config()
    command = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(world.config), "sweep"]
    process = subprocess.Popen(
        command,
        env=front.environment(world.environment(**environ)),
        cwd=world.tmp,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield front, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def killed_when(world: World, happens: Callable[[], bool], *rules: dict[str, object]) -> None:
    """Sweep, and kill the reaper as soon as that is so."""
    with sweeping(world, *rules) as (front, process):
        wait_until(lambda: front.is_held() or happens() or process.poll() is not None, 60)
        front.release()
        wait_until(lambda: happens() or process.poll() is not None, 60)
        assert process.poll() is None, "the sweep ended before it came so far"


def killed_at(world: World, rule: dict[str, object]) -> None:
    """Sweep, and kill the reaper, with its tmux client, where the rule holds it."""
    with sweeping(world, rule) as (front, process):
        wait_until(lambda: front.is_held() or process.poll() is not None, 60)
        assert front.is_held(), "the sweep ended before it came to what was to be held"


@pytest.fixture
def archived(world: World) -> list[str]:
    """Two sessions that the next sweep reaps, marked by an earlier one, beside one that it does not."""
    ids = world.workspaces(3)
    world.sweep()
    for one in ids[:2]:
        world.host.archive(one)
    return ids[:2]


@contextmanager
def blind(world: World) -> Iterator[None]:
    """Nobody can ask this tmux server."""
    path = Path(world.server.path)
    path.rename(path.with_name("away"))
    try:
        yield
    finally:
        path.with_name("away").rename(path)


def test_intents_stay_open_while_another_server_has_the_socket_of_theirs(world: World, archived: list[str]) -> None:
    """The sessions live on: what ran in them is not ended, and they do not count as reaped."""
    killed_at(world, BEFORE_KILL)
    server = psutil.Process(world.server.pid)
    panes = server.children()
    Path(world.server.path).unlink()
    world.session(world.workspace())
    for _ in range(2):
        assert world.sweep().exit_code == 3
        assert sorted(history(world)) == sorted((one, "open", None) for one in archived)
    assert all(process.is_running() for process in (server, *panes))
    server.send_signal(signal.SIGUSR1)
    wait_until(lambda: world.lives(archived[0]))
    assert outcomes(world.sweep()).items() >= dict.fromkeys(archived, "reaped").items()


def test_killed_between_intent_and_kill(world: World, archived: list[str]) -> None:
    killed_at(world, BEFORE_KILL)
    assert all(map(world.lives, archived))
    assert sorted(history(world)) == sorted((one, "open", None) for one in archived)

    report = world.sweep()

    assert not report.unknown, "the lock and the ledger of the dead are free"
    assert [outcomes(report)[one] for one in archived] == ["reaped", "reaped"]
    assert sorted(history(world)[:2]) == sorted((one, "spared", "interrupted before the kill") for one in archived)
    assert sorted(history(world)[2:]) == sorted((one, "reaped", None) for one in archived)


def test_killed_between_intent_and_kill_and_then_nobody_wants_it_gone(world: World, archived: list[str]) -> None:
    """An old intent convicts nobody."""
    killed_at(world, BEFORE_KILL)
    for one in archived:
        world.host.archive(one, on=False)
    assert set(outcomes(world.sweep()).values()) == {"none"}
    assert all(map(world.lives, archived))
    assert {told[1:] for told in history(world)} == {("spared", "interrupted before the kill")}


def test_killed_between_kill_and_outcome(world: World, archived: list[str]) -> None:
    killed_at(world, AFTER_KILL)
    assert not any(map(world.lives, archived))
    assert sorted(history(world)) == sorted((one, "open", None) for one in archived)
    # While the socket can't be read nobody knows how it ended: its server lives, so it is not empty.
    with blind(world):
        assert world.sweep().exit_code == 3
    assert {outcome for _, outcome, _ in history(world)} == {"open"}

    report = world.sweep()

    assert not set(outcomes(report)) & set(archived)
    assert report.exit_code == 0
    assert sorted(history(world)) == sorted((one, "reaped", "found gone after an interruption") for one in archived)


def test_a_dry_run_after_a_crash_closes_nothing(world: World, archived: list[str]) -> None:
    killed_at(world, AFTER_KILL)
    world.sweep(dry_run=True)
    assert {outcome for _, outcome, _ in history(world)} == {"open"}


# At each of the nine steps

STUBBORN = """
trap '' HUP
trap ': > "$0.told"' TERM
: > "$0.started"
while :; do sleep 100000 & wait; done
"""
"""It notes a TERM, and ends by KILL only."""


@dataclass
class Scene:
    """Two archived workspaces; in the pane of each a line of text, and behind a ``setsid`` what only a KILL ends. ``extra`` is
    a session that lives, and is not marked as ours yet. ``processes`` are the stubborn ones."""

    world: World
    ids: list[str] = field(default_factory=list)
    extra: str = ""
    processes: list[psutil.Process] = field(default_factory=list)

    def script(self, one: str) -> Path:
        return self.world.tmp / f"stubborn-{one}"

    def told(self) -> bool:
        """Each of them has been sent a TERM."""
        return all(Path(f"{self.script(one)}.told").exists() for one in self.ids)

    def stubborn_live(self) -> bool:
        return any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in self.processes)

    def snapshots(self) -> dict[str, str]:
        """What lies in the directory of snapshots: of each its pane's text. Raises for one that is not whole."""
        root, store = self.world.state_dir / "snapshots", self.world.plugin.reaper().snapshots
        found = {}
        for place in root.iterdir() if root.exists() else ():
            if place.name.startswith(".work-"):
                continue
            [window] = store.read(place.name).windows
            [pane] = window.panes
            found[place.name] = b"".join(store.scrollback(place.name, pane.pane_id)).decode()
            assert "the last line of" in found[place.name]
        return found

    def leftovers(self) -> list[str]:
        """What is half-written."""
        root = self.world.state_dir / "snapshots"
        return [path.name for path in root.iterdir() if path.name.startswith(".work-")] if root.exists() else []

    def open_intents(self) -> int:
        return sum(outcome == "open" for _, outcome, _ in history(self.world))


@pytest.fixture
def scene(worlds: Callable[..., World]) -> Iterator[Scene]:
    world = worlds(kill_grace=0.2)
    made = Scene(world)
    for _ in range(2):
        one = world.workspace()
        script = made.script(one)
        script.write_text(STUBBORN)
        run = f"echo the last line of {one}; setsid sh {shlex.quote(str(script))} & exec sleep 100000"
        session_id = world.session(one, command=run)
        wait_until(Path(f"{script}.started").exists)
        pane = int(world.server.show(session_id, "#{pane_pid}"))
        [stubborn] = [child for child in psutil.Process(pane).children() if str(script) in child.cmdline()]
        made.processes.append(stubborn)
        made.ids.append(one)
    world.sweep()
    for one in made.ids:
        world.host.archive(one)
    made.extra = world.workspace()
    world.session(made.extra)
    try:
        yield made
    finally:
        for process in made.processes:
            # psutil itself sees to it that a pid is still the same process; any of them may end by itself meanwhile.
            with contextlib.suppress(psutil.NoSuchProcess):
                for each in process.children():
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
                process.kill()


def at_observe(scene: Scene) -> None:
    killed_at(scene.world, Rule("list-sessions", times=1, hold="before"))


def at_look_up(scene: Scene) -> None:
    """The host's database is locked, so that it waits, with the file open."""
    host = scene.world.host.path

    def reads() -> bool:
        return any(Path(file.path) == host for file in psutil.Process(process.pid).open_files())

    with connected(host) as connection, sweeping(scene.world) as (_, process):
        connection.execute("BEGIN EXCLUSIVE")
        wait_until(lambda: process.poll() is not None or reads(), 60)
        assert process.poll() is None
        connection.rollback()


SUICIDE = """
import os, signal
from workspace_hookspecs import hookimpl

@hookimpl
def {hook}({argument}):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_by_plugin(scene: Scene, hook: str, argument: str) -> None:
    """The signal comes from within, when the plugins are called."""
    site = scene.world.tmp / "site"
    install(
        site, "a-suicide", {"suicide": SUICIDE.format(hook=hook, argument=argument)}, "[workspace_server]\nsuicide = suicide\n"
    )
    with sweeping(scene.world, PYTHONPATH=str(site)) as (_, process):
        assert process.wait(60) == -signal.SIGKILL


def at_judge(scene: Scene) -> None:
    """Judged, and nothing of it written yet: the plugins are asked for vetoes."""
    killed_by_plugin(scene, "reaper_veto", "candidates")
    assert scene.open_intents() == 0


def at_confirm(scene: Scene) -> None:
    """What this sweep saw is written, and the new session is being marked as ours."""
    killed_at(scene.world, Rule("set-option", times=1, hold="before"))
    assert scene.open_intents() == 0


def before_the_intent(scene: Scene) -> None:
    """Somebody else writes in the ledger, so that the intent has to wait."""
    world = scene.world
    with sweeping(world, Rule("set-option", times=1, hold="after")) as (front, process):
        wait_until(lambda: front.is_held() or process.poll() is not None, 60)
        with ledger_locked(world):
            before = psutil.Process(process.pid).num_ctx_switches().voluntary
            front.release()
            # It looks at the processes for 0.2 s, and then polls for the lock.
            wait_until(lambda: psutil.Process(process.pid).num_ctx_switches().voluntary > before + 10, 60)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
    assert scene.open_intents() == 0


@contextmanager
def ledger_locked(world: World) -> Iterator[None]:
    """Nobody else can write in the ledger."""
    with closing(sqlite3.connect(world.state_dir / "ledger.sqlite", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def at_capture(scene: Scene) -> None:
    killed_at(scene.world, CAPTURE | {"hold": "before"})
    assert scene.open_intents() == 2
    assert scene.leftovers()


def after_capture(scene: Scene) -> None:
    """tmux has told all of it."""
    killed_at(scene.world, CAPTURE | {"hold": "after"})
    assert scene.leftovers()


def at_recheck(scene: Scene) -> None:
    killed_at(scene.world, Rule("list-sessions", skip=1, times=1, hold="before"))
    assert len(scene.snapshots()) == 2


def before_kill(scene: Scene) -> None:
    killed_at(scene.world, BEFORE_KILL)
    assert len(scene.snapshots()) == 2


def after_kill(scene: Scene) -> None:
    killed_at(scene.world, AFTER_KILL)
    assert not any(map(scene.world.lives, scene.ids))
    assert not scene.told()


def at_terminate(scene: Scene) -> None:
    """TERM is sent, and KILL would be sent in a minute."""
    scene.world.configure(kill_grace=60)
    killed_when(scene.world, scene.told)
    scene.world.configure(kill_grace=0.2)
    assert scene.stubborn_live()


def at_record(scene: Scene) -> None:
    """All of it is done, and nothing can be written of it."""
    with sweeping(scene.world, AFTER_KILL) as (front, process):
        wait_until(lambda: front.is_held() or process.poll() is not None, 60)
        with ledger_locked(scene.world):
            front.release()
            wait_until(lambda: not scene.stubborn_live() or process.poll() is not None, 60)
            assert process.poll() is None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
    assert scene.open_intents() == 2


def after_record(scene: Scene) -> None:
    """The plugins are told of a reap."""
    killed_by_plugin(scene, "on_session_reaped", "reap")
    assert scene.open_intents() == 0


ABANDONED = [at_observe, at_look_up, at_judge, at_confirm, before_the_intent]
SPARED = [at_capture, after_capture, at_recheck, before_kill]
FINISHED = [after_kill, at_terminate, at_record]
STEPS = [*ABANDONED, *SPARED, *FINISHED, after_record]


@pytest.mark.race
@pytest.mark.parametrize("killed", STEPS, ids=[step.__name__ for step in STEPS])
def test_killed_at_each_step_nothing_is_lost_and_the_next_sweep_finishes(scene: Scene, killed: Callable[[Scene], None]) -> None:
    world = scene.world
    killed(scene)
    before = scene.snapshots()  # each is whole
    if killed in FINISHED or killed is after_record:
        assert len(before) == 2, "what was killed is kept"

    report = world.sweep()

    assert (report.unknown, report.exit_code) == ([], 0)
    assert world.lives(scene.extra)
    assert not any(map(world.lives, scene.ids))
    assert not scene.stubborn_live()
    assert scene.leftovers() == []
    told = [(outcome, why) for _, outcome, why in history(world)]
    if killed in FINISHED:
        assert told == [("reaped", "found gone after an interruption")] * 2
    elif killed in SPARED:
        assert sorted(told[:2]) == [("spared", "interrupted before the kill")] * 2
        assert told[2:] == [("reaped", None)] * 2
    else:
        assert told == [("reaped", None)] * 2
    reaped = [row for row in told_history(world) if row["outcome"] == "reaped"]
    assert all(row["restorable"] for row in reaped)
    assert set(scene.snapshots()) == {row["id"] for row in reaped}
    if killed in FINISHED:
        assert scene.snapshots() == before
        ended = {(ended["pid"], ended["signal"]) for row in reaped for ended in row["ended"]}
        if killed is not at_record:
            assert ended >= {(process.pid, "KILL") for process in scene.processes}


def test_killed_after_the_kill_and_then_its_workspace_is_wanted_again(scene: Scene) -> None:
    """Perhaps the user closed the session and goes on with what it started: nothing of it is signalled, all of it is told."""
    after_kill(scene)
    for one in scene.ids:
        scene.world.host.archive(one, on=False)

    scene.world.sweep()

    assert scene.stubborn_live()
    assert not scene.told()
    reaps = read_history(scene.world.plugin.reaper(), 10)
    assert {reap.why for reap in reaps} == {"found gone after an interruption"}
    left = {survivor.pid: survivor.why for reap in reaps for survivor in reap.cleanup.survivors}
    assert left.keys() >= {process.pid for process in scene.processes}
    assert all("interrupted" in why for why in left.values())
    assert all(row["restorable"] for row in told_history(scene.world))


def test_i96_killed_after_the_kill_a_server_that_the_intent_does_not_name_is_reported(world: World, tmp_path: Path) -> None:
    """Its environment is cleaned, and it has left the tree of its session before the first sweep."""
    worktree, pid_file = tmp_path / "worktree", tmp_path / "server.pid"
    worktree.mkdir()
    one = world.workspace(worktree=str(worktree))
    inner = f"echo $$ > {pid_file}; exec sleep 100000"
    world.session(one, command=f"cd {worktree}; (env -i setsid sh -c {shlex.quote(inner)} &); exec sleep 100000")
    wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    server = psutil.Process(int(pid_file.read_text()))
    try:
        wait_until(lambda: server.name() == "sleep")
        world.server.new_session("beside")
        world.sweep()
        world.host.archive(one)
        killed_at(world, AFTER_KILL)
        world.host.archive(one, on=False)
        world.sweep()
        [reap] = read_history(world.plugin.reaper(), 10)
        assert reap.why == "found gone after an interruption"
        why = "it works in the workspace's directory, and nothing shows that the session started it"
        assert [(left.pid, left.why) for left in reap.cleanup.survivors] == [(server.pid, why)]
        assert server.is_running()
    finally:
        server.kill()


class AnotherBoot:
    """The processes of this machine, after it was started anew."""

    boot = "another"

    def __init__(self, processes: Any) -> None:
        self._processes = processes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processes, name)


def test_killed_after_the_kill_and_then_the_machine_starts_anew(scene: Scene) -> None:
    """The same pid with the same start time, since the boot, is somebody else."""
    after_kill(scene)
    reaper = scene.world.plugin.reaper()
    reaper.dependencies = replace(reaper.dependencies, processes=AnotherBoot(reaper.dependencies.processes))

    scene.world.sweep()

    assert scene.stubborn_live()
    assert not scene.told()
    reaps = read_history(reaper, 10)
    assert {(reap.outcome, reap.why) for reap in reaps} == {("reaped", "found gone after an interruption")}
    assert {(reap.cleanup.ended, reap.cleanup.survivors) for reap in reaps} == {((), ())}


class Listener:
    def __init__(self) -> None:
        self.reaps: list[Reaped] = []

    @hookimpl
    def on_session_reaped(self, reap: Reaped) -> None:
        self.reaps.append(reap)


def test_the_plugins_hear_of_what_was_found_gone_too(scene: Scene) -> None:
    after_kill(scene)
    listener = Listener()
    with WorkspacePlugins() as plugins:
        plugins.register(scene.world.plugin, "reaper")
        plugins.register(listener, "listener")
        scene.world.sweep()
        assert plugins.drain(30)
    told = {(reap.id, reap.workspace_id, reap.outcome, reap.restorable) for reap in listener.reaps}
    rows = told_history(scene.world)
    assert told == {(row["id"], row["workspace_id"], "reaped", True) for row in rows}
    assert len(rows) == 2
