"""Runs the sweeps of a plugin with its current reaper. Importing this module is light."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Set
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from workspace_reaper.model.errors import ConfigurationError, UnsupportedTmux
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.sweep.log import log_event

if TYPE_CHECKING:
    from workspace_reaper.model.session import SessionKey
    from workspace_reaper.model.state import Alarm
    from workspace_reaper.operations.reapers import Reapers
    from workspace_reaper.sweep.other_plugins import OtherPlugins
    from workspace_reaper.sweep.report import SweepReport

# Seconds at the end in which the other plugins may work off their notifications.
LAST_NOTIFICATIONS = 2.0


class ReaperRunner:
    """The current reapers of a plugin, one for each host: built from the configuration at the first use, and replaceable.

    ``sweep_all`` and ``look_at`` are what the worker's thread calls.
    """

    def __init__(self) -> None:
        self.config: Path | None = None
        self._stopping: Callable[[], bool] = bool
        self._is_stale: Callable[[], bool] = bool
        self._doubted: Callable[[], Set[str]] = frozenset
        self._plugins: OtherPlugins | None = None
        self._logged: set[str] = set()
        self._reset()
        reference = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := reference()) and reset())

    def _reset(self) -> None:
        self._building = threading.Lock()
        self._reapers: Reapers | None = None
        self._configuration_alarm: Alarm | None = None

    def bind(self, *, stopping: Callable[[], bool], is_stale: Callable[[], bool], doubted: Callable[[], Set[str]]) -> None:
        """Set what the sweeps ask of the worker: whether to start no more kills, whether ``replace`` was called with another
        registry since the suspects were handed over, and which workspaces' rows vanished as after a restore."""
        self._stopping, self._is_stale, self._doubted = stopping, is_stale, doubted

    def join(self, plugins: OtherPlugins) -> None:
        """Use these plugins in all sweeps from now on."""
        with self._building:
            self._plugins = plugins
            if self._reapers is not None:
                self._reapers.use_plugins(plugins)

    def replace(self, reapers: Reapers, forget_suspects: Callable[[], None]) -> None:
        """Sweep with these reapers from now on. A running sweep stops before its next kill, then its ledger is closed.

        ``forget_suspects`` is called if the new reapers ask other registries.
        """
        with self._building:
            before = self._reapers
            if before is not None and not before.asks_same_registries(reapers):
                forget_suspects()  # before the new reapers can be used
            if before is not None:
                reapers.go_on_from(before)
            self._set(reapers)
        self._logged.clear()
        if before is not None:
            before.close()

    def reapers(self) -> Reapers:
        """Return the current reapers, one for each host; the first call builds them. Raises ``ConfigurationError``."""
        with self._building:
            if self._reapers is None:
                from workspace_reaper.operations.reapers import reapers_for
                from workspace_reaper.settings import load_settings

                self._set(reapers_for(load_settings(self.config)))
            return cast("Reapers", self._reapers)

    def _set(self, reapers: Reapers) -> None:
        self._reapers = reapers
        if self._plugins is not None:
            reapers.use_plugins(self._plugins)
        self._hand_over_alarm(reapers)

    def drain_plugins(self, timeout: float) -> bool:
        """Wait until the other plugins have their notifications. Returns False after ``timeout`` seconds."""
        return self._plugins is None or self._plugins.drain(timeout)

    def close(self) -> None:
        """Close the current reaper and the connection to the other plugins, if there are any."""
        if self._reapers is not None:
            self._reapers.close()
        if self._plugins is not None:
            self._plugins.close(LAST_NOTIFICATIONS)

    def sweep(
        self, *, dry_run: bool = False, approve: frozenset[SessionKey] = frozenset(), shown: SweepReport | None = None
    ) -> SweepReport:
        """Run one full sweep in the caller's thread. Raises ``ConfigurationError``."""
        registries = {name: one.registry for name, one in shown.hosts.items()} or shown.registry if shown else None
        return self._sweep(self.reapers(), dry_run=dry_run, approve=approve, shown=registries)

    def _sweep(self, reapers: Reapers, **options: Any) -> SweepReport:
        from workspace_reaper.sweep.context import SweepRequest

        return reapers.sweep(SweepRequest(**options, stopping=partial(self._is_over, reapers), doubted=self._doubted))

    def sweep_all(self) -> None:
        """Run one full sweep of all hosts, if the configuration allows it."""
        reapers = self._usable()
        if reapers is not None:
            from workspace_reaper.operations.suspects import notify_of_witnesses

            report = self._sweep(reapers)
            for one in reapers.hosts:
                notify_of_witnesses(one, report.hosts.get(str(one.name), report))

    def look_at(
        self, suspects: Mapping[str, WorkspaceEvent], final: Collection[str], ages: Mapping[str, float] = MappingProxyType({})
    ) -> Collection[str]:
        """Sweep these workspaces, if the configuration allows it. See ``operations.suspects``."""
        reapers = self._usable()
        if reapers is None or self._is_stale():
            return ()
        stopping, replaced = partial(self._is_over, reapers), partial(self._is_replaced, reapers)
        from workspace_reaper.operations.attribution import attributed
        from workspace_reaper.operations.suspects import look_at

        if reapers.first.name is None:
            return look_at(reapers.first, suspects, final, ages, stopping=stopping, replaced=replaced)
        by_host, others = attributed(reapers, suspects)
        if others:
            # The records of all hosts decide about what a hook reported and belongs to no single one of them.
            self._sweep(reapers)
        unsettled: list[str] = []
        for one, own in by_host:
            keys = {text: key for key, text in own.items()}
            events = {text: suspects[key] for text, key in keys.items()}
            known = {text: ages[key] for text, key in keys.items() if key in ages}
            last = [text for text, key in keys.items() if key in final]
            left = look_at(one, events, last, known, stopping=stopping, replaced=replaced)
            unsettled += [keys[text] for text in left]
        return unsettled

    def _is_over(self, reapers: Reapers) -> bool:
        return self._stopping() or self._is_replaced(reapers)

    def _is_replaced(self, reapers: Reapers) -> bool:
        return self._reapers is not reapers

    def _usable(self) -> Reapers | None:
        """Return the reapers, or None, with one line in the log, if they have nothing to do."""
        try:
            reapers = self.reapers()
            settings = reapers.settings
            if settings.configured and settings.enabled:
                reapers.first.require_tmux()
        except ConfigurationError as error:
            what = "the tmux on PATH" if isinstance(error, UnsupportedTmux) else "the configuration"
            self._log_once(logging.ERROR, f"{what} cannot be used, so nothing is reaped: {error}")
            self._raise_alarm(error)
            return None
        self._hand_over_alarm(reapers)
        if not settings.configured:
            from workspace_reaper.operations.wiring import how_to_configure

            self._log_once(logging.WARNING, f"not configured, so nothing is reaped: {how_to_configure(self.config)}")
            return None
        if not settings.enabled:
            from workspace_reaper.operations.wiring import what_switches_off

            self._log_once(logging.WARNING, f"switched off by {what_switches_off(self.config)}, so nothing is reaped")
        return reapers

    def _raise_alarm(self, error: ConfigurationError) -> None:
        """Notify the plugins once while the configuration cannot be used. There may be no ledger to record the alarm in: the
        first sweep under another configuration records it, and ends it."""
        from workspace_reaper.sweep.alarms import misconfigured
        from workspace_reaper.sweep.other_plugins import notify_alarms

        if self._configuration_alarm is None:
            now = time.time()
            self._configuration_alarm = misconfigured(str(error), now)
            if self._plugins is not None:
                notify_alarms(self._plugins, [self._configuration_alarm], (), now)

    def _hand_over_alarm(self, reapers: Reapers) -> None:
        if self._configuration_alarm is not None:
            reapers.first.state.unrecorded_alarms.add(self._configuration_alarm)
            self._configuration_alarm = None

    def _log_once(self, level: int, text: str) -> None:
        if text not in self._logged:
            self._logged.add(text)
            log_event(level, text)
