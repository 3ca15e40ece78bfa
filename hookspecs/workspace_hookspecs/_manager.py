"""The plugins of one host: loaded, called and closed so that a faulty plugin affects neither the host nor another plugin."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from reprlib import repr as short
from types import TracebackType
from typing import TYPE_CHECKING, Final

from pluggy import PluginManager

from workspace_hookspecs._calls import call_each
from workspace_hookspecs._dispatch import QUEUE_LIMIT, TICK, Dispatcher, Event
from workspace_hookspecs._loading import add_plugin, find_entry_points, find_join, missing_hooks, new_manager
from workspace_hookspecs._logging import ErrorBoundary, log
from workspace_hookspecs._specs import PROJECT
from workspace_hookspecs._ticker import Ticker
from workspace_hookspecs._types import Candidate, Reaped, ReaperAlarm, Veto, is_workspace_id, to_utc
from workspace_hookspecs._veto import HOOK, VetoRequests

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_BAD_VALUE: Final = "%s() needs %s, and was called with %s: no event is fired"
_ID: Final = "the workspace's id as non-blank text"
_BAD_TIME: Final = "tick() needs an aware datetime, and was called with %s: the tick is fired with the current time"
BLOCK_LIST: Final = "WORKSPACE_PLUGINS_BLOCK"
"""The environment variable with the names of blocked plugins, separated by commas."""
GRACE: Final = 0.5
"""Seconds that a plugin has to return after the timeout that it was called with."""


def _tick(now: datetime) -> Event:
    return (TICK, {"now": now}, TICK)


class WorkspacePlugins:
    """All plugins of a host. Create one in each process with :meth:`load`, fire events, and :meth:`close` it at the end.

    The methods that fire (:meth:`workspace_deleted`, :meth:`workspace_archived`, :meth:`tick`, :meth:`session_reaped`,
    :meth:`reaper_alarm`) may be called from any thread, return at once, wait for no plugin and never raise. Each plugin is
    called on a daemon thread of its own, which starts at the plugin's first event and reads a queue of ``queue_limit`` events.
    Equal events of a workspace that wait in it are one. A full queue is logged as an error, and a tick makes up for what it
    drops.
    Exceptions of plugins are logged under ``workspace_hookspecs``. Logging is never configured, and no signal handler is
    installed. A wrong argument is logged as an error with the caller's stack, and no event is fired.

    A forked child has the same plugins and empty queues. Queued events are lost at the interpreter's exit, so a host that exits
    right after an event calls :meth:`drain` first. As a context manager it closes itself.

    A plugin that has a method ``join(plugins)`` receives this object after all plugins are loaded. The reaper uses it to ask
    the other plugins before a kill (:meth:`ask_vetoes`), and to notify them (:meth:`session_reaped`, :meth:`reaper_alarm`).
    """

    def __init__(self, *, queue_limit: int = QUEUE_LIMIT, manager: PluginManager | None = None) -> None:
        """Create it without plugins.

        Args:
            queue_limit: The number of events that may wait for one plugin.
            manager: The manager of a host that uses bare pluggy, whose plugins are to be called. The host remains its owner:
                no plugin is blocked in it, and the plugins' ``drain()`` and ``close()`` are not called.

        Raises:
            ValueError: ``queue_limit`` is less than 1, or the manager lacks a hook of this contract.
        """
        if queue_limit < 1:
            raise ValueError(f"queue_limit must be at least 1, not {queue_limit!r}")
        if manager is not None and (missing := missing_hooks(manager)):
            raise ValueError(f"the manager lacks {', '.join(missing)}: call its add_hookspecs(workspace_hookspecs) first")
        self._is_owner = manager is None
        self._manager = new_manager() if manager is None else manager
        listed = os.environ.get(BLOCK_LIST, "").split(",") if self._is_owner else []
        self._blocked = {name.strip() for name in listed} - {""}
        for name in self._blocked:
            self._manager.set_blocked(name)
        self._problems: dict[str, str] = {}
        self._joined: set[str] = set()
        self._veto_requests = VetoRequests()
        self._tickers: weakref.WeakSet[Ticker] = weakref.WeakSet()
        self._dispatcher = Dispatcher(queue_limit)
        # Ends the threads if the host drops this object without close(); not needed at the interpreter's exit.
        weakref.finalize(self, self._dispatcher.close).atexit = False

    @classmethod
    def load(cls, group: str = PROJECT, *, name: str | None = None, queue_limit: int = QUEUE_LIMIT) -> WorkspacePlugins:
        """Load the installed plugins.

        A plugin that cannot be imported, raises, is malformed or implements an unknown hook is logged as an error, added to
        :attr:`problems` and skipped. A blocked plugin is not imported.

        Args:
            group: The entry-point group.
            name: The name of the only plugin to load, or None for all.
        """
        plugins = cls(queue_limit=queue_limit)
        found = set()
        for entry in find_entry_points(group):
            found.add(entry.name)
            if name is None or entry.name == name:
                plugins._load_one(entry)
        for unused in sorted(plugins._blocked - found):
            message = "%s lists %r, but the entry-point group %s has no such plugin; it has: %s"
            log(logging.WARNING, message, BLOCK_LIST, unused, group, ", ".join(sorted(found)) or "none")
        for loaded, plugin in plugins._plugins():
            plugins._join(loaded, plugin)
        return plugins

    @property
    def manager(self) -> PluginManager:
        """The pluggy manager, to inspect, block or unregister plugins, and to add specifications of the host's own.

        An event is sent to the plugins that are registered at that time. ``manager.hook`` calls plugins on the calling thread.
        """
        return self._manager

    @property
    def problems(self) -> Mapping[str, str]:
        """The plugins that :meth:`load` skipped, each with the reason."""
        return dict(self._problems)

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Add a plugin, an instance or a module, and call its ``join(plugins)`` if it has one.

        Returns:
            The plugin's name, or None if that name is blocked.

        Raises:
            pluggy.PluginValidationError: The plugin is malformed. The message names the plugin, the hook and the cause.
            ValueError: The plugin is already registered, or the name is in use.
        """
        registered = add_plugin(self._manager, plugin, name or self._manager.get_canonical_name(plugin))
        if registered is not None:
            self._join(registered, plugin)
        return registered

    def workspace_deleted(self, workspace_id: str, *, but: object | None = None) -> None:
        """Notify the plugins (``but`` one) of a deleted workspace, after the commit. Returns at once and never raises."""
        self._fire_workspace("on_workspace_deleted", workspace_id, but)

    def workspace_archived(self, workspace_id: str, *, but: object | None = None) -> None:
        """Notify the plugins (``but`` one) of an archived workspace, after the commit. Returns at once and never raises."""
        self._fire_workspace("on_workspace_archived", workspace_id, but)

    def tick(self, now: datetime | None = None) -> None:
        """Fire a tick from the host's own scheduler. Returns at once and never raises.

        Args:
            now: An aware datetime in any time zone, or None for the current time. Anything else is logged as an error, and the
                tick is fired with the current time, because ticks make up for lost events.
        """
        moment = datetime.now(timezone.utc) if now is None else to_utc(now)
        if moment is None:
            log(logging.ERROR, _BAD_TIME, short(now), misuse=1)
            moment = datetime.now(timezone.utc)
        self._fire(*_tick(moment))

    def ask_vetoes(self, candidates: Sequence[Candidate], *, timeout: float = 1.0, but: object | None = None) -> list[Veto]:
        """Ask the plugins which of these tmux sessions must not be ended (``reaper_veto``).

        Every plugin is called on a daemon thread of its own, all at the same time. A plugin that raises, returns anything but
        a mapping of text to text, misses the timeout, has not returned from an earlier request, or is closed has vetoed all
        candidates: a ``Veto`` whose ``session`` is None. This is logged.

        Args:
            candidates: The sessions. Without any, no plugin is called.
            timeout: Seconds to wait for all plugins together.
            but: The plugin that asks, which is not called itself.
        """
        impls = getattr(self._manager.hook, HOOK).get_hookimpls()
        plugins = {impl.plugin_name: impl.plugin for impl in impls if impl.plugin is not but}
        if not candidates:
            return []
        if self._dispatcher.closed:
            return [Veto(name, None, "its WorkspacePlugins are closed") for name in plugins]
        return self._veto_requests.ask(plugins, candidates, timeout)

    def session_reaped(self, reap: Reaped) -> None:
        """Notify the plugins of a tmux session that was ended, after it is in the history. Returns at once and never raises."""
        self._fire_valid("on_session_reaped", isinstance(reap, Reaped), "a Reaped", reap=reap)

    def reaper_alarm(self, alarm: ReaperAlarm) -> None:
        """Notify the plugins that an alarm of the reaper has begun or ended. Returns at once and never raises."""
        self._fire_valid("on_reaper_alarm", isinstance(alarm, ReaperAlarm), "a ReaperAlarm", alarm=alarm)

    def ticking(self, every: float = 60) -> Ticker:
        """Return a context manager that fires a tick at once and then every ``every`` seconds, for ``with`` or ``async with``.

        Raises:
            ValueError: ``every`` is not a positive number.
            RuntimeError: These plugins are closed.
        """
        ticker = Ticker(self.tick, every)
        self._tickers.add(ticker)  # before the check: close() either finds the ticker or has closed the dispatcher before
        if self._dispatcher.closed:
            raise RuntimeError("these WorkspacePlugins are closed")
        return ticker

    def drain(self, timeout: float) -> bool:
        """Wait for the events fired so far, then for every plugin that has a ``drain(timeout) -> bool``.

        Plugins that joined come first, so that the events that they fire in the meantime reach the others. The method blocks:
        call it neither in a hook nor on an event loop (use ``asyncio.to_thread``).

        Args:
            timeout: Seconds. The method returns half a second later at most, one second if a plugin joined.

        Returns:
            Whether all of this succeeded in time. A plugin that raises or returns False did not.
        """
        deadline = time.monotonic() + max(0.0, timeout)
        calls = {name: partial(self._drain_one, plugin, deadline) for name, plugin in self._plugins()}
        first = {name: calls.pop(name) for name in self._joined & calls.keys()}
        first_succeeded = call_each("drain", first, max(0.0, timeout) + GRACE)
        return call_each("drain", calls, max(0.0, deadline - time.monotonic()) + GRACE) and first_succeeded

    def close(self, timeout: float = 5.0) -> None:
        """Stop ticking, end the threads, and call ``close()`` of every plugin that has one, within ``timeout`` seconds.

        Queued events are processed for half of that time. The rest is dropped and logged. A plugin that does not return is left
        on its daemon thread. A second call does nothing. An event fired later is logged as a warning.
        """
        self._stop_tickers()
        if not self._dispatcher.close():
            return
        self._stop_tickers()  # those made in between
        deadline = time.monotonic() + timeout / 2
        calls = {name: partial(self._close_one, name, plugin, deadline) for name, plugin in self._plugins()}
        call_each("close", calls, timeout)

    def __enter__(self) -> WorkspacePlugins:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _load_one(self, entry: EntryPoint) -> None:
        if self._manager.is_blocked(entry.name):
            log(logging.INFO, "plugin %r (%s) is blocked by %s", entry.name, entry.value, BLOCK_LIST)
            return
        with ErrorBoundary("cannot load plugin %r (%s): skipped", entry.name, entry.value, passing=KeyboardInterrupt) as block:
            add_plugin(self._manager, entry.load(), entry.name)
            log(logging.DEBUG, "loaded plugin %r (%s)", entry.name, entry.value)
        if block.failure is not None:
            self._problems[entry.name] = block.failure

    def _join(self, name: str, plugin: object) -> None:
        with ErrorBoundary("plugin %r raised in join()", name, passing=KeyboardInterrupt):
            if (join := find_join(plugin)) is not None:
                self._joined.add(name)
                join(plugins=self)

    def _fire_workspace(self, hook: str, workspace_id: str, but: object | None = None) -> None:
        """Fire an event of a workspace. Equal ones that wait are one. A tick makes up for those that a full queue drops."""
        if is_workspace_id(workspace_id):
            self._fire(hook, {"workspace_id": workspace_id}, (hook, workspace_id), _tick(datetime.now(timezone.utc)), but)
        else:
            log(logging.ERROR, _BAD_VALUE, hook.removeprefix("on_"), _ID, short(workspace_id), misuse=2)

    def _fire_valid(self, hook: str, valid: bool, needed: str, **kwargs: object) -> None:
        if valid:
            self._fire(hook, kwargs)
        else:
            log(logging.ERROR, _BAD_VALUE, hook.removeprefix("on_"), needed, short(*kwargs.values()), misuse=2)

    def _fire(
        self, hook: str, values: Mapping[str, object], key: Hashable = None, instead: Event | None = None, but: object = None
    ) -> None:
        try:
            impls = [impl for impl in getattr(self._manager.hook, hook).get_hookimpls() if impl.plugin is not but]
            self._dispatcher.fire(hook, impls, values, key=key, instead=instead)
        except Exception as error:  # noqa: BLE001  (boundary: the host's call must not fail)
            log(logging.ERROR, "%s cannot be fired", hook, error=error)

    def _stop_tickers(self) -> None:
        for ticker in list(self._tickers):
            ticker.stop()

    def _plugins(self) -> list[tuple[str, object]]:
        return [(name, plugin) for name, plugin in self._manager.list_name_plugin() if plugin is not None]

    def _drain_one(self, plugin: object, deadline: float) -> object:
        if not self._dispatcher.drain(plugin, deadline - time.monotonic()):
            return False
        drain = getattr(plugin, "drain", None) if self._is_owner else None
        return drain(max(0.0, deadline - time.monotonic())) if callable(drain) else True

    def _close_one(self, name: str, plugin: object, deadline: float) -> None:
        self._dispatcher.drain(plugin, deadline - time.monotonic())
        lost = self._dispatcher.discard(plugin)
        if lost:
            log(logging.WARNING, "plugin %r is closed; %d events never reached it", name, lost)
        close = getattr(plugin, "close", None) if self._is_owner else None
        if callable(close):
            close()
