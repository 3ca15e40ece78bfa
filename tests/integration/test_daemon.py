"""The host daemon: what it does between its start and its end, and in which words it says so.

It runs in this process where it can, so that its lines are covered: in the main thread, which alone gets signals, while what
a test does beside it runs in another. What may not be survived runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

import workspace_reaper
from tests.faults.steps import alarms
from tests.tools.daemons import Daemon
from tests.tools.waiting import wait_until
from tests.tools.world import World
from workspace_reaper.cli import main
from workspace_reaper.daemon import daemon as daemon_process
from workspace_reaper.daemon.signals import SIGNALS
from workspace_reaper.ledger.locks import FileSweepLock, Holder, InstanceLock
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.operations.status import read_history, read_status
from workspace_reaper.plugin import ReaperPlugin

pytestmark = pytest.mark.once

Worlds = Callable[..., World]
PATIENCE = 60.0


@dataclass
class Here:
    """The daemon in this process. ``log`` are its lines, ``told`` what it told its service manager; both grow."""

    world: World
    output: io.StringIO = field(default_factory=io.StringIO)
    told: list[str] = field(default_factory=list)
    code: int | None = None

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.getvalue().splitlines() if line.startswith("{")]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == name]

    def wait_for(self, told: str) -> None:
        wait_until(lambda: told in self.told, PATIENCE)

    def wait_for_event(self, name: str, times: int = 1) -> dict[str, Any]:
        return wait_until(lambda: self.events(name)[times - 1 : times], PATIENCE)[0]

    def signal(self, number: signal.Signals) -> None:
        os.kill(os.getpid(), number)

    def reload(self, **settings: object) -> None:
        """With these settings in the file, and wait until it is done, or refused."""
        self.world.settings.update(settings)
        self.world.write_config()
        times = self.told.count("READY=1")
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.told.count("READY=1") > times, PATIENCE)


Serve = Callable[..., Here]


@pytest.fixture
def as_it_was(restored_signals: None) -> Iterator[None]:
    """Logging and signals are the process's own again after the test; a signal that comes late ends nobody."""
    loggers = [logging.getLogger(name) for name in (None, "workspace_reaper", "workspace_hookspecs")]
    levels, handlers, hook = [logger.level for logger in loggers], list(loggers[0].handlers), threading.excepthook
    del restored_signals
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    loggers[0].handlers[:] = handlers
    logging.captureWarnings(capture=False)
    threading.excepthook = hook


@contextmanager
def service_manager(directory: Path, told: list[str]) -> Iterator[str]:
    """A service manager that writes down what it is told; its address."""
    address = str(directory / "notify")

    def listen() -> None:
        while data := manager.recv(65536):
            told.extend(data.decode().split("\n"))

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        listening = threading.Thread(target=listen)
        listening.start()
        yield address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", address)
        listening.join(PATIENCE)
    Path(address).unlink()


