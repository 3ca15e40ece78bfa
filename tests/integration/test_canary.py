"""``doctor --canary``: a session of our own goes the whole way of an orphan on a real socket, and nothing else is touched."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from typing import Any

import psutil
import pytest

import workspace_reaper
from tests.faults.steps import alarms, check_code, events, history, recalled
from tests.tools.front_tmux import FrontTmux, Rule
from tests.tools.tmux import TmuxServer
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_hookspecs import ReaperAlarm, WorkspacePlugins, hookimpl
from workspace_reaper.cli import main
from workspace_reaper.ledger.locks import FileSweepLock
from workspace_reaper.model.state import Alarm
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult, Workspace
from workspace_reaper.operations.canary import last_run, run_canary
from workspace_reaper.operations.canary import run as canary_runs
from workspace_reaper.operations.canary.schedule import CanarySchedule
from workspace_reaper.operations.doctor import Check
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.tmux.canary import PREFIX

PATIENCE = 60.0
STEPS = ["make", "observe", "look up", "judge", "confirm", "prepare", "recheck", "kill", "terminate", "record"]


class Neighbours:
    """What lives on the socket beside the canary: a workspace's session, an orphan, and one that is nobody's."""

    def __init__(self, world: World) -> None:
        self.world = world
        known = world.workspace()
        orphan = world.host.new_id(1000)
        self.ids = {world.session(known), world.session(orphan), world.server.new_session("somebody's own")}
        self._panes = self._children()
        self.state = self._state()

    def _children(self) -> set[int]:
        """The processes of all panes, also of those whose session is gone."""
        return {child.pid for child in psutil.Process(self.world.server.pid).children()}

    def _state(self) -> Any:
        names = "#{session_id} #{session_name} #{@workspace_owner} #{@reaper_keep} #{session_activity} #{window_activity}"
        return self.world.server.run("list-sessions", "-F", names)

    def are_alone_and_untouched(self) -> bool:
        """They are as they were, and nothing is left of a canary: no session, no process, no file."""
        assert self._state() == self.state
        wait_until(lambda: self._children() == self._panes)
        assert not (self.world.state_dir / "canary").exists()
        assert not list(self.world.state_dir.glob("snapshots/*"))
        return True


@pytest.fixture
def neighbours(world: World) -> Neighbours:
    return Neighbours(world)


def run(world: World, stopping: Callable[[], bool] = lambda: False) -> list[Check]:
    return run_canary(world.plugin.reaper(), stopping)


def one(world: World) -> Check:
    [check] = run(world)
    assert check.check == f"canary {world.server.path}"
    return check


class Listener:
    def __init__(self) -> None:
        self.alarms: list[ReaperAlarm] = []

    @hookimpl
    def on_reaper_alarm(self, alarm: ReaperAlarm) -> None:
        self.alarms.append(alarm)


# It is reaped


@pytest.mark.parametrize("schema", ["vibe-kanban", "cao"])
def test_it_goes_the_whole_way_and_disturbs_nothing(worlds: Callable[..., World], schema: str) -> None:
    strict = {"confirmation_gap": 3600, "activity_grace": 3600, "min_age": 3600, "orphan_confirmations": 9}
    world = worlds(schema, **strict, max_orphans_per_hour=1)
    neighbours = Neighbours(world)
    world.sweep()
    neighbours.state = neighbours._state()
    before, told = recalled(world), events(world)
    world.plugin.reaper().state.unrecorded_alarms.add(Alarm("blind", 1.0, "", ""))

    check = one(world)

    assert check.state == "OK", check
    assert [step for step in STEPS if f"{step} " in check.detail] == STEPS
    assert neighbours.are_alone_and_untouched()
    assert recalled(world) == before
    assert history(world) == []
    assert events(world) == [*told, "canary"]
    world.sweep()
    assert events(world) == [*told, "canary", "alarm", "alarm over"], (
        "what no ledger could have yet is not lost in the canary's"
    )
    with world.plugin.reaper().reading() as ledger:
        found = last_run(ledger)
    assert found is not None
    assert found[1]


def test_a_server_is_never_started_for_it(worlds: Callable[..., World]) -> None:
    world = worlds(servers=2)
    world.session(world.workspace(), server=world.servers[1])
    bare, reaped = run(world)
    assert (bare.state, reaped.state) == ("WARN", "OK")
    assert "no tmux server" in bare.detail
    assert world.server.session_ids() == set()
    assert events(world) == ["canary"]


def test_where_nothing_is_reaped_no_canary_is_sent(world: World, neighbours: Neighbours) -> None:
    world.configure(enabled=False)
    [switched_off] = run(world)
    assert (switched_off.state, "switched off" in switched_off.detail) == ("WARN", True)
    assert not world.state_dir.exists()
    del world.settings["database_url"], world.settings["registry"]
    world.configure()
    [unconfigured] = run(world)
    assert (unconfigured.state, "not configured" in unconfigured.detail) == ("WARN", True)


def test_what_a_killed_one_left_behind_is_no_obstacle(world: World, neighbours: Neighbours) -> None:
    (world.state_dir / "canary" / "snapshots").mkdir(parents=True)
    (world.state_dir / "canary" / "ledger.sqlite").write_text("no database")
    assert one(world).state == "OK"
    assert neighbours.are_alone_and_untouched()


def test_a_link_in_the_place_of_its_directory_is_not_followed(world: World, neighbours: Neighbours) -> None:
    away = world.tmp / "away"
    away.mkdir()
    (away / "precious").touch()
    world.sweep()
    (world.state_dir / "canary").symlink_to(away)
    check = one(world)
    assert check.state == "FAIL"
    assert "cannot create a directory" in check.detail
    assert (away / "precious").exists()


# It is not reaped


def test_a_kill_that_does_nothing_is_an_alarm_until_one_works(
    world: World, neighbours: Neighbours, front_tmux: FrontTmux
) -> None:
    world.sweep()
    neighbours.state = neighbours._state()
    listener, told = Listener(), events(world)
    with WorkspacePlugins() as plugins:
        plugins.register(world.plugin, "reaper")
        plugins.register(listener, "listener")
        front_tmux.rules(Rule("kill-session", times=3, real=False, exit_code=0))
        check = one(world)
        assert check.state == "FAIL"
        assert "failed: no answer from tmux in 3 attempts" in check.detail
        assert neighbours.are_alone_and_untouched()
        world.sweep()
        assert (alarms(world), check_code(world)) == ({"canary"}, 1)
        assert one(world).state == "OK"
        assert (alarms(world), check_code(world)) == (set(), 0)
        assert plugins.drain(PATIENCE)
    assert events(world) == [*told, "canary", "alarm", "canary", "alarm over"]
    assert [(alarm.name, alarm.ended_at is None) for alarm in listener.alarms] == [("canary", True), ("canary", False)]
    assert history(world) == []


def test_one_that_can_not_be_ended_is_told(world: World, neighbours: Neighbours, front_tmux: FrontTmux) -> None:
    front_tmux.rules(Rule("kill-session", real=False, exit_code=0))
    check = one(world)
    assert check.state == "FAIL"
    assert "could not be ended: it ends by itself within 300 s" in check.detail
    names = world.server.run("list-sessions", "-F", "#{session_name}").split("\n")
    [name] = [name for name in names if name.startswith(PREFIX)]
    assert name in check.detail
    # And no sweep of anybody touches it.
    front_tmux.rules()
    report = world.sweep()
    assert name not in [entry.session for entry in report.sessions]
    assert name in world.server.run("list-sessions")
    # Its process would outlive the server of the test.
    psutil.Process(int(world.server.run("list-panes", "-t", f"={name}:", "-F", "#{pane_pid}"))).kill()


def test_a_registry_that_can_not_be_read(world: World, neighbours: Neighbours) -> None:
    world.host.path.rename(world.tmp / "elsewhere")
    check = one(world)
    assert check.state == "FAIL"
    assert "host.sqlite" in check.detail
    assert neighbours.are_alone_and_untouched()


class RegistryInFront:
    """The world's registry, with another way to look up."""

    def __init__(
        self, registry: Any, look_up: Callable[[LookupResult | Unknown, Collection[str]], LookupResult | Unknown]
    ) -> None:
        self._registry = registry
        self._look_up = look_up

    def look_up(self, ids: Collection[str], sentinels: Collection[str], **how: bool) -> LookupResult | Unknown:
        return self._look_up(self._registry.look_up(ids, sentinels, **how), ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)


