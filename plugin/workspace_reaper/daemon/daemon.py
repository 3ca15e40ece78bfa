"""The host daemon as a process: it loads the plugins like any host, ticks, notices what a server writes, and obeys signals."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from signal import SIGHUP
from signal import Signals as Signal
from typing import Protocol

from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.daemon.logging import log_to_stderr
from workspace_reaper.daemon.sd_notify import ServiceManager
from workspace_reaper.daemon.setup import Setup, read_settings, set_up
from workspace_reaper.daemon.signals import Signals
from workspace_reaper.daemon.watcher import DatabaseWatcher, InitialRead, LivingSessions
from workspace_reaper.ledger.locks import Holder, InstanceLock
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.operations.canary.schedule import CanarySchedule
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.log import log_event
from workspace_reaper.sweep.report import printable

STOPPING = 4.0

"""Seconds in which the daemon stops, so that it is gone after 5."""

BASELINE = 10.0

BASELINE_AGAIN = 1.0

"""Seconds that the start, and a reload, wait for the first look at the database."""

LOOK_EVERY = 60.0

"""Seconds between two looks at its parts, where no service manager asks for them more often."""

STEP = 300.0

"""Seconds that a sweep may take in addition to ``kill_grace``. It may wait 60 s for a lock."""

NOTICING = 120.0

"""Seconds that the noticing thread may go without a sign of life."""


def run_daemon(config: Path | None, find: Callable[[WorkspacePlugins], ReaperPlugin]) -> None:
    """Serve until TERM or INT. ``find`` tells the reaper among the plugins.

    Raises ``ConfigurationError``, ``AlreadyRunning``, and ``LedgerError`` for a state directory that can't be used.
    """
    settings = read_settings(config)
    command = Holder.this_process(printable(shlex.join(sys.argv)))
    with Signals() as signals, InstanceLock(settings.state_dir).held(command):
        log_to_stderr(settings.log_format)
        manager = ServiceManager(os.environ)
        setup = set_up(settings, os.environ)
        plugins = WorkspacePlugins.load()
        daemon = Daemon(plugins, find(plugins), manager, lambda: read_settings(config), os.environ)
        daemon.serve(setup, signals)


class Waiting(Protocol):
    """Where signals come from: see ``signals.Signals``."""

    def wait(self, timeout: float | None) -> frozenset[Signal]:
        """Wait for signals, for at most that many seconds, and return those that arrived."""


class ActiveConfiguration:
    """What runs under one configuration: the ticks, the database watcher and the canaries."""

    def __init__(self, setup: Setup, plugins: WorkspacePlugins) -> None:
        self.setup = setup
        self.begun_at = 0.0
        self._clock = plugins.ticking(every=setup.settings.tick)
        reaper = setup.reaper
        living = LivingSessions([terminal.socket for terminal in reaper.terminals], reaper.dependencies.matcher)
        is_sent = setup.feed is not None and setup.settings.canary_every > 0
        self._patrol = CanarySchedule(reaper, setup.settings.canary_every) if is_sent else None
        self._baseline = None if setup.feed is None else InitialRead(setup.feed)
        self._noticing = (
            None if self._baseline is None else DatabaseWatcher(self._baseline, plugins, reaper.registry, living, reaper.doubt)
        )

    def watch(self, patience: float) -> None:
        """Start the database watcher: it notices what is committed afterwards, if the database answers within ``seconds``."""
        if self._baseline is not None and self._noticing is not None:
            self._noticing.start()
            self._baseline.is_taken(patience)

    def tick(self) -> None:
        """Fire the first tick now, and the others in time."""
        self.begun_at = time.monotonic()
        self._clock.__enter__()
        if self._patrol is not None:
            self._patrol.start()

    def fall_silent(self) -> None:
        """Tell nothing more of what is noticed, and send no more canaries. Returns at once."""
        if self._patrol is not None:
            self._patrol.cancel()
        if self._noticing is not None:
            self._noticing.fall_silent()

    def stop(self, timeout: float) -> None:
        """No tick and no event comes from here any more, unless the noticing hangs for longer than ``timeout`` seconds; nor any
        canary, unless one hangs for longer than twice that."""
        if self._patrol is not None:
            self._patrol.cancel()
        self._clock.stop()
        if self._noticing is not None and not self._noticing.stop(timeout):
            log_event(logging.WARNING, "the noticing did not end in time: it is left behind")
        if self._patrol is not None and not self._patrol.stop(2 * timeout):
            log_event(logging.WARNING, "the canary did not end in time: its session ends by itself")

    @property
    def noticed_at(self) -> float | None:
        """The last sign of life of the noticing."""
        return None if self._noticing is None else self._noticing.beat


class Daemon:
    """``serve`` is called once, and closes the plugins at its end. ``read`` reads the settings again."""

    def __init__(
        self,
        plugins: WorkspacePlugins,
        plugin: ReaperPlugin,
        manager: ServiceManager,
        read: Callable[[], Settings],
        environ: Mapping[str, str],
    ) -> None:
        self._plugins = plugins
        self._plugin = plugin
        self._manager = manager
        self._read = read
        self._environ = environ
        self._stuck: frozenset[str] = frozenset()

    def serve(self, setup: Setup, signals: Waiting) -> None:
        """Until TERM or INT."""
        self._plugin.use(setup.reaper)
        duty = ActiveConfiguration(setup, self._plugins)
        duty.tick()
        duty.watch(BASELINE)
        log_event(
            logging.WARNING if setup.feed is None else logging.INFO,
            f"workspace-reaper {version('workspace-reaper')} {setup}",
            event="started",
            version=version("workspace-reaper"),
            pid=os.getpid(),
            **_facts(setup),
        )
        self._manager.ready(self._status(duty))
        while not (came := signals.wait(self._manager.ping_every or LOOK_EVERY)) - {SIGHUP}:
            if came:
                duty = self._reload(duty)
            self._look(duty)
        self._stop(duty, sorted(came)[-1])

    def _reload(self, duty: ActiveConfiguration) -> ActiveConfiguration:
        self._manager.reloading()
        try:
            setup = self._set_up_anew(duty.setup.settings)
        except Exception as error:  # noqa: BLE001  boundary: an error in the new one must not end the old one
            why = str(error) if isinstance(error, ConfigurationError) else f"{type(error).__name__}: {error}"
            log_event(
                logging.ERROR, f"the new configuration is refused, the old one stays: {why}", event="not reloaded", why=why
            )
        else:
            duty = self._relieve(duty, setup)
            log_event(logging.INFO, f"the configuration is reloaded: {setup}", event="reloaded", **_facts(setup))
        self._manager.ready(self._status(duty))
        return duty

    def _set_up_anew(self, old: Settings) -> Setup:
        settings = self._read()
        if settings.state_dir != old.state_dir:
            raise ConfigurationError(
                f"state_dir: it can't change from {old.state_dir} to {settings.state_dir} while the daemon runs: restart it"
            )
        return set_up(settings, self._environ)

    def _relieve(self, duty: ActiveConfiguration, setup: Setup) -> ActiveConfiguration:
        """The new one watches before the old one falls silent, so that nothing is missed in between; and what the old one
        notices of its database is not reported to the reaper of the new one."""
        log_to_stderr(setup.settings.log_format)
        new = ActiveConfiguration(setup, self._plugins)
        new.watch(BASELINE_AGAIN)
        duty.fall_silent()
        self._plugin.use(setup.reaper)
        new.tick()
        duty.stop(STOPPING / 8)
        return new

    def _look(self, duty: ActiveConfiguration) -> None:
        """Say once which part hangs. The service manager hears from a daemon only while each part lives."""
        settings = duty.setup.settings
        parts = [
            Part("the ticks have stopped", max(self._plugin.ticked_at or 0.0, duty.begun_at), 2 * settings.tick + STEP),
            Part("a sweep hangs, or its thread is gone", self._plugin.busy_since, STEP + 2 * settings.kill_grace),
            Part("the database is no longer watched", duty.noticed_at, NOTICING),
        ]
        before, self._stuck = self._stuck, stuck(parts, time.monotonic())
        for lack in sorted(self._stuck - before):
            log_event(logging.ERROR, f"the daemon is stuck: {lack}", event="stuck", what=lack)
        for lack in sorted(before - self._stuck):
            log_event(logging.WARNING, f"the daemon is no longer stuck: {lack} is over", event="no longer stuck", what=lack)
        if self._stuck != before:
            self._manager.status(self._status(duty))
        if not self._stuck:
            self._manager.alive()

    def _status(self, duty: ActiveConfiguration) -> str:
        return "; ".join(sorted(self._stuck)) or str(duty.setup)

    def _stop(self, duty: ActiveConfiguration, why: Signal) -> None:
        """Take no new work, work off what is there, and end, in `STOPPING` seconds. A sweep that takes longer is left to the
        recovery of the next one."""
        until = time.monotonic() + STOPPING
        log_event(logging.INFO, f"stopping ({why.name})", event="stopping", signal=why.name)
        self._manager.stopping()
        duty.stop(STOPPING / 8)
        self._plugins.drain(STOPPING / 4)  # up to a second late
        self._plugin.close(until - time.monotonic() - STOPPING / 8)
        self._plugins.close(until - time.monotonic())
        log_event(logging.INFO, "stopped")


def _facts(setup: Setup) -> dict[str, object]:
    return {
        "registry": setup.reaper.registry.name,
        "database": setup.reaper.registry.location,
        "sockets": ",".join(terminal.socket for terminal in setup.reaper.terminals),
        "state_dir": str(setup.settings.state_dir),
        "tick": setup.settings.tick,
        "enabled": setup.settings.enabled,
    }


@dataclass(frozen=True, slots=True)
class Part:
    """``since`` is its last sign of life, or when it began with what it does, in seconds of a monotonic clock; None: nothing
    is expected of it now. It may take ``limit`` seconds. ``lack`` is what is missing when it took longer."""

    lack: str
    since: float | None
    limit: float


def stuck(parts: Iterable[Part], now: float) -> frozenset[str]:
    """What is missing, of those parts that are late."""
    return frozenset(part.lack for part in parts if part.since is not None and now - part.since > part.limit)