@pytest.fixture
def serve(short_tmp: Path, monkeypatch: pytest.MonkeyPatch, as_it_was: None) -> Serve:
    """``serve(world, script, **environ)`` runs ``workspace-reaper run`` in this thread, and ``script(here)``, once it is
    ready, in another; ``stop`` ends it after that."""

    def run(world: World, script: Callable[[Here], None], *, stop: signal.Signals = signal.SIGTERM, **environ: str) -> Here:
        world.settings.setdefault("log_format", "json")
        here = Here(world)
        plugin = ReaperPlugin()
        problems: list[BaseException] = []

        def act() -> None:
            try:
                here.wait_for("READY=1")
                script(here)
            except BaseException as error:  # noqa: BLE001  it fails the test, below
                problems.append(error)
            here.signal(stop)

        acting = threading.Thread(target=act, daemon=True)
        with service_manager(short_tmp, here.told) as address, monkeypatch.context() as patch:
            variables = {"NOTIFY_SOCKET": address, "WORKSPACE_REAPER_CONFIG": "/nowhere", **environ}
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(workspace_reaper, "plugin", plugin)
            patch.setattr(sys, "argv", ["workspace-reaper", "--config", str(world.write_config()), "run"])
            acting.start()
            with redirect_stderr(here.output):
                try:
                    main()
                    here.code = 0
                except SystemExit as ended:
                    here.code = int(ended.code or 0)
            acting.join(PATIENCE)
        plugin.close()
        if problems:
            raise problems[0]
        assert "Traceback" not in here.output.getvalue()
        return here

    return run


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_what_is_deleted_or_archived_goes_and_a_signal_ends_it(world: World, serve: Serve, stop: signal.Signals) -> None:
    deleted, archived, other = world.workspaces(3)
    world.configure(activity_grace=3600)

    def script(here: Here) -> None:
        assert InstanceLock(world.state_dir).holder() is not None
        world.host.delete(deleted)
        wait_until(lambda: not world.lives(deleted), PATIENCE)
        wait_until(lambda: here.events("reaped"), PATIENCE)
        world.host.archive(archived)
        wait_until(lambda: not world.lives(archived), PATIENCE)
        assert world.new_plugin().sweep().complete, "a sweep from the command line goes on beside it"
        wait_until(lambda: len(here.events("reaped")) == 2, PATIENCE)

    here = serve(world, script, stop=stop)

    assert here.code == 0
    assert world.lives(other)
    assert InstanceLock(world.state_dir).holder() is None
    (watching,) = here.events("watching")  # before the first line or, where the database is slow, after it
    assert watching["workspaces"] == 3
    assert [line["event"] for line in here.log if line != watching and line["event"] != "first sweep"] == [
        "started",
        "deleted",
        "reaped",
        "archived",
        "reaped",
        "stopping",
        "stopped",
    ]
    first = here.events("reaped")[0]
    assert (first["workspace"], first["reason"], first["level"]) == (deleted, "removed", "warning")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["timestamp"])
    assert [line for line in here.told if not line.startswith(("STATUS=", "WATCHDOG="))] == ["READY=1", "STOPPING=1"]
    assert here.output.getvalue().count("\n") == len(here.log)


def test_key_and_value_are_the_log_where_it_is_set_so(world: World, serve: Serve) -> None:
    (archived,) = world.workspaces(1, archived=True)
    world.configure(log_format="keyvalue")

    def script(here: Here) -> None:
        wait_until(lambda: f" workspace={archived} " in here.output.getvalue(), PATIENCE)
        here.reload(log_format="json")
        here.wait_for_event("reloaded")

    here = serve(world, script)
    plain = here.output.getvalue()
    assert re.search(r"^timestamp=\S+Z level=warning event=reaped socket=\S+ session=vk_\S+ ", plain, re.MULTILINE)


def test_a_reload_takes_effect_and_a_bad_one_is_refused(world: World, serve: Serve) -> None:
    """It begins switched off. HUPs come twice, and in the middle of sweeps."""
    archived, deleted, other = world.workspace(archived=True), world.workspace(), world.workspace()
    for one in (archived, deleted, other):
        world.session(one)
    world.configure(enabled=False, tick=3600)

    def script(here: Here) -> None:
        assert "switched off" in here.told[1]
        here.reload(enabled=True, idle_tll=5)
        del world.settings["idle_tll"]
        here.reload(state_dir=str(world.tmp / "elsewhere"))
        here.reload(state_dir=str(world.state_dir), registry="unheard-of")
        whole = dict(world.settings, registry=world.schema)
        for name in ("registry", "database_url"):
            del world.settings[name]
        here.reload()
        assert len(here.events("not reloaded")) == 4
        assert here.events("reloaded") == []
        assert world.lives(archived)

        world.settings = whole
        here.reload()
        here.signal(signal.SIGHUP)
        here.signal(signal.SIGHUP)
        wait_until(lambda: not world.lives(archived), PATIENCE)
        world.workspace()  # their number distinguishes the line of the new watcher from those before
        here.reload(activity_grace=3600)
        wait_until(lambda: any(line["workspaces"] == 4 for line in here.events("watching")), PATIENCE)
        world.host.delete(deleted)
        wait_until(lambda: not world.lives(deleted), PATIENCE)
        wait_until(lambda: len(here.events("reaped")) == 2, PATIENCE)

    here = serve(world, script)

    assert here.code == 0
    whys = [line["why"] for line in here.events("not reloaded")]
    assert [re.split(r"[: ]", why)[0] for why in whys] == ["idle_tll", "state_dir", "registry", "not"]
    assert "restart the daemon" in whys[1]
    assert world.lives(other)
    assert not (world.tmp / "elsewhere").exists()
    assert here.events("started")[0]["level"] == "warning"
    reloading = here.told.index("RELOADING=1")
    assert here.told[reloading + 1].startswith("MONOTONIC_USEC=")
    assert here.told.count("RELOADING=1") == here.told.count("READY=1") - 1