def put_in_front(world: World, look_up: Callable[[Any, Collection[str]], Any]) -> None:
    reaper = world.plugin.reaper()
    reaper.dependencies = replace(reaper.dependencies, registry=RegistryInFront(reaper.dependencies.registry, look_up))


def test_a_registry_that_knows_everything(world: World, neighbours: Neighbours) -> None:
    put_in_front(world, lambda rows, ids: replace(rows, found={one: Workspace(one) for one in ids}))
    check = one(world)
    assert check.state == "FAIL"
    assert "which never existed" in check.detail
    assert neighbours.are_alone_and_untouched()


@pytest.mark.parametrize(("error", "nth"), [(RuntimeError, 1), (KeyboardInterrupt, 3)], ids=["first look", "recheck"])
def test_an_error_in_a_step_leaves_nothing(world: World, neighbours: Neighbours, error: type[BaseException], nth: int) -> None:
    calls = iter(range(1, 10))

    def look_up(rows: LookupResult, _ids: Collection[str]) -> LookupResult:
        if next(calls) == nth:
            raise error
        return rows

    put_in_front(world, look_up)
    with pytest.raises(error):
        run(world)
    assert neighbours.are_alone_and_untouched()
    with FileSweepLock(world.state_dir, wait=0).held():
        pass


