"""The daemon as a process: it loads the plugins like any host, ticks, watches the database, and handles signals."""

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

from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.daemon.logging import log_to_stderr
from workspace_reaper.daemon.sd_notify import ServiceManager
from workspace_reaper.daemon.setup import Setup, read_settings, set_up
from workspace_reaper.daemon.signals import Signals
from workspace_reaper.daemon.watcher import DatabaseWatcher, DerivedEvents, LivingSessions
from workspace_reaper.ledger.locks import Holder, InstanceLock
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.operations.canary.schedule import CanarySchedule
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.log import log_event
from workspace_reaper.sweep.report import printable
from workspace_reaper.tmux.terminal import TmuxTerminal

# Seconds within which the daemon stops, so that it has ended after 5.
STOPPING = 4.0

# Seconds that the start waits for the initial read of the database.
INITIAL_READ = 10.0

# Seconds that a reload waits for it, while the old configuration is still active.
INITIAL_READ_RELOADED = 1.0

# Seconds between two checks of the daemon's parts, unless the service manager asks for them more often.
CHECK_EVERY = 60.0

# Seconds that a sweep may take in addition to ``kill_grace``. It may wait 60 s for a lock.
SWEEP_LIMIT = 300.0

# Seconds that may pass between two heartbeats of the database watcher.
WATCHER_LIMIT = 120.0