def test_a_refused_reload_is_an_alarm_until_one_is_accepted(world: World, serve: Serve) -> None:
    world.configure(tick=3600)
    world.session(world.workspace())
    reader = world.plugin.reaper()  # with the file that is valid

    def script(here: Here) -> None:
        wait_until(lambda: world.state_dir.exists() and workspace_reaper.plugin.busy_since is None, PATIENCE)
        here.reload(idle_tll=5)
        wait_until(lambda: alarms(world) == {"configuration"}, PATIENCE)
        workspace_reaper.plugin.sweep()
        checked = read_status(reader)
        assert (checked.check_code, [alarm.detail.partition(": ")[0] for alarm in checked.alarms]) == (
            1,
            ["a reload was refused, and the configuration before stays in force"],
        )
        del world.settings["idle_tll"]
        here.reload()
        wait_until(lambda: alarms(world) == set(), PATIENCE)

    serve(world, script)


def test_a_reload_loses_no_wake_up(world: World, serve: Serve) -> None:
    """What was asked for while a sweep was on is done after it, under the new configuration."""
    archived = world.workspace()
    world.session(archived)
    world.configure(activity_grace=3600, tick=3600)

    def script(here: Here) -> None:
        wait_until(lambda: world.state_dir.exists() and workspace_reaper.plugin.busy_since is None, PATIENCE)
        with FileSweepLock(world.state_dir).held():
            world.host.archive(archived)
            here.wait_for_event("archived")
            wait_until(lambda: workspace_reaper.plugin.busy_since is not None, PATIENCE)
            here.reload()
            assert world.lives(archived)
        wait_until(lambda: not world.lives(archived), PATIENCE)

    serve(world, script)


