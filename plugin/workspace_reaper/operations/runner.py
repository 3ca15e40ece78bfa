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
    from workspace_reaper.operations.reaper import Reaper
    from workspace_reaper.sweep.other_plugins import OtherPlugins
    from workspace_reaper.sweep.report import SweepReport

# Seconds at the end in which the other plugins may work off their notifications.
LAST_NOTIFICATIONS = 2.0


class ReaperRunner:
    """The current reaper of a plugin: built from the configuration at the first use, and replaceable.

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
        self._reaper: Reaper | None = None
        self._configuration_alarm: Alarm | None = None

    def bind(self, *, stopping: Callable[[], bool], is_stale: Callable[[], bool], doubted: Callable[[], Set[str]]) -> None:
        """Set what the sweeps ask of the worker: whether to start no more kills, whether ``replace`` was called with another
        registry since the suspects were handed over, and which workspaces' rows vanished as after a restore."""
        self._stopping, self._is_stale, self._doubted = stopping, is_stale, doubted

    def join(self, plugins: OtherPlugins) -> None:
        """Use these plugins in all sweeps from now on."""
        with self._building:
            self._plugins = plugins
            if self._reaper is not None:
                self._reaper.plugins = plugins

    def replace(self, reaper: Reaper, forget_suspects: Callable[[], None]) -> None:
        """Sweep with this reaper from now on. A running sweep stops before its next kill, then its reaper is closed.

        ``forget_suspects`` is called if the new reaper asks another registry.
        """
        with self._building:
            before = self._reaper
            if before is not None and not before.asks_same_registry(reaper):
                forget_suspects()  # before the new reaper can be used
            if before is not None:
                reaper.go_on_from(before)
            self._set(reaper)
        self._logged.clear()
        if before is not None:
            before.close()

    def reaper(self) -> Reaper:
        """Return the current reaper; the first call builds it. Raises ``ConfigurationError``."""
        with self._building:
            if self._reaper is None:
                from workspace_reaper.operations.reaper import Reaper
                from workspace_reaper.settings import load_settings

                self._set(Reaper(load_settings(self.config)))
            return cast("Reaper", self._reaper)

    def _set(self, reaper: Reaper) -> None:
        self._reaper = reaper
        if self._plugins is not None:
            reaper.plugins = self._plugins
        self._hand_over_alarm(reaper)

    def drain_plugins(self, timeout: float) -> bool:
        """Wait until the other plugins have their notifications. Returns False after ``timeout`` seconds."""
        return self._plugins is None or self._plugins.drain(timeout)

    def close(self) -> None:
        """Close the current reaper and the connection to the other plugins, if there are any."""
        if self._reaper is not None:
            self._reaper.close()
        if self._plugins is not None:
            self._plugins.close(LAST_NOTIFICATIONS)

    def sweep(
        self, *, dry_run: bool = False, approve: frozenset[SessionKey] = frozenset(), shown: SweepReport | None = None
    ) -> SweepReport:
        """Run one full sweep in the caller's thread. Raises ``ConfigurationError``."""
        registry = shown.registry if shown else None
        return self._sweep(self.reaper(), dry_run=dry_run, approve=approve, shown=registry)

    def _sweep(self, reaper: Reaper, **options: Any) -> SweepReport:
        from workspace_reaper.sweep.context import SweepRequest

        return reaper.sweep(SweepRequest(**options, stopping=partial(self._is_over, reaper), doubted=self._doubted))

    def sweep_all(self) -> None:
        """Run one full sweep, if the configuration allows it."""
        reaper = self._usable()
        if reaper is not None:
            from workspace_reaper.operations.suspects import notify_of_witnesses

            notify_of_witnesses(reaper, self._sweep(reaper))

    def look_at(
        self, suspects: Mapping[str, WorkspaceEvent], final: Collection[str], ages: Mapping[str, float] = MappingProxyType({})
    ) -> Collection[str]:
        """Sweep these workspaces, if the configuration allows it. See ``operations.suspects``."""
        reaper = self._usable()
        if reaper is None or self._is_stale():
            return ()
        stopping, replaced = partial(self._is_over, reaper), partial(self._is_replaced, reaper)
        from workspace_reaper.operations.suspects import look_at

        return look_at(reaper, suspects, final, ages, stopping=stopping, replaced=replaced)

    def _is_over(self, reaper: Reaper) -> bool:
        return self._stopping() or self._is_replaced(reaper)

    def _is_replaced(self, reaper: Reaper) -> bool:
        return self._reaper is not reaper

    def _usable(self) -> Reaper | None:
        """Return the reaper, or None, with one line in the log, if it has nothing to do."""
        try:
            reaper = self.reaper()
            if reaper.settings.configured and reaper.settings.enabled:
                reaper.require_tmux()
        except ConfigurationError as error:
            what = "the tmux on PATH" if isinstance(error, UnsupportedTmux) else "the configuration"
            self._log_once(logging.ERROR, f"{what} cannot be used, so nothing is reaped: {error}")
            self._raise_alarm(error)
            return None
        self._hand_over_alarm(reaper)
        if not reaper.settings.configured:
            from workspace_reaper.operations.wiring import how_to_configure

            self._log_once(logging.WARNING, f"not configured, so nothing is reaped: {how_to_configure(self.config)}")
            return None
        if not reaper.settings.enabled:
            from workspace_reaper.operations.wiring import what_switches_off

            self._log_once(logging.WARNING, f"switched off by {what_switches_off(self.config)}, so nothing is reaped")
        return reaper

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

    def _hand_over_alarm(self, reaper: Reaper) -> None:
        if self._configuration_alarm is not None:
            reaper.state.unrecorded_alarms.add(self._configuration_alarm)
            self._configuration_alarm = None

    def _log_once(self, level: int, text: str) -> None:
        if text not in self._logged:
            self._logged.add(text)
            log_event(level, text)