def run_daemon(config: Path | None, find: Callable[[WorkspacePlugins], ReaperPlugin]) -> None:
    """Serve until TERM or INT.

    Args:
        config: The configuration file; None takes the default one.
        find: Returns the reaper among the plugins.

    Raises:
        ConfigurationError: A setting is invalid, or nothing is configured.
        AlreadyRunning: Another daemon uses the state directory.
        LedgerError: The state directory cannot be used.
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


class ActiveConfiguration:
    """One configuration while it is in force: its ticks, its database watcher and its canaries."""

    def __init__(self, setup: Setup, plugins: WorkspacePlugins, plugin: ReaperPlugin) -> None:
        self.setup = setup
        self.started_at = 0.0
        self._ticks = plugins.ticking(every=setup.settings.tick)
        self._watcher: DatabaseWatcher | None = None
        self._canaries: CanarySchedule | None = None
        reaper, settings = setup.reaper, setup.settings
        if setup.changes is not None:
            terminals = [TmuxTerminal(terminal.socket) for terminal in reaper.terminals]
            living = LivingSessions(
                terminals, reaper.dependencies.matcher, reaper.registry, reaper.reading, reaper.dependencies.processes
            )
            self._watcher = DatabaseWatcher(
                setup.changes, DerivedEvents(plugins, plugin), reaper.registry, living, reaper.doubt
            )
            if settings.canary_every > 0:
                self._canaries = CanarySchedule(reaper, settings.canary_every)

    def watch(self, patience: float) -> None:
        """Start the database watcher, and wait for its initial read for at most ``patience`` seconds."""
        if self._watcher is not None:
            self._watcher.start(patience)

    def tick(self) -> None:
        """Fire the first tick now, and the others at their interval. Start the canaries."""
        self.started_at = time.monotonic()
        self._ticks.__enter__()
        if self._canaries is not None:
            self._canaries.start()

    def pause(self) -> None:
        """Report no more changes of the database, and send no more canaries. Returns at once."""
        if self._canaries is not None:
            self._canaries.cancel()
        if self._watcher is not None:
            self._watcher.pause()

    def stop(self, timeout: float) -> None:
        """Stop the ticks, the watcher and the canaries.

        Args:
            timeout: Seconds to wait for the watcher, and half of the seconds to wait for a canary. What takes longer is
                abandoned, and that is logged.
        """
        if self._canaries is not None:
            self._canaries.cancel()
        self._ticks.stop()
        if self._watcher is not None and not self._watcher.stop(timeout):
            log_event(logging.WARNING, f"the database watcher did not stop within {timeout:g} s; continuing without it")
        if self._canaries is not None and not self._canaries.stop(2 * timeout):
            log_event(logging.WARNING, f"the canary did not stop within {2 * timeout:g} s; its session ends by itself")

    @property
    def heartbeat(self) -> float | None:
        """The last heartbeat of the database watcher in monotonic seconds, None without a watcher."""
        return None if self._watcher is None else self._watcher.heartbeat


class Daemon:
    """The daemon between its start and its end. ``serve`` is called once, and closes the plugins at its end.

    Args:
        plugins: All plugins.
        plugin: The reaper among them.
        manager: Where the state is reported.
        read: Reads the settings again, for a reload.
        environ: The environment from which registries take their defaults.
    """

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

    def serve(self, setup: Setup, signals: Signals) -> None:
        """Serve until TERM or INT."""
        self._plugin.use(setup.reaper)
        active = ActiveConfiguration(setup, self._plugins, self._plugin)
        active.tick()
        active.watch(INITIAL_READ)
        log_event(
            logging.WARNING if setup.changes is None else logging.INFO,
            f"workspace-reaper {version('workspace-reaper')} {setup}",
            event="started",
            version=version("workspace-reaper"),
            pid=os.getpid(),
            **_facts(setup),
        )
        self._manager.ready(self._status(active))
        while not (came := signals.wait(self._manager.ping_every or CHECK_EVERY)) - {SIGHUP}:
            if came:
                active = self._reload(active)
            self._check_parts(active)
        self._stop(active, sorted(came)[-1])

    def _reload(self, active: ActiveConfiguration) -> ActiveConfiguration:
        self._manager.reloading()
        try:
            setup = self._set_up_again(active.setup.settings)
        except Exception as error:  # noqa: BLE001  boundary: an error in the new one must not end the old one
            why = str(error) if isinstance(error, ConfigurationError) else f"{type(error).__name__}: {error}"
            log_event(
                logging.ERROR,
                f"the new configuration is refused, and the old one stays in force: {why}",
                event="not reloaded",
                why=why,
            )
            self._plugin.reload_refused(why)
        else:
            active = self._switch_to(setup, active)
            log_event(logging.INFO, f"reloaded the configuration: {setup}", event="reloaded", **_facts(setup))
        self._manager.ready(self._status(active))
        return active

    def _set_up_again(self, old: Settings) -> Setup:
        settings = self._read()
        if settings.state_dir != old.state_dir:
            raise ConfigurationError(
                f"state_dir: a reload cannot change it from {old.state_dir} to {settings.state_dir}: restart the daemon"
            )
        return set_up(settings, self._environ)

    def _switch_to(self, setup: Setup, old: ActiveConfiguration) -> ActiveConfiguration:
        """Replace the old configuration by a new one, and return it."""
        log_to_stderr(setup.settings.log_format)
        new = ActiveConfiguration(setup, self._plugins, self._plugin)
        # The new watcher starts before the old one pauses: no commit in between is missed. The old one pauses before the plugin
        # uses the new reaper: no change of the old database is reported to it.
        new.watch(INITIAL_READ_RELOADED)
        old.pause()
        self._plugin.use(setup.reaper)
        new.tick()
        old.stop(STOPPING / 8)
        return new

    def _check_parts(self, active: ActiveConfiguration) -> None:
        """Log once which part hangs. The service manager gets a sign of life only while none hangs."""
        settings = active.setup.settings
        parts = [
            Part(
                "the ticks have stopped", max(self._plugin.ticked_at or 0.0, active.started_at), 2 * settings.tick + SWEEP_LIMIT
            ),
            Part("a sweep hangs, or its thread has ended", self._plugin.busy_since, SWEEP_LIMIT + 2 * settings.kill_grace),
            Part("the database is no longer watched", active.heartbeat, WATCHER_LIMIT),
        ]
        before, self._stuck = self._stuck, stuck(parts, time.monotonic())
        for failure in sorted(self._stuck - before):
            log_event(logging.ERROR, f"the daemon is stuck: {failure}", event="stuck", what=failure)
        for failure in sorted(before - self._stuck):
            log_event(
                logging.WARNING,
                f"the daemon is no longer stuck, which it was because {failure}",
                event="no longer stuck",
                what=failure,
            )
        if self._stuck != before:
            self._manager.status(self._status(active))
        if not self._stuck:
            self._manager.alive()

    def _status(self, active: ActiveConfiguration) -> str:
        return "; ".join(sorted(self._stuck)) or str(active.setup)

    def _stop(self, active: ActiveConfiguration, why: Signal) -> None:
        """Take no new work, finish what was begun, and end, within `STOPPING` seconds.

        A sweep that takes longer is abandoned: the next one recovers its intents.
        """
        until = time.monotonic() + STOPPING
        log_event(logging.INFO, f"stopping ({why.name})", event="stopping", signal=why.name)
        self._manager.stopping()
        active.stop(STOPPING / 8)
        self._plugins.drain(STOPPING / 4)  # it may take a second longer
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
    """A part of the daemon that may hang.

    Attributes:
        failure: What is wrong if it hangs, as a clause.
        since: Its last sign of life, or when it began its work, in monotonic seconds. None if it has nothing to do.
        limit: Seconds that may pass since then.
    """

    failure: str
    since: float | None
    limit: float


def stuck(parts: Iterable[Part], now: float) -> frozenset[str]:
    """Return the failures of the parts that hang at the time ``now`` (monotonic seconds)."""
    return frozenset(part.failure for part in parts if part.since is not None and now - part.since > part.limit)