def test_a_part_that_hangs_is_said_and_the_watchdog_hears_nothing(
    world: World, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.configure(tick=3600, kill_grace=0)

    def script(here: Here) -> None:
        here.wait_for("WATCHDOG=1")
        wait_until(lambda: world.state_dir.exists() and workspace_reaper.plugin.busy_since is None, PATIENCE)
        with FileSweepLock(world.state_dir).held():
            monkeypatch.setattr(daemon_process, "SWEEP_LIMIT", 0.1)
            here.signal(signal.SIGHUP)
            here.wait_for("STATUS=a sweep hangs, or its thread has ended")
            since = len(here.told)
            here.signal(signal.SIGHUP)
            here.wait_for_event("reloaded", 2)
            assert "WATCHDOG=1" not in here.told[since:]
            assert len(here.events("stuck")) == 1
        here.wait_for_event("no longer stuck")
        since = len(here.told)
        wait_until(lambda: "WATCHDOG=1" in here.told[since:], PATIENCE)

    here = serve(world, script, WATCHDOG_USEC="100000")
    assert here.events("stuck")[0]["level"] == "error"


def test_a_database_that_is_not_there_yet_is_said_once(world: World, serve: Serve) -> None:
    archived = world.workspace(archived=True)
    world.session(archived)
    away = world.tmp / "away.sqlite"
    world.host.path.replace(away)
    world.configure(tick=0.05)

    def script(here: Here) -> None:
        for _ in range(2):
            before = last_sweep(world)
            wait_until(lambda before=before: last_sweep(world) != before, PATIENCE)  # type: ignore[misc]
        away.replace(world.host.path)
        wait_until(lambda: not world.lives(archived), PATIENCE)
        here.wait_for_event("no longer unknown")

    here = serve(world, script)
    assert len([line for line in here.events("unknown") if line["source"] == "registry"]) == 1


def test_canaries_are_sent_by_the_setting_and_no_longer_without_it(world: World, serve: Serve) -> None:
    world.workspaces(1)
    world.configure(canary_every="24h")

    def script(here: Here) -> None:
        here.wait_for_event("canary")
        here.reload()  # one was sent today
        here.reload(canary_every=0)

    here = serve(world, script)
    assert here.code == 0
    assert [line["state"] for line in here.events("canary")] == ["OK"]


def last_sweep(world: World) -> str | None:
    with contextlib.suppress(LedgerError):  # before the first one
        report = read_status(world.plugin.reaper()).report
        return report["sweep"] if report else None
    return None


# What keeps it from starting


@dataclass(frozen=True)
class Ended:
    code: int
    err: str


def run(*arguments: str, patch: pytest.MonkeyPatch) -> Ended:
    """A start that fails, in this process."""
    err = io.StringIO()
    with patch.context() as patched, redirect_stderr(err):
        patched.setattr(workspace_reaper, "plugin", ReaperPlugin())
        patched.setenv("WORKSPACE_REAPER_CONFIG", "/nowhere")
        patched.setattr(sys, "argv", ["workspace-reaper", *arguments, "run"])
        with pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return Ended(ended.value.code, err.getvalue())


def test_a_daemon_without_configuration_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.toml").write_text(f'state_dir = "{tmp_path}/state"\n')
    ended = run("--config", str(tmp_path / "empty.toml"), patch=monkeypatch)
    assert ended.code == 2
    assert "not configured: set database_url or registry in the configuration file, or" in ended.err
    assert not (tmp_path / "state").exists()


def test_a_second_one_is_told_who_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with InstanceLock(world.state_dir).held(Holder.this_process("the first")):
        ended = run("--config", str(world.write_config()), patch=monkeypatch)
    assert ended.code == 1
    assert re.search(rf"is running already \(pid {os.getpid()}, since \S+Z, command: the first\)", ended.err)


def test_a_table_that_is_not_as_described_is_a_mistake(world: World, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    world.configure(registry="table", session_patterns=["vk_(?P<id>[0-9a-f]{32})"])
    world.write_config()
    with world.config.open("a") as file:
        file.write('[table]\nname = "workspaces"\nid = "idd"\nid_type = "uuid-blob"\nid_in_session = "hex"\n')
    ended = run("--config", str(world.config), patch=monkeypatch)
    assert ended.code == 2
    assert "table: " in ended.err
    assert "idd" in ended.err


# In a process of its own


@pytest.mark.daemon
def test_a_killed_daemon_is_no_obstacle_to_the_next_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, other = world.workspaces(3)
    with Daemon(world) as daemon:
        ended = run("--config", str(world.config), patch=monkeypatch)
        assert ended.code == 1
        assert f"(pid {daemon.process.pid}, since " in ended.err
        assert "run)" in ended.err
        world.host.delete(first)
        wait_until(lambda: not world.lives(first), PATIENCE)
        daemon.kill()
    with Daemon(world) as daemon:
        world.host.delete(second)
        wait_until(lambda: not world.lives(second), PATIENCE)
        assert daemon.stop() == 0
        assert all(isinstance(line, dict) for line in daemon.log)
    assert world.lives(other)


STUBBORN = """
trap '' HUP
trap ': > "$0.told"' TERM
echo $$ > "$0.new" && mv "$0.new" "$0.pid"
while :; do sleep 100000 & wait; done
"""
"""It notes a TERM, and ends by KILL only."""


@pytest.fixture
def stubborn(world: World) -> Iterator[tuple[str, psutil.Process, Path]]:
    """An archived workspace whose session has such a process behind a ``setsid``; that process; and what a TERM leaves."""
    archived = world.workspace()
    script = world.tmp / "stubborn"
    script.write_text(STUBBORN)
    world.session(archived, command=f"setsid sh {script} & exec sleep 100000")
    pid = Path(f"{script}.pid")
    wait_until(pid.exists)
    process = psutil.Process(int(pid.read_text()))
    try:
        yield archived, process, Path(f"{script}.told")
    finally:
        with contextlib.suppress(psutil.Error):
            for child in process.children():
                child.kill()
            process.kill()


@pytest.mark.daemon
def test_term_does_not_wait_for_a_grace_and_the_next_start_ends_what_is_left(
    world: World, stubborn: tuple[str, psutil.Process, Path]
) -> None:
    archived, process, told = stubborn
    world.configure(kill_grace=3600)
    with Daemon(world) as daemon:
        world.host.archive(archived)
        wait_until(told.exists, PATIENCE)
        assert daemon.stop() == 0
    assert process.is_running()
    assert not world.lives(archived)
    world.configure(kill_grace=0.1)
    with Daemon(world) as daemon:
        wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, PATIENCE)
        wait_until(lambda: read_history(world.plugin.reaper(), 1)[0].outcome == "reaped", PATIENCE)
        assert daemon.stop() == 0