def test_what_is_kept_for_ever_is_ended_all_the_same(world: World, neighbours: Neighbours) -> None:
    world.server.run("set-option", "-g", "@reaper_keep", "1")
    neighbours.state = neighbours._state()
    check = one(world)
    assert check.state == "FAIL"
    assert "held by: kept" in check.detail
    assert "set-option -gu @reaper_keep" in check.do
    assert neighbours.are_alone_and_untouched()


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        ("rename-session stolen", "could not be created"),
        ("kill-session", "could not be created"),
        ("split-window 'sleep 100'", ""),
    ],
    ids=["renamed", "killed", "split"],
)
def test_a_hook_that_has_its_way_with_new_sessions(world: World, neighbours: Neighbours, hook: str, why: str) -> None:
    world.server.run("set-hook", "-g", "after-new-session", hook)
    world.configure(snapshots=False)
    check = one(world)
    assert check.state == ("FAIL" if why else "OK")
    assert why in check.detail
    assert neighbours.are_alone_and_untouched()


def test_a_socket_that_can_not_be_read(world: World, neighbours: Neighbours, front_tmux: FrontTmux) -> None:
    front_tmux.rules(Rule("list-sessions", stderr="lost server\n", exit_code=1, real=False))
    check = one(world)
    assert (check.state, "lost server" in check.detail) == ("FAIL", True)
    assert not any("new-session" in call for call in front_tmux.calls())


def test_a_ledger_that_can_not_be_written(world: World, neighbours: Neighbours) -> None:
    world.state_dir.mkdir(0o700)
    (world.state_dir / "ledger.sqlite").write_bytes(b"no database" * 1000)
    checks = run(world)
    assert [check.state for check in checks] == ["OK", "FAIL"]
    assert neighbours.are_alone_and_untouched()


# It is interrupted

MOMENTS = {
    "before it is made": Rule("new-session", hold="before", times=1),
    "after it is made": Rule("new-session", hold="after", times=1),
    "first listing": Rule("list-sessions", skip=2, hold="after", times=1),
    "snapshot": Rule("source", hold="before", times=1),
    "before the kill": Rule("kill-session", hold="before", times=1),
    "after the kill": Rule("kill-session", hold="after", times=1),
}


@pytest.mark.race
@pytest.mark.parametrize("moment", MOMENTS)
def test_interrupted_at_any_step_it_leaves_nothing(
    world: World, neighbours: Neighbours, front_tmux: FrontTmux, moment: str
) -> None:
    world.plugin.reaper()
    stop = threading.Event()
    front_tmux.rules(MOMENTS[moment])
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, world, stop.is_set)
        try:
            wait_until(lambda: front_tmux.is_held() or running.done(), PATIENCE)
            assert front_tmux.is_held()
            stop.set()
        finally:
            front_tmux.release()
        [check] = running.result(PATIENCE)
    assert (check.state, "interrupted" in check.detail) == ("WARN", True)
    assert neighbours.are_alone_and_untouched()
    assert events(world) == []


def test_interrupted_while_another_sweeps(world: World, neighbours: Neighbours) -> None:
    asked = iter([False, False, True, True, True])
    with FileSweepLock(world.state_dir).held():
        [check] = run(world, lambda: next(asked))
    assert (check.state, "interrupted" in check.detail) == ("WARN", True)
    assert neighbours.are_alone_and_untouched()


def test_another_that_sweeps_for_ever(world: World, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary_runs, "PATIENCE", 0.0)
    asked = iter([False, False])
    with FileSweepLock(world.state_dir).held():
        # Else it would wait a minute for the lock, to note it.
        check, *_ = run(world, lambda: next(asked, True))
    assert (check.state, "another reaper has been sweeping" in check.detail) == ("FAIL", True)


