"""Handing events to plugins: a lane for each, made at its first event, and made anew in a forked child."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping

from pluggy import HookImpl, PluginManager

from workspace_hookspecs._checks import manager_of_one
from workspace_hookspecs._forks import restart_in_children
from workspace_hookspecs._lane import Lane
from workspace_hookspecs._reporting import report


class Dispatcher:
    """The lanes of one host's plugins. Every method is safe from any thread."""

    def __init__(self, queue_limit: int) -> None:
        self._queue_limit = queue_limit
        self._ended = False
        # By id(), for plugins need not be hashable; the lane keeps its plugin alive, so the id stays its own.
        self._lanes: dict[int, Lane] = {}
        self._lock = threading.RLock()  # an RLock for the same reason as in Lane
        restart_in_children(self)

    @property
    def ended(self) -> bool:
        """Whether :meth:`end` was called."""
        return self._ended

    def fire(self, hook: str, impls: Iterable[HookImpl], kwargs: Mapping[str, object], *, coalesce: bool) -> None:
        """Queue the event for each plugin that has one of the implementations."""
        for name, plugin in {impl.plugin_name: impl.plugin for impl in impls}.items():
            try:
                lane = self._lane(name, plugin)
                if lane is None or not lane.put(hook, kwargs, coalesce=coalesce):
                    report(logging.WARNING, "plugin %r does not get %s: its WorkspacePlugins are closed", name, hook)
            except RuntimeError as error:
                report(logging.ERROR, "plugin %r: %s waits, for no thread can be started", name, hook, error=error)

    def drain(self, plugin: object, timeout: float) -> bool:
        """Wait until the plugin's events so far are worked off; whether they are."""
        lane = self._lanes.get(id(plugin))
        return lane is None or lane.drain(timeout)

    def abandon(self, plugin: object) -> int:
        """Forget the plugin's events; how many it never got."""
        lane = self._lanes.get(id(plugin))
        return 0 if lane is None else lane.abandon()

    def end(self) -> bool:
        """Accept no more events; the threads end when theirs are worked off. Waits for nothing. False: it was called before."""
        with self._lock:
            if self._ended:
                return False
            self._ended = True
        for lane in self._lanes.values():
            lane.end()
        return True

    def restart(self) -> None:
        """In a forked child: no thread, nothing queued, no lock held."""
        self._lock = threading.RLock()
        for lane in self._lanes.values():
            lane.restart()

    def _lane(self, name: str, plugin: object) -> Lane | None:
        with self._lock:
            lane = self._lanes.get(id(plugin))
            if lane is None and not self._ended:
                lane = self._lanes[id(plugin)] = Lane(name, _Caller(plugin, name), self._queue_limit)
            return lane


class _Caller:
    """Calls the hooks of one plugin, on its lane.

    Through a manager of its own: pluggy stops at the first plugin that raises and loses the rest. It is made at the first
    call, because pluggy 1.5 runs the plugin's properties while it registers it.
    """

    def __init__(self, plugin: object, name: str) -> None:
        self._plugin = plugin
        self._name = name
        self._manager: PluginManager | None = None

    def __call__(self, hook: str, kwargs: Mapping[str, object]) -> None:
        if self._manager is None:
            self._manager = manager_of_one(self._plugin, self._name)
        getattr(self._manager.hook, hook)(**kwargs)
