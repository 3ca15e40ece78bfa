"""The small parts of the daemon: what it reports to systemd, signals to wait for, and whether its parts hang."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.tools.waiting import wait_until
from workspace_reaper.daemon import daemon as process
from workspace_reaper.daemon.parts import Part, stuck
from workspace_reaper.daemon.sd_notify import ServiceManager
from workspace_reaper.daemon.setup import set_up
from workspace_reaper.daemon.signals import Signals
from workspace_reaper.daemon.watcher import DatabaseWatcher
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.settings import Settings

# What it tells systemd


@pytest.fixture(params=["file", "abstract"])
def manager_socket(request: pytest.FixtureRequest, short_tmp: Path) -> Iterator[socket.socket]:
    """A service manager's socket. Its address as it stands in ``NOTIFY_SOCKET`` is ``address(socket)``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        name = str(short_tmp / "notify")
        server.bind(name if request.param == "file" else f"\0{name}")
        server.settimeout(10)
        yield server


def address(server: socket.socket) -> str:
    name = server.getsockname()
    return name if isinstance(name, str) else "@" + name[1:].decode()


def told(server: socket.socket) -> list[str]:
    return server.recv(65536).decode().split("\n")


def test_every_state_is_told(manager_socket: socket.socket) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": address(manager_socket)})
    manager.ready("watches\nall é")
    assert told(manager_socket) == ["READY=1", "STATUS=watches\\nall é"]
    manager.reloading()
    state, moment = told(manager_socket)
    assert state == "RELOADING=1"
    assert moment.startswith("MONOTONIC_USEC=")
    assert moment.removeprefix("MONOTONIC_USEC=").isdigit()
    manager.status("well")
    assert told(manager_socket) == ["STATUS=well"]
    manager.alive()
    assert told(manager_socket) == ["WATCHDOG=1"]
    manager.stopping()
    assert told(manager_socket) == ["STOPPING=1", "STATUS=stopping"]


def test_what_it_starts_does_not_speak_in_its_name() -> None:
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    ServiceManager(environ)
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("environ", "every"),
    [
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000"}, 1.5),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "/x"}, None),
        ({"WATCHDOG_USEC": "3000000"}, None),
    ],
)
def test_how_often_it_is_to_say_that_it_lives(environ: dict[str, str], every: float | None) -> None:
    assert ServiceManager(environ).ping_every == every


def test_a_manager_that_can_not_be_told_is_said_once(short_tmp: Path, caplog: pytest.LogCaptureFixture) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(short_tmp / "nobody")})
    manager.ready("a")
    manager.alive()
    assert caplog.text.count("the service manager cannot be notified of the daemon's state") == 1


def test_without_a_manager_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({}).ready("a")
    assert not caplog.records


# Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    with Signals() as caught:
        yield caught


def test_a_signal_that_came_before_the_wait_ends_it(signals: Signals) -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    assert signals.wait(None) == {signal.SIGHUP}
    assert signals.wait(0) == frozenset()


def test_a_signal_ends_a_wait_that_is_on(signals: Signals) -> None:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGHUP)).start()
    assert signals.wait(60) == {signal.SIGHUP}


def test_many_are_one(signals: Signals) -> None:
    for _ in range(20):
        os.kill(os.getpid(), signal.SIGHUP)
    assert signals.wait(60) == {signal.SIGHUP}
    assert signals.wait(0) == frozenset()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_to_stop_hears_nothing_else(signals: Signals, number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGHUP)
    assert signals.wait(60) == {number}
    assert signals.wait(60) == {number}


def test_other_signals_are_none_of_its_business(signals: Signals) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signals.wait(60) == frozenset()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_flood_drowns_no_term(signals: Signals) -> None:
    with suppress(BlockingIOError):  # it is full
        while True:
            signals._writer.send(bytes([signal.SIGHUP]))
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.wait(60) == {signal.SIGTERM}


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.set_wakeup_fd(-1) == -1


# Its parts


def test_a_part_is_stuck_once_it_takes_longer_than_it_may() -> None:
    parts = [Part("late", 10.0, 5.0), Part("in time", 11.0, 5.0), Part("resting", None, 5.0)]
    assert stuck(parts, 16.0) == {"late"}
    assert stuck(parts, 15.0) == frozenset()


class Gate:
    """A change watcher that can be read once it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.closed = False

    def wait(self, timeout: float) -> bool:
        return timeout > 1

    def read(self) -> Unknown:
        assert self.opened.wait(20)
        return Unknown(Source.REGISTRY, "locked")

    def close(self) -> None:
        self.closed = True


def watcher_of(gate: Gate) -> DatabaseWatcher:
    unused: Any = None
    return DatabaseWatcher(gate, unused, unused, frozenset, unused)


def test_the_start_waits_for_the_initial_read_and_no_longer_than_it_may() -> None:
    gate = Gate()
    watcher = watcher_of(gate)
    watcher.start(0.05)
    assert not watcher._initially_read.is_set()
    gate.opened.set()
    assert watcher._initially_read.wait(20)
    assert watcher.stop(20)

    opened = Gate()
    opened.opened.set()
    watcher = watcher_of(opened)
    watcher.start(20)
    assert watcher._initially_read.is_set()
    assert watcher.stop(20)


class Calls:
    """Plugins, a plugin, a manager and an active configuration in one, which use up each timeout that they are given."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.timeouts: list[float] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: object, **_: object) -> object:
            self.names.append(name)
            if name in {"stop", "drain", "close"} and isinstance(arguments[0], float):
                self.timeouts.append(arguments[0])
                time.sleep(max(0.0, arguments[0]))
            return nullcontext()

        return call


def test_stopping_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever hangs: what is handed on to the parts is one time, not one for each."""
    monkeypatch.setattr(process, "STOPPING", 0.4)
    calls: Any = Calls()
    process.Daemon(calls, calls, calls, Settings, {})._stop(calls, signal.SIGTERM)
    assert len(calls.timeouts) == 4
    assert sum(max(0.0, timeout) for timeout in calls.timeouts) <= 0.4


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "workspace_reaper", "workspace_hookspecs")]
    levels, handlers, hook = [logger.level for logger in loggers], list(loggers[0].handlers), threading.excepthook
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    loggers[0].handlers[:] = handlers
    logging.captureWarnings(capture=False)
    threading.excepthook = hook


@pytest.mark.usefixtures("logging_as_it_was")
def test_the_old_watcher_pauses_before_the_new_reaper_is_used(tmp_path: Path) -> None:
    calls: Any = Calls()
    setup = set_up(Settings(database_url=str(tmp_path / "no"), state_dir=tmp_path, enabled=False), {})
    process.Daemon(calls, calls, calls, Settings, {})._switch_to(setup, calls)
    order = [name for name in calls.names if name in {"pause", "use", "stop"}]
    assert order == ["pause", "use", "stop"]


def test_a_stop_ends_the_wait_for_the_initial_read() -> None:
    gate = Gate()
    watcher = watcher_of(gate)
    starting = threading.Thread(target=watcher.start, args=(60,))
    starting.start()
    wait_until(lambda: watcher._thread.ident is not None, 20)
    watcher.stop(0)
    starting.join(20)
    assert not starting.is_alive()
    gate.opened.set()
    assert watcher.stop(20)
    assert gate.closed