@contextmanager
def started(world: World) -> Any:
    world.write_config()
    program = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "--config", str(world.config)]
    with subprocess.Popen(
        [*program, "doctor", "--canary", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=world.environment(),
        cwd=world.tmp,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.race
def test_killed_hard_it_ends_by_itself(world: World, neighbours: Neighbours, front_tmux: FrontTmux) -> None:
    """Nobody is left to end it: what is left is a session that everybody takes for another's, with a bounded life."""
    world.server.run("set-option", "-g", "remain-on-exit", "on")
    front_tmux.rules(Rule("kill-session", hold="before", times=1))
    with started(world) as process:
        wait_until(front_tmux.is_held, PATIENCE)
        process.kill()
        process.communicate(timeout=PATIENCE)
    front_tmux.rules()
    listed = "#{session_name} #{pane_pid} #{?@workspace_owner,owned,free} #{pane_start_command}"
    [(name, pid, owned, command)] = [
        line.split(" ", 3) for line in world.server.run("list-panes", "-a", "-F", listed).split("\n") if PREFIX in line
    ]
    assert (owned, "sleep 300" in command) == ("owned", True)
    before = {entry.session for entry in world.sweep().sessions}
    assert name not in before
    psutil.Process(int(pid)).kill()  # as if its time had come
    wait_until(lambda: name not in world.server.run("list-sessions"))
    assert one(world).state == "OK"


# The command, and the daemon


def command(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    """Run ``workspace-reaper doctor --canary`` in this process, as its main thread; exit code and output."""
    world.write_config()
    plugin, out = ReaperPlugin(), io.StringIO()
    with monkeypatch.context() as patch, redirect_stdout(out):
        patch.setenv("WORKSPACE_REAPER_CONFIG", "/nowhere")
        patch.setattr(workspace_reaper, "plugin", plugin)
        patch.setattr(sys, "argv", ["workspace-reaper", "--config", str(world.config), "doctor", "--canary", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    plugin.close()
    return int(ended.value.code or 0), out.getvalue()


def test_the_command(world: World, neighbours: Neighbours, front_tmux: FrontTmux, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out = command(world, monkeypatch)
    assert (code, f"OK   canary {world.server.path}: reaped in" in out) == (0, True)
    front_tmux.rules(Rule("kill-session", times=3, real=False, exit_code=0))
    code, out = command(world, monkeypatch, "--json")
    [check] = [check for check in json.loads(out) if check["check"].startswith("canary")]
    assert set(check) == {"check", "state", "detail", "do"}
    assert (code, check["state"], check["detail"].startswith("the session was selected as orphan")) == (1, "FAIL", True)
    assert neighbours.are_alone_and_untouched()


@pytest.mark.usefixtures("restored_signals")
def test_the_command_obeys_signals_and_leaves_nothing(
    world: World, neighbours: Neighbours, front_tmux: FrontTmux, monkeypatch: pytest.MonkeyPatch
) -> None:
    front_tmux.rules(Rule("kill-session", hold="before", times=1))

    def interrupt() -> None:
        wait_until(front_tmux.is_held, PATIENCE)
        os.kill(os.getpid(), signal.SIGTERM)
        front_tmux.release()

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    code, out = command(world, monkeypatch, "--json")
    interrupting.join(PATIENCE)
    assert code == 128 + signal.SIGTERM
    [check] = [check for check in json.loads(out) if check["check"].startswith("canary")]
    assert check["state"] == "WARN"
    assert neighbours.are_alone_and_untouched()


def test_the_daemon_sends_one_when_it_is_due(world: World, neighbours: Neighbours) -> None:
    reaper = world.plugin.reaper()
    for _ in range(2):  # the second finds that one was sent
        patrol = CanarySchedule(reaper, 3600.0)
        patrol.start()
        wait_until(lambda: events(world) == ["canary"], PATIENCE)
        assert patrol.stop(PATIENCE)
    assert events(world) == ["canary"]
    assert neighbours.are_alone_and_untouched()


def test_an_error_does_not_end_the_daemons_canaries(
    world: World, neighbours: Neighbours, caplog: pytest.LogCaptureFixture
) -> None:
    calls = iter(range(10))

    def look_up(rows: LookupResult, _ids: Collection[str]) -> LookupResult:
        if not next(calls):
            raise RuntimeError("out of order")
        return rows

    put_in_front(world, look_up)
    patrol = CanarySchedule(world.plugin.reaper(), 0.05)
    patrol.start()
    wait_until(lambda: "canary" in events(world), PATIENCE)
    assert patrol.stop(PATIENCE)
    assert "canary: RuntimeError: out of order" in [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert neighbours.are_alone_and_untouched()


def test_the_daemon_is_stopped_while_one_is_under_way(world: World, neighbours: Neighbours, front_tmux: FrontTmux) -> None:
    front_tmux.rules(Rule("new-session", hold="after", times=1))
    patrol = CanarySchedule(world.plugin.reaper(), 3600.0)
    patrol.start()
    wait_until(front_tmux.is_held, PATIENCE)
    assert not patrol.stop(0)
    front_tmux.release()
    assert patrol.stop(PATIENCE)
    assert neighbours.are_alone_and_untouched()
    assert events(world) == []


def test_one_that_was_never_started_is_stopped(tmux_server: TmuxServer, world: World) -> None:
    assert CanarySchedule(world.plugin.reaper(), 3600.0).stop(0)
